//! The load client: hundreds of viewers on a few threads, one small task each.

pub mod keys;
pub mod light;
pub mod rtcp;
pub mod session;
pub mod socket;
pub mod srtp;
pub mod tally;

use crate::support::mono;
use session::{Network, Offer, Seen, Session, held};
use socket::Batch;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

/// How long a POST may take.
const POST: Duration = Duration::from_secs(30);
/// Between two looks at those who have settled: half a frame's time. A receive buffer
/// holds some ten frames.
const SWEEP: Duration = Duration::from_millis(20);

/// A viewer that was answered.
pub struct Viewer {
    /// The POST was sent, and its answer was there; ns of `CLOCK_MONOTONIC`.
    pub posted: u64,
    pub answered: u64,
    /// The session's URL, if the server told one.
    pub location: Option<String>,
    pub seen: Arc<Mutex<Seen>>,
}

impl Viewer {
    /// POST → last packet of the first complete key frame, ms.
    pub fn first_key_ms(&self) -> Option<f64> {
        let key = held(&self.seen).tally.first_key?;
        Some(key.saturating_sub(self.posted) as f64 / 1e6)
    }

    /// POST → ICE and DTLS are up, ms.
    pub fn connected_ms(&self) -> Option<f64> {
        let connected = held(&self.seen).connected?;
        Some(connected.saturating_sub(self.posted) as f64 / 1e6)
    }

    /// POST → 201, ms.
    pub fn answer_ms(&self) -> f64 {
        self.answered.saturating_sub(self.posted) as f64 / 1e6
    }
}

/// Sums over all viewers.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sum {
    pub packets: u64,
    pub lost: u64,
    pub frames: u64,
    pub skipped: u64,
    pub nacks: u64,
    /// Viewers that saw a key frame, and whose session has not ended.
    pub playing: usize,
}

/// Threads for viewers; all viewers vanish when it is dropped.
pub struct Crowd {
    threads: Vec<(mpsc::UnboundedSender<Session>, JoinHandle<()>)>,
    next: AtomicUsize,
    http: reqwest::Client,
    /// Share of the RTP packets that the network loses, 0 to 1.
    loses: f64,
    /// Messages of several packets are taken whole: see [`socket::prepare`].
    whole: bool,
}

impl Crowd {
    pub fn start(threads: usize, loses: f64, whole: bool) -> Crowd {
        let threads = (0..threads.max(1)).map(|n| {
            let (sender, sessions) = mpsc::unbounded_channel::<Session>();
            let thread = std::thread::Builder::new().name(format!("viewers-{n}")).spawn(move || {
                behind_others();
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("no runtime");
                tokio::task::LocalSet::new().block_on(&runtime, work(sessions));
            });
            (sender, thread.expect("no thread"))
        });
        let http = reqwest::Client::builder().no_proxy().timeout(POST).build().expect("no HTTP client");
        Crowd { threads: threads.collect(), next: AtomicUsize::new(0), http, loses, whole }
    }

    /// POSTs an offer to a WHEP URL, and receives from then on.
    pub async fn join(&self, url: &str) -> Result<Viewer, String> {
        let offer = Offer::new(self.whole)?;
        let request = self.http.post(url).header("Content-Type", "application/sdp").body(offer.sdp.clone());
        let posted = mono::now_ns();
        let answer = request.send().await.map_err(|e| e.to_string())?;
        let (status, base) = (answer.status(), answer.url().clone());
        let location = answer.headers().get("location").and_then(|l| base.join(l.to_str().ok()?).ok());
        let sdp = answer.text().await.map_err(|e| e.to_string())?;
        let answered = mono::now_ns();
        if status.as_u16() != 201 {
            return Err(format!("{status}: {}", sdp.trim()));
        }
        let seen = Arc::new(Mutex::new(Seen::default()));
        let n = self.next.fetch_add(1, Relaxed);
        let random = 0x2545_f491_4f6c_dd1d ^ (n as u64 + 1) << 16;
        let session = offer.answered(&sdp, Network { loses: self.loses, random }, seen.clone())?;
        self.threads[n % self.threads.len()].0.send(session).map_err(|_| "the thread is gone")?;
        Ok(Viewer { posted, answered, location: location.map(String::from), seen })
    }

    /// DELETEs the viewer's session.
    pub async fn leave(&self, viewer: &Viewer) {
        if let Some(url) = &viewer.location {
            let _ = self.http.delete(url).send().await;
        }
    }
}

/// A thread's work. Who joins is served as datagrams come. Who has settled is looked
/// after every [`SWEEP`]: whole frames at a time, and no wake-up for each packet, which
/// would cost the server's side of the loopback, too. Times of arrival are the kernel's.
async fn work(mut sessions: mpsc::UnboundedReceiver<Session>) {
    let batch: Rc<RefCell<Batch>> = Rc::default();
    let mut joining: JoinSet<Session> = JoinSet::new();
    let mut settled: Vec<Session> = Vec::new();
    let mut tick = tokio::time::interval(SWEEP);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            session = sessions.recv() => {
                let Some(session) = session else { return };
                let batch = batch.clone();
                joining.spawn_local(async move { session.settle(&batch).await });
            }
            Some(Ok(mut session)) = joining.join_next() => {
                if !session.over() {
                    settled.push(session);
                }
            }
            _ = tick.tick() => {
                // A few at a time, so that who joins is not kept waiting.
                for some in settled.chunks_mut(16) {
                    some.iter_mut().for_each(|s| s.sweep(&mut batch.borrow_mut()));
                    tokio::task::yield_now().await;
                }
                settled.retain_mut(|s| !s.over());
            }
        }
    }
}

/// Lets the server's threads go first: on a real network the client would not be here.
fn behind_others() {
    // SAFETY: numbers only. On Linux, 0 is the calling thread.
    unsafe {
        let nice = libc::getpriority(libc::PRIO_PROCESS, 0);
        libc::setpriority(libc::PRIO_PROCESS, 0, (nice + 5).min(19));
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        for (sender, thread) in self.threads.drain(..) {
            drop(sender);
            let _ = thread.join();
        }
    }
}

/// What all of them got so far.
pub fn sum(viewers: &[Viewer]) -> Sum {
    let mut sum = Sum::default();
    for viewer in viewers {
        let seen = held(&viewer.seen);
        sum.packets += seen.tally.packets;
        sum.lost += seen.tally.lost;
        sum.frames += seen.tally.frames;
        sum.skipped += seen.tally.skipped;
        sum.nacks += seen.nacks;
        sum.playing += usize::from(seen.tally.first_key.is_some() && seen.error.is_none());
    }
    sum
}

/// Latencies are kept from now on.
pub fn watch(viewers: &[Viewer]) {
    viewers.iter().for_each(|v| held(&v.seen).tally.watch());
}

/// The latencies since then, µs.
pub fn latencies(viewers: &[Viewer]) -> Vec<u32> {
    viewers.iter().flat_map(|v| held(&v.seen).tally.latencies.take().unwrap_or_default()).collect()
}

/// What the first of those that ended says.
pub fn first_error(viewers: &[Viewer]) -> Option<String> {
    viewers.iter().find_map(|v| held(&v.seen).error.clone())
}
