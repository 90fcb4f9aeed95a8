//! The engine `shared`: all viewers on one UDP port, a media thread per core, nothing per
//! viewer but memory. `webrtcEngine: shared` serves a path's viewers with it.
//!
//! # Rooms and arrows
//! ```text
//!  engine    behind webrtc::engine: offers in, answers out          (tokio)
//!    │  control, feed, queue, status: commands and frames, bounded; numbers by atomics
//!  thread    wakes up, receives, sends, keeps time        (a thread each, no tokio)
//!    ├─► directory whose is what, where there are several; the first one receives for all
//!    ├─► net       sockets: recvmmsg, sendmmsg, GSO; TCP connections
//!    │     └─► demux (which protocol), framing (RFC 4571)
//!    ├─► wheel     when which session wants to be called
//!    ├─► ring      packets of a rendition, once per thread
//!    ├─► batch     what is about to be sent, in runs for GSO
//!    └─► session   one viewer, sans I/O: packets, frames and time in, packets and events out
//!          ├─► ice ─► stun      where the viewer is, and whether it still wants us
//!          ├─► dtls ─► srtp     who it is, and the keys
//!          ├─► srtp             protect and unprotect, in place
//!          ├─► rtcp             what it tells of what it got
//!          └─► outgoing ─► ring its numbers and timestamps; what a NACK stands for
//! ```
//! Below the thread everything is pure but for `net` and for [`dtls`], which calls OpenSSL,
//! and depends on nothing of this crate but `webrtc::stream::squeeze`.
//!
//! # Threads, and who owns what
//! - **A media thread owns its sessions and its rings**; nothing of them is shared, so that
//!   there is no lock between the Hub and the socket. One lock per frame and thread (not
//!   per viewer) is the Hub's: a thread is one reader of a rendition however many viewers
//!   it has; the subscription that comes with each viewer counts it and tells its end, and
//!   is never played.
//! - **Several threads** send by the same sockets, and the first one receives for all: a
//!   viewer says some three packets a second, and what is another thread's is passed on,
//!   bounded and counted (`thread::door`, which says why not SO_REUSEPORT). A TCP connection goes
//!   to the thread whose session it names. Viewers have company first, a hundred on a
//!   thread, and then spread.
//! - **The control runtime** makes the answer: certificate and OpenSSL context exist
//!   already, so that a join costs random numbers and SDP. OpenSSL's object is made when
//!   the first DTLS packet comes by a way that ICE has verified, not before: a POST that
//!   nobody follows up costs no 78 KB.
//! - **Frames** are the Hub's (`Arc`, one copy for all). **A packet being sent** is in the
//!   thread's one arena: header, payload and tag are put together there, encrypted in
//!   place and handed to the kernel; the arena is used again for the next viewer.
//! - **A handshake's memory** ends with the first SRTCP packet that verifies
//!   ([`dtls::Dtls::shed`]). Not with STUN, which also verifies during the handshake:
//!   then a lost last flight could not be repeated, and the viewer would be lost.
//!
//! # What each decision stands on (reference/fan-out.md)
//! | decision | figure |
//! |---|---|
//! | one socket, GSO inside sendmmsg | 1.25 µs per packet against 2.4 by sendto; sendmmsg alone gains nothing |
//! | own egress, not a session library | 2.3 µs against 4.6 at 100 viewers: the rest was queues, copies, a `Vec` per packet |
//! | AES-GCM first, by `ring` | 0.19 µs per 1,000 bytes; OpenSSL's EVP 0.39; `aws-lc-rs` 0.16, but a second C library, built with CMake |
//! | AES-CM with kept key schedule and HMAC state | 0.85 µs; 4 when set up for each packet |
//! | timers in a wheel | a scan over all sessions shows at 400 viewers |
//! | OpenSSL's object freed after the handshake | 78 KB of the 100 that a viewer may cost |
//! | bursts of 12 packets per 2 ms | nothing lost at 100 joins; 60 lost up to 0.4 % |
//! | the next viewer's session fetched early | 2.72 to 2.57 µs at 1,000 viewers (this machine is half as fast) |
//! | ring per rendition | no copy per viewer for NACK; a viewer remembers 32 runs of 40 bytes |
//!
//! # Crates
//! Licences and upkeep as of 2026-11; all are in `Cargo.lock` already.
//! | crate | for | licence |
//! |---|---|---|
//! | `openssl`, `openssl-sys` 0.10 (system's libssl 3, which GStreamer's DTLS brings anyway; building now needs libssl-dev outside tests too) | DTLS, AES-CM | Apache-2.0; MIT |
//! | `foreign-types-shared` 0.1 (what `openssl` itself stands on) | the pointer for three calls that `openssl` does not have | MIT/Apache-2.0 |
//! | `ring` 0.17 (as rustls uses it) | AES-GCM | Apache-2.0 AND ISC |
//! | `hmac`, `sha1`, `sha2` | STUN, AES-CM's tag, TLS's PRF | MIT/Apache-2.0 |
//! | `crc32fast` 1.5 (as flate2 uses it) | STUN's fingerprint | MIT/Apache-2.0 |
//! | `libc` 0.2 | timeval here; sendmmsg with UDP_SEGMENT in `net` | MIT/Apache-2.0 |
//!
//! Looked at and left: `is` (good, but an agent of 3,000 lines with candidates and strings
//! of its own per session; it is what ours is tested against), `dimpl` (DTLS, young; OpenSSL
//! is what distributions patch), `webrtc-srtp` and `rtc-*` (a `Vec` per packet), `nix` (its
//! sendmmsg has one control message for all, GSO needs one for each).
//!
//! # Still to be done
//! - Transport-wide feedback is read already, but sending needs a number in each packet
//!   that differs per viewer and retransmission, and its history. Congestion goes by REMB
//!   and loss (`session::congestion`).
//! - Frames that no other refers to are not dropped by themselves: a viewer whose link does not
//!   carry the stream gets key frames only.
//! - Relayed candidates of our own: such sessions go to webrtcbin ([`crate::webrtc::engines`]).

pub mod batch;
pub mod control;
pub mod demux;
mod directory;
pub mod dtls;
pub mod engine;
mod feed;
pub mod framing;
#[cfg(test)]
mod fuzz;
pub mod ice;
pub mod net;
pub mod outgoing;
mod prefetch;
mod queue;
pub mod ring;
pub mod rtcp;
pub mod session;
pub mod srtp;
pub mod status;
pub mod stun;
pub mod thread;
mod unit;
pub mod wheel;
