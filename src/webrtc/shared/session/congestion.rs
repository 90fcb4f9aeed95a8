//! Whether a viewer's link carries its stream. A link that does not would drown: frames
//! come later and later, and what is sent again makes it worse. Such a viewer gets key
//! frames only for a while: a picture that is true and moves slowly. Pure.
//!
//! Two verdicts, and only when their signs last: the viewer says that its link carries less
//! than the stream (REMB) and packets wait before it as well; or it misses more than
//! NACKs can bring back: its reports say so, or it asks for more than it may have again (a
//! link that is a little too narrow with a short queue: there what is sent again pushes out
//! as much). REMB by itself says nothing: estimates begin low, the burst of
//! a join looks like a link that is overrun, and so does one that loses or overtakes. A link
//! that loses a fifth of everything at random is no reason either: there NACKs keep the
//! picture moving (Chromium's REMB falls to a tenth there, and stays).

use std::time::{Duration, Instant};

/// No judgement before: the burst of the join and the viewer's first estimates are not
/// what the stream is like.
const GRACE: Duration = Duration::from_secs(10);
/// The stream's rate is reckoned over so long.
const WINDOW: Duration = Duration::from_secs(2);
/// REMB below this share of the rate, in percent, for [`LOW_FOR`].
const LOW: u64 = 70;
/// See [`LOW`]; so long, too, must a viewer ask for more again than it may have …
const LOW_FOR: Duration = Duration::from_secs(4);
/// … without such a pause. What is too much now and then (a replay, a key frame) is none.
const QUIET: Duration = Duration::from_secs(1);
/// The sign that REMB is right: a round trip so much longer than the shortest one.
const LATE: Duration = Duration::from_millis(300);
/// A report with more loss than this (in 1/256: 30 %) is a bad one …
const BAD: u8 = 77;
/// … and so many in a row are a verdict.
const REPORTS: u8 = 4;
/// Key frames only, so long; twice as long each time that it was too early. What a link
/// that gets little says of itself is worth nothing: whether it is better shows a trial.
const PAUSE: Duration = Duration::from_secs(4);
/// The longest pause.
const MOST: Duration = Duration::from_secs(60);
/// It was too early if the next verdict comes within this.
const EARLY: Duration = Duration::from_secs(20);

/// See the module.
#[derive(Debug, Clone, Default)]
pub(super) struct Congestion {
    /// When media was first sent.
    began: Option<Instant>,
    /// Of the window under way: its begin and the bytes so far.
    window: Option<(Instant, u64)>,
    /// Bits per second of the whole stream; 0: not known.
    rate: u64,
    low_since: Option<Instant>,
    bad: u8,
    /// More was asked for again than there may be: since when, and when last.
    starved: Option<(Instant, Instant)>,
    /// The shortest round trip, and the last one.
    trips: Option<(Duration, Duration)>,
    /// Key frames only, since then.
    thin: Option<Instant>,
    pause: Option<Duration>,
    /// When it last went back to the whole stream.
    back: Option<Instant>,
}

impl Congestion {
    /// Media was sent.
    pub fn sent(&mut self, bytes: u64, now: Instant) {
        let began = *self.began.get_or_insert(now);
        if self.thin.is_some() || now.saturating_duration_since(began) < GRACE - WINDOW {
            self.window = None;
            return;
        }
        let (from, sum) = self.window.get_or_insert((now, 0));
        let passed = now.saturating_duration_since(*from);
        if passed >= WINDOW {
            self.rate = (*sum * 8).saturating_mul(1_000) / (passed.as_millis() as u64).max(1);
            self.window = Some((now, bytes));
        } else {
            *sum += bytes;
        }
    }

    /// What the viewer takes its link to carry, bit/s.
    pub fn remb(&mut self, bitrate: u64, now: Instant) {
        let late = self.trips.is_some_and(|(least, last)| last >= least + LATE);
        if !self.judges(now) || self.rate == 0 || bitrate >= self.rate * LOW / 100 || !late {
            self.low_since = None;
            return;
        }
        let since = *self.low_since.get_or_insert(now);
        if now.saturating_duration_since(since) >= LOW_FOR {
            self.enter(now);
        }
    }

    /// The loss of a receiver report, in 1/256.
    pub fn report(&mut self, loss: u8, now: Instant) {
        self.bad = if loss > BAD && self.judges(now) { self.bad.saturating_add(1) } else { 0 };
        if self.bad >= REPORTS {
            self.enter(now);
        }
        let over = self.thin.is_some_and(|at| now.saturating_duration_since(at) >= self.pause.unwrap_or(PAUSE));
        if over {
            (self.thin, self.back) = (None, Some(now));
        }
    }

    /// More is asked for again than there may be.
    pub fn starved(&mut self, now: Instant) {
        if !self.judges(now) {
            self.starved = None;
            return;
        }
        let going_on = self.starved.filter(|(_, last)| now.saturating_duration_since(*last) < QUIET);
        let since = going_on.map_or(now, |(since, _)| since);
        self.starved = Some((since, now));
        if now.saturating_duration_since(since) >= LOW_FOR {
            self.enter(now);
        }
    }

    /// A round trip.
    pub fn round_trip(&mut self, trip: Duration) {
        let least = self.trips.map_or(trip, |(least, _)| least.min(trip));
        self.trips = Some((least, trip));
    }

    /// Whether key frames are all that is to be sent.
    pub fn thin(&self) -> bool {
        self.thin.is_some()
    }

    /// How many bytes per second a link has room for that does not carry the stream, as far as
    /// that can be known: a third of it.
    pub fn room(&self) -> u64 {
        self.rate / 8 / 3
    }

    fn judges(&self, now: Instant) -> bool {
        self.thin.is_none() && self.began.is_some_and(|at| now.saturating_duration_since(at) >= GRACE)
    }

    fn enter(&mut self, now: Instant) {
        let early = self.back.is_some_and(|at| now.saturating_duration_since(at) < EARLY);
        self.pause = Some(match self.pause {
            Some(pause) if early => (pause * 2).min(MOST),
            _ => PAUSE,
        });
        self.thin = Some(now);
        (self.low_since, self.bad, self.starved) = (None, 0, None);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const S: Duration = Duration::from_secs(1);

    /// A second of a stream of so many bits, and what the viewer says at its end.
    fn second(c: &mut Congestion, now: &mut Instant, bits: u64, remb: Option<u64>, loss: u8) {
        for _ in 0..25 {
            if !c.thin() {
                c.sent(bits / 8 / 25, *now);
            }
            *now += S / 25;
        }
        if let Some(remb) = remb {
            c.remb(remb, *now);
        }
        c.report(loss, *now);
    }

    /// After how many seconds it came to a verdict.
    fn until_thin(c: &mut Congestion, now: &mut Instant, remb: Option<u64>, loss: u8) -> Option<usize> {
        (1..60).find(|_| {
            second(c, now, 4_000_000, remb, loss);
            c.thin()
        })
    }

    #[test]
    fn a_link_that_is_too_narrow_is_found_and_tried_again_later_each_time() {
        let mut now = Instant::now();
        let mut c = Congestion::default();
        c.round_trip(Duration::from_millis(40));
        c.round_trip(Duration::from_millis(400));
        let first = until_thin(&mut c, &mut now, Some(2_000_000), 15).unwrap();
        assert!((14..18).contains(&first), "{first}");
        let mut pauses = Vec::new();
        for _ in 0..6 {
            let from = now;
            while c.thin() {
                second(&mut c, &mut now, 4_000_000, Some(500_000), 0);
            }
            pauses.push((now - from).as_secs());
            assert!(until_thin(&mut c, &mut now, Some(2_000_000), 15).is_some());
        }
        assert_eq!(pauses, [4, 8, 16, 32, 60, 60]);
    }

    #[test]
    fn packets_that_wait_before_the_link_are_a_sign_without_loss() {
        let mut now = Instant::now();
        let mut c = Congestion::default();
        c.round_trip(Duration::from_millis(40));
        c.round_trip(Duration::from_millis(300));
        assert_eq!(until_thin(&mut c, &mut now, Some(2_000_000), 0), None);
        c.round_trip(Duration::from_millis(400));
        assert!(until_thin(&mut c, &mut now, Some(2_000_000), 0).is_some());
    }

    #[test]
    fn heavy_loss_is_one_and_what_follows_is_a_trial() {
        let mut now = Instant::now();
        let mut c = Congestion::default();
        assert!(until_thin(&mut c, &mut now, None, 128).is_some());
        let from = now;
        while c.thin() {
            second(&mut c, &mut now, 4_000_000, None, 128);
        }
        assert_eq!((now - from).as_secs(), 4);
        // Not better, and then well enough.
        assert!(until_thin(&mut c, &mut now, None, 128).is_some());
        while c.thin() {
            second(&mut c, &mut now, 4_000_000, None, 128);
        }
        assert_eq!(until_thin(&mut c, &mut now, Some(100_000), 60), None);
    }

    #[test]
    fn who_asks_for_more_again_than_it_may_have_is_pushed_out_by_it() {
        let mut now = Instant::now();
        let mut c = Congestion::default();
        let mut asks = |c: &mut Congestion, every: u64| {
            let from = now;
            while !c.thin() && now < from + 60 * S {
                c.sent(10_000, now);
                c.starved(now);
                now += Duration::from_millis(every);
            }
            (now - from).as_secs()
        };
        // Now and then is none.
        assert_eq!(asks(&mut c, 1_000), 60);
        assert_eq!(asks(&mut c, 100), 4);
        // In a new session only once the join is over.
        assert_eq!(asks(&mut Congestion::default(), 100), 14);
    }

    #[test]
    fn what_nacks_can_mend_is_none() {
        for (remb, loss) in
            [(None, 51), (None, 70), (Some(4_500_000), 51), (Some(300_000), 51), (Some(300_000), 0), (Some(300_000), 9)]
        {
            let mut now = Instant::now();
            assert_eq!(until_thin(&mut Congestion::default(), &mut now, remb, loss), None, "{remb:?} {loss}");
        }
        // One bad report, or one low estimate, now and then.
        let mut now = Instant::now();
        let mut c = Congestion::default();
        for n in 0..100 {
            let bad = n % 4 == 0;
            second(&mut c, &mut now, 4_000_000, Some(if bad { 100_000 } else { 5_000_000 }), if bad { 200 } else { 0 });
            assert!(!c.thin());
        }
    }

    proptest! {
        /// Whatever is said: it never holds for ever once the viewer is well, nor comes
        /// before the grace is over.
        #[test]
        fn it_comes_back(list in proptest::collection::vec((any::<u8>(), proptest::option::of(0u64..9_000_000), 0u64..9_000_000), 0..80)) {
            let mut now = Instant::now();
            let began = now;
            let mut c = Congestion::default();
            for (loss, remb, bits) in list {
                second(&mut c, &mut now, bits, remb, loss);
                prop_assert!(!c.thin() || now - began >= GRACE);
            }
            for _ in 0..61 { second(&mut c, &mut now, 1_000_000, Some(9_000_000), 0); }
            prop_assert!(!c.thin());
        }
    }
}
