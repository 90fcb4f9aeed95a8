//! Sockets: the one room that calls the kernel by itself. What is unsafe is in [`sys`];
//! everything above it is plain.

mod bell;

pub use bell::Bell;
