//! The camera's wall clock, from the sender reports of its RTCP (RFC 3550 §6.4.1).
//!
//! A report names one moment twice: on the camera's clock (NTP) and as an RTP
//! timestamp. What [`super::clock`] knows of the timestamp turns that into an offset
//! between the camera's clock and ours. Reports come every few seconds; nothing is
//! done per packet. They come over TCP as well, whether we send any or not.

use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use gst::glib;
use gst::prelude::*;
use gstreamer as gst;

use crate::media::source::clock;
use crate::media::source::pull;

/// Seconds from 1900, where NTP begins, to 1970.
const NTP_TO_UNIX: i64 = 2_208_988_800;
/// An era of NTP, seconds; the second one begins in 2036.
const ERA: i64 = 1 << 32;
const NS: i64 = 1_000_000_000;
/// A clock that shows less, seconds since 1970, counts from the camera's start.
const SET: i64 = 365 * 86_400;

/// An NTP timestamp in nanoseconds since 1970, or none where it is no date: RFC 3550
/// lets a sender without a clock write zero, or the time since it began. `now`: about
/// what time it is, seconds since 1970.
pub fn unix_ns(ntp: u64, now: i64) -> Option<i64> {
    let seconds = i64::try_from(ntp >> 32).ok()? - NTP_TO_UNIX;
    // A day before the era ends a camera may be ahead of us.
    let next = now > ERA - NTP_TO_UNIX - 86_400 && seconds < SET;
    let seconds = if next { seconds + ERA } else { seconds };
    let fraction = ((ntp & 0xffff_ffff) * NS as u64) >> 32;
    (seconds >= SET).then(|| seconds * NS + fraction as i64)
}

/// Follows the reports about the stream of a pad of `src`. `target` is the pad whose
/// packets `clock` stamps. `tell` gets what is to be added to CLOCK_MONOTONIC (ns) for
/// nanoseconds since 1970, or none where the camera has no clock; it is called on
/// GStreamer's threads.
pub fn attach(
    src: &gst::Element,
    pad: &gst::Pad,
    target: &gst::Pad,
    clock: clock::Shared,
    tell: impl Fn(Option<i64>) + Send + Sync + 'static,
) {
    let (place, last) = (target.downgrade(), Mutex::new(None));
    let heard = move |report: Report| {
        if last.lock().unwrap_or_else(PoisonError::into_inner).replace(report) == Some(report) {
            return;
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs() as i64);
        let Some(wall) = unix_ns(report.ntp, now) else { return tell(None) };
        let at = clock.lock().unwrap_or_else(PoisonError::into_inner).at(report.rtp);
        if let (Some(at), Some(pad)) = (at, place.upgrade())
            && let Some(at) = monotonic(&pad, at)
        {
            tell(Some(wall - at));
        }
    };
    let Some(bin) = src.downcast_ref::<gst::Bin>() else { return of_events(target, heard) };
    // A server may bring another manager (RDT), which has no such signal.
    let manager = bin.by_name("manager").filter(|m| m.factory().is_some_and(|f| f.name() == "rtpbin"));
    let (Some(manager), Some((number, ssrc))) = (manager, session(&pad.name())) else { return };
    let Some(session) = manager.emit_by_name::<Option<glib::Object>>("get-internal-session", &[&number]) else {
        return;
    };
    // Emitted for each report, without the session's lock.
    session.connect("on-ssrc-active", false, move |args| {
        let source = args.get(1)?.get::<glib::Object>().ok()?;
        report(&source.property::<gst::Structure>("stats")).filter(|r| r.ssrc == ssrc).map(&heard);
        None
    });
}

/// Reports of a source of our own come as events. Nobody behind the pad wants them; they go
/// on nevertheless, since an event that a probe drops is a CRITICAL with GStreamer 1.22 and
/// these bindings, which have let go of it before (`gst_mini_object_unref`).
fn of_events(pad: &gst::Pad, heard: impl Fn(Report) + Send + Sync + 'static) {
    pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
        let Some(told) = info.event().and_then(|e| e.structure()).filter(|s| s.name() == pull::REPORT) else {
            return gst::PadProbeReturn::Ok;
        };
        if let (Ok(ssrc), Ok(ntp), Ok(rtp)) = (told.get("ssrc"), told.get("ntp"), told.get("rtp")) {
            heard(Report { ssrc, ntp, rtp });
        }
        gst::PadProbeReturn::Ok
    });
}

/// The session and the sender of a pad of rtspsrc: `recv_rtp_src_SESSION_SSRC_PT`.
fn session(name: &str) -> Option<(u32, u32)> {
    let mut numbers = name.strip_prefix("recv_rtp_src_")?.split('_').map(|n| n.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Report {
    ssrc: u32,
    ntp: u64,
    rtp: u32,
}

/// The last sender report in the statistics of an RTPSource.
fn report(stats: &gst::StructureRef) -> Option<Report> {
    let have = stats.get::<bool>("have-sr").ok()?;
    let (ssrc, ntp, rtp) = (stats.get("ssrc").ok()?, stats.get("sr-ntptime").ok()?, stats.get("sr-rtptime").ok()?);
    have.then_some(Report { ssrc, ntp, rtp })
}

/// A timestamp on a pad (ns) as a time on CLOCK_MONOTONIC, as the sink behind it makes it.
fn monotonic(pad: &gst::Pad, at: i64) -> Option<i64> {
    let base = pad.parent_element()?.base_time()?;
    let segment = pad.sticky_event::<gst::event::Segment>(0)?;
    let segment = segment.segment().downcast_ref::<gst::ClockTime>()?.clone();
    let running = segment.to_running_time(gst::ClockTime::from_nseconds(u64::try_from(at).ok()?))?;
    i64::try_from((base + running).nseconds()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ntp(seconds: i64) -> u64 {
        ((seconds + NTP_TO_UNIX) as u64) << 32
    }

    #[test]
    fn a_date_is_a_date_and_an_uptime_is_none() {
        let now = 1_795_000_000;
        assert_eq!(unix_ns(ntp(now) | 1 << 31, now), Some(now * NS + NS / 2));
        // Wildly wrong, and yet what the camera believes.
        assert_eq!(unix_ns(ntp(946_684_800), now), Some(946_684_800 * NS));
        assert_eq!(unix_ns(ntp(now + 86_400 * 365), now), Some((now + 86_400 * 365) * NS));
        // No clock, the time since the start, and the same counted from 1970.
        for none in [0, 1, 3_600 << 32, ntp(3_600)] {
            assert_eq!(unix_ns(none, now), None, "{none:x}");
        }
    }

    #[test]
    fn the_second_era_begins_in_2036() {
        let wrap = ERA - NTP_TO_UNIX;
        assert_eq!(unix_ns(5 << 32, wrap + 5), Some((wrap + 5) * NS));
        assert_eq!(unix_ns(5 << 32, wrap - 60), Some((wrap + 5) * NS));
        assert_eq!(unix_ns(ntp(wrap - 5), wrap + 5), Some((wrap - 5) * NS));
    }

    #[test]
    fn a_pads_name_tells_whose_it_is() {
        assert_eq!(session("recv_rtp_src_1_4294967295_96"), Some((1, u32::MAX)));
        assert_eq!(session("stream_1"), None);
        assert_eq!(session("recv_rtp_src_1"), None);
    }
}
