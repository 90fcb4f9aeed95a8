//! The two SDPs that we write ourselves: the answer for the client, and a
//! clean offer for the engine.
//!
//! The engine's own answer is not handed on: webrtcbin writes no msid, no
//! `rtcp-mux-only`, loses candidates, and turns a section silently inactive
//! when something does not match. Sources: RFC 8829 §5.3, 9725 §4, 9143 §7.3.

use std::fmt::Write as _;

use super::candidate::Candidate;
use super::negotiate::{MID_URI, PLAYOUT_DELAY_URI, Plan, PlanSection, SendSection};
use super::offer::{Offer, Peer, Section, Setup};
use crate::media::codec::Kind;

/// Our end of the connection.
#[derive(Clone, PartialEq, Eq)]
pub struct Transport {
    /// ICE user name fragment.
    pub ice_ufrag: String,
    /// ICE password; a secret.
    pub ice_pwd: String,
    /// Fingerprint of our DTLS certificate: `AA:BB:…`, 32 bytes.
    pub fingerprint_sha256: String,
    /// Our candidates: what follows `a=candidate:`.
    pub candidates: Vec<String>,
    /// Whether these are all.
    pub end_of_candidates: bool,
}

/// Without the password.
impl std::fmt::Debug for Transport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transport")
            .field("ice_ufrag", &self.ice_ufrag)
            .field("fingerprint_sha256", &self.fingerprint_sha256)
            .field("candidates", &self.candidates)
            .field("end_of_candidates", &self.end_of_candidates)
            .finish_non_exhaustive()
    }
}

/// The SSRCs of one sent section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamIds {
    /// Of the media.
    pub ssrc: u32,
    /// Of its retransmissions; needed where the plan has an `rtx_pt`.
    pub rtx_ssrc: Option<u32>,
}

/// The MediaStream that all our tracks belong to: one value in every section
/// (row 8 of the WHEP table), so that a browser puts sound and picture together.
const STREAM: &str = "camgate";

/// Writes the answer, with CRLF. `streams` has one entry per sent section, in
/// the order of the plan.
pub fn write(
    offer: &Offer,
    plan: &Plan,
    transport: &Transport,
    streams: &[StreamIds],
    session_id: u64,
    cname: &str,
) -> String {
    let mut out = String::with_capacity(2048);
    // RFC 8829 §5.2.1: the session id fits into 63 bits.
    header(&mut out, session_id & (u64::MAX >> 1), "127.0.0.1");
    let bundle = bundle(offer, plan);
    if !bundle.is_empty() {
        let _ = write!(out, "a=group:BUNDLE {}\r\n", bundle.join(" "));
    }
    let _ = write!(out, "a=msid-semantic:WMS {STREAM}\r\n");
    // RFC 8840 §4.1.1: says that we take trickled candidates (a PATCH), not
    // that we trickle: all of ours are below, as RFC 9725 §4.3.2 asks. Said
    // only to clients that know the option.
    if offer.trickle {
        out.push_str("a=ice-options:trickle\r\n");
    }

    let first = plan.sends().next().map(|(index, _)| index);
    let mut streams = streams.iter();
    for (index, (section, planned)) in offer.sections.iter().zip(&plan.sections).enumerate() {
        match planned {
            PlanSection::Rejected { .. } => reject(&mut out, section),
            PlanSection::Send(send) => {
                // Some clients read the first section only (row 4), others the
                // one that tags the bundle; it is nearly always the same.
                let tags = bundle.first().is_some_and(|mid| *mid == section.mid);
                accept(
                    &mut out,
                    section,
                    send,
                    transport,
                    (first == Some(index) || tags, bundle.contains(&section.mid.as_str())),
                );
                identify(&mut out, send, streams.next(), cname);
            }
        }
    }
    out
}

/// The mids of the accepted sections in the order of the offered group
/// (RFC 9143 §7.3.1); none where the client does not bundle.
fn bundle<'a>(offer: &'a Offer, plan: &Plan) -> Vec<&'a str> {
    let sent = |mid: &&String| plan.sends().any(|(_, send)| send.mid == **mid);
    offer.bundle.iter().filter(sent).map(String::as_str).collect()
}

fn header(out: &mut String, session_id: u64, address: &str) {
    let _ = write!(out, "v=0\r\no=- {session_id} 1 IN IP4 {address}\r\ns=-\r\nt=0 0\r\n");
}

/// Port 0 (RFC 3264 §6); one format has to be there and means nothing.
fn reject(out: &mut String, section: &Section) {
    let format = section.formats.first().map_or("0", String::as_str);
    let _ = write!(out, "m={} 0 {} {format}\r\nc=IN IP4 0.0.0.0\r\n", section.media, section.protocol);
    if section.mid_offered {
        let _ = write!(out, "a=mid:{}\r\n", section.mid);
    }
    out.push_str("a=inactive\r\n");
    // str0m refuses a whole answer over a format without rtpmap, also at port 0.
    if let Some(codec) = format.parse().ok().and_then(|pt| section.codec(pt)) {
        let _ = write!(out, "a=rtpmap:{} {}\r\n", codec.pt, codec.rtpmap());
    }
}

fn accept(
    out: &mut String,
    section: &Section,
    send: &SendSection,
    transport: &Transport,
    (candidates, bundled): (bool, bool),
) {
    let _ = write!(out, "m={} 9 {} {}", section.media, section.protocol, send.pt);
    if let Some(rtx) = send.rtx_pt {
        let _ = write!(out, " {rtx}");
    }
    out.push_str("\r\nc=IN IP4 0.0.0.0\r\n");
    if candidates {
        for candidate in &transport.candidates {
            let _ = write!(out, "a=candidate:{candidate}\r\n");
        }
        if transport.end_of_candidates {
            out.push_str("a=end-of-candidates\r\n");
        }
    }
    let Transport { ice_ufrag, ice_pwd, fingerprint_sha256, .. } = transport;
    let _ =
        write!(out, "a=ice-ufrag:{ice_ufrag}\r\na=ice-pwd:{ice_pwd}\r\na=fingerprint:sha-256 {fingerprint_sha256}\r\n");
    // RFC 5763 §5 leaves it to us with actpass: the browser opens the handshake
    // as soon as ICE is up, without a round of waiting for our first message.
    let setup = if client_waits(section) { "active" } else { "passive" };
    let _ = write!(out, "a=setup:{setup}\r\n");
    if section.mid_offered {
        let _ = write!(out, "a=mid:{}\r\n", send.mid);
    }
    for (id, uri) in [(send.mid_ext, MID_URI), (send.playout_delay_ext, PLAYOUT_DELAY_URI)] {
        if let Some(id) = id {
            let _ = write!(out, "a=extmap:{id} {uri}\r\n");
        }
    }
    out.push_str("a=sendonly\r\na=rtcp-mux\r\n");
    if bundled {
        out.push_str("a=rtcp-mux-only\r\n");
    }
    if section.rtcp_rsize {
        out.push_str("a=rtcp-rsize\r\n");
    }
    formats(out, &send.rtpmap, &send.fmtp, send);
}

/// Whether the client leaves the DTLS handshake to us.
pub(super) fn client_waits(section: &Section) -> bool {
    section.peer.as_ref().is_some_and(|p: &Peer| p.setup == Setup::Passive)
}

/// The codec and its RTX, with the feedback that was offered and that we heed.
fn formats(out: &mut String, rtpmap: &str, fmtp: &str, send: &SendSection) {
    let pt = send.pt;
    let _ = write!(out, "a=rtpmap:{pt} {rtpmap}\r\n");
    if !fmtp.is_empty() {
        let _ = write!(out, "a=fmtp:{pt} {fmtp}\r\n");
    }
    let kinds = [(send.fir, "ccm fir"), (send.nack, "nack"), (send.pli, "nack pli"), (send.remb, "goog-remb")];
    for (wanted, kind) in kinds {
        if wanted {
            let _ = write!(out, "a=rtcp-fb:{pt} {kind}\r\n");
        }
    }
    if let Some(rtx) = send.rtx_pt {
        let clock = rtpmap.split('/').nth(1).unwrap_or("90000");
        let _ = write!(out, "a=rtpmap:{rtx} rtx/{clock}\r\na=fmtp:{rtx} apt={pt}\r\n");
    }
}

/// Which stream and track, and the SSRCs that carry it (RFC 5576).
fn identify(out: &mut String, send: &SendSection, ids: Option<&StreamIds>, cname: &str) {
    let track = if send.kind == Kind::Video { "video" } else { "audio" };
    let _ = write!(out, "a=msid:{STREAM} {track}\r\n");
    let Some(ids) = ids else { return };
    let rtx = ids.rtx_ssrc.filter(|_| send.rtx_pt.is_some());
    if let Some(rtx) = rtx {
        let _ = write!(out, "a=ssrc-group:FID {} {rtx}\r\n", ids.ssrc);
    }
    for ssrc in std::iter::once(ids.ssrc).chain(rtx) {
        let _ = write!(out, "a=ssrc:{ssrc} cname:{cname}\r\na=ssrc:{ssrc} msid:{STREAM} {track}\r\n");
    }
}

/// The offer as the engine is to see it: the accepted sections only, in each
/// the chosen payload type, and nothing that it could stumble over. Its section
/// indices count the accepted sections, not those of the client's offer.
///
/// No `profile-level-id`: webrtcbin intersects the format with its pad's caps,
/// and ours need not be the offered ones. The DTLS role is decided here, as
/// webrtcbin would answer actpass with active, against our own answer.
pub fn engine_offer(offer: &Offer, plan: &Plan) -> String {
    let mut out = String::with_capacity(2048);
    header(&mut out, 1, "0.0.0.0");
    let mids: Vec<&str> = plan.sends().map(|(_, send)| send.mid.as_str()).collect();
    let _ = write!(out, "a=group:BUNDLE {}\r\n", mids.join(" "));
    for (position, (index, send)) in plan.sends().enumerate() {
        let section = &offer.sections[index];
        let media = if send.kind == Kind::Video { "video" } else { "audio" };
        let _ = write!(out, "m={media} 9 UDP/TLS/RTP/SAVPF {}", send.pt);
        if let Some(rtx) = send.rtx_pt {
            let _ = write!(out, " {rtx}");
        }
        out.push_str("\r\nc=IN IP4 0.0.0.0\r\n");
        if let Some(peer) = &section.peer {
            let setup = if client_waits(section) { "passive" } else { "active" };
            let Peer { ice_ufrag, ice_pwd, fingerprint, .. } = peer;
            let _ = write!(
                out,
                "a=ice-ufrag:{ice_ufrag}\r\na=ice-pwd:{ice_pwd}\r\na=fingerprint:{fingerprint}\r\na=setup:{setup}\r\n"
            );
        }
        let _ = write!(out, "a=mid:{}\r\na=recvonly\r\na=rtcp-mux\r\n", send.mid);
        if section.rtcp_rsize {
            out.push_str("a=rtcp-rsize\r\n");
        }
        let rtpmap = send.rtpmap.to_ascii_uppercase();
        let fmtp = if rtpmap.starts_with("H264/") { "packetization-mode=1" } else { "" };
        // webrtcbin reads no REMB.
        formats(&mut out, &rtpmap, fmtp, &SendSection { remb: false, ..send.clone() });
        if position == 0 {
            for candidate in engine_candidates(offer, section) {
                let _ = write!(out, "a=candidate:{candidate}\r\n");
            }
        }
    }
    out
}

/// The usable candidates of a section; of the rest of its bundle with the same
/// ICE generation where it has none of its own, because the section that tags
/// the bundle was rejected.
pub(super) fn engine_candidates<'a>(offer: &'a Offer, section: &'a Section) -> Vec<&'a Candidate> {
    let mut own: Vec<&Candidate> = section.candidates.iter().filter(|c| c.usable()).collect();
    if section.candidates.is_empty() && offer.bundle.contains(&section.mid) {
        let ufrag = |s: &Section| s.peer.as_ref().map(|p| p.ice_ufrag.clone());
        let mine = ufrag(section);
        let others = offer.sections.iter().filter(|s| offer.bundle.contains(&s.mid) && ufrag(s) == mine);
        own = others.flat_map(|s| &s.candidates).filter(|c| c.usable()).take(64).collect();
    }
    own
}

#[cfg(test)]
mod tests;
