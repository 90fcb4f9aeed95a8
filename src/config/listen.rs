//! Where to listen: what an address in the configuration means. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{Config, problem};

impl Config {
    /// The addresses that `webrtcAddress` means. Without a host it is every
    /// interface, IPv6 first: bind that one with `IPV6_V6ONLY`, or be content where
    /// it takes IPv4 along and the second bind says "in use".
    pub fn webrtc_listen(&self) -> Vec<SocketAddr> {
        // Checked when it was read; one set by hand may be wrong, and listens nowhere.
        listen_addresses(&self.webrtc_address).unwrap_or_default()
    }

    /// The addresses that `hlsAddress` means, as [`Config::webrtc_listen`]; none without.
    pub fn hls_listen(&self) -> Vec<SocketAddr> {
        listen_addresses(&self.hls_address).unwrap_or_default()
    }

    /// The addresses that `webrtcLocalUDPAddress` means, as [`Config::webrtc_listen`].
    pub fn webrtc_udp_listen(&self) -> Vec<SocketAddr> {
        listen_addresses(&self.webrtc_local_udp_address).unwrap_or_default()
    }

    /// The addresses that `webrtcLocalTCPAddress` means, likewise.
    pub fn webrtc_tcp_listen(&self) -> Vec<SocketAddr> {
        listen_addresses(&self.webrtc_local_tcp_address).unwrap_or_default()
    }
}

fn listen_addresses(text: &str) -> Result<Vec<SocketAddr>, String> {
    const HOW: &str = "write an address like :8889, 127.0.0.1:8889 or [::1]:8889";
    let (host, port) = text.rsplit_once(':').ok_or_else(|| format!("lacks a port; {HOW}"))?;
    let port: u16 = port.parse().map_err(|_| format!("has no port from 0 to 65535; {HOW}"))?;
    let ips: Vec<IpAddr> = match host {
        "" | "*" => vec![Ipv6Addr::UNSPECIFIED.into(), Ipv4Addr::UNSPECIFIED.into()],
        "localhost" => vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()],
        _ => {
            let ip = match host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
                Some(v6) => v6.parse::<Ipv6Addr>().map(IpAddr::from),
                None => host.parse::<Ipv4Addr>().map(IpAddr::from),
            };
            vec![ip.map_err(|_| format!("has no IP address as its host; {HOW}"))?]
        }
    };
    Ok(ips.into_iter().map(|ip| SocketAddr::new(ip, port)).collect())
}

/// Whether something can listen on it, for a key that has to have an address.
pub fn address(text: &str) -> Result<(), String> {
    listen_addresses(text).map(|_| ()).map_err(|message| format!("{} {message}", problem::shown(text)))
}

/// The same for a key that may be empty.
pub fn address_or_none(text: &str) -> Result<(), String> {
    if text.is_empty() { Ok(()) } else { address(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let listen = |text: &str| listen_addresses(text).unwrap().iter().map(SocketAddr::to_string).collect::<Vec<_>>();
        assert_eq!(listen(":8889"), ["[::]:8889", "0.0.0.0:8889"]);
        assert_eq!(listen("localhost:1"), ["127.0.0.1:1", "[::1]:1"]);
        assert_eq!(listen("[::1]:1"), ["[::1]:1"]);
        assert_eq!(listen("0.0.0.0:1"), ["0.0.0.0:1"]);
    }
}
