//! What one viewer got, in fixed memory: packets in order of their numbers, frames, what
//! never came. Pure; times are ns of `CLOCK_MONOTONIC`.

/// Packets that may wait behind a gap before it counts as lost; a power of two.
const WINDOW: usize = 512;
/// How long a gap may stay open: NACK and retransmission take a few tries.
const WAIT_NS: u64 = 1_000_000_000;

/// An RTP packet: authentic, decrypted.
#[derive(Debug, Clone, Copy, Default)]
pub struct Packet {
    /// Extended sequence number.
    pub seq: u64,
    /// RTP timestamp.
    pub time: u32,
    pub marker: bool,
    /// Has a slice of a key frame in it.
    pub key: bool,
    /// From the camera's SEI, which some frames have: the frame's index, and when it was
    /// handed to the connection.
    pub stamp: Option<(u32, u64)>,
    /// When the kernel received it.
    pub at: u64,
}

/// See the module.
pub struct Tally {
    /// By the low bits of the number; None is not here yet, or taken.
    slots: Box<[Option<Packet>]>,
    /// The number that comes next, and the highest seen.
    next: Option<u64>,
    highest: u64,
    /// All that came in time, each once.
    pub packets: u64,
    /// Numbers that never came.
    pub lost: u64,
    /// Frames of which all packets came.
    pub frames: u64,
    /// Frames that the camera sent between two that came, and that did not.
    pub skipped: u64,
    /// The last packet of the first complete key frame.
    pub first_key: Option<u64>,
    /// From a frame's hand-over to its last packet, µs; since [`Tally::watch`].
    pub latencies: Option<Vec<u32>>,
    open: Option<Open>,
    /// A gap was given up just before the next packet.
    gap: bool,
    /// The last frame with a stamp, and the frames that came from it on.
    stamped: Option<(u32, u32)>,
}

/// The frame whose packets come.
#[derive(Clone, Copy)]
struct Open {
    time: u32,
    key: bool,
    stamp: Option<(u32, u64)>,
    last: u64,
    complete: bool,
}

impl Default for Tally {
    fn default() -> Self {
        Tally {
            slots: vec![None; WINDOW].into(),
            next: None,
            highest: 0,
            packets: 0,
            lost: 0,
            frames: 0,
            skipped: 0,
            first_key: None,
            latencies: None,
            open: None,
            gap: false,
            stamped: None,
        }
    }
}

impl Tally {
    /// From now on latencies are kept.
    pub fn watch(&mut self) {
        self.latencies = Some(Vec::with_capacity(1_024));
    }

    /// Numbers that are missing now and may still come, as they are on the wire.
    pub fn missing_numbers(&self) -> Vec<u16> {
        match self.next {
            Some(next) if self.highest >= next => {
                (next..=self.highest).filter(|seq| self.slots[slot(*seq)].is_none()).map(|seq| seq as u16).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Takes a packet, whenever it comes; one that was here already changes nothing.
    pub fn packet(&mut self, packet: Packet) {
        let next = *self.next.get_or_insert(packet.seq);
        if packet.seq < next {
            return; // from before the first one, taken, or given up
        }
        self.highest = self.highest.max(packet.seq);
        // Who is too far ahead for the window pushes the oldest gap out.
        while self.next.is_some_and(|next| packet.seq >= next + WINDOW as u64) {
            self.give_up();
        }
        if self.slots[slot(packet.seq)].replace(packet).is_none() {
            self.packets += 1;
        }
        self.advance(packet.at);
    }

    fn advance(&mut self, now: u64) {
        while let Some(next) = self.next.filter(|next| *next <= self.highest) {
            if let Some(packet) = self.slots[slot(next)].take() {
                self.next = Some(next + 1);
                self.in_order(packet);
                continue;
            }
            // What came first behind the gap says how long it has been open.
            let behind = (next + 1..=self.highest).find_map(|seq| self.slots[slot(seq)]);
            if behind.is_none_or(|p| now.saturating_sub(p.at) <= WAIT_NS) {
                return;
            }
            self.give_up();
        }
    }

    /// Takes the next number for lost, if it is not here.
    fn give_up(&mut self) {
        let Some(next) = self.next else { return };
        self.next = Some(next + 1);
        match self.slots[slot(next)].take() {
            Some(packet) => self.in_order(packet),
            None => {
                self.lost += 1;
                self.gap = true;
            }
        }
    }

    fn in_order(&mut self, packet: Packet) {
        let gap = std::mem::take(&mut self.gap);
        if let Some(open) = self.open.as_mut().filter(|open| open.time != packet.time) {
            // Its end is missing if there was a gap, or its marker never was.
            open.complete &= !gap;
            self.close();
        }
        let open = self.open.get_or_insert(Open {
            time: packet.time,
            key: false,
            stamp: None,
            last: packet.at,
            complete: true,
        });
        open.complete &= !gap;
        open.key |= packet.key;
        open.stamp = open.stamp.or(packet.stamp);
        open.last = open.last.max(packet.at);
        if packet.marker {
            self.close();
        }
    }

    fn close(&mut self) {
        let Some(frame) = self.open.take() else { return };
        if frame.complete {
            self.frames += 1;
            if frame.key {
                self.first_key.get_or_insert(frame.last);
            }
        }
        let Some((index, handed)) = frame.stamp else {
            if let Some((_, came)) = &mut self.stamped {
                *came += 1;
            }
            return;
        };
        if let Some((last, came)) = self.stamped.replace((index, 1)) {
            self.skipped += u64::from(index.saturating_sub(last).saturating_sub(came));
        }
        if let Some(latencies) = self.latencies.as_mut().filter(|_| frame.complete) {
            latencies.push((frame.last.saturating_sub(handed) / 1_000).min(u64::from(u32::MAX)) as u32);
        }
    }
}

fn slot(seq: u64) -> usize {
    seq as usize % WINDOW
}
