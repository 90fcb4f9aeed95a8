//! RTP payloads of one access unit put together: as an MP4 sample, NAL units with their
//! length in front and parameter sets apart (ISO/IEC 14496-15 §5.3, §8.3), or as a byte
//! stream (Annex B of H.264 and H.265). Pure.
//!
//! Not GStreamer's depayloaders: `rtph264pay config-interval=-1` repeats the parameter
//! sets before every slice of a key frame, and `rtph264depay` takes those for the
//! beginning of another picture. Here each set stands once, in front.
//!
//! The Hub drops sequence numbers, so a fragment lost in the *middle* of a NAL
//! unit cannot be seen here; a lost first or last one is.

pub mod bits;
pub mod sps;
pub mod sps_h265;

use crate::media::codec::Codec;

/// Bytes of the length in front of each NAL unit (`lengthSizeMinusOne` + 1).
const LENGTH: usize = 4;
/// Most parameter sets of one kind that are kept: what `avcC` can hold of SPS.
pub(crate) const MAX_SETS: usize = 31;
/// Largest parameter set: its length is 16 bits in `avcC` and `hvcC`.
const MAX_SET: usize = u16::MAX as usize;

/// The codec of the payloads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// RFC 6184.
    H264,
    /// RFC 7798.
    H265,
}

impl Format {
    /// The format of a codec that is made of NAL units.
    pub fn of(codec: &Codec) -> Option<Self> {
        match codec {
            Codec::H264 { .. } => Some(Format::H264),
            Codec::H265 { .. } => Some(Format::H265),
            _ => None,
        }
    }

    /// An access unit delimiter for any kind of picture (H.264 §7.3.2.4, H.265 §7.3.2.5).
    fn delimiter(self) -> &'static [u8] {
        match self {
            Format::H264 => &[0, 0, 0, 1, 0x09, 0xf0],
            Format::H265 => &[0, 0, 0, 1, 0x46, 0x01, 0x50],
        }
    }
}

/// Parameter sets, whole NAL units without start code or length.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ParameterSets {
    /// Video parameter sets, H.265 only.
    pub vps: Vec<Vec<u8>>,
    /// Sequence parameter sets.
    pub sps: Vec<Vec<u8>>,
    /// Picture parameter sets.
    pub pps: Vec<Vec<u8>>,
}

impl ParameterSets {
    /// Whether everything that the sample entry needs is there.
    pub fn complete(&self, format: Format) -> bool {
        !self.sps.is_empty() && !self.pps.is_empty() && (format == Format::H264 || !self.vps.is_empty())
    }
}

/// What kind of parameter set a NAL unit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Set {
    Vps,
    Sps,
    Pps,
}

/// One access unit as an MP4 sample.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sample {
    /// NAL units, each behind its length (4 bytes, big endian), without access
    /// unit delimiters, filler and parameter sets. Empty when no picture was there.
    pub data: Vec<u8>,
    /// The parameter sets that were in band.
    pub sets: ParameterSets,
    /// IDR (H.264) or IRAP (H.265): decoding can start here. Narrower than the
    /// Hub's `key`, which also takes an SPS for one (open GOPs, intra refresh).
    pub sync: bool,
    /// No other picture refers to this one (`nal_ref_idc` 0; H.265 Table 7-1,
    /// sub-layer non-reference).
    pub disposable: bool,
    /// H.265: a RASL picture. After a CRA at which decoding *starts* it refers to
    /// what is not there: leave it out until the next picture without this flag.
    pub rasl: bool,
    /// NAL units (or packets that are none) thrown away: incomplete, malformed.
    pub damaged: u32,
}

impl Sample {
    /// The access unit as a byte stream: a delimiter (transport streams demand it, ISO/IEC
    /// 13818-1 §2.14.1), the parameter sets, the rest.
    pub fn byte_stream(mut self, format: Format) -> Vec<u8> {
        const START: [u8; LENGTH] = [0, 0, 0, 1];
        let mut at = 0;
        while let Some(length) = self.data.get_mut(at..at + LENGTH) {
            let size = length.iter().fold(0usize, |n, b| n << 8 | usize::from(*b));
            length.copy_from_slice(&START);
            at += LENGTH + size;
        }
        let sets = || self.sets.vps.iter().chain(&self.sets.sps).chain(&self.sets.pps);
        let front: usize = sets().map(|s| s.len() + LENGTH).sum();
        let mut out = Vec::with_capacity(format.delimiter().len() + front + self.data.len());
        out.extend_from_slice(format.delimiter());
        for set in sets() {
            out.extend_from_slice(&START);
            out.extend_from_slice(set);
        }
        out.append(&mut self.data);
        out
    }
}

/// Puts the payloads of one access unit together.
pub fn depacketise<'a>(format: Format, payloads: impl Iterator<Item = &'a [u8]> + Clone) -> Sample {
    // Once for all: more than it needs, except for aggregates of tiny units.
    let size = payloads.clone().map(|p| p.len() + LENGTH).sum();
    let mut b = Builder {
        format,
        s: Sample { data: Vec::with_capacity(size), ..Default::default() },
        open: None,
        disposable: true,
    };
    for p in payloads {
        match format {
            Format::H264 => b.h264(p),
            Format::H265 => b.h265(p),
        }
    }
    b.abandon();
    b.s.disposable = b.disposable && !b.s.data.is_empty();
    b.s
}

struct Builder {
    format: Format,
    s: Sample,
    /// Where the length of the fragmented unit that is being read will be.
    open: Option<usize>,
    disposable: bool,
}

impl Builder {
    /// RFC 6184 §5.4: single NAL unit and non-interleaved mode.
    fn h264(&mut self, p: &[u8]) {
        let [h, rest @ ..] = p else { return };
        match h & 0x1f {
            24 => self.aggregate(rest),
            28 => {
                let [fu, data @ ..] = rest else { return self.damage() };
                self.fragment(*fu, &[(h & 0xe0) | (fu & 0x1f)], data);
            }
            _ => self.whole(p),
        }
    }

    /// RFC 7798 §4.4, without DONL: `sprop-max-don-diff` is 0 for every camera.
    fn h265(&mut self, p: &[u8]) {
        let [h, layer, rest @ ..] = p else { return self.damage() };
        match (h >> 1) & 0x3f {
            48 => self.aggregate(rest),
            49 => {
                let [fu, data @ ..] = rest else { return self.damage() };
                self.fragment(*fu, &[(h & 0x81) | ((fu & 0x3f) << 1), *layer], data);
            }
            _ => self.whole(p),
        }
    }

    fn damage(&mut self) {
        self.abandon();
        self.s.damaged += 1;
    }

    /// A fragmented unit without an end is of no use: decoders take it for whole.
    fn abandon(&mut self) {
        if let Some(start) = self.open.take() {
            self.s.data.truncate(start);
            self.s.damaged += 1;
        }
    }

    /// STAP-A and AP have the same shape: 16 bits of size in front of each unit.
    fn aggregate(&mut self, mut rest: &[u8]) {
        while let [a, b, tail @ ..] = rest {
            let size = usize::from(u16::from_be_bytes([*a, *b]));
            let Some((nal, next)) = tail.split_at_checked(size) else { return self.damage() };
            self.whole(nal);
            rest = next;
        }
        if !rest.is_empty() {
            self.damage();
        }
    }

    /// FU-A and FU: S and E are the upper two bits of the FU header in both.
    fn fragment(&mut self, fu: u8, header: &[u8], data: &[u8]) {
        if fu & 0x80 != 0 {
            self.abandon();
            self.open = Some(self.begin(header));
        } else if self.open.is_none() {
            return self.damage();
        }
        self.s.data.extend_from_slice(data);
        if fu & 0x40 != 0
            && let Some(start) = self.open.take()
        {
            self.finish(start);
        }
    }

    fn whole(&mut self, nal: &[u8]) {
        self.abandon();
        let start = self.begin(nal);
        self.finish(start);
    }

    fn begin(&mut self, bytes: &[u8]) -> usize {
        let start = self.s.data.len();
        self.s.data.extend_from_slice(&[0; LENGTH]);
        self.s.data.extend_from_slice(bytes);
        start
    }

    /// Decides what becomes of the unit that begins at `start` and is whole now.
    fn finish(&mut self, start: usize) {
        let nal = self.s.data.get(start + LENGTH..).unwrap_or_default();
        let kept = match self.format {
            Format::H264 => classify_h264(nal),
            Format::H265 => classify_h265(nal),
        };
        match kept {
            Some(Unit::Set(kind)) if nal.len() <= MAX_SET => {
                let nal = nal.to_vec();
                let sets = match kind {
                    Set::Vps => &mut self.s.sets.vps,
                    Set::Sps => &mut self.s.sets.sps,
                    Set::Pps => &mut self.s.sets.pps,
                };
                if sets.len() < MAX_SETS && !sets.contains(&nal) {
                    sets.push(nal);
                }
                self.s.data.truncate(start);
            }
            Some(Unit::Picture { sync, disposable, rasl }) => {
                self.s.sync |= sync;
                self.s.rasl |= rasl;
                self.disposable &= disposable;
                self.length(start);
            }
            Some(Unit::Other) => self.length(start),
            Some(Unit::Unwanted) => self.s.data.truncate(start),
            Some(Unit::Set(_)) | None => {
                self.s.data.truncate(start);
                self.s.damaged += 1;
            }
        }
    }

    fn length(&mut self, start: usize) {
        let len = (self.s.data.len() - start - LENGTH) as u32;
        if let Some(at) = self.s.data.get_mut(start..start + LENGTH) {
            at.copy_from_slice(&len.to_be_bytes());
        }
    }
}

enum Unit {
    Picture { sync: bool, disposable: bool, rasl: bool },
    Set(Set),
    Other,
    Unwanted,
}

/// ITU-T H.264 Table 7-1. None: no NAL unit that may stand alone.
fn classify_h264(nal: &[u8]) -> Option<Unit> {
    let [h, _, ..] = *nal else {
        // Delimiters of sequence and stream are a byte long.
        return nal.first().filter(|h| matches!(*h & 0x9f, 10 | 11)).map(|_| Unit::Other);
    };
    if h & 0x80 != 0 {
        return None;
    }
    Some(match h & 0x1f {
        t @ 1..=5 => Unit::Picture { sync: t == 5, disposable: h & 0x60 == 0, rasl: false },
        7 => Unit::Set(Set::Sps),
        8 => Unit::Set(Set::Pps),
        9 | 12 => Unit::Unwanted,
        0 | 24..=31 => return None,
        _ => Unit::Other,
    })
}

/// ITU-T H.265 Table 7-1.
fn classify_h265(nal: &[u8]) -> Option<Unit> {
    let [h, layer, ..] = *nal else { return None };
    // nuh_temporal_id_plus1 is never 0.
    if h & 0x80 != 0 || layer & 7 == 0 {
        return None;
    }
    Some(match (h >> 1) & 0x3f {
        t @ 0..=31 => {
            Unit::Picture { sync: (16..=23).contains(&t), disposable: t < 16 && t % 2 == 0, rasl: matches!(t, 8 | 9) }
        }
        32 => Unit::Set(Set::Vps),
        33 => Unit::Set(Set::Sps),
        34 => Unit::Set(Set::Pps),
        35 | 38 => Unit::Unwanted,
        48..=63 => return None,
        _ => Unit::Other,
    })
}

#[cfg(test)]
mod tests;
