//! The ICE session of a viewer, and what a PATCH does to it (RFC 9725 §4.3).

use std::collections::VecDeque;

use crate::error::{Error, Kind, Result};
use crate::webrtc::candidate::Candidate;
use crate::webrtc::engine::{Credentials, Peer};
use crate::webrtc::negotiate::Plan;
use crate::webrtc::offer::Offer;
use crate::webrtc::sdpfrag::{self, Head};

use super::token;

/// Generations that are remembered: fragments of theirs may still be under way.
const PAST: usize = 8;

/// What the client has of the ICE session.
pub(super) struct Generation {
    pub etag: String,
    /// The client's, of now and before.
    ufrag: String,
    past: VecDeque<String>,
    head: Head,
}

/// A PATCH that began the ICE session anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restarted {
    /// The new entity tag, unquoted.
    pub etag: String,
    /// Our new credentials and our candidates: a fragment with CRLF.
    pub fragment: String,
}

impl Generation {
    /// The first one, as offered.
    pub fn new(offer: &Offer, plan: &Plan) -> Self {
        let first = plan.sends().next().and_then(|(i, send)| Some((offer.sections.get(i)?, send)));
        let peer = first.and_then(|(section, _)| section.peer.as_ref());
        let sent = |mid: &&String| plan.sends().any(|(_, send)| send.mid == **mid);
        let head = Head {
            bundle: offer.bundle.iter().filter(sent).cloned().collect(),
            media: first.map_or_else(String::new, |(s, send)| format!("{} 9 {} {}", s.media, s.protocol, send.pt)),
            mid: first.filter(|(s, _)| s.mid_offered).map(|(s, _)| s.mid.clone()),
        };
        let ufrag = peer.map(|p| p.ice_ufrag.clone()).unwrap_or_default();
        Generation { etag: token(12), ufrag, past: VecDeque::new(), head }
    }

    /// Takes a fragment. `if_match` as in [`super::Sessions::patch`].
    pub async fn patch(&mut self, peer: &dyn Peer, if_match: Option<&str>, body: &str) -> Result<Option<Restarted>> {
        if if_match.is_some_and(|tags| !names(tags, &self.etag)) {
            return Err(Error::new(Kind::PreconditionFailed, "this is not the entity tag of the ICE session"));
        }
        let fragment = sdpfrag::parse(body)?;
        // Late news of a generation gone by (RFC 8840 §4.4).
        if fragment.ice_ufrag.as_ref().is_some_and(|ufrag| self.past.contains(ufrag)) {
            return Ok(None);
        }
        let mut restarted = None;
        if fragment.is_restart(&self.ufrag)
            && let Some(ufrag) = fragment.ice_ufrag.clone()
        {
            let missing = || Error::new(Kind::BadRequest, "the fragment has a new ice-ufrag and no ice-pwd");
            let password = fragment.ice_pwd.clone().ok_or_else(missing)?;
            let transport = peer.restart(Credentials { ufrag: ufrag.clone(), password }).await?;
            self.past.push_back(std::mem::replace(&mut self.ufrag, ufrag));
            if self.past.len() > PAST {
                self.past.pop_front();
            }
            self.etag = token(12);
            let fragment = sdpfrag::write(&self.head, &transport);
            restarted = Some(Restarted { etag: self.etag.clone(), fragment });
        }
        let candidates: Vec<Candidate> = fragment.usable(&self.ufrag).cloned().collect();
        if !candidates.is_empty() {
            peer.add_candidates(candidates).await;
        }
        Ok(restarted)
    }
}

/// Whether one of the tags of an If-Match is this one (RFC 9110 §13.1.1).
fn names(tags: &str, etag: &str) -> bool {
    tags.split(',').any(|tag| tag == "*" || tag == etag)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::media::codec::{Codec, Track};
    use crate::webrtc::answer::Transport;
    use crate::webrtc::engine::{Job, PeerState, PeerStats};
    use crate::webrtc::negotiate::negotiate;
    use crate::webrtc::offer::{self, fixtures::captured};

    #[test]
    fn one_tag_of_several_is_enough() {
        for (tags, want) in [("a", true), ("*", true), ("b,a", true), ("b", false), ("", false), ("W/\"a\"", false)] {
            assert_eq!(names(tags, "a"), want, "{tags}");
        }
    }

    /// Restarts, or not, and notes what it gets.
    #[derive(Default)]
    struct Double {
        restarts: bool,
        got: Mutex<Vec<String>>,
    }

    impl Peer for Double {
        fn add_candidates(&self, candidates: Vec<Candidate>) -> Job<'_, ()> {
            self.got.lock().unwrap().extend(candidates.iter().map(|c| c.address.to_string()));
            Box::pin(std::future::ready(()))
        }
        fn state(&self) -> tokio::sync::watch::Receiver<PeerState> {
            tokio::sync::watch::channel(PeerState::Connected).1
        }
        fn stats(&self) -> PeerStats {
            PeerStats::default()
        }
        fn restart(&self, remote: Credentials) -> Job<'_, Result<Transport>> {
            self.got.lock().unwrap().push(format!("{} {}", remote.ufrag, remote.password));
            let n = self.got.lock().unwrap().len();
            let new = Transport {
                ice_ufrag: format!("ours{n}"),
                ice_pwd: "o".repeat(22),
                fingerprint_sha256: String::new(),
                candidates: vec!["1 1 udp 1 127.0.0.1 8189 typ host".into()],
                end_of_candidates: true,
            };
            let refused = || Err(Error::new(Kind::Unprocessable, "no"));
            Box::pin(std::future::ready(if self.restarts { Ok(new) } else { refused() }))
        }
        fn close(&self) -> Job<'_, ()> {
            Box::pin(std::future::ready(()))
        }
    }

    fn begun() -> Generation {
        let offer = offer::parse(captured("chromium-whep")).unwrap();
        let codec = Codec::H264 { profile_level_id: [0x42, 0xe0, 0x1f] };
        let plan = negotiate(&offer, &[Track { codec, width: None, height: None, fps: None }]).unwrap();
        Generation::new(&offer, &plan)
    }

    fn fragment(ufrag: &str, candidate: &str) -> String {
        let pwd = "p".repeat(22);
        format!("a=ice-ufrag:{ufrag}\r\na=ice-pwd:{pwd}\r\nm=video 9 RTP/AVP 0\r\na=mid:0\r\n{candidate}")
    }

    #[tokio::test]
    async fn a_restart_has_a_new_tag_and_old_news_are_dropped() {
        let (mut g, peer) = (begun(), Double { restarts: true, ..Double::default() });
        let (old, first) = (g.etag.clone(), g.ufrag.clone());
        let candidate = "a=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\n";
        let done = g.patch(&peer, Some("*"), &fragment("newer", candidate)).await.unwrap().unwrap();
        assert_ne!(done.etag, old);
        assert_eq!(*peer.got.lock().unwrap(), [format!("newer {}", "p".repeat(22)), "192.0.2.1".into()]);
        let lines: Vec<&str> = done.fragment.split_terminator("\r\n").collect();
        let pwd = format!("a=ice-pwd:{}", "o".repeat(22));
        assert!(lines[1].starts_with("m=video 9 UDP/TLS/RTP/SAVPF "), "{lines:?}");
        assert!(lines[0].starts_with("a=group:BUNDLE ") && lines[2].starts_with("a=mid:"), "{lines:?}");
        let rest = ["a=ice-ufrag:ours1", &pwd, "a=candidate:1 1 udp 1 127.0.0.1 8189 typ host", "a=end-of-candidates"];
        assert_eq!(lines[3..], rest);
        let again = sdpfrag::parse(&done.fragment).unwrap();
        assert_eq!(again.ice_ufrag.as_deref(), Some("ours1"));
        // Who knows the old tag only is late; and so is a candidate of the old generation.
        let late = g.patch(&peer, Some(&old), &fragment("newer", candidate)).await.unwrap_err();
        assert_eq!(late.kind, Kind::PreconditionFailed);
        assert_eq!(g.patch(&peer, None, &fragment(&first, candidate)).await, Ok(None));
        assert_eq!(peer.got.lock().unwrap().len(), 2);
        // The same generation again is no restart.
        assert_eq!(g.patch(&peer, Some(&done.etag), &fragment("newer", candidate)).await, Ok(None));
        assert_eq!(peer.got.lock().unwrap().len(), 3);
    }

    #[tokio::test]
    async fn what_cannot_be_changes_nothing() {
        let (mut g, peer) = (begun(), Double::default());
        let (tag, ufrag) = (g.etag.clone(), g.ufrag.clone());
        let refused = g.patch(&peer, None, &fragment("newer", "")).await.unwrap_err();
        assert_eq!(refused.kind, Kind::Unprocessable);
        let bare = g.patch(&peer, None, "a=ice-ufrag:newer\r\n").await.unwrap_err();
        assert_eq!(bare.kind, Kind::BadRequest);
        assert_eq!((&g.etag, &g.ufrag), (&tag, &ufrag));
        let trickled = fragment(&ufrag, "a=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\n");
        assert_eq!(g.patch(&peer, Some(&tag), &trickled).await, Ok(None));
    }
}
