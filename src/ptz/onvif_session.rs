//! A conversation with an ONVIF camera: its clock, where its services are, which profile
//! is steered. Learnt once, and again when the camera does not know a profile any more.

use std::time::{Duration, Instant, SystemTime};

use reqwest::Method;
use serde::de::DeserializeOwned;

use super::client::Client;
use super::onvif_xml::{Clock, Device, Node, NodeResponse, OldCapabilities, Profile, Profiles, Services, StreamUri};
use super::soap::{self, Opened, SoapFault};
use super::xml;
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

/// What was learnt.
#[derive(Debug, Default)]
pub struct Learnt {
    /// Paths of the services on the camera; empty where it has none.
    pub ptz: String,
    pub imaging: String,
    media: String,
    media2: String,
    /// The profile that is steered.
    pub profile: String,
    /// Its video source, for the focus.
    pub source: String,
    /// What it can do.
    pub node: Node,
}

/// The conversation.
pub struct Session {
    client: Client,
    target: PtzTarget,
    /// The camera's clock less ours, in seconds, and when that was so.
    clock: Option<(i64, Instant)>,
    /// The password was right once.
    proven: bool,
    learnt: Option<Learnt>,
}

impl Session {
    /// For a camera; nothing is sent yet.
    pub fn new(target: &PtzTarget) -> Outcome<Session> {
        Ok(Session { client: Client::new(target)?, target: target.clone(), clock: None, proven: false, learnt: None })
    }

    fn device(&self) -> String {
        if self.target.path.is_empty() { DEVICE.to_owned() } else { self.target.path.clone() }
    }

    /// One exchange with the service at `path`; `body` is an element `prefix:Name`.
    pub async fn call<T: DeserializeOwned>(&mut self, path: &str, body: &str) -> Result<T, No> {
        if self.clock.is_none() && !self.target.user.is_empty() {
            self.read_clock().await?;
        }
        let name = name_of(body);
        match self.once(path, name, body).await {
            Err(no) if no.is("NotAuthorized") => {
                // A password that was right: perhaps the camera's clock was set.
                let old = self.clock.is_none_or(|(_, at)| at.elapsed() > CLOCK);
                if self.proven && old {
                    self.proven = false;
                    self.read_clock().await?;
                    return self.once(path, name, body).await.map_err(refused);
                }
                Err(refused(no))
            }
            Err(no) => {
                if no.is("NoProfile") {
                    self.learnt = None;
                }
                Err(no)
            }
            done => {
                self.proven = true;
                done
            }
        }
    }

    async fn once<T: DeserializeOwned>(&mut self, path: &str, name: &str, body: &str) -> Result<T, No> {
        let user = self.target.user.as_str();
        let now = self.now();
        let login = (!user.is_empty()).then_some((user, &self.target.password, now));
        let message = soap::envelope(body, login);
        let answer = self.client.send(Method::POST, path, &media_type(body), message).await?;
        match soap::open(&answer.text, &format!("{name}Response")) {
            Ok(Opened::Response(response)) => Ok(response),
            Ok(Opened::Fault(fault)) => Err(No::Soap(fault)),
            Err(why) if (200..300).contains(&answer.status) => {
                Err(Fault::Rejected(format!("the camera's answer to {name} cannot be read: {why}")).into())
            }
            Err(_) => Err(Fault::Rejected(format!("the camera refuses {name}: HTTP {}", answer.status)).into()),
        }
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

    /// Services, profile and node.
    pub async fn learn(&mut self) -> Result<&Learnt, No> {
        if self.learnt.is_none() {
            let learnt = self.ask().await?;
            self.learnt = Some(learnt);
        }
        self.learnt.as_ref().ok_or_else(|| Fault::Rejected("the camera tells nothing".into()).into())
    }

    /// What was learnt, where it was.
    pub fn learnt(&self) -> Option<&Learnt> {
        self.learnt.as_ref()
    }

    /// Learns again the next time.
    pub fn forget(&mut self) {
        self.learnt = None;
    }

    async fn services(&mut self) -> Result<Learnt, No> {
        let device = self.device();
        let call = "<tds:GetServices><tds:IncludeCapability>false</tds:IncludeCapability></tds:GetServices>";
        match self.call::<Services>(&device, call).await {
            Ok(all) if !all.services.is_empty() => {
                let find = |part: &str| {
                    all.services.iter().find(|s| s.namespace.trim().contains(part)).map(|s| path_of(&s.address))
                };
                return Ok(Learnt {
                    ptz: find("/ptz/wsdl").unwrap_or_default(),
                    imaging: find("/imaging/wsdl").unwrap_or_default(),
                    media: find("ver10/media/wsdl").unwrap_or_default(),
                    media2: find("ver20/media/wsdl").unwrap_or_default(),
                    ..Learnt::default()
                });
            }
            Err(No::Fault(fault @ (Fault::Refused { .. } | Fault::Silent(_)))) => return Err(fault.into()),
            // Before 2.0 there is only the other call.
            Ok(_) | Err(_) => {}
        }
        let call = "<tds:GetCapabilities><tds:Category>All</tds:Category></tds:GetCapabilities>";
        let all = self.call::<OldCapabilities>(&device, call).await?.all;
        let path = |a: Option<super::onvif_xml::Address>| a.map(|a| path_of(&a.address)).unwrap_or_default();
        Ok(Learnt { ptz: path(all.ptz), imaging: path(all.imaging), media: path(all.media), ..Learnt::default() })
    }

    async fn ask(&mut self) -> Result<Learnt, No> {
        let mut learnt = self.services().await?;
        if learnt.ptz.is_empty() {
            return Err(Fault::Rejected("the camera has no PTZ service".into()).into());
        }
        let profiles = self.profiles(&learnt).await?;
        let wanted = self.target.profile.as_str();
        let fits = |p: &&Profile| if wanted.is_empty() { p.video() && p.steered() } else { p.token == wanted };
        let Some(profile) = profiles.iter().find(fits) else {
            let why = match wanted {
                "" => "no profile of the camera has both video and PTZ".to_owned(),
                _ => format!("the camera has no profile \"{}\" (ptz.profile)", xml::short(wanted)),
            };
            return Err(Fault::Rejected(why).into());
        };
        learnt.profile.clone_from(&profile.token);
        learnt.source = profile.source().unwrap_or_default();
        let node = profile.node().unwrap_or_default();
        let ptz = learnt.ptz.clone();
        let call = format!("<tptz:GetNode><tptz:NodeToken>{}</tptz:NodeToken></tptz:GetNode>", xml::escape(&node));
        match self.call::<NodeResponse>(&ptz, &call).await {
            Ok(response) => learnt.node = response.node,
            Err(No::Fault(fault @ (Fault::Refused { .. } | Fault::Silent(_)))) => return Err(fault.into()),
            // It may be steered all the same.
            Err(_) => {}
        }
        Ok(learnt)
    }

    /// media2 first: a profile with H.265 is only there.
    async fn profiles(&mut self, learnt: &Learnt) -> Result<Vec<Profile>, No> {
        if !learnt.media2.is_empty() {
            let call = "<tr2:GetProfiles><tr2:Type>All</tr2:Type></tr2:GetProfiles>";
            match self.call::<Profiles>(&learnt.media2, call).await {
                Ok(all) if !all.profiles.is_empty() => return Ok(all.profiles),
                Err(No::Fault(fault @ (Fault::Refused { .. } | Fault::Silent(_)))) => return Err(fault.into()),
                Ok(_) | Err(_) => {}
            }
        }
        if learnt.media.is_empty() {
            return Err(Fault::Rejected("the camera has no media service".into()).into());
        }
        Ok(self.call::<Profiles>(&learnt.media, "<trt:GetProfiles/>").await?.profiles)
    }

    /// The camera's model.
    pub async fn model(&mut self) -> Result<String, No> {
        let device = self.device();
        Ok(self.call::<Device>(&device, "<tds:GetDeviceInformation/>").await?.model)
    }

    /// The RTSP addresses of all profiles with video: token, address.
    pub async fn streams(&mut self) -> Outcome<Vec<(String, String)>> {
        let learnt = self.services().await?;
        let profiles = self.profiles(&learnt).await?;
        let mut all = Vec::new();
        for profile in profiles.iter().filter(|p| p.video()) {
            let token = xml::escape(&profile.token);
            let (path, call) = if profile.configurations.is_some() {
                let call = format!(
                    "<tr2:GetStreamUri><tr2:Protocol>RTSP</tr2:Protocol><tr2:ProfileToken>{token}</tr2:ProfileToken>\
                     </tr2:GetStreamUri>"
                );
                (&learnt.media2, call)
            } else {
                let call = format!(
                    "<trt:GetStreamUri><trt:StreamSetup><tt:Stream>RTP-Unicast</tt:Stream><tt:Transport><tt:Protocol>RTSP\
                     </tt:Protocol></tt:Transport></trt:StreamSetup><trt:ProfileToken>{token}</trt:ProfileToken>\
                     </trt:GetStreamUri>"
                );
                (&learnt.media, call)
            };
            let answer: StreamUri = self.call(path, &call).await?;
            let uri = answer.media.map(|m| m.uri).unwrap_or(answer.uri);
            all.push((profile.token.clone(), uri.trim().to_owned()));
        }
        Ok(all)
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

/// The path of a service. Host and port stay ours: behind NAT the camera names an address
/// that only it knows.
fn path_of(address: &str) -> String {
    url::Url::parse(address.trim()).map_or_else(
        |_| String::new(),
        |url| match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        },
    )
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

fn seconds_between(from: SystemTime, to: SystemTime) -> i64 {
    let whole = |d: Duration| i64::try_from(d.as_secs()).unwrap_or(i64::MAX);
    match to.duration_since(from) {
        Ok(ahead) => whole(ahead),
        Err(behind) => -whole(behind.duration()),
    }
}

fn refused(no: No) -> No {
    match no {
        No::Soap(fault) if fault.is("NotAuthorized") => {
            let reason = format!("the camera refused the user name or the password: {}", fault.words());
            No::Fault(Fault::Refused { reason, locked: None })
        }
        no => no,
    }
}

impl Profile {
    fn video(&self) -> bool {
        self.encoder.is_some() || self.configurations.as_ref().is_some_and(|c| c.encoder.is_some())
    }

    fn steered(&self) -> bool {
        self.ptz.is_some() || self.configurations.as_ref().is_some_and(|c| c.ptz.is_some())
    }

    fn source(&self) -> Option<String> {
        let source = self.source.as_ref().or(self.configurations.as_ref().and_then(|c| c.source.as_ref()));
        source.map(|s| s.token.trim().to_owned())
    }

    fn node(&self) -> Option<String> {
        let ptz = self.ptz.as_ref().or(self.configurations.as_ref().and_then(|c| c.ptz.as_ref()));
        ptz.map(|p| p.node.trim().to_owned())
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
    fn of_an_address_only_the_path_counts() {
        assert_eq!(path_of(" http://192.0.2.7:80/onvif/ptz_service?x=1 "), "/onvif/ptz_service?x=1");
        assert_eq!(path_of("https://[fe80::1]/onvif/ptz"), "/onvif/ptz");
        assert_eq!(path_of("nonsense"), "");
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
