//! What a viewer tells, and what it gets for it.

use super::*;

#[test]
fn what_is_missed_is_sent_again_as_rtx() {
    let mut w = joined(vec![video(Some(RTX))]);
    let sent: HashMap<u16, Got> = media(&w).into_iter().map(|g| (g.sequence, g.clone())).collect();
    w.got.clear();
    // Two of the replay, one that was never sent.
    w.tell(|t| _ = t.nack(9, VIDEO.ssrc, &[65_531, 3, 5_000]));
    assert_eq!(w.got.len(), 2);
    for (g, wanted) in w.got.iter().zip([65_531u16, 3]) {
        let original = &sent[&wanted];
        assert_eq!((g.ssrc, g.timestamp, g.marker), (RTX.ssrc, original.timestamp, original.marker));
        assert_eq!(g.payload[..2], wanted.to_be_bytes());
        assert_eq!(g.payload[2..], original.payload);
    }
    let s = w.session.stats();
    assert_eq!((s.nacked, s.resent, s.refused), (3, 2, 1));
    // At once again: no. A little later: yes.
    w.tell(|t| _ = t.nack(9, VIDEO.ssrc, &[3]));
    assert_eq!(w.got.len(), 2);
    w.now += 30 * MS;
    w.tell(|t| _ = t.nack(9, VIDEO.ssrc, &[3]));
    assert_eq!(w.got.len(), 3);
}

#[test]
fn without_rtx_it_is_the_same_packet() {
    let mut w = joined(vec![video(None)]);
    let sent = media(&w)[50].clone();
    w.got.clear();
    let before = w.session.stats().resent;
    let route = w.route();
    let mut data = Vec::new();
    rtcp::Writer::new(&mut data).receiver_report(9, &[]).nack(9, VIDEO.ssrc, &[sent.sequence]);
    let n = data.len();
    let out = &mut w.keys.as_mut().unwrap().0;
    data.resize(n + out.profile().rtcp_overhead(), 0);
    out.protect_rtcp(&mut data, n).unwrap();
    w.send(route, data);
    assert_eq!(w.session.stats().resent, before + 1);
    let again: Vec<Vec<u8>> = w.batch.packets().map(|(_, p)| p.to_vec()).collect();
    assert_eq!(again.len(), 1);
    // It is known as one that came before: the same index, and it verifies.
    let peer = &mut w.keys.as_mut().unwrap().1;
    assert_eq!(peer.unprotect(&mut again[0].clone()), Err(super::super::super::srtp::Reject::Replayed));
    assert_eq!(again[0][2..4], sent.sequence.to_be_bytes());
}

#[test]
fn who_asks_for_everything_again_gets_little() {
    let mut w = joined(vec![video(Some(RTX))]);
    w.got.clear();
    let all: Vec<u16> = (0..110u16).map(|i| 65_530u16.wrapping_add(i)).collect();
    for _ in 0..50 {
        w.tell(|t| _ = t.nack(9, VIDEO.ssrc, &all));
        w.now += 20 * MS;
    }
    // 200 at once, and 100 in the second that this took.
    assert!((200..=310).contains(&w.got.len()), "{}", w.got.len());
}

#[test]
fn a_lost_picture_is_replayed_and_the_source_may_be_asked() {
    let mut w = joined(vec![video(None)]);
    let before = media(&w).len();
    let last = media(&w).last().unwrap().timestamp;
    for _ in 0..20 {
        w.tell(|t| _ = t.pli(9, VIDEO.ssrc));
    }
    w.run(100 * MS);
    let again = media(&w)[before..].to_vec();
    assert_eq!(again.len(), 110, "once, however often it asks");
    assert_eq!(again[0].payload[..5], [0, 0, 0, 0, 0]);
    assert!(again.iter().all(|g| g.timestamp.wrapping_sub(last) as i32 > 0));
    assert_eq!(w.events.iter().filter(|e| **e == Event::KeyWanted(0)).count(), 1);
}

/// As by PLI, and each stream that is named in it counts.
#[test]
fn a_full_intra_request_is_answered_from_the_cache_as_well() {
    let mut w = joined(vec![video(None)]);
    let before = media(&w).len();
    w.tell(|t| _ = t.fir(9, &[(5, 1)]));
    w.run(100 * MS);
    assert_eq!(media(&w).len(), before, "another's stream");
    for number in 2..22 {
        w.tell(|t| _ = t.fir(9, &[(5, number), (VIDEO.ssrc, number)]));
    }
    w.run(100 * MS);
    let again = &media(&w)[before..];
    assert_eq!(again.len(), 110, "once, however often it asks");
    assert_eq!(again[0].payload[..5], [0, 0, 0, 0, 0]);
    assert_eq!(w.events.iter().filter(|e| **e == Event::KeyWanted(0)).count(), 1);
}

#[test]
fn a_link_that_drowns_gets_key_frames_until_it_is_better() {
    let mut w = joined(vec![video(None)]);
    let loss = |w: &mut World, seconds: usize, fraction: u8| {
        for _ in 0..seconds {
            for n in 0..25 {
                w.frame(n == 0, 2);
                w.run(40 * MS);
            }
            let block = rtcp::Report { ssrc: VIDEO.ssrc, fraction, ..Default::default() };
            w.tell(|t| _ = t.receiver_report(9, &[block]));
        }
    };
    loss(&mut w, 12, 0);
    assert_eq!((w.session.stats().paused, w.session.stats().dropped), (0, 0));
    loss(&mut w, 5, 200);
    assert_eq!(w.session.stats().paused, 1);
    let before = media(&w).len();
    loss(&mut w, 3, 200);
    // Of 75 frames three, and none in part.
    assert_eq!(media(&w).len() - before, 6);
    assert!(w.session.stats().dropped >= 72);
    loss(&mut w, 4, 0);
    let before = media(&w).len();
    loss(&mut w, 2, 0);
    assert_eq!(media(&w).len() - before, 100);
}
