//! What a Hikvision camera says, in its XML (ISAPI 2.0). Pure.

use serde::Deserialize;

use super::xml::{Range, flag, number};

/// `<ResponseStatus>`
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct ResponseStatus {
    /// 0 and 1 are fine. Of the others real cameras contradict each other.
    #[serde(rename = "statusCode", deserialize_with = "number")]
    pub code: Option<f64>,
    /// Words for people.
    #[serde(rename = "statusString")]
    pub words: String,
    /// What is decided by: `notSupport`, `badParameters` …
    #[serde(rename = "subStatusCode")]
    pub sub: String,
}

/// `<DeviceInfo>`
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct DeviceInfo {
    /// `DS-2DF8425IX-AELW`
    pub model: String,
}

/// `<PTZStatus>`
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct PtzStatus {
    /// Where it looks.
    #[serde(rename = "AbsoluteHigh")]
    pub high: Option<High>,
}

/// `<AbsoluteHigh>`: tenths of degrees, tenths of the zoom's factor.
#[derive(Debug, Default, Clone, Copy, PartialEq, Deserialize)]
#[serde(default)]
pub struct High {
    /// Tilt; which way is up depends on the model.
    #[serde(deserialize_with = "number")]
    pub elevation: Option<f64>,
    /// Pan, to the right.
    #[serde(deserialize_with = "number")]
    pub azimuth: Option<f64>,
    /// Zoom.
    #[serde(rename = "absoluteZoom", deserialize_with = "number")]
    pub zoom: Option<f64>,
}

/// `<PTZPresetList>`
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct PresetList {
    /// In the camera's order.
    #[serde(rename = "PTZPreset")]
    pub presets: Vec<PresetItem>,
}

/// `<PTZPreset>`
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct PresetItem {
    /// Whether it is set.
    #[serde(deserialize_with = "flag")]
    pub enabled: Option<bool>,
    /// From 1.
    pub id: String,
    /// Its name.
    #[serde(rename = "presetName")]
    pub name: String,
    /// Where it looks, where the camera tells.
    #[serde(rename = "AbsoluteHigh")]
    pub high: Option<High>,
}

/// `<PTZPatrolList>`
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct PatrolList {
    /// The patrols.
    #[serde(rename = "PTZPatrol")]
    pub patrols: Vec<PatrolItem>,
}

/// `<PTZPatrol>`
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct PatrolItem {
    /// From 1.
    pub id: String,
}

/// `<PTZChanelCap>` (their spelling), as far as it is of use.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct ChannelCap {
    #[serde(rename = "AbsolutePanTiltPositionSpace")]
    pub absolute: Option<Space>,
    #[serde(rename = "AbsoluteZoomPositionSpace")]
    pub absolute_zoom: Option<Space>,
    #[serde(rename = "RelativePanTiltSpace")]
    pub relative: Option<Space>,
    #[serde(rename = "ContinuousPanTiltSpace")]
    pub continuous: Option<Space>,
    #[serde(rename = "ContinuousZoomSpace")]
    pub continuous_zoom: Option<Space>,
    #[serde(rename = "homePostionSupport", alias = "homePositionSupport", deserialize_with = "flag")]
    pub home: Option<bool>,
    #[serde(rename = "maxPresetNum", deserialize_with = "number")]
    pub presets: Option<f64>,
    #[serde(rename = "maxPatrolNum", deserialize_with = "number")]
    pub patrols: Option<f64>,
    #[serde(rename = "isSupportPosition3D", deserialize_with = "flag")]
    pub position3d: Option<bool>,
}

/// Ranges of a space.
#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(default)]
pub struct Space {
    #[serde(rename = "XRange")]
    pub x: Range,
    #[serde(rename = "YRange")]
    pub y: Range,
    #[serde(rename = "ZRange")]
    pub z: Range,
}
