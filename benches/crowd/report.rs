//! What was measured: a row of the table, and an object of the JSON. Pure.

use serde::Serialize;

/// One case of one server. What could not be measured is None.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Figures {
    pub server: String,
    pub case: String,
    pub viewers: usize,
    /// Viewers that saw a key frame and were still there at the end.
    pub playing: usize,
    /// Joins that were refused, with what the first one was told.
    pub refused: usize,
    /// What went wrong: of a refused join, of a session that ended, or of the whole case.
    pub error: Option<String>,
    /// The window that was measured.
    pub seconds: f64,
    /// Delivered in it: authentic, decrypted, each once.
    pub packets: u64,
    /// The server's CPU (user and system) per packet delivered.
    pub cpu_us_per_packet: Option<f64>,
    /// The server's CPU, 1 is a core.
    pub core: Option<f64>,
    pub threads: Option<usize>,
    pub rss_mb: Option<f64>,
    /// Its memory above that without viewers.
    pub kb_per_viewer: Option<f64>,
    /// POST → 201: median, 95th percentile.
    pub answer_ms: Option<[f64; 2]>,
    /// POST → ICE and DTLS are up: median, 95th percentile.
    pub connected_ms: Option<[f64; 2]>,
    /// POST → last packet of the first complete key frame: median, 95th percentile, worst.
    pub key_ms: Option<[f64; 3]>,
    /// First POST → all have a key frame.
    pub all_ms: Option<f64>,
    /// Frame handed over by the camera → its last packet at the viewer: median, 99th percentile.
    pub latency_ms: Option<[f64; 2]>,
    /// Packets that never came, after NACK; before the window, and in it.
    pub lost_joining: u64,
    pub lost: u64,
    /// Frames that the server left out, in the window.
    pub skipped: u64,
    /// NACK messages sent, all told.
    pub nacks: u64,
    /// The load client's CPU in the window, 1 is a core.
    pub client_core: f64,
    /// What the rest of the machine took, camera excepted, 1 is a core: kernel threads, and
    /// whoever else was at work. A row with much of it is not to be quoted.
    pub others_core: f64,
}

/// The head of the table.
pub const HEAD: &str = "| server | viewers | CPU per packet | of a core | per viewer and s | threads | memory per viewer | \
    POST → 201, p50 / p95 | POST → connected, p50 / p95 | POST → key frame, p50 / p95 / worst | latency p50 / p99 | lost after NACK | NACKs | \
    client's CPU, others' |\n|---|---|---|---|---|---|---|---|---|---|---|---|---|---|";

impl Figures {
    /// The CPU that one viewer costs in a second, ms.
    pub fn cpu_ms_per_viewer(&self) -> Option<f64> {
        self.core.filter(|_| self.playing > 0).map(|core| core * 1_000.0 / self.playing as f64)
    }

    /// Its row of the table.
    pub fn row(&self) -> String {
        if self.packets == 0 {
            let error = self.error.as_deref().unwrap_or("nothing came");
            return format!("| {} | {} | failed: {} |", self.server, self.case, error.replace(['|', '\n'], " "));
        }
        let mut viewers = self.case.clone();
        if self.playing < self.viewers {
            viewers += &format!(" (only {} play: {})", self.playing, self.error.as_deref().unwrap_or("no key frame"));
        }
        if let Some(all) = self.all_ms {
            viewers += &format!(" (all play after {:.2} s)", all / 1_000.0);
        }
        let mut lost = format!("{} of {}", self.lost, self.packets);
        for (count, what) in [(self.lost_joining, "while joining"), (self.skipped, "frames left out")] {
            if count > 0 {
                lost += &format!(", {count} {what}");
            }
        }
        let cells = [
            self.server.clone(),
            viewers,
            or_dash(self.cpu_us_per_packet, |n| format!("{n:.2} µs")),
            or_dash(self.core, |n| format!("{:.1} %", n * 100.0)),
            or_dash(self.cpu_ms_per_viewer(), |n| format!("{n:.2} ms")),
            or_dash(self.threads, |n| n.to_string()),
            or_dash(self.kb_per_viewer, |n| format!("{n:.0} KB")),
            or_dash(self.answer_ms, |n| slashes(&n)),
            or_dash(self.connected_ms, |n| slashes(&n)),
            or_dash(self.key_ms, |n| slashes(&n)),
            or_dash(self.latency_ms, |n| slashes(&n)),
            lost,
            self.nacks.to_string(),
            format!("{:.0} %, {:.0} %", self.client_core * 100.0, self.others_core * 100.0),
        ];
        format!("| {} |", cells.map(|c| c.replace(['|', '\n'], " ")).join(" | "))
    }
}

/// Milliseconds with slashes between, finer below ten.
pub fn slashes(ms: &[f64]) -> String {
    let one = |ms: &f64| if *ms < 10.0 { format!("{ms:.1}") } else { format!("{ms:.0}") };
    ms.iter().map(one).collect::<Vec<_>>().join(" / ") + " ms"
}

fn or_dash<T>(value: Option<T>, text: impl FnOnce(T) -> String) -> String {
    value.map_or_else(|| "–".to_owned(), text)
}

/// Any other figure: a row of the second table.
#[derive(Debug, Clone, Serialize)]
pub struct Line {
    pub server: String,
    pub what: String,
    pub figure: String,
}

impl Line {
    pub fn row(&self) -> String {
        format!("| {} | {} | {} |", self.server, self.what, self.figure.replace(['|', '\n'], " "))
    }
}

/// All of a run.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// Seconds since 1970.
    pub date: u64,
    pub machine: String,
    pub camera: String,
    pub viewers: Vec<Figures>,
    pub others: Vec<Line>,
}
