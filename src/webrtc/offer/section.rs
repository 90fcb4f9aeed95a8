//! One `m=` section with its attributes, and those that may stand at session
//! level as well.

use super::super::candidate::Candidate;
use super::super::sdp::{self, Limits, Line, OfferError};
use super::codecs::{self, Codecs};
use super::{Direction, Fingerprint, Peer, Section, SectionKind, Setup};

/// Attributes that a section inherits from the session where it has none.
#[derive(Default)]
pub(super) struct Shared {
    ufrag: Option<String>,
    pwd: Option<String>,
    fingerprint: Option<Fingerprint>,
    /// A fingerprint was there, of a hash that is too weak or unknown.
    weak_fingerprint: bool,
    setup: Option<Setup>,
    direction: Option<Direction>,
    pub(super) trickle: bool,
    end_of_candidates: bool,
}

impl Shared {
    pub(super) fn of_session(lines: &[Line<'_>]) -> Result<Shared, OfferError> {
        let mut shared = Shared::default();
        for line in lines {
            if let Some((name, value)) = line.attribute() {
                shared.take(line.number, name, value)?;
            }
        }
        Ok(shared)
    }

    /// Takes the attribute if it is one of these.
    fn take(&mut self, line: usize, name: &str, value: &str) -> Result<bool, OfferError> {
        match name {
            "ice-ufrag" if sdp::is_ice(value, 4) => self.ufrag = Some(value.into()),
            "ice-ufrag" => {
                return Err(OfferError::at(line, "an ice-ufrag has 4 to 256 letters, digits, \"+\" or \"/\"."));
            }
            "ice-pwd" if sdp::is_ice(value, 22) => self.pwd = Some(value.into()),
            "ice-pwd" => {
                return Err(OfferError::at(line, "an ice-pwd has 22 to 256 letters, digits, \"+\" or \"/\"."));
            }
            "fingerprint" => self.take_fingerprint(line, value)?,
            "setup" => {
                self.setup = Some(match value {
                    "actpass" => Setup::ActPass,
                    "active" => Setup::Active,
                    "passive" => Setup::Passive,
                    _ => {
                        return Err(OfferError::at(line, "the setup is none of actpass, active and passive."));
                    }
                });
            }
            "sendrecv" => self.direction = Some(Direction::SendRecv),
            "sendonly" => self.direction = Some(Direction::SendOnly),
            "recvonly" => self.direction = Some(Direction::RecvOnly),
            "inactive" => self.direction = Some(Direction::Inactive),
            "ice-options" => self.trickle |= value.split(' ').any(|o| o == "trickle"),
            "end-of-candidates" => self.end_of_candidates = true,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// RFC 8122 §5 allows several, by different hashes: sha-256 is preferred,
    /// as every engine can compare it. MD5 and SHA-1 are not accepted.
    fn take_fingerprint(&mut self, line: usize, value: &str) -> Result<(), OfferError> {
        let malformed =
            || OfferError::at(line, "a fingerprint is a hash name and hexadecimal bytes with colons between.");
        let (algorithm, hex) = value.split_once(' ').ok_or_else(malformed)?;
        if !sdp::is_token(algorithm) {
            return Err(malformed());
        }
        let mut bytes = Vec::with_capacity(64);
        for pair in hex.trim().split(':') {
            if pair.len() != 2 || bytes.len() == 64 || !pair.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Err(malformed());
            }
            bytes.push(u8::from_str_radix(pair, 16).map_err(|_| malformed())?);
        }
        let algorithm = algorithm.to_ascii_lowercase();
        let length = match algorithm.as_str() {
            "sha-256" => 32,
            "sha-384" => 48,
            "sha-512" => 64,
            _ => {
                self.weak_fingerprint = true;
                return Ok(());
            }
        };
        if bytes.len() != length {
            return Err(OfferError::at(
                line,
                format!("a {algorithm} fingerprint has {length} bytes, this one has {}.", bytes.len()),
            ));
        }
        if self.fingerprint.as_ref().is_none_or(|old| length < old.bytes.len()) {
            self.fingerprint = Some(Fingerprint { algorithm, bytes });
        }
        Ok(())
    }
}

/// The transport of a section from the levels it inherits from, nearest first.
/// The error is the end of a sentence.
pub(super) fn peer(levels: &[&Shared]) -> Result<Peer, OfferError> {
    let missing = |what: &str| OfferError::bad(format!("has no \"a={what}\", and neither has the session."));
    let ice_ufrag = levels.iter().find_map(|l| l.ufrag.clone()).ok_or_else(|| missing("ice-ufrag"))?;
    let ice_pwd = levels.iter().find_map(|l| l.pwd.clone()).ok_or_else(|| missing("ice-pwd"))?;
    let fingerprint = levels.iter().find_map(|l| l.fingerprint.clone()).ok_or_else(|| {
        if levels.iter().any(|l| l.weak_fingerprint) {
            OfferError::impossible("has no fingerprint by sha-256, sha-384 or sha-512, and others are not accepted.")
        } else {
            missing("fingerprint")
        }
    })?;
    let setup = levels.iter().find_map(|l| l.setup).unwrap_or(Setup::ActPass);
    Ok(Peer { ice_ufrag, ice_pwd, fingerprint, setup })
}

/// Parses one section; the second value is what other sections may inherit.
pub(super) fn parse(
    head: Line<'_>,
    lines: &[Line<'_>],
    session: &Shared,
    limits: &Limits,
) -> Result<(Section, Shared), OfferError> {
    if lines.len() > sdp::MAX_SECTION_LINES {
        return Err(OfferError::at(
            head.number,
            format!("this section has more than {} lines.", sdp::MAX_SECTION_LINES),
        ));
    }
    let mut section = media_line(head)?;
    let rtp = section.protocol.contains("RTP/");
    let pts = if rtp { codecs::payload_types(head.number, &section.formats)? } else { Vec::new() };
    let mut own = Shared::default();
    let mut codecs = Codecs::default();
    for line in lines {
        let Some((name, value)) = line.attribute() else {
            continue;
        };
        if own.take(line.number, name, value)? {
            continue;
        }
        match name {
            "mid" if section.mid_offered => {
                return Err(OfferError::at(line.number, "the section has a second mid."));
            }
            "mid" if sdp::is_mid(value) => {
                section.mid = value.into();
                section.mid_offered = true;
            }
            "mid" => {
                return Err(OfferError::at(line.number, "a mid is a token of at most 64 characters."));
            }
            "bundle-only" => section.bundle_only = true,
            "rtcp-mux" | "rtcp-mux-only" => section.rtcp_mux = true,
            "rtcp-rsize" => section.rtcp_rsize = true,
            // An empty one is how some clients say that there are no more.
            "candidate" if value.is_empty() => {}
            "candidate" => {
                if section.candidates.len() == limits.candidates {
                    return Err(OfferError::at(
                        line.number,
                        format!("more than {} candidates in this section.", limits.candidates),
                    ));
                }
                section.candidates.push(
                    Candidate::parse(value).map_err(|e| OfferError::at(line.number, format!("the candidate {e}.")))?,
                );
            }
            "extmap" if rtp => section.extmaps.extend(extmap(line.number, value)?),
            "rtpmap" if rtp => codecs.rtpmap(line.number, value)?,
            "fmtp" if rtp => codecs.fmtp(line.number, value)?,
            "rtcp-fb" if rtp => codecs.feedback(line.number, value)?,
            _ => {}
        }
    }
    section.direction = own.direction.or(session.direction).unwrap_or(Direction::SendRecv);
    section.end_of_candidates = own.end_of_candidates || session.end_of_candidates;
    section.codecs = codecs.assemble(&pts);
    Ok((section, own))
}

/// `m=video 9 UDP/TLS/RTP/SAVPF 96 97`.
fn media_line(line: Line<'_>) -> Result<Section, OfferError> {
    let bad = |what: &str| OfferError::at(line.number, format!("\"m=\" {what}."));
    let mut words = line.value.split(' ').filter(|w| !w.is_empty());
    let media = words.next().filter(|w| w.len() <= 32 && sdp::is_token(w)).ok_or_else(|| bad("has no media type"))?;
    let port = words.next().ok_or_else(|| bad("has no port"))?;
    let port = port.split_once('/').map_or(port, |(first, _)| first);
    let port = Some(port)
        .filter(|p| p.bytes().all(|b| b.is_ascii_digit()))
        .and_then(|p| p.parse().ok())
        .ok_or_else(|| bad("has a port that is not 0 to 65535"))?;
    let protocol = words.next().ok_or_else(|| bad("has no protocol"))?;
    if protocol.len() > 64 || !protocol.split('/').all(sdp::is_token) {
        return Err(bad("has a protocol that is not made of tokens and slashes"));
    }
    let mut formats: Vec<String> = Vec::new();
    for word in words {
        if word.len() > 64 || !sdp::is_token(word) {
            return Err(bad("has a format that is not a token of at most 64 characters"));
        }
        if formats.len() == 256 {
            return Err(bad("has more than 256 formats"));
        }
        // GStreamer before 1.24.12 can offer one payload type twice; the first counts.
        if !formats.iter().any(|f| f == word) {
            formats.push(word.into());
        }
    }
    if formats.is_empty() {
        return Err(bad("has no format"));
    }
    Ok(Section {
        mid: String::new(),
        mid_offered: false,
        kind: match media {
            "video" => SectionKind::Video,
            "audio" => SectionKind::Audio,
            "application" => SectionKind::Application,
            _ => SectionKind::Other,
        },
        media: media.into(),
        port,
        bundle_only: false,
        protocol: protocol.into(),
        formats,
        direction: Direction::SendRecv,
        peer: None,
        rtcp_mux: false,
        rtcp_rsize: false,
        codecs: Vec::new(),
        extmaps: Vec::new(),
        candidates: Vec::new(),
        end_of_candidates: false,
    })
}

/// `<id>[/<direction>] <URI> …` (RFC 8285 §8). An extension that the client
/// only sends, or an id that is for negotiation only, is no use to us.
fn extmap(line: usize, value: &str) -> Result<Option<(u8, String)>, OfferError> {
    let mut words = value.split(' ').filter(|w| !w.is_empty());
    let (Some(head), Some(uri)) = (words.next(), words.next()) else {
        return Err(OfferError::at(line, "an extmap has an id and a URI."));
    };
    let (id, direction) = head.split_once('/').unwrap_or((head, "sendrecv"));
    let id: u16 = id.parse().map_err(|_| OfferError::at(line, "the id of an extmap is a number."))?;
    let wanted = matches!(direction, "sendrecv" | "recvonly") && uri.len() <= 256;
    Ok(u8::try_from(id).ok().filter(|id| *id != 0 && wanted).map(|id| (id, uri.into())))
}
