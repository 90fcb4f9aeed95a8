//! HLS in MPEG-TS segments: written by GStreamer's `hlssink2` in memory, listed by our
//! own playlist.
//!
//! [`plan`] (which frame goes where, and where a segment begins), [`voice`] (the sound
//! beside it) and [`shelf`] (what readers are answered from) are pure; [`pipeline`] has
//! the sink. The sink's own playlist is thrown away: it knows no discontinuity, and its
//! names begin anew with each start.

pub mod pipeline;
pub mod plan;
pub mod shelf;
pub mod voice;
