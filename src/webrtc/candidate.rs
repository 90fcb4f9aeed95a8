//! One ICE candidate: the value of an `a=candidate` line (RFC 8839 §5.1).

use std::fmt;
use std::net::IpAddr;

/// The transport of a candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// UDP, what camgate uses.
    Udp,
    /// ICE-TCP (RFC 6544).
    Tcp,
    /// Something newer; never usable.
    Other,
}

/// Where a candidate can be reached.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Address {
    /// An IP literal.
    Ip(IpAddr),
    /// A host name, mostly mDNS (`….local`), or an address with a zone. Names
    /// are never resolved: a client could make us look up anything.
    Name(String),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Ip(ip) => ip.fmt(f),
            Address::Name(name) => f.write_str(name),
        }
    }
}

/// A candidate. Extensions other than `tcptype` and `ufrag` (Chromium's
/// `generation`, `network-id`, `network-cost`) are read over.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Candidate {
    /// Groups candidates of one kind and base; 1 to 32 ICE characters.
    pub foundation: String,
    /// 1 RTP, 2 RTCP; with `rtcp-mux` only 1 matters.
    pub component: u16,
    /// The transport.
    pub protocol: Protocol,
    /// RFC 8445 §5.1.2.
    pub priority: u32,
    /// IP address or name.
    pub address: Address,
    /// Port; 9 (discard) for active TCP candidates.
    pub port: u16,
    /// `host`, `srflx`, `prflx`, `relay`, or a token from the future.
    pub typ: String,
    /// `raddr` and `rport`: what a reflexive or relayed candidate stands for.
    pub related: Option<(Address, u16)>,
    /// `tcptype`: active, passive or so (RFC 6544).
    pub tcptype: Option<String>,
    /// The generation it belongs to (RFC 8840 §4.4).
    pub ufrag: Option<String>,
}

impl Candidate {
    /// Parses the value of a candidate line, with or without `a=` and
    /// `candidate:` before it. The error is a part of a sentence: "has no port".
    pub fn parse(text: &str) -> Result<Candidate, String> {
        let text = text.strip_prefix("a=").unwrap_or(text);
        let text = text.strip_prefix("candidate:").unwrap_or(text);
        if text.len() > 1024 || !text.bytes().all(|b| (0x20..0x7f).contains(&b)) {
            return Err("has more than 1024 characters, or some that are not printable ASCII".into());
        }
        let mut words = text.split(' ').filter(|w| !w.is_empty());
        let mut next = |what: &str| words.next().ok_or_else(|| format!("has no {what}"));

        let foundation = next("foundation")?;
        if foundation.len() > 32 || !super::sdp::is_ice(foundation, 1) {
            return Err("has a foundation that is not 1 to 32 ICE characters".into());
        }
        let component = number(next("component")?, 1, 256).ok_or("has a component that is not 1 to 256")? as u16;
        let protocol = match next("transport")? {
            t if t.eq_ignore_ascii_case("udp") => Protocol::Udp,
            t if t.eq_ignore_ascii_case("tcp") => Protocol::Tcp,
            t if super::sdp::is_token(t) => Protocol::Other,
            _ => return Err("has a transport that is not a token".into()),
        };
        let priority =
            number(next("priority")?, 0, u32::MAX.into()).ok_or("has a priority that is not a number")? as u32;
        let address = address(next("address")?).ok_or("has an address that is neither an IP nor a name")?;
        let port = number(next("port")?, 0, 65_535).ok_or("has a port that is not 0 to 65535")? as u16;
        if next("\"typ\"")? != "typ" {
            return Err("has no \"typ\" after the port".into());
        }
        let typ = next("type")?;
        if typ.len() > 32 || !super::sdp::is_token(typ) {
            return Err("has a type that is not a token".into());
        }

        let mut candidate = Candidate {
            foundation: foundation.into(),
            component,
            protocol,
            priority,
            address,
            port,
            typ: typ.into(),
            related: None,
            tcptype: None,
            ufrag: None,
        };
        candidate.extensions(words)?;
        Ok(candidate)
    }

    /// The `name value` pairs after the type. A name that comes without a value
    /// at the very end is let through: some clients end so.
    fn extensions<'a>(&mut self, mut words: impl Iterator<Item = &'a str>) -> Result<(), String> {
        let mut raddr = None;
        while let (Some(name), Some(value)) = (words.next(), words.next()) {
            match name {
                "raddr" => raddr = Some(address(value).ok_or("has a raddr that is neither an IP nor a name")?),
                "rport" => {
                    let port = number(value, 0, 65_535).ok_or("has an rport that is not 0 to 65535")? as u16;
                    self.related = raddr.take().map(|a| (a, port));
                }
                "tcptype" if value.len() <= 32 && super::sdp::is_token(value) => self.tcptype = Some(value.into()),
                "tcptype" => return Err("has a tcptype that is not a token".into()),
                // Shorter than an ufrag may be is no harm here: it then matches none.
                "ufrag" if super::sdp::is_ice(value, 1) => self.ufrag = Some(value.into()),
                "ufrag" => return Err("has an ufrag with characters that ICE does not know".into()),
                _ => {}
            }
        }
        Ok(())
    }

    /// Whether camgate can send to it: RTP over UDP to an IP literal that is one
    /// machine's address.
    pub fn usable(&self) -> bool {
        let Address::Ip(ip) = self.address else {
            return false;
        };
        let broadcast = matches!(ip, IpAddr::V4(v4) if v4.is_broadcast());
        self.component == 1
            && self.protocol == Protocol::Udp
            && self.port != 0
            && !ip.is_unspecified()
            && !ip.is_multicast()
            && !broadcast
    }

    /// The same candidate under another address, for a server behind a static
    /// one-to-one mapping (`webrtcAdditionalHosts`). It gets a foundation of its
    /// own, as it has another base (RFC 8445 §5.1.1.3), and a local preference
    /// one below, so that the real address is tried first.
    pub fn with_address(&self, ip: IpAddr) -> Candidate {
        // FNV-1a over the address: stable, so that all components and sessions
        // name the same base alike.
        let hash = ip
            .to_string()
            .bytes()
            .chain(self.foundation.bytes())
            .fold(0x811c_9dc5_u32, |h, b| (h ^ u32::from(b)).wrapping_mul(0x0100_0193));
        Candidate {
            foundation: hash.to_string(),
            priority: self.priority.saturating_sub(1 << 8).max(1),
            address: Address::Ip(ip),
            related: None,
            ..self.clone()
        }
    }
}

/// The value after `a=candidate:`.
impl fmt::Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = match self.protocol {
            Protocol::Udp => "udp",
            Protocol::Tcp => "tcp",
            Protocol::Other => "other",
        };
        let Candidate { foundation, component, priority, address, port, typ, .. } = self;
        write!(f, "{foundation} {component} {protocol} {priority} {address} {port} typ {typ}")?;
        if let Some((address, port)) = &self.related {
            write!(f, " raddr {address} rport {port}")?;
        }
        if let Some(tcptype) = &self.tcptype {
            write!(f, " tcptype {tcptype}")?;
        }
        if let Some(ufrag) = &self.ufrag {
            write!(f, " ufrag {ufrag}")?;
        }
        Ok(())
    }
}

/// A decimal number of at most ten digits, without sign, within bounds.
fn number(text: &str, min: u64, max: u64) -> Option<u64> {
    let digits = (1..=10).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten().filter(|n| (min..=max).contains(n))
}

fn address(text: &str) -> Option<Address> {
    if let Ok(ip) = text.parse() {
        return Some(Address::Ip(ip));
    }
    // `%` and `:` let an IPv6 address with a zone through, as a name.
    let fits = text.len() <= 255 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-%:".contains(&b));
    fits.then(|| Address::Name(text.into()))
}

#[cfg(test)]
mod tests;
