//! What the benches share: quantiles, the rows of their table, and the guard that
//! keeps `cargo test --benches` from measuring for minutes.
#![allow(dead_code)] // each bench uses its own part

use std::time::Duration;

/// Is this `cargo bench`? It passes `--bench`; for `cargo test --benches` one line is said.
pub fn measuring(name: &str) -> bool {
    let measuring = std::env::args().any(|a| a == "--bench");
    if !measuring {
        println!("cargo bench --bench {name} measures");
    }
    measuring
}

/// The head of the table that [`row`] goes on with.
pub fn head() {
    println!("| what | figure |\n|---|---|");
}

/// A row of the table.
pub fn row(what: impl std::fmt::Display, figure: impl std::fmt::Display) {
    println!("| {what} | {figure} |");
}

/// Milliseconds, finer below ten.
pub fn ms(d: Duration) -> String {
    let ms = d.as_secs_f64() * 1_000.0;
    if ms < 10.0 { format!("{ms:.2} ms") } else { format!("{ms:.1} ms") }
}

/// The value below which the share `p` (0 to 1) of the values lies; sorts them. None of nothing.
pub fn nth<T: Copy + PartialOrd>(values: &mut [T], p: f64) -> Option<T> {
    values.sort_unstable_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
    let at = (values.len().saturating_sub(1) as f64 * p.clamp(0.0, 1.0)).round() as usize;
    values.get(at).copied()
}

/// [`nth`] of durations; zero of nothing.
pub fn quantile(values: &mut [Duration], p: f64) -> Duration {
    nth(values, p).unwrap_or_default()
}

/// Median, 95th percentile and the worst, in whole milliseconds.
pub fn spread(mut ms: Vec<f64>) -> String {
    let mut at = |p| nth(&mut ms, p).unwrap_or(f64::NAN);
    format!("{:.0} / {:.0} / {:.0} ms", at(0.5), at(0.95), at(1.0))
}

/// A number from the environment.
pub fn number(variable: &str) -> Option<usize> {
    std::env::var(variable).ok().and_then(|n| n.parse().ok())
}
