//! The parameter sets of a video track, as one key frame after the other brings them.
//! Pure.
//!
//! The sample entry has them all, and another one is another init segment behind a
//! discontinuity. There are cameras that take turns between parameter sets: those of
//! several ids are kept side by side, and when two PPS take turns under one id, what a
//! key frame brings stays in front of its picture. `avc1` and `hvc1` do not foresee
//! that (ISO/IEC 14496-15 §5.3.2), yet every decoder takes it, while `avc3` and `hev1`,
//! which do, are refused by Apple's players.

use crate::hls::cmaf::sample_entry::parse;
use crate::media::nal::bits::set_id;
use crate::media::nal::{Format, MAX_SETS, ParameterSets, Set};

/// See the module.
#[derive(Debug, Clone)]
pub struct Sets {
    format: Format,
    all: ParameterSets,
    /// A PPS has replaced one of its id.
    replaced: bool,
    in_band: bool,
}

impl Sets {
    /// Those of the first key frame.
    pub fn new(format: Format, first: &ParameterSets) -> Self {
        let mut sets = Sets { format, all: ParameterSets::default(), replaced: false, in_band: false };
        sets.put_all(first);
        sets
    }

    /// All that the sample entry has to have.
    pub fn all(&self) -> &ParameterSets {
        &self.all
    }

    /// Takes what a key frame brought. Returns whether the sample entry is out of date
    /// now, and a new init segment is due.
    pub fn take(&mut self, newer: &ParameterSets) -> bool {
        if !self.goes_on(newer) {
            // Only what this key frame brought: the others belong to what was.
            if newer.complete(self.format) {
                self.all = ParameterSets::default();
            }
            self.put_all(newer);
            (self.replaced, self.in_band) = (false, false);
            return true;
        }
        let mut changed = false;
        for (mine, theirs, kind) in kinds(&mut self.all, newer) {
            for set in theirs.iter().filter(|set| !mine.contains(set)).cloned().collect::<Vec<_>>() {
                let known = mine.iter().any(|old| set_id(self.format, kind, old) == set_id(self.format, kind, &set));
                if self.in_band || (known && self.replaced) || (!known && mine.len() >= MAX_SETS) {
                    self.in_band = true;
                    continue;
                }
                self.replaced |= known;
                changed |= put(self.format, kind, mine, &set);
            }
        }
        changed
    }

    fn put_all(&mut self, newer: &ParameterSets) {
        for (mine, theirs, kind) in kinds(&mut self.all, newer) {
            for set in theirs {
                put(self.format, kind, mine, set);
            }
        }
    }

    /// What belongs in front of a picture: the PPS that came with it, each behind its
    /// length, where the sample entry cannot have them all.
    pub fn in_band(&self, newer: &ParameterSets) -> Vec<u8> {
        let mut out = Vec::new();
        for set in newer.pps.iter().filter(|_| self.in_band) {
            out.extend_from_slice(&u32::try_from(set.len()).unwrap_or(0).to_be_bytes());
            out.extend_from_slice(set);
        }
        out
    }

    /// Whether it is the same picture as before: no VPS or SPS has become another one,
    /// and what is new describes what was.
    fn goes_on(&self, newer: &ParameterSets) -> bool {
        let kept = |mine: &[Vec<u8>], theirs: &[Vec<u8>], kind| {
            theirs.iter().all(|set| {
                let id = set_id(self.format, kind, set);
                mine.iter().find(|old| set_id(self.format, kind, old) == id).is_none_or(|old| old == set)
            })
        };
        let same = newer.sps.is_empty() || parse(self.format, newer) == parse(self.format, &self.all);
        same && kept(&self.all.vps, &newer.vps, Set::Vps) && kept(&self.all.sps, &newer.sps, Set::Sps)
    }
}

type Kind<'a> = (&'a mut Vec<Vec<u8>>, &'a Vec<Vec<u8>>, Set);

fn kinds<'a>(mine: &'a mut ParameterSets, theirs: &'a ParameterSets) -> [Kind<'a>; 3] {
    [
        (&mut mine.vps, &theirs.vps, Set::Vps),
        (&mut mine.sps, &theirs.sps, Set::Sps),
        (&mut mine.pps, &theirs.pps, Set::Pps),
    ]
}

/// Puts a set in the place of the one of its id, or behind the others. Whether it did.
fn put(format: Format, kind: Set, mine: &mut Vec<Vec<u8>>, set: &[u8]) -> bool {
    let id = set_id(format, kind, set);
    let at = mine.iter().position(|old| set_id(format, kind, old) == id);
    let room = mine.len() < MAX_SETS;
    match at.and_then(|at| mine.get_mut(at)) {
        Some(old) if old == set => return false,
        Some(old) => *old = set.to_vec(),
        None if room => mine.push(set.to_vec()),
        None => return false,
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 1280×720, constrained baseline, from x264.
    const SPS: [u8; 23] = [
        0x67, 0x42, 0xc0, 0x1f, 0xda, 0x01, 0x40, 0x16, 0xec, 0x04, 0x40, 0, 0, 3, 0, 0x40, 0, 0, 0x0c, 0xa3, 0xc6,
        0x0c, 0xa8,
    ];
    /// PPS of id 0 in three versions, and of id 1 (010…).
    const PPS: [[u8; 3]; 3] = [[0x68, 0xce, 0x38], [0x68, 0xce, 0x3c], [0x68, 0xce, 0x0f]];
    const PPS_1: [u8; 3] = [0x68, 0x4c, 0x38];

    fn sets(sps: &[u8], pps: &[&[u8]]) -> ParameterSets {
        let pps = pps.iter().map(|p| p.to_vec()).collect();
        ParameterSets { vps: Vec::new(), sps: vec![sps.to_vec()], pps }
    }

    fn with(pps: &[&[u8]]) -> ParameterSets {
        sets(&SPS, pps)
    }

    #[test]
    fn what_is_the_same_changes_nothing() {
        let mut s = Sets::new(Format::H264, &with(&[&PPS[0]]));
        assert!(!s.take(&with(&[&PPS[0]])) && !s.take(&ParameterSets::default()));
        assert!(s.in_band(&with(&[&PPS[0]])).is_empty());
    }

    #[test]
    fn two_ids_in_turns_are_kept_side_by_side() {
        let mut s = Sets::new(Format::H264, &with(&[&PPS[0]]));
        let maps = (0..10).filter(|i| s.take(&with(&[if i % 2 == 0 { &PPS_1 } else { &PPS[0] }]))).count();
        assert_eq!((maps, s.all().pps.len()), (1, 2));
        assert!(s.in_band(&with(&[&PPS_1])).is_empty());
    }

    #[test]
    fn two_contents_of_one_id_in_turns_come_in_band() {
        let mut s = Sets::new(Format::H264, &with(&[&PPS[0]]));
        // Once is another encoder setting, twice is a habit.
        assert!(s.take(&with(&[&PPS[1]])));
        assert!(s.in_band(&with(&[&PPS[1]])).is_empty());
        for i in 0..10 {
            assert!(!s.take(&with(&[&PPS[i % 3]])), "{i}");
            assert_eq!(s.in_band(&with(&[&PPS[i % 3]])), [&[0, 0, 0, 3], &PPS[i % 3][..]].concat());
        }
        assert_eq!(s.all().pps, [PPS[1].to_vec()]);
    }

    #[test]
    fn another_sps_begins_anew() {
        let mut other = SPS;
        other[3] = 0x20;
        let mut s = Sets::new(Format::H264, &with(&[&PPS[0], &PPS_1]));
        assert!(s.take(&sets(&other, &[&PPS[1]])));
        assert_eq!(*s.all(), sets(&other, &[&PPS[1]]));
        // An SPS alone keeps the PPS that there are.
        assert!(s.take(&sets(&SPS, &[])));
        assert_eq!(*s.all(), with(&[&PPS[1]]));
    }

    #[test]
    fn no_camera_fills_the_sample_entry() {
        let mut s = Sets::new(Format::H264, &with(&[&PPS[0]]));
        let maps = (0..255u8).filter(|id| s.take(&with(&[&[0x68, 1, *id, 0x80]]))).count();
        assert!(maps < MAX_SETS && s.all().pps.len() <= MAX_SETS);
    }

    proptest::proptest! {
        #[test]
        fn what_is_kept_is_known_whatever_comes(
            h265: bool,
            brought in proptest::collection::vec(proptest::collection::vec(proptest::prelude::any::<u8>(), 0..20), 0..9),
        ) {
            let format = if h265 { Format::H265 } else { Format::H264 };
            let mut sets = Sets::new(format, &ParameterSets::default());
            for chunk in brought.chunks(3) {
                let of = |i: usize| chunk.get(i).into_iter().cloned().collect::<Vec<_>>();
                sets.take(&ParameterSets { vps: of(0), sps: of(1), pps: of(2) });
                let all = sets.all().clone();
                proptest::prop_assert!(!sets.take(&all));
            }
        }
    }
}
