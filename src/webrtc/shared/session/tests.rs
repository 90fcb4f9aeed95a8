//! One viewer from its first check to its good-bye.

mod feedback;
mod world;

use std::collections::HashMap;
use std::time::Duration;

use proptest::prelude::*;

use super::super::ice::Via;
use super::*;
use world::{AUDIO, Got, RTX, VIDEO, World, audio, video};

const MS: Duration = Duration::from_millis(1);

/// A path that has run for a while: a key frame and what followed it.
fn running(streams: Vec<Stream>) -> World {
    let mut w = World::new(streams);
    w.frame(true, 20);
    for _ in 0..30 {
        w.now += 40 * MS;
        w.frame(false, 3);
    }
    w
}

fn joined(streams: Vec<Stream>) -> World {
    let mut w = running(streams);
    w.join();
    w.run(200 * MS);
    w
}

fn media(w: &World) -> Vec<&Got> {
    w.got.iter().filter(|g| g.ssrc == VIDEO.ssrc).collect()
}

#[test]
fn a_viewer_starts_with_the_last_key_frame_and_goes_on_live() {
    let mut w = joined(vec![video(None)]);
    assert_eq!(w.events, [Event::Connected]);
    // Twenty packets of the key frame, and three of each that followed.
    let sent = media(&w);
    assert_eq!(sent.len(), 20 + 30 * 3);
    for (i, g) in sent.iter().enumerate() {
        assert_eq!(g.sequence, 65_530u16.wrapping_add(i as u16));
        let (frame, packet) = if i < 20 { (0, i) } else { (1 + (i - 20) / 3, (i - 20) % 3) };
        assert_eq!(g.payload[..5], [0, 0, 0, frame as u8, packet as u8]);
        assert_eq!(g.marker, packet == if frame == 0 { 19 } else { 2 });
    }
    // Squeezed: a millisecond apart, the last one at its true time.
    let last = w.rings[0].last().unwrap().unit.timestamp;
    let times: Vec<u32> = sent.iter().filter(|g| g.marker).map(|g| g.timestamp.wrapping_sub(12_345)).collect();
    assert_eq!(times.last(), Some(&last));
    assert!(times.windows(2).all(|t| t[1] - t[0] == 90));
    // Paced: no more than 12 in any 2 ms.
    for g in &sent {
        assert!(sent.iter().filter(|o| o.at >= g.at && o.at < g.at + 2 * MS).count() <= 12);
    }
    // And live from there on, at once and untouched.
    let before = sent.len();
    w.now += 40 * MS;
    let at = w.now - w.began;
    w.frame(false, 2);
    let live = &media(&w)[before..];
    assert_eq!(live.len(), 2);
    assert!(live.iter().all(|g| g.at == at && g.timestamp == w.rings[0].last().unwrap().unit.timestamp + 12_345));
}

#[test]
fn a_handshake_that_begins_before_our_check_is_answered_is_not_lost() {
    let mut w = running(vec![video(None)]);
    // The viewer never repeats it.
    let hello = w.dtls.poll_transmit().unwrap();
    let route = w.route();
    for _ in 0..3 {
        assert_eq!(w.send(route, vec![22; 3_000]), Some(Taken::Ignored), "too long to be kept");
    }
    assert_eq!(w.send(route, hello), Some(Taken::Ignored));
    assert!(w.batch.is_empty(), "nothing is answered to a stranger");
    w.join();
    assert_eq!(w.events, [Event::Connected]);
}

#[test]
fn without_a_key_frame_it_waits_for_one() {
    let mut w = World::new(vec![video(None)]);
    w.frame(false, 2);
    w.join();
    w.run(100 * MS);
    w.frame(false, 2);
    assert!(media(&w).is_empty());
    w.frame(true, 2);
    assert_eq!(media(&w).len(), 2);
}

/// From the ring into the batch, encrypted.
#[test]
fn no_packet_asks_for_memory() {
    let mut w = joined(vec![video(Some(RTX))]);
    let mut asked = 0;
    for n in 0..200 {
        w.now += 40 * MS;
        w.rings[0].push(super::super::ring::tests::frame(1_000 + n, n % 50 == 0, 8, 1_000), w.now);
        let send = || _ = w.with_session(|s, times, rings, budget, batch| s.send_media(times, rings, budget, batch));
        let count = crate::counting::allocations(send);
        // Until then the arena grows, and what is remembered for NACKs.
        asked += if n < 50 { 0 } else { count };
        w.deliver();
    }
    assert_eq!(media(&w).len(), 110 + 200 * 8);
    assert_eq!(asked, 0);
}

#[test]
fn a_large_frame_is_sent_in_groups() {
    let mut w = joined(vec![video(None)]);
    let before = media(&w).len();
    w.frame(true, 150);
    let at = |w: &World| media(w).len() - before;
    assert_eq!(at(&w), 64);
    w.run(2 * MS);
    assert_eq!(at(&w), 128);
    w.run(2 * MS);
    assert_eq!(at(&w), 150);
}

#[test]
fn all_bursts_together_are_bounded() {
    let mut w = running(vec![video(None)]);
    w.budget = Budget::new(5, w.now);
    w.join();
    w.run(200 * MS);
    let sent = media(&w);
    assert_eq!(sent.len(), 110);
    for g in &sent {
        assert!(sent.iter().filter(|o| o.at >= g.at && o.at < g.at + 2 * MS).count() <= 10);
    }
}

/// A key frame comes during a replay that is slow, between two frames and in the midst of one.
#[test]
fn a_key_frame_during_a_replay_is_gone_on_with_at_once() {
    for packets in [1, 30] {
        let mut w = World::new(vec![video(None)]);
        w.frame(true, 20);
        // Longer than the ring keeps what is before a key frame.
        for _ in 0..100 {
            w.now += 40 * MS;
            w.frame(false, packets);
        }
        w.budget = Budget::new(1, w.now);
        w.join();
        w.run(69 * MS);
        let before = media(&w).len();
        assert!((21..100).contains(&before), "{before}");
        w.frame(true, 3);
        w.run(20 * MS);
        w.frame(false, 2);
        let after = &media(&w)[before..];
        let last = after.last().unwrap();
        assert_eq!(last.payload[..5], [0, 0, 0, 102, 1], "live again");
        assert_eq!(last.timestamp, w.rings[0].last().unwrap().unit.timestamp + 12_345);
        // The rest of a frame that had begun may come before it, and nothing else of the past.
        let old = after.iter().filter(|g| g.payload[3] < 101).count();
        assert!(old < packets && after.len() == old + 5, "{old} of {}", after.len());
        let times: Vec<u32> = media(&w).iter().filter(|g| g.marker).map(|g| g.timestamp).collect();
        assert!(times.windows(2).all(|t| (t[1].wrapping_sub(t[0]) as i32) > 0), "{times:?}");
    }
}

#[test]
fn the_first_report_gives_the_handshakes_memory_back() {
    let mut w = joined(vec![video(None)]);
    assert!(!w.session.secure.is_shed());
    assert_eq!(w.tell(|_| ()), Some(Taken::Authentic));
    assert!(w.session.secure.is_shed());
    // And good-byes work all the same.
    w.dtls.close();
    w.deliver();
    assert_eq!(w.events.last(), Some(&Event::Closed("closed by the peer".into())));
    assert!(w.bye);
}

#[test]
fn a_good_bye_of_ours_is_heard() {
    for report in [false, true] {
        let mut w = joined(vec![video(None), audio()]);
        if report {
            w.tell(|_| ());
        }
        w.with_session(|s, _, _, _, batch| {
            s.close("kicked", batch);
            s.close("again", batch);
        });
        w.deliver();
        assert!(w.viewer_closed && w.bye);
        assert_eq!(w.events.iter().filter(|e| matches!(e, Event::Closed(_))).count(), 1);
        assert_eq!(w.session.poll_timeout(w.now), None);
        // Nothing comes after it.
        let got = w.got.len();
        w.frame(true, 2);
        assert_eq!(w.got.len(), got);
    }
}

#[test]
fn who_falls_behind_goes_on_with_a_key_frame_and_its_numbers_have_no_gap() {
    let mut w = joined(vec![video(None)]);
    let last = media(&w).last().unwrap().sequence;
    let before = media(&w).len();
    w.with_session(|s, _, rings, _, _| s.fell_behind(rings));
    w.frame(false, 2);
    w.frame(false, 2);
    assert_eq!(media(&w).len(), before);
    w.frame(true, 2);
    assert_eq!(media(&w)[before].sequence, last.wrapping_add(1));
    assert_eq!(w.session.stats().dropped, 2);
}

#[test]
fn another_certificate_ends_it() {
    let mut w = World::with(vec![video(None)], |mut f| {
        f.bytes[0] ^= 1;
        f
    });
    w.frame(true, 2);
    w.run(200 * MS);
    assert!(matches!(&w.events[..], [Event::Closed(why)] if why.contains("certificate")), "{:?}", w.events);
    assert!(w.got.is_empty());
}

#[test]
fn a_viewer_that_vanishes_is_noticed_and_a_short_absence_is_none() {
    let mut w = joined(vec![video(None)]);
    w.cut = true;
    w.run(Duration::from_secs(10));
    w.cut = false;
    w.run(Duration::from_secs(20));
    assert!(w.session.connected());
    w.cut = true;
    w.run(Duration::from_secs(31));
    assert_eq!(w.events.last(), Some(&Event::Closed("the viewer has vanished (no consent)".into())));
}

#[test]
fn reports_put_sound_and_picture_together() {
    let mut w = joined(vec![video(None), audio()]);
    for n in 0..60u32 {
        w.now += 40 * MS;
        w.frame(n == 0, 2);
        let mut sound = super::super::ring::tests::frame(n, true, 1, 50);
        // Captured a little before now, as sound is.
        let at = (w.now - w.began - 15 * MS).as_nanos();
        let f = std::sync::Arc::make_mut(&mut sound);
        // The double reckons its capture time at 90 kHz.
        f.timestamp = (at * 90_000 / 1_000_000_000) as u32;
        w.rings[1].push(sound, w.now);
        w.run(MS);
    }
    w.run(Duration::from_secs(3));
    let of = |ssrc: u32| w.reports.iter().filter(|r| r.0 == ssrc).map(|r| r.1).next_back().unwrap();
    let (v, a) = (of(VIDEO.ssrc), of(AUDIO.ssrc));
    // Both speak of the same moment, and of the time that it was.
    assert_eq!(v.ntp, a.ntp);
    let unix = (v.ntp >> 32) - 2_208_988_800;
    assert!(unix - 1_700_000_000 < 60);
    // Video: its own timestamps are captured time at 90 kHz, moved by its offset.
    let seconds =
        (v.ntp >> 32) as f64 + (v.ntp & 0xffff_ffff) as f64 / 4_294_967_296.0 - 2_208_988_800.0 - 1_700_000_000.0;
    let video = f64::from(v.rtp.wrapping_sub(12_345)) / 90_000.0;
    assert!((video - seconds).abs() < 0.002, "{video} {seconds}");
    assert_eq!((v.packets, v.bytes), (110 + 120, (110 + 120) * 1_000));
    assert!(a.packets > 0);
}

#[test]
fn reports_go_with_a_frame_and_alone_only_where_none_comes() {
    let mut w = joined(vec![video(None)]);
    w.run(Duration::from_secs(1));
    let (mut with, mut alone) = (0, 0);
    for _ in 0..150 {
        w.now += 39 * MS;
        let before = w.reports.len();
        w.frame(false, 2);
        let after = w.reports.len();
        w.run(MS);
        (with, alone) = (with + after - before, alone + w.reports.len() - after);
    }
    assert_eq!((with, alone), (3, 0));
    let before = w.reports.len();
    w.run(Duration::from_secs(5));
    assert!(w.reports.len() >= before + 2);
}

#[test]
fn strangers_change_nothing() {
    let mut w = joined(vec![video(Some(RTX))]);
    w.tell(|_| ());
    let stats = w.session.stats();
    let stranger = Route { via: Via::Udp, local: "66.6.6.6:6".parse().unwrap(), ..w.route() };
    // What the viewer itself sent, from another address; and what nobody sent.
    let mut report = vec![0x80, 201, 0, 1, 0, 0, 0, 9];
    report.resize(8 + 16, 0);
    report.extend_from_slice(&[0x80, 0, 0, 77]);
    for route in [stranger, w.route()] {
        let taken = w.send(route, report.clone());
        assert_eq!(taken, Some(if route == stranger { Taken::Ignored } else { Taken::Forged }));
    }
    assert_eq!(w.send(stranger, vec![22; 80]), Some(Taken::Ignored));
    assert_eq!(w.send(stranger, vec![0x80; 80]), Some(Taken::Ignored));
    assert!(w.batch.is_empty());
    assert_eq!(w.session.stats(), Stats { forged: 1, ..stats });
    assert!(w.session.connected());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Rubbish of every protocol by the viewer's own address, before and after it joined.
    #[test]
    fn rubbish_does_no_harm(list in proptest::collection::vec((0usize..5, proptest::collection::vec(any::<u8>(), 0..120)), 1..60)) {
        let mut w = running(vec![video(Some(RTX)), audio()]);
        let route = w.route();
        for after in [false, true] {
            if after { w.join(); }
            for (what, data) in &list {
                let mut data = data.clone();
                if let Some(b) = data.first_mut() { *b = [0, 22, 0x80, 0x81, *b][*what]; }
                if *what == 3 && data.len() > 1 { data[1] = 200 + data[1] % 8; }
                prop_assert_ne!(w.send(route, data), Some(Taken::Authentic));
            }
            w.deliver();
        }
        w.run(200 * MS);
        prop_assert!(w.session.connected());
        prop_assert_eq!(media(&w).len(), 110);
    }
}
