//! Where we are: the addresses to send from, and the candidates to offer. Pure.

use std::net::{IpAddr, SocketAddr};

use super::super::control::Local;
use super::super::ice::{self, BASES, Kind, tcp_preference};
use crate::webrtc::candidate::{Address, Candidate, Protocol};
use crate::webrtc::engine::Gathering;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ours {
    /// UDP addresses to send checks from, the best first.
    pub bases: Vec<SocketAddr>,
    /// What follows `a=candidate:` in the answer.
    pub lines: Vec<String>,
}

/// What there is on these sockets. `mapped` is the address at which a STUN server sees
/// them.
pub fn ours(local: &Local, gathering: &Gathering, mapped: Option<SocketAddr>) -> Ours {
    let mut bases = real(&local.udp, &gathering.local);
    // The agent knows no more, and what it does not know it does not answer for.
    bases.truncate(BASES);
    let tcp = real(&local.tcp, &gathering.local);
    let mut all = Vec::new();
    for (list, sockets, protocol) in [(&bases, &local.udp, Protocol::Udp), (&tcp, &local.tcp, Protocol::Tcp)] {
        // The outside's names come last: the real addresses are tried first.
        let outside = gathering.additional.iter().flat_map(|ip| elsewhere(list, sockets, *ip));
        let outside = outside.filter(|a| !(gathering.offer_local && list.contains(a)));
        let addresses = list.iter().map(|a| (*a, gathering.offer_local)).chain(outside.map(|a| (a, true)));
        let hosts = addresses.enumerate().filter(|(_, (_, offered))| *offered);
        all.extend(hosts.map(|(order, (address, _))| host(order as u16, address, protocol)));
    }
    if let Some(mapped) = mapped.map(|m| SocketAddr::new(m.ip().to_canonical(), m.port()))
        && !all.iter().any(|c| at(c) == Some(mapped))
        && let Some(base) = bases.iter().find(|b| b.is_ipv4() == mapped.is_ipv4())
    {
        all.push(reflexive(mapped, *base));
    }
    Ours { lines: all.iter().map(Candidate::to_string).collect(), bases }
}

/// The real addresses of sockets, some of which are bound to all of them.
fn real(sockets: &[SocketAddr], interfaces: &[IpAddr]) -> Vec<SocketAddr> {
    let mut found: Vec<SocketAddr> = Vec::new();
    for socket in sockets {
        // Who names an address means that one, listed or not.
        let ips: Vec<IpAddr> = match socket.ip().is_unspecified() {
            true => interfaces.iter().copied().filter(|ip| takes(socket, *ip)).collect(),
            false => vec![socket.ip()],
        };
        for address in ips.into_iter().map(|ip| SocketAddr::new(ip, socket.port())) {
            if !found.contains(&address) {
                found.push(address);
            }
        }
    }
    found
}

/// Whether a socket is of an address's family. `[::]` takes IPv4 as well.
fn takes(socket: &SocketAddr, ip: IpAddr) -> bool {
    socket.is_ipv4() == ip.is_ipv4() || (socket.is_ipv6() && socket.ip().is_unspecified())
}

fn candidate(protocol: Protocol, priority: u32, address: SocketAddr, typ: &str) -> Candidate {
    Candidate {
        foundation: "1".into(),
        component: 1,
        protocol,
        priority,
        address: Address::Ip(address.ip()),
        port: address.port(),
        typ: typ.into(),
        related: None,
        tcptype: None,
        ufrag: None,
    }
}

/// A host candidate; its priority is what the agent reckons with.
fn host(order: u16, address: SocketAddr, protocol: Protocol) -> Candidate {
    let tcp = protocol == Protocol::Tcp;
    let preference = if tcp { tcp_preference(0x1fff - order) } else { u16::MAX - order };
    let mut c = candidate(protocol, ice::priority(Kind::Host, preference), address, "host");
    // One for each base and protocol (RFC 8445 §5.1.1.3).
    c.foundation = (u32::from(order) * 2 + u32::from(tcp) + 1).to_string();
    c.tcptype = tcp.then(|| "passive".into());
    c
}

/// Our ports at an address that the outside has for us, those at which a socket takes its
/// family: each once, however many addresses we have ourselves.
fn elsewhere(addresses: &[SocketAddr], sockets: &[SocketAddr], ip: IpAddr) -> Vec<SocketAddr> {
    let open = |port: u16| sockets.iter().any(|s| s.port() == port && takes(s, ip));
    let mut found: Vec<SocketAddr> = Vec::new();
    for address in addresses.iter().map(|a| SocketAddr::new(ip, a.port())) {
        if open(address.port()) && !found.contains(&address) {
            found.push(address);
        }
    }
    found
}

fn reflexive(address: SocketAddr, base: SocketAddr) -> Candidate {
    let mut c = candidate(Protocol::Udp, ice::priority(Kind::ServerReflexive, u16::MAX), address, "srflx");
    c.foundation = "srflx".into();
    c.related = Some((Address::Ip(base.ip()), base.port()));
    c
}

fn at(candidate: &Candidate) -> Option<SocketAddr> {
    match candidate.address {
        Address::Ip(ip) if candidate.protocol == Protocol::Udp => Some(SocketAddr::new(ip, candidate.port)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local(udp: &[&str], tcp: &[&str]) -> Local {
        let parse = |l: &[&str]| l.iter().map(|a| a.parse().unwrap()).collect();
        Local { udp: parse(udp), tcp: parse(tcp) }
    }
    fn gathering(ips: &[&str], additional: &[&str]) -> Gathering {
        let parse = |l: &[&str]| l.iter().map(|a| a.parse().unwrap()).collect();
        Gathering { local: parse(ips), additional: parse(additional), offer_local: true, ..Gathering::default() }
    }
    /// Transport, address, port and type of each line.
    fn short(ours: &Ours) -> Vec<String> {
        let words = |l: &String| l.split(' ').map(str::to_owned).collect::<Vec<_>>();
        ours.lines.iter().map(words).map(|w| format!("{} {} {} {}", w[2], w[4], w[5], w[7])).collect()
    }

    #[test]
    fn a_socket_on_all_addresses_is_at_each_of_them() {
        let g = gathering(&["192.0.2.1", "2001:db8::1"], &[]);
        let both = ours(&local(&["[::]:8189"], &[]), &g, None);
        assert_eq!(short(&both), ["udp 192.0.2.1 8189 host", "udp 2001:db8::1 8189 host"]);
        assert_eq!(both.bases, ["192.0.2.1:8189".parse().unwrap(), "[2001:db8::1]:8189".parse().unwrap()]);
        let four = ours(&local(&["0.0.0.0:8189"], &[]), &g, None);
        assert_eq!(short(&four), ["udp 192.0.2.1 8189 host"]);
        // One that names its address is there, and nowhere else.
        let one = ours(&local(&["127.0.0.1:5"], &[]), &g, None);
        assert_eq!(short(&one), ["udp 127.0.0.1 5 host"]);
        assert_eq!(ours(&local(&[], &[]), &g, None), Ours::default());
    }

    #[test]
    fn every_line_is_a_candidate_of_its_own_and_udp_comes_first() {
        let g = gathering(&["192.0.2.1", "192.0.2.2"], &["198.51.100.7"]);
        let all = ours(&local(&["0.0.0.0:8189"], &["0.0.0.0:8190"]), &g, Some("203.0.113.9:4000".parse().unwrap()));
        assert_eq!(
            short(&all),
            [
                "udp 192.0.2.1 8189 host",
                "udp 192.0.2.2 8189 host",
                "udp 198.51.100.7 8189 host",
                "tcp 192.0.2.1 8190 host",
                "tcp 192.0.2.2 8190 host",
                "tcp 198.51.100.7 8190 host",
                "udp 203.0.113.9 4000 srflx",
            ]
        );
        let parsed: Vec<Candidate> = all.lines.iter().map(|l| Candidate::parse(l).unwrap()).collect();
        for (i, c) in parsed.iter().enumerate() {
            assert!(parsed[..i].iter().all(|o| o.foundation != c.foundation && o.priority != c.priority), "{i}");
            assert_eq!(c.tcptype.as_deref(), (c.protocol == Protocol::Tcp).then_some("passive"));
        }
        let lowest = parsed.iter().filter(|c| c.protocol == Protocol::Udp && c.typ == "host").map(|c| c.priority).min();
        assert!(parsed.iter().filter(|c| c.protocol == Protocol::Tcp).all(|c| Some(c.priority) < lowest));
        assert_eq!(parsed[6].related, Some((Address::Ip("192.0.2.1".parse().unwrap()), 8189)));
    }

    #[test]
    fn what_stun_tells_again_is_said_once() {
        let g = gathering(&["192.0.2.1"], &["203.0.113.9"]);
        for mapped in ["192.0.2.1:8189", "203.0.113.9:8189", "[::ffff:192.0.2.1]:8189", "[2001:db8::1]:8189"] {
            let all = ours(&local(&["0.0.0.0:8189"], &[]), &g, Some(mapped.parse().unwrap()));
            assert_eq!(short(&all), ["udp 192.0.2.1 8189 host", "udp 203.0.113.9 8189 host"], "{mapped}");
        }
    }

    #[test]
    fn an_address_of_the_outside_has_the_ports_of_its_family() {
        let g = gathering(&[], &["198.51.100.7", "2001:db8::7"]);
        let outside = |udp: &[&str]| {
            let all = short(&ours(&local(udp, &[]), &g, None));
            all.into_iter().filter(|l| l.contains(" 198.51.100.7 ") || l.contains(" 2001:db8::7 ")).collect::<Vec<_>>()
        };
        assert_eq!(outside(&["192.0.2.1:5"]), ["udp 198.51.100.7 5 host"]);
        assert_eq!(outside(&["[2001:db8::1]:6"]), ["udp 2001:db8::7 6 host"]);
        let each = ["udp 198.51.100.7 5 host", "udp 2001:db8::7 6 host"];
        assert_eq!(outside(&["192.0.2.1:5", "[2001:db8::1]:6"]), each);
        // What takes both is there for both, whatever the machine has itself.
        let g = gathering(&["192.0.2.1"], &["2001:db8::7"]);
        let at = |udp: &str| short(&ours(&local(&[udp], &[]), &g, None));
        assert_eq!(at("[::]:7"), ["udp 192.0.2.1 7 host", "udp 2001:db8::7 7 host"]);
        assert_eq!(at("0.0.0.0:7"), ["udp 192.0.2.1 7 host"]);
    }

    #[test]
    fn what_is_offered_as_ours_is_not_offered_again() {
        let g = gathering(&["192.0.2.1"], &["203.0.113.5"]);
        let all = short(&ours(&local(&["203.0.113.5:8189"], &[]), &g, None));
        assert_eq!(all, ["udp 203.0.113.5 8189 host"]);
    }

    #[test]
    fn what_the_outside_calls_us_may_be_our_own_address() {
        let g = Gathering { offer_local: false, ..gathering(&["192.0.2.1", "192.0.2.2"], &["192.0.2.2"]) };
        let all = ours(&local(&["0.0.0.0:8189"], &[]), &g, None);
        assert_eq!(short(&all), ["udp 192.0.2.2 8189 host"]);
    }

    #[test]
    fn local_addresses_can_be_kept_to_ourselves() {
        let g = Gathering { offer_local: false, ..gathering(&["192.0.2.1", "192.0.2.2"], &["198.51.100.7"]) };
        let all = ours(&local(&["0.0.0.0:8189"], &[]), &g, None);
        assert_eq!((short(&all), all.bases.len()), (vec!["udp 198.51.100.7 8189 host".to_owned()], 2));
    }
}
