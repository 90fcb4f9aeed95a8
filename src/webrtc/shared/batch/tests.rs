use proptest::prelude::*;

use super::super::ice::Via;
use super::*;

fn route(port: u16) -> Route {
    Route { via: Via::Udp, local: ([10, 0, 0, 1], 8189).into(), remote: ([10, 0, 0, 2], port).into() }
}

fn put(b: &mut Batch, to: u16, packet: &[u8]) -> bool {
    b.put(route(to), packet.len() + 7, |out| {
        out[..packet.len()].copy_from_slice(packet);
        Some(packet.len())
    })
}

#[test]
fn a_run_ends_with_a_shorter_packet_or_another_peer() {
    let mut b = Batch::new();
    for (to, length) in [(1, 9), (1, 9), (1, 4), (1, 9), (2, 9), (1, 9), (1, 10)] {
        assert!(put(&mut b, to, &vec![length as u8; length]));
    }
    let shape: Vec<_> = b.runs().map(|(r, bytes)| (r.route.remote.port(), r.segment, r.packets, bytes.len())).collect();
    assert_eq!(shape, [(1, 9, 3, 22), (1, 9, 1, 9), (2, 9, 1, 9), (1, 9, 1, 9), (1, 10, 1, 10)]);
}

#[test]
fn what_is_not_filled_is_no_packet() {
    let mut b = Batch::new();
    assert!(!b.put(route(1), 10, |_| None));
    assert!(!b.put(route(1), 10, |_| Some(0)));
    assert!(!b.put(route(1), 10, |_| Some(11)));
    assert!(b.is_empty() && b.runs().next().is_none());
}

proptest! {
    #[test]
    fn every_packet_comes_out_as_it_went_in(list in proptest::collection::vec((0u16..3, 1usize..4, 1usize..2_000), 0..60), n in 1usize..3) {
        let mut b = Batch::new();
        for _ in 0..n {
            b.clear();
            let mut sent = Vec::new();
            for (i, (to, times, length)) in list.iter().enumerate() {
                for _ in 0..times * 30 {
                    let packet = vec![i as u8; *length];
                    prop_assert!(put(&mut b, *to, &packet));
                    sent.push((route(*to), packet));
                }
            }
            prop_assert_eq!(b.len(), sent.len());
            let got: Vec<_> = b.packets().map(|(r, p)| (r, p.to_vec())).collect();
            prop_assert_eq!(got, sent);
            for (r, bytes) in b.runs() {
                prop_assert!(r.packets <= SEGMENTS && bytes.len() <= BYTES);
                prop_assert_eq!(bytes.len().div_ceil(r.segment), r.packets);
            }
        }
    }
}
