//! WHEP against the real binary: a camera double in front, other people's WebRTC
//! behind. Tests named `rowNN_…` follow the table of what WHEP servers must do;
//! the rows that only concern HTTP are proven in process, in `src/http/tests`.

mod support;

#[path = "whep/auth.rs"]
mod auth;
#[path = "whep/demand.rs"]
mod demand;
#[path = "whep/endpoint.rs"]
mod endpoint;
#[path = "whep/ends.rs"]
mod ends;
#[path = "whep/flow.rs"]
mod flow;
#[path = "whep/kit.rs"]
mod kit;
#[path = "whep/offers.rs"]
mod offers;
#[path = "whep/session.rs"]
mod session;
