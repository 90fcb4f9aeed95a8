//! A conversation with an ONVIF camera: its clock, where its services are, which profile
//! is steered. Learnt once, and again when the camera does not know a profile any more.

use std::time::{Duration, Instant, SystemTime};

use reqwest::Method;
use serde::de::{DeserializeOwned, IgnoredAny};

use super::client::{Answer, Client};
use super::onvif_learn::Learnt;
use super::onvif_xml::Clock;
use super::soap::{self, Opened, SoapFault};
use super::{Fault, Outcome};
use crate::config::PtzTarget;

/// Where every ONVIF camera has its device service.
pub const DEVICE: &str = "/onvif/device_service";
/// A clock that was looked at so recently is right.
const CLOCK: Duration = Duration::from_secs(30);

/// A refusal, before it is known what it means for a call.
#[derive(Debug)]
pub enum No {
    /// Not in SOAP.
    Fault(Fault),
    /// In SOAP.
    Soap(SoapFault),
}

impl No {
    /// Whether the login was not accepted.
    fn denied(&self) -> bool {
        match self {
            No::Soap(fault) => fault.denies(),
            No::Fault(fault) => matches!(fault, Fault::Doubted(_) | Fault::Refused { locked: None, .. }),
        }
    }

    /// Whether the camera names this code.
    pub fn is(&self, code: &str) -> bool {
        matches!(self, No::Soap(fault) if fault.is(code))
    }
}

impl From<Fault> for No {
    fn from(fault: Fault) -> No {
        No::Fault(fault)
    }
}

impl From<No> for Fault {
    fn from(no: No) -> Fault {
        match no {
            No::Fault(fault) => fault,
            No::Soap(fault) => Fault::Rejected(format!("the camera refuses: {}", fault.words())),
        }
    }
}

/// How the camera takes its password. Never both: a wrong one would be judged twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Login {
    /// Not known: asked without any first, the camera says which it wants, and what everybody
    /// may ask costs no attempt.
    Unknown,
    /// A WS-UsernameToken in the message.
    Token,
    /// HTTP Digest.
    Http,
}

/// Of a password that was right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doubt {
    None,
    /// It was denied, and nobody knows why.
    Denied,
    /// It was, and was granted something else after that.
    Granted,
}

/// The conversation.
pub struct Session {
    client: Client,
    pub(super) target: PtzTarget,
    /// The camera's clock less ours, in seconds, and when that was so.
    clock: Option<(i64, Instant)>,
    /// How it logs in; remembered once that worked.
    login: Login,
    /// The password was right once.
    proven: bool,
    /// What a denial means.
    doubt: Doubt,
    /// Path and body of a call that takes a login, was granted, and changes nothing.
    harmless: Option<(String, String)>,
    pub(super) learnt: Option<Learnt>,
}

impl Session {
    /// For a camera; nothing is sent yet.
    pub fn new(target: &PtzTarget) -> Outcome<Session> {
        Ok(Session {
            client: Client::new(target)?,
            target: target.clone(),
            clock: None,
            login: Login::Unknown,
            proven: false,
            doubt: Doubt::None,
            harmless: None,
            learnt: None,
        })
    }

    pub(super) fn device(&self) -> String {
        if self.target.path.is_empty() { DEVICE.to_owned() } else { self.target.path.clone() }
    }

    /// One exchange with the service at `path`; `body` is an element `prefix:Name`.
    ///
    /// A password that was right and is denied is [`Fault::Doubted`] first: perhaps the camera's
    /// clock was set, or it wants another login now; or this user may not do this, which is no
    /// reason to hold the password back. Alone that is found out.
    pub async fn call<T: DeserializeOwned>(&mut self, path: &str, body: &str) -> Result<T, No> {
        self.settle().await?;
        match self.once(self.login, !self.proven, path, body).await {
            Err(no) if no.denied() => Err(self.denied(no).into()),
            Err(no) => {
                if no.is("NoProfile") {
                    self.learnt = None;
                }
                Err(no)
            }
            done => done,
        }
    }

    /// See [`super::Driver::alone`].
    pub fn alone(&mut self, alone: bool) {
        self.client.alone(alone);
        self.doubt = if alone && self.proven { Doubt::Denied } else { Doubt::None };
    }

    /// See [`super::Driver::proven`].
    pub fn proven(&self) -> bool {
        self.proven || self.target.user.is_empty()
    }

    /// What it means that the login was not accepted for a call.
    fn denied(&mut self, no: No) -> Fault {
        let words = Fault::from(no);
        match self.doubt {
            Doubt::Granted => Fault::Denied(format!("the camera does not let this user do that; {words}")),
            _ if self.proven => Fault::Doubted(words.reason().to_owned()),
            _ => self.refused(words),
        }
    }

    fn refused(&mut self, words: Fault) -> Fault {
        (self.login, self.proven, self.doubt) = (Login::Unknown, false, Doubt::None);
        match words {
            Fault::Refused { .. } => words,
            _ => {
                let reason = format!("the camera refused the user name or the password: {words}");
                Fault::Refused { reason, locked: None }
            }
        }
    }

    /// Finds out whether a password that was denied is right, if it was: by one attempt at
    /// something that was granted before, with the camera's clock read anew and with the login
    /// that it wants now. Where nothing is known that would tell, the next call does, and one
    /// that this user may not make is taken for a refusal.
    pub async fn settle(&mut self) -> Result<(), No> {
        if self.doubt != Doubt::Denied {
            return Ok(());
        }
        if self.clock.is_none_or(|(_, at)| at.elapsed() > CLOCK) {
            self.clock = None;
        }
        if let Some((path, body)) = self.harmless.clone() {
            let message = soap::envelope(&body, None);
            let answer = self.client.say(Method::POST, &path, &media_type(&body), message).await?;
            // If everybody may do that by now it proves nothing.
            if read::<IgnoredAny>(&answer, name_of(&body), false).is_err() {
                let login = if answer.digest { Login::Http } else { Login::Token };
                match self.once::<IgnoredAny>(login, true, &path, &body).await {
                    Ok(_) => self.doubt = Doubt::Granted,
                    Err(no) if no.denied() => return Err(self.refused(no.into()).into()),
                    Err(No::Fault(fault)) if fault.is_general() => return Err(fault.into()),
                    // It cannot do that just now, and would not say so to everybody.
                    Err(_) => self.doubt = Doubt::Granted,
                }
                return Ok(());
            }
            self.harmless = None;
        }
        (self.login, self.proven, self.doubt) = (Login::Unknown, false, Doubt::None);
        Ok(())
    }

    /// With this login; what comes of it is remembered where it was good. `untried`: as of
    /// [`read`]. May be dropped at any await.
    async fn once<T: DeserializeOwned>(
        &mut self,
        mut login: Login,
        untried: bool,
        path: &str,
        body: &str,
    ) -> Result<T, No> {
        let (kind, name) = (media_type(body), name_of(body));
        if self.target.user.is_empty() {
            let answer = self.client.send(Method::POST, path, &kind, soap::envelope(body, None)).await?;
            return read(&answer, name, false);
        }
        let unknown = login == Login::Unknown;
        if unknown {
            let answer = self.client.say(Method::POST, path, &kind, soap::envelope(body, None)).await?;
            if let Ok(response) = read(&answer, name, false) {
                return Ok(response);
            }
            login = if answer.digest { Login::Http } else { Login::Token };
        }
        let done = if login == Login::Http {
            let answer = self.client.send(Method::POST, path, &kind, soap::envelope(body, None)).await?;
            read(&answer, name, false)?
        } else {
            if self.clock.is_none() {
                self.read_clock().await?;
            }
            let message = soap::envelope(body, Some((self.target.user.as_str(), &self.target.password, self.now())));
            let answer = self.client.say(Method::POST, path, &kind, message).await?;
            read(&answer, name, untried)?
        };
        (self.login, self.proven) = (login, true);
        // Not everybody may do it, as was just seen.
        if unknown && (name.starts_with("Get") || name == "Stop") {
            self.harmless = Some((path.to_owned(), body.to_owned()));
        }
        Ok(done)
    }

    fn now(&self) -> SystemTime {
        let (offset, now) = (self.clock.map_or(0, |(offset, _)| offset), SystemTime::now());
        let by = Duration::from_secs(offset.unsigned_abs());
        if offset < 0 { now.checked_sub(by) } else { now.checked_add(by) }.unwrap_or(now)
    }

    /// The camera tells its clock to everybody.
    async fn read_clock(&mut self) -> Outcome<()> {
        let message = soap::envelope(CLOCK_CALL, None);
        let device = self.device();
        let answer = self.client.peek(Method::POST, &device, &media_type(CLOCK_CALL), message).await?;
        // One that tells no clock is taken to have ours.
        let offset = clock_of(&answer.text).map_or(0, |camera| seconds_between(SystemTime::now(), camera));
        self.clock = Some((offset, Instant::now()));
        Ok(())
    }
}

/// Asks a camera for its clock; everybody may.
pub const CLOCK_CALL: &str = "<tds:GetSystemDateAndTime/>";

/// The media type of a call, with its action (SOAP 1.2 §6.5.3).
pub fn media_type(body: &str) -> String {
    let ns = match body.get(1..5) {
        Some("tds:") => "ver10/device",
        Some("trt:") => "ver10/media",
        Some("tr2:") => "ver20/media",
        Some("timg") => "ver20/imaging",
        _ => "ver20/ptz",
    };
    format!("application/soap+xml; charset=utf-8; action=\"http://www.onvif.org/{ns}/wsdl/{}\"", name_of(body))
}

/// `GetPresets` of `<tptz:GetPresets>…`.
fn name_of(body: &str) -> &str {
    let name = body.split_once(':').map_or("", |(_, rest)| rest);
    &name[..name.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(name.len())]
}

/// The clock in an answer to [`CLOCK_CALL`]; whether it is one tells ONVIF cameras from others.
pub fn clock_of(text: &str) -> Option<SystemTime> {
    let Ok(Opened::Response(clock)) = soap::open::<Clock>(text, "GetSystemDateAndTimeResponse") else { return None };
    let utc = clock.system.utc?;
    let part = |value: Option<f64>, max: f64| value.filter(|v| (0.0..=max).contains(v)).map(|v| v as u32);
    let (date, time) = (utc.date, utc.time);
    let text = format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
        part(date.year, 9999.0)?,
        part(date.month, 12.0)?,
        part(date.day, 31.0)?,
        part(time.hour, 23.0)?,
        part(time.minute, 59.0)?,
        part(time.second, 59.0)?
    );
    humantime::parse_rfc3339(&text).ok()
}

/// What an answer to `name` comes to. Without SOAP a 401 denies the login, and a 403 where the
/// password was `untried` before.
fn read<T: DeserializeOwned>(answer: &Answer, name: &str, untried: bool) -> Result<T, No> {
    match soap::open(&answer.text, &format!("{name}Response")) {
        Ok(Opened::Response(response)) => Ok(response),
        Ok(Opened::Fault(fault)) if fault.denies() || answer.status != 401 => Err(No::Soap(fault)),
        Err(why) if (200..300).contains(&answer.status) => {
            Err(Fault::Rejected(format!("the camera's answer to {name} cannot be read: {why}")).into())
        }
        _ if answer.status == 401 || (untried && answer.status == 403) => {
            let codes = vec!["NotAuthorized".to_owned()];
            Err(No::Soap(SoapFault { codes, reason: format!("HTTP {}", answer.status) }))
        }
        _ => Err(Fault::Rejected(format!("the camera refuses {name}: HTTP {}", answer.status)).into()),
    }
}

fn seconds_between(from: SystemTime, to: SystemTime) -> i64 {
    let whole = |d: Duration| i64::try_from(d.as_secs()).unwrap_or(i64::MAX);
    match to.duration_since(from) {
        Ok(ahead) => whole(ahead),
        Err(behind) => -whole(behind.duration()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_have_names_and_actions() {
        assert_eq!(name_of("<tptz:GetPresets><a/>"), "GetPresets");
        assert_eq!(name_of("<tds:GetSystemDateAndTime/>"), "GetSystemDateAndTime");
        let kind = media_type("<timg:Move>");
        assert!(kind.ends_with("action=\"http://www.onvif.org/ver20/imaging/wsdl/Move\""), "{kind}");
    }

    #[test]
    fn the_cameras_clock() {
        let text = soap::envelope(
            "<tds:GetSystemDateAndTimeResponse><tds:SystemDateAndTime><tt:DateTimeType>NTP</tt:DateTimeType>\
             <tt:UTCDateTime><tt:Time><tt:Hour>7</tt:Hour><tt:Minute>50</tt:Minute><tt:Second>45</tt:Second></tt:Time>\
             <tt:Date><tt:Year>2010</tt:Year><tt:Month>9</tt:Month><tt:Day>16</tt:Day></tt:Date></tt:UTCDateTime>\
             </tds:SystemDateAndTime></tds:GetSystemDateAndTimeResponse>",
            None,
        );
        let clock = clock_of(&text).unwrap();
        assert_eq!(humantime::format_rfc3339_seconds(clock).to_string(), "2010-09-16T07:50:45Z");
        assert_eq!(seconds_between(clock, clock + Duration::from_secs(7)), 7);
        assert_eq!(seconds_between(clock, clock - Duration::from_secs(7)), -7);
        assert_eq!(clock_of(&text.replace("<tt:Month>9", "<tt:Month>99")), None);
        assert_eq!(clock_of(""), None);
    }
}
