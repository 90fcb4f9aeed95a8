//! PTZ: cameras that are steered.
//!
//! A [`Driver`] speaks a camera's language, one exchange at a time. A steerer (one task
//! per camera) decides what is said and when, by a pure state machine ([`state`]):
//! commands to one camera are serialised and coalesced, a move ends by itself, a refused
//! password is not tried again. Cameras never wait for each other.
//!
//! | file | what |
//! |---|---|
//! | `mod.rs` | the words, and the trait |
//! | [`fault`] | what goes wrong with a camera |
//! | [`state`] | the decisions (pure); [`exchange`]: its words, `axis`, `known`: what it knows |
//! | [`steerer`], [`steerers`] | one task per camera, and all of them by name |
//! | [`account`] | one login for all paths of a camera |
//! | [`client`], [`digest`], [`tls`] | HTTP to a camera: digest, bounds, certificates |
//! | [`xml`] | bounded XML (pure) |
//! | [`hikvision`], [`onvif`], [`soap`] | the drivers |
//! | [`discovery`] | WS-Discovery |

pub mod account;
mod auto;
mod axis;
pub mod client;
pub mod digest;
pub mod discovery;
pub mod exchange;
pub mod fault;
pub mod hikvision;
mod hikvision_presets;
mod hikvision_xml;
mod isapi;
mod known;
pub mod lens;
pub mod onvif;
mod onvif_learn;
mod onvif_session;
mod onvif_space;
mod onvif_xml;
pub mod soap;
pub mod state;
pub mod steerer;
pub mod steerers;
pub mod tls;
pub mod xml;

use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, SystemTime};

use serde::Serialize;

pub use fault::{Fault, Outcome};

/// A future on the heap, as a trait object's methods return it.
pub type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// How fast a camera moves: −1 to 1 of its top speed. + is right, up, in.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Velocity {
    /// To the right.
    pub pan: f64,
    /// Upwards.
    pub tilt: f64,
    /// Inwards.
    pub zoom: f64,
}

impl Velocity {
    /// Whether it is none.
    pub fn is_zero(&self) -> bool {
        *self == Velocity::default()
    }
}

/// Where a camera looks.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Position {
    /// Degrees to the right, or −1 to 1 of the range.
    pub pan: Option<f64>,
    /// Degrees upwards, or −1 to 1 of the range.
    pub tilt: Option<f64>,
    /// The factor (1 is wide), or 0 to 1 of the range.
    pub zoom: Option<f64>,
}

/// What the numbers of a [`Position`] mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Degrees, and the zoom's factor.
    Degrees,
    /// Parts of the range: −1 to 1, zoom 0 to 1.
    Normalized,
}

/// What moves at a speed, and therefore has to be stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Axis {
    /// Pan, tilt and zoom.
    Move,
    /// The focus; + is farther.
    Focus,
    /// The iris; + opens it.
    Iris,
}

/// A speed on an axis.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Drive {
    /// Pan, tilt and zoom.
    Move(Velocity),
    /// The focus, −1 (nearer) to 1 (farther).
    Focus(f64),
    /// The iris, −1 (closes) to 1 (opens).
    Iris(f64),
}

impl Drive {
    /// Which axis.
    pub fn axis(&self) -> Axis {
        match self {
            Drive::Move(_) => Axis::Move,
            Drive::Focus(_) => Axis::Focus,
            Drive::Iris(_) => Axis::Iris,
        }
    }

    /// Whether it stops the axis.
    pub fn is_stop(&self) -> bool {
        match self {
            Drive::Move(velocity) => velocity.is_zero(),
            Drive::Focus(speed) | Drive::Iris(speed) => *speed == 0.0,
        }
    }

    /// The stop of an axis.
    pub fn stop(axis: Axis) -> Drive {
        match axis {
            Axis::Move => Drive::Move(Velocity::default()),
            Axis::Focus => Drive::Focus(0.0),
            Axis::Iris => Drive::Iris(0.0),
        }
    }
}

/// A movement that ends by itself.
#[derive(Debug, Clone, PartialEq)]
pub enum Go {
    /// To a position; what is None stays.
    To(Position, Unit),
    /// By fractions of the picture (1 is its whole width or height); zoom by a part of
    /// the range.
    By(Velocity),
    /// To a preset, by its id.
    Preset(String),
    /// Home.
    Home,
    /// Along a patrol, by its id.
    Patrol(String),
    /// To a piece of the picture.
    Box(Frame),
    /// The middle of the picture to a point: fractions from the left and from the top.
    Center(f64, f64),
}

impl Go {
    /// Whether pan, tilt and zoom all go somewhere. Where one does not, a speed that it has
    /// may stay on it.
    pub fn whole(&self) -> bool {
        match self {
            Go::To(to, _) => to.pan.is_some() && to.tilt.is_some() && to.zoom.is_some(),
            Go::By(by) => by.pan != 0.0 && by.tilt != 0.0 && by.zoom != 0.0,
            Go::Center(..) => false,
            Go::Preset(_) | Go::Home | Go::Patrol(_) | Go::Box(_) => true,
        }
    }
}

/// A piece of the picture, in fractions of it from the left and from the top.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Frame {
    /// Its left edge.
    pub x: f64,
    /// Its upper edge.
    pub y: f64,
    /// Its width, more than 0.
    pub width: f64,
    /// Its height, more than 0.
    pub height: f64,
    /// Out: the picture shrinks into it, instead of being filled by it.
    pub out: bool,
}

/// What is changed in a camera.
#[derive(Debug, Clone, PartialEq)]
pub enum Edit {
    /// Saves the present position as a preset; without an id as a new one.
    Save {
        /// Which preset is overwritten, or made.
        id: Option<String>,
        /// What it is called; None keeps the name, or leaves it to the camera.
        name: Option<String>,
    },
    /// Gives a preset another name and leaves its position.
    Rename {
        /// Which.
        id: String,
        /// The new name.
        name: String,
    },
    /// Deletes a preset.
    Delete(String),
    /// Ends a patrol.
    StopPatrol(String),
}

/// A saved position.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Preset {
    /// What it is called by.
    pub id: String,
    /// What people call it; the id where the camera has no name.
    pub name: String,
    /// Whether it can be called.
    pub enabled: bool,
}

/// What a camera can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Capabilities {
    /// Turns to the side.
    pub pan: bool,
    /// Turns up and down.
    pub tilt: bool,
    /// Zooms.
    pub zoom: bool,
    /// Goes to positions.
    pub absolute: bool,
    /// Moves by fractions of the picture.
    pub relative: bool,
    /// Has presets.
    pub presets: bool,
    /// Has a home position.
    pub home: bool,
    /// Has patrols.
    pub patrols: bool,
    /// Goes to a piece of the picture.
    pub box_zoom: bool,
    /// Its focus can be moved.
    pub focus: bool,
    /// Its iris can be moved.
    pub iris: bool,
}

/// What a driver found out about its camera.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct About {
    /// The driver's word: `hikvision` or `onvif`.
    pub driver: &'static str,
    /// The camera's model.
    pub model: Option<String>,
    /// What it can do.
    pub capabilities: Capabilities,
}

/// What a camera says of where it looks.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Reading {
    /// Degrees, where it tells them.
    pub position: Option<Position>,
    /// Parts of its ranges, where it tells them.
    pub normalized: Option<Position>,
    /// Whether it moves, where it tells that.
    pub moving: Option<bool>,
}

/// A camera's language. One exchange at a time; a future may be dropped at any await,
/// and what the camera has got then is unknown.
pub trait Driver: Send {
    /// Finds out what the camera is. The other calls do what of it they need by themselves.
    fn about(&mut self) -> Boxed<'_, Outcome<About>>;

    /// Says before an exchange whether nobody else uses the login meanwhile, after it was
    /// denied: what was remembered of it is asked for anew then, and a refusal is one.
    fn alone(&mut self, alone: bool);

    /// Whether the password was needed, and good, and not denied since.
    fn proven(&self) -> bool;

    /// Finds out what a drive needs, where that is not known yet.
    fn ready(&mut self) -> Boxed<'_, Outcome<()>> {
        Box::pin(async { Ok(()) })
    }

    /// Moves at a speed, or stops. `lasts` is for cameras that stop by themselves.
    fn drive(&mut self, drive: Drive, lasts: Duration) -> Boxed<'_, Outcome<()>>;

    /// Begins a movement that ends by itself.
    fn go<'a>(&'a mut self, go: &'a Go) -> Boxed<'a, Outcome<()>>;

    /// Where the camera looks.
    fn read(&mut self) -> Boxed<'_, Outcome<Reading>>;

    /// The presets, in the camera's order.
    fn presets(&mut self) -> Boxed<'_, Outcome<Vec<Preset>>>;

    /// Changes something in the camera. Returns the id of a new preset.
    fn edit<'a>(&'a mut self, edit: &'a Edit) -> Boxed<'a, Outcome<Option<String>>>;
}

/// What a client asks of a camera.
#[derive(Debug, Clone, PartialEq)]
pub enum Ask {
    /// To move at a speed until stopped, at most so long (None: as configured).
    Drive(Drive, Option<Duration>),
    /// To stop on every axis.
    Stop,
    /// To go somewhere.
    Go(Go),
    /// Where it looks.
    Status,
    /// Its presets.
    Presets,
    /// To change something.
    Edit(Edit),
}

impl Ask {
    /// Whether it only stops: that finds a place where nothing else does.
    pub fn stops(&self) -> bool {
        matches!(self, Ask::Stop) || matches!(self, Ask::Drive(drive, _) if drive.is_stop())
    }
}

/// The answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// Done.
    Done,
    /// It moves, and will stop by itself at that time.
    Moving(SystemTime),
    /// Where it looks.
    Status(Status),
    /// Its presets.
    Presets(Vec<Preset>),
    /// A preset was saved under this id.
    Saved(String),
}

/// A camera's state, as people are told.
#[derive(Debug, Clone, PartialEq)]
pub struct Status {
    /// Whether it answered last.
    pub online: bool,
    /// Whether it moves.
    pub moving: bool,
    /// Degrees; none where it tells none.
    pub position: Option<Position>,
    /// Parts of its ranges; none where it tells none.
    pub normalized: Option<Position>,
    /// What it can do, as far as known.
    pub capabilities: Capabilities,
    /// What is wrong with it.
    pub error: Option<String>,
}

/// A camera in the list.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Camera {
    /// The path's name.
    pub name: String,
    /// `hikvision` or `onvif`; `auto` as long as it is not known.
    pub driver: &'static str,
    /// The model, once it is known.
    pub model: Option<String>,
    /// Whether it answered last.
    pub online: bool,
    /// What is wrong with it.
    pub error: Option<String>,
    /// What it can do, as far as known.
    pub capabilities: Capabilities,
}
