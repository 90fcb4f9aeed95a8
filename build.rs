//! Takes hls.js from npm's directory, for `src/http/assets.rs` to embed.

use std::path::Path;

/// The whole build: the light one cannot read H.265 from MPEG-TS.
const FILE: &str = "src/web/node_modules/hls.js/dist/hls.min.mjs";

fn main() {
    for input in ["build.rs", "src/web/package-lock.json", FILE] {
        println!("cargo::rerun-if-changed={input}");
    }
    let Ok(script) = std::fs::read_to_string(FILE) else {
        println!("cargo::error={FILE} is missing: run docker/setup.sh, or `npm ci --prefix src/web`");
        return;
    };
    // Its source map stays behind.
    let script = script.lines().filter(|line| !line.starts_with("//# sourceMappingURL="));
    let mut out = String::from("/*! hls.js, https://github.com/video-dev/hls.js, Apache License 2.0 */\n");
    for line in script {
        out += line;
        out.push('\n');
    }
    // invariant: cargo sets OUT_DIR for every build script.
    let to = Path::new(&std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR")).join("hls.js");
    // invariant: it is there for build scripts to write into; where the disk is full, no build goes on.
    std::fs::write(to, out).expect("cannot write into OUT_DIR");
}
