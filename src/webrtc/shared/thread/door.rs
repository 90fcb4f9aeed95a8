//! One of several media threads receives for all: what is for another one's sessions it
//! passes on, bounded and counted.
//!
//! Not SO_REUSEPORT: the kernel would spread viewers by a hash of their addresses, so that
//! what comes for a session would land with another thread in all cases but one in n, and
//! again with each change of address. What viewers send is little (some three packets a
//! second each), and what they are sent leaves each thread by the same sockets.

use std::collections::HashMap;
use std::sync::Arc;

use super::super::control::Command;
use super::super::demux::{Protocol, classify};
use super::super::directory::Directory;
use super::super::ice::Route;
use super::super::net::Connection;
use super::super::queue::Queue;
use super::super::stun::{Class, Message};

/// Ways that are remembered by what a check on them named. Those who know no session's
/// name cannot fill it, and it is begun anew when it is full.
const HINTS: usize = 4_096;
/// The thread that receives.
pub(super) const OURS: usize = 0;

/// A connection that named a session of another thread, and what came by it since.
pub struct Adopted {
    /// The connection.
    pub connection: Connection,
    /// Frames, one behind the other.
    pub bytes: Vec<u8>,
    /// Where each of them ends.
    pub ends: Vec<usize>,
}

/// See the module.
pub(super) struct Door<U> {
    directory: Arc<Directory>,
    /// Of all threads.
    queues: Vec<Arc<Queue<U>>>,
    /// DTLS may come before the check in front of it was looked at over there.
    hints: HashMap<Route, usize>,
}

impl<U> Door<U> {
    /// The first of `queues` is that of the thread that receives.
    pub fn new(directory: Arc<Directory>, queues: Vec<Arc<Queue<U>>>) -> Self {
        Door { directory, queues, hints: HashMap::new() }
    }

    /// The other thread that a packet is for; none where it is for this one, or nobody.
    pub fn whose(&mut self, route: &Route, data: &[u8]) -> Option<usize> {
        let thread = match classify(data) {
            Protocol::Stun => {
                let message = Message::parse(data)?;
                let thread = self.directory.by_message(&message)?;
                if message.class == Class::Request {
                    self.hint(*route, thread);
                }
                thread
            }
            Protocol::Dtls => self.hints.get(route).copied().or_else(|| self.directory.by_route(route))?,
            Protocol::Rtcp => self.directory.by_route(route)?,
            Protocol::Rtp | Protocol::Other => return None,
        };
        (thread != OURS).then_some(thread)
    }

    fn hint(&mut self, route: Route, thread: usize) {
        if thread == OURS {
            self.hints.remove(&route);
            return;
        }
        if self.hints.len() >= HINTS {
            self.hints.clear();
        }
        self.hints.insert(route, thread);
    }

    /// Passes a packet on.
    pub fn pass(&self, to: usize, route: Route, data: &[u8]) {
        if let Some(queue) = self.queues.get(to) {
            queue.datagram(route, data);
        }
    }

    /// Passes a connection on; one for which there is no room is closed. Whether there was.
    pub fn give(&self, to: usize, adopted: Adopted) -> bool {
        self.queues.get(to).is_some_and(|queue| queue.command(Command::Adopt(Box::new(adopted))).is_ok())
    }
}
