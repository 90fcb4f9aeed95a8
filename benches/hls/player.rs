//! Players that follow a low-latency playlist as hls.js does: a reload that blocks,
//! as a delta where that is offered, then each new part. One connection each.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::support::until_true;

/// What all players of a crowd got so far.
#[derive(Debug, Clone, Copy, Default)]
pub struct Got {
    pub playlists: u64,
    pub parts: u64,
    pub bytes: u64,
    pub failures: u64,
}

#[derive(Default)]
struct Counters {
    playlists: AtomicU64,
    parts: AtomicU64,
    bytes: AtomicU64,
    failures: AtomicU64,
    /// From the reload's answer that named a part to its last byte, ms.
    late: Mutex<Vec<f64>>,
}

/// Players at work; they end when it is dropped.
pub struct Crowd {
    counters: Arc<Counters>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Crowd {
    /// Starts `count` players of the multivariant playlist at `url`, 10 ms apart.
    pub async fn start(count: usize, url: &str) -> Crowd {
        let counters = Arc::new(Counters::default());
        let mut tasks = Vec::new();
        for _ in 0..count {
            let (counters, url) = (counters.clone(), url.to_owned());
            tasks.push(tokio::spawn(async move {
                while let Err(error) = play(&url, &counters).await {
                    if counters.failures.fetch_add(1, Ordering::Relaxed) < 3 {
                        eprintln!("a player: {error}");
                    }
                    tokio::time::sleep(Duration::from_millis(500)).await; // poll: as players do
                }
            }));
            tokio::time::sleep(Duration::from_millis(10)).await; // poll: spreads the joins
        }
        Crowd { counters, tasks }
    }

    /// Waits until all of them have come to fetching parts.
    pub async fn settled(&self) {
        let enough = 10 * self.tasks.len() as u64;
        until_true(Duration::from_secs(120), "all players", || self.counters.parts.load(Ordering::Relaxed) > enough)
            .await;
        self.counters.late.lock().expect("poisoned").clear();
    }

    pub fn got(&self) -> Got {
        let c = &self.counters;
        Got {
            playlists: c.playlists.load(Ordering::Relaxed),
            parts: c.parts.load(Ordering::Relaxed),
            bytes: c.bytes.load(Ordering::Relaxed),
            failures: c.failures.load(Ordering::Relaxed),
        }
    }

    /// How long a part took from its being named, ms.
    pub fn late_ms(&self) -> Vec<f64> {
        self.counters.late.lock().expect("poisoned").clone()
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.tasks.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

type Failed = Box<dyn std::error::Error + Send + Sync>;

async fn play(url: &str, counters: &Counters) -> Result<(), Failed> {
    let client = reqwest::Client::builder().no_proxy().build()?;
    let index = client.get(url).send().await?.error_for_status()?;
    let base = index.url().clone();
    let index = index.text().await?;
    let name = index.lines().rfind(|l| !l.is_empty() && !l.starts_with('#')).ok_or("no media playlist")?;
    let media = base.join(name)?;
    let mut list = load(&client, media.clone(), counters).await?;
    let mut last = list.parts.last().cloned().unwrap_or_default();
    loop {
        let mut at = media.clone();
        {
            let mut query = at.query_pairs_mut();
            query.append_pair("_HLS_msn", &list.next.0.to_string());
            query.append_pair("_HLS_part", &list.next.1.to_string());
            if list.skips {
                query.append_pair("_HLS_skip", "YES");
            }
        }
        list = load(&client, at, counters).await?;
        let named = Instant::now();
        // What is not known any more is too late for a player at the live edge.
        let new = list.parts.iter().position(|p| *p == last).map_or(list.parts.len().saturating_sub(1), |i| i + 1);
        for part in list.parts.get(new..).unwrap_or_default() {
            let mut answer = client.get(media.join(part)?).send().await?.error_for_status()?;
            while let Some(chunk) = answer.chunk().await? {
                counters.bytes.fetch_add(chunk.len() as u64, Ordering::Relaxed);
            }
            counters.parts.fetch_add(1, Ordering::Relaxed);
            counters.late.lock().expect("poisoned").push(named.elapsed().as_secs_f64() * 1_000.0);
        }
        last = list.parts.last().cloned().unwrap_or(last);
    }
}

struct List {
    /// URIs, the oldest first.
    parts: Vec<String>,
    /// The segment and the part that come next.
    next: (u64, u64),
    skips: bool,
}

async fn load(client: &reqwest::Client, url: reqwest::Url, counters: &Counters) -> Result<List, Failed> {
    let text = client.get(url).send().await?.error_for_status()?.text().await?;
    counters.playlists.fetch_add(1, Ordering::Relaxed);
    counters.bytes.fetch_add(text.len() as u64, Ordering::Relaxed);
    let mut list = List { parts: Vec::new(), next: (0, 0), skips: false };
    for line in text.lines() {
        if let Some(number) = line.strip_prefix("#EXT-X-MEDIA-SEQUENCE:") {
            list.next.0 += number.parse::<u64>()?;
        } else if let Some(number) = line.strip_prefix("#EXT-X-SKIP:SKIPPED-SEGMENTS=") {
            list.next.0 += number.parse::<u64>()?;
        } else if line.starts_with("#EXTINF:") {
            list.next = (list.next.0 + 1, 0);
        } else if line.starts_with("#EXT-X-PART:") {
            let uri =
                line.split_once("URI=\"").and_then(|(_, rest)| rest.split_once('"')).ok_or("a part without URI")?;
            list.parts.push(uri.0.to_owned());
            list.next.1 += 1;
        } else if line.starts_with("#EXT-X-SERVER-CONTROL:") {
            list.skips = line.contains("CAN-SKIP-UNTIL");
        }
    }
    Ok(list)
}
