//! A UDP socket for all sessions.

use std::io;
use std::mem::size_of;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;

use super::address::{NAME, Name};

/// See the module. Does not block.
#[derive(Debug)]
pub struct Udp {
    fd: OwnedFd,
    address: SocketAddr,
    /// Of the family IPv6, whatever it carries.
    v6: bool,
}

impl Udp {
    /// Binds. `[::]` takes IPv4 as well; on a machine without IPv6 it is `0.0.0.0`.
    /// `buffers`: SO_RCVBUF and SO_SNDBUF, as far as the kernel lets us.
    pub fn bind(address: SocketAddr, buffers: (usize, usize)) -> io::Result<Udp> {
        match Udp::open(address, buffers) {
            Err(e) if any6(address) && no_ipv6(&e) => {
                Udp::open(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), address.port()), buffers)
            }
            other => other,
        }
    }

    fn open(address: SocketAddr, buffers: (usize, usize)) -> io::Result<Udp> {
        let v6 = address.is_ipv6();
        let family = if v6 { libc::AF_INET6 } else { libc::AF_INET };
        // SAFETY: takes numbers, returns a descriptor or -1.
        let fd = unsafe { libc::socket(family, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK, 0) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel has just given it to us, and to nobody else.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        if v6 {
            set(&fd, libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, libc::c_int::from(!any6(address)))?;
        }
        if address.ip().is_unspecified() {
            match v6 {
                true => set(&fd, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, 1)?,
                false => set(&fd, libc::IPPROTO_IP, libc::IP_PKTINFO, 1)?,
            }
        }
        // Beyond the system's bounds where we may, up to them where not. Never an error.
        for (force, plain, bytes) in
            [(libc::SO_RCVBUFFORCE, libc::SO_RCVBUF, buffers.0), (libc::SO_SNDBUFFORCE, libc::SO_SNDBUF, buffers.1)]
        {
            let bytes = libc::c_int::try_from(bytes).unwrap_or(libc::c_int::MAX / 2);
            if set(&fd, libc::SOL_SOCKET, force, bytes).is_err() {
                let _ = set(&fd, libc::SOL_SOCKET, plain, bytes);
            }
        }
        let (mut name, length) = Name::of(address, v6);
        // SAFETY: the name lives over the call and is as long as is said.
        if unsafe { libc::bind(fd.as_raw_fd(), name.as_ptr().cast(), length) } < 0 {
            return Err(io::Error::last_os_error());
        }
        let (mut name, mut length) = (Name::empty(), NAME);
        // SAFETY: both live over the call; the kernel writes at most `length` bytes.
        if unsafe { libc::getsockname(fd.as_raw_fd(), name.as_ptr().cast(), &mut length) } < 0 {
            return Err(io::Error::last_os_error());
        }
        // Of an IPv6 wildcard it says so, and not that of IPv4.
        let port = name.get(length).ok_or_else(|| io::Error::other("no address"))?.port();
        Ok(Udp { fd, address: SocketAddr::new(address.ip(), port), v6 })
    }

    /// Where it is bound, with its real port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether packets of this local address go by this socket.
    pub fn owns(&self, local: SocketAddr) -> bool {
        let any = self.address.ip().is_unspecified();
        local.port() == self.address.port()
            && if any { self.v6 || local.is_ipv4() } else { local.ip() == self.address.ip() }
    }

    /// Whether it is bound to all addresses, so that each packet names its own.
    pub(super) fn any(&self) -> bool {
        self.address.ip().is_unspecified()
    }

    pub(super) fn v6(&self) -> bool {
        self.v6
    }

    pub(super) fn raw(&self) -> libc::c_int {
        self.fd.as_raw_fd()
    }

    /// Whether the kernel knows UDP_SEGMENT (Linux 4.18).
    pub(super) fn segments(&self) -> bool {
        // 0 is what it is anyway.
        set(&self.fd, libc::SOL_UDP, libc::UDP_SEGMENT, 0).is_ok()
    }
}

impl AsFd for Udp {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Whether an address is `[::]`.
pub(super) fn any6(address: SocketAddr) -> bool {
    matches!(address.ip(), IpAddr::V6(ip) if ip.is_unspecified())
}

/// Whether an error says that this machine has no IPv6.
pub(super) fn no_ipv6(e: &io::Error) -> bool {
    matches!(e.raw_os_error(), Some(libc::EAFNOSUPPORT | libc::EADDRNOTAVAIL | libc::EPROTONOSUPPORT))
}

/// setsockopt with a number.
pub(super) fn set(fd: &impl AsRawFd, level: libc::c_int, option: libc::c_int, value: libc::c_int) -> io::Result<()> {
    let size = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the value lives over the call and is as long as is said.
    let done = unsafe { libc::setsockopt(fd.as_raw_fd(), level, option, ptr::from_ref(&value).cast(), size) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
