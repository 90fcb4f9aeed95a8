//! The shared WebRTC engine.
pub mod demux;
pub mod framing;
pub mod ice;
pub mod outgoing;
pub mod ring;
pub mod rtcp;
pub mod srtp;
pub mod stun;
