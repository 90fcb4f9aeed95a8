//! ICE around the sessions: which addresses to offer, which servers to use and to
//! announce. Nothing here ever holds up an answer: names are resolved and STUN
//! servers are asked in the background, and what they said is remembered.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use hmac::{Hmac, KeyInit, Mac};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use stun_types::message::{BINDING, Message, MessageWriteVec, TransactionId};
use stun_types::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::watch;

use crate::config::{Config, IceServer};
use crate::webrtc::engine::Gathering;

/// How often servers are asked again.
const AGAIN: Duration = Duration::from_secs(30);
/// How long one question to a STUN server may take.
const ANSWER: Duration = Duration::from_secs(2);
/// How long TURN credentials made from `AUTH_SECRET` are valid, s (MediaMTX: 24 h).
const VALID: u64 = 24 * 3600;
/// A first session may come before the first answer of a name server: it waits so long.
const FIRST: Duration = Duration::from_millis(300);

/// A server URL in its parts (RFC 7064, RFC 7065).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ServerUrl {
    /// `stun`, `stuns`, `turn` or `turns`.
    pub scheme: String,
    /// Name or address, without brackets.
    pub host: String,
    /// Port; 3478 and 5349 (TLS) where none is given.
    pub port: u16,
    /// `transport=tcp` was given.
    pub tcp: bool,
}

/// Reads `stun:host:port`, `turn:host?transport=tcp` and their like.
pub fn parse_server(url: &str) -> Option<ServerUrl> {
    let (scheme, rest) = url.split_once(':')?;
    if !matches!(scheme, "stun" | "stuns" | "turn" | "turns") {
        return None;
    }
    let rest = rest.trim_start_matches("//");
    let (authority, query) = rest.split_once('?').unwrap_or((rest, ""));
    let default = if scheme.ends_with('s') { 5349 } else { 3478 };
    let (host, port) = if let Some(v6) = authority.strip_prefix('[') {
        let (host, after) = v6.split_once(']')?;
        (host, after.strip_prefix(':'))
    } else {
        match authority.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        }
    };
    let port = port.map_or(Some(default), |p| p.parse().ok())?;
    if host.is_empty() || host.contains([' ', '/', '@', '"', '>']) {
        return None;
    }
    Some(ServerUrl { scheme: scheme.into(), host: host.into(), port, tcp: query.contains("transport=tcp") })
}

/// What is known of the world outside; cheap to clone.
#[derive(Clone, Default)]
pub struct Ice {
    known: Arc<Mutex<Known>>,
}

#[derive(Default)]
struct Known {
    /// Host names, and what is known of them.
    names: HashMap<String, Name>,
    /// STUN and TURN servers, by resolved address.
    stun: HashMap<(SocketAddr, Over), Stun>,
}

struct Name {
    asked: Instant,
    /// What the last answer said; none before the first one, for which all who come wait.
    found: watch::Sender<Option<Vec<IpAddr>>>,
}

/// Asks for the addresses of a host. No answer takes nothing away.
async fn look_up(name: String, found: watch::Sender<Option<Vec<IpAddr>>>) {
    match tokio::net::lookup_host((name.as_str(), 0)).await {
        Ok(addresses) => _ = found.send_replace(Some(addresses.map(|a| a.ip()).collect())),
        Err(e) => {
            tracing::warn!(host = %name, "an ICE host name does not resolve: {e}");
            found.send_modify(|found| _ = found.get_or_insert_default());
        }
    }
}

/// What a server is spoken to over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Over {
    Udp,
    Tcp,
}

impl Over {
    /// None for what only viewers can use: libnice (0.1.21) speaks no TLS to a server,
    /// and STUN over UDP alone.
    fn of(url: &ServerUrl) -> Option<Self> {
        match (url.scheme.as_str(), url.tcp) {
            ("stun" | "turn", false) => Some(Over::Udp),
            ("turn", true) => Some(Over::Tcp),
            _ => None,
        }
    }
}

#[derive(Clone)]
struct Stun {
    asked: Instant,
    /// Round trip of its last answer; none when it did not answer.
    rtt: Option<Duration>,
}

impl Ice {
    /// Nothing is known yet.
    pub fn new() -> Self {
        Ice::default()
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks in the background for all that `config` names, so that the first
    /// session finds it.
    pub fn warm(&self, config: &Arc<Config>) {
        for server in config.webrtc_ice_servers2.iter().filter(|s| !s.client_only) {
            if parse_server(&server.url).is_some_and(|url| Over::of(&url).is_none()) {
                tracing::warn!(url = %server.url, "only viewers use this ICE server: stun: (UDP) and turn: are for this server, too");
            }
        }
        let (ice, config) = (self.clone(), config.clone());
        tokio::spawn(async move {
            ice.gathering(&config).await;
            tokio::time::sleep(ANSWER).await;
            ice.gathering(&config).await;
        });
    }

    /// How a session gathers candidates now. Waits for names at most 300 ms in all, and
    /// only before they were answered for the first time.
    pub async fn gathering(&self, config: &Config) -> Gathering {
        let until = tokio::time::Instant::now() + FIRST;
        let local = local_addresses(config);
        let offer_local = config.webrtc_ips_from_interfaces;
        let mut additional: Vec<IpAddr> = Vec::new();
        for host in &config.webrtc_additional_hosts {
            for ip in self.resolve(host, until).await {
                // An address of our own is no news where all of them are offered.
                let offered = offer_local && local.contains(&ip);
                if !offered && !additional.contains(&ip) {
                    additional.push(ip);
                }
            }
        }
        let ports = config.webrtc_port_range;
        let mut gathering = Gathering { local, offer_local, additional, ports, ..Gathering::default() };
        for server in config.webrtc_ice_servers2.iter().filter(|s| !s.client_only) {
            let Some(url) = parse_server(&server.url) else { continue };
            let Some(over) = Over::of(&url) else { continue };
            // webrtcbin's agent would resolve names itself, blocking.
            let Some(ip) = self.resolve(&url.host, until).await.first().copied() else { continue };
            let address = SocketAddr::new(ip, url.port);
            let Some(rtt) = self.alive(address, over) else { continue };
            if url.scheme.starts_with("stun") {
                gathering.stun = Some(format!("stun://{address}"));
                gathering.wait = gathering.wait.max(rtt * 3 + Duration::from_millis(50));
            } else {
                gathering.turn.push(turn_url(server, &url, address));
                // Two round trips: the first one is refused with the realm.
                gathering.wait = gathering.wait.max(Duration::from_millis(300));
            }
        }
        gathering.wait = gathering.wait.min(config.webrtc_stun_gather_timeout);
        gathering
    }

    /// The addresses of a host, from memory where there is one; asked again in the
    /// background. Who comes before the first answer waits for it, but not longer than `until`.
    async fn resolve(&self, host: &str, until: tokio::time::Instant) -> Vec<IpAddr> {
        if let Ok(ip) = host.parse() {
            return vec![ip];
        }
        let mut found = {
            let mut known = self.lock();
            let name = known.names.get(host);
            let due = name.is_none_or(|n| n.asked.elapsed() >= AGAIN);
            let found = name.map(|n| n.found.clone()).unwrap_or_default();
            if due {
                known.names.insert(host.into(), Name { asked: Instant::now(), found: found.clone() });
                tokio::spawn(look_up(host.to_owned(), found.clone()));
            }
            found.subscribe()
        };
        let _ = tokio::time::timeout_at(until, found.wait_for(Option::is_some)).await;
        let addresses = found.borrow().clone();
        addresses.unwrap_or_default()
    }

    /// The round trip to a STUN or TURN server that answers; none for a dead one.
    /// Never waits: what is old is asked again in the background.
    fn alive(&self, server: SocketAddr, over: Over) -> Option<Duration> {
        let mut known = self.lock();
        let stun = known.stun.get(&(server, over)).cloned();
        if stun.as_ref().is_none_or(|s| s.asked.elapsed() >= AGAIN) {
            let rtt = stun.as_ref().and_then(|s| s.rtt);
            known.stun.insert((server, over), Stun { asked: Instant::now(), rtt });
            let ice = self.clone();
            tokio::spawn(async move {
                let answer = tokio::time::timeout(ANSWER, ask(server, over)).await;
                let rtt = match answer {
                    Ok(Ok(rtt)) => {
                        tracing::debug!(%server, ?over, ?rtt, "STUN/TURN server answers");
                        Some(rtt)
                    }
                    _ => {
                        tracing::warn!(%server, ?over, "STUN/TURN server does not answer: going on without it");
                        None
                    }
                };
                ice.lock().stun.insert((server, over), Stun { asked: Instant::now(), rtt });
            });
        }
        stun.and_then(|s| s.rtt)
    }
}

/// A round trip to a server: a binding request (RFC 8489 §6.2).
async fn ask(server: SocketAddr, over: Over) -> std::io::Result<Duration> {
    let request = Message::builder_request(BINDING, MessageWriteVec::new()).finish();
    let id = Message::from_bytes(&request).map_err(std::io::Error::other)?.transaction_id();
    let began = Instant::now();
    if over == Over::Udp {
        let any: SocketAddr = if server.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0u16; 8], 0).into() };
        let socket = UdpSocket::bind(any).await?;
        socket.connect(server).await?;
        socket.send(&request).await?;
        let mut answer = [0u8; 1500];
        loop {
            let n = socket.recv(&mut answer).await?;
            if answer.get(..n).is_some_and(|a| answers(a, id)) {
                return Ok(began.elapsed());
            }
        }
    }
    let mut stream = TcpStream::connect(server).await?;
    stream.write_all(&request).await?;
    // Messages follow one another, each as long as it says.
    let mut head = [0u8; 20];
    stream.read_exact(&mut head).await?;
    let mut body = vec![0u8; usize::from(u16::from_be_bytes([head[2], head[3]]))];
    stream.read_exact(&mut body).await?;
    if !answers(&[&head[..], &body].concat(), id) {
        return Err(std::io::Error::other("no STUN"));
    }
    Ok(began.elapsed())
}

/// Whether these bytes answer the request with this id.
fn answers(message: &[u8], id: TransactionId) -> bool {
    Message::from_bytes(message).is_ok_and(|m| m.transaction_id() == id && m.is_response())
}

/// The addresses of this machine to use: all but loopback and link-local ones;
/// with a list of interfaces all of theirs, loopback too when it is named.
fn local_addresses(config: &Config) -> Vec<IpAddr> {
    let list = &config.webrtc_ips_from_interfaces_list;
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    interfaces
        .into_iter()
        .filter(|i| if list.is_empty() { !i.is_loopback() } else { list.contains(&i.name) })
        .map(|i| i.ip())
        .filter(|ip| match ip {
            IpAddr::V4(v4) => !v4.is_link_local(),
            // A link-local address means nothing without its interface.
            IpAddr::V6(v6) => !v6.is_unicast_link_local(),
        })
        .collect()
}

/// What webrtcbin calls a TURN server; credentials percent-encoded.
fn turn_url(server: &IceServer, url: &ServerUrl, address: SocketAddr) -> String {
    let (user, password) = credentials(server, now_unix(), "camgate");
    let encode = |s: &str| utf8_percent_encode(s, NON_ALPHANUMERIC).to_string();
    let transport = if url.tcp { "tcp" } else { "udp" };
    format!("{}://{}:{}@{address}?transport={transport}", url.scheme, encode(&user), encode(&password))
}

fn now_unix() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

/// User and password for a server; time-limited ones for `AUTH_SECRET`: user
/// `EXPIRY:user`, password Base64(HMAC-SHA1(secret, user)) ("A REST API For Access
/// To TURN Services", draft-uberti-behave-turn-rest §2.2).
fn credentials(server: &IceServer, now_unix: u64, user: &str) -> (String, String) {
    if server.username != "AUTH_SECRET" {
        return (server.username.clone(), server.password.expose().to_owned());
    }
    let name: String = user.chars().filter(|c| c.is_ascii_alphanumeric() || "-_.".contains(*c)).take(64).collect();
    let username = format!("{}:{}", now_unix + VALID, if name.is_empty() { "viewer" } else { &name });
    let Ok(mut mac) = Hmac::<sha1::Sha1>::new_from_slice(server.password.expose().as_bytes()) else {
        return (username, String::new());
    };
    mac.update(username.as_bytes());
    let password = base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes());
    (username, password)
}

/// The ICE servers to announce to a client: one `Link` header each, with
/// `AUTH_SECRET` resolved for `user`. Only for those who may read or publish.
pub fn link_headers(servers: &[IceServer], now_unix: u64, user: &str) -> Vec<String> {
    servers
        .iter()
        .filter(|s| parse_server(&s.url).is_some())
        .map(|server| {
            let quote = |s: &str| s.replace('\\', "\\\\").replace('"', "\\\"").replace(|c: char| c.is_control(), "");
            let mut link = format!("<{}>; rel=\"ice-server\"", server.url);
            if !server.username.is_empty() {
                let (user, password) = credentials(server, now_unix, user);
                link.push_str(&format!(
                    "; username=\"{}\"; credential=\"{}\"; credential-type=\"password\"",
                    quote(&user),
                    quote(&password)
                ));
            }
            link
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_this_server_cannot_speak_is_left_to_the_viewers() {
        let over = |url: &str| Over::of(&parse_server(url).unwrap());
        assert_eq!(over("stun:h"), Some(Over::Udp));
        assert_eq!(over("turn:h:1?transport=udp"), Some(Over::Udp));
        assert_eq!(over("turn:h?transport=tcp"), Some(Over::Tcp));
        for url in ["turns:h", "turns:h?transport=tcp", "stuns:h", "stun:h?transport=tcp"] {
            assert_eq!(over(url), None, "{url}");
        }
    }

    #[tokio::test]
    async fn an_additional_address_is_told_once_and_where_nothing_else_offers_it() {
        let hosts = ["127.0.0.1", "192.0.2.1", "192.0.2.2", "192.0.2.1", "127.0.0.1"];
        for (offer_local, additional) in [(true, &hosts[1..3]), (false, &hosts[..3])] {
            let config = Config {
                webrtc_ips_from_interfaces: offer_local,
                // The one interface that every machine has.
                webrtc_ips_from_interfaces_list: vec!["lo".into()],
                webrtc_additional_hosts: hosts.map(String::from).into(),
                ..Config::default()
            };
            let found = Ice::new().gathering(&config).await;
            assert!(found.local.contains(&"127.0.0.1".parse().unwrap()), "{:?}", found.local);
            let found: Vec<String> = found.additional.iter().map(IpAddr::to_string).collect();
            assert_eq!(found, additional, "{offer_local}");
        }
    }
}
