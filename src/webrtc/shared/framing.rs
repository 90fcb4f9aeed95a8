//! Datagrams over TCP (RFC 4571): two bytes of length before each. For passive ICE-TCP
//! candidates (RFC 6544 §10.1): STUN, DTLS and SRTP come framed alike. Pure.

/// The longest frame that a peer may send: more than any datagram that crosses a link of
/// 1,500 bytes, so that a connection cannot make us hold more than this.
pub const LONGEST: usize = 2_048;

/// A peer that does not speak RFC 4571: its connection is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a frame of {0} bytes is longer than {LONGEST}")]
pub struct TooLong(pub usize);

/// Takes a byte stream apart. Holds one unfinished frame at most.
#[derive(Debug, Default)]
pub struct Deframer {
    /// The beginning of a frame, with its length.
    partial: Vec<u8>,
}

impl Deframer {
    /// Takes what was read, and hands over each frame that is whole. Frames of no bytes
    /// (keep-alives) are passed over. After an error the stream has no meaning any more.
    pub fn push(&mut self, mut data: &[u8], mut frame: impl FnMut(&[u8])) -> Result<(), TooLong> {
        loop {
            if self.partial.is_empty() {
                // Whole frames are handed over where they lie.
                let Some((length, rest)) = split(data) else { break };
                check(length)?;
                let Some(body) = rest.get(..length) else { break };
                if !body.is_empty() {
                    frame(body);
                }
                data = rest.get(length..).unwrap_or_default();
                continue;
            }
            let wanted = match split(&self.partial) {
                Some((length, _)) => {
                    check(length)?;
                    2 + length
                }
                None => 2,
            };
            let (take, rest) = data.split_at(data.len().min(wanted - self.partial.len()));
            self.partial.extend_from_slice(take);
            data = rest;
            if self.partial.len() < wanted {
                return Ok(());
            }
            if let Some((length, body)) = split(&self.partial)
                && length == body.len()
            {
                if !body.is_empty() {
                    frame(body);
                }
                self.partial.clear();
            } else if data.is_empty() {
                // Only the length was missing, and it is there now.
                return Ok(());
            }
        }
        self.partial.extend_from_slice(data);
        Ok(())
    }

    /// Bytes held.
    pub fn held(&self) -> usize {
        self.partial.len()
    }
}

fn split(data: &[u8]) -> Option<(usize, &[u8])> {
    let (length, rest) = data.split_first_chunk::<2>()?;
    Some((usize::from(u16::from_be_bytes(*length)), rest))
}

fn check(length: usize) -> Result<(), TooLong> {
    if length > LONGEST { Err(TooLong(length)) } else { Ok(()) }
}

/// Appends a datagram as a frame. Datagrams of ours are never longer than 65,535 bytes;
/// a longer one is not written, and false is returned.
pub fn frame(datagram: &[u8], out: &mut Vec<u8>) -> bool {
    let Ok(length) = u16::try_from(datagram.len()) else { return false };
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(datagram);
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(d: &mut Deframer, data: &[u8]) -> Vec<Vec<u8>> {
        let mut out = Vec::new();
        d.push(data, |f| out.push(f.to_vec())).unwrap();
        out
    }

    #[test]
    fn byte_by_byte() {
        let mut d = Deframer::default();
        let mut got = Vec::new();
        for b in [0, 2, 7, 8, 0, 0, 0, 1, 9] {
            got.extend(all(&mut d, &[b]));
        }
        assert_eq!((got, d.held()), (vec![vec![7, 8], vec![9]], 0));
    }

    #[test]
    fn too_long_ends_it() {
        let mut d = Deframer::default();
        assert_eq!(d.push(&[0x08, 0x01], |_| ()), Err(TooLong(2_049)));
        let mut d = Deframer::default();
        assert_eq!(d.push(&[0x08], |_| ()), Ok(()));
        assert_eq!(d.push(&[0x01, 0], |_| ()), Err(TooLong(2_049)));
        assert!(!frame(&[0; 65_536], &mut Vec::new()));
    }

    proptest! {
        /// However the stream is cut, the same frames come out.
        #[test]
        fn any_cut(frames in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..60), 0..12),
                   cuts in proptest::collection::vec(1usize..40, 1..40)) {
            let mut stream = Vec::new();
            for f in &frames { assert!(frame(f, &mut stream)); }
            let mut d = Deframer::default();
            let (mut got, mut rest, mut cuts) = (Vec::new(), stream.as_slice(), cuts.iter().cycle());
            while !rest.is_empty() {
                let (a, b) = rest.split_at(rest.len().min(*cuts.next().unwrap()));
                got.extend(all(&mut d, a));
                rest = b;
            }
            let wanted: Vec<_> = frames.into_iter().filter(|f| !f.is_empty()).collect();
            prop_assert_eq!(got, wanted);
            prop_assert_eq!(d.held(), 0);
        }

        #[test]
        fn bounded_whatever_comes(chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..5_000), 0..8)) {
            let mut d = Deframer::default();
            for c in &chunks {
                if d.push(c, |f| assert!(!f.is_empty() && f.len() <= LONGEST)).is_err() { break }
                prop_assert!(d.held() < LONGEST + 2);
            }
        }
    }
}
