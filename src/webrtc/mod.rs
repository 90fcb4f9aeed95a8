//! WebRTC: offers and answers (pure), sessions, engines behind one interface.
//!
//! Negotiation is ours: [`offer`] reads and validates what a client sends,
//! [`negotiate`] chooses, [`answer`] writes. An [`engine`] only brings the
//! transport: [`webrtcbin`] a pipeline for each viewer, [`shared`] one port for all.

pub mod answer;
pub mod candidate;
pub mod engine;
pub mod engines;
pub mod ice;
pub mod negotiate;
pub mod offer;
mod sdp;
pub mod sdpfrag;
pub mod session;
pub mod shared;
pub mod stream;
pub mod webrtcbin;
