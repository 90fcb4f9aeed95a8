//! Datagrams out: a batch in as few system calls as the kernel lets us.
//!
//! What is tried is sendmmsg with UDP_SEGMENT. A kernel without it says so at the start;
//! a way that cannot do it (EIO of a device that does not checksum, EINVAL of a link whose
//! MTU is smaller than a packet) is found by its first run, which then goes out packet by
//! packet, and that peer is remembered.

use std::collections::HashSet;
use std::io;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::super::batch::{Batch, Run};
use super::super::control::Egress;
use super::super::ice::{Route, Via};
use super::address::{Control, Name};
use super::udp::Udp;

/// Messages per system call.
const MANY: usize = 64;
/// A full socket is waited for so long in all, between two calls of [`Sender::rested`]: a batch takes that long on a
/// line of 40 Mbit/s. The thread could send nothing meanwhile anyway, and the key frame of
/// a hundred viewers does not fit into a socket at once.
const PATIENCE: Duration = Duration::from_millis(30);
/// So many peers without GSO are remembered; with more, the machine has none.
const PLAIN: usize = 64;

/// A message that waits to be handed over.
#[derive(Debug, Clone, Copy)]
struct Pending {
    route: Route,
    packets: usize,
    segment: usize,
    /// Bytes of the control message without UDP_SEGMENT.
    source: usize,
}

/// What became of a batch.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Packets that the kernel took.
    pub sent: u64,
    /// Packets that it did not take.
    pub unsent: u64,
    /// Whose they were; several times where there were several messages.
    pub behind: Vec<Route>,
}

impl Outcome {
    /// Forgets; the memory stays.
    pub fn clear(&mut self) {
        (self.sent, self.unsent) = (0, 0);
        self.behind.clear();
    }

    /// A message was not taken.
    pub fn refuse(&mut self, route: Route, packets: usize) {
        self.unsent += packets as u64;
        if self.behind.last() != Some(&route) {
            self.behind.push(route);
        }
    }
}

/// Errors to be met, for tests: the kernel's are hard to come by.
#[cfg(test)]
#[derive(Debug, Default)]
pub struct Trouble {
    /// What segmented messages are refused with; 0: they are not.
    pub segmented: std::sync::atomic::AtomicI32,
    /// What all messages are refused with.
    pub all: std::sync::atomic::AtomicI32,
    /// What sendmmsg is refused with.
    pub many: std::sync::atomic::AtomicI32,
}

/// Memory for one call, of one thread (it points into itself, and into the batch as long
/// as [`Sender::flush`] runs).
pub struct Sender {
    egress: Egress,
    plain: HashSet<IpAddr>,
    heads: Vec<libc::mmsghdr>,
    parts: Vec<libc::iovec>,
    names: Vec<Name>,
    controls: Vec<Control>,
    pending: Vec<Pending>,
    patience: Duration,
    #[cfg(test)]
    trouble: std::sync::Arc<Trouble>,
}

impl Sender {
    /// Takes its memory. What these sockets cannot do is not tried.
    pub fn new(egress: Egress, sockets: &[Udp]) -> Sender {
        // SAFETY: plain numbers and null pointers.
        let (head, part) = unsafe { (std::mem::zeroed(), std::mem::zeroed()) };
        let egress = if sockets.iter().all(Udp::segments) { egress } else { egress.max(Egress::Many) };
        Sender {
            egress,
            plain: HashSet::new(),
            heads: vec![head; MANY],
            parts: vec![part; MANY],
            names: vec![Name::empty(); MANY],
            controls: vec![Control::empty(); MANY],
            pending: Vec::with_capacity(MANY),
            patience: PATIENCE,
            #[cfg(test)]
            trouble: Default::default(),
        }
    }

    /// How packets leave now.
    pub fn egress(&self) -> Egress {
        self.egress
    }

    /// A full socket may be waited for once more.
    pub fn rested(&mut self) {
        self.patience = PATIENCE;
    }

    /// Sends a batch, in order. Runs over TCP go to `tcp`, which says whether it took one.
    pub fn flush(
        &mut self,
        batch: &Batch,
        sockets: &[Udp],
        mut tcp: impl FnMut(&Run, &[u8]) -> bool,
        outcome: &mut Outcome,
    ) {
        let mut current: Option<&Udp> = None;
        for (run, bytes) in batch.runs() {
            if run.route.via != Via::Udp {
                match tcp(run, bytes) {
                    true => outcome.sent += run.packets as u64,
                    false => outcome.refuse(run.route, run.packets),
                }
                continue;
            }
            let Some(socket) = sockets.iter().find(|s| s.owns(run.route.local)) else {
                outcome.refuse(run.route, run.packets);
                continue;
            };
            if let Some(last) = current.filter(|c| !std::ptr::eq(*c, socket)) {
                self.submit(last, outcome);
            }
            current = Some(socket);
            let whole =
                run.packets == 1 || (self.egress == Egress::Segmented && !self.plain.contains(&run.route.remote.ip()));
            let size = if whole { bytes.len() } else { run.segment };
            for piece in bytes.chunks(size.max(1)) {
                if self.pending.len() == MANY {
                    self.submit(socket, outcome);
                }
                self.put(socket, run, piece);
            }
        }
        if let Some(socket) = current {
            self.submit(socket, outcome);
        }
    }

    /// Makes a message of one packet, or of a run of them.
    fn put(&mut self, socket: &Udp, run: &Run, bytes: &[u8]) {
        let i = self.pending.len();
        let packets = if bytes.len() > run.segment { run.packets } else { 1 };
        let (Some(head), Some(part), Some(name), Some(control)) =
            (self.heads.get_mut(i), self.parts.get_mut(i), self.names.get_mut(i), self.controls.get_mut(i))
        else {
            return;
        };
        let (address, length) = Name::of(run.route.remote, socket.v6());
        *name = address;
        let from = run.route.local.ip();
        let named = socket.any() && !from.is_unspecified();
        let source = if named { control.put_source(0, from, socket.v6()) } else { 0 };
        let all = if packets > 1 { control.put_segment(source, run.segment as u16) } else { source };
        // The kernel only reads.
        *part = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
        let head = &mut head.msg_hdr;
        (head.msg_name, head.msg_namelen) = (name.as_ptr(), length);
        (head.msg_iov, head.msg_iovlen) = (part, 1);
        head.msg_control = if all > 0 { control.as_ptr() } else { std::ptr::null_mut() };
        head.msg_controllen = all as _;
        self.pending.push(Pending { route: run.route, packets, segment: run.segment, source });
    }

    /// Hands over what is pending. Afterwards nothing is.
    fn submit(&mut self, socket: &Udp, outcome: &mut Outcome) {
        let mut done = 0;
        while let Some(next) = self.pending.get(done).copied() {
            match self.call(socket, done) {
                Ok(n) => {
                    let taken = self.pending.get(done..done + n).unwrap_or_default();
                    outcome.sent += taken.iter().map(|p| p.packets as u64).sum::<u64>();
                    done += n.max(1);
                }
                Err(e) => match e.raw_os_error() {
                    Some(libc::EINTR) => {}
                    Some(libc::EAGAIN) if self.wait(socket) => {}
                    // Full, and it stays so: the rest as well.
                    Some(libc::EAGAIN | libc::ENOBUFS | libc::ENOMEM) => {
                        for p in self.pending.get(done..).unwrap_or_default() {
                            outcome.refuse(p.route, p.packets);
                        }
                        break;
                    }
                    // No such call in this kernel, or forbidden.
                    Some(libc::ENOSYS) if self.egress < Egress::Single => self.egress = Egress::Single,
                    errno if next.packets > 1 => {
                        let any = self.apart(socket, done, next, outcome);
                        // What segmenting is refused with; a firewall's limit, or a route that
                        // went and came back, says nothing about the next message.
                        if any && matches!(errno, Some(libc::EIO | libc::EINVAL | libc::EMSGSIZE | libc::EOPNOTSUPP)) {
                            self.is_plain(next.route.remote.ip());
                        }
                        done += 1;
                    }
                    // An address of ours that is gone, no route, a firewall: this peer's
                    // trouble.
                    _ => {
                        outcome.refuse(next.route, next.packets);
                        done += 1;
                    }
                },
            }
        }
        self.pending.clear();
    }

    /// One system call with what is pending from `first` on; how many messages it took.
    fn call(&mut self, socket: &Udp, first: usize) -> io::Result<usize> {
        let many = self.egress < Egress::Single;
        #[cfg(test)]
        self.trouble(first, many)?;
        let count = self.pending.len() - first;
        let Some(heads) = self.heads.get_mut(first..first + count) else { return Ok(count) };
        // SAFETY: `put` has filled these headers with pointers into vectors of this sender,
        // which keep their place, and into the batch, which is borrowed over `flush`; the
        // kernel does not write to them but for the count.
        let done = unsafe {
            match many {
                true => {
                    libc::sendmmsg(socket.raw(), heads.as_mut_ptr(), count as _, (libc::MSG_DONTWAIT) as _) as isize
                }
                false => match libc::sendmsg(socket.raw(), &heads[0].msg_hdr, libc::MSG_DONTWAIT) {
                    n if n < 0 => n,
                    _ => 1,
                },
            }
        };
        if done < 0 { Err(io::Error::last_os_error()) } else { Ok(done as usize) }
    }

    /// A run that the kernel does not take as one message: its packets one by one, unless it
    /// does not take the first one either. Whether it took any.
    fn apart(&mut self, socket: &Udp, i: usize, what: Pending, outcome: &mut Outcome) -> bool {
        let (Some(head), Some(part)) = (self.heads.get(i), self.parts.get(i)) else { return false };
        let mut head = head.msg_hdr;
        head.msg_controllen = what.source as _;
        if what.source == 0 {
            head.msg_control = std::ptr::null_mut();
        }
        let (mut left, mut at, mut any) = (part.iov_len, part.iov_base, false);
        while left > 0 {
            let length = left.min(what.segment.max(1));
            let mut piece = libc::iovec { iov_base: at, iov_len: length };
            head.msg_iov = &mut piece;
            // SAFETY: as in `call`; the piece is part of what the message pointed to.
            let done = unsafe { libc::sendmsg(socket.raw(), &head, libc::MSG_DONTWAIT) };
            if done < 0 {
                let again = matches!(io::Error::last_os_error().raw_os_error(), Some(libc::EINTR | libc::EAGAIN));
                if again && self.wait(socket) {
                    continue;
                }
                if !any {
                    outcome.refuse(what.route, what.packets);
                    return false;
                }
                outcome.refuse(what.route, 1);
            } else {
                any = true;
                outcome.sent += 1;
            }
            left -= length;
            // SAFETY: `length` bytes of what was left lie behind it.
            at = unsafe { at.cast::<u8>().add(length).cast() };
        }
        any
    }

    /// It is the segmenting, and nothing else, that this peer's way cannot do.
    fn is_plain(&mut self, peer: IpAddr) {
        self.plain.insert(peer);
        if self.plain.len() > PLAIN {
            self.plain = HashSet::new();
            self.egress = self.egress.max(Egress::Many);
        }
    }

    /// Waits for room in a socket, as long as there is patience. False: there is none.
    fn wait(&mut self, socket: &Udp) -> bool {
        if self.patience.is_zero() {
            return false;
        }
        let began = Instant::now();
        let mut poll = libc::pollfd { fd: socket.raw(), events: libc::POLLOUT, revents: 0 };
        let millis = self.patience.as_micros().div_ceil(1_000) as libc::c_int;
        // SAFETY: one structure, which lives over the call.
        let got = unsafe { libc::poll(&mut poll, 1, millis) };
        // A call costs a little in any case, so that it ends.
        let took = began.elapsed().max(Duration::from_micros(100));
        self.patience = self.patience.saturating_sub(took);
        got > 0
    }

    #[cfg(test)]
    pub fn with_trouble(self, trouble: std::sync::Arc<Trouble>) -> Sender {
        Sender { trouble, ..self }
    }

    #[cfg(test)]
    fn trouble(&self, first: usize, many: bool) -> io::Result<()> {
        use std::sync::atomic::Ordering::Relaxed;
        let segmented = self.pending[first..].iter().any(|p| p.packets > 1);
        for (applies, errno) in [
            (many, &self.trouble.many),
            (segmented && self.pending[first].packets > 1, &self.trouble.segmented),
            (true, &self.trouble.all),
        ] {
            let errno = errno.load(Relaxed);
            if applies && errno != 0 {
                return Err(io::Error::from_raw_os_error(errno));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::Ordering;

    use super::*;

    #[test]
    fn only_what_segmenting_is_refused_with_is_remembered() {
        let socket = Udp::bind("127.0.0.1:0".parse().unwrap(), (1 << 18, 1 << 18)).unwrap();
        let sockets = std::slice::from_ref(&socket);
        let peer = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        peer.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let route = Route { via: Via::Udp, local: socket.address(), remote: peer.local_addr().unwrap() };
        let mut batch = Batch::new();
        for n in 0..3 {
            batch.put(route, 100, |out| {
                out.fill(n);
                Some(100)
            });
        }
        for (errno, remembered) in [(libc::EPERM, false), (libc::ENETUNREACH, false), (libc::EIO, true)] {
            let trouble = Arc::new(Trouble::default());
            trouble.segmented.store(errno, Ordering::Relaxed);
            let mut sender = Sender::new(Egress::Segmented, sockets).with_trouble(trouble);
            let mut outcome = Outcome::default();
            sender.flush(&batch, sockets, |_, _| false, &mut outcome);
            assert_eq!((outcome.sent, outcome.unsent), (3, 0));
            for n in 0..3 {
                let mut got = [9; 200];
                assert_eq!((peer.recv(&mut got).unwrap(), got[0]), (100, n));
            }
            assert_eq!(sender.plain.contains(&route.remote.ip()), remembered && socket.segments(), "{errno}");
        }
    }
}
