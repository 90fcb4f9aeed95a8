//! PTZ: the real gateway against camera doubles that speak ISAPI and ONVIF.

mod support;

#[path = "ptz/crowd.rs"]
mod crowd;
#[path = "ptz/discover.rs"]
mod discover;
#[path = "ptz/endpoints.rs"]
mod endpoints;
#[path = "ptz/faults.rs"]
mod faults;
#[path = "ptz/input.rs"]
mod input;
#[path = "ptz/inverted.rs"]
mod inverted;
#[path = "ptz/kit.rs"]
mod kit;
#[path = "ptz/languages.rs"]
mod languages;
#[path = "ptz/login.rs"]
mod login;
#[path = "ptz/safety.rs"]
mod safety;
