//! What a path tells about itself: the same words in log, page and API.

use serde::Serialize;

/// The state of a path, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum StateName {
    /// On demand, and nobody demands it.
    Idle,
    /// Connecting for the first time, or again on demand.
    Starting,
    /// Frames arrive.
    Live,
    /// The source failed; the next attempt is under way or waits for its time.
    Reconnecting,
    /// The source refused us in a way that trying again soon makes worse (a wrong
    /// password: cameras lock accounts). Tried again rarely.
    Refused,
    /// The path waits for a publisher.
    NoSource,
    /// The path is going away.
    Closed,
}

/// One track as shown to people.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TrackStatus {
    /// `video` or `audio`.
    pub kind: crate::media::codec::Kind,
    /// `H264`, `H265`, `Opus`, `G711`, `AAC` …
    pub codec: String,
    /// `High 4.0` and the like.
    pub profile: Option<String>,
    /// Pixels.
    pub width: Option<u32>,
    /// Pixels.
    pub height: Option<u32>,
    /// Frames per second.
    pub fps: Option<f64>,
    /// Whether a WebRTC viewer can get it.
    pub playable: bool,
    /// Whether HLS carries it.
    pub hls: bool,
    /// Why not, or what to know: `not playable over WebRTC yet`.
    pub note: Option<String>,
}

/// A path as page and API show it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PathStatus {
    /// The path's name.
    pub name: String,
    /// The configuration entry it stems from (`cam1`, `~^cam(.*)$`, `all_others`).
    pub conf_name: String,
    /// One word.
    pub state: StateName,
    /// A sentence that a person can act on; none while all is well.
    pub reason: Option<String>,
    /// When this state began, RFC 3339, UTC.
    pub since: String,
    /// Whether the source runs only while somebody watches.
    pub on_demand: bool,
    /// Whether it can be read over HLS.
    pub hls: bool,
    /// How many readers it has now.
    pub readers: usize,
    /// The path that is to be played instead where a small picture does, as on the wall.
    pub substream: Option<String>,
    /// Whether its camera can be steered, by whoever is told so.
    pub ptz: bool,
    /// Why not by whoever is told so, where others may: what to change.
    pub ptz_refused: Option<String>,
    /// What the source sends.
    pub tracks: Vec<TrackStatus>,
}
