//! Asks STUN servers where we are seen (RFC 8489 §6.2.1), from the socket that all
//! sessions use: what comes of it is a server-reflexive candidate.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rand::RngExt;

use super::super::control::Answer;
use super::super::stun::{Class, Message, TransactionId, Writer};

/// Until a question is first repeated; twice as long each time.
const RTO: Duration = Duration::from_millis(250);
/// Questions under way at once; one more is not answered.
const MOST: usize = 64;

struct Question {
    server: SocketAddr,
    answer: Answer,
    again: Instant,
    pause: Duration,
    ends: Instant,
}

/// See the module.
#[derive(Default)]
pub(super) struct Questions(HashMap<TransactionId, Question>);

impl Questions {
    /// Asks; the first one goes out with the next [`Questions::due`].
    pub fn ask(&mut self, server: SocketAddr, wait: Duration, answer: Answer, now: Instant) {
        if self.0.len() >= MOST {
            return answer(None);
        }
        let question = Question { server, answer, again: now, pause: RTO, ends: now + wait };
        self.0.insert(rand::rng().random(), question);
    }

    /// Whether a message is an answer to one of ours, and then takes it.
    pub fn take(&mut self, message: &Message<'_>, from: SocketAddr) -> bool {
        if self.0.get(&message.id).is_none_or(|q| q.server != from) {
            return false;
        }
        if message.class == Class::Request || message.class == Class::Indication {
            return false;
        }
        if let Some(q) = self.0.remove(&message.id) {
            (q.answer)(message.mapped.filter(|_| message.class == Class::Success));
        }
        true
    }

    /// When [`Questions::send`] has something to do.
    pub fn due(&self) -> Option<Instant> {
        self.0.values().map(|q| q.again.min(q.ends)).min()
    }

    /// Repeats what is due, and gives up what has no time left.
    pub fn send(&mut self, now: Instant, mut send: impl FnMut(SocketAddr, &[u8])) {
        let over: Vec<TransactionId> = self.0.iter().filter(|(_, q)| q.ends <= now).map(|(id, _)| *id).collect();
        for id in over {
            if let Some(q) = self.0.remove(&id) {
                (q.answer)(None);
            }
        }
        for (id, q) in self.0.iter_mut().filter(|(_, q)| q.again <= now) {
            send(q.server, &Writer::new(Class::Request, id).finish(None));
            q.again = now + q.pause;
            q.pause *= 2;
        }
    }
}

impl Drop for Questions {
    fn drop(&mut self) {
        self.0.drain().for_each(|(_, q)| (q.answer)(None));
    }
}
