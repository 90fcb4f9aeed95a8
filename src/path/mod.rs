//! Paths: one actor each, its decisions made by a pure state machine.
//!
//! [`state`] decides (event in, new state and commands out), [`actor`] does what
//! was decided, [`registry`] knows every path by name and carries a reload out.

pub mod actor;
pub mod registry;
pub mod state;
pub mod status;
