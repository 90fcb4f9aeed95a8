//! Rows of the table.

use crate::report::{Figures, HEAD};

#[test]
fn a_row_has_a_cell_for_each_of_the_head() {
    let cells = |row: &str| row.lines().next().unwrap().matches(" |").count();
    let all = Figures {
        server: "MediaMTX".into(),
        case: "100".into(),
        viewers: 100,
        playing: 99,
        error: Some("closed | by the server".into()),
        packets: 436_000,
        cpu_us_per_packet: Some(11.04),
        core: Some(0.2406),
        threads: Some(8),
        kb_per_viewer: Some(3_800.0),
        answer_ms: Some([3.21, 14.9]),
        connected_ms: Some([3.6, 17.2]),
        key_ms: Some([4.0, 19.96, 1_203.4]),
        latency_ms: Some([3.0, 8.5]),
        lost: 3,
        skipped: 2,
        client_core: 0.5,
        others_core: 0.42,
        ..Figures::default()
    };
    assert_eq!(cells(&all.row()), cells(HEAD));
    assert_eq!(
        all.row(),
        "| MediaMTX | 100 (only 99 play: closed   by the server) | 11.04 µs | 24.1 % | 2.43 ms | 8 | 3800 KB | \
         3.2 / 15 ms | 3.6 / 17 ms | 4.0 / 20 / 1203 ms | 3.0 / 8.5 ms | 3 of 436000, 2 frames left out | 0 | 50 %, 42 % |"
    );
    let unknown = Figures { packets: 1, ..Figures::default() };
    assert_eq!(cells(&unknown.row()), cells(HEAD));
    assert!(unknown.row().contains("| – | – |"));
    let failed = Figures { server: "shared".into(), error: Some("does not start".into()), ..Figures::default() };
    assert_eq!(failed.row(), "| shared |  | failed: does not start |");
}
