//! A client's offer: parsed, bounded and checked before anything else sees it.
//!
//! The engine behind can crash on an odd SDP, so nothing of the client's text
//! goes further than this room: what comes out is typed, and every string in it
//! is made of a small alphabet. Sources: RFC 8866 (SDP), 8829 (JSEP), 8839
//! (ICE), 8122 and 8842 (DTLS), 9143 (BUNDLE), 4585 and 4588 (feedback, RTX).

use std::collections::HashSet;
use std::fmt;

use super::candidate::Candidate;
use super::sdp::{self, Line};

pub use super::sdp::{Limits, OfferError, OfferErrorKind};

mod codecs;
mod section;

/// An offer that is well-formed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// Its `m=` sections, in order; the answer mirrors them.
    pub sections: Vec<Section>,
    /// The mids of the first BUNDLE group, in its order; empty without one.
    pub bundle: Vec<String>,
    /// Whether the client trickles (`a=ice-options:trickle`, RFC 8840 §4.1.1).
    pub trickle: bool,
    /// Whether the client only answers checks (`a=ice-lite`, RFC 8839 §5.3): ours decide.
    pub lite: bool,
}

/// One `m=` section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// `a=mid`, or `0` made up for the only section of an offer without mids.
    pub mid: String,
    /// Whether the client gave the mid; an answer must not bring one up itself.
    pub mid_offered: bool,
    /// What it carries.
    pub kind: SectionKind,
    /// The media word as offered, for the answer: `video`, `text` …
    pub media: String,
    /// The port; 0 switches the section off unless it is `bundle_only`.
    pub port: u16,
    /// `a=bundle-only`: port 0 then means "only within the bundle" (RFC 9143 §6).
    pub bundle_only: bool,
    /// `UDP/TLS/RTP/SAVPF` and the like.
    pub protocol: String,
    /// The formats of the `m=` line as offered, without repetitions.
    pub formats: Vec<String>,
    /// The direction as the client sees it.
    pub direction: Direction,
    /// How to reach and to recognise the client; `None` only where the section
    /// is switched off or carries no media over DTLS-SRTP.
    pub peer: Option<Peer>,
    /// `a=rtcp-mux` (or `rtcp-mux-only`).
    pub rtcp_mux: bool,
    /// `a=rtcp-rsize`.
    pub rtcp_rsize: bool,
    /// The codecs in the client's order of preference, without RTX, which
    /// stands at the codec that it repairs. Payload types are unique here.
    pub codecs: Vec<OfferedCodec>,
    /// Header extensions that the client can receive: id (1 to 255) and URI.
    pub extmaps: Vec<(u8, String)>,
    /// Candidates, usable or not.
    pub candidates: Vec<Candidate>,
    /// `a=end-of-candidates` here or for the whole session.
    pub end_of_candidates: bool,
}

impl Section {
    /// Whether the client wants it at all: port 0 says no (RFC 8866 §5.14).
    pub fn enabled(&self) -> bool {
        self.port != 0 || self.bundle_only
    }

    /// Whether it is media over DTLS-SRTP (RFC 8829 §5.1.2 lists the spellings).
    pub fn secure_rtp(&self) -> bool {
        matches!(self.kind, SectionKind::Video | SectionKind::Audio)
            && [
                "UDP/TLS/RTP/SAVPF",
                "UDP/TLS/RTP/SAVP",
                "TCP/DTLS/RTP/SAVPF",
                "TCP/DTLS/RTP/SAVP",
                "RTP/SAVPF",
                "RTP/SAVP",
            ]
            .contains(&self.protocol.as_str())
    }

    /// The codec of a payload type.
    pub fn codec(&self, pt: u8) -> Option<&OfferedCodec> {
        self.codecs.iter().find(|c| c.pt == pt)
    }
}

/// What a section carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SectionKind {
    /// Pictures.
    Video,
    /// Sound.
    Audio,
    /// Data channels.
    Application,
    /// `text`, `message`, `image` and what may come.
    Other,
}

/// A direction as the client sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Both ways; also what a section means that says nothing.
    SendRecv,
    /// The client sends.
    SendOnly,
    /// The client receives.
    RecvOnly,
    /// Neither.
    Inactive,
}

impl Direction {
    /// Whether the client would receive.
    pub fn receives(self) -> bool {
        matches!(self, Direction::SendRecv | Direction::RecvOnly)
    }
}

/// The client's DTLS role (RFC 8842 §5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Setup {
    /// Either; also assumed where the client does not say.
    ActPass,
    /// The client opens the handshake.
    Active,
    /// We open it.
    Passive,
}

/// How to reach and to recognise the client.
#[derive(Clone, PartialEq, Eq)]
pub struct Peer {
    /// ICE user name fragment.
    pub ice_ufrag: String,
    /// ICE password; a secret.
    pub ice_pwd: String,
    /// The fingerprint that its DTLS certificate must have.
    pub fingerprint: Fingerprint,
    /// Its DTLS role.
    pub setup: Setup,
}

/// Without the password: offers end up in debug logs.
impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peer")
            .field("ice_ufrag", &self.ice_ufrag)
            .field("fingerprint", &self.fingerprint)
            .field("setup", &self.setup)
            .finish_non_exhaustive()
    }
}

/// The hash of a DTLS certificate (RFC 8122 §5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint {
    /// `sha-256`, `sha-384` or `sha-512`.
    pub algorithm: String,
    /// The hash: 32, 48 or 64 bytes.
    pub bytes: Vec<u8>,
}

/// `sha-256 AA:BB:…`, the value of an `a=fingerprint` line.
impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.algorithm)?;
        for (i, byte) in self.bytes.iter().enumerate() {
            write!(f, "{}{byte:02X}", if i == 0 { ' ' } else { ':' })?;
        }
        Ok(())
    }
}

/// One codec that the client offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfferedCodec {
    /// RTP payload type, 0 to 127.
    pub pt: u8,
    /// Encoding name as offered; compare without regard to case.
    pub name: String,
    /// RTP clock rate in Hz.
    pub clock_rate: u32,
    /// Channels; 1 where nothing is said.
    pub channels: u8,
    /// Format parameters; one without `=` has an empty value.
    pub fmtp: Vec<(String, String)>,
    /// `nack`, `nack pli`, `ccm fir`, `transport-cc` …
    pub feedback: Vec<String>,
    /// The payload type of the RTX that repairs it (RFC 4588).
    pub rtx: Option<u8>,
}

impl OfferedCodec {
    /// A format parameter by name.
    pub fn param(&self, name: &str) -> Option<&str> {
        self.fmtp.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    /// Whether the client asks for this kind of feedback.
    pub fn wants(&self, feedback: &str) -> bool {
        self.feedback.iter().any(|f| f.eq_ignore_ascii_case(feedback))
    }

    /// `H264/90000`, `opus/48000/2`: the value of an rtpmap, as offered.
    pub fn rtpmap(&self) -> String {
        match self.channels {
            0 | 1 => format!("{}/{}", self.name, self.clock_rate),
            n => format!("{}/{}/{n}", self.name, self.clock_rate),
        }
    }
}

/// Parses an offer within the default [`Limits`].
pub fn parse(text: &str) -> Result<Offer, OfferError> {
    parse_within(text, &Limits::default())
}

/// Parses an offer. The error names the line and says what is wrong with it.
pub fn parse_within(text: &str, limits: &Limits) -> Result<Offer, OfferError> {
    let lines = sdp::lines(text, limits)?;
    match lines.first() {
        None => return Err(OfferError::bad("The SDP is empty.")),
        Some(first) if first.letter != b'v' || first.value != "0" => {
            return Err(OfferError::at(1, "an SDP begins with \"v=0\"."));
        }
        Some(_) => {}
    }
    let starts: Vec<usize> = lines.iter().enumerate().filter(|(_, l)| l.letter == b'm').map(|(i, _)| i).collect();
    let Some(&first) = starts.first() else {
        return Err(OfferError::bad("The SDP has no \"m=\" section."));
    };
    if starts.len() > limits.sections {
        return Err(OfferError::at(
            lines[starts[limits.sections]].number,
            format!("more than {} \"m=\" sections.", limits.sections),
        ));
    }
    let session = section::Shared::of_session(&lines[..first])?;
    let mut bundle = bundle_group(&lines[..first])?;

    let mut sections = Vec::with_capacity(starts.len());
    let mut heads = Vec::with_capacity(starts.len());
    for (i, &start) in starts.iter().enumerate() {
        let end = starts.get(i + 1).copied().unwrap_or(lines.len());
        let (section, own) = section::parse(lines[start], &lines[start + 1..end], &session, limits)?;
        sections.push(section);
        heads.push((lines[start].number, own));
    }
    name_sections(&mut sections, &heads)?;
    // RFC 9143 §7.2: a mid in the group that no section has is a broken offer.
    if let Some(mid) = bundle.iter().find(|mid| !sections.iter().any(|s| s.mid == **mid)) {
        return Err(OfferError::bad(format!("The BUNDLE group names the mid \"{mid}\", which no section has.")));
    }
    // The only section of an offer without mids is a bundle of its own.
    bundle.retain(|mid| sections.iter().any(|s| s.mid == *mid && s.mid_offered));
    let trickle = session.trickle || heads.iter().any(|(_, own)| own.trickle);
    fill_peers(&mut sections, &heads, &session, &bundle)?;
    let lite = lines[..first].iter().any(|l| matches!(l.attribute(), Some(("ice-lite", _))));
    Ok(Offer { sections, bundle, trickle, lite })
}

/// The mids of the first BUNDLE group. A second one would need a second
/// transport, which camgate does not make: its sections are rejected later.
fn bundle_group(session: &[Line<'_>]) -> Result<Vec<String>, OfferError> {
    let Some((line, value)) = session.iter().find_map(|l| match l.attribute() {
        Some(("group", v)) if v.split(' ').next() == Some("BUNDLE") => Some((l.number, v)),
        _ => None,
    }) else {
        return Ok(Vec::new());
    };
    let mut mids = Vec::new();
    let mut seen = HashSet::new();
    for mid in value.split(' ').skip(1).filter(|m| !m.is_empty()) {
        if !sdp::is_mid(mid) {
            return Err(OfferError::at(line, "a mid in the BUNDLE group is not a token of at most 64 characters."));
        }
        if seen.insert(mid) {
            mids.push(mid.to_owned());
        }
    }
    Ok(mids)
}

/// Every section needs a mid of its own; only a lone one may go without.
fn name_sections(sections: &mut [Section], heads: &[(usize, section::Shared)]) -> Result<(), OfferError> {
    if let [only] = sections
        && !only.mid_offered
    {
        only.mid = "0".into();
        return Ok(());
    }
    let mut seen = HashSet::new();
    for (section, (line, _)) in sections.iter().zip(heads) {
        if !section.mid_offered {
            return Err(OfferError::at(
                *line,
                "this section has no \"a=mid\", which an offer with several sections needs.",
            ));
        }
        if !seen.insert(section.mid.as_str()) {
            return Err(OfferError::at(*line, format!("the mid \"{}\" is used twice.", section.mid)));
        }
    }
    Ok(())
}

/// Gives each section the transport it is to use: its own values, else the
/// session's (old OBS), else those of the first section of its bundle, as
/// bundle-only sections may carry none (RFC 9143 §6, RFC 8829 §5.2.1).
fn fill_peers(
    sections: &mut [Section],
    heads: &[(usize, section::Shared)],
    session: &section::Shared,
    bundle: &[String],
) -> Result<(), OfferError> {
    let tag = bundle.first().and_then(|mid| sections.iter().position(|s| s.mid == *mid)).map(|i| &heads[i].1);
    for (section, (line, own)) in sections.iter_mut().zip(heads) {
        let tagged = tag.filter(|_| bundle.contains(&section.mid));
        let levels: Vec<&section::Shared> = [Some(own), Some(session), tagged].into_iter().flatten().collect();
        let found = section::peer(&levels);
        let needed = section.enabled() && section.secure_rtp();
        section.peer = match found {
            Ok(peer) => Some(peer),
            Err(missing) if needed => {
                let text = format!("the section with mid \"{}\" {}", section.mid, missing.message);
                return Err(OfferError { message: format!("SDP line {line}: {text}"), ..missing });
            }
            Err(_) => None,
        };
    }
    Ok(())
}

#[cfg(test)]
pub(super) mod fixtures;
#[cfg(test)]
mod tests;
