//! The pure modules of the page under Node, which the build needs for npm anyway.

use std::path::Path;
use std::process::Command;

/// `src/web/*.test.js`; they are not served and not in the binary.
#[test]
fn the_pure_modules_keep_their_word() {
    let web = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/web");
    let mut files: Vec<_> = std::fs::read_dir(&web)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_string_lossy().ends_with(".test.js"))
        .collect();
    files.sort();
    assert!(!files.is_empty());
    let out = Command::new("node").arg("--test").args(&files).current_dir(&web).output();
    let out = out.expect("no node in the PATH: docker/setup.sh installs it");
    assert!(out.status.success(), "{}\n{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
}
