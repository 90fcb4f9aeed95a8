//! The tests of WHEP, the same for every engine: see tests/whep.rs.

mod auth;
mod clock;
mod demand;
mod dtls;
mod endpoint;
mod ends;
mod flow;
mod forged;
mod kit;
mod offers;
mod session;

use super::ENGINE;
use crate::support;
