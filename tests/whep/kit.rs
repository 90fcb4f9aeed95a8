//! What the WHEP tests share: one gateway with one camera for all that do not
//! need one of their own, and plain HTTP.

use super::ENGINE;
use super::support::camera::{Audio, Camera};
use super::support::gateway::Gateway;
use super::support::whep::{Offer, Options};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

/// Far more than anything takes, on a machine that is busy with other tests.
pub const SOON: Duration = Duration::from_secs(60);
/// The content type of a PATCH.
pub const FRAGMENT: &str = "application/trickle-ice-sdpfrag";

/// What gateways of a test's own begin with: a machine that is busy with other
/// tests takes longer than the defaults allow.
pub const PATIENT: &str = "webrtcHandshakeTimeout: 60s\npathDefaults:\n  sourceOnDemandStartTimeout: 60s\n";

/// A gateway on the engine that this copy of the tests is for.
pub fn start(yaml: &str) -> Gateway {
    Gateway::on(ENGINE, yaml)
}

/// A gateway of a test's own, patient, with one path `gate` for this camera.
pub fn gate(camera: &Camera) -> Gateway {
    start(&format!("{PATIENT}paths:\n  gate:\n    source: {}\n", camera.url()))
}

/// A gateway and its camera (H.264 and Opus).
///
/// Every path `cam-…` is that camera, so that each test has a path, and with it
/// log lines and readers, of its own. `nobody` waits for a publisher.
pub struct Place {
    pub gateway: Gateway,
    pub camera: Camera,
}

/// The place of all tests that run at this time; ends with the last of them.
pub fn place() -> Arc<Place> {
    static PLACE: Mutex<Weak<Place>> = Mutex::new(Weak::new());
    let mut known = PLACE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(place) = known.upgrade() {
        return place;
    }
    let camera = Camera::builder().size(320, 180).gop_frames(25).audio(Audio::Opus).prerecorded().start();
    let gateway = start(&format!(
        "webrtcHandshakeTimeout: 120s\n\
         limits:\n  postsPerSecond: 100000\n  postsBurst: 100000\n\
         pathDefaults:\n  sourceOnDemandStartTimeout: 60s\n  sourceOnDemandCloseAfter: 1s\n\
         paths:\n  '~^cam-':\n    source: {}\n    sourceOnDemand: yes\n  nobody:\n    source: publisher\n",
        camera.url()
    ));
    let place = Arc::new(Place { gateway, camera });
    *known = Arc::downgrade(&place);
    place
}

/// An HTTP answer, read whole.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Reply {
    /// A header's value, empty where it is missing.
    pub fn header(&self, name: &str) -> &str {
        self.all(name).first().copied().unwrap_or_default()
    }

    /// The values of a header that may come several times.
    pub fn all(&self, name: &str) -> Vec<&str> {
        let named = self.headers.iter().filter(|(k, _)| k.eq_ignore_ascii_case(name));
        named.map(|(_, v)| v.as_str()).collect()
    }

    /// The sentence of an error; asserts its shape.
    #[track_caller]
    pub fn error(&self) -> String {
        let json: serde_json::Value = serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"));
        assert_eq!(json["status"], "error", "{self:?}");
        let text = json["error"].as_str().unwrap_or_default().to_string();
        assert!(text.len() > 5, "{self:?}");
        text
    }
}

/// One request on a connection of its own.
pub async fn ask(method: &str, url: &str, headers: &[(&str, &str)], body: &str) -> Reply {
    super::support::init();
    let client = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(SOON)
        .build()
        .unwrap();
    let mut request = client.request(method.parse().unwrap(), url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    if !body.is_empty() {
        request = request.body(body.to_string());
    }
    let response = request.send().await.unwrap_or_else(|e| panic!("{method} {url}: {e}"));
    let status = response.status().as_u16();
    let text = |v: &reqwest::header::HeaderValue| String::from_utf8_lossy(v.as_bytes()).into_owned();
    let headers = response.headers().iter().map(|(k, v)| (k.to_string(), text(v))).collect();
    Reply { status, headers, body: response.text().await.unwrap() }
}

/// POSTs an offer to `{base}/whep/{path}`.
pub async fn post(base: &str, path: &str, offer: &str) -> Reply {
    ask("POST", &format!("{base}/whep/{path}"), &[("content-type", "application/sdp")], offer).await
}

/// PATCHes a session.
pub async fn patch(url: &str, if_match: Option<&str>, body: &str) -> Reply {
    let headers = [("content-type", FRAGMENT)].into_iter().chain(if_match.map(|tag| ("if-match", tag)));
    ask("PATCH", url, &headers.collect::<Vec<_>>(), body).await
}

/// The status of a path as the gateway tells it.
pub async fn status(base: &str, path: &str) -> serde_json::Value {
    let reply = ask("GET", &format!("{base}/{path}"), &[("accept", "application/json")], "").await;
    serde_json::from_str(&reply.body).unwrap_or_default()
}

/// A session that was opened and whose client never speaks ICE.
pub struct Bare {
    /// Absolute.
    pub url: String,
    /// With its quotes.
    pub etag: String,
    /// The client's credentials.
    pub ufrag: String,
    pub pwd: String,
    pub reply: Reply,
}

/// A viewer's offer without candidates, edited.
pub fn offer(options: &Options) -> String {
    let offer = Offer::new(options).unwrap().sdp;
    offer.lines().filter(|l| !l.starts_with("a=candidate")).map(|l| format!("{l}\r\n")).collect()
}

/// The value of the first line that starts so.
pub fn line<'a>(sdp: &'a str, start: &str) -> &'a str {
    sdp.lines().find_map(|l| l.strip_prefix(start)).unwrap_or_default().trim()
}

/// Opens a session and leaves it at that.
pub async fn bare(base: &str, path: &str) -> Bare {
    let offer = offer(&Options::default());
    let reply = post(base, path, &offer).await;
    assert_eq!(reply.status, 201, "{reply:?}");
    Bare {
        url: format!("{base}{}", reply.header("location")),
        etag: reply.header("etag").into(),
        ufrag: line(&offer, "a=ice-ufrag:").into(),
        pwd: line(&offer, "a=ice-pwd:").into(),
        reply,
    }
}

impl Bare {
    /// A fragment of this session with these lines after its credentials.
    pub fn fragment(&self, lines: &str) -> String {
        let lines = lines.replace('\n', "\r\n");
        format!("a=ice-ufrag:{}\r\na=ice-pwd:{}\r\n{lines}", self.ufrag, self.pwd)
    }

    /// DELETEs it; the status.
    pub async fn delete(&self) -> u16 {
        ask("DELETE", &self.url, &[], "").await.status
    }
}
