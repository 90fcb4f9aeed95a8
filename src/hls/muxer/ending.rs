//! Why a muxer ends, and when another one may begin.

use std::time::{Duration, Instant};

use crate::error::{Error, Kind};
use crate::hls::rest::{MOST, Rest};
use crate::media::codec::Codec;

/// Why a muxer ends.
#[derive(Debug, Clone)]
pub(super) enum Why {
    /// It is not wanted any more, or its path is another one now: the next one begins with
    /// the next request.
    Over(Error),
    /// The next one would end likewise.
    Failed(Error),
}

impl Why {
    pub(super) fn over(why: impl std::fmt::Display) -> Self {
        Why::Over(Error::new(Kind::Unavailable, why.to_string()).retry_after(1))
    }

    /// A sentence.
    pub(super) fn message(&self) -> &str {
        let (Why::Over(error) | Why::Failed(error)) = self;
        &error.message
    }
}

/// A muxer that has ended, for who asks.
#[derive(Debug)]
pub(super) struct Ending {
    error: Error,
    /// Until when no other one begins, and what the path sent then.
    rest: Option<(Instant, Option<Vec<Codec>>)>,
    /// This failure among them.
    failures: Rest,
}

impl Ending {
    /// Of a muxer that lived so long, behind others that had failed `before` it.
    pub(super) fn new(why: Why, before: Rest, lived: Duration, tracks: Option<Vec<Codec>>) -> Self {
        match why {
            Why::Over(error) => Ending { error, rest: None, failures: Rest::default() },
            Why::Failed(error) => {
                let (failures, pause) = before.failed(lived);
                Ending { error, rest: Some((Instant::now() + pause, tracks)), failures }
            }
        }
    }

    /// What a request is answered.
    pub(super) fn error(&self) -> Error {
        let left = self.rest.as_ref().map(|(until, _)| until.saturating_duration_since(Instant::now()));
        match left {
            Some(left) if self.error.kind == Kind::Unavailable => {
                let seconds = u32::try_from(left.as_secs()).unwrap_or(u32::MAX).saturating_add(1);
                self.error.clone().retry_after(seconds)
            }
            _ => self.error.clone(),
        }
    }

    /// Why no other one begins yet, as long as the path sends this.
    pub(super) fn rests(&self) -> Option<(Error, Option<Vec<Codec>>)> {
        let (until, tracks) = self.rest.as_ref()?;
        (Instant::now() < *until).then(|| (self.error(), tracks.clone()))
    }

    /// What the next one begins with, as long as the path sends this.
    pub(super) fn rest(&self) -> (Rest, Option<Vec<Codec>>) {
        (self.failures, self.rest.as_ref().and_then(|(_, tracks)| tracks.clone()))
    }

    /// It does not count any more: the next one begins as the first one did.
    pub(super) fn forgotten(&self) -> bool {
        self.rest.as_ref().is_none_or(|(until, _)| Instant::now() > *until + MOST)
    }
}
