//! What an ONVIF camera says, as far as it is of use. Pure.

use serde::Deserialize;

use super::xml::{Range, flag, number};

/// An element that only has to be there.
#[derive(Debug, Clone, Deserialize)]
pub struct There {}

/// `<GetSystemDateAndTimeResponse>`
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Clock {
    #[serde(rename = "SystemDateAndTime")]
    pub system: SystemClock,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct SystemClock {
    #[serde(rename = "UTCDateTime")]
    pub utc: Option<DateTime>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct DateTime {
    #[serde(rename = "Time")]
    pub time: Time,
    #[serde(rename = "Date")]
    pub date: Date,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Time {
    #[serde(rename = "Hour", deserialize_with = "number")]
    pub hour: Option<f64>,
    #[serde(rename = "Minute", deserialize_with = "number")]
    pub minute: Option<f64>,
    #[serde(rename = "Second", deserialize_with = "number")]
    pub second: Option<f64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Date {
    #[serde(rename = "Year", deserialize_with = "number")]
    pub year: Option<f64>,
    #[serde(rename = "Month", deserialize_with = "number")]
    pub month: Option<f64>,
    #[serde(rename = "Day", deserialize_with = "number")]
    pub day: Option<f64>,
}

/// `<GetServicesResponse>`
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Services {
    #[serde(rename = "Service")]
    pub services: Vec<Service>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Service {
    #[serde(rename = "Namespace")]
    pub namespace: String,
    #[serde(rename = "XAddr")]
    pub address: String,
}

/// `<GetCapabilitiesResponse>`, of cameras from before GetServices.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct OldCapabilities {
    #[serde(rename = "Capabilities")]
    pub all: OldServices,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct OldServices {
    #[serde(rename = "Media")]
    pub media: Option<Address>,
    #[serde(rename = "PTZ")]
    pub ptz: Option<Address>,
    #[serde(rename = "Imaging")]
    pub imaging: Option<Address>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Address {
    #[serde(rename = "XAddr")]
    pub address: String,
}

/// `<GetDeviceInformationResponse>`
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Device {
    #[serde(rename = "Model")]
    pub model: String,
}

/// `<GetProfilesResponse>` of media and of media2, which nest differently.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Profiles {
    #[serde(rename = "Profiles")]
    pub profiles: Vec<Profile>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Profile {
    #[serde(rename = "@token")]
    pub token: String,
    #[serde(rename = "VideoSourceConfiguration")]
    pub source: Option<VideoSource>,
    #[serde(rename = "VideoEncoderConfiguration")]
    pub encoder: Option<There>,
    #[serde(rename = "PTZConfiguration")]
    pub ptz: Option<PtzConfiguration>,
    #[serde(rename = "Configurations")]
    pub configurations: Option<Configurations>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Configurations {
    #[serde(rename = "VideoSource")]
    pub source: Option<VideoSource>,
    #[serde(rename = "VideoEncoder")]
    pub encoder: Option<There>,
    #[serde(rename = "PTZ")]
    pub ptz: Option<PtzConfiguration>,
}

#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default)]
pub struct VideoSource {
    #[serde(rename = "SourceToken")]
    pub token: String,
}

#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default)]
pub struct PtzConfiguration {
    #[serde(rename = "NodeToken")]
    pub node: String,
}

/// `<GetNodeResponse>`
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct NodeResponse {
    #[serde(rename = "PTZNode")]
    pub node: Node,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Node {
    #[serde(rename = "SupportedPTZSpaces")]
    pub spaces: Spaces,
    #[serde(rename = "MaximumNumberOfPresets", deserialize_with = "number")]
    pub presets: Option<f64>,
    #[serde(rename = "HomeSupported", deserialize_with = "flag")]
    pub home: Option<bool>,
    #[serde(rename = "Extension")]
    pub extension: Option<NodeExtension>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct NodeExtension {
    #[serde(rename = "SupportedPresetTour")]
    pub tour: Option<There>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Spaces {
    #[serde(rename = "AbsolutePanTiltPositionSpace")]
    pub absolute: Vec<Space>,
    #[serde(rename = "AbsoluteZoomPositionSpace")]
    pub absolute_zoom: Vec<Space>,
    #[serde(rename = "RelativePanTiltTranslationSpace")]
    pub relative: Vec<Space>,
    #[serde(rename = "RelativeZoomTranslationSpace")]
    pub relative_zoom: Vec<Space>,
    #[serde(rename = "ContinuousPanTiltVelocitySpace")]
    pub continuous: Vec<Space>,
    #[serde(rename = "ContinuousZoomVelocitySpace")]
    pub continuous_zoom: Vec<Space>,
}

#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default)]
pub struct Space {
    #[serde(rename = "URI")]
    pub uri: String,
    #[serde(rename = "XRange")]
    pub x: Range,
    #[serde(rename = "YRange")]
    pub y: Range,
}

/// `<GetStatusResponse>`
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct StatusResponse {
    #[serde(rename = "PTZStatus")]
    pub status: Status,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Status {
    #[serde(rename = "Position")]
    pub position: Option<Vectors>,
    #[serde(rename = "MoveStatus")]
    pub moving: Option<MoveStatus>,
}

#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default)]
pub struct Vectors {
    #[serde(rename = "PanTilt")]
    pub pan_tilt: Option<Vector>,
    #[serde(rename = "Zoom")]
    pub zoom: Option<Vector>,
}

#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default)]
pub struct Vector {
    #[serde(rename = "@x", deserialize_with = "number")]
    pub x: Option<f64>,
    #[serde(rename = "@y", deserialize_with = "number")]
    pub y: Option<f64>,
    #[serde(rename = "@space")]
    pub space: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct MoveStatus {
    #[serde(rename = "PanTilt")]
    pub pan_tilt: String,
    #[serde(rename = "Zoom")]
    pub zoom: String,
}

/// `<GetPresetsResponse>`
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Presets {
    #[serde(rename = "Preset")]
    pub presets: Vec<PresetItem>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct PresetItem {
    #[serde(rename = "@token")]
    pub token: String,
    #[serde(rename = "Name")]
    pub name: String,
    #[serde(rename = "PTZPosition")]
    pub position: Option<Vectors>,
}

/// `<SetPresetResponse>`
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct SetPreset {
    #[serde(rename = "PresetToken")]
    pub token: String,
}

/// `<GetStreamUriResponse>` of media and of media2.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct StreamUri {
    #[serde(rename = "MediaUri")]
    pub media: Option<Uri>,
    #[serde(rename = "Uri")]
    pub uri: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Uri {
    #[serde(rename = "Uri")]
    pub uri: String,
}
