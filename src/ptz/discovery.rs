//! WS-Discovery (OASIS 1.1, as ONVIF Core §7 narrows it): which cameras are there.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use percent_encoding::percent_decode_str;
use serde::Deserialize;
use tokio::net::UdpSocket;
use tokio::time::Instant;
use url::{Host, Url};

use super::soap::{self, Opened};
use super::xml;

/// Where cameras listen.
pub const MULTICAST: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(239, 255, 255, 250)), 3702);
/// More than any network has.
const CAMERAS: usize = 1_024;
/// A datagram.
const LONGEST: usize = 64 << 10;
/// How long a name may take to be looked up.
const NAMES: Duration = Duration::from_secs(2);

/// A camera that answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// What it calls itself (`onvif://www.onvif.org/name/…`).
    pub name: String,
    /// Its model (`…/hardware/…`).
    pub hardware: String,
    /// Its device service, at the address that it answered from; over https by its name, where
    /// that name leads there.
    pub service: Url,
}

/// Sends probes to `to`, collects answers for `wait`. Cameras in the order of their
/// addresses, each once.
pub async fn probe(to: SocketAddr, wait: Duration) -> std::io::Result<Vec<Found>> {
    let id = format!("urn:uuid:{}", uuid());
    let message = message(&id);
    let mut sockets = Vec::new();
    let mut failed = None;
    for local in locals(to) {
        let sent = async {
            let socket = UdpSocket::bind(local).await?;
            socket.send_to(message.as_bytes(), to).await?;
            Ok::<_, std::io::Error>(socket)
        };
        match sent.await {
            Ok(socket) => sockets.push(socket),
            Err(error) => failed = Some(error),
        }
    }
    if let (true, Some(error)) = (sockets.is_empty(), failed) {
        return Err(error);
    }
    let until = Instant::now() + wait;
    let answers = futures_util::future::join_all(sockets.iter().map(|socket| collect(socket, &id, until))).await;
    let mut all = BTreeMap::new();
    for (endpoint, found, host) in answers.into_iter().flatten() {
        all.entry(endpoint).or_insert((found, host));
    }
    let named = all.into_values().map(|(found, host)| by_name(found, host));
    let mut all: Vec<Found> = futures_util::future::join_all(named).await;
    all.sort_by(|a, b| a.service.as_str().cmp(b.service.as_str()));
    Ok(all)
}

/// A service that is known by a name, by that name: its certificate has no address in it. Only
/// where the name leads to where the answer came from, so that nobody is spoken to but who
/// answered.
async fn by_name(mut found: Found, host: Option<String>) -> Found {
    let (Some(host), Some(port)) = (host, found.service.port_or_known_default()) else { return found };
    let here = found.service.host().and_then(|host| match host {
        Host::Ipv4(ip) => Some(IpAddr::V4(ip)),
        Host::Ipv6(ip) => Some(IpAddr::V6(ip)),
        Host::Domain(_) => None,
    });
    let addresses = tokio::time::timeout(NAMES, tokio::net::lookup_host((host.as_str(), port))).await;
    if let Ok(Ok(mut addresses)) = addresses
        && addresses.any(|address| Some(address.ip()) == here)
    {
        // It was the host of a URL before.
        let _ = found.service.set_host(Some(&host));
    }
    found
}

/// The addresses to send from: for multicast every interface's, since the system would
/// choose one of them.
fn locals(to: SocketAddr) -> Vec<SocketAddr> {
    if to.ip().is_multicast() {
        let all = if_addrs::get_if_addrs().unwrap_or_default();
        let own: Vec<SocketAddr> = all
            .iter()
            .filter(|i| !i.is_loopback() && i.ip().is_ipv4() == to.is_ipv4())
            .map(|i| SocketAddr::new(i.ip(), 0))
            .collect();
        if !own.is_empty() {
            return own;
        }
    }
    let any =
        if to.is_ipv4() { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED) };
    vec![SocketAddr::new(any, 0)]
}

async fn collect(socket: &UdpSocket, id: &str, until: Instant) -> Vec<(String, Found, Option<String>)> {
    let mut all = Vec::new();
    let mut buffer = vec![0; LONGEST];
    while all.len() < CAMERAS {
        let Ok(received) = tokio::time::timeout_at(until, socket.recv_from(&mut buffer)).await else { break };
        // An ICMP error of another datagram.
        let Ok((n, from)) = received else { continue };
        all.extend(matches(&xml::decode(&buffer[..n], None), id, from.ip()));
    }
    all
}

fn uuid() -> String {
    let bytes: [u8; 16] = rand::random();
    let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
    format!("{}-{}-4{}-8{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..])
}

fn message(id: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><s:Envelope xmlns:s=\"http://www.w3.org/2003/05/soap-envelope\" \
         xmlns:a=\"http://schemas.xmlsoap.org/ws/2004/08/addressing\" \
         xmlns:d=\"http://schemas.xmlsoap.org/ws/2005/04/discovery\" \
         xmlns:dn=\"http://www.onvif.org/ver10/network/wsdl\"><s:Header>\
         <a:Action s:mustUnderstand=\"1\">http://schemas.xmlsoap.org/ws/2005/04/discovery/Probe</a:Action>\
         <a:MessageID>{id}</a:MessageID>\
         <a:To s:mustUnderstand=\"1\">urn:schemas-xmlsoap-org:ws:2005:04:discovery</a:To></s:Header>\
         <s:Body><d:Probe><d:Types>dn:NetworkVideoTransmitter</d:Types></d:Probe></s:Body></s:Envelope>"
    )
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Matches {
    #[serde(rename = "ProbeMatch")]
    all: Vec<Match>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Match {
    #[serde(rename = "EndpointReference")]
    endpoint: Endpoint,
    #[serde(rename = "Scopes")]
    scopes: String,
    #[serde(rename = "XAddrs")]
    addresses: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Endpoint {
    #[serde(rename = "Address")]
    address: String,
}

/// The cameras in a datagram that answers the probe `id`; nothing in any other. With each its
/// endpoint, and the name in the address of an https service.
fn matches(text: &str, id: &str, from: IpAddr) -> Vec<(String, Found, Option<String>)> {
    if !text.contains(id) {
        return Vec::new();
    }
    let Ok(Opened::Response(matches)) = soap::open::<Matches>(text, "ProbeMatches") else { return Vec::new() };
    let found = |m: &Match| {
        let services: Vec<Url> = m
            .addresses
            .split_whitespace()
            .filter_map(|a| Url::parse(a).ok())
            .filter(|a| matches!(a.scheme(), "http" | "https") && a.host().is_some())
            .collect();
        let here = |a: &&Url| a.host_str().is_some_and(|h| h.trim_matches(['[', ']']) == from.to_string());
        let v4 = |a: &&Url| matches!(a.host(), Some(Host::Ipv4(_)));
        let service = services.iter().find(here).or(services.iter().find(v4)).or(services.first())?.clone();
        // Only where the answer came from: whoever answers must not send a login elsewhere.
        let mut service = service;
        let host = service.domain().filter(|_| service.scheme() == "https").map(str::to_owned);
        service.set_ip_host(from).ok()?;
        let scope = |kind: &str| {
            let part = m.scopes.split_whitespace().find_map(|s| s.split_once(&format!("onvif.org/{kind}/")))?.1;
            let name = xml::short(&percent_decode_str(part).decode_utf8_lossy());
            Some(name).filter(|name| !name.is_empty())
        };
        let name = scope("name").unwrap_or_else(|| "camera".into());
        let endpoint = match m.endpoint.address.trim() {
            "" => service.to_string(),
            address => address.to_owned(),
        };
        Some((endpoint, Found { name, hardware: scope("hardware").unwrap_or_default(), service }, host))
    };
    matches.all.iter().take(CAMERAS).filter_map(found).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ID: &str = "urn:uuid:1";
    const FROM: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));

    fn answer(addresses: &str, scopes: &str) -> String {
        format!(
            "<e:Envelope xmlns:e=\"http://www.w3.org/2003/05/soap-envelope\"><e:Header><w:RelatesTo>{ID}</w:RelatesTo></e:Header>\
             <e:Body><d:ProbeMatches><d:ProbeMatch><w:EndpointReference><w:Address>urn:uuid:cam</w:Address>\
             </w:EndpointReference><d:Types>dn:NetworkVideoTransmitter</d:Types><d:Scopes>{scopes}</d:Scopes>\
             <d:XAddrs>{addresses}</d:XAddrs></d:ProbeMatch></d:ProbeMatches></e:Body></e:Envelope>"
        )
    }

    #[test]
    fn an_answer_is_read() {
        let scopes = "onvif://www.onvif.org/type/ptz onvif://www.onvif.org/name/Gate%20dome \
                      onvif://www.onvif.org/hardware/DS-2DF";
        let services = "http://[fe80::1]/onvif/device_service http://10.0.0.7/onvif/device_service \
                        http://192.0.2.7:8080/onvif/device_service";
        let all = matches(&answer(services, scopes), ID, FROM);
        assert_eq!(all.len(), 1);
        assert_eq!(all[0].0, "urn:uuid:cam");
        let found = &all[0].1;
        assert_eq!((found.name.as_str(), found.hardware.as_str()), ("Gate dome", "DS-2DF"));
        assert_eq!(found.service.as_str(), "http://192.0.2.7:8080/onvif/device_service");
        let bare = matches(&answer("http://[fe80::1]/x http://10.0.0.7/x", ""), ID, FROM);
        assert_eq!((bare[0].1.name.as_str(), bare[0].1.service.as_str()), ("camera", "http://192.0.2.7/x"));
        let evil = matches(&answer("https://evil.example:8443/x", ""), ID, FROM);
        assert_eq!(evil[0].1.service.as_str(), "https://192.0.2.7:8443/x");
        assert_eq!(evil[0].2.as_deref(), Some("evil.example"));
        assert_eq!((&all[0].2, &bare[0].2), (&None, &None));
    }

    #[tokio::test]
    async fn a_name_counts_where_it_leads_to_the_camera() {
        let found = |ip: &str| Found {
            name: "gate".into(),
            hardware: String::new(),
            service: Url::parse(&format!("https://{ip}:8443/x")).unwrap(),
        };
        let named = by_name(found("127.0.0.1"), Some("localhost".into())).await;
        assert_eq!(named.service.as_str(), "https://localhost:8443/x");
        for (ip, host) in [("127.0.0.9", Some("localhost")), ("127.0.0.1", Some("camera.invalid")), ("127.0.0.1", None)]
        {
            let kept = by_name(found(ip), host.map(str::to_owned)).await;
            assert_eq!(kept.service.as_str(), format!("https://{ip}:8443/x"), "{host:?}");
        }
    }

    #[test]
    fn what_is_no_answer_of_ours_is_passed_over() {
        assert!(matches(&answer("http://h/x", ""), "urn:uuid:2", FROM).is_empty());
        for addresses in ["", "file:///etc/passwd", "nonsense", "ftp://h/x"] {
            assert!(matches(&answer(addresses, ""), ID, FROM).is_empty(), "{addresses}");
        }
        assert!(matches(ID, ID, FROM).is_empty());
    }

    #[test]
    fn a_probe_is_xml_and_no_two_are_the_same() {
        assert!(xml::check(&message(&format!("urn:uuid:{}", uuid()))).is_ok());
        assert_ne!(uuid(), uuid());
        assert_eq!(uuid().len(), 36);
    }

    proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300), cut in 0usize..500) {
            let _ = matches(&format!("{ID}{}", xml::decode(&bytes, None)), ID, FROM);
            let whole = answer("http://h/x", "onvif://www.onvif.org/name/%ff");
            let _ = matches(&whole[..cut.min(whole.len())], ID, FROM);
        }
    }
}
