//! The body of a PATCH: `application/trickle-ice-sdpfrag` (RFC 8840 §9), with
//! candidates that came late, or new credentials for an ICE restart (RFC 9725
//! §4.3); and our answer to the latter.

use std::fmt::{self, Write as _};

use super::answer::Transport;
use super::candidate::Candidate;
use super::sdp::{self, Limits, OfferError};

/// A fragment that is well-formed.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Fragment {
    /// The generation it belongs to, from the session or the first section that
    /// names one. Clients that leave it out mean the present one.
    pub ice_ufrag: Option<String>,
    /// The password of that generation; a secret.
    pub ice_pwd: Option<String>,
    /// The `m=` sections; one without media line or mid stands for a fragment
    /// that has candidates only.
    pub sections: Vec<FragmentSection>,
}

/// Without the password.
impl fmt::Debug for Fragment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fragment")
            .field("ice_ufrag", &self.ice_ufrag)
            .field("sections", &self.sections)
            .finish_non_exhaustive()
    }
}

/// One section of a fragment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FragmentSection {
    /// Which section of the offer is meant; within a bundle it does not matter.
    pub mid: Option<String>,
    /// Its candidates, usable or not.
    pub candidates: Vec<Candidate>,
    /// Whether there are no more.
    pub end_of_candidates: bool,
}

impl Fragment {
    /// Whether it asks for an ICE restart: its credentials are other than
    /// those that the session has of the client.
    pub fn is_restart(&self, current_ufrag: &str) -> bool {
        self.ice_ufrag.as_deref().is_some_and(|ufrag| ufrag != current_ufrag)
    }

    /// The candidates that can be handed to the engine. Those that we cannot
    /// send to, and those of a generation gone by (RFC 8840 §4.4), are dropped
    /// without an error (row 26 of the WHEP table).
    pub fn usable(&self, current_ufrag: &str) -> impl Iterator<Item = &Candidate> {
        let current = !self.is_restart(current_ufrag);
        self.sections
            .iter()
            .flat_map(|s| &s.candidates)
            .filter(move |c| current && c.usable() && c.ufrag.as_deref().is_none_or(|u| u == current_ufrag))
    }

    /// Whether the client says that there are no more candidates.
    pub fn end_of_candidates(&self) -> bool {
        self.sections.iter().any(|s| s.end_of_candidates)
    }
}

/// Parses a fragment within the default [`Limits`].
pub fn parse(text: &str) -> Result<Fragment, OfferError> {
    parse_within(text, &Limits::default())
}

/// Parses a fragment. Lines that it need not have (`v=`, `c=`, `a=group` …) are
/// read over. The error names the line.
pub fn parse_within(text: &str, limits: &Limits) -> Result<Fragment, OfferError> {
    let lines = sdp::lines(text, limits)?;
    if lines.is_empty() {
        return Err(OfferError::bad("The fragment is empty."));
    }
    let mut fragment = Fragment::default();
    // What comes before the first `m=`: candidates there are against RFC 8840
    // and unmistakable all the same, as we have one transport.
    let mut section = FragmentSection::default();
    let mut media_lines = 0;
    let mut said_something = false;
    for line in &lines {
        if line.letter == b'm' {
            if media_lines == limits.sections {
                return Err(OfferError::at(line.number, format!("more than {} \"m=\" sections.", limits.sections)));
            }
            finish(&mut fragment, std::mem::take(&mut section), media_lines > 0);
            media_lines += 1;
            continue;
        }
        let Some((name, value)) = line.attribute() else {
            continue;
        };
        match name {
            "ice-ufrag" if sdp::is_ice(value, 4) => same(&mut fragment.ice_ufrag, value, line.number, "ice-ufrag")?,
            "ice-ufrag" => {
                return Err(OfferError::at(line.number, "an ice-ufrag has 4 to 256 letters, digits, \"+\" or \"/\"."));
            }
            "ice-pwd" if sdp::is_ice(value, 22) => same(&mut fragment.ice_pwd, value, line.number, "ice-pwd")?,
            "ice-pwd" => {
                return Err(OfferError::at(line.number, "an ice-pwd has 22 to 256 letters, digits, \"+\" or \"/\"."));
            }
            "mid" if sdp::is_mid(value) && media_lines > 0 => section.mid = Some(value.into()),
            "mid" => {
                return Err(OfferError::at(
                    line.number,
                    "a mid is a token of at most 64 characters, after an \"m=\" line.",
                ));
            }
            "candidate" if value.is_empty() => section.end_of_candidates = true,
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
            "end-of-candidates" => section.end_of_candidates = true,
            _ => continue,
        }
        said_something = true;
    }
    finish(&mut fragment, section, media_lines > 0);
    if !said_something {
        return Err(OfferError::bad("The fragment has neither candidates nor ICE credentials."));
    }
    if fragment.ice_pwd.is_some() && fragment.ice_ufrag.is_none() {
        return Err(OfferError::bad("The fragment has an ice-pwd without an ice-ufrag."));
    }
    Ok(fragment)
}

/// Keeps a section; what stands before the first `m=` only if there is something.
fn finish(fragment: &mut Fragment, section: FragmentSection, started: bool) {
    if started || section != FragmentSection::default() {
        fragment.sections.push(section);
    }
}

/// Credentials may stand in every section, but one transport has one pair.
fn same(known: &mut Option<String>, value: &str, line: usize, name: &str) -> Result<(), OfferError> {
    match known {
        Some(old) if old != value => Err(OfferError::at(line, format!("another {name} than before in this fragment."))),
        _ => {
            *known = Some(value.into());
            Ok(())
        }
    }
}

/// The section that our answers to restarts stand in: all is bundled with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The mids of the bundle, where there is one.
    pub bundle: Vec<String>,
    /// Behind `m=`: `video 9 UDP/TLS/RTP/SAVPF 102`.
    pub media: String,
    /// Its mid, where the client gave it one.
    pub mid: Option<String>,
}

/// The answer to an ICE restart: our new credentials and our candidates (RFC 9725 §4.3.3),
/// with CRLF.
pub fn write(head: &Head, transport: &Transport) -> String {
    let mut out = String::with_capacity(512);
    if !head.bundle.is_empty() {
        let _ = write!(out, "a=group:BUNDLE {}\r\n", head.bundle.join(" "));
    }
    let _ = write!(out, "m={}\r\n", head.media);
    if let Some(mid) = &head.mid {
        let _ = write!(out, "a=mid:{mid}\r\n");
    }
    let _ = write!(out, "a=ice-ufrag:{}\r\na=ice-pwd:{}\r\n", transport.ice_ufrag, transport.ice_pwd);
    for candidate in &transport.candidates {
        let _ = write!(out, "a=candidate:{candidate}\r\n");
    }
    if transport.end_of_candidates {
        out.push_str("a=end-of-candidates\r\n");
    }
    out
}

#[cfg(test)]
mod tests;
