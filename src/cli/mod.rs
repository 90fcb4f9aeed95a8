//! What each command does.

pub mod config;
pub mod health;
pub mod pipeline;
pub mod probe;
pub mod run;
