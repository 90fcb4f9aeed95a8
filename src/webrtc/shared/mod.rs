//! The shared WebRTC engine.
pub mod demux;
pub mod framing;
pub mod ice;
pub mod stun;
