//! Datagrams in, many per system call, into memory that is there already.

use std::io;
use std::net::SocketAddr;

use super::address::{Control, NAME, Name, destination};
use super::udp::Udp;

/// Datagrams per call.
const MANY: usize = 64;
/// Room for each; a longer one is nobody's, and is passed over.
const ROOM: usize = 2_048;

/// Memory for one call, of one thread (it points into itself).
pub struct Receiver {
    heads: Vec<libc::mmsghdr>,
    parts: Vec<libc::iovec>,
    names: Vec<Name>,
    controls: Vec<Control>,
    buffers: Vec<u8>,
    got: usize,
}

impl Receiver {
    /// Takes its memory.
    #[allow(clippy::new_without_default)]
    pub fn new() -> Receiver {
        // SAFETY: plain numbers and null pointers.
        let (head, part) = unsafe { (std::mem::zeroed(), std::mem::zeroed()) };
        Receiver {
            heads: vec![head; MANY],
            parts: vec![part; MANY],
            names: vec![Name::empty(); MANY],
            controls: vec![Control::empty(); MANY],
            buffers: vec![0; MANY * ROOM],
            got: 0,
        }
    }

    /// Receives what is there, at most [`MANY`]. True where there may be more.
    pub fn receive(&mut self, socket: &Udp) -> io::Result<bool> {
        self.got = 0;
        for i in 0..MANY {
            let buffer = &mut self.buffers[i * ROOM..(i + 1) * ROOM]; // invariant: MANY × ROOM long
            self.parts[i] = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: ROOM };
            let head = &mut self.heads[i].msg_hdr;
            (head.msg_name, head.msg_namelen) = (self.names[i].as_ptr(), NAME);
            (head.msg_iov, head.msg_iovlen) = (&mut self.parts[i], 1);
            (head.msg_control, head.msg_controllen) = (self.controls[i].as_ptr(), Control::ROOM as _);
            head.msg_flags = 0;
        }
        // SAFETY: every pointer was set just now, into vectors of this receiver that keep
        // their place over the call; lengths are those of what is pointed to.
        let got = unsafe {
            libc::recvmmsg(socket.raw(), self.heads.as_mut_ptr(), MANY as _, libc::MSG_DONTWAIT, std::ptr::null_mut())
        };
        if got < 0 {
            let e = io::Error::last_os_error();
            return match e.kind() {
                io::ErrorKind::WouldBlock => Ok(false),
                io::ErrorKind::Interrupted => Ok(true),
                _ => Err(e),
            };
        }
        self.got = got as usize;
        Ok(self.got == MANY)
    }

    /// How many came with the last call.
    pub fn count(&self) -> usize {
        self.got
    }

    /// A datagram: from where, to which of our addresses, and its bytes. None for one that
    /// was too long.
    pub fn get(&mut self, i: usize, socket: &Udp) -> Option<(SocketAddr, SocketAddr, &mut [u8])> {
        let message = self.heads.get(i).filter(|_| i < self.got)?;
        let head = &message.msg_hdr;
        if head.msg_flags & libc::MSG_TRUNC != 0 {
            return None;
        }
        let remote = self.names.get(i)?.get(head.msg_namelen)?;
        let local = match socket.any() {
            true => SocketAddr::new(destination(head)?, socket.address().port()),
            false => socket.address(),
        };
        let data = self.buffers.get_mut(i * ROOM..)?.get_mut(..message.msg_len as usize)?;
        Some((remote, local, data))
    }
}
