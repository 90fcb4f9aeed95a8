//! The Hub's frames as the rings hold them.

use super::ring::Unit;
use crate::media::hub::AccessUnit;

impl Unit for AccessUnit {
    fn packets(&self) -> usize {
        self.packet_count()
    }

    fn payload(&self, i: usize) -> Option<&[u8]> {
        AccessUnit::payload(self, i)
    }

    fn key(&self) -> bool {
        self.key
    }

    fn timestamp(&self) -> u32 {
        self.timestamp
    }

    fn bytes(&self) -> usize {
        self.size()
    }

    fn captured(&self) -> u64 {
        self.pts_ns
    }
}
