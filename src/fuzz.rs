//! Fuzzing of what reads from the network.
//!
//! Each target is a test whose name begins with `fuzz`, beside its parser: real input,
//! [`mutated`], and what must hold whatever comes out. The suite runs a bounded number
//! of cases of each; for longer, by hand:
//!
//! ```text
//! PROPTEST_CASES=10000000 cargo test --release --lib fuzz
//! ```
//!
//! proptest's own configuration reads that variable unless a test sets a number itself,
//! which is why all of them take theirs from [`cases`].

use proptest::prelude::*;
use proptest::sample::Index;

/// So many cases, or PROPTEST_CASES where it is set.
pub fn cases(bounded: u32) -> ProptestConfig {
    let config = ProptestConfig::default();
    match std::env::var_os("PROPTEST_CASES") {
        Some(_) => config,
        None => ProptestConfig { cases: bounded, ..config },
    }
}

/// Values that parsers trip over, in a length above all.
const ODD: [u16; 12] = [0, 1, 2, 3, 4, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0x8000, 0xffff];

/// One of `corpus`, changed in up to a dozen places: bits, odd values in bytes and words,
/// parts cut out, doubled, moved, taken from another one.
pub fn mutated(corpus: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let change = (0..9u8, any::<Index>(), any::<Index>(), any::<u16>());
    let one = prop::sample::select(corpus.clone());
    (one, prop::collection::vec(change, 0..12), prop::sample::select(corpus)).prop_map(|(mut data, changes, other)| {
        for (what, a, b, value) in changes {
            change_one(&mut data, &other, what, (a, b), value);
        }
        data
    })
}

fn change_one(data: &mut Vec<u8>, other: &[u8], what: u8, (a, b): (Index, Index), value: u16) {
    if data.is_empty() {
        data.extend_from_slice(&value.to_be_bytes());
        return;
    }
    let (x, y) = (a.index(data.len()), b.index(data.len()));
    let (from, to) = (x.min(y), x.max(y));
    let odd = ODD[usize::from(value) % ODD.len()];
    match what {
        0 => data[x] ^= 1 << (value % 8),
        1 => data[x] = odd as u8,
        2 => {
            let word =
                if value.is_multiple_of(3) { (data.len() as u16).wrapping_add(value % 7).wrapping_sub(3) } else { odd };
            data.splice(x..(x + 2).min(data.len()), word.to_be_bytes());
        }
        3 => drop(data.drain(from..to)),
        4 if data.len() < 8_192 => {
            let part = data[from..to].to_vec();
            data.splice(x..x, part);
        }
        5 => data.truncate(x),
        6 => drop(data.splice(x..x, value.to_be_bytes())),
        7 => {
            data.truncate(x);
            data.extend_from_slice(&other[b.index(other.len() + 1).min(other.len())..]);
        }
        _ => data.swap(x, y),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest! {
        #![proptest_config(cases(300))]

        #[test]
        fn mutations_are_bounded(data in mutated(vec![vec![1, 2, 3, 4, 5], vec![9; 40]])) {
            prop_assert!(data.len() < 40 * 4_096);
        }
    }
}
