//! What comes in on one connection, cut into packets and messages (RFC 2326 §10.12):
//! one buffer, read into, and looked at in place. Pure.

use super::message::{Message, Nonsense};

/// What a buffer begins with: some reads of a camera.
const ROOM: usize = 16 * 1024;
/// The least that is offered to a read.
const READ: usize = 4 * 1024;
/// No message and no packet is larger.
const MOST: usize = 3 * super::message::PART;
/// So much garbage between two packets, bytes, and nobody finds the way back.
const LOST: usize = 256 * 1024;
/// What stands between messages and says nothing.
const BLANK: [u8; 3] = *b"\r\n ";
/// `$`, channel, length.
const HEAD: usize = 4;

/// What came.
#[derive(Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// RTP or RTCP.
    Packet { channel: u8, data: &'a [u8] },
    /// An answer or a request.
    Message(Message),
}

/// The buffer of a connection.
#[derive(Debug)]
pub struct Inbox {
    data: Vec<u8>,
    start: usize,
    end: usize,
    /// Packets may come: garbage is passed over. Before, it is somebody else's protocol.
    playing: bool,
    /// The channels that were set up.
    channels: Box<[bool; 256]>,
    /// Garbage was passed over since the last packet or message, and not empty lines alone.
    lost: bool,
    /// Bytes passed over since then.
    skipped: usize,
    /// Bytes passed over in all.
    pub garbage: u64,
}

enum Next {
    /// Of this length, at the start.
    Packet(u8, usize),
    Message(Message, usize),
    Garbage(usize),
    /// Bytes that it takes at least, in all.
    More(usize),
}

impl Default for Inbox {
    fn default() -> Self {
        let channels = Box::new([false; 256]);
        Inbox { data: vec![0; ROOM], start: 0, end: 0, playing: false, channels, lost: false, skipped: 0, garbage: 0 }
    }
}

impl Inbox {
    /// From now on packets come, of these channels. Others are taken where one begins behind
    /// another, and not where a beginning is looked for in garbage.
    pub fn play(&mut self, channels: impl IntoIterator<Item = u8>) {
        self.playing = true;
        channels.into_iter().for_each(|c| self.channels[usize::from(c)] = true);
    }

    /// Where the next bytes go; [`Inbox::filled`] tells how many came.
    pub fn room(&mut self) -> &mut [u8] {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.data.len() - self.end < READ && self.start > 0 {
            self.data.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.data.len() - self.end < READ {
            let larger = (self.data.len() * 2).min(MOST);
            self.data.resize(larger, 0);
        }
        self.data.get_mut(self.end..).unwrap_or_default()
    }

    /// So many bytes were put into the room.
    pub fn filled(&mut self, bytes: usize) {
        self.end = (self.end + bytes).min(self.data.len());
    }

    /// The next packet or message; none: read more.
    pub fn next(&mut self) -> Result<Option<Item<'_>>, Nonsense> {
        loop {
            let pending = self.data.get(self.start..self.end).unwrap_or_default();
            let lost = self.lost.then_some(&*self.channels);
            match look(pending, self.playing, lost)? {
                Next::Packet(channel, length) => {
                    let from = self.start;
                    self.start += length;
                    (self.skipped, self.lost) = (0, false);
                    let data = self.data.get(from + HEAD..self.start).unwrap_or_default();
                    return Ok(Some(Item::Packet { channel, data }));
                }
                Next::Message(message, length) => {
                    self.start += length;
                    (self.skipped, self.lost) = (0, false);
                    return Ok(Some(Item::Message(message)));
                }
                Next::Garbage(bytes) => {
                    self.lost |= !pending.first().is_some_and(|b| BLANK.contains(b));
                    self.start += bytes;
                    self.skipped += bytes;
                    self.garbage += bytes as u64;
                    if self.skipped > LOST {
                        return Err(Nonsense);
                    }
                }
                Next::More(least) if least > MOST => return Err(Nonsense),
                Next::More(_) => return Ok(None),
            }
        }
    }
}

/// What `data` begins with; `lost`: behind garbage, and the channels that may come.
fn look(data: &[u8], playing: bool, lost: Option<&[bool; 256]>) -> Result<Next, Nonsense> {
    match data {
        [] => Ok(Next::More(1)),
        // Some cameras put an empty line behind a body.
        [b, ..] if BLANK.contains(b) => Ok(Next::Garbage(1)),
        [b'$', channel, high, low, rest @ ..] => {
            let length = HEAD + usize::from(u16::from_be_bytes([*high, *low]));
            let strange = lost.is_some_and(|known| !known[usize::from(*channel)]);
            if playing && (strange || !plausible(*channel, length - HEAD, rest)) {
                Ok(Next::Garbage(1 + resume(data.get(1..).unwrap_or_default())))
            } else if data.len() < length {
                Ok(Next::More(length))
            } else {
                Ok(Next::Packet(*channel, length))
            }
        }
        [b'$', ..] => Ok(Next::More(HEAD)),
        _ => match Message::parse(data) {
            Ok(Some((message, length))) => Ok(Next::Message(message, length)),
            Ok(None) if !playing || starts_message(data) => Ok(Next::More(data.len() + 1)),
            Err(Nonsense) if !playing => Err(Nonsense),
            _ => Ok(Next::Garbage(1 + resume(data.get(1..).unwrap_or_default()))),
        },
    }
}

/// Bytes up to where something may begin again.
fn resume(data: &[u8]) -> usize {
    data.iter().position(|b| matches!(b, b'$' | b'R')).unwrap_or(data.len())
}

/// Whether a packet may begin so: version 2, and large enough to be one (RFC 3550 §5.1,
/// §6.4). What is empty some cameras send to keep NATs open.
fn plausible(channel: u8, length: usize, rest: &[u8]) -> bool {
    let least = if channel.is_multiple_of(2) { 12 } else { 4 };
    length == 0 || (length >= least && rest.first().is_none_or(|b| b >> 6 == 2))
}

/// Whether a message may begin so: `RTSP/…`, or the method of a request.
fn starts_message(data: &[u8]) -> bool {
    let word = data.iter().take(32).take_while(|b| b.is_ascii_uppercase() || **b == b'_').count();
    word == data.len() || (word > 3 && word < 32 && matches!(data.get(word), Some(b'/' | b' ')))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn packet(channel: u8, n: u8, length: usize) -> Vec<u8> {
        let mut p = vec![b'$', channel];
        p.extend((length as u16).to_be_bytes());
        p.extend([0x80, 96, 0, n]);
        p.resize(HEAD + length, n);
        p
    }

    const OK: &[u8] = b"RTSP/1.0 200 OK\r\nCSeq: 3\r\nContent-Length: 2\r\n\r\n$\0";

    /// A packet by channel and content; none: a message.
    type Got = Option<(u8, Vec<u8>)>;

    /// Feeds in pieces, and drains.
    fn feed(inbox: &mut Inbox, data: &[u8], piece: usize) -> Result<Vec<Got>, Nonsense> {
        let mut got = Vec::new();
        for piece in data.chunks(piece.max(1)) {
            let mut piece = piece;
            while !piece.is_empty() {
                let room = inbox.room();
                let n = room.len().min(piece.len());
                assert!(n > 0, "no room");
                room[..n].copy_from_slice(&piece[..n]);
                inbox.filled(n);
                piece = &piece[n..];
                while let Some(item) = inbox.next()? {
                    got.push(match item {
                        Item::Packet { channel, data } => Some((channel, data.to_vec())),
                        Item::Message(_) => None,
                    });
                }
            }
        }
        Ok(got)
    }

    fn playing() -> Inbox {
        let mut inbox = Inbox::default();
        inbox.play([0, 1]);
        inbox
    }

    #[test]
    fn an_answer_stands_between_packets() {
        let data = [packet(0, 1, 1_400), OK.to_vec(), packet(1, 2, 28), packet(0, 3, 65_535), packet(2, 4, 0)].concat();
        for piece in [1, 7, 1_000, usize::MAX] {
            let got = feed(&mut playing(), &data, piece).unwrap();
            assert_eq!(
                got.iter().map(|i| i.as_ref().map(|p| (p.0, p.1.len()))).collect::<Vec<_>>(),
                [Some((0, 1_400)), None, Some((1, 28)), Some((0, 65_535)), Some((2, 0))]
            );
        }
    }

    #[test]
    fn garbage_is_passed_over_while_it_plays() {
        for garbage in [&b"garbage"[..], b"$", b"$$$$", b"\0\xff\x13", b"RTSP/9 x\r\n", b"$\0\0\x20hello", b"TEXT"] {
            let data = [packet(0, 1, 100), garbage.to_vec(), packet(0, 2, 100), packet(0, 3, 100)].concat();
            let got = feed(&mut playing(), &data, 9).unwrap();
            let last = got.last().unwrap().as_ref().unwrap();
            assert_eq!((last.0, last.1.len(), last.1[3]), (0, 100, 3), "{garbage:x?}");
        }
    }

    #[test]
    fn behind_garbage_only_what_was_set_up_begins_a_packet() {
        // A piece of a picture that looks like the head of a long packet, of nobody's channel.
        let trap = b"\0\xff$\x7f\xff\x00\x80".to_vec();
        let data = [packet(0, 1, 100), trap, packet(0, 2, 100), packet(8, 3, 100)].concat();
        let got: Vec<Got> = feed(&mut playing(), &data, 50).unwrap();
        let channels: Vec<u8> = got.iter().flatten().map(|p| p.0).collect();
        assert_eq!(channels, [0, 0, 8], "and it does not wait for 65,000 bytes");
        // An empty line is no garbage.
        let data = [packet(0, 1, 100), b"\r\n".to_vec(), packet(8, 2, 100)].concat();
        assert_eq!(feed(&mut playing(), &data, 50).unwrap().len(), 2);
    }

    #[test]
    fn garbage_has_an_end() {
        assert_eq!(feed(&mut playing(), &vec![b'x'; LOST + 1_000], 1_000), Err(Nonsense));
        // Before it plays there is none.
        assert_eq!(feed(&mut Inbox::default(), b"SSH-2.0-x\r\n", 100), Err(Nonsense));
        assert_eq!(feed(&mut Inbox::default(), b"\0\xff\x13$\x7f\0\x08garbage!\r\n\r\n", 100), Err(Nonsense));
        // An empty line behind a body is none.
        assert_eq!(feed(&mut Inbox::default(), &[OK, b"\r\n", OK].concat(), 100), Ok(vec![None, None]));
    }

    proptest! {
        /// However the network cuts it, the same packets come out.
        #[test]
        fn cuts_do_not_matter(items in prop::collection::vec((any::<u8>(), 12usize..3_000), 1..40), piece in 1usize..5_000) {
            let data: Vec<u8> = items.iter().flat_map(|(n, length)| packet(n % 4 * 2, *n, *length)).collect();
            let got = feed(&mut playing(), &data, piece).unwrap();
            let sent: Vec<_> = items.iter().map(|(n, l)| Some((n % 4 * 2, packet(0, *n, *l)[HEAD..].to_vec()))).collect();
            prop_assert_eq!(got, sent);
        }
    }

    proptest! {
        #![proptest_config(crate::fuzz::cases(1_000))]

        #[test]
        fn fuzz_inbox(data in crate::fuzz::mutated(vec![[packet(0, 1, 40), OK.to_vec(), packet(1, 2, 28)].concat()]), piece in 1usize..200, plays in any::<bool>()) {
            let mut inbox = if plays { playing() } else { Inbox::default() };
            if let Ok(got) = feed(&mut inbox, &data, piece) {
                let bytes: usize = got.iter().flatten().map(|(_, d)| d.len() + HEAD).sum();
                prop_assert!(bytes <= data.len());
            }
            prop_assert!(inbox.data.len() <= MOST);
        }
    }
}
