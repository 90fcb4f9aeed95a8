//! The engine `shared`: all viewers on one UDP port, a media thread per core, nothing per
//! viewer but memory. **Not in use yet**: what stands here are its rooms, each tested by
//! itself and none of them against a browser or a socket; no session is served by them so far. `webrtcbin` is the engine.
//! `webrtc/mod.rs` does not name this module yet, and `Cargo.toml` not its crates: the
//! rooms are built by a crate outside the repository that has this file and
//! `webrtc/stream.rs` by `#[path]` as `crate::webrtc::{shared, stream}`, in 15 seconds.
//!
//! # Rooms and arrows
//! ```text
//!  engine*   behind webrtc::engine: offers in, answers out          (tokio)
//!    │  commands, bounded; statistics by atomics
//!  thread*   one per core: wakes up, receives, sends, keeps time    (a thread, no tokio)
//!    ├─► net*      sockets: recvmmsg, sendmmsg, GSO; TCP connections
//!    │     └─► demux (which protocol), framing (RFC 4571)
//!    ├─► wheel*    when which session wants to be called
//!    ├─► ring      packets of a rendition, once per thread
//!    ├─► batch     what is about to be sent, in runs for GSO
//!    └─► session   one viewer, sans I/O: packets, frames and time in, packets and events out
//!          ├─► ice ─► stun      where the viewer is, and whether it still wants us
//!          ├─► dtls ─► srtp     who it is, and the keys
//!          ├─► srtp             protect and unprotect, in place
//!          ├─► rtcp             what it tells of what it got
//!          └─► outgoing ─► ring its numbers and timestamps; what a NACK stands for
//! ```
//! A star marks what is to be written. Everything else is pure but for [`dtls`], which
//! calls OpenSSL, and depends on nothing of this crate but `webrtc::stream::squeeze`.
//!
//! # Threads, and who owns what
//! - **A media thread owns its sessions and its rings**; nothing of them is shared, so that
//!   there is no lock between the Hub and the socket. One lock per frame and thread (not
//!   per viewer) is the Hub's: a thread is one reader of a rendition however many viewers
//!   it has; the subscription that comes with each viewer counts it and tells its end, and
//!   is never played.
//! - **All threads share the port** by SO_REUSEPORT. The kernel keeps a remote address with
//!   one socket; a session belongs to the thread that its first authentic STUN message
//!   reaches. A packet that lands elsewhere (an address has moved) is handed over, bounded
//!   and counted. One thread is enough for 1,000 viewers (0.31 of a core, fan-out.md), so
//!   begin with one and keep the door open.
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
//! # To be done, in this order
//! 0. Name the module and its crates (`openssl`, `openssl-sys`, `foreign-types-shared`,
//!    `ring`, `crc32fast`, `libc`; for tests `is`); libssl-dev among the packages to build
//!    with, libssl3 among those to run with.
//! 1. `net`: one `unsafe` room over `libc` for recvmmsg with IP_PKTINFO, sendmmsg with
//!    UDP_SEGMENT; tried at start, sendmmsg or sendto where the kernel refuses. Runs of
//!    equal size are made by the caller: a short packet ends a GSO message.
//! 2. `thread`: 5-tuple → session, before that ufrag → session (constant time, no scan);
//!    unauthenticated packets are looked at for a ufrag and dropped: no state, no answer.
//!    Sockets' buffers set large; EAGAIN drops whole access units of the viewers concerned,
//!    up to the next key frame, counted.
//! 3. In `media::hub`: a reader that is a function, called once per frame, that puts the
//!    `Arc` into the thread's queue and wakes it up by an eventfd.
//! 4. `engine`: [`crate::webrtc`]'s interface; answer with `mid` (then
//!    `SendSection::mid_ext` may stay), candidates of UDP and passive TCP on
//!    `webrtcLocalUDPAddress`; ICE restart by PATCH; the same tests as webrtcbin.
//! 5. Congestion: REMB and loss from receiver reports first (a viewer over its link drops
//!    to key frames); transport-wide feedback is read already, but sending needs a number
//!    in each packet that differs per viewer and retransmission, and its history.
//! 6. Relayed candidates of our own go to webrtcbin, said in the log.

pub mod batch;
pub mod control;
pub mod demux;
pub mod dtls;
pub mod engine;
pub mod framing;
pub mod ice;
pub mod net;
pub mod outgoing;
mod queue;
pub mod ring;
pub mod rtcp;
pub mod session;
pub mod srtp;
pub mod stun;
pub mod thread;
mod unit;
pub mod wheel;
