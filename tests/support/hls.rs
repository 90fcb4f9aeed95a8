//! A player of HLS that checks every rule while it follows a path.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use super::api::{AGAIN, SOON};
use super::playlist::{self, MediaPlaylist};

/// An answer.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    /// Where it came from in the end.
    pub url: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// How long it took.
    pub took: Duration,
}

impl Reply {
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map_or("", |(_, v)| v.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The sentence of an error.
    pub fn error(&self) -> String {
        let json: serde_json::Value = serde_json::from_slice(&self.body).unwrap_or_default();
        json["error"].as_str().unwrap_or_else(|| panic!("no error: {self:?}")).to_owned()
    }
}

/// GETs a URL.
pub async fn get(url: &str) -> Reply {
    get_with(&client(), url).await
}

/// A client that keeps no connection. One for many requests: making one takes time.
pub fn client() -> reqwest::Client {
    super::init();
    reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).build().unwrap()
}

/// [`get`] with a client at hand.
pub async fn get_with(client: &reqwest::Client, url: &str) -> Reply {
    let start = Instant::now();
    let response = client.get(url).timeout(Duration::from_secs(60)).send().await.unwrap_or_else(|e| panic!("{e:?}"));
    let (status, url) = (response.status().as_u16(), response.url().to_string());
    let text = |v: &reqwest::header::HeaderValue| String::from_utf8_lossy(v.as_bytes()).into_owned();
    let headers = response.headers().iter().map(|(k, v)| (k.to_string(), text(v))).collect();
    let body = response.bytes().await.unwrap_or_else(|e| panic!("{e:?}")).to_vec();
    Reply { status, url, headers, body, took: start.elapsed() }
}

/// See the module.
pub struct Follower {
    client: reqwest::Client,
    /// Of the directory that all URIs are relative to, with its slash.
    base: String,
    /// The multivariant playlist.
    pub index: String,
    media: String,
    /// The last playlist, whole.
    pub now: MediaPlaylist,
    /// Every part (or segment) that was fetched: name, seconds, whether independent.
    pub fetched: Vec<(String, f64, bool)>,
    /// All bytes of media, the map in front.
    pub bytes: Vec<u8>,
    seen: HashSet<String>,
    loads: usize,
    /// Discontinuities that passed.
    pub discontinuities: usize,
    /// How often the playlist went on under another name.
    pub moves: usize,
}

impl Follower {
    /// Loads both playlists of a path; again where its camera is not ready for as long as a
    /// request waits (504).
    pub async fn start(gateway: &str, path: &str) -> Follower {
        super::init();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let base = format!("{}/{path}/", gateway.trim_end_matches('/'));
        let reply = super::until(SOON, &format!("path {path} to be ready"), || async {
            let reply = get_with(&client, &format!("{base}index.m3u8")).await;
            if reply.status == 504 {
                tokio::time::sleep(AGAIN).await; // poll
                return None;
            }
            Some(reply)
        })
        .await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert_eq!(reply.header("content-type"), "application/vnd.apple.mpegurl");
        assert_eq!(reply.header("cache-control"), "no-cache");
        assert_eq!(reply.header("access-control-allow-origin"), "*");
        let index = reply.text();
        let media = index.lines().last().unwrap_or_default().to_owned();
        let mut follower = Follower {
            client,
            base,
            index,
            media,
            now: MediaPlaylist::default(),
            fetched: Vec::new(),
            bytes: Vec::new(),
            seen: HashSet::new(),
            loads: 0,
            discontinuities: 0,
            moves: 0,
        };
        follower.now = follower.load("").await;
        playlist::rules(&follower.now).unwrap_or_else(|e| panic!("{e}: {:#?}", follower.now));
        follower.fetch().await;
        follower
    }

    /// The URL of a URI in its playlists.
    pub fn url(&self, uri: &str) -> String {
        format!("{}{uri}", self.base)
    }

    /// The URL of the media playlist, with more behind its query.
    pub fn media_url(&self, more: &str) -> String {
        format!("{}{}{more}", self.base, self.media)
    }

    async fn load(&mut self, more: &str) -> MediaPlaylist {
        let reply = get_with(&self.client, &self.media_url(more)).await;
        assert_eq!(reply.status, 200, "{more}: {}", reply.text());
        let name = |uri: &str| uri.rsplit('/').next().and_then(|n| n.split('?').next()).map(str::to_owned);
        if name(&reply.url) != name(&self.media) {
            let media = reply.url.strip_prefix(&self.base).unwrap_or_else(|| panic!("elsewhere: {reply:?}"));
            self.media = media.split("&_HLS_").next().unwrap_or_default().to_owned();
            self.moves += 1;
        }
        playlist::parse(&reply.text()).unwrap_or_else(|e| panic!("{e}: {}", reply.text()))
    }

    /// Loads the next playlist (where it can, by a reload that blocks, every third one
    /// as a delta that is compared with the full one), checks it, fetches what is new.
    pub async fn step(&mut self) {
        self.loads += 1;
        let moves = self.moves;
        let next = if self.now.can_block {
            let part = self.now.growing.as_ref().map_or(0, |s| s.parts.len());
            let at = format!("&_HLS_msn={}&_HLS_part={part}", self.now.next());
            let got = if self.loads.is_multiple_of(3) {
                let delta = self.load(&format!("{at}&_HLS_skip=YES")).await;
                // A delta leaves out where discontinuities were.
                if self.moves == 0 {
                    playlist::rules(&delta).unwrap_or_else(|e| panic!("{e}: {delta:#?}"));
                }
                playlist::apply_delta(&self.now, &delta).unwrap_or_else(|e| panic!("{e}: {delta:#?}"))
            } else {
                self.load(&at).await
            };
            let has = got.next() > self.now.next() || got.growing.as_ref().is_some_and(|s| s.parts.len() > part);
            assert!(has, "answered before the part was there: {got:#?}");
            got
        } else {
            tokio::time::sleep(Duration::from_millis(100)).await; // poll: as players without blocking reloads do
            self.load("").await
        };
        let fine = if self.moves == 0 { playlist::rules(&next) } else { playlist::rules_after_a_change(&next) };
        fine.unwrap_or_else(|e| panic!("{e}: {next:#?}"));
        let fine = if self.moves == moves {
            playlist::follows(&self.now, &next)
        } else {
            playlist::follows_elsewhere(&self.now, &next)
        };
        fine.unwrap_or_else(|e| panic!("{e}: {:#?} {next:#?}", self.now));
        let known = self.now.next() + u64::from(self.now.growing.is_some());
        self.discontinuities += next.numbered().filter(|(n, s)| *n >= known && s.discontinuity).count();
        self.now = next;
        self.fetch().await;
    }

    /// Follows for so long; the path has to deliver as much.
    pub async fn follow(&mut self, time: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.step().await;
        }
    }

    /// Follows until so much media was fetched, seconds.
    pub async fn until(&mut self, seconds: f64) {
        while self.seconds() < seconds {
            self.step().await;
        }
    }

    /// All media that was fetched, seconds.
    pub fn seconds(&self) -> f64 {
        self.fetched.iter().map(|f| f.1).sum()
    }

    async fn fetch(&mut self) {
        let list = self.now.clone();
        for (_, segment) in list.numbered() {
            if let Some(map) = &segment.map
                && self.seen.insert(map.clone())
            {
                let map = self.media(map).await;
                assert_eq!(&map[4..8], b"ftyp");
                self.bytes.extend(map);
            }
            let low = list.part_target.is_some();
            let parts = segment.parts.iter().map(|p| (&p.uri, p.duration, p.independent));
            let whole = (&segment.uri, segment.duration, true);
            let wanted: Vec<_> = if low { parts.collect() } else { vec![whole] };
            for (uri, duration, independent) in wanted {
                if self.seen.insert(uri.clone()) {
                    let bytes = self.media(uri).await;
                    assert!(!bytes.is_empty(), "{uri} is empty");
                    self.bytes.extend(bytes);
                    self.fetched.push((uri.clone(), duration as f64 / 1e9, independent));
                }
            }
        }
    }

    async fn media(&self, uri: &str) -> Vec<u8> {
        let reply = get_with(&self.client, &self.url(uri)).await;
        assert_eq!(reply.status, 200, "{uri}: {}", reply.text());
        assert_eq!(reply.header("access-control-allow-origin"), "*");
        assert!(reply.header("cache-control").contains("max-age="), "{reply:?}");
        let mime = if uri.contains(".ts") { "video/mp2t" } else { "video/mp4" };
        assert_eq!(reply.header("content-type"), mime);
        reply.body
    }
}

/// What ffprobe finds in media: one line per packet, of `stream_index|pts_time|flags`,
/// and what it complains of.
pub fn probe(bytes: &[u8]) -> (Vec<Vec<String>>, String) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    let run = |args: &[&str]| {
        let out = std::process::Command::new(args[0]).args(&args[1..]).arg(file.path()).output().unwrap();
        (String::from_utf8_lossy(&out.stdout).into_owned(), String::from_utf8_lossy(&out.stderr).into_owned())
    };
    let fields = "packet=codec_type,pts_time,dts_time,duration_time,flags";
    let (packets, complaints) = run(&["ffprobe", "-v", "warning", "-show_entries", fields, "-of", "csv=p=0"]);
    let packets = packets.lines().map(|l| l.split(',').map(str::to_owned).collect()).collect();
    (packets, complaints)
}

/// Decodes all of it with ffmpeg; gives the number of pictures and what it complains of.
pub fn decode(bytes: &[u8]) -> (usize, String) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    let out = std::process::Command::new("ffmpeg")
        .args(["-v", "error", "-progress", "-", "-nostats", "-i"])
        .arg(file.path())
        // As they come: at a rate of its own it complains of each that is a hair early.
        .args(["-fps_mode", "passthrough", "-enc_time_base", "1:90000", "-f", "null", "/dev/null", "-y"])
        .output()
        .unwrap();
    let progress = String::from_utf8_lossy(&out.stdout).into_owned();
    let frames = progress.lines().rev().find_map(|l| l.strip_prefix("frame=")).and_then(|n| n.trim().parse().ok());
    (frames.unwrap_or(0), String::from_utf8_lossy(&out.stderr).into_owned())
}
