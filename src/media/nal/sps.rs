//! What an H.264 sequence parameter set tells (ITU-T H.264 §7.3.2.1, Annex E),
//! and the shape of the same for H.265. Pure.

use super::bits::Bits;

/// Most pictures that a decoder holds back (`MaxDpbFrames` of H.264 §A.3.1,
/// `MaxDpbSize` of H.265 §A.4.2).
pub const MAX_REORDER: u32 = 16;

/// A picture's size beyond which a parameter set is nonsense: level 6.2 of either
/// codec ends at 8192 × 4320 or so, and sample entries have 16 bits.
const MAX_SIDE: u32 = 16_384;

/// Profile, tier and level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// H.264 §7.4.2.1.1.
    H264 {
        /// profile_idc, constraint flags, level_idc (level × 10).
        profile_level_id: [u8; 3],
    },
    /// H.265 §7.4.4.
    H265 {
        /// general_profile_space.
        space: u8,
        /// general_tier_flag: high tier.
        high: bool,
        /// general_profile_idc.
        idc: u8,
        /// general_profile_compatibility_flag[0] is the highest bit.
        compatibility: u32,
        /// The 48 bits from general_progressive_source_flag on.
        constraints: [u8; 6],
        /// general_level_idc: level × 30.
        level: u8,
        /// sps_max_sub_layers_minus1 + 1.
        layers: u8,
        /// sps_temporal_id_nesting_flag.
        nested: bool,
    },
}

/// What a sequence parameter set tells.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sps {
    /// Profile, tier and level.
    pub profile: Profile,
    /// Width of the picture in pixels, after cropping.
    pub width: u32,
    /// Height of the picture in pixels, after cropping.
    pub height: u32,
    /// Shape of a pixel, width : height, where it is said and not 1 : 1.
    pub sar: Option<(u16, u16)>,
    /// Frames per second as a fraction, where the VUI tells.
    pub fps: Option<(u32, u32)>,
    /// Pictures at most that come before another one and are shown after it. None:
    /// not said, and the profile allows B-frames.
    pub reorder: Option<u32>,
    /// chroma_format_idc: 1 is 4:2:0.
    pub chroma: u8,
    /// Bits per luma sample.
    pub depth_luma: u8,
    /// Bits per chroma sample.
    pub depth_chroma: u8,
}

impl Sps {
    /// The codec for `CODECS` (RFC 6381 §3.3; ISO/IEC 14496-15 Annex E), such as
    /// `avc1.64001F` and `hvc1.1.6.L93.B0`.
    pub fn codec_string(&self) -> String {
        match self.profile {
            Profile::H264 { profile_level_id: [p, c, l] } => format!("avc1.{p:02X}{c:02X}{l:02X}"),
            Profile::H265 { space, high, idc, compatibility, constraints, level, .. } => {
                let space = ["", "A", "B", "C"].get(usize::from(space)).copied().unwrap_or_default();
                let tier = if high { 'H' } else { 'L' };
                let mut s = format!("hvc1.{space}{idc}.{:X}.{tier}{level}", compatibility.reverse_bits());
                let used = constraints.iter().rposition(|b| *b != 0).map_or(0, |i| i + 1);
                for b in constraints.iter().take(used) {
                    s.push_str(&format!(".{b:X}"));
                }
                s
            }
        }
    }

    /// How long a frame lasts in 90 kHz, where the VUI tells.
    pub fn frame_ticks(&self) -> Option<u32> {
        let (num, den) = self.fps?;
        u32::try_from(90_000 * u64::from(den) / u64::from(num.max(1))).ok().filter(|t| (1..=900_000).contains(t))
    }
}

/// Reads an H.264 SPS: a NAL unit of type 7 with its header byte.
pub fn parse_h264(nal: &[u8]) -> Option<Sps> {
    if nal.first()? & 0x1f != 7 {
        return None;
    }
    let mut b = Bits::of_nal(nal, 1);
    let profile_level_id = [b.byte()?, b.byte()?, b.byte()?];
    let [profile, constraints, _] = profile_level_id;
    b.ue_max(31)?; // seq_parameter_set_id
    let (mut chroma, mut separate, mut depth_luma, mut depth_chroma) = (1, false, 8, 8);
    if matches!(profile, 100 | 110 | 122 | 244 | 44 | 83 | 86 | 118 | 128 | 138 | 139 | 134 | 135) {
        chroma = b.ue_max(3)?;
        if chroma == 3 {
            separate = b.flag()?;
        }
        depth_luma = 8 + b.ue_max(6)?;
        depth_chroma = 8 + b.ue_max(6)?;
        b.flag()?; // qpprime_y_zero_transform_bypass_flag
        if b.flag()? {
            for i in 0..if chroma == 3 { 12 } else { 8 } {
                if b.flag()? {
                    scaling_list(&mut b, if i < 6 { 16 } else { 64 })?;
                }
            }
        }
    }
    b.ue_max(12)?; // log2_max_frame_num_minus4
    let order = b.ue_max(2)?;
    match order {
        0 => drop(b.ue_max(12)?),
        1 => {
            b.flag()?;
            b.se()?;
            b.se()?;
            for _ in 0..b.ue_max(255)? {
                b.se()?;
            }
        }
        _ => {}
    }
    b.ue_max(MAX_REORDER)?; // max_num_ref_frames
    b.flag()?; // gaps_in_frame_num_value_allowed_flag
    let columns = b.ue_max(MAX_SIDE / 16 - 1)? + 1;
    let rows = b.ue_max(MAX_SIDE / 16 - 1)? + 1;
    let frames_only = b.flag()?;
    let fields = if frames_only { 1 } else { 2 };
    if !frames_only {
        b.flag()?; // mb_adaptive_frame_field_flag
    }
    b.flag()?; // direct_8x8_inference_flag
    let (mut width, mut height) = (columns * 16, rows * 16 * fields);
    if b.flag()? {
        // Crop units: H.264 (7-19) to (7-22).
        let planes = if separate { 0 } else { chroma };
        let x = if matches!(planes, 1 | 2) { 2 } else { 1 };
        let y = if planes == 1 { 2 } else { 1 } * fields;
        width = cropped(width, x, b.ue()?, b.ue()?)?;
        height = cropped(height, y, b.ue()?, b.ue()?)?;
    }
    // A VUI that cannot be read (cameras write all sorts) does not spoil the rest.
    let vui = if b.flag()? { vui_h264(&mut b) } else { Vui::default() };
    // Without B slices, or with order of output = order of decoding (§8.2.1.3), or
    // intra only (constraint_set3, §A.2.8 ff., and CAVLC 4:4:4), nothing is reordered.
    let intra = profile == 44 || (constraints & 0x10 != 0 && matches!(profile, 100 | 110 | 122 | 244));
    let reorder = if profile == 66 || order == 2 || intra { Some(0) } else { vui.reorder };
    Some(Sps {
        profile: Profile::H264 { profile_level_id },
        width,
        height,
        sar: vui.sar,
        fps: vui.fps,
        reorder,
        chroma: chroma as u8,
        depth_luma: depth_luma as u8,
        depth_chroma: depth_chroma as u8,
    })
}

/// What is left of `size` without `first` and `last` units; None if nothing is.
pub(crate) fn cropped(size: u32, unit: u32, first: u32, last: u32) -> Option<u32> {
    size.checked_sub(first.checked_add(last)?.checked_mul(unit)?).filter(|s| *s > 0)
}

/// §7.3.2.1.1.1: only to get past it.
fn scaling_list(b: &mut Bits, size: u32) -> Option<()> {
    let (mut last, mut next) = (8i32, 8i32);
    for _ in 0..size {
        if next != 0 {
            next = last.wrapping_add(b.se()?).rem_euclid(256);
        }
        last = if next == 0 { last } else { next };
    }
    Some(())
}

/// What either codec's VUI tells.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Vui {
    pub sar: Option<(u16, u16)>,
    pub fps: Option<(u32, u32)>,
    pub reorder: Option<u32>,
}

/// Reads as far as it goes: what was read before nonsense stays.
fn vui_h264(b: &mut Bits) -> Vui {
    let mut v = Vui::default();
    let _ = read_vui_h264(b, &mut v);
    v
}

fn read_vui_h264(b: &mut Bits, v: &mut Vui) -> Option<()> {
    v.sar = vui_head(b)?;
    if b.flag()? {
        let (ticks, scale) = (b.u(32)?, b.u(32)?);
        b.flag()?; // fixed_frame_rate_flag
        // A tick is a field: two make a frame (§E.2.1).
        v.fps = ticks.checked_mul(2).and_then(|den| rate(scale, den));
    }
    let nal = b.flag()?;
    if nal {
        hrd_h264(b)?;
    }
    let vcl = b.flag()?;
    if vcl {
        hrd_h264(b)?;
    }
    if nal || vcl {
        b.flag()?; // low_delay_hrd_flag
    }
    b.flag()?; // pic_struct_present_flag
    if b.flag()? {
        b.flag()?; // motion_vectors_over_pic_boundaries_flag
        for _ in 0..4 {
            b.ue()?;
        }
        let reorder = b.ue_max(MAX_REORDER)?;
        b.ue_max(MAX_REORDER).filter(|buffered| *buffered >= reorder)?;
        v.reorder = Some(reorder);
    }
    Some(())
}

/// The part of the VUI that both codecs begin with: up to the chroma location.
/// Returns the shape of a pixel.
pub(crate) fn vui_head(b: &mut Bits) -> Option<Option<(u16, u16)>> {
    let mut sar = None;
    if b.flag()? {
        sar = match b.u(8)? {
            255 => Some((b.u(16)? as u16, b.u(16)? as u16)),
            n => SAR.get(n as usize).copied(),
        };
        sar = sar.filter(|(w, h)| *w > 0 && *h > 0 && w != h);
    }
    if b.flag()? {
        b.flag()?; // overscan_appropriate_flag
    }
    if b.flag()? {
        b.u(4)?; // video_format, video_full_range_flag
        if b.flag()? {
            b.u(24)?; // colours
        }
    }
    if b.flag()? {
        b.ue()?;
        b.ue()?;
    }
    Some(sar)
}

/// H.264 Table E-1, which H.265 has too.
const SAR: [(u16, u16); 17] = [
    (0, 0),
    (1, 1),
    (12, 11),
    (10, 11),
    (16, 11),
    (40, 33),
    (24, 11),
    (20, 11),
    (32, 11),
    (80, 33),
    (18, 11),
    (15, 11),
    (64, 33),
    (160, 99),
    (4, 3),
    (3, 2),
    (2, 1),
];

/// A frame rate that a camera may have: others are placeholders (0, 90000 …).
pub(crate) fn rate(num: u32, den: u32) -> Option<(u32, u32)> {
    (num > 0 && den > 0 && num / den <= 480).then_some((num, den))
}

fn hrd_h264(b: &mut Bits) -> Option<()> {
    let n = b.ue_max(31)? + 1;
    b.u(8)?;
    for _ in 0..n {
        b.ue()?;
        b.ue()?;
        b.flag()?;
    }
    b.skip(20)
}

#[cfg(test)]
#[path = "sps_tests.rs"]
mod tests;
