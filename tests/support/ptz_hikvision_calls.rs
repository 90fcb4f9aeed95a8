//! The calls of ISAPI that the Hikvision double knows.

use super::ptz_hikvision::{Preset, State};
use super::ptz_http::{Answer, Handler, Login, Request};
use super::ptz_motion::{Position, height, width};
use super::ptz_xml::{self, escape, number};
use roxmltree::Document;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(super) struct Calls(pub(super) Arc<State>);

/// A refusal: HTTP status, statusCode, statusString, subStatusCode.
type No = (u16, u8, &'static str, &'static str);

const BAD_FORMAT: No = (400, 5, "Invalid XML Format", "badXmlFormat");
const BAD_CONTENT: No = (400, 6, "Invalid XML Content", "badXmlContent");
const BAD_PARAMETER: No = (400, 6, "Invalid XML Content", "badParameters");
// Real cameras say 4 where the specification says 6: the sub-status decides.
const NOT_ALLOWED: No = (403, 4, "Invalid Operation", "methodNotAllowed");
const NOT_SUPPORTED: No = (403, 4, "Invalid Operation", "notSupport");
const ABSENT: No = (404, 4, "Invalid Operation", "invalidOperation");

impl Handler for Calls {
    fn answer(&self, request: &Request) -> Answer {
        let state = &self.0;
        let login = Login::Granted;
        if let Some(digest) = &state.digest {
            let verdict = digest.check(request);
            let login = verdict.login;
            if login != Login::Granted {
                let (lock, time) = match verdict.locked_for {
                    0 => ("unlock", String::new()),
                    s => ("locked", format!("<unlockTime>{s}</unlockTime>")),
                };
                let xml = format!(
                    "<userCheck{}><statusValue>401</statusValue><statusString>Unauthorized</statusString>\
                     <lockStatus>{lock}</lockStatus>{time}<retryLoginTime>{}</retryLoginTime></userCheck>",
                    state.namespace(),
                    verdict.tries_left,
                );
                let answer = Answer { login, ..state.xml(401, &xml) };
                return verdict.challenges.into_iter().fold(answer, |a, c| a.header("WWW-Authenticate", c));
            }
        }
        let answer = match call(state, request) {
            Ok(Reply::Xml(xml)) => state.xml(200, &xml),
            Ok(Reply::Done) => state.status(request, (200, 1, "OK", "ok")),
            Ok(Reply::Jpeg) => Answer::new(200, "image/jpeg", [0xff, 0xd8, 0xff, 0xd9]),
            Err(no) => state.status(request, no),
        };
        Answer { login, ..answer }
    }
}

enum Reply {
    Xml(String),
    Done,
    Jpeg,
}

impl State {
    fn namespace(&self) -> String {
        match self.set.namespace.as_str() {
            "" => String::new(),
            name => format!(" version=\"2.0\" xmlns=\"{name}\""),
        }
    }

    fn xml(&self, status: u16, xml: &str) -> Answer {
        let encoding = self.set.encoding;
        let kind = format!("application/xml; charset=\"{}\"", encoding.name());
        Answer::new(status, &kind, encoding.encode(xml))
    }

    fn status(&self, request: &Request, (status, code, words, sub): No) -> Answer {
        let xml = format!(
            "<ResponseStatus{}>\n<requestURL>{}</requestURL>\n<statusCode>{code}</statusCode>\n\
             <statusString>{words}</statusString>\n<subStatusCode>{sub}</subStatusCode>\n</ResponseStatus>\n",
            self.namespace(),
            escape(&request.path),
        );
        self.xml(status, &xml)
    }

    fn elevation(&self, tilt: f64) -> f64 {
        if self.set.elevation_down { -tilt } else { tilt }
    }

    fn high(&self, p: &Position) -> String {
        let tenth = |x: f64| (x * 10.0).round() as i64;
        format!(
            "<AbsoluteHigh>\n<elevation>{}</elevation>\n<azimuth>{}</azimuth>\n\
             <absoluteZoom>{}</absoluteZoom>\n</AbsoluteHigh>\n",
            tenth(self.elevation(p.tilt)),
            tenth(p.pan).rem_euclid(3600),
            tenth(p.zoom),
        )
    }
}

fn call(state: &State, request: &Request) -> Result<Reply, No> {
    let path = request.path.split('?').next().unwrap_or("");
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let get = request.method == "GET";
    match (request.method.as_str(), parts.as_slice()) {
        ("GET", ["ISAPI", "System", "deviceInfo"]) if state.set.info => Ok(Reply::Xml(device_info(state))),
        ("PUT", ["ISAPI", "System", "Video", "inputs", "channels", n, what @ ("focus" | "iris")]) => {
            channel(state, n)?;
            let body = document(request)?;
            let value = whole(&body, what)?.filter(|v| v.abs() <= 100.0).ok_or(BAD_CONTENT)?;
            let mut memory = state.memory.lock().unwrap();
            *(if *what == "focus" { &mut memory.focus } else { &mut memory.iris }) = value as i32;
            Ok(Reply::Done)
        }
        ("GET", ["ISAPI", "Streaming", "channels", id, "picture"]) => {
            channel(state, id.strip_suffix("01").unwrap_or(id))?;
            Ok(Reply::Jpeg)
        }
        (_, ["ISAPI", "PTZCtrl", "channels", n, rest @ ..]) => {
            if !state.set.ptz {
                return Err(NOT_SUPPORTED);
            }
            channel(state, n)?;
            match rest {
                ["capabilities"] if get && state.set.info => Ok(Reply::Xml(capabilities(state))),
                ["status"] if get && state.set.absolute => {
                    let at = state.motion.lock().unwrap().at(Instant::now());
                    Ok(Reply::Xml(format!("<PTZStatus{}>\n{}</PTZStatus>\n", state.namespace(), state.high(&at))))
                }
                ["status"] if get => Err(NOT_SUPPORTED),
                ["presets"] if get => Ok(Reply::Xml(presets(state))),
                ["patrols"] if get => Ok(Reply::Xml(patrols(state))),
                ["continuous" | "momentary" | "absolute" | "relative" | "position3D"] => {
                    let known = match rest[0] {
                        "relative" => state.set.relative,
                        "position3D" => state.set.box_zoom,
                        _ => true,
                    };
                    if !known {
                        return Err(ABSENT);
                    }
                    if request.method != "PUT" {
                        return Err(NOT_ALLOWED);
                    }
                    drive(state, rest[0], &document(request)?)
                }
                ["presets", id] => preset(state, request, id.parse().map_err(|_| BAD_PARAMETER)?),
                ["presets", id, "goto"] if request.method == "PUT" => goto(state, id),
                ["homeposition"] if request.method == "PUT" => {
                    let at = state.motion.lock().unwrap().at(Instant::now());
                    state.memory.lock().unwrap().home = at;
                    Ok(Reply::Done)
                }
                ["homeposition", "goto"] if request.method == "PUT" => {
                    let home = state.memory.lock().unwrap().home;
                    state.motion.lock().unwrap().go(home, Instant::now());
                    Ok(Reply::Done)
                }
                ["patrols", n, order @ ("start" | "stop")] if request.method == "PUT" => patrol(state, n, order),
                ["status" | "presets" | "patrols" | "homeposition", ..] => Err(NOT_ALLOWED),
                _ => Err(ABSENT),
            }
        }
        _ => Err(ABSENT),
    }
}

fn channel(state: &State, n: &str) -> Result<(), No> {
    match n.parse::<u32>() {
        Ok(n) if (1..=state.set.channels).contains(&n) => Ok(()),
        _ => Err(BAD_PARAMETER),
    }
}

fn document(request: &Request) -> Result<Document<'_>, No> {
    ptz_xml::parse(&request.body).map_err(|_| BAD_FORMAT)
}

/// A whole number: the cameras know no others.
fn whole(body: &Document, name: &str) -> Result<Option<f64>, No> {
    let value = number(body.root(), name).map_err(|_| BAD_CONTENT)?;
    if value.is_some_and(|v| v.fract() != 0.0) { Err(BAD_CONTENT) } else { Ok(value) }
}

fn drive(state: &State, call: &str, body: &Document) -> Result<Reply, No> {
    if body.root_element().tag_name().name() != "PTZData" {
        return Err(BAD_CONTENT);
    }
    let get = |name: &str, low: f64, high: f64| match whole(body, name)? {
        Some(v) if (low..=high).contains(&v) => Ok(Some(v)),
        Some(_) => Err(BAD_PARAMETER),
        None => Ok(None),
    };
    let now = Instant::now();
    let mut motion = state.motion.lock().unwrap();
    let at = motion.at(now);
    match call {
        "continuous" | "momentary" => {
            let velocity = [get("pan", -100.0, 100.0)?, get("tilt", -100.0, 100.0)?, get("zoom", -100.0, 100.0)?];
            if velocity.iter().all(Option::is_none) {
                return Err(BAD_CONTENT);
            }
            let time = match call {
                "momentary" => {
                    let ms = get("duration", 0.0, 60_000.0)?.ok_or(BAD_CONTENT)?;
                    Some(Duration::from_millis(ms as u64))
                }
                _ => None,
            };
            motion.drive(velocity.map(|v| v.unwrap_or(0.0) / 100.0), time, now);
        }
        "absolute" if !state.set.absolute => return Err(NOT_SUPPORTED),
        "absolute" => {
            let elevation = get("elevation", -900.0, 2700.0)?.map(|e| state.elevation(e / 10.0));
            let azimuth = get("azimuth", 0.0, 3600.0)?.map(|a| a / 10.0);
            let zoom = get("absoluteZoom", 1.0, 10_000.0)?.map(|z| z / 10.0);
            if elevation.is_none() || azimuth.is_none() || zoom.is_none() {
                return Err(BAD_CONTENT);
            }
            let to = Position::new(azimuth.unwrap_or(at.pan), elevation.unwrap_or(at.tilt), zoom.unwrap_or(at.zoom));
            motion.go(to, now);
        }
        "relative" => {
            let x = get("positionX", -255.0, 255.0)?.ok_or(BAD_CONTENT)?;
            let y = get("positionY", -255.0, 255.0)?.ok_or(BAD_CONTENT)?;
            let zoom = get("relativeZoom", -100.0, 100.0)?.unwrap_or(0.0);
            let to = Position::new(
                at.pan + x / 255.0 * width(at.zoom) / 2.0,
                at.tilt + y / 255.0 * height(at.zoom) / 2.0,
                at.zoom * (1.0 + zoom / 100.0),
            );
            motion.go(to, now);
        }
        _ => {
            let corner = |name: &str| {
                let node = ptz_xml::find(body.root(), name).ok_or(BAD_CONTENT)?;
                let get = |name: &str| {
                    let value = number(node, name).map_err(|_| BAD_CONTENT)?;
                    value.filter(|v| (0.0..=255.0).contains(v)).ok_or(BAD_PARAMETER)
                };
                Ok::<_, No>((get("positionX")?, get("positionY")?))
            };
            let ((x0, y0), (x1, y1)) = (corner("StartPoint")?, corner("EndPoint")?);
            // The middle of the box comes to the middle; its larger side fills the
            // picture. Drawn from right to left it zooms out.
            let (dx, dy) = ((x0 + x1) / 510.0 - 0.5, (y0 + y1) / 510.0 - 0.5);
            let side = ((x1 - x0).abs().max((y1 - y0).abs()) / 255.0).max(0.04);
            let factor = if x0 == x1 && y0 == y1 {
                1.0
            } else if x1 < x0 {
                side
            } else {
                1.0 / side
            };
            let (pan, tilt) = (at.pan + dx * width(at.zoom), at.tilt + dy * height(at.zoom));
            motion.go(Position::new(pan, tilt, at.zoom * factor), now);
        }
    }
    Ok(Reply::Done)
}

fn preset(state: &State, request: &Request, id: u32) -> Result<Reply, No> {
    if !(1..=300).contains(&id) {
        return Err(BAD_PARAMETER);
    }
    let mut memory = state.memory.lock().unwrap();
    match request.method.as_str() {
        "PUT" => {
            let body = document(request)?;
            if body.root_element().tag_name().name() != "PTZPreset" {
                return Err(BAD_CONTENT);
            }
            if whole(&body, "id")?.is_some_and(|n| n != f64::from(id)) {
                return Err(BAD_CONTENT);
            }
            let at = state.motion.lock().unwrap().at(Instant::now());
            let name = ptz_xml::text(body.root(), "presetName").map_or_else(|| format!("Preset {id}"), String::from);
            let enabled = ptz_xml::text(body.root(), "enabled").is_none_or(|e| e == "true");
            memory.presets.retain(|p| p.id != id);
            memory.presets.push(Preset { id, name, enabled, at });
            memory.presets.sort_by_key(|p| p.id);
            Ok(Reply::Done)
        }
        "DELETE" => {
            memory.presets.retain(|p| p.id != id);
            Ok(Reply::Done)
        }
        "GET" => {
            let found = memory.presets.iter().find(|p| p.id == id).ok_or(ABSENT)?;
            Ok(Reply::Xml(one_preset(state, found, &state.namespace())))
        }
        _ => Err(NOT_ALLOWED),
    }
}

fn goto(state: &State, id: &str) -> Result<Reply, No> {
    let id: u32 = id.parse().map_err(|_| BAD_PARAMETER)?;
    let mut memory = state.memory.lock().unwrap();
    if (33..=105).contains(&id) {
        memory.special.push(id); // a wiper, a light, a reboot: no position
        return Ok(Reply::Done);
    }
    let found = memory.presets.iter().find(|p| p.id == id && p.enabled).map(|p| p.at);
    // What the camera says of a preset that is not set.
    let to = found.ok_or((403, 4, "Invalid Operation", "presetNotExist"))?;
    state.motion.lock().unwrap().go(to, Instant::now());
    Ok(Reply::Done)
}

fn patrol(state: &State, n: &str, order: &str) -> Result<Reply, No> {
    let n: u32 = n.parse().map_err(|_| BAD_PARAMETER)?;
    let mut memory = state.memory.lock().unwrap();
    if !memory.patrols.contains(&n) {
        return Err(BAD_PARAMETER);
    }
    memory.patrol = (order == "start").then_some(n);
    Ok(Reply::Done)
}

fn one_preset(state: &State, p: &Preset, attributes: &str) -> String {
    format!(
        "<PTZPreset{attributes}>\n<enabled>{}</enabled>\n<id>{}</id>\n<presetName>{}</presetName>\n{}</PTZPreset>\n",
        p.enabled,
        p.id,
        escape(&p.name),
        state.high(&p.at),
    )
}

fn presets(state: &State) -> String {
    let memory = state.memory.lock().unwrap();
    let all: String = memory.presets.iter().map(|p| one_preset(state, p, " version=\"2.0\"")).collect();
    format!("<PTZPresetList{}>\n{all}</PTZPresetList>\n", state.namespace())
}

fn patrols(state: &State) -> String {
    let memory = state.memory.lock().unwrap();
    let one = |n: &u32| {
        format!(
            "<PTZPatrol><enabled>true</enabled><id>{n}</id><patrolName>Patrol {n}</patrolName>\
             <PatrolSequenceList/></PTZPatrol>\n"
        )
    };
    let all: String = memory.patrols.iter().map(one).collect();
    format!("<PTZPatrolList{}>\n{all}</PTZPatrolList>\n", state.namespace())
}

fn device_info(state: &State) -> String {
    format!(
        "<DeviceInfo{}>\n<deviceName>IP DOME</deviceName>\n<deviceID>48443830-3634-3135</deviceID>\n\
         <model>{}</model>\n<serialNumber>DS-2DF8425IX-AELW20200101AAWRE00000000W</serialNumber>\n\
         <macAddress>02:00:00:00:00:01</macAddress>\n<firmwareVersion>V5.8.0</firmwareVersion>\n\
         <deviceType>IPDome</deviceType>\n</DeviceInfo>\n",
        state.namespace(),
        escape(&state.set.model),
    )
}

fn capabilities(state: &State) -> String {
    let l = &state.set.limits;
    let range = |tag: &str, axis: &str, low: f64, high: f64| {
        format!("<{axis}{tag}><Min>{low:.0}</Min><Max>{high:.0}</Max></{axis}{tag}>")
    };
    let space = |name: &str, inner: String| format!("<{name}>{inner}</{name}>\n");
    let mut all = String::new();
    if state.set.absolute {
        let x = range("Range", "X", l.pan.0 * 10.0, l.pan.1 * 10.0);
        let (low, high) = (state.elevation(l.tilt.0) * 10.0, state.elevation(l.tilt.1) * 10.0);
        all += &space("AbsolutePanTiltPositionSpace", x + &range("Range", "Y", low.min(high), low.max(high)));
        all += &space("AbsoluteZoomPositionSpace", range("Range", "Z", l.zoom.0 * 10.0, l.zoom.1 * 10.0));
    }
    if state.set.relative {
        let both = range("Range", "X", -255.0, 255.0) + &range("Range", "Y", -255.0, 255.0);
        all += &space("RelativePanTiltSpace", both);
        all += &space("RelativeZoomSpace", range("Range", "Z", -100.0, 100.0));
    }
    let both = range("Range", "X", -100.0, 100.0) + &range("Range", "Y", -100.0, 100.0);
    all += &space("ContinuousPanTiltSpace", both.clone());
    all += &space("ContinuousZoomSpace", range("Range", "Z", -100.0, 100.0));
    all += &space("MomentaryPanTiltSpace", both);
    all += &space("MomentaryZoomSpace", range("Range", "Z", -100.0, 100.0));
    let yes = |name: &str, yes: bool| format!("<{name}>{yes}</{name}>\n");
    all += &space("homePostionSupport", "true".into()); // their spelling
    all += "<maxPresetNum>300</maxPresetNum>\n<maxPatrolNum>8</maxPatrolNum>\n";
    all += &yes("isSupportPosition3D", state.set.box_zoom);
    format!("<PTZChanelCap{}>\n{all}</PTZChanelCap>\n", state.namespace())
}
