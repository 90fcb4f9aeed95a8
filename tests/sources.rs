//! Sources: the real gateway against camera doubles of every kind, good and bad.

mod support;

#[path = "sources/auth.rs"]
mod auth;
#[path = "sources/codecs.rs"]
mod codecs;
#[path = "sources/faults.rs"]
mod faults;
#[path = "sources/keep_alive.rs"]
mod keep_alive;
#[path = "sources/lateness.rs"]
mod lateness;
#[path = "sources/launch.rs"]
mod launch;
#[path = "sources/many.rs"]
mod many;
#[path = "sources/refusals.rs"]
mod refusals;

use support::camera::{Builder, Camera};

/// A small picture that costs next to nothing.
fn small() -> Builder {
    Camera::builder().size(320, 240).gop_frames(25).prerecorded()
}
