//! What the ONVIF double tells of itself: services, profiles, nodes, status.

use super::ptz_motion::{Limits, Position};
use super::ptz_onvif::State;
use super::ptz_onvif_calls::{No, no};
use super::ptz_xml::{escape, text};
use roxmltree::Node;
use std::time::{Instant, UNIX_EPOCH};

const SPACES: &str = "http://www.onvif.org/ver10/tptz";

/// Degrees for the generic position space, in which −1…1 is the whole range.
pub(super) fn degrees(l: &Limits, x: f64, y: f64) -> (f64, f64) {
    let pan = if l.wraps { x * 180.0 } else { scale((x + 1.0) / 2.0, l.pan) };
    (pan, scale((y + 1.0) / 2.0, l.tilt))
}

fn scale(part: f64, (low, high): (f64, f64)) -> f64 {
    low + part * (high - low)
}

fn part(value: f64, (low, high): (f64, f64)) -> f64 {
    (value - low) / (high - low)
}

/// The device service; None for an operation that it does not know.
pub(super) fn device(state: &State, host: &str, name: &str) -> Option<String> {
    let set = &state.set;
    let scheme = if set.http.tls { "https" } else { "http" };
    let address = |service: &str| format!("{scheme}://{host}/onvif/{service}_service");
    Some(match name {
        "GetSystemDateAndTime" => {
            let seconds = state.now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
            let text = humantime::format_rfc3339_seconds(state.now()).to_string();
            let (y, m, d) = (&text[..4], &text[5..7], &text[8..10]);
            let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
            let number = |n: &str| n.trim_start_matches('0').to_string();
            format!(
                "<tds:GetSystemDateAndTimeResponse><tds:SystemDateAndTime><tt:DateTimeType>Manual</tt:DateTimeType>\
                 <tt:DaylightSavings>false</tt:DaylightSavings><tt:TimeZone><tt:TZ>CST-8</tt:TZ></tt:TimeZone>\
                 <tt:UTCDateTime><tt:Time><tt:Hour>{hour}</tt:Hour><tt:Minute>{minute}</tt:Minute>\
                 <tt:Second>{second}</tt:Second></tt:Time><tt:Date><tt:Year>{y}</tt:Year><tt:Month>{}</tt:Month>\
                 <tt:Day>{}</tt:Day></tt:Date></tt:UTCDateTime></tds:SystemDateAndTime>\
                 </tds:GetSystemDateAndTimeResponse>",
                number(m),
                number(d),
            )
        }
        "GetDeviceInformation" => format!(
            "<tds:GetDeviceInformationResponse><tds:Manufacturer>Double</tds:Manufacturer><tds:Model>{}</tds:Model>\
             <tds:FirmwareVersion>2.800</tds:FirmwareVersion><tds:SerialNumber>7B04</tds:SerialNumber>\
             <tds:HardwareId>1.00</tds:HardwareId></tds:GetDeviceInformationResponse>",
            escape(&set.model)
        ),
        "GetCapabilities" => {
            let one =
                |tag: &str, service: &str| format!("<tt:{tag}><tt:XAddr>{}</tt:XAddr></tt:{tag}>", address(service));
            let mut all = one("Device", "device") + &one("Imaging", "imaging");
            if set.media {
                all += &one("Media", "media");
            }
            if set.ptz {
                all += &one("PTZ", "ptz");
            }
            format!(
                "<tds:GetCapabilitiesResponse><tds:Capabilities>{all}</tds:Capabilities></tds:GetCapabilitiesResponse>"
            )
        }
        "GetServices" if set.services => {
            let all = [
                (true, "ver10/device", "device"),
                (set.media, "ver10/media", "media"),
                (set.media2, "ver20/media", "media2"),
                (set.ptz, "ver20/ptz", "ptz"),
                (true, "ver20/imaging", "imaging"),
            ];
            let one = |ns: &str, service: &str| {
                format!(
                    "<tds:Service><tds:Namespace>http://www.onvif.org/{ns}/wsdl</tds:Namespace><tds:XAddr>{}</tds:XAddr>\
                     <tds:Version><tt:Major>2</tt:Major><tt:Minor>60</tt:Minor></tds:Version></tds:Service>",
                    address(service)
                )
            };
            let all: String = all.iter().filter(|(has, ..)| *has).map(|(_, ns, service)| one(ns, service)).collect();
            format!("<tds:GetServicesResponse>{all}</tds:GetServicesResponse>")
        }
        "GetScopes" => "<tds:GetScopesResponse><tds:Scopes><tt:ScopeDef>Fixed</tt:ScopeDef>\
             <tt:ScopeItem>onvif://www.onvif.org/name/Gate%20dome</tt:ScopeItem></tds:Scopes></tds:GetScopesResponse>"
            .into(),
        _ => return None,
    })
}

/// Token, has video, has PTZ: those without PTZ stand before the right one.
fn profiles(state: &State) -> Vec<(&'static str, bool, bool)> {
    let ptz = state.set.ptz;
    vec![("audio", false, ptz), ("video", true, false), ("main", true, ptz), ("sub", true, ptz)]
}

fn ptz_configuration() -> String {
    format!(
        "<tt:Name>PTZ 0</tt:Name><tt:UseCount>2</tt:UseCount><tt:NodeToken>node0</tt:NodeToken>\
         <tt:DefaultAbsolutePantTiltPositionSpace>{SPACES}/PanTiltSpaces/PositionGenericSpace\
         </tt:DefaultAbsolutePantTiltPositionSpace>\
         <tt:DefaultAbsoluteZoomPositionSpace>{SPACES}/ZoomSpaces/PositionGenericSpace</tt:DefaultAbsoluteZoomPositionSpace>\
         <tt:DefaultContinuousPanTiltVelocitySpace>{SPACES}/PanTiltSpaces/VelocityGenericSpace\
         </tt:DefaultContinuousPanTiltVelocitySpace>\
         <tt:DefaultContinuousZoomVelocitySpace>{SPACES}/ZoomSpaces/VelocityGenericSpace\
         </tt:DefaultContinuousZoomVelocitySpace>\
         <tt:DefaultPTZTimeout>PT10S</tt:DefaultPTZTimeout>"
    )
}

fn video_encoder(encoding: &str) -> String {
    format!(
        "<tt:Name>Video</tt:Name><tt:UseCount>1</tt:UseCount><tt:Encoding>{encoding}</tt:Encoding><tt:Resolution>\
         <tt:Width>640</tt:Width><tt:Height>360</tt:Height></tt:Resolution>"
    )
}

fn stream(state: &State, call: Node) -> Result<String, No> {
    let profile = text(call, "ProfileToken").unwrap_or("");
    if !profiles(state).iter().any(|(token, ..)| *token == profile) {
        return no(&["Sender", "InvalidArgVal", "NoProfile"], "No such profile");
    }
    let fallback = format!("rtsp://127.0.0.1:554/{profile}?unicast=true&proto=Onvif");
    Ok(escape(state.set.stream.as_deref().unwrap_or(&fallback)))
}

pub(super) fn media(state: &State, name: &str, call: Node) -> Result<String, No> {
    match name {
        "GetProfiles" => {
            let one = |(token, video, ptz): &(&str, bool, bool)| {
                let mut inner = format!("<tt:Name>{token} stream</tt:Name>");
                if *video {
                    inner += "<tt:VideoSourceConfiguration token=\"vs0\"><tt:Name>Source</tt:Name>\
                              <tt:UseCount>3</tt:UseCount><tt:SourceToken>source0</tt:SourceToken>\
                              <tt:Bounds x=\"0\" y=\"0\" width=\"1920\" height=\"1080\"/></tt:VideoSourceConfiguration>";
                    inner += &format!(
                        "<tt:VideoEncoderConfiguration token=\"ve_{token}\">{}<tt:Quality>5</tt:Quality><tt:RateControl>\
                         <tt:FrameRateLimit>25</tt:FrameRateLimit><tt:EncodingInterval>1</tt:EncodingInterval>\
                         <tt:BitrateLimit>800</tt:BitrateLimit></tt:RateControl><tt:H264><tt:GovLength>50</tt:GovLength>\
                         <tt:H264Profile>Baseline</tt:H264Profile></tt:H264><tt:Multicast><tt:Address>\
                         <tt:Type>IPv4</tt:Type><tt:IPv4Address>0.0.0.0</tt:IPv4Address></tt:Address><tt:Port>0</tt:Port>\
                         <tt:TTL>0</tt:TTL><tt:AutoStart>false</tt:AutoStart></tt:Multicast>\
                         <tt:SessionTimeout>PT60S</tt:SessionTimeout></tt:VideoEncoderConfiguration>",
                        video_encoder("H264")
                    );
                }
                if *ptz {
                    inner +=
                        &format!("<tt:PTZConfiguration token=\"ptz0\">{}</tt:PTZConfiguration>", ptz_configuration());
                }
                format!("<trt:Profiles token=\"{token}\" fixed=\"true\">{inner}</trt:Profiles>")
            };
            let all: String = profiles(state).iter().map(one).collect();
            Ok(format!("<trt:GetProfilesResponse>{all}</trt:GetProfilesResponse>"))
        }
        "GetStreamUri" => Ok(format!(
            "<trt:GetStreamUriResponse><trt:MediaUri><tt:Uri>{}</tt:Uri><tt:InvalidAfterConnect>false\
             </tt:InvalidAfterConnect><tt:InvalidAfterReboot>false</tt:InvalidAfterReboot><tt:Timeout>PT0S</tt:Timeout>\
             </trt:MediaUri></trt:GetStreamUriResponse>",
            stream(state, call)?
        )),
        "GetVideoSources" => Ok("<trt:GetVideoSourcesResponse><trt:VideoSources token=\"source0\"><tt:Framerate>25\
             </tt:Framerate><tt:Resolution><tt:Width>1920</tt:Width><tt:Height>1080</tt:Height></tt:Resolution>\
             </trt:VideoSources></trt:GetVideoSourcesResponse>"
            .into()),
        _ => no(&["Receiver", "ActionNotSupported"], format!("{name} is not supported")),
    }
}

pub(super) fn media2(state: &State, name: &str, call: Node) -> Result<String, No> {
    match name {
        "GetProfiles" => {
            let one = |(token, video, ptz): &(&str, bool, bool)| {
                let mut inner = String::new();
                if *video {
                    inner += &format!(
                        "<tr2:VideoSource token=\"vs0\"><tt:Name>Source</tt:Name><tt:UseCount>3</tt:UseCount>\
                         <tt:SourceToken>source0</tt:SourceToken><tt:Bounds x=\"0\" y=\"0\" width=\"1920\" height=\"1080\"/>\
                         </tr2:VideoSource><tr2:VideoEncoder token=\"ve_{token}\">{}<tt:Quality>5</tt:Quality>\
                         </tr2:VideoEncoder>",
                        video_encoder("H265")
                    );
                }
                if *ptz {
                    inner += &format!("<tr2:PTZ token=\"ptz0\">{}</tr2:PTZ>", ptz_configuration());
                }
                format!(
                    "<tr2:Profiles token=\"{token}\" fixed=\"true\"><tr2:Name>{token} stream</tr2:Name>\
                     <tr2:Configurations>{inner}</tr2:Configurations></tr2:Profiles>"
                )
            };
            let all: String = profiles(state).iter().map(one).collect();
            Ok(format!("<tr2:GetProfilesResponse>{all}</tr2:GetProfilesResponse>"))
        }
        "GetStreamUri" => Ok(format!(
            "<tr2:GetStreamUriResponse><tr2:Uri>{}</tr2:Uri></tr2:GetStreamUriResponse>",
            stream(state, call)?
        )),
        _ => no(&["Receiver", "ActionNotSupported"], format!("{name} is not supported")),
    }
}

/// What the PTZ service tells without a profile; None for all else.
pub(super) fn ptz(state: &State, name: &str) -> Option<String> {
    let tour = |tag: &str, running: bool| {
        format!(
            "<tptz:{tag} token=\"tour1\"><tt:Name>Round</tt:Name><tt:Status><tt:State>{}</tt:State></tt:Status>\
             <tt:AutoStart>false</tt:AutoStart><tt:StartingCondition/></tptz:{tag}>",
            if running { "Touring" } else { "Idle" }
        )
    };
    Some(match name {
        "GetServiceCapabilities" => "<tptz:GetServiceCapabilitiesResponse><tptz:Capabilities EFlip=\"false\" \
             MoveStatus=\"true\" StatusPosition=\"true\"/></tptz:GetServiceCapabilitiesResponse>"
            .into(),
        "GetConfigurations" => format!(
            "<tptz:GetConfigurationsResponse><tptz:PTZConfiguration token=\"ptz0\">{}</tptz:PTZConfiguration>\
             </tptz:GetConfigurationsResponse>",
            ptz_configuration()
        ),
        "GetConfiguration" => format!(
            "<tptz:GetConfigurationResponse><tptz:PTZConfiguration token=\"ptz0\">{}</tptz:PTZConfiguration>\
             </tptz:GetConfigurationResponse>",
            ptz_configuration()
        ),
        "GetConfigurationOptions" => format!(
            "<tptz:GetConfigurationOptionsResponse><tptz:PTZConfigurationOptions><tt:Spaces>{}</tt:Spaces>\
             <tt:PTZTimeout><tt:Min>PT1S</tt:Min><tt:Max>PT3600S</tt:Max></tt:PTZTimeout></tptz:PTZConfigurationOptions>\
             </tptz:GetConfigurationOptionsResponse>",
            spaces(state)
        ),
        "GetNodes" | "GetNode" => format!(
            "<tptz:{name}Response><tptz:PTZNode token=\"node0\" FixedHomePosition=\"false\"><tt:Name>Dome</tt:Name>\
             <tt:SupportedPTZSpaces>{}</tt:SupportedPTZSpaces><tt:MaximumNumberOfPresets>10</tt:MaximumNumberOfPresets>\
             <tt:HomeSupported>true</tt:HomeSupported><tt:Extension><tt:SupportedPresetTour>\
             <tt:MaximumNumberOfPresetTours>4</tt:MaximumNumberOfPresetTours><tt:PTZPresetTourOperation>Start\
             </tt:PTZPresetTourOperation><tt:PTZPresetTourOperation>Stop</tt:PTZPresetTourOperation>\
             </tt:SupportedPresetTour></tt:Extension></tptz:PTZNode></tptz:{name}Response>",
            spaces(state)
        ),
        "GetPresetTours" => {
            let running = state.memory.lock().unwrap().tour.is_some();
            format!("<tptz:GetPresetToursResponse>{}</tptz:GetPresetToursResponse>", tour("PresetTour", running))
        }
        _ => return None,
    })
}

fn spaces(state: &State) -> String {
    if state.set.untold {
        return String::new();
    }
    let l = &state.set.limits;
    let range = |axis: &str, (low, high): (f64, f64)| {
        format!("<tt:{axis}Range><tt:Min>{low}</tt:Min><tt:Max>{high}</tt:Max></tt:{axis}Range>")
    };
    let space = |tag: &str, uri: &str, x: (f64, f64), y: Option<(f64, f64)>| {
        let y = y.map(|y| range("Y", y)).unwrap_or_default();
        format!("<tt:{tag}><tt:URI>{SPACES}/{uri}</tt:URI>{}{y}</tt:{tag}>", range("X", x))
    };
    let (both, positive) = ((-1.0, 1.0), (0.0, 1.0));
    let mut all = String::new();
    if state.set.absolute {
        let tag = "AbsolutePanTiltPositionSpace";
        all += &space(tag, "PanTiltSpaces/PositionGenericSpace", both, Some(both));
        if state.set.degrees {
            let pan = if l.wraps { (-180.0, 180.0) } else { l.pan };
            all += &space(tag, "PanTiltSpaces/SphericalPositionSpaceDegrees", pan, Some(l.tilt));
        }
        all += &space("AbsoluteZoomPositionSpace", "ZoomSpaces/PositionGenericSpace", positive, None);
    }
    if state.set.relative {
        let tag = "RelativePanTiltTranslationSpace";
        all += &space(tag, "PanTiltSpaces/TranslationGenericSpace", both, Some(both));
        all += &space(tag, "PanTiltSpaces/TranslationSpaceFov", both, Some(both));
        all += &space("RelativeZoomTranslationSpace", "ZoomSpaces/TranslationGenericSpace", both, None);
    }
    all += &space("ContinuousPanTiltVelocitySpace", "PanTiltSpaces/VelocityGenericSpace", both, Some(both));
    all + &space("ContinuousZoomVelocitySpace", "ZoomSpaces/VelocityGenericSpace", both, None)
}

/// A position as the camera tells it, in an element `tt:{tag}`.
fn position(state: &State, tag: &str, l: &Limits, at: &Position) -> String {
    let (x, y) = if state.set.degrees {
        ((at.pan + 180.0).rem_euclid(360.0) - 180.0, at.tilt)
    } else {
        let pan = if l.wraps {
            ((at.pan + 180.0).rem_euclid(360.0) - 180.0) / 180.0
        } else {
            part(at.pan, l.pan) * 2.0 - 1.0
        };
        (pan, part(at.tilt, l.tilt) * 2.0 - 1.0)
    };
    let space = if state.set.degrees { "SphericalPositionSpaceDegrees" } else { "PositionGenericSpace" };
    format!(
        "<tt:{tag}><tt:PanTilt x=\"{x:.6}\" y=\"{y:.6}\" space=\"{SPACES}/PanTiltSpaces/{space}\"/>\
         <tt:Zoom x=\"{:.6}\" space=\"{SPACES}/ZoomSpaces/PositionGenericSpace\"/></tt:{tag}>",
        part(at.zoom, l.zoom)
    )
}

pub(super) fn status(state: &State, now: Instant) -> String {
    let motion = state.motion.lock().unwrap();
    let (l, at) = (motion.limits(), motion.at(now));
    let mut inner = String::new();
    if state.set.position {
        inner += &position(state, "Position", l, &at);
    }
    let (turns, zooms) = motion.moving(now);
    let word = |moves: bool| match (state.set.move_status, moves) {
        (false, _) => "UNKNOWN",
        (true, true) => "MOVING",
        (true, false) => "IDLE",
    };
    format!(
        "<tptz:GetStatusResponse><tptz:PTZStatus>{inner}<tt:MoveStatus><tt:PanTilt>{}</tt:PanTilt><tt:Zoom>{}</tt:Zoom>\
         </tt:MoveStatus><tt:UtcTime>{}</tt:UtcTime></tptz:PTZStatus></tptz:GetStatusResponse>",
        word(turns),
        word(zooms),
        humantime::format_rfc3339_seconds(state.now()),
    )
}

pub(super) fn presets(state: &State) -> String {
    let limits = *state.motion.lock().unwrap().limits();
    let memory = state.memory.lock().unwrap();
    let one = |p: &super::ptz_onvif::Preset| {
        let name = p.name.as_ref().map(|n| format!("<tt:Name>{}</tt:Name>", escape(n))).unwrap_or_default();
        // Optional, as the name is.
        let at = if state.set.degrees { position(state, "PTZPosition", &limits, &p.at) } else { String::new() };
        format!("<tptz:Preset token=\"{}\">{name}{at}</tptz:Preset>", escape(&p.token))
    };
    let all: String = memory.presets.iter().map(one).collect();
    format!("<tptz:GetPresetsResponse>{all}</tptz:GetPresetsResponse>")
}
