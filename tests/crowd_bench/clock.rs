//! The camera's clock, read from a screen.

use crate::camera::clock::behind_ms;

#[test]
fn the_newest_frame_of_a_code_counts() {
    assert_eq!(behind_ms(1_050 * 1_000_000, 26, 100), Some(10.0));
    assert_eq!(behind_ms(1_050 * 1_000_000, 25, 100), Some(50.0));
    // The recording's second turn; its end, seen at the third's beginning.
    assert_eq!(behind_ms(5_050 * 1_000_000, 26, 100), Some(10.0));
    assert_eq!(behind_ms(8_010 * 1_000_000, 99, 100), Some(50.0));
    assert_eq!(behind_ms(50_000_000, 50, 100), None);
    assert_eq!(behind_ms(50_000_000, 100, 100), None);
}
