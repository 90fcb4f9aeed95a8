//! Media threads with one path, as their owner has them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::super::super::control::{Config, Counters, Event, Feed, Handle, Open, Status};
use super::super::super::dtls::{Context, Fingerprint, Side};
use super::super::super::ice::Role;
use super::super::super::ring::Cap;
use super::super::super::ring::tests::{Frame, frame};
use super::super::super::session::Stream;
use super::client::{Client, PATIENCE, RTX, VIDEO};

pub fn fingerprint(c: &Context) -> Fingerprint {
    let bytes = c.fingerprint().split(':').map(|x| u8::from_str_radix(x, 16).unwrap()).collect();
    Fingerprint { algorithm: "sha-256".into(), bytes }
}

/// Waits for something that another thread does.
pub fn wait(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(2)); // poll
    }
}

/// A thread with one path of video.
pub struct Server {
    pub handle: Handle<Frame>,
    /// Of the threads before that.
    others: Vec<Handle<Frame>>,
    pub feed: Feed<Frame>,
    pub context: Context,
    sent: u32,
    ids: u64,
}

/// A session as the server's owner sees it.
pub struct Seen {
    pub id: u64,
    pub status: Arc<Status>,
    pub events: mpsc::Receiver<Event>,
    pub all: Vec<Event>,
}

impl Seen {
    pub fn until(&mut self, wanted: impl Fn(&Event) -> bool) -> Event {
        loop {
            let event = self.events.recv_timeout(PATIENCE).unwrap_or_else(|e| panic!("{e}: {:?}", self.all));
            self.all.push(event.clone());
            if wanted(&event) {
                return event;
            }
        }
    }

    pub fn closed(&mut self) -> String {
        match self.until(|e| matches!(e, Event::Closed(_))) {
            Event::Closed(why) => why,
            _ => unreachable!(),
        }
    }
}

impl Server {
    pub fn new(udp: &[&str], tcp: &[&str], change: impl FnOnce(&mut Config)) -> Server {
        Server::of(1, udp, tcp, change)
    }

    /// With so many threads, and all viewers on the last one.
    pub fn of(threads: usize, udp: &[&str], tcp: &[&str], change: impl FnOnce(&mut Config)) -> Server {
        let context = Context::new().unwrap();
        let mut config = Config::new(context.clone());
        config.udp = udp.iter().map(|a| a.parse().unwrap()).collect();
        config.tcp = tcp.iter().map(|a| a.parse().unwrap()).collect();
        change(&mut config);
        let sockets = super::super::Sockets::open(&config).unwrap();
        let mut others = super::super::start(&config, &sockets, threads).unwrap();
        let handle = others.pop().unwrap();
        let feed = handle.ring(Cap::default()).unwrap();
        Server { handle, others, feed, context, sent: 0, ids: 0 }
    }

    /// A count of all threads together.
    pub fn count(&self, of: impl Fn(&Counters) -> &AtomicU64) -> u64 {
        let all = self.others.iter().chain([&self.handle]);
        all.map(|h| of(h.counters()).load(Ordering::Relaxed)).sum()
    }

    pub fn udp(&self) -> SocketAddr {
        self.handle.local().udp[0]
    }

    pub fn tcp(&self) -> SocketAddr {
        self.handle.local().tcp[0]
    }

    /// The next frame of the path.
    pub fn frame(&mut self, key: bool, packets: usize) {
        assert!(self.feed.push(frame(self.sent, key, packets, 1_000)));
        self.sent += 1;
    }

    /// Opens a session for a viewer.
    pub fn open(&mut self, client: &Client) -> Seen {
        self.open_with(client, |_| ())
    }

    pub fn open_with(&mut self, client: &Client, change: impl FnOnce(&mut Open)) -> Seen {
        self.ids += 1;
        let (tx, events) = mpsc::channel();
        let status = Arc::new(Status::default());
        let start = (65_530, 7, 12_345);
        let stream = Stream {
            ring: self.feed.ring(),
            media: VIDEO,
            rtx: Some(RTX),
            extension: vec![],
            stamp: None,
            rate: 90_000,
            replay: true,
            start,
        };
        let mut open = Open {
            id: self.ids,
            role: Role::Controlled,
            local: client.theirs.clone(),
            remote: client.ours.clone(),
            bases: client.server.into_iter().collect(),
            side: Side::Server,
            fingerprint: client.fingerprint.clone(),
            streams: vec![stream],
            cname: "camgate".into(),
            seed: rand::random(),
            candidates: Vec::new(),
            status: status.clone(),
            listener: Box::new(move |e| _ = tx.send(e)),
        };
        change(&mut open);
        self.handle.open(open).unwrap();
        Seen { id: self.ids, status, events, all: Vec::new() }
    }
}
