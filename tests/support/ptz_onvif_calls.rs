//! The operations that the ONVIF double knows: who may call, and the PTZ and
//! imaging services. What only tells is in [`super::ptz_onvif_texts`].

use super::ptz_auth::ws_digest;
use super::ptz_http::{Answer, Handler, Login, Request};
use super::ptz_motion::{Position, height, width};
use super::ptz_onvif::{Preset, State, Wants};
use super::ptz_onvif_texts as texts;
use super::ptz_xml::{self, escape, find, text};
use base64::Engine as _;
use roxmltree::Node;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(super) struct Calls(pub(super) Arc<State>);

/// The media type of SOAP 1.2.
pub const SOAP: &str = "application/soap+xml; charset=utf-8";

const ENVELOPE: &str = "http://www.w3.org/2003/05/soap-envelope";
const DEVICE: &str = "http://www.onvif.org/ver10/device/wsdl";
const MEDIA: &str = "http://www.onvif.org/ver10/media/wsdl";
const MEDIA2: &str = "http://www.onvif.org/ver20/media/wsdl";
const PTZ: &str = "http://www.onvif.org/ver20/ptz/wsdl";
const IMAGING: &str = "http://www.onvif.org/ver20/imaging/wsdl";
const SPACES: &str = "http://www.onvif.org/ver10/tptz";

/// A refusal: `Sender` or `Receiver`, then the subcodes of `ter`, then the reason.
pub(super) struct No(&'static [&'static str], String);

/// `no(&["Sender", "InvalidArgVal", "NoProfile"], "No such profile")`.
pub(super) fn no<T>(codes: &'static [&'static str], reason: impl Into<String>) -> Result<T, No> {
    Err(No(codes, reason.into()))
}

/// A SOAP message with this body.
pub fn envelope(body: &str) -> Vec<u8> {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<s:Envelope xmlns:s=\"{ENVELOPE}\" \
         xmlns:tt=\"http://www.onvif.org/ver10/schema\" xmlns:tds=\"{DEVICE}\" xmlns:trt=\"{MEDIA}\" \
         xmlns:tr2=\"{MEDIA2}\" xmlns:tptz=\"{PTZ}\" xmlns:timg=\"{IMAGING}\" \
         xmlns:ter=\"http://www.onvif.org/ver10/error\"><s:Header/><s:Body>{body}</s:Body></s:Envelope>"
    )
    .into_bytes()
}

/// A SOAP fault: `&["Sender", "InvalidArgVal", "NoProfile"]` and the reason.
pub fn fault(codes: &[&str], reason: &str) -> Vec<u8> {
    let inner = codes[1..]
        .iter()
        .rev()
        .fold(String::new(), |inner, code| format!("<s:Subcode><s:Value>ter:{code}</s:Value>{inner}</s:Subcode>"));
    envelope(&format!(
        "<s:Fault><s:Code><s:Value>s:{}</s:Value>{inner}</s:Code>\
         <s:Reason><s:Text xml:lang=\"en\">{}</s:Text></s:Reason></s:Fault>",
        codes[0],
        escape(reason),
    ))
}

impl Handler for Calls {
    fn answer(&self, request: &Request) -> Answer {
        let state = &self.0;
        let refuse = |status: u16, login: Login, action: &str, codes: &[&str], reason: &str| Answer {
            login,
            action: action.into(),
            ..Answer::new(status, SOAP, fault(codes, reason))
        };
        if request.method != "POST" || !request.path.starts_with("/onvif/") {
            return Answer::new(404, "text/html", "<html><body>404</body></html>");
        }
        let bad = |reason: &str| refuse(400, Login::None, "", &["Sender", "WellFormed"], reason);
        let document = match ptz_xml::parse(&request.body) {
            Ok(document) => document,
            Err(error) => return bad(&error),
        };
        let root = document.root_element();
        if !root.has_tag_name((ENVELOPE, "Envelope")) {
            return bad("no SOAP 1.2 envelope");
        }
        let body = root.children().find(|n| n.has_tag_name((ENVELOPE, "Body")));
        let Some(call) = body.and_then(|b| b.children().find(|n| n.is_element())) else { return bad("no body") };
        let action = call.tag_name().name();
        // The clock is told to everybody, for without it nobody can log in.
        let mut login = Login::Granted;
        if action != "GetSystemDateAndTime" {
            match state.set.wants {
                Wants::Nothing => {}
                Wants::HttpDigest | Wants::Either => {
                    let verdict = state.digest.check(request);
                    let token = if state.set.wants == Wants::Either { token(state, root) } else { Login::None };
                    login = if token == Login::None { verdict.login } else { token };
                    if login != Login::Granted {
                        let answer = Answer { login, action: action.into(), ..Answer::new(401, "text/html", "") };
                        return verdict.challenges.into_iter().fold(answer, |a, c| a.header("WWW-Authenticate", c));
                    }
                }
                Wants::Token | Wants::BareToken => {
                    login = token(state, root);
                    if login != Login::Granted {
                        if state.set.wants == Wants::BareToken {
                            let answer = Answer::new(state.set.fault_status, "text/html", "<html>no</html>");
                            return Answer { login, action: action.into(), ..answer };
                        }
                        return refuse(
                            state.set.fault_status,
                            login,
                            action,
                            state.set.denial,
                            "Sender not Authorized",
                        );
                    }
                }
            }
        }
        let host = state.set.nat.as_deref().or(request.header("host")).unwrap_or("localhost");
        let service = request.path.split('?').next().unwrap_or("");
        match dispatch(state, service, host, call) {
            Ok(xml) => Answer { login, action: action.into(), ..Answer::new(200, SOAP, envelope(&xml)) },
            Err(No(codes, reason)) => refuse(state.set.fault_status, login, action, codes, &reason),
        }
    }
}

/// Checks a WS-UsernameToken.
fn token(state: &State, root: Node) -> Login {
    let Some(token) = find(root, "UsernameToken") else { return Login::None };
    let get = |name| text(token, name).unwrap_or("");
    let (user, password) = (&state.set.account.0, state.digest.password());
    let nonce = base64::engine::general_purpose::STANDARD.decode(get("Nonce")).unwrap_or_default();
    let (created, digest) = (get("Created"), get("Password"));
    let kind = find(token, "Password").and_then(|n| n.attribute("Type")).unwrap_or("");
    let right = get("Username") == user
        && kind.ends_with("#PasswordDigest")
        && !nonce.is_empty()
        && digest == ws_digest(&nonce, created, &password);
    if !right {
        *state.refused.lock().unwrap() += 1;
        return Login::Refused;
    }
    let Ok(at) = humantime::parse_rfc3339(created) else { return Login::Refused };
    let now = state.now();
    let off = now.duration_since(at).or_else(|_| at.duration_since(now)).unwrap_or_default();
    let fresh = state.tokens.lock().unwrap().insert(get("Nonce").into());
    if off > Duration::from_secs(300) || !fresh { Login::Stale } else { Login::Granted }
}

fn dispatch(state: &State, service: &str, host: &str, call: Node) -> Result<String, No> {
    let (ns, name) = (call.tag_name().namespace().unwrap_or(""), call.tag_name().name());
    let set = &state.set;
    let unknown = || no(&["Receiver", "ActionNotSupported"], format!("{name} is not supported"));
    match (service, ns) {
        ("/onvif/device_service", DEVICE) => texts::device(state, host, name).map_or_else(unknown, Ok),
        ("/onvif/media_service", MEDIA) if set.media => texts::media(state, name, call),
        ("/onvif/media2_service", MEDIA2) if set.media2 => texts::media2(state, name, call),
        ("/onvif/imaging_service", IMAGING) => match name {
            "Move" => {
                let speed = find(call, "Continuous").and_then(|c| text(c, "Speed")).and_then(|s| s.parse().ok());
                let Some(speed) = speed else { return no(&["Sender", "InvalidArgVal"], "no speed") };
                state.memory.lock().unwrap().focus = speed;
                Ok("<timg:MoveResponse/>".into())
            }
            "Stop" => {
                state.memory.lock().unwrap().focus = 0.0;
                Ok("<timg:StopResponse/>".into())
            }
            _ => unknown(),
        },
        ("/onvif/ptz_service", PTZ) if set.ptz => {
            if let Some(told) = texts::ptz(state, name) {
                return Ok(told);
            }
            let profile = text(call, "ProfileToken").unwrap_or("");
            match profile {
                "main" | "sub" => {}
                "audio" | "video" => return no(&["Sender", "InvalidArgVal", "NoPTZProfile"], "The profile has no PTZ"),
                _ => return no(&["Sender", "InvalidArgVal", "NoProfile"], "No such profile"),
            }
            ptz(state, name, call).unwrap_or_else(unknown)
        }
        _ => unknown(),
    }
}

/// The operations on a profile; None for one that is not known.
fn ptz(state: &State, name: &str, call: Node) -> Option<Result<String, No>> {
    let now = Instant::now();
    let done = || Ok(format!("<tptz:{name}Response/>"));
    let not_supported = || Some(no(&["Receiver", "ActionNotSupported"], format!("{name} is not supported")));
    Some(match name {
        "ContinuousMove" => continuous(state, call).and_then(|()| done()),
        "AbsoluteMove" if !state.set.absolute => return not_supported(),
        "AbsoluteMove" => absolute(state, call).and_then(|()| done()),
        "RelativeMove" if !state.set.relative => return not_supported(),
        "RelativeMove" => relative(state, call).and_then(|()| done()),
        "Stop" => {
            let stops = |axis| text(call, axis).is_none_or(|t| t == "true" || t == "1");
            let mut motion = state.motion.lock().unwrap();
            let [_, _, zoom] = motion.velocity(now);
            let [pan, tilt, _] = motion.velocity(now);
            let keep = |v: f64, stop: bool| if stop { 0.0 } else { v };
            let (turn, lens) = (stops("PanTilt"), stops("Zoom"));
            motion.drive([keep(pan, turn), keep(tilt, turn), keep(zoom, lens)], None, now);
            done()
        }
        "GetStatus" => Ok(texts::status(state, now)),
        "GetPresets" => Ok(texts::presets(state)),
        "GotoPreset" => preset(state, call).and_then(|to| {
            state.motion.lock().unwrap().go(to, now);
            done()
        }),
        "SetPreset" => set_preset(state, call),
        "RemovePreset" => preset(state, call).and_then(|_| {
            let token = text(call, "PresetToken").unwrap_or("");
            state.memory.lock().unwrap().presets.retain(|p| p.token != token);
            done()
        }),
        "GotoHomePosition" => {
            let home = state.memory.lock().unwrap().home;
            state.motion.lock().unwrap().go(home, now);
            done()
        }
        "SetHomePosition" => {
            let at = state.motion.lock().unwrap().at(now);
            state.memory.lock().unwrap().home = at;
            done()
        }
        "OperatePresetTour" => {
            let (token, order) = (text(call, "PresetTourToken").unwrap_or(""), text(call, "Operation").unwrap_or(""));
            if token != "tour1" {
                return Some(no(&["Sender", "InvalidArgVal", "NoToken"], "No such tour"));
            }
            state.memory.lock().unwrap().tour = (order == "Start").then(|| token.into());
            done()
        }
        _ => return None,
    })
}

/// The attributes `x` and `y` of a vector in its space; None if there is no such element.
type Vector = (f64, Option<f64>, Option<String>);

fn vector(parent: Node, name: &str) -> Result<Option<Vector>, No> {
    let Some(node) = find(parent, name) else { return Ok(None) };
    let number = |attribute| match node.attribute(attribute).map(|v: &str| v.trim().parse::<f64>()) {
        None => Ok(None),
        Some(Ok(v)) if v.is_finite() => Ok(Some(v)),
        _ => no(&["Sender", "InvalidArgVal", "InvalidPosition"], format!("{name} {attribute} is no number")),
    };
    let Some(x) = number("x")? else { return no(&["Sender", "InvalidArgVal"], format!("{name} lacks x")) };
    Ok(Some((x, number("y")?, node.attribute("space").map(String::from))))
}

/// Pan, tilt and their space.
type Turn = (f64, f64, Option<String>);

/// Pan and tilt, and zoom, of the element `of`, all within −1…1 (checked unless in another space).
fn vectors(call: Node, of: &str) -> Result<(Option<Turn>, Option<f64>), No> {
    let Some(node) = find(call, of) else { return no(&["Sender", "InvalidArgVal"], format!("no {of}")) };
    let turn = match vector(node, "PanTilt")? {
        None => None,
        Some((x, Some(y), space)) => Some((x, y, space)),
        Some(_) => return no(&["Sender", "InvalidArgVal"], "PanTilt lacks y"),
    };
    let zoom = vector(node, "Zoom")?.map(|(x, ..)| x);
    let spherical = turn.as_ref().is_some_and(|(.., s)| s.as_ref().is_some_and(|s| s.contains("Spherical")));
    let out = |v: f64| !(-1.0..=1.0).contains(&v);
    if !spherical && turn.as_ref().is_some_and(|(x, y, _)| out(*x) || out(*y)) || zoom.is_some_and(out) {
        return no(&["Sender", "InvalidArgVal", "InvalidPosition"], format!("{of} is out of bounds"));
    }
    Ok((turn, zoom))
}

fn continuous(state: &State, call: Node) -> Result<(), No> {
    let (turn, zoom) = vectors(call, "Velocity")?;
    if let Some((.., Some(space))) = &turn
        && space != &format!("{SPACES}/PanTiltSpaces/VelocityGenericSpace")
    {
        return no(&["Sender", "InvalidArgVal", "SpaceNotSupported"], "Space not supported");
    }
    let time = match text(call, "Timeout") {
        None => None,
        Some(text) => match text.strip_prefix("PT").and_then(|t| t.strip_suffix('S')).map(str::parse::<f64>) {
            Some(Ok(s)) if s > 0.0 && s <= 3600.0 => Some(Duration::from_secs_f64(s)),
            _ => return no(&["Sender", "InvalidArgVal", "TimeoutNotSupported"], "Timeout not supported"),
        },
    };
    let turn = turn.map(|(x, y, _)| [x, y]);
    state.motion.lock().unwrap().drive_some(turn, zoom, time, Instant::now());
    Ok(())
}

fn absolute(state: &State, call: Node) -> Result<(), No> {
    let (turn, zoom) = vectors(call, "Position")?;
    let now = Instant::now();
    let mut motion = state.motion.lock().unwrap();
    let mut to = motion.at(now);
    match turn {
        None => {}
        Some((x, y, Some(space))) if space.contains("Spherical") => {
            if !state.set.degrees {
                return no(&["Sender", "InvalidArgVal", "SpaceNotSupported"], "Space not supported");
            }
            (to.pan, to.tilt) = (x, y);
        }
        Some((x, y, _)) => (to.pan, to.tilt) = texts::degrees(motion.limits(), x, y),
    }
    let (low, high) = motion.limits().zoom;
    match zoom {
        Some(z) if z < 0.0 => return no(&["Sender", "InvalidArgVal", "InvalidPosition"], "Zoom is out of bounds"),
        Some(z) => to.zoom = low + z * (high - low),
        None => {}
    }
    motion.go(to, now);
    Ok(())
}

fn relative(state: &State, call: Node) -> Result<(), No> {
    let (turn, zoom) = vectors(call, "Translation")?;
    let now = Instant::now();
    let mut motion = state.motion.lock().unwrap();
    let at = motion.at(now);
    let l = *motion.limits();
    let (mut pan, mut tilt) = (at.pan, at.tilt);
    if let Some((x, y, space)) = turn {
        // A translation in the field of view is a part of half the picture.
        let fov = space.is_some_and(|s| s.ends_with("TranslationSpaceFov"));
        let (dx, dy) = if fov {
            (x * width(at.zoom) / 2.0, y * height(at.zoom) / 2.0)
        } else {
            (x * (l.pan.1 - l.pan.0) / 2.0, y * (l.tilt.1 - l.tilt.0) / 2.0)
        };
        (pan, tilt) = (pan + dx, tilt + dy);
    }
    let zoom = at.zoom + zoom.unwrap_or(0.0) * (l.zoom.1 - l.zoom.0);
    motion.go(Position::new(pan, tilt, zoom), now);
    Ok(())
}

fn preset(state: &State, call: Node) -> Result<Position, No> {
    let token = text(call, "PresetToken").unwrap_or("");
    let memory = state.memory.lock().unwrap();
    match memory.presets.iter().find(|p| p.token == token) {
        Some(preset) => Ok(preset.at),
        None => no(&["Sender", "InvalidArgVal", "NoToken"], "The requested preset token does not exist."),
    }
}

fn set_preset(state: &State, call: Node) -> Result<String, No> {
    let at = state.motion.lock().unwrap().at(Instant::now());
    let name = text(call, "PresetName").map(String::from);
    let mut memory = state.memory.lock().unwrap();
    let token = match text(call, "PresetToken") {
        Some(token) => match memory.presets.iter_mut().find(|p| p.token == token) {
            None => return no(&["Sender", "InvalidArgVal", "NoToken"], "The requested preset token does not exist."),
            Some(preset) => {
                preset.at = at;
                preset.name = name.or(preset.name.take());
                token.to_string()
            }
        },
        None if memory.presets.len() >= 10 => {
            return no(&["Receiver", "Action", "TooManyPresets"], "Maximum number of Presets reached.");
        }
        None => {
            let token = format!("P{:03}", 100 + memory.presets.len());
            memory.presets.push(Preset { token: token.clone(), name, at });
            token
        }
    };
    Ok(format!("<tptz:SetPresetResponse><tptz:PresetToken>{token}</tptz:PresetToken></tptz:SetPresetResponse>"))
}
