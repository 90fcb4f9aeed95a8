//! camgate: live camera video, from the camera to every browser.
//!
//! The map of the crate. Arrows point one way, from top to bottom:
//!
//! | room | what lives there | may use |
//! |---|---|---|
//! | `main.rs` | the command line | everything |
//! | [`http`] | routes, rights, limits, the page | `path`, `ptz`, `webrtc`, `hls`, `media`, `config` |
//! | [`path`] | one actor per path, its pure state machine, the registry | `webrtc`, `hls`, `media`, `config` |
//! | [`ptz`] | cameras that are steered: drivers, one steerer per camera | `config` |
//! | [`webrtc`] | offers and answers (pure), sessions, engines | `media`, `config` |
//! | [`hls`] | playlists and fragments (pure), a muxer per path | `media`, `config` |
//! | [`media`] | templates, source pipelines, the Hub | `config` |
//! | [`config`] | the YAML, the environment, the diff of a reload | – |
//! | [`error`], [`redact`] | one error type, one redactor | – |
//!
//! The way of a frame: a source pipeline (GStreamer) packetises once, its
//! appsink hands whole access units to the [`media::hub::Hub`], and each viewer
//! takes them from a bounded queue of its own. Nothing that a viewer does can
//! reach the source.

pub mod config;
#[cfg(test)]
mod counting;
pub mod error;
#[cfg(test)]
mod fuzz;
pub mod hls;
pub mod http;
pub mod media;
pub mod path;
pub mod ptz;
pub mod redact;
pub mod webrtc;
