//! Fragmented MP4 for HLS: the init segment and the fragments of one file with
//! video and audio (ISO/IEC 14496-12; RFC 8216 §3.3; ISO/IEC 23000-19). Pure.
//!
//! A *part* is one fragment (`moof` + `mdat`), a *segment* its parts one after the
//! other: whoever has the parts has the segment.

pub mod decode_time;
mod sample_entry;
pub mod sets;

use mp4_atom::{self as mp4, Encode, FourCC};

pub use crate::hls::cmaf::sample_entry::Track;

/// Why no init segment or fragment could be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// No track, or a fragment without samples.
    Empty,
    /// SPS, PPS (or VPS) missing, too many, too long.
    ParameterSets,
    /// The SPS cannot be read.
    Sps,
    /// The AudioSpecificConfig cannot be read.
    AudioConfig,
    /// A value does not fit: more than 2 GB in one fragment, for example.
    TooLarge,
    /// What the MP4 library says.
    Write(String),
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Error::Empty => f.write_str("nothing to write"),
            Error::ParameterSets => f.write_str("parameter sets are missing or too large"),
            Error::Sps => f.write_str("the SPS cannot be read"),
            Error::AudioConfig => f.write_str("the AudioSpecificConfig cannot be read"),
            Error::TooLarge => f.write_str("too large for a fragment"),
            Error::Write(e) => write!(f, "MP4: {e}"),
        }
    }
}

impl std::error::Error for Error {}

impl From<mp4::Error> for Error {
    fn from(e: mp4::Error) -> Self {
        Error::Write(e.to_string())
    }
}

/// One sample of a fragment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample<'a> {
    /// Its bytes: length-prefixed NAL units, a raw AAC frame, an Opus packet.
    pub data: &'a [u8],
    /// Until the decode time of the next one, in units of the track.
    pub duration: u32,
    /// Presentation minus decode time ([`decode_time::Decode::offset`]), in units of the track.
    pub offset: i32,
    /// Decoding can start here; always for audio.
    pub sync: bool,
    /// No other sample needs this one.
    pub disposable: bool,
}

impl<'a> Sample<'a> {
    /// An audio sample.
    pub fn audio(data: &'a [u8], duration: u32) -> Self {
        Sample { data, duration, offset: 0, sync: true, disposable: false }
    }

    /// ISO/IEC 14496-12 §8.8.3.1: sample_depends_on, sample_is_depended_on,
    /// sample_is_non_sync_sample.
    fn flags(&self) -> u32 {
        let depended = if self.disposable { 2 << 22 } else { 0 };
        depended | if self.sync { 2 << 24 } else { 1 << 24 | 1 << 16 }
    }
}

/// The samples of one track in a fragment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run<'a> {
    /// Place of the track in [`init`]'s list, from 0.
    pub track: usize,
    /// Decode time of the first sample in units of the track (`tfdt`). Both tracks
    /// count from the same moment; it has to lie so far back that no decode time is
    /// negative.
    pub base: u64,
    /// In decode order; a run without samples is left out.
    pub samples: Vec<Sample<'a>>,
}

/// The init segment (`EXT-X-MAP`): `ftyp` and `moov`, no samples.
pub fn init(tracks: &[Track]) -> Result<Vec<u8>, Error> {
    if tracks.is_empty() {
        return Err(Error::Empty);
    }
    // iso6: tfdt, default-base-is-moof, signed offsets. A file with two tracks is no
    // CMAF track file, so cmfc is for one.
    let brands = [b"iso6", b"mp41", b"cmfc"];
    let brands = brands.iter().take(if tracks.len() == 1 { 3 } else { 2 });
    let ftyp = mp4::Ftyp {
        major_brand: FourCC::new(b"iso6"),
        minor_version: 0,
        compatible_brands: brands.map(|b| FourCC::new(b)).collect(),
    };
    let moov = mp4::Moov {
        mvhd: mp4::Mvhd {
            creation_time: 0,
            modification_time: 0,
            timescale: 1_000,
            duration: 0,
            rate: 1.into(),
            volume: 1.into(),
            matrix: Default::default(),
            next_track_id: tracks.len() as u32 + 1,
        },
        mvex: Some(mp4::Mvex {
            mehd: None,
            trex: (1..=tracks.len() as u32)
                .map(|track_id| mp4::Trex { track_id, default_sample_description_index: 1, ..Default::default() })
                .collect(),
        }),
        trak: (1..).zip(tracks).map(|(id, t)| trak(id, t)).collect::<Result<_, _>>()?,
        ..Default::default()
    };
    let mut out = Vec::with_capacity(1_024);
    ftyp.encode(&mut out)?;
    moov.encode(&mut out)?;
    Ok(out)
}

fn trak(track_id: u32, track: &Track) -> Result<mp4::Trak, Error> {
    let entry = track.entry()?;
    let sps = track.sps();
    // tkhd has the size that is shown: stretched where pixels are not square.
    let (mut width, mut height) = (0, 0);
    if let Some(s) = sps {
        let (h, v) = s.sar.map_or((1, 1), |(h, v)| (u64::from(h), u64::from(v)));
        width = u16::try_from(u64::from(s.width) * h / v).map_err(|_| Error::Sps)?;
        height = u16::try_from(s.height).map_err(|_| Error::Sps)?;
    }
    let (handler, name) = if sps.is_some() { (b"vide", "video") } else { (b"soun", "audio") };
    let url = mp4::DrefEntry::Url(mp4::Url { location: String::new() });
    Ok(mp4::Trak {
        tkhd: mp4::Tkhd {
            track_id,
            enabled: true,
            in_movie: true,
            volume: u8::from(sps.is_none()).into(),
            width: width.into(),
            height: height.into(),
            ..Default::default()
        },
        mdia: mp4::Mdia {
            mdhd: mp4::Mdhd { timescale: track.timescale()?, language: "und".into(), ..Default::default() },
            hdlr: mp4::Hdlr { handler: FourCC::new(handler), name: name.into() },
            minf: mp4::Minf {
                vmhd: sps.map(|_| mp4::Vmhd::default()),
                smhd: sps.is_none().then(mp4::Smhd::default),
                dinf: mp4::Dinf { dref: mp4::Dref { entries: vec![url] } },
                stbl: mp4::Stbl {
                    stsd: mp4::Stsd { codecs: vec![entry] },
                    // Empty, but it has to be there.
                    stco: Some(mp4::Stco::default()),
                    ..Default::default()
                },
                ..Default::default()
            },
        },
        ..Default::default()
    })
}

/// One fragment: `moof` and `mdat` with the samples of all runs, in one piece of
/// memory. `sequence` counts fragments from 1 on (`mfhd`).
pub fn fragment(sequence: u32, runs: &[Run<'_>]) -> Result<Vec<u8>, Error> {
    let runs: Vec<&Run> = runs.iter().filter(|r| !r.samples.is_empty()).collect();
    if runs.is_empty() {
        return Err(Error::Empty);
    }
    let sizes: Vec<usize> = runs.iter().map(|r| r.samples.iter().map(|s| s.data.len()).sum()).collect();
    let body: usize = sizes.iter().sum();
    let mdat = u32::try_from(body + 8).ok().filter(|n| i32::try_from(*n).is_ok()).ok_or(Error::TooLarge)?;
    let mut moof = mp4::Moof {
        mfhd: mp4::Mfhd { sequence_number: sequence },
        traf: runs.iter().map(|r| traf(r)).collect::<Result<_, _>>()?,
    };
    // Offsets count from the moof's first byte, and its size is known only when it is
    // written. Their own size is fixed: so write it twice.
    let mut head = Vec::with_capacity(256 + 16 * runs.iter().map(|r| r.samples.len()).sum::<usize>());
    moof.encode(&mut head)?;
    let mut at = head.len() + 8;
    for (traf, size) in moof.traf.iter_mut().zip(&sizes) {
        for trun in &mut traf.trun {
            trun.data_offset = Some(i32::try_from(at).map_err(|_| Error::TooLarge)?);
        }
        at += size;
    }
    let mut out = Vec::with_capacity(at);
    moof.encode(&mut out)?;
    out.extend_from_slice(&mdat.to_be_bytes());
    out.extend_from_slice(b"mdat");
    for sample in runs.iter().flat_map(|r| &r.samples) {
        out.extend_from_slice(sample.data);
    }
    Ok(out)
}

fn traf(run: &Run<'_>) -> Result<mp4::Traf, Error> {
    let entry = |s: &Sample| {
        Ok(mp4::TrunEntry {
            duration: Some(s.duration),
            size: Some(u32::try_from(s.data.len()).map_err(|_| Error::TooLarge)?),
            // For each: with the first one's alone the library would write it as
            // first-sample-flags, and the others would inherit `trex`.
            flags: Some(s.flags()),
            cts: Some(s.offset.into()),
        })
    };
    let entries: Vec<mp4::TrunEntry> = run.samples.iter().map(entry).collect::<Result<_, Error>>()?;
    let track_id = u32::try_from(run.track).ok().and_then(|t| t.checked_add(1)).ok_or(Error::TooLarge)?;
    Ok(mp4::Traf {
        tfhd: mp4::Tfhd { track_id, default_base_is_moof: true, ..Default::default() },
        tfdt: Some(mp4::Tfdt { base_media_decode_time: run.base }),
        trun: vec![mp4::Trun { data_offset: Some(0), samples: entries.into() }],
        ..Default::default()
    })
}

#[cfg(test)]
mod tests;
