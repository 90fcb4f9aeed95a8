//! Who sent a request: the address behind trusted proxies, and whether the
//! request was made on this very machine.

use std::net::{IpAddr, SocketAddr};

use actix_web::http::header::HeaderMap;
use ipnet::IpNet;

/// Headers that only a proxy adds. A request that carries one was made by
/// somebody else than the peer, wherever the peer is.
const PROXY_HEADERS: [&str; 12] = [
    "forwarded",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-forwarded-server",
    "x-forwarded-port",
    "x-real-ip",
    "x-client-ip",
    "true-client-ip",
    "cf-connecting-ip",
    "x-forwarded-prefix",
];

/// Who sent a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client {
    /// The client's address: the peer's, or what trusted proxies say. The port is
    /// 0 when a proxy told the address. Never an IPv4-mapped IPv6 address.
    pub addr: SocketAddr,
    /// Made on this machine, for this machine: the peer is a loopback address,
    /// `Host` is a loopback name or address (a page that rebinds its name to
    /// 127.0.0.1 sends its own), and no proxy handed the request on.
    pub local: bool,
}

impl Client {
    /// Reads peer and headers; `trusted` is `webrtcTrustedProxies`.
    pub fn new(peer: SocketAddr, headers: &HeaderMap, trusted: &[IpNet]) -> Client {
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        let proxied = PROXY_HEADERS.iter().any(|h| headers.contains_key(*h));
        let host = headers.get("host").and_then(|h| h.to_str().ok());
        Client {
            addr: forwarded(peer, headers, trusted),
            local: peer.ip().is_loopback() && !proxied && host.is_some_and(loopback_host),
        }
    }
}

/// The rightmost address of `X-Forwarded-For` that is no trusted proxy. What
/// stands left of it was written by the client and is worth nothing.
fn forwarded(peer: SocketAddr, headers: &HeaderMap, trusted: &[IpNet]) -> SocketAddr {
    let is_trusted = |ip: IpAddr| trusted.iter().any(|net| net.contains(&ip));
    if !is_trusted(peer.ip()) {
        return peer;
    }
    let fields: Vec<&str> = headers.get_all("x-forwarded-for").filter_map(|v| v.to_str().ok()).collect();
    let mut client = peer;
    for hop in fields.iter().flat_map(|f| f.split(',')).rev() {
        // An entry that is no address ends the chain: the hop that wrote it is
        // the last one that is known.
        let Some(ip) = parse_hop(hop.trim()) else {
            break;
        };
        client = SocketAddr::new(ip, 0);
        if !is_trusted(ip) {
            break;
        }
    }
    client
}

/// An address with or without a port, IPv6 with or without brackets.
fn parse_hop(hop: &str) -> Option<IpAddr> {
    let ip = hop
        .parse::<IpAddr>()
        .ok()
        .or_else(|| hop.parse::<SocketAddr>().ok().map(|a| a.ip()))
        .or_else(|| hop.strip_prefix('[')?.strip_suffix(']')?.parse().ok())?;
    Some(ip.to_canonical())
}

/// Whether a `Host` header names this machine as only this machine can.
fn loopback_host(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((ip, port)) if port.is_empty() || port.starts_with(':') => ip,
            _ => return false,
        },
        None => host.split_once(':').map_or(host, |(name, _)| name),
    };
    if let Ok(ip) = name.parse::<IpAddr>() {
        return ip.to_canonical().is_loopback();
    }
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderName, HeaderValue};

    use super::*;

    fn headers(list: &[(&str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in list {
            map.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap());
        }
        map
    }

    fn client(peer: &str, list: &[(&str, &str)], trusted: &[&str]) -> Client {
        let trusted: Vec<IpNet> = trusted.iter().map(|n| n.parse().unwrap()).collect();
        Client::new(peer.parse().unwrap(), &headers(list), &trusted)
    }

    #[test]
    fn a_peer_that_is_not_trusted_is_the_client() {
        let c = client("192.0.2.1:5000", &[("x-forwarded-for", "10.0.0.1")], &[]);
        assert_eq!(c.addr, "192.0.2.1:5000".parse().unwrap());
        let c = client("[::ffff:192.0.2.1]:5000", &[], &[]);
        assert_eq!(c.addr, "192.0.2.1:5000".parse().unwrap());
    }

    #[test]
    fn behind_trusted_proxies_the_rightmost_untrusted_address_counts() {
        let trusted = ["192.0.2.0/24", "2001:db8::/32"];
        for (fields, want) in [
            (vec!["10.9.9.9"], "10.9.9.9:0"),
            (vec!["1.1.1.1, 10.9.9.9"], "10.9.9.9:0"),
            (vec!["1.1.1.1, 10.9.9.9, 192.0.2.7"], "10.9.9.9:0"),
            (vec!["1.1.1.1", "10.9.9.9 , 192.0.2.7"], "10.9.9.9:0"),
            (vec!["10.9.9.9:1234"], "10.9.9.9:0"),
            (vec!["[2001:db9::1]:99, 2001:db8::5"], "[2001:db9::1]:0"),
            (vec!["[2001:db9::1]"], "[2001:db9::1]:0"),
            (vec!["192.0.2.8, 192.0.2.7"], "192.0.2.8:0"),
            (vec!["10.9.9.9, unknown, 192.0.2.7"], "192.0.2.7:0"),
            (vec!["unknown"], "192.0.2.1:5000"),
            (vec![], "192.0.2.1:5000"),
        ] {
            let list: Vec<_> = fields.iter().map(|f| ("x-forwarded-for", *f)).collect();
            let c = client("192.0.2.1:5000", &list, &trusted);
            assert_eq!(c.addr, want.parse().unwrap(), "{fields:?}");
            assert!(!c.local);
        }
    }

    #[test]
    fn local_is_peer_and_host_and_no_proxy() {
        let local = |peer, host| client(peer, &[("host", host)], &["127.0.0.1/32", "::1/128"]).local;
        for host in [
            "localhost",
            "LOCALHOST:8889",
            "localhost.",
            "cam.localhost:80",
            "127.0.0.1:8889",
            "127.9.9.9",
            "[::1]:8889",
            "[::1]",
        ] {
            assert!(local("127.0.0.1:1", host), "{host}");
            assert!(local("[::1]:1", host), "{host}");
            assert!(!local("192.0.2.1:1", host), "{host}");
        }
        for host in
            ["evil.example", "localhost.evil.example", "notlocalhost", "192.0.2.1", "", "[::1]x", "[::1", "0.0.0.0"]
        {
            assert!(!local("127.0.0.1:1", host), "{host}");
        }
        assert!(!client("127.0.0.1:1", &[], &[]).local, "no Host at all");
        for proxy in PROXY_HEADERS {
            let c = client("127.0.0.1:1", &[("host", "localhost"), (proxy, "x")], &[]);
            assert!(!c.local, "{proxy}");
        }
    }
}
