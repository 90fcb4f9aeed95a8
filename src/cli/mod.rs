//! What each command does.

pub mod config;
pub mod discover;
pub mod health;
mod inside;
pub mod pipeline;
pub mod probe;
pub mod run;
