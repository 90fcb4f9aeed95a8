//! Finding and reading the configuration.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use camgate::config::{self, Loaded};

/// Where a configuration is looked for when none is named.
const PLACES: [&str; 2] = ["camgate.yml", "/etc/camgate/camgate.yml"];

/// The file to read: the one named, or the first one at hand.
pub fn find(named: Option<PathBuf>) -> Option<PathBuf> {
    named
        .or_else(|| std::env::var_os("CAMGATE_CONFIG").filter(|v| !v.is_empty()).map(PathBuf::from))
        .or_else(|| PLACES.iter().map(PathBuf::from).find(|p| p.is_file()))
}

/// The environment, as far as it is text.
pub fn environment() -> Vec<(String, String)> {
    std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?))).collect()
}

/// Reads it with the environment's overrides; all problems in one error.
pub fn load(file: Option<&Path>) -> anyhow::Result<Loaded> {
    config::load(file, &environment()).map_err(|problems| {
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        anyhow::anyhow!("the configuration is not usable:\n{}", lines.join("\n"))
    })
}

/// `camgate check FILE`
pub fn check(file: &Path) -> anyhow::Result<ExitCode> {
    match config::load(Some(file), &environment()) {
        Ok(loaded) => {
            for warning in &loaded.warnings {
                println!("warning: {warning}");
            }
            println!("{}: fine ({} paths)", file.display(), loaded.config.paths.len());
            Ok(ExitCode::SUCCESS)
        }
        Err(problems) => {
            for problem in &problems {
                eprintln!("{problem}");
            }
            Ok(ExitCode::FAILURE)
        }
    }
}
