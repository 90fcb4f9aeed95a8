//! Sockets, and the threads that have them.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;

use super::super::control::{Config, Handle, Local};
use super::super::directory::{Directory, Share};
use super::super::net::{Bell, Poll, Udp, listen};
use super::super::queue::Queue;
use super::super::ring::Unit;
use super::door::{Door, OURS};
use super::{BELL, Thread};

/// What all media threads send by, and one receives by. Open as long as somebody has it.
#[derive(Debug, Clone)]
pub struct Sockets {
    pub(super) udp: Arc<[Udp]>,
    pub(super) tcp: Arc<[TcpListener]>,
    local: Local,
}

impl Sockets {
    /// Binds what a configuration wants. The error is that of an address that cannot be
    /// bound.
    pub fn open(config: &Config) -> io::Result<Sockets> {
        let udp: Arc<[Udp]> = config.udp.iter().map(|a| Udp::bind(*a, config.buffers)).collect::<io::Result<_>>()?;
        let tcp: Arc<[TcpListener]> = config.tcp.iter().map(|a| listen(*a)).collect::<io::Result<_>>()?;
        let local = Local {
            udp: udp.iter().map(Udp::address).collect(),
            tcp: tcp.iter().map(TcpListener::local_addr).collect::<io::Result<_>>()?,
        };
        Ok(Sockets { udp, tcp, local })
    }

    /// Where they are.
    pub fn local(&self) -> &Local {
        &self.local
    }
}

/// Starts so many threads, one at least, with a part each of the sessions that the
/// configuration allows; they run until they are told to end. The first one receives for
/// all: without it the others hear of their peers no more, so that they live and end
/// together.
pub fn start<U>(config: &Config, sockets: &Sockets, threads: usize) -> io::Result<Vec<Handle<U>>>
where
    U: Unit + Send + Sync + 'static,
{
    let threads = threads.max(1);
    let queues: Vec<Arc<Queue<U>>> =
        (0..threads).map(|_| Ok(Arc::new(Queue::new(Bell::new()?)))).collect::<io::Result<_>>()?;
    let directory = (threads > 1).then(Arc::<Directory>::default);
    let mut handles = Vec::new();
    // The door last: it passes nothing to who is not there.
    for (i, queue) in queues.iter().enumerate().rev() {
        let poll = Poll::new()?;
        poll.add(queue.bell(), BELL)?;
        let share = directory.clone().map(|directory| Share::new(directory, i));
        let named = share.clone();
        let door = directory.clone().filter(|_| i == OURS).map(|d| Door::new(d, queues.clone()));
        let config = Config {
            // Not the rest: the first thread takes all connections, and, since viewers have
            // company first, may have all bursts.
            sessions: config.sessions.div_ceil(threads),
            ..config.clone()
        };
        let (theirs, all) = (queue.clone(), sockets.clone());
        let name = if i == OURS { config.name.clone() } else { format!("{}-{i}", config.name) };
        // What points into itself is made where it stays.
        let run = move || match Thread::new(config, all, (i == OURS, share, door), poll, theirs) {
            Ok(thread) => thread.run(),
            Err(error) => tracing::error!("a media thread does not start: {error}"),
        };
        std::thread::Builder::new().name(name).spawn(run)?;
        handles.push(Handle::shared(queue.clone(), sockets.local.clone(), named));
    }
    handles.reverse();
    Ok(handles)
}
