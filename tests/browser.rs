//! The real binary in the real Chromium: what a person sees on wall and player.

mod support;

#[path = "browser/access.rs"]
mod access;
#[path = "browser/failure.rs"]
mod failure;
#[path = "browser/hands.rs"]
mod hands;
#[path = "browser/hls.rs"]
mod hls;
#[path = "browser/hls_changes.rs"]
mod hls_changes;
#[path = "browser/kit.rs"]
mod kit;
#[path = "browser/looks.rs"]
mod looks;
#[path = "browser/play.rs"]
mod play;
#[path = "browser/poster.rs"]
mod poster;
#[path = "browser/ptz.rs"]
mod ptz;
#[path = "browser/ptz_page.rs"]
mod ptz_page;
#[path = "browser/ptz_tools.rs"]
mod ptz_tools;
#[path = "browser/recovery.rs"]
mod recovery;
#[path = "browser/scenes.rs"]
mod scenes;
#[path = "browser/start.rs"]
mod start;
#[path = "browser/units.rs"]
mod units;
