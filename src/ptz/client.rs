//! HTTP to one camera: its credentials, bounds and words for what goes wrong.

use std::time::Duration;

use bytes::BytesMut;
use reqwest::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, LOCATION, WWW_AUTHENTICATE};
use reqwest::{Method, StatusCode, redirect};
use serde::Deserialize;

use super::digest::{Challenge, Digest};
use super::tls::{self, TurnedDown};
use super::xml;
use super::{Fault, Outcome};
use crate::config::PtzTarget;
use crate::redact;

/// How long a camera may take to answer.
pub const TIMEOUT: Duration = Duration::from_secs(3);
/// How long a connection that nobody uses is kept: longer than between two moves.
const IDLE: Duration = Duration::from_secs(20);

/// What a camera answered; not yet whether it agrees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status. Of [`Client::send`] never 401, and never a redirect.
    pub status: u16,
    /// The body, decoded; empty where it is no text.
    pub text: String,
    /// Whether a 401 asks for HTTP Digest.
    pub digest: bool,
}

/// A connection to one camera. Keeps its nonce, so that a request costs one round trip.
pub struct Client {
    http: reqwest::Client,
    /// `http://host:port`
    origin: String,
    user: String,
    password: crate::redact::Secret,
    digest: Option<Box<Digest>>,
    /// The present nonce was good once.
    proven: bool,
    /// The password was good once.
    ever: bool,
    /// See [`Client::alone`].
    alone: bool,
    turned_down: Option<TurnedDown>,
}

impl Client {
    /// For a camera; nothing is sent yet.
    pub fn new(target: &PtzTarget) -> Outcome<Client> {
        let mut builder = reqwest::Client::builder()
            .no_proxy()
            // What a camera points to may be anybody's, and the password would go there.
            .redirect(redirect::Policy::none())
            .timeout(TIMEOUT)
            .connect_timeout(TIMEOUT)
            .pool_max_idle_per_host(1)
            .pool_idle_timeout(IDLE)
            .tcp_nodelay(true)
            .http1_only();
        // Also where there is no https: reqwest would look for a TLS of its own. No
        // certificate fits then.
        let pin = if target.tls { target.fingerprint.as_deref() } else { Some("") };
        let (config, seen) = tls::config(pin).map_err(Fault::Rejected)?;
        let turned_down = target.tls.then_some(seen);
        builder = builder.tls_backend_preconfigured(config);
        let http = builder.build().map_err(|e| Fault::Rejected(format!("HTTP cannot be set up: {}", why(&e))))?;
        Ok(Client {
            http,
            origin: target.origin(),
            user: target.user.clone(),
            password: target.password.clone(),
            digest: None,
            proven: false,
            ever: false,
            alone: false,
            turned_down,
        })
    }

    /// One exchange. `path` begins with `/` and holds nothing secret.
    ///
    /// Errors: refused (401), doubted (401 to a password that was good before, once), silent
    /// (no answer in 3 s), rejected (a redirect, a certificate, an answer beyond the bounds).
    pub async fn send(&mut self, method: Method, path: &str, media_type: &str, body: String) -> Outcome<Answer> {
        // A request, its nonce renewed, and once more where that was stale already.
        for _ in 0..3 {
            let authorization = match &mut self.digest {
                Some(digest) => {
                    digest.answer(&self.user, self.password.expose(), method.as_str(), path, body.as_bytes())
                }
                None => None,
            };
            let answered = authorization.is_some();
            let mut request = self.request(&method, path, media_type, body.clone())?;
            if let Some(value) = authorization {
                request = request.header(AUTHORIZATION, value);
            }
            let (status, headers, text) = tokio::time::timeout(TIMEOUT, self.exchange(request))
                .await
                .map_err(|_| self.silent("does not answer"))
                .flatten()
                .inspect_err(|_| {
                    // Whether the password was counted as a wrong one is not known: the next
                    // one is asked for, and not the same answer given again.
                    if !self.proven {
                        self.digest = None;
                    }
                })?;
            if status != StatusCode::UNAUTHORIZED {
                self.proven |= answered;
                self.ever |= answered;
                return match status.is_redirection() {
                    true => Err(self.redirected(&headers)),
                    false => Ok(Answer { status: status.as_u16(), text, digest: false }),
                };
            }
            if let Some(fault) = locked(&text) {
                self.digest = None;
                return Err(fault);
            }
            match challenge(&headers) {
                _ if self.user.is_empty() => {
                    let reason = "the camera wants a user name and a password (401)".to_owned();
                    return Err(Fault::Refused { reason, locked: None });
                }
                Challenge::Digest(digest) => {
                    let judged = answered && !digest.stale();
                    // A nonce that was good may be worn out, also where the camera does not say
                    // so; who is alone may find that out.
                    let worn = self.alone && self.proven;
                    (self.digest, self.proven) = (Some(digest), false);
                    if judged && !worn {
                        return Err(self.turned_away());
                    }
                }
                _ if answered && self.ever => return Err(self.turned_away()),
                Challenge::Basic => {
                    let reason = "the camera wants the password in the clear (Basic), which is not sent: switch it to \
                                  digest authentication"
                        .to_owned();
                    return Err(Fault::Refused { reason, locked: None });
                }
                Challenge::Unknown => {
                    let reason = "the camera refuses (401), and does not say how to log in".to_owned();
                    return Err(Fault::Refused { reason, locked: None });
                }
            }
        }
        let reason = "the camera finds every nonce stale".to_owned();
        self.digest = None;
        // Of a password that was never good it may count each as an attempt.
        Err(if self.ever { Fault::Rejected(reason) } else { Fault::Refused { reason, locked: None } })
    }

    /// The password was judged and not found good. Of one that was, it may be the nonce (a
    /// restart): that is not tried here, since all channels of a recorder would try it at once.
    fn turned_away(&mut self) -> Fault {
        let reason = "the camera refused the user name or the password (401)".to_owned();
        self.digest = None;
        if self.ever && !self.alone {
            return Fault::Doubted(reason);
        }
        self.ever = false;
        Fault::Refused { reason, locked: None }
    }

    /// While `alone` nobody else uses this login: a nonce is asked for anew, and what is refused
    /// then is refused.
    pub fn alone(&mut self, alone: bool) {
        self.alone = alone;
        if alone {
            (self.digest, self.proven) = (None, false);
        }
    }

    /// Whether the password was good, or there is none.
    pub fn proven(&self) -> bool {
        self.ever || self.user.is_empty()
    }

    /// One exchange without credentials, whatever comes: finding out what a camera is must
    /// not cost an attempt at its password.
    pub async fn peek(&self, method: Method, path: &str, media_type: &str, body: String) -> Outcome<Answer> {
        self.plain(method, path, media_type, body).await.map(|(answer, _)| answer)
    }

    /// One exchange whose body proves the password, or need not: no challenge is taken up, so
    /// that it is judged once.
    ///
    /// Errors: as of [`Client::send`], but for a 401, which is an answer where the account is
    /// not locked.
    pub async fn say(&self, method: Method, path: &str, media_type: &str, body: String) -> Outcome<Answer> {
        let (answer, headers) = self.plain(method, path, media_type, body).await?;
        match answer.status {
            300..=399 => Err(self.redirected(&headers)),
            401 => locked(&answer.text).map_or(Ok(answer), Err),
            _ => Ok(answer),
        }
    }

    async fn plain(&self, method: Method, path: &str, media_type: &str, body: String) -> Outcome<(Answer, HeaderMap)> {
        let request = self.request(&method, path, media_type, body)?;
        let (status, headers, text) = tokio::time::timeout(TIMEOUT, self.exchange(request))
            .await
            .map_err(|_| self.silent("does not answer"))??;
        let digest = status == StatusCode::UNAUTHORIZED && matches!(challenge(&headers), Challenge::Digest(_));
        Ok((Answer { status: status.as_u16(), text, digest }, headers))
    }

    fn request(&self, method: &Method, path: &str, media_type: &str, body: String) -> Outcome<reqwest::RequestBuilder> {
        // Anything else would go on with our host's name, and lead to another one.
        if !path.starts_with('/') {
            return Err(Fault::Rejected("the camera names a service that has no path".into()));
        }
        let request = self.http.request(method.clone(), format!("{}{path}", self.origin));
        Ok(match body.is_empty() {
            false => request.header(CONTENT_TYPE, media_type).body(body),
            true if *method == Method::PUT => request.header(CONTENT_LENGTH, "0"),
            true => request,
        })
    }

    async fn exchange(&self, request: reqwest::RequestBuilder) -> Outcome<(StatusCode, HeaderMap, String)> {
        let mut response = request.send().await.map_err(|error| self.failed(&error))?;
        let (status, headers) = (response.status(), std::mem::take(response.headers_mut()));
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.failed(&error))? {
            if body.len() + chunk.len() > xml::MAX_BYTES {
                return Err(Fault::Rejected("the camera's answer has more than 1 MiB".into()));
            }
            body.extend_from_slice(&chunk);
        }
        let kind = headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok());
        let text = xml::decode(&body, kind);
        Ok((status, headers, text))
    }

    fn failed(&self, error: &reqwest::Error) -> Fault {
        if let Some(hex) = self.turned_down.as_ref().and_then(TurnedDown::take) {
            return Fault::Rejected(format!(
                "the camera's certificate is not the one that is trusted; if it is the camera's own, set ptz.fingerprint: {hex}"
            ));
        }
        if error.is_timeout() {
            return self.silent("does not answer");
        }
        self.silent(&why(error))
    }

    fn silent(&self, what: &str) -> Fault {
        Fault::Silent(format!("the camera at {}: {what}", self.origin))
    }

    fn redirected(&self, headers: &HeaderMap) -> Fault {
        let to = headers.get(LOCATION).and_then(|v| v.to_str().ok()).unwrap_or("elsewhere");
        let to = redact::url(to).chars().filter(|c| !c.is_control()).take(200).collect::<String>();
        Fault::Rejected(format!("the camera sends to {to}, which is not followed; if that is right, set ptz.url"))
    }
}

fn challenge(headers: &HeaderMap) -> Challenge {
    Digest::challenge(headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|v| v.to_str().ok()))
}

/// The innermost reason, which is the one that says something.
fn why(error: &reqwest::Error) -> String {
    let mut reason: &dyn std::error::Error = error;
    while let Some(source) = reason.source() {
        reason = source;
    }
    redact::text(&reason.to_string()).into_owned()
}

#[derive(Deserialize)]
struct UserCheck {
    #[serde(default, rename = "lockStatus")]
    lock_status: String,
    #[serde(default, rename = "unlockTime", deserialize_with = "xml::number")]
    unlock_time: Option<f64>,
}

/// Hikvision's word for an account that is locked.
fn locked(text: &str) -> Option<Fault> {
    let check: UserCheck = xml::read(text, &["userCheck"]).ok()?;
    (check.lock_status.trim() == "locked").then(|| {
        let seconds = check.unlock_time.unwrap_or(1800.0).clamp(1.0, 86_400.0);
        Fault::Refused {
            reason: format!(
                "the camera has locked the account after wrong passwords, for {} min (401)",
                (seconds / 60.0).ceil()
            ),
            locked: Some(Duration::from_secs_f64(seconds)),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::PtzDriver;

    fn target(port: u16) -> PtzTarget {
        PtzTarget {
            driver: PtzDriver::Onvif,
            tls: false,
            host: "127.0.0.1".into(),
            port,
            path: String::new(),
            user: "operator".into(),
            password: "secret".into(),
            channel: 1,
            profile: String::new(),
            invert_pan: false,
            invert_tilt: false,
            invert_elevation: false,
            move_timeout: Duration::from_secs(2),
            allow_special_presets: false,
            fingerprint: None,
        }
    }

    #[tokio::test]
    async fn what_is_no_path_goes_nowhere() {
        let mut client = Client::new(&target(9)).unwrap();
        for path in ["", "@evil.example/x", "evil", ".evil.example/", ":1/"] {
            let sent = client.send(Method::POST, path, "text/xml", "x".into()).await;
            assert!(matches!(sent, Err(Fault::Rejected(_))), "{path}: {sent:?}");
            let peeked = client.peek(Method::POST, path, "text/xml", "x".into()).await;
            assert!(matches!(peeked, Err(Fault::Rejected(_))), "{path}: {peeked:?}");
        }
    }

    /// Answers one request per connection with each of these; an empty one is silence.
    async fn camera(answers: Vec<String>) -> (u16, tokio::task::JoinHandle<Vec<String>>) {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let task = tokio::spawn(async move {
            let mut asked = Vec::new();
            for answer in answers {
                let (mut peer, _) = listener.accept().await.unwrap();
                let mut head = vec![0; 8_192];
                let n = peer.read(&mut head).await.unwrap();
                asked.push(String::from_utf8_lossy(&head[..n]).into_owned());
                peer.write_all(answer.as_bytes()).await.unwrap();
            }
            asked
        });
        (port, task)
    }

    fn unauthorized(more: &str) -> String {
        format!(
            "HTTP/1.1 401 No\r\nWWW-Authenticate: Digest realm=\"x\", nonce=\"n\", qop=\"auth\"{more}\r\n\
             Content-Length: 0\r\nConnection: close\r\n\r\n"
        )
    }

    #[tokio::test]
    async fn a_password_that_was_never_good_is_refused_where_every_nonce_is_stale() {
        let (port, _camera) = camera(vec![unauthorized(", stale=true"); 3]).await;
        let mut client = Client::new(&target(port)).unwrap();
        let sent = client.send(Method::GET, "/x", "", String::new()).await;
        assert!(matches!(sent, Err(Fault::Refused { .. })), "{sent:?}");
    }

    #[tokio::test]
    async fn an_answer_to_a_challenge_that_got_lost_is_not_given_again() {
        let (port, camera) = camera(vec![unauthorized(""), String::new(), unauthorized("")]).await;
        let mut client = Client::new(&target(port)).unwrap();
        let sent = client.send(Method::GET, "/x", "", String::new()).await;
        assert!(matches!(sent, Err(Fault::Silent(_))), "{sent:?}");
        let _ = client.send(Method::GET, "/x", "", String::new()).await;
        let asked = camera.await.unwrap();
        let logins: Vec<bool> = asked.iter().map(|head| head.to_lowercase().contains("authorization:")).collect();
        assert_eq!(logins, [false, true, false]);
    }

    #[test]
    fn a_lock_is_understood() {
        let text = "<userCheck version=\"2.0\" xmlns=\"http://www.hikvision.com/ver20/XMLSchema\"><statusValue>401</statusValue>\
                    <lockStatus>locked</lockStatus><unlockTime>1800</unlockTime></userCheck>";
        let Some(Fault::Refused { reason, locked: Some(time) }) = locked(text) else { panic!() };
        assert!(reason.contains("30 min") && time == Duration::from_secs(1800), "{reason}");
        for text in ["", "<userCheck><lockStatus>unlock</lockStatus></userCheck>", "<html/>", "<userCheck>"] {
            assert_eq!(locked(text), None, "{text}");
        }
    }
}
