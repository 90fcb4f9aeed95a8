//! The muxer's answers to its readers.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{Muxer, State};
use crate::error::{Error, Kind, Result};
use crate::hls::playlist::{Found, Options, Reload, State as Place, multivariant};

/// How long a request may wait for the first playlist: a GOP of ten seconds, and some.
const FIRST: Duration = Duration::from_secs(20);

/// What a request names, below its path.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// None: `index.m3u8`.
    pub name: Option<&'a str>,
    /// What of it is wanted, and whether that is waited for.
    pub reload: Reload,
    /// What goes behind every URI: `reader=…`, and the token where one came so.
    pub suffix: &'a str,
    /// Counts the reader.
    pub reader: &'a str,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// A playlist; never to be cached.
    Playlist(String),
    /// The playlist goes on under this name (with its query); never to be cached.
    Moved(String),
    /// Media that stays what it is under this name.
    Media {
        /// Its content type.
        mime: &'static str,
        /// One after the other.
        pieces: Vec<Bytes>,
        /// How long it is worth keeping.
        max_age: Duration,
    },
}

impl Muxer {
    /// Answers a request; holds it until what it asks for is there.
    ///
    /// Errors: 400 a reload of what is too far ahead, 404 an unknown or forgotten name, 422 nothing that
    /// HLS carries, 503 with Retry-After when it does not come in time.
    pub async fn answer(&self, asked: Asked<'_>) -> Result<Answer> {
        let mut news = self.news.subscribe();
        let deadline = Instant::now() + FIRST;
        loop {
            self.touch(asked.reader);
            news.mark_unchanged();
            if let Some(answer) = self.look(&asked)? {
                return Ok(answer);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            // The muxer's end is news, too.
            if !matches!(tokio::time::timeout(left, news.changed()).await, Ok(Ok(()))) {
                let text = format!("path \"{}\" has nothing new for HLS: does its camera send?", self.path);
                return Err(Error::new(Kind::Unavailable, text).retry_after(2));
            }
        }
    }

    /// None: not yet.
    fn look(&self, asked: &Asked<'_>) -> Result<Option<Answer>> {
        let (state, reload) = (self.lock(), &asked.reload);
        let (output, prefix) = match &*state {
            State::Beginning => return Ok(None),
            State::Ended(ending) => return Err(ending.error()),
            State::Muxing(output, prefix) => (output, prefix),
        };
        let window = output.window();
        let options = Options { query: asked.suffix, skip: reload.skip };
        let generation = output.generation();
        let media = playlist_name(prefix, generation);
        match asked.name {
            None if !window.ready() => Ok(None),
            None => Ok(Some(Answer::Playlist(multivariant(&[output.stream(media)], asked.suffix)))),
            Some(name) if name == media => match window.has(reload) {
                Place::TooFar => Err(Error::new(Kind::BadRequest, "_HLS_msn or _HLS_part is too far ahead")),
                Place::Wait => Ok(None),
                Place::Ready if !window.ready() => Ok(None),
                Place::Ready => Ok(window.media(&options).map(Answer::Playlist)),
            },
            // PART-TARGET had to change. hls.js gives up on a 404 and stops at an ENDLIST,
            // but follows a redirection, and finds there what it had: each time, as it
            // goes on asking by the old name.
            Some(name) if (0..generation).any(|g| playlist_name(prefix, g) == name) => {
                let known = if window.has(reload) == Place::TooFar { Reload::default() } else { *reload };
                Ok(Some(Answer::Moved(format!("{media}?{}{}", asked.suffix, known.directives()))))
            }
            Some(name) => {
                let mime = if name.ends_with(".ts") { "video/mp2t" } else { "video/mp4" };
                let pieces = match window.find(name) {
                    Found::Map(b) | Found::Part(b) => vec![b.clone()],
                    Found::Segment(pieces) => pieces.into_iter().cloned().collect(),
                    Found::Hinted => return Ok(None),
                    Found::Nothing => {
                        return Err(Error::new(Kind::NotFound, "there is no such segment (any more)"));
                    }
                };
                Ok(Some(Answer::Media { mime, pieces, max_age: Duration::from_secs(3_600) }))
            }
        }
    }
}

/// The name of a media playlist: another one for each PART-TARGET.
fn playlist_name(prefix: &str, generation: u32) -> String {
    if generation == 0 { format!("{prefix}.m3u8") } else { format!("{prefix}-{generation}.m3u8") }
}
