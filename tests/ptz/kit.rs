//! A desk from which cameras are steered: the gateway, a client that remembers all
//! answers, and both doubles under one trait.

use super::support;
use super::support::gateway::Gateway;
use super::support::ptz_hikvision::{Hikvision, PASSWORD, USER};
use super::support::ptz_http::{Login, Server};
use super::support::ptz_motion::Position;
use super::support::ptz_onvif::Onvif;
use base64::Engine as _;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use std::sync::Mutex;
use std::time::Duration;

pub use super::support::api::SOON;

/// An answer of the gateway.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    /// Null where the body is no JSON.
    pub json: Value,
    pub text: String,
    pub headers: String,
}

impl Answer {
    /// The error's sentence; panics where there is none.
    #[track_caller]
    pub fn error(&self) -> &str {
        assert_eq!(self.json["status"], "error", "{self:?}");
        self.json["error"].as_str().unwrap()
    }
}

/// The gateway and somebody who steers.
pub struct Desk {
    pub gateway: Gateway,
    client: reqwest::Client,
    answers: Mutex<Vec<String>>,
}

impl Desk {
    pub fn open(yaml: &str) -> Self {
        support::init();
        let client = reqwest::Client::builder().no_proxy().timeout(SOON).build().unwrap();
        Self { gateway: Gateway::start(yaml), client, answers: Mutex::default() }
    }

    /// One request. `headers`: name, value.
    pub async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let url = format!("{}{path}", self.gateway.url());
        let mut request = self.client.request(method.parse().unwrap(), url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if !body.is_empty() {
            request = request.body(body.to_string());
        }
        let response = request.send().await.unwrap_or_else(|e| panic!("{method} {path}: {e:?}"));
        let status = response.status().as_u16();
        let headers = format!("{:?}", response.headers());
        let text = response.text().await.unwrap();
        self.answers.lock().unwrap().push(format!("{headers}\n{text}"));
        let json = serde_json::from_str(&text).unwrap_or(Value::Null);
        Answer { status, json, text, headers }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[], "").await
    }

    pub async fn post(&self, path: &str, body: &str) -> Answer {
        self.ask("POST", path, &[], body).await
    }

    /// [`Desk::ask`], which has to work.
    #[track_caller]
    pub fn ok<'a>(&'a self, method: &'a str, path: &'a str, body: &'a str) -> impl Future<Output = Value> + 'a {
        let place = std::panic::Location::caller();
        async move {
            let answer = self.ask(method, path, &[], body).await;
            assert_eq!(answer.status, 200, "{method} {path} {body} at {place}: {}", answer.text);
            answer.json
        }
    }

    /// Neither an answer nor a log line has the password, in any form.
    #[track_caller]
    pub fn no_secrets(&self) {
        self.no_secret(PASSWORD);
    }

    #[track_caller]
    pub fn no_secret(&self, password: &str) {
        let base64 =
            |text: &str| base64::engine::general_purpose::STANDARD.encode(text).trim_end_matches('=').to_string();
        let percent = utf8_percent_encode(password, NON_ALPHANUMERIC).to_string();
        let json = serde_json::to_string(password).unwrap();
        let forms = [
            password.to_string(),
            percent.to_lowercase(),
            percent,
            base64(password),
            base64(&format!("{USER}:{password}")),
            json.trim_matches('"').to_string(),
        ];
        let log = self.gateway.log();
        let answers = self.answers.lock().unwrap();
        for form in &forms {
            let found = log.iter().chain(answers.iter()).find(|text| text.contains(form.as_str()));
            assert!(found.is_none(), "the password is told: {found:?}");
        }
        let header = log.iter().find(|line| line.contains("cnonce=") || line.contains("PasswordDigest"));
        assert!(header.is_none(), "an authorization in the log: {header:?}");
    }
}

/// A camera of either kind.
pub trait Steered {
    const DRIVER: &'static str;
    fn server(&self) -> &Server;
    fn position(&self) -> Position;
    fn moving(&self) -> bool;
    fn place(&self, at: Position);
    /// What it was told to do: pan, tilt, zoom from −1 to 1; all 0 is a stop.
    fn driven(&self) -> Vec<[f64; 3]>;

    /// How often it was told to stop.
    fn stops(&self) -> usize {
        self.driven().iter().filter(|v| **v == [0.0; 3]).count()
    }

    /// A path's entry that steers it.
    fn entry(&self, name: &str) -> String {
        entry(name, Self::DRIVER, &self.server().url(), "")
    }
}

impl Steered for Hikvision {
    const DRIVER: &'static str = "hikvision";

    fn server(&self) -> &Server {
        Hikvision::server(self)
    }
    fn position(&self) -> Position {
        Hikvision::position(self)
    }
    fn moving(&self) -> bool {
        Hikvision::moving(self)
    }
    fn place(&self, at: Position) {
        Hikvision::place(self, at);
    }
    fn driven(&self) -> Vec<[f64; 3]> {
        self.velocities().into_iter().map(|v| v.map(|n| f64::from(n) / 100.0)).collect()
    }
}

impl Steered for Onvif {
    const DRIVER: &'static str = "onvif";

    fn server(&self) -> &Server {
        Onvif::server(self)
    }
    fn position(&self) -> Position {
        Onvif::position(self)
    }
    fn moving(&self) -> bool {
        Onvif::moving(self)
    }
    fn place(&self, at: Position) {
        Onvif::place(self, at);
    }
    fn driven(&self) -> Vec<[f64; 3]> {
        let mut requests = self.server().requests();
        requests.retain(|r| r.login == Login::Granted && matches!(r.action.as_str(), "ContinuousMove" | "Stop"));
        let number = |text: &str, tag: &str, name: &str| {
            let at = text.find(&format!(":{tag} ")).or_else(|| text.find(&format!("<{tag} ")))?;
            let element = &text[at..at + text[at..].find('>')?];
            let value = element.split(&format!("{name}=\"")).nth(1)?.split('"').next()?;
            value.parse::<f64>().ok()
        };
        let read = |text: &str| {
            let get = |tag, name| number(text, tag, name).unwrap_or(0.0);
            [get("PanTilt", "x"), get("PanTilt", "y"), get("Zoom", "x")]
        };
        requests.iter().map(|r| if r.action == "Stop" { [0.0; 3] } else { read(&r.text()) }).collect()
    }
}

/// A path's entry with a camera that wants the usual password; `more`: lines of
/// `ptz`, each with six spaces in front.
pub fn entry(name: &str, driver: &str, url: &str, more: &str) -> String {
    entry_as(name, driver, url, PASSWORD, more)
}

/// [`entry`] with a password of your own.
pub fn entry_as(name: &str, driver: &str, url: &str, password: &str, more: &str) -> String {
    format!(
        "  '{name}':\n    source: publisher\n    ptz:\n      driver: {driver}\n      url: '{url}'\n      \
         username: {USER}\n      password: '{password}'\n{more}"
    )
}

/// A configuration with these entries.
pub fn paths(entries: &[String]) -> String {
    format!("paths:\n{}", entries.concat())
}

/// Waits for a condition, without blocking the runtime.
pub async fn wait(what: &str, cond: impl FnMut() -> bool) {
    support::until_true(SOON, what, cond).await;
}

/// Waits so long. Only where nothing must happen in the meantime.
pub async fn pass(time: Duration) {
    tokio::time::sleep(time).await; // poll: nothing must happen
}

/// Runs a test on both kinds of cameras.
#[macro_export]
macro_rules! on_both {
    ($($name:ident),* $(,)?) => {
        mod hikvision {
            $(#[tokio::test]
            async fn $name() {
                super::$name($crate::support::ptz_hikvision::Hikvision::start()).await;
            })*
        }
        mod onvif {
            $(#[tokio::test]
            async fn $name() {
                super::$name($crate::support::ptz_onvif::Onvif::builder().degrees().start()).await;
            })*
        }
    };
}
