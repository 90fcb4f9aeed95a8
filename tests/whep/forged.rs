//! Packets of a viewer that somebody took down on their way and sends again, as they were
//! or with flipped bits, from the viewer's own address: nothing changes.

use super::kit::{SOON, gate};
use super::support::camera::Camera;
use super::support::relay::{Direction, Relay};
use super::support::until_true;
use super::support::whep::{Options, State, Viewer};

/// Packets sent between two looks at the pictures: what a socket's buffer holds for sure.
const BURST: usize = 50;

fn frames(viewer: &Viewer) -> usize {
    viewer.with(|log| log.video.complete_frames())
}

/// Sends them, some at a time, while pictures go on.
async fn send_all(relay: &Relay, viewer: &Viewer, packets: &[Vec<u8>]) {
    for burst in packets.chunks(BURST) {
        for packet in burst {
            relay.inject(packet);
        }
        let before = frames(viewer);
        until_true(SOON, "pictures beside what is injected", || frames(viewer) > before).await;
    }
}

/// Packets of each SSRC, media and retransmissions, and the index of the last picture.
fn standing(viewer: &Viewer) -> (usize, Option<u32>) {
    viewer.with(|log| (log.wire.streams.len(), log.video.indices().last().copied()))
}

#[tokio::test]
async fn replayed_and_forged_packets_change_nothing() {
    let camera = Camera::builder().size(320, 180).gop_frames(100).prerecorded().start();
    let (gateway, relay) = (gate(&camera), Relay::start(1));
    relay.record(true);
    let options = Options { audio: false, packets: true, receive_buffer: Some(8 << 20), ..Options::default() };
    let viewer = Viewer::join(gateway.url(), "gate", relay.options(options)).await.unwrap();
    until_true(SOON, "pictures", || frames(&viewer) > 50).await;
    // Something whose repetition would show: the key frame of the cache, once more.
    let keys = || viewer.with(|log| log.video.frames.iter().filter(|f| f.key).count());
    let steps_back = || viewer.with(|log| log.video.indices().windows(2).filter(|w| w[1] <= w[0]).count());
    let before = keys();
    viewer.request_key_frame();
    until_true(SOON, "the key frame again", || keys() > before && steps_back() == 1).await;
    let settled = frames(&viewer) + 75;
    let of = |kind: fn(u8) -> bool| {
        let taken = relay.taken(Direction::Up);
        taken.into_iter().filter(|p| kind(p[0])).collect::<Vec<_>>()
    };
    let all = || (of(|b| b < 4), of(|b| (20..64).contains(&b)), of(|b| b >= 128));
    until_true(SOON, "what followed it, and packets of all kinds", || {
        let (stun, dtls, rtcp) = all();
        frames(&viewer) > settled && stun.len() >= 4 && dtls.len() >= 2 && rtcp.len() >= 4
    })
    .await;
    relay.record(false);
    let (stun, dtls, rtcp) = all();
    let (streams, _) = standing(&viewer);

    // As they were.
    for packets in [&rtcp, &dtls, &stun] {
        send_all(&relay, &viewer, packets).await;
        send_all(&relay, &viewer, packets).await;
    }
    // With a bit flipped, each in another place; and cut short.
    let flipped = |packets: &[Vec<u8>]| -> Vec<Vec<u8>> {
        let flip = |(n, at): (usize, usize)| {
            let mut packet = packets[n % packets.len()].clone();
            let bit = at % (packet.len() * 8);
            packet[bit / 8] ^= 1 << (bit % 8);
            packet
        };
        let bits = (0..400).map(|i| (i * 7, i * 13));
        let cut = packets.iter().take(20).map(|p| p[..p.len() * 2 / 3].to_vec());
        bits.map(flip).chain(cut).collect()
    };
    for packets in [&rtcp, &dtls, &stun] {
        send_all(&relay, &viewer, &flipped(packets)).await;
    }
    // What anybody could write: DTLS alerts of epoch 0 (close_notify; handshake_failure),
    // in both versions.
    for (version, alert) in [(0xfd, [1, 0]), (0xfd, [2, 40]), (0xff, [1, 0]), (0xff, [2, 40])] {
        let record = [&[21, 0xfe, version, 0, 0, 0, 0, 0, 0, 0, 9, 0, 2][..], &alert[..]].concat();
        send_all(&relay, &viewer, &[record]).await;
    }

    let last = frames(&viewer) + 75;
    until_true(SOON, "pictures after it", || frames(&viewer) > last).await;
    assert_eq!(steps_back(), 1, "a replayed request was answered");
    assert_eq!(standing(&viewer).0, streams, "a replayed NACK was answered");
    assert_eq!(viewer.state(), State::Connected);
    viewer.with(|log| {
        assert_eq!((log.video.lost, log.video.missing(), log.wire.duplicates()), (0, 0, 0));
        assert!(log.error.is_none(), "{:?}", log.error);
    });
    assert!(!gateway.log().iter().any(|l| l.contains("viewer left")));
    // And it is still heard: its own next request is answered, its goodbye too.
    viewer.request_key_frame();
    until_true(SOON, "the key frame once more", || steps_back() == 2).await;
    viewer.close_dtls();
    gateway.wait_for_line(SOON, |l| l.contains("viewer left") && l.contains("closed by the peer"));
}
