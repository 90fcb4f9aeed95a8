//! Between the control world and a media thread: what may be asked of the thread, and what
//! it tells. Nothing here blocks, and nothing here waits: commands and frames go into
//! bounded queues, what comes back comes by callback, and numbers are read from atomics.
//!
//! ```text
//!  control (tokio)                          media thread
//!    Thread::start(Config) ──────────────►  sockets, loop
//!    Handle::ring(cap) ──► Feed             a ring
//!    Feed::push(Arc<U>)  ─────frames─────►  ring → every session that has it as a stream
//!    Handle::open(Open)  ────commands────►  a session
//!    Handle::candidates, restart, close ─►  of it
//!    Listener ◄──────────────events───────  Connected, KeyWanted, Closed
//!    Status   ◄─────────────atomics───────  packets, bytes, dropped, …
//! ```
//!
//! The order is kept among commands and among frames, not between the two: a frame that is
//! pushed after a session was opened may be older to the thread. That does no harm, for a
//! session starts with what the ring has cached.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::directory::Share;
use super::dtls::{Context, Fingerprint, Side};
use super::ice::{Candidate, Credentials, Role, Route};
use super::queue::Queue;
use super::ring::{Cap, Unit};
use super::session::Stream;
use super::thread::Adopted;

pub use super::feed::Feed;
pub use super::status::{Counters, Status};

/// Names a session of a thread: the caller's number, never used twice.
pub type Id = u64;
/// Names a ring of a thread: what [`Stream::ring`] says.
pub type RingId = u32;
/// Called on the media thread when a command has been done. Must not block.
pub type Done = Box<dyn FnOnce() + Send>;
/// Called on the media thread with what a session tells. Must not block, nor call back
/// into anything that waits for the thread.
pub type Listener = Box<dyn Fn(Event) + Send>;
/// Called on the media thread, once, with the address that a STUN server saw, or none
/// when it did not answer in time. Must not block.
pub type Answer = Box<dyn FnOnce(Option<SocketAddr>) + Send>;

/// Most sessions, unless [`Config::sessions`] says otherwise.
pub const SESSIONS: usize = 10_000;
/// Frames that may wait for the thread, of all its rings together: at 50 paths of 25
/// frames, with sound, more than a quarter of a second.
pub const FRAMES: usize = 1_024;
/// Commands that may wait for the thread; those that give something back come on top.
pub const COMMANDS: usize = 1_024;

/// What a thread is started with.
#[derive(Debug, Clone)]
pub struct Config {
    /// Of the thread, for the system's lists: 15 bytes at most.
    pub name: String,
    /// Where UDP is received, one socket each. Port 0: any. `[::]` takes IPv4 as well
    /// (and is `0.0.0.0` on a machine without IPv6).
    pub udp: Vec<SocketAddr>,
    /// Where TCP is accepted, likewise. Port 0: any.
    pub tcp: Vec<SocketAddr>,
    /// Certificate and settings of DTLS, shared by all sessions.
    pub context: Context,
    /// Packets of all bursts together per 2 ms (`session::Budget`).
    pub budget: usize,
    /// SO_RCVBUF and SO_SNDBUF of the UDP sockets, bytes. The kernel's `rmem_max` and
    /// `wmem_max` bound them; what it gave is no error.
    pub buffers: (usize, usize),
    /// Most sessions.
    pub sessions: usize,
    /// TCP connections in all, and of one remote address as long as no peer has
    /// authenticated them.
    pub connections: (usize, usize),
    /// A TCP connection that no peer has authenticated is closed after so long.
    pub strangers: Duration,
    /// How to send, at best. What the kernel refuses is fallen back from in any case.
    pub egress: Egress,
    /// Errors to be met.
    #[cfg(test)]
    pub(super) trouble: Arc<super::net::Trouble>,
}

impl Config {
    /// Everything as it should be, without sockets.
    pub fn new(context: Context) -> Config {
        Config {
            name: "webrtc".into(),
            udp: Vec::new(),
            tcp: Vec::new(),
            context,
            budget: 96,
            buffers: (4 * 1024 * 1024, 8 * 1024 * 1024),
            sessions: SESSIONS,
            connections: (1_024, 16),
            strangers: Duration::from_secs(10),
            egress: Egress::Segmented,
            #[cfg(test)]
            trouble: Arc::default(),
        }
    }
}

/// How packets leave, the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Egress {
    /// sendmmsg with UDP_SEGMENT: a message is a run of packets of one peer.
    Segmented,
    /// sendmmsg, a packet each.
    Many,
    /// sendmsg, packet by packet.
    Single,
}

/// What a thread has got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Local {
    /// Addresses of the UDP sockets with their real ports, in the order of the
    /// configuration; still a wildcard where that was asked for.
    pub udp: Vec<SocketAddr>,
    /// Of the TCP listeners, likewise.
    pub tcp: Vec<SocketAddr>,
}

/// A session to be opened. Its packets are known by `local.ufrag`, which has to be
/// unguessable and of no other session. One whose viewer never comes stays until it is
/// closed: how much patience there is, its owner knows.
pub struct Open {
    /// See [`Id`].
    pub id: Id,
    /// Controlled, unless the peer is an ICE-lite agent.
    pub role: Role,
    /// Our ICE credentials, and the peer's.
    pub local: Credentials,
    /// See `local`.
    pub remote: Credentials,
    /// The local UDP addresses to send checks from, the best first: real addresses (of
    /// interfaces, where a socket has the wildcard) with the port of a socket of
    /// [`Local::udp`]. Those that belong to no socket are left out.
    pub bases: Vec<SocketAddr>,
    /// What we are in the DTLS handshake.
    pub side: Side,
    /// The peer's certificate.
    pub fingerprint: Fingerprint,
    /// What is sent. Rings that are not there (any more) send nothing.
    pub streams: Vec<Stream>,
    /// The name in sender reports.
    pub cname: String,
    /// From a secure source.
    pub seed: [u8; 32],
    /// The peer's candidates that are known already.
    pub candidates: Vec<Candidate>,
    /// Where numbers are published.
    pub status: Arc<Status>,
    /// Who is told. Dropped when the session has ended.
    pub listener: Listener,
}

/// Without secrets.
impl fmt::Debug for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Open").field("id", &self.id).field("streams", &self.streams).finish_non_exhaustive()
    }
}

/// What a session tells. It begins as connecting, and that is not told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Frames can flow. Once.
    Connected,
    /// Media takes this way from now on.
    Route(Route),
    /// The viewer wants a key frame of a stream (its place in [`Open::streams`]), and was
    /// answered from the cache where there was something: the source may be asked, too.
    KeyWanted(usize),
    /// The viewer's link does not carry the stream: it gets key frames only for a while.
    /// Once; how often is in [`Status`].
    Narrow,
    /// It is over, and why. Once, and nothing comes after it. Also when it was refused
    /// ([`Config::sessions`]) or closed from our side.
    Closed(String),
}

/// Why a command was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// [`COMMANDS`] wait already: the machine is overloaded.
    #[error("the media thread has too much to do")]
    Full,
    /// The thread has ended.
    #[error("the media thread has ended")]
    Gone,
}

/// What is asked of a thread. [`Handle`] makes them.
pub(super) enum Command {
    Open(Box<Open>),
    Candidates(Id, Vec<Candidate>),
    Restart {
        id: Id,
        local: Credentials,
        remote: Credentials,
    },
    Close {
        id: Id,
        why: String,
        done: Option<Done>,
    },
    Register(RingId, Cap),
    Unregister(RingId),
    Reflexive {
        server: SocketAddr,
        wait: Duration,
        answer: Answer,
    },
    /// A connection that another thread took.
    Adopt(Box<Adopted>),
    Shutdown {
        why: String,
        done: Option<Done>,
    },
}

/// What the handles of a thread share.
struct Owner<U> {
    queue: Arc<Queue<U>>,
    local: Local,
    /// Where there are several threads.
    share: Option<Share>,
}

impl<U> Drop for Owner<U> {
    fn drop(&mut self) {
        self.queue.release(Command::Shutdown { why: "nobody steers the media thread any more".into(), done: None });
    }
}

/// The control world's end of a thread. Cheap to clone, for any thread; nothing blocks.
/// The thread ends with [`Handle::shutdown`], or with the last handle.
pub struct Handle<U> {
    owner: Arc<Owner<U>>,
}

impl<U> Clone for Handle<U> {
    fn clone(&self) -> Self {
        Handle { owner: self.owner.clone() }
    }
}

impl<U> fmt::Debug for Handle<U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("local", &self.owner.local).finish_non_exhaustive()
    }
}

impl<U: Unit> Handle<U> {
    #[cfg(test)]
    pub(super) fn new(queue: Arc<Queue<U>>, local: Local) -> Self {
        Handle::shared(queue, local, None)
    }

    /// That of one of several threads.
    pub(super) fn shared(queue: Arc<Queue<U>>, local: Local, share: Option<Share>) -> Self {
        Handle { owner: Arc::new(Owner { queue, local, share }) }
    }

    /// A command that brings a name.
    fn naming(&self, ufrag: String, command: Command) -> Result<(), Refused> {
        let share = self.owner.share.as_ref();
        share.iter().for_each(|s| s.named(&ufrag));
        let done = self.owner.queue.command(command);
        if done.is_err() {
            share.iter().for_each(|s| s.unnamed(&ufrag));
        }
        done
    }

    /// The real local addresses.
    pub fn local(&self) -> &Local {
        &self.owner.local
    }

    /// Whether the thread has ended, however it did.
    pub fn has_ended(&self) -> bool {
        self.owner.queue.has_ended()
    }

    /// What the thread has done in all.
    pub fn counters(&self) -> &Counters {
        &self.owner.queue.counters
    }

    /// Registers a ring: the frames of one rendition's one track. It lives as long as the
    /// feed and its clones.
    pub fn ring(&self, cap: Cap) -> Result<Feed<U>, Refused> {
        let ring = self.owner.queue.next_ring();
        self.owner.queue.command(Command::Register(ring, cap))?;
        Ok(Feed::new(self.owner.queue.clone(), ring))
    }

    /// Opens a session. From now on its peer's checks are answered; how it goes, the
    /// listener is told.
    pub fn open(&self, open: Open) -> Result<(), Refused> {
        self.naming(open.local.ufrag.clone(), Command::Open(Box::new(open)))
    }

    /// Takes further candidates of the peer. Of a session that has ended: nothing happens.
    pub fn candidates(&self, id: Id, list: Vec<Candidate>) -> Result<(), Refused> {
        self.owner.queue.command(Command::Candidates(id, list))
    }

    /// Begins an ICE restart: new credentials on both sides. Media goes on the way it
    /// went until a new one is found; candidates that follow are of the new generation.
    pub fn restart(&self, id: Id, local: Credentials, remote: Credentials) -> Result<(), Refused> {
        self.naming(local.ufrag.clone(), Command::Restart { id, local, remote })
    }

    /// Ends a session, with BYE and close_notify. `done` is called when everything that it
    /// held is released, also where it had ended already. To be called once per session:
    /// it is always taken.
    pub fn close(&self, id: Id, why: &str, done: Option<Done>) {
        self.owner.queue.release(Command::Close { id, why: why.into(), done });
    }

    /// Asks a STUN server from the shared socket under which address it sees us. Asked
    /// again while it does not answer, for `wait` at most.
    pub fn reflexive(&self, server: SocketAddr, wait: Duration, answer: Answer) -> Result<(), Refused> {
        self.owner.queue.command(Command::Reflexive { server, wait, answer })
    }

    /// Ends all sessions, and the thread. `done` is called when it has let go of the sockets.
    pub fn shutdown(&self, why: &str, done: Option<Done>) {
        self.owner.queue.release(Command::Shutdown { why: why.into(), done });
    }
}
