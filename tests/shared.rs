//! What only the engine `shared` can do, and what it has to withstand: one port for all,
//! crowds, strangers on that port, ICE restarts, viewers over TCP, links that are too
//! narrow. What it shares with webrtcbin is in tests/whep, tests/network.rs and others.

mod support;

#[path = "shared/crowd.rs"]
mod crowd;
#[path = "shared/flood.rs"]
mod flood;
#[path = "whep/kit.rs"]
#[allow(dead_code)] // tests/whep uses the rest
mod kit;
#[path = "shared/restart.rs"]
mod restart;
#[path = "shared/slow.rs"]
mod slow;
#[path = "shared/tcp.rs"]
mod tcp;

use support::gateway::Engine;

/// For the kit.
const ENGINE: Engine = Engine::Shared;
