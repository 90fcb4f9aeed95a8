//! Addresses and control messages as the kernel has them.

use std::mem::{offset_of, size_of};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::ptr;

/// A socket address of either family.
#[derive(Clone, Copy)]
#[repr(C)]
pub(super) union Name {
    v4: libc::sockaddr_in,
    v6: libc::sockaddr_in6,
}

/// Bytes of a [`Name`].
pub(super) const NAME: libc::socklen_t = size_of::<Name>() as libc::socklen_t;

impl Name {
    /// Nothing yet.
    pub fn empty() -> Name {
        // SAFETY: all zeros is a value of both: plain numbers.
        unsafe { std::mem::zeroed() }
    }

    /// An address for a socket, and its length; IPv4 on a socket of IPv6 is mapped.
    pub fn of(address: SocketAddr, v6: bool) -> (Name, libc::socklen_t) {
        let mut name = Name::empty();
        let address = match address {
            SocketAddr::V4(a) if v6 => SocketAddrV6::new(a.ip().to_ipv6_mapped(), a.port(), 0, 0).into(),
            a => a,
        };
        match address {
            SocketAddr::V4(a) => {
                // Writing a Copy field of a union is safe: nothing is dropped.
                name.v4 = libc::sockaddr_in {
                    sin_family: libc::AF_INET as libc::sa_family_t,
                    sin_port: a.port().to_be(),
                    sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(a.ip().octets()) },
                    sin_zero: [0; 8],
                };
                (name, size_of::<libc::sockaddr_in>() as libc::socklen_t)
            }
            SocketAddr::V6(a) => {
                name.v6 = libc::sockaddr_in6 {
                    sin6_family: libc::AF_INET6 as libc::sa_family_t,
                    sin6_port: a.port().to_be(),
                    sin6_flowinfo: a.flowinfo().to_be(),
                    sin6_addr: libc::in6_addr { s6_addr: a.ip().octets() },
                    sin6_scope_id: a.scope_id(),
                };
                (name, size_of::<libc::sockaddr_in6>() as libc::socklen_t)
            }
        }
    }

    /// The address; mapped ones are IPv4's. None where the kernel wrote none.
    pub fn get(&self, length: libc::socklen_t) -> Option<SocketAddr> {
        // SAFETY: every bit pattern is a value of both fields, and the first two bytes of
        // both are the family.
        let (family, v4, v6) = unsafe { (i32::from(self.v4.sin_family), self.v4, self.v6) };
        match family {
            libc::AF_INET if length as usize >= size_of::<libc::sockaddr_in>() => {
                let ip = Ipv4Addr::from(v4.sin_addr.s_addr.to_ne_bytes());
                Some(SocketAddrV4::new(ip, u16::from_be(v4.sin_port)).into())
            }
            libc::AF_INET6 if length as usize >= size_of::<libc::sockaddr_in6>() => {
                let (ip, port) = (Ipv6Addr::from(v6.sin6_addr.s6_addr), u16::from_be(v6.sin6_port));
                Some(match ip.to_ipv4_mapped() {
                    Some(ip) => SocketAddrV4::new(ip, port).into(),
                    None => SocketAddrV6::new(ip, port, 0, v6.sin6_scope_id).into(),
                })
            }
            _ => None,
        }
    }

    pub fn as_ptr(&mut self) -> *mut libc::c_void {
        ptr::from_mut(self).cast()
    }
}

/// Room for the control messages of one packet: IPV6_PKTINFO (40 bytes with everything)
/// and UDP_SEGMENT (24).
#[derive(Clone, Copy)]
#[repr(C, align(8))]
pub(super) struct Control([u8; 64]);

impl Control {
    pub const ROOM: usize = 64;

    pub fn empty() -> Control {
        Control([0; 64])
    }

    pub fn as_ptr(&mut self) -> *mut libc::c_void {
        self.0.as_mut_ptr().cast()
    }

    /// Appends a message behind `at` bytes; returns how many there are now.
    fn put(&mut self, at: usize, level: libc::c_int, kind: libc::c_int, value: &[u8]) -> usize {
        // SAFETY: they only reckon with numbers.
        let (head, whole, space) = unsafe {
            let n = value.len() as u32;
            (libc::CMSG_LEN(0) as usize, libc::CMSG_LEN(n), libc::CMSG_SPACE(n) as usize)
        };
        let Some(room) = self.0.get_mut(at..at + space) else { return at };
        room.fill(0);
        // Fields where this C library has them.
        let mut field = |offset: usize, bytes: &[u8]| {
            if let Some(place) = room.get_mut(offset..offset + bytes.len()) {
                place.copy_from_slice(bytes);
            }
        };
        // SAFETY: plain numbers.
        let mut header: libc::cmsghdr = unsafe { std::mem::zeroed() };
        header.cmsg_len = whole as _;
        field(offset_of!(libc::cmsghdr, cmsg_len), &header.cmsg_len.to_ne_bytes());
        field(offset_of!(libc::cmsghdr, cmsg_level), &level.to_ne_bytes());
        field(offset_of!(libc::cmsghdr, cmsg_type), &kind.to_ne_bytes());
        field(head, value);
        at + space
    }

    /// The address to send from, on a socket that has all of them.
    pub fn put_source(&mut self, at: usize, from: IpAddr, v6: bool) -> usize {
        match (from, v6) {
            (IpAddr::V4(ip), false) => {
                // in_pktinfo: interface (any), source, and one that is only received.
                let mut value = [0; 12];
                value[4..8].copy_from_slice(&ip.octets());
                self.put(at, libc::IPPROTO_IP, libc::IP_PKTINFO, &value)
            }
            (from, _) => {
                let ip = match from {
                    IpAddr::V4(ip) => ip.to_ipv6_mapped(),
                    IpAddr::V6(ip) => ip,
                };
                let mut value = [0; 20];
                value[..16].copy_from_slice(&ip.octets());
                self.put(at, libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, &value)
            }
        }
    }

    /// The size of each packet of a run.
    pub fn put_segment(&mut self, at: usize, segment: u16) -> usize {
        self.put(at, libc::SOL_UDP, libc::UDP_SEGMENT, &segment.to_ne_bytes())
    }
}

/// The local address that a received packet was sent to.
// A length is 32 bits long in some C libraries.
#[allow(clippy::unnecessary_cast)]
pub(super) fn destination(head: &libc::msghdr) -> Option<IpAddr> {
    // SAFETY: the kernel has filled the control messages of this header, whose buffer
    // lives as long as the header is borrowed; the macros stay within its length.
    unsafe {
        let mut at = libc::CMSG_FIRSTHDR(head);
        while let Some(message) = at.as_ref() {
            let data = libc::CMSG_DATA(at);
            let length = (message.cmsg_len as usize).saturating_sub(libc::CMSG_LEN(0) as usize);
            match (message.cmsg_level, message.cmsg_type) {
                (libc::IPPROTO_IP, libc::IP_PKTINFO) if length >= size_of::<libc::in_pktinfo>() => {
                    let info: libc::in_pktinfo = ptr::read_unaligned(data.cast());
                    return Some(IpAddr::V4(info.ipi_addr.s_addr.to_ne_bytes().into()));
                }
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) if length >= size_of::<libc::in6_pktinfo>() => {
                    let info: libc::in6_pktinfo = ptr::read_unaligned(data.cast());
                    return Some(IpAddr::V6(info.ipi6_addr.s6_addr.into()).to_canonical());
                }
                _ => at = libc::CMSG_NXTHDR(head, at),
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        for (text, v6) in [("10.0.0.1:80", false), ("10.0.0.1:80", true), ("[2001:db8::1]:8189", true)] {
            let address: SocketAddr = text.parse().unwrap();
            let (name, length) = Name::of(address, v6);
            assert_eq!(name.get(length), Some(address));
        }
        assert_eq!(Name::empty().get(NAME), None);
    }

    #[test]
    fn both_control_messages_fit() {
        for (ip, v6) in [("10.0.0.1", false), ("10.0.0.1", true), ("::1", true)] {
            let ip: IpAddr = ip.parse().unwrap();
            let mut c = Control::empty();
            let length = c.put_source(0, ip, v6);
            assert!(c.put_segment(length, 1_200) <= Control::ROOM);
            // SAFETY: plain numbers and null pointers.
            let mut head: libc::msghdr = unsafe { std::mem::zeroed() };
            (head.msg_control, head.msg_controllen) = (c.as_ptr(), length as _);
            if v6 {
                assert_eq!(destination(&head), Some(ip));
            } else {
                // What is sent is in another field than what is received.
                assert_eq!(destination(&head), Some("0.0.0.0".parse().unwrap()));
            }
        }
    }
}
