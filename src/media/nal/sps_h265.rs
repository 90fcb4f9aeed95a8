//! What an H.265 sequence parameter set tells (ITU-T H.265 §7.3.2.2, Annex E). Pure.

use super::bits::Bits;
use super::sps::{MAX_REORDER, Profile, Sps, Vui, cropped, rate, vui_head};

/// Reads an H.265 SPS: a NAL unit of type 33 with its two header bytes.
pub fn parse_h265(nal: &[u8]) -> Option<Sps> {
    // Layers above the base one (nuh_layer_id) have another syntax.
    let [h, layer, ..] = *nal else { return None };
    if h != 33 << 1 || layer >> 3 != 0 {
        return None;
    }
    let mut b = Bits::of_nal(nal, 2);
    b.skip(4)?; // sps_video_parameter_set_id
    let layers = b.u(3).filter(|l| *l < 7)?;
    let nested = b.flag()?;
    let mut ahead = b.clone();
    let (space, high, idc) = (ahead.u(2)? as u8, ahead.flag()?, ahead.u(5)? as u8);
    let compatibility = ahead.u(32)?;
    let mut constraints = [0; 6];
    for c in &mut constraints {
        *c = ahead.byte()?;
    }
    let level = ahead.byte()?;
    skip_profile_tier_level(&mut b, layers)?;
    b.ue_max(15)?; // sps_seq_parameter_set_id
    let chroma = b.ue_max(3)?;
    let separate = chroma == 3 && b.flag()?;
    let mut width = b.ue().filter(|w| (1..=16_384).contains(w))?;
    let mut height = b.ue().filter(|h| (1..=16_384).contains(h))?;
    if b.flag()? {
        let planes = if separate { 0 } else { chroma };
        width = cropped(width, if matches!(planes, 1 | 2) { 2 } else { 1 }, b.ue()?, b.ue()?)?;
        height = cropped(height, if planes == 1 { 2 } else { 1 }, b.ue()?, b.ue()?)?;
    }
    let depth_luma = 8 + b.ue_max(7)?;
    let depth_chroma = 8 + b.ue_max(7)?;
    let order_bits = b.ue_max(12)? + 4;
    // Either for each sub-layer, or for the highest only, which is last in both.
    let each = b.flag()?;
    let mut reorder = 0;
    for _ in 0..if each { layers + 1 } else { 1 } {
        b.ue_max(MAX_REORDER)?; // sps_max_dec_pic_buffering_minus1
        reorder = b.ue_max(MAX_REORDER)?;
        b.ue()?; // sps_max_latency_increase_plus1
    }
    // What follows matters for frame rate and pixel shape alone.
    let vui = vui(&mut b, order_bits);
    Some(Sps {
        profile: Profile::H265 {
            space,
            high,
            idc,
            compatibility,
            constraints,
            level,
            layers: layers as u8 + 1,
            nested,
        },
        width,
        height,
        sar: vui.sar,
        fps: vui.fps,
        reorder: Some(reorder),
        chroma: chroma as u8,
        depth_luma: depth_luma as u8,
        depth_chroma: depth_chroma as u8,
    })
}

/// §7.3.3, with `layers` = sps_max_sub_layers_minus1.
pub(crate) fn skip_profile_tier_level(b: &mut Bits, layers: u32) -> Option<()> {
    b.skip(96)?;
    let mut present = Vec::with_capacity(layers as usize);
    for _ in 0..layers {
        present.push((b.flag()?, b.flag()?));
    }
    if layers > 0 {
        b.skip((8 - layers as usize) * 2)?;
    }
    for (profile, level) in present {
        b.skip(if profile { 88 } else { 0 } + if level { 8 } else { 0 })?;
    }
    Some(())
}

/// Reads as far as it goes: what was read before nonsense stays.
fn vui(b: &mut Bits, order_bits: u32) -> Vui {
    let mut v = Vui::default();
    let _ = read_vui(b, order_bits, &mut v);
    v
}

fn read_vui(b: &mut Bits, order_bits: u32, v: &mut Vui) -> Option<()> {
    for _ in 0..6 {
        b.ue()?; // sizes of coding and transform blocks
    }
    if b.flag()? && b.flag()? {
        scaling_lists(b)?;
    }
    b.u(2)?; // amp_enabled_flag, sample_adaptive_offset_enabled_flag
    if b.flag()? {
        b.u(8)?; // bit depths of PCM
        b.ue()?;
        b.ue()?;
        b.flag()?;
    }
    let sets = b.ue_max(64)?;
    let mut deltas = 0;
    for i in 0..sets {
        deltas = reference_set(b, i, deltas)?;
    }
    if b.flag()? {
        for _ in 0..b.ue_max(32)? {
            b.u(order_bits)?;
            b.flag()?;
        }
    }
    b.u(2)?; // sps_temporal_mvp_enabled_flag, strong_intra_smoothing_enabled_flag
    if !b.flag()? {
        return Some(());
    }
    v.sar = vui_head(b)?;
    b.u(3)?; // neutral_chroma_indication_flag, field_seq_flag, frame_field_info_present_flag
    if b.flag()? {
        for _ in 0..4 {
            b.ue()?; // default display window: not applied, as browsers do not
        }
    }
    if b.flag()? {
        let (ticks, scale) = (b.u(32)?, b.u(32)?);
        v.fps = rate(scale, ticks);
    }
    Some(())
}

/// §7.3.4: only to get past it.
fn scaling_lists(b: &mut Bits) -> Option<()> {
    for size in 0..4u32 {
        // 32 × 32 has two matrices; with 4:4:4 the range extensions still send two.
        for _ in 0..if size == 3 { 2 } else { 6 } {
            if !b.flag()? {
                b.ue()?;
                continue;
            }
            if size > 1 {
                b.se()?;
            }
            for _ in 0..64.min(1 << (4 + (size << 1))) {
                b.se()?;
            }
        }
    }
    Some(())
}

/// §7.3.7: returns NumDeltaPocs, which the next set may build upon; `before` is
/// that of the set before.
fn reference_set(b: &mut Bits, index: u32, before: u32) -> Option<u32> {
    if index > 0 && b.flag()? {
        b.flag()?; // delta_rps_sign
        b.ue()?; // abs_delta_rps_minus1
        let mut n = 0;
        for _ in 0..=before {
            let used = b.flag()?;
            // used_by_curr_pic_flag 0: use_delta_flag decides whether it counts.
            if used || b.flag()? {
                n += 1;
            }
        }
        return (n <= MAX_REORDER).then_some(n);
    }
    let (negative, positive) = (b.ue_max(MAX_REORDER)?, b.ue_max(MAX_REORDER)?);
    for _ in 0..negative + positive {
        b.ue()?;
        b.flag()?;
    }
    (negative + positive <= MAX_REORDER).then_some(negative + positive)
}
