//! The configuration: MediaMTX's names, meanings and defaults where the feature
//! exists there, read from YAML and the environment, checked as a whole.
//!
//! | file | what |
//! |---|---|
//! | `mod.rs` | the tables of keys: [`Config`], [`PathConf`], [`Limits`] |
//! | `auth.rs` | users and what they may do |
//! | `load.rs` | file + environment → [`Config`], or all that is wrong with them |
//! | `yaml.rs`, `schema.rs`, `values.rs`, `units.rs` | the tree with lines, and how it becomes typed |
//! | `env.rs` | `CAMGATE_…` and `MTX_…` |
//! | `mediamtx.rs` | MediaMTX's keys that are still to come, or have another name now |
//! | `source.rs` | what feeds a path, RTSP URLs |
//! | `substream.rs` | the small picture of a path |
//! | `ptz.rs` | how a path's camera is steered |
//! | `groups.rs` | `$G1` in sources |
//! | `matching.rs` | path names, and which entry a name belongs to |
//! | `diff.rs`, `watch.rs` | what a reload changes, and when one is due |
//!
//! `config/camgate.yml` is the reference for operators; a test keeps it equal to
//! these tables.

mod auth;
mod diff;
mod env;
mod groups;
mod listen;
mod load;
mod matching;
mod mediamtx;
mod problem;
mod ptz;
mod schema;
mod source;
mod substream;
mod units;
mod values;
mod watch;
mod yaml;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

pub use auth::{Action, Permission, User};
pub use diff::{Diff, diff};
pub use load::{Loaded, RESERVED_VARIABLES, embedded, load, parse};
pub use matching::{Match, Pattern, is_hls_name, valid_path_name};
pub use problem::Problem;
pub use ptz::{HttpUrl, LONGEST_MOVE, Ptz, PtzDriver, PtzTarget, SHORTEST_MOVE};
pub use source::{RtspUrl, Source};
pub use substream::Substream;
pub use units::{parse_duration, parse_size};
pub use values::{PortRange, Size};
pub use watch::{Watch, watch};

use crate::redact::Secret;
use listen::{address, address_or_none};
use schema::{Cx, Field, Mapping, mapping, readable, words};
use values::{at_least_one, positive};
use yaml::Node;

words! {
    /// How much is logged.
    pub enum LogLevel {
        /// What went wrong.
        Error = "error",
        /// What may go wrong.
        Warn = "warn",
        /// What happens.
        Info = "info",
        /// Everything.
        Debug = "debug",
    }
}

words! {
    /// How RTP comes from an RTSP camera.
    pub enum Transport {
        /// TCP, and UDP where the camera refuses that.
        Automatic = "automatic",
        /// UDP only.
        Udp = "udp",
        /// UDP multicast.
        Multicast = "multicast",
        /// Interleaved in the RTSP connection.
        Tcp = "tcp",
    }
}

words! {
    /// How HLS carries the media.
    pub enum HlsVariant {
        /// MPEG-TS segments.
        Mpegts = "mpegts",
        /// Fragmented MP4 segments.
        Fmp4 = "fmp4",
        /// Fragmented MP4 in parts, a second behind live.
        LowLatency = "lowLatency",
    }
}

words! {
    /// Who serves WebRTC viewers (ours).
    pub enum WebrtcEngine {
        /// All on one port, for crowds.
        Shared = "shared",
        /// A GStreamer pipeline for each.
        Webrtcbin = "webrtcbin",
    }
}

/// Who serves viewers where the configuration does not say.
pub const WEBRTC_ENGINE: WebrtcEngine = WebrtcEngine::Shared;

mapping! {
    /// The whole configuration, checked. All of a process's rooms share one by `Arc`.
    pub struct Config {
        /// How much is logged.
        "logLevel" => log_level: LogLevel = LogLevel::Info;
        /// JSON lines instead of readable ones.
        "logStructured" => log_structured: bool = false;
        /// How long a source may be silent before it counts as broken.
        "readTimeout" => read_timeout: Duration = Duration::from_secs(10), positive;
        /// Where the HTTP server listens; see [`Config::webrtc_listen`].
        "webrtcAddress" => webrtc_address: String = ":8889".to_owned(), address;
        /// Who serves WebRTC viewers, where the path says nothing (ours).
        "webrtcEngine" => webrtc_engine: WebrtcEngine = WEBRTC_ENGINE;
        /// Where the engine `shared` receives UDP; empty: nowhere. See
        /// [`Config::webrtc_udp_listen`].
        "webrtcLocalUDPAddress" => webrtc_local_udp_address: String = ":8189".to_owned(), address_or_none;
        /// Where it accepts ICE over TCP; empty: nowhere.
        "webrtcLocalTCPAddress" => webrtc_local_tcp_address: String = String::new(), address_or_none;
        /// UDP ports for the engine `webrtcbin`; None leaves the choice to the system.
        "webrtcPortRange" => webrtc_port_range: PortRange = None;
        /// Whether the addresses of the network interfaces are offered to viewers.
        "webrtcIPsFromInterfaces" => webrtc_ips_from_interfaces: bool = true;
        /// Only these interfaces; empty means all of them but loopback.
        "webrtcIPsFromInterfacesList" => webrtc_ips_from_interfaces_list: Vec<String> = Vec::new(), no_empty;
        /// Addresses or host names that are offered to viewers besides.
        "webrtcAdditionalHosts" => webrtc_additional_hosts: Vec<String> = Vec::new(), no_empty;
        /// STUN and TURN servers.
        "webrtcICEServers2" => webrtc_ice_servers2: Vec<IceServer> = Vec::new();
        /// How long gathering may wait for a STUN server.
        "webrtcSTUNGatherTimeout" => webrtc_stun_gather_timeout: Duration = Duration::from_secs(5), positive;
        /// How long a viewer may take from its offer to connected.
        "webrtcHandshakeTimeout" => webrtc_handshake_timeout: Duration = Duration::from_secs(10), positive;
        /// Origins that other sites' pages may have; `*`, also within one.
        "webrtcAllowOrigins" => webrtc_allow_origins: Vec<String> = vec!["*".to_owned()], no_empty;
        /// Proxies whose `X-Forwarded-For` is believed.
        "webrtcTrustedProxies" => webrtc_trusted_proxies: Vec<IpNet> = Vec::new();
        /// Whether paths can be read over HLS.
        "hls" => hls: bool = true;
        /// Where HLS is served alone, besides; empty: nowhere. See [`Config::hls_listen`].
        "hlsAddress" => hls_address: String = String::new(), address_or_none;
        /// How HLS carries the media.
        "hlsVariant" => hls_variant: HlsVariant = HlsVariant::LowLatency;
        /// Whether muxers run for every path that is live, asked for or not.
        "hlsAlwaysRemux" => hls_always_remux: bool = false;
        /// Segments in a playlist.
        "hlsSegmentCount" => hls_segment_count: usize = 7, at_least_one;
        /// A segment ends at the first key frame after so long.
        "hlsSegmentDuration" => hls_segment_duration: Duration = Duration::from_secs(1), positive;
        /// How long a part is, rounded up to whole frames.
        "hlsPartDuration" => hls_part_duration: Duration = Duration::from_millis(200), positive;
        /// The most bytes of a segment.
        "hlsSegmentMaxSize" => hls_segment_max_size: Size = Size(50 << 20), size_at_least_1k;
        /// How long a muxer outlives its last reader.
        "hlsMuxerCloseAfter" => hls_muxer_close_after: Duration = Duration::from_secs(60), positive;
        /// Origins that other sites' pages may have; `*`, also within one.
        "hlsAllowOrigins" => hls_allow_origins: Vec<String> = vec!["*".to_owned()], no_empty;
        /// Who may what.
        "authInternalUsers" => auth_internal_users: Vec<User> = auth::default_users();
        /// Bounds on what clients may ask for (ours).
        "limits" => limits: Limits = Limits::default();
        extra {
            /// What a path has where it says nothing itself. Already merged into `paths`.
            path_defaults: PathConf = PathConf::default();
            /// The paths, by their names in the configuration.
            paths: BTreeMap<String, Arc<PathConf>> = BTreeMap::new();
        }
    }
}

mapping! {
    /// What one path has, the defaults merged in.
    pub struct PathConf {
        /// What feeds it.
        "source" => source: Source = Source::Publisher;
        /// How RTP comes from the camera.
        "rtspTransport" => rtsp_transport: Transport = Transport::Automatic;
        /// SHA-256 of the certificate of an `rtsps` camera (64 hexadecimal digits, lower case),
        /// for one that no authority vouches for.
        "sourceFingerprint" => source_fingerprint: Option<String> = None;
        /// Whether the source runs only while somebody watches.
        "sourceOnDemand" => source_on_demand: bool = false;
        /// How long a reader waits for an on-demand source.
        "sourceOnDemandStartTimeout" => source_on_demand_start_timeout: Duration = Duration::from_secs(10), positive;
        /// How long an on-demand source outlives its last reader.
        "sourceOnDemandCloseAfter" => source_on_demand_close_after: Duration = Duration::from_secs(10);
        /// Whether dates are those of the camera's clock, where it tells them.
        "useAbsoluteTimestamp" => use_absolute_timestamp: bool = true;
        /// The most readers at once; 0 means any number.
        "maxReaders" => max_readers: usize = 0;
        /// Who serves its viewers; None: as `webrtcEngine` says for all (ours).
        "webrtcEngine" => webrtc_engine: Option<WebrtcEngine> = None;
        /// What the wall plays instead, because it is smaller (ours).
        "substream" => substream: Option<Substream> = None;
        /// How its camera is steered (ours).
        "ptz" => ptz: Ptz = Ptz::default();
        /// A template of the path's own instead of those in `pipelines/` (ours).
        "pipeline" => pipeline: Option<PathBuf> = None;
        extra {
            /// The compiled name of a `~regex` path.
            pattern: Option<Pattern> = None;
        }
    }
}

mapping! {
    /// A STUN or TURN server.
    pub struct IceServer {
        /// `stun:host:3478`, `turn:host:3478?transport=udp` or `turns:…` (RFC 7064, RFC 7065).
        "url" => url: String = String::new();
        /// The user name at a TURN server; `AUTH_SECRET` stands for time-limited
        /// credentials that are made from the password.
        "username" => username: String = String::new();
        /// The password at a TURN server.
        "password" => password: Secret = Secret::default();
        /// Whether only clients use it, and the server does not.
        "clientOnly" => client_only: bool = false;
    }
}

mapping! {
    /// Bounds on what clients may ask for. All of them ours: a client that
    /// means no good shall cost no more than one that does.
    pub struct Limits {
        /// The longest SDP.
        "sdpSize" => sdp_size: Size = Size(64 << 10), size_at_least_1k;
        /// The most m-sections in an SDP.
        "sdpSections" => sdp_sections: usize = 32, at_least_one;
        /// The most ICE candidates in an m-section.
        "sdpCandidates" => sdp_candidates: usize = 64, at_least_one;
        /// The longest body but an SDP. Those that steer a camera end at 16K in any case.
        "bodySize" => body_size: Size = Size(1 << 20), size_at_least_1k;
        /// The longest request head.
        "headerSize" => header_size: Size = Size(16 << 10), size_at_least_1k;
        /// How long a client may take to send a request's head.
        "headTimeout" => head_timeout: Duration = Duration::from_secs(5), positive;
        /// How long a client may take to send a request's body.
        "bodyTimeout" => body_timeout: Duration = Duration::from_secs(10), positive;
        /// How long a connection may be idle.
        "idleTimeout" => idle_timeout: Duration = Duration::from_secs(60), positive;
        /// How long a client may take nothing of an answer.
        "stallTimeout" => stall_timeout: Duration = Duration::from_secs(30), positive;
        /// The most HTTP connections at once on each port.
        "connections" => connections: usize = 2000, at_least_one;
        /// WHEP POSTs per second from one address, in the long run.
        "postsPerSecond" => posts_per_second: usize = 20, at_least_one;
        /// WHEP POSTs from one address in one burst.
        "postsBurst" => posts_burst: usize = 200, at_least_one;
        /// Sessions that have not connected yet, in all.
        "handshakes" => handshakes: usize = 500, at_least_one;
        /// Sessions that have not connected yet, from one address.
        "handshakesPerAddress" => handshakes_per_address: usize = 100, at_least_one;
    }
}

readable!(IceServer);
readable!(Limits);

impl Mapping for Limits {
    const FIELDS: &'static [Field] = Limits::KEYS;

    fn set(&mut self, key: &str, node: &Node, cx: &mut Cx) -> bool {
        self.set_key(key, node, cx)
    }
}

impl Mapping for IceServer {
    const FIELDS: &'static [Field] = IceServer::KEYS;

    fn set(&mut self, key: &str, node: &Node, cx: &mut Cx) -> bool {
        self.set_key(key, node, cx)
    }

    fn verify(&self, _given: &dyn Fn(&str) -> bool) -> Result<(), (&'static str, String)> {
        let scheme = self.url.split_once(':').map(|(scheme, rest)| (scheme, rest.trim_start_matches('/')));
        match scheme {
            Some(("stun" | "stuns", host)) if !host.is_empty() => Ok(()),
            Some(("turn" | "turns", host)) if !host.is_empty() => {
                if self.username.is_empty() || self.password.is_empty() {
                    return Err(("url", "a TURN server needs username and password".into()));
                }
                Ok(())
            }
            // The URL is not repeated: some people write credentials into it.
            _ => Err(("url", "must be like stun:host:3478, turn:host:3478 or turns:host:5349".into())),
        }
        .and_then(|()| {
            let fine =
                !self.url.contains(|c: char| c.is_whitespace() || c.is_control() || matches!(c, '@' | '"' | '<' | '>'));
            if fine {
                Ok(())
            } else {
                Err((
                    "url",
                    "must not contain spaces, quotes or \"@\"; credentials go into username and password".into(),
                ))
            }
        })
    }
}

impl Mapping for Config {
    const FIELDS: &'static [Field] = load::CONFIG_KEYS;

    fn set(&mut self, key: &str, node: &Node, cx: &mut Cx) -> bool {
        // Read afterwards by load.rs, in their order.
        matches!(key, "pathDefaults" | "paths")
            || self.set_key(key, node, cx)
            || (Self::not_yet(key) && mediamtx::read_special(key, node, cx))
    }

    fn not_yet(key: &str) -> bool {
        mediamtx::GLOBAL.contains(&key)
    }
}

impl Mapping for PathConf {
    const FIELDS: &'static [Field] = PathConf::KEYS;

    fn set(&mut self, key: &str, node: &Node, cx: &mut Cx) -> bool {
        if key == "ptz" {
            // Key by key over what pathDefaults says.
            schema::read_into(&mut self.ptz, node, cx);
            return true;
        }
        self.set_key(key, node, cx) || (Self::not_yet(key) && mediamtx::read_special(key, node, cx))
    }

    fn not_yet(key: &str) -> bool {
        mediamtx::PATH.contains(&key)
    }
}

impl Config {
    /// Who serves the viewers of a path.
    pub fn engine_of(&self, path: &str) -> WebrtcEngine {
        self.find(path).and_then(|found| found.conf.webrtc_engine).unwrap_or(self.webrtc_engine)
    }

    /// Whether any path is served by this engine.
    pub fn uses_engine(&self, engine: WebrtcEngine) -> bool {
        // With no path at all there is none that could be watched.
        self.paths.values().any(|conf| conf.webrtc_engine.unwrap_or(self.webrtc_engine) == engine)
    }
}

fn no_empty(list: &[String]) -> Result<(), String> {
    if list.iter().any(|item| item.trim().is_empty()) { Err("has an empty entry".into()) } else { Ok(()) }
}

fn size_at_least_1k(size: &Size) -> Result<(), String> {
    if size.0 < 1024 { Err("must be at least 1K".into()) } else { Ok(()) }
}

#[cfg(test)]
pub(crate) mod tests;
