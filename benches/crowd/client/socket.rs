//! Datagrams by the batch, each with the kernel's time of arrival.

use crate::support::mono;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd as _;

/// Messages of one call.
pub const BATCH: usize = 16;
/// The longest message: packets that the server handed over as one (UDP_SEGMENT).
const LONGEST: usize = 65_536;

/// Asks for times of arrival; and, with `whole`, for what the server handed over as one
/// in one (UDP_GRO).
///
/// On loopback the kernel does the receiver's work within the sender's system call, and
/// puts it on the sender's account. A receiver that takes messages whole leaves there what
/// a network card that segments would: nothing.
pub fn prepare(socket: &UdpSocket, whole: bool) -> std::io::Result<()> {
    let on: libc::c_int = 1;
    let set = |level, name| {
        let size = size_of::<libc::c_int>() as libc::socklen_t;
        // SAFETY: pointer and size are those of a live int.
        match unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, (&raw const on).cast(), size) } {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        }
    };
    set(libc::SOL_SOCKET, libc::SO_TIMESTAMPNS)?;
    if whole {
        set(libc::SOL_UDP, libc::UDP_GRO)?;
    }
    socket.set_nonblocking(true)
}

/// Room for a timestamp and a segment's size, aligned as the kernel wants it.
#[repr(align(8))]
#[derive(Clone, Copy)]
struct Control([u8; 64]);

/// Buffers for a batch; one per thread is enough.
pub struct Batch {
    data: Vec<u8>,
    names: [libc::sockaddr_in; BATCH],
    control: [Control; BATCH],
    /// Length, time of arrival (ns of `CLOCK_MONOTONIC`), and the size of its packets.
    got: [(usize, u64, usize); BATCH],
}

impl Default for Batch {
    fn default() -> Self {
        Batch {
            data: vec![0; LONGEST * BATCH],
            // SAFETY: all zero is a valid sockaddr_in.
            names: unsafe { std::mem::zeroed() },
            control: [Control([0; 64]); BATCH],
            got: [(0, 0, 0); BATCH],
        }
    }
}

impl Batch {
    /// Takes what has come, up to [`BATCH`] messages; gives their count.
    pub fn receive(&mut self, socket: &impl std::os::fd::AsRawFd) -> std::io::Result<usize> {
        // SAFETY: every pointer lives as long as the call, with its true length;
        // control messages are walked with the macros made for that.
        unsafe {
            let mut iov: [libc::iovec; BATCH] = std::mem::zeroed();
            let mut messages: [libc::mmsghdr; BATCH] = std::mem::zeroed();
            for n in 0..BATCH {
                iov[n] = libc::iovec { iov_base: self.data[n * LONGEST..].as_mut_ptr().cast(), iov_len: LONGEST };
                let header = &mut messages[n].msg_hdr;
                header.msg_name = (&raw mut self.names[n]).cast();
                header.msg_namelen = size_of::<libc::sockaddr_in>() as libc::socklen_t;
                header.msg_iov = &mut iov[n];
                header.msg_iovlen = 1;
                header.msg_control = self.control[n].0.as_mut_ptr().cast();
                header.msg_controllen = 64;
            }
            let count = libc::recvmmsg(
                socket.as_raw_fd(),
                messages.as_mut_ptr(),
                BATCH as libc::c_uint,
                libc::MSG_DONTWAIT,
                std::ptr::null_mut(),
            );
            if count < 0 {
                return Err(std::io::Error::last_os_error());
            }
            let (mono, wall) = (mono::now_ns(), wall_ns());
            for (n, message) in messages.iter().take(count as usize).enumerate() {
                let (mut at, mut size) = (mono, LONGEST);
                let mut control = libc::CMSG_FIRSTHDR(&message.msg_hdr);
                while let Some(c) = control.as_ref() {
                    if c.cmsg_level == libc::SOL_SOCKET && c.cmsg_type == libc::SCM_TIMESTAMPNS {
                        let ts: libc::timespec = std::ptr::read_unaligned(libc::CMSG_DATA(c).cast());
                        let ns = ts.tv_sec as u64 * 1_000_000_000 + ts.tv_nsec as u64;
                        at = mono.saturating_sub(wall.saturating_sub(ns));
                    }
                    if c.cmsg_level == libc::SOL_UDP && c.cmsg_type == libc::UDP_GRO {
                        size = std::ptr::read_unaligned::<libc::c_int>(libc::CMSG_DATA(c).cast()).max(1) as usize;
                    }
                    control = libc::CMSG_NXTHDR(&message.msg_hdr, c);
                }
                self.got[n] = (message.msg_len as usize, at, size);
            }
            Ok(count as usize)
        }
    }

    /// A message of the last call: sender, time of arrival, its packets.
    pub fn get(&mut self, n: usize) -> (SocketAddr, u64, std::slice::ChunksMut<'_, u8>) {
        let (length, at, size) = self.got[n];
        let name = &self.names[n];
        let ip = Ipv4Addr::from(u32::from_be(name.sin_addr.s_addr));
        let from = SocketAddr::new(ip.into(), u16::from_be(name.sin_port));
        (from, at, self.data[n * LONGEST..][..length].chunks_mut(size))
    }
}

fn wall_ns() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.unwrap_or_default().as_nanos() as u64
}
