//! Addresses, as routes and sockets have them. Pure.

use std::net::SocketAddr;

use super::super::net::Udp;

/// Our end without scope and flow, as it is told in candidates.
pub(super) fn plain(a: SocketAddr) -> SocketAddr {
    SocketAddr::new(a.ip(), a.port())
}

/// The peer's end without its flow label; the scope of a link-local one stays.
pub(super) fn plain_remote(a: SocketAddr) -> SocketAddr {
    match a {
        SocketAddr::V6(mut v6) => {
            v6.set_flowinfo(0);
            v6.into()
        }
        v4 => v4,
    }
}

/// A socket's address, as one of the family that a server has.
pub(super) fn any(socket: &Udp, server: SocketAddr) -> SocketAddr {
    let address = socket.address();
    match (address.ip().is_unspecified(), server) {
        (true, SocketAddr::V4(_)) => SocketAddr::new(std::net::Ipv4Addr::UNSPECIFIED.into(), address.port()),
        _ => address,
    }
}
