//! Which of several media threads a packet is for: the ufrags, transactions and ways of
//! all sessions. One thread, the door, receives for all of them.
//!
//! A session's name is known from the moment that it is asked for, before its thread has
//! heard of it: a check over TCP comes once.
//!
//! Asked once for each packet that a viewer sends (some three a second), and written when
//! a session comes, goes or moves, and once a second for each way that is in use; never on
//! the way of a frame. With one thread there is
//! no directory.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::ice::Route;
use super::stun::{Class, Message};

/// A way stays with the session that something authentic came to within this: browsers
/// check every 2.5 s and report every second. After that it is the next one's: a NAT has
/// given it to somebody else.
pub(super) const KEPT: Duration = Duration::from_secs(3);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Directory {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    ufrags: HashMap<String, usize>,
    tags: HashMap<u32, usize>,
    /// With the time when something authentic came by each.
    routes: HashMap<Route, (usize, Instant)>,
}

/// A thread's part of the directory.
#[derive(Debug, Clone)]
pub(super) struct Share {
    directory: Arc<Directory>,
    thread: usize,
}

impl Directory {
    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The thread of the session that a STUN message names. Nothing of it is believed yet.
    pub fn by_message(&self, message: &Message<'_>) -> Option<usize> {
        match message.class {
            Class::Request => self.known().ufrags.get(message.ufrags()?.0).copied(),
            Class::Success | Class::Error => {
                let tag = u32::from_be_bytes(*message.id.first_chunk::<4>()?);
                self.known().tags.get(&tag).copied()
            }
            Class::Indication => None,
        }
    }

    /// The thread of the session that is known by a route.
    pub fn by_route(&self, route: &Route) -> Option<usize> {
        self.known().routes.get(route).map(|r| r.0)
    }

    /// How many of each there are.
    #[cfg(test)]
    pub fn held(&self) -> [usize; 3] {
        let known = self.known();
        [known.ufrags.len(), known.tags.len(), known.routes.len()]
    }
}

impl Share {
    /// That of a thread.
    pub fn new(directory: Arc<Directory>, thread: usize) -> Share {
        Share { directory, thread }
    }

    /// The thread ends: what it had is nobody's.
    pub fn end(&self) {
        let mut known = self.directory.known();
        known.ufrags.retain(|_, t| *t != self.thread);
        known.tags.retain(|_, t| *t != self.thread);
        known.routes.retain(|_, r| r.0 != self.thread);
    }

    /// A session has a name, or is going to.
    pub fn named(&self, ufrag: &str) {
        self.directory.known().ufrags.insert(ufrag.to_owned(), self.thread);
    }

    /// A name is given up.
    pub fn unnamed(&self, ufrag: &str) {
        let mut known = self.directory.known();
        if known.ufrags.get(ufrag) == Some(&self.thread) {
            known.ufrags.remove(ufrag);
        }
    }

    /// Whether another thread's session has a name.
    pub fn is_elsewhere(&self, ufrag: &str) -> bool {
        self.directory.known().ufrags.get(ufrag).is_some_and(|t| *t != self.thread)
    }

    /// A session's transactions begin with a tag; false where another session's do.
    pub fn tagged(&self, tag: u32) -> bool {
        *self.directory.known().tags.entry(tag).or_insert(self.thread) == self.thread
    }

    /// A tag is given up.
    pub fn untagged(&self, tag: u32) {
        let mut known = self.directory.known();
        if known.tags.get(&tag) == Some(&self.thread) {
            known.tags.remove(&tag);
        }
    }

    /// Something authentic came by a route: it is this thread's from now on. False where
    /// it is another's, and something came for that one [`KEPT`] ago or less.
    pub fn claim(&self, route: Route, now: Instant) -> bool {
        let mut known = self.directory.known();
        let owner = known.routes.get(&route).copied();
        let kept = |(thread, at): (usize, Instant)| thread != self.thread && now.saturating_duration_since(at) < KEPT;
        if owner.is_some_and(kept) {
            return false;
        }
        known.routes.insert(route, (self.thread, now));
        true
    }

    /// A route is given up.
    pub fn leave(&self, route: &Route) {
        let mut known = self.directory.known();
        if known.routes.get(route).is_some_and(|r| r.0 == self.thread) {
            known.routes.remove(route);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::ice::Via;
    use super::super::stun::{Key, Writer};
    use super::*;

    fn route(port: u16) -> Route {
        Route { via: Via::Udp, local: ([127, 0, 0, 1], 1).into(), remote: ([127, 0, 0, 2], port).into() }
    }

    #[test]
    fn what_names_a_session_leads_to_its_thread() {
        let directory = Arc::<Directory>::default();
        let [a, b] = [0, 1].map(|thread| Share::new(directory.clone(), thread));
        a.named("aaaa");
        b.named("bbbb");
        assert!(b.tagged(7) && !a.tagged(7) && b.tagged(7));
        let ask = |name: &str| Writer::new(Class::Request, &[0; 12]).username(name, "x").finish(Some(&Key::new("y")));
        let of = |data: &[u8]| directory.by_message(&Message::parse(data).unwrap());
        assert_eq!([of(&ask("aaaa")), of(&ask("bbbb")), of(&ask("cccc"))], [Some(0), Some(1), None]);
        let answer = Writer::new(Class::Success, &[0, 0, 0, 7, 9, 9, 9, 9, 9, 9, 9, 9]).finish(None);
        assert_eq!(of(&answer), Some(1));
        assert!(a.is_elsewhere("bbbb") && !a.is_elsewhere("aaaa") && !a.is_elsewhere("cccc"));
        // Only its own is given up.
        a.unnamed("bbbb");
        a.untagged(7);
        assert_eq!((of(&ask("bbbb")), of(&answer)), (Some(1), Some(1)));
        b.end();
        assert_eq!(directory.held(), [1, 0, 0]);
    }

    #[test]
    fn a_way_stays_with_the_thread_that_its_peer_is_heard_by() {
        let directory = Arc::<Directory>::default();
        let [a, b] = [0, 1].map(|thread| Share::new(directory.clone(), thread));
        let now = Instant::now();
        assert!(a.claim(route(1), now));
        assert!(!b.claim(route(1), now + KEPT - Duration::from_millis(1)));
        assert!(a.claim(route(1), now + Duration::from_secs(1)));
        assert!(!b.claim(route(1), now + KEPT));
        // A NAT has given it to somebody else.
        let later = now + Duration::from_secs(1) + KEPT;
        assert!(b.claim(route(1), later) && !a.claim(route(1), later));
        a.leave(&route(1));
        assert_eq!(directory.by_route(&route(1)), Some(1));
        b.leave(&route(1));
        assert_eq!(directory.by_route(&route(1)), None);
    }
}
