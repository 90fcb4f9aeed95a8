//! The way of a frame: templates, source pipelines, the Hub.
//!
//! A source pipeline (GStreamer) ends in appsinks that hand RTP packets to the
//! [`hub::Hub`] as whole access units. [`rtp`], [`nal`], [`opus`], [`timeline`] and
//! [`gop`] are pure.

pub mod aac;
pub mod analysis;
pub mod blocking;
pub mod codec;
pub mod gop;
pub mod hub;
pub mod nal;
pub mod opus;
pub mod pipeline;
pub mod rhythm;
pub mod rtp;
pub mod sdp;
pub mod snapshot;
pub mod source;
pub mod template;
pub mod timeline;
pub mod to_aac;
