//! The sessions of a thread, and how a packet finds its own in constant time.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::RngExt;

use super::super::control::{Event, Id, Listener, RingId, Status};
use super::super::directory::{KEPT, Share};
use super::super::ice::{Route, Via};
use super::super::session::Session;
use super::super::stun::{Class, Message};

/// Routes that a session is known by; browsers have a handful. Of more, the oldest is
/// forgotten, and is known again by the next check that comes by it.
const ROUTES: usize = 16;
/// A route is said to be a session's again after so long; less than [`KEPT`].
const SAID: Duration = Duration::from_secs(1);

/// One session, and what the thread knows of it.
pub(super) struct Entry {
    pub id: Id,
    pub session: Session,
    pub status: Arc<Status>,
    pub listener: Listener,
    pub rings: Vec<RingId>,
    /// What media goes by, as it was told.
    pub route: Option<Route>,
    /// Waits in the list of those that were called.
    pub touched: bool,
    /// The wake-up in which its media was sent last.
    pub pumped: u64,
    /// Its end was told.
    pub told: bool,
    ufrags: Vec<String>,
    tag: u32,
    /// With the time when something authentic came by each.
    routes: Vec<(Route, Instant)>,
}

impl Drop for Entry {
    fn drop(&mut self) {
        if !self.told {
            (self.listener)(Event::Closed("the media thread has ended".into()));
        }
    }
}

/// What an [`Entry`] is made of.
pub(super) struct New {
    pub id: Id,
    pub session: Session,
    pub status: Arc<Status>,
    pub listener: Listener,
    pub rings: Vec<RingId>,
    pub tag: u32,
}

/// See the module.
#[derive(Default)]
pub(super) struct Table {
    entries: Vec<Option<Entry>>,
    free: Vec<u32>,
    ids: HashMap<Id, u32>,
    ufrags: HashMap<String, u32>,
    tags: HashMap<u32, u32>,
    routes: HashMap<Route, u32>,
    /// Where there are several threads.
    share: Option<Share>,
}

impl Table {
    /// An empty one. `share`: what is known here is told to the other threads.
    pub fn new(share: Option<Share>) -> Table {
        Table { share, ..Table::default() }
    }

    pub fn len(&self) -> usize {
        self.ids.len()
    }

    pub fn get(&mut self, key: u32) -> Option<&mut Entry> {
        self.entries.get_mut(key as usize)?.as_mut()
    }

    /// See [`Session::prefetch`].
    pub fn prefetch(&self, key: Option<&u32>, deep: bool) {
        if let Some(Some(entry)) = key.and_then(|k| self.entries.get(*k as usize)) {
            entry.session.prefetch(deep);
        }
    }

    pub fn by_id(&self, id: Id) -> Option<u32> {
        self.ids.get(&id).copied()
    }

    pub fn by_route(&self, route: &Route) -> Option<u32> {
        self.routes.get(route).copied()
    }

    /// Which session a STUN message is for, if for any: a request says so by the name, an
    /// answer by its transaction. Nothing of it is believed yet.
    pub fn by_message(&self, message: &Message<'_>) -> Option<u32> {
        match message.class {
            Class::Request => self.ufrags.get(message.ufrags()?.0).copied(),
            Class::Success | Class::Error => {
                let tag = u32::from_be_bytes(*message.id.first_chunk::<4>()?);
                self.tags.get(&tag).copied()
            }
            Class::Indication => None,
        }
    }

    /// A tag that no session has.
    pub fn tag(&self) -> u32 {
        loop {
            let tag = rand::rng().random();
            if !self.tags.contains_key(&tag) && self.share.as_ref().is_none_or(|s| s.tagged(tag)) {
                return tag;
            }
        }
    }

    /// Whether a session can come in under these names.
    pub fn takes(&self, id: Id, ufrag: &str) -> bool {
        let elsewhere = || self.share.as_ref().is_some_and(|s| s.is_elsewhere(ufrag));
        !self.ids.contains_key(&id) && !self.ufrags.contains_key(ufrag) && !elsewhere()
    }

    /// A name that was asked for did not come into use.
    pub fn disown(&self, ufrag: &str) {
        if !self.ufrags.contains_key(ufrag) {
            self.share.iter().for_each(|s| s.unnamed(ufrag));
        }
    }

    pub fn insert(&mut self, new: New) -> u32 {
        let New { id, session, status, listener, rings, tag } = new;
        let key = self.free.pop().unwrap_or_else(|| {
            self.entries.push(None);
            (self.entries.len() - 1) as u32
        });
        self.ids.insert(id, key);
        self.tags.insert(tag, key);
        let entry = Entry {
            id,
            session,
            status,
            listener,
            rings,
            route: None,
            touched: false,
            pumped: 0,
            told: false,
            ufrags: Vec::new(),
            tag,
            routes: Vec::new(),
        };
        if let Some(place) = self.entries.get_mut(key as usize) {
            *place = Some(entry);
        }
        self.renamed(key);
        key
    }

    /// The session's names have changed: a restart begins. The name of a restart that is
    /// over is given up with the next one.
    pub fn renamed(&mut self, key: u32) {
        let Some(Some(entry)) = self.entries.get_mut(key as usize) else { return };
        let now: Vec<String> = entry.session.ufrags().map(str::to_owned).collect();
        for old in entry.ufrags.iter().filter(|u| !now.contains(u)) {
            self.ufrags.remove(old);
            self.share.iter().for_each(|s| s.unnamed(old));
        }
        for new in now.iter().filter(|u| !entry.ufrags.contains(u)) {
            self.ufrags.insert(new.clone(), key);
            self.share.iter().for_each(|s| s.named(new));
        }
        entry.ufrags = now;
    }

    /// Whether a ufrag is another session's.
    pub fn is_anothers(&self, key: u32, ufrag: &str) -> bool {
        self.ufrags.get(ufrag).is_some_and(|k| *k != key) || self.share.as_ref().is_some_and(|s| s.is_elsewhere(ufrag))
    }

    /// Something authentic came for a session by a route.
    pub fn heard(&mut self, key: u32, route: Route, now: Instant) {
        // Said a moment ago: whose it is need not be looked at with each packet.
        let said = |e: &Entry| e.routes.iter().any(|r| r.0 == route && now.saturating_duration_since(r.1) < SAID);
        let ours = self.routes.get(&route) == Some(&key);
        if ours && self.entries.get(key as usize).and_then(Option::as_ref).is_some_and(said) {
            return;
        }
        if self.share.as_ref().is_some_and(|s| route.via == Via::Udp && !s.claim(route, now)) {
            return;
        }
        match self.routes.get(&route).copied() {
            Some(owner) if owner == key => {}
            Some(owner) => {
                if let Some(Some(other)) = self.entries.get_mut(owner as usize) {
                    let fresh = |r: &(Route, Instant)| r.0 == route && now.saturating_duration_since(r.1) < KEPT;
                    if other.session.connected() && other.routes.iter().any(fresh) {
                        return;
                    }
                    other.routes.retain(|r| r.0 != route);
                }
                self.routes.insert(route, key);
            }
            None => _ = self.routes.insert(route, key),
        }
        let Some(Some(entry)) = self.entries.get_mut(key as usize) else { return };
        if let Some(known) = entry.routes.iter_mut().find(|r| r.0 == route) {
            known.1 = now;
            return;
        }
        entry.routes.push((route, now));
        if entry.routes.len() > ROUTES {
            let selected = entry.session.route();
            let spare = entry.routes.iter().enumerate().filter(|(_, r)| Some(r.0) != selected && r.0 != route);
            if let Some((at, _)) = spare.min_by_key(|(_, r)| r.1) {
                let (old, _) = entry.routes.swap_remove(at);
                self.routes.remove(&old);
                self.share.iter().for_each(|s| s.leave(&old));
            }
        }
    }

    /// A connection was closed: whose it was.
    pub fn forget(&mut self, route: &Route) -> Option<u32> {
        let key = self.routes.remove(route)?;
        if let Some(entry) = self.get(key) {
            entry.routes.retain(|r| r.0 != *route);
        }
        Some(key)
    }

    /// Takes a session out with everything that leads to it; its routes come back, for the
    /// connections among them.
    pub fn remove(&mut self, key: u32) -> Option<(Entry, Vec<Route>)> {
        let mut entry = self.entries.get_mut(key as usize)?.take()?;
        self.free.push(key);
        self.ids.remove(&entry.id);
        self.tags.remove(&entry.tag);
        self.share.iter().for_each(|s| s.untagged(entry.tag));
        for ufrag in &entry.ufrags {
            self.ufrags.remove(ufrag);
            self.share.iter().for_each(|s| s.unnamed(ufrag));
        }
        let routes: Vec<Route> = std::mem::take(&mut entry.routes).into_iter().map(|r| r.0).collect();
        for route in &routes {
            if self.routes.get(route) == Some(&key) {
                self.routes.remove(route);
                self.share.iter().for_each(|s| s.leave(route));
            }
        }
        Some((entry, routes))
    }

    /// The places of all sessions.
    pub fn keys(&self) -> Vec<u32> {
        self.ids.values().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::dtls::{Context, Fingerprint, Side};
    use super::super::super::ice::{Credentials, Role, Via};
    use super::super::super::session::Opening;
    use super::super::super::stun::{Key, Writer};
    use super::*;

    fn credentials(who: &str) -> Credentials {
        Credentials { ufrag: who.into(), password: who.repeat(22) }
    }

    fn new(table: &Table, context: &Context, id: Id, now: Instant) -> New {
        let tag = table.tag();
        let opening = Opening {
            role: Role::Controlled,
            local: credentials(&format!("us{id}")),
            remote: credentials("them"),
            bases: &[],
            side: Side::Server,
            fingerprint: Fingerprint { algorithm: "sha-256".into(), bytes: vec![0; 32] },
            streams: vec![],
            cname: "camgate".into(),
            seed: [1; 32],
            tag,
        };
        let session = Session::new(opening, context, now);
        New { id, session, status: Arc::default(), listener: Box::new(|_| ()), rings: vec![], tag }
    }

    fn route(port: u16) -> Route {
        let local = ([127, 0, 0, 1], 1).into();
        Route { via: Via::Udp, local, remote: ([127, 0, 0, 2], port).into() }
    }

    fn held(t: &Table) -> [usize; 4] {
        [t.ids.len(), t.ufrags.len(), t.tags.len(), t.routes.len()]
    }

    #[test]
    fn a_packet_finds_its_session_and_a_session_that_ends_leaves_nothing() {
        let (context, now) = (Context::new().unwrap(), Instant::now());
        let mut t = Table::default();
        let keys: Vec<u32> = (0..3)
            .map(|id| {
                let new = new(&t, &context, id, now);
                t.insert(new)
            })
            .collect();
        let tag = t.get(keys[1]).unwrap().tag;
        let mut id = [0; 12];
        id[..4].copy_from_slice(&tag.to_be_bytes());
        let answer = Writer::new(Class::Success, &id).finish(None);
        assert_eq!(t.by_message(&Message::parse(&answer).unwrap()), Some(keys[1]));
        let ask = |name: &str| Writer::new(Class::Request, &id).username(name, "x").finish(Some(&Key::new("y")));
        assert_eq!(t.by_message(&Message::parse(&ask("us2")).unwrap()), Some(keys[2]));
        assert_eq!(t.by_message(&Message::parse(&ask("us3")).unwrap()), None);
        assert!(!t.takes(7, "us2") && !t.takes(1, "new") && t.takes(7, "new"));
        // During a restart by both names, after the next one not by the first.
        for name in ["r1", "r2"] {
            t.get(keys[0]).unwrap().session.agent().restart(credentials(name), Some(credentials("them")));
            t.renamed(keys[0]);
        }
        assert!(t.is_anothers(keys[1], "r2") && !t.is_anothers(keys[0], "r2") && !t.is_anothers(keys[1], "us0"));
        // A viewer has so many addresses and no more; one goes to whoever comes from it.
        for port in 1..100 {
            t.heard(keys[0], route(port), now + Duration::from_secs(port.into()));
        }
        assert_eq!(held(&t), [3, 3, 3, ROUTES]);
        assert_eq!((t.by_route(&route(99)), t.by_route(&route(1))), (Some(keys[0]), None));
        t.heard(keys[1], route(99), now + Duration::from_secs(100));
        assert_eq!(t.by_route(&route(99)), Some(keys[1]));
        for key in keys {
            assert!(t.remove(key).is_some() && t.remove(key).is_none());
        }
        assert_eq!((held(&t), t.len()), ([0; 4], 0));
        let again = new(&t, &context, 9, now);
        assert!(t.insert(again) < 3);
    }
}
