//! WHEP against the real binary, on each engine: a camera double in front, other
//! people's WebRTC behind. Tests named `rowNN_…` follow the table of what WHEP servers
//! must do; the rows that only concern HTTP are proven in process, in `src/http/tests`.
#![allow(clippy::duplicate_mod)] // the same tests for each engine: that is the point

mod support;

#[path = "whep"]
mod webrtcbin {
    const ENGINE: crate::support::gateway::Engine = crate::support::gateway::Engine::Webrtcbin;
    #[path = "mod.rs"]
    mod tests;
}

#[path = "whep"]
mod shared {
    const ENGINE: crate::support::gateway::Engine = crate::support::gateway::Engine::Shared;
    #[path = "mod.rs"]
    mod tests;
}
