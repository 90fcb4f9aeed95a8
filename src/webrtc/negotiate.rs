//! What a viewer gets: each section of its offer against the tracks of the path.
//!
//! A section that cannot be met is rejected (port 0 in the answer) and never
//! fails the whole: clients retry without audio, or worse, when it does. Only
//! an offer of which nothing can be met is an error.

use super::offer::{Offer, OfferedCodec, Section, SectionKind};
use crate::error::Error;
use crate::media::codec::{Codec, Kind, Track};

mod fit;
mod sentence;

use fit::Fit;

/// The header extension that carries the mid (RFC 9143 §15.2).
pub const MID_URI: &str = "urn:ietf:params:rtp-hdrext:sdes:mid";
/// The header extension that bounds how long a receiver holds a picture back
/// (libwebrtc, docs/native-code/rtp-hdrext/playout-delay): with 0 it shows what comes at
/// once.
pub const PLAYOUT_DELAY_URI: &str = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay";
/// The longest mid that fits into a one-byte element (RFC 8285 §4.2).
const MID: usize = 16;

/// What becomes of each section of an offer, in its order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// As many as the offer has, at least one of them `Send`.
    pub sections: Vec<PlanSection>,
}

impl Plan {
    /// The sections that are sent, with their index in the offer.
    pub fn sends(&self) -> impl Iterator<Item = (usize, &SendSection)> {
        self.sections.iter().enumerate().filter_map(|(i, s)| match s {
            PlanSection::Send(send) => Some((i, send)),
            PlanSection::Rejected { .. } => None,
        })
    }
}

/// What becomes of one section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlanSection {
    /// Port 0 in the answer.
    Rejected {
        /// The reason, for logs: the answer cannot carry it.
        why: String,
    },
    /// We send a track in it.
    Send(SendSection),
}

/// One track for one section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SendSection {
    /// Index into the tracks that were negotiated.
    pub track: usize,
    /// Video or audio.
    pub kind: Kind,
    /// The mid of the section.
    pub mid: String,
    /// The payload type that this offer gives the codec.
    pub pt: u8,
    /// The rtpmap value as offered: `H264/90000`.
    pub rtpmap: String,
    /// The format parameters for the answer; empty for none.
    pub fmtp: String,
    /// The payload type for retransmissions, where NACK was offered with it.
    pub rtx_pt: Option<u8>,
    /// Whether the client sends NACKs.
    pub nack: bool,
    /// Whether it sends picture loss indications.
    pub pli: bool,
    /// Whether it sends full intra requests.
    pub fir: bool,
    /// Whether it tells what it takes its link to carry (REMB). An engine that does not
    /// read it sets this to `false` before the answer is written.
    pub remb: bool,
    /// The id under which the mid is sent with each packet. An engine that does
    /// not write it sets this to `None` before the answer is written.
    pub mid_ext: Option<u8>,
    /// The id under which a playout delay of 0 is sent with each packet, likewise.
    pub playout_delay_ext: Option<u8>,
    /// Whether the client did not promise to decode what we send: it offered a
    /// lower profile or level. Browsers decode more than they offer.
    pub loose: bool,
}

/// Decides what is sent in each section of the offer.
///
/// Errors: 400 where no direction lets us send (row 6 of the WHEP table), 422
/// where nothing that the path has was offered; the sentence names both sides.
pub fn negotiate(offer: &Offer, tracks: &[Track]) -> Result<Plan, Error> {
    let mut sections = Vec::with_capacity(offer.sections.len());
    // All that is accepted shares one transport, so the first one accepted
    // decides which bundle it is.
    let mut anchor: Option<&Section> = None;
    let mut taken: Vec<SectionKind> = Vec::new();
    for section in &offer.sections {
        let planned = admissible(offer, section, anchor, &taken).and_then(|()| choose(section, tracks));
        sections.push(match planned {
            Ok(send) => {
                anchor.get_or_insert(section);
                taken.push(section.kind);
                PlanSection::Send(send)
            }
            Err(why) => PlanSection::Rejected { why },
        });
    }
    if taken.is_empty() { Err(sentence::nothing(offer, tracks)) } else { Ok(Plan { sections }) }
}

/// Whether anything could be sent in this section at all; else the reason.
fn admissible(offer: &Offer, section: &Section, anchor: Option<&Section>, taken: &[SectionKind]) -> Result<(), String> {
    let no = |why: &str| Err(why.to_owned());
    match section.kind {
        SectionKind::Video | SectionKind::Audio => {}
        SectionKind::Application => return no("data channels are not served"),
        SectionKind::Other => {
            return Err(format!("sections of the kind \"{}\" are not served", section.media));
        }
    }
    if !section.enabled() {
        return no("the client has switched the section off (port 0)");
    }
    if !section.secure_rtp() || section.peer.is_none() {
        return Err(format!("the protocol {} is not DTLS-SRTP", section.protocol));
    }
    if !section.direction.receives() {
        return no("the client does not receive in this section");
    }
    // Two ports for one section are not made, and RFC 9725 §4.2 asks for mux.
    if !section.rtcp_mux {
        return no("the section lacks a=rtcp-mux");
    }
    if taken.contains(&section.kind) {
        return no("an earlier section of this kind has the track");
    }
    let together = |a: &Section| offer.bundle.contains(&a.mid) && offer.bundle.contains(&section.mid);
    if !anchor.is_none_or(together) {
        return no("the section is not in one BUNDLE group with those before it");
    }
    Ok(())
}

/// The track and codec for a section: the first track that the client promises
/// to decode, else the first that it may well decode.
fn choose(section: &Section, tracks: &[Track]) -> Result<SendSection, String> {
    let kind = if section.kind == SectionKind::Video { Kind::Video } else { Kind::Audio };
    let mut best: Option<(usize, Fit, &OfferedCodec)> = None;
    for (index, track) in tracks.iter().enumerate().filter(|(_, t)| t.codec.kind() == kind) {
        let Some((fit, codec)) = best_codec(section, &track.codec) else {
            continue;
        };
        if best.as_ref().is_none_or(|(_, old, _)| old.loose && !fit.loose) {
            best = Some((index, fit, codec));
        }
    }
    let (track, fit, codec) = best.ok_or("the client offers no codec that the path has")?;
    let nack = codec.wants("nack");
    Ok(SendSection {
        track,
        kind,
        mid: section.mid.clone(),
        pt: codec.pt,
        rtpmap: codec.rtpmap(),
        fmtp: fit.fmtp,
        // RTX answers NACKs (RFC 4588); without them it would never be used.
        rtx_pt: codec.rtx.filter(|pt| nack && !collides_with_rtcp(*pt)),
        nack,
        pli: codec.wants("nack pli"),
        fir: codec.wants("ccm fir"),
        remb: codec.wants("goog-remb") && kind == Kind::Video,
        mid_ext: extension(section, MID_URI).filter(|_| section.mid.len() <= MID),
        playout_delay_ext: extension(section, PLAYOUT_DELAY_URI).filter(|_| kind == Kind::Video),
        loose: fit.loose,
    })
}

/// The id that the client gives a header extension. Ids above 14 need two-byte headers
/// (RFC 8285 §4.3), which we never write.
fn extension(section: &Section, uri: &str) -> Option<u8> {
    section.extmaps.iter().find(|(id, u)| u == uri && *id <= 14).map(|(id, _)| *id)
}

fn best_codec<'a>(section: &'a Section, ours: &Codec) -> Option<(Fit, &'a OfferedCodec)> {
    section
        .codecs
        .iter()
        .filter(|c| !collides_with_rtcp(c.pt))
        .filter_map(|c| Some((fit::fit(ours, c)?, c)))
        // The first of equals: the client's own order of preference.
        .min_by_key(|(fit, _)| fit.distance)
}

/// Payload types 64 to 95 cannot be told from RTCP on one port (RFC 5761 §4).
fn collides_with_rtcp(pt: u8) -> bool {
    (64..=95).contains(&pt)
}

#[cfg(test)]
pub(super) mod tests;
