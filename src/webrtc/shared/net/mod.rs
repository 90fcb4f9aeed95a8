//! Sockets: the one room that talks to the kernel by itself (`libc`), and so the one
//! beside [`super::dtls`] where something is unsafe. Nothing here knows what a session is.

mod address;
mod bell;
mod poll;
mod receive;
mod send;
mod tcp;
mod udp;

pub use bell::Bell;
pub use poll::{Poll, Ready, monotonic};
pub use receive::Receiver;
#[cfg(test)]
pub use send::Trouble;
pub use send::{Outcome, Sender};
pub use tcp::{CONNECTIONS, LISTENERS, Tcp, listen};
pub use udp::Udp;
