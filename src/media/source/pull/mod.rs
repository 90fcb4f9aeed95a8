//! A camera over RTSP and plain TCP, read by camgate itself.
//!
//! rtspsrc has two threads per camera and wakes both for each packet: fifty cameras cost
//! twice what they need to. Here all of them are read on a few shared threads, and a
//! picture goes through its pipeline in one piece. The pipeline is one as any other: the
//! element of [`element`] stands in rtspsrc's place, with its pads and its signals, and
//! operators' own templates, RTSPS, SRTP, UDP and multicast stay with rtspsrc.
//!
//! | part | what it does |
//! |---|---|
//! | [`element`] | a pipeline's side: signals, pads, errors |
//! | [`task`] | one attempt, from the connection to its end |
//! | [`connection`] | requests, answers, and what comes in between |
//! | [`track`] | packets to pads |
//! | [`inbox`], [`message`], [`headers`], [`auth`], [`rtcp`] | what is in the bytes; pure |
//! | [`threads`] | where it runs |

mod auth;
mod connection;
mod element;
mod headers;
mod inbox;
mod message;
mod rtcp;
mod task;
mod threads;
mod track;

#[cfg(test)]
mod tests;

pub use element::RtspSrc;
pub use task::Conf;
pub use track::REPORT;
