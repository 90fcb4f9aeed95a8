//! Hikvision's ISAPI (2.0): `/ISAPI/PTZCtrl/channels/{n}/…`, XML over HTTP Digest.
//!
//! What a model lacks (404, `notSupport`) is made of what it has: a relative move and a box
//! zoom are a status and an absolute move. The camera knows no dead man: it moves until it
//! is told to stop.

use std::time::Duration;

use reqwest::Method;
use serde::de::DeserializeOwned;

use super::client::Client;
use super::hikvision_xml::{ChannelCap, DeviceInfo, High, PtzStatus};
use super::isapi::{No, call, corners, grid, percent};
use super::lens::{Lens, flip};
use super::xml;
use super::{
    About, Boxed, Capabilities, Drive, Driver, Edit, Fault, Frame, Go, Outcome, Position, Preset, Reading, Unit,
    Velocity,
};
use crate::config::PtzTarget;

pub(super) const PROLOG: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>";

/// A camera that speaks ISAPI.
pub struct Hikvision {
    pub(super) client: Client,
    pub(super) target: PtzTarget,
    lens: Lens,
    /// What the camera turned out not to have.
    no_relative: bool,
    no_box: bool,
}

impl Hikvision {
    /// For a camera; nothing is sent yet.
    pub fn new(target: &PtzTarget) -> Outcome<Hikvision> {
        let lens = Lens { pan: (0.0, 360.0), tilt: (-90.0, 90.0), zoom: (1.0, 100.0), known: false };
        Ok(Hikvision { client: Client::new(target)?, target: target.clone(), lens, no_relative: false, no_box: false })
    }

    pub(super) fn path(&self, call: &str) -> String {
        format!("{}/ISAPI/PTZCtrl/channels/{}/{call}", self.target.path, self.target.channel)
    }

    pub(super) async fn put(&mut self, what: &str, inner: &str) -> Result<(), No> {
        let body = if inner.is_empty() { String::new() } else { format!("{PROLOG}{inner}") };
        let path = self.path(what);
        call(&mut self.client, Method::PUT, &path, body).await.map(drop)
    }

    pub(super) async fn get<T: DeserializeOwned>(&mut self, path: &str, root: &str) -> Result<T, No> {
        let text = call(&mut self.client, Method::GET, path, String::new()).await?;
        xml::read(&text, &[root])
            .map_err(|why| No::Fault(Fault::Rejected(format!("the camera's answer cannot be read: {why}"))))
    }

    async fn find_out(&mut self) -> Outcome<About> {
        let info_path = format!("{}/ISAPI/System/deviceInfo", self.target.path);
        let info = match self.get::<DeviceInfo>(&info_path, "DeviceInfo").await {
            Ok(info) => Some(info),
            Err(No::Fault(fault)) if fault.is_general() => return Err(fault),
            // Without rights on the device it can still be steered.
            Err(_) => None,
        };
        let path = self.path("capabilities");
        let cap = match self.get::<ChannelCap>(&path, "PTZChanelCap").await {
            Ok(cap) => Some(cap),
            Err(No::Camera { status: 404, .. }) => None,
            Err(no) if no.absent() => {
                let why = Fault::from(no);
                return Err(Fault::Rejected(format!(
                    "the camera has no PTZ on channel {}: {why}",
                    self.target.channel
                )));
            }
            Err(no) => return Err(no.into()),
        };
        let model = info.map(|info| xml::short(&info.model)).filter(|model| !model.is_empty());
        let capabilities = cap.map_or(ANYTHING, |cap| self.learn(&cap));
        Ok(About { driver: "hikvision", model, capabilities })
    }

    /// Ranges and abilities, as the camera tells them.
    fn learn(&mut self, cap: &ChannelCap) -> Capabilities {
        let absolute = cap.absolute.is_some();
        if let Some(space) = cap.absolute {
            self.lens.pan = space.x.tenths().unwrap_or(self.lens.pan);
            self.lens.tilt = space.y.tenths().map_or(self.lens.tilt, |(low, high)| match self.up() < 0.0 {
                true => (-high, -low),
                false => (low, high),
            });
        }
        self.lens.zoom = cap.absolute_zoom.and_then(|space| space.z.tenths()).unwrap_or(self.lens.zoom);
        self.lens.known = true;
        self.no_relative = cap.relative.is_none();
        // Where it is not spoken of, it is tried.
        self.no_box = cap.position3d == Some(false);
        let turns = cap.continuous.is_some() || absolute;
        Capabilities {
            pan: turns,
            tilt: turns,
            zoom: cap.continuous_zoom.is_some() || cap.absolute_zoom.is_some(),
            absolute,
            relative: absolute || !self.no_relative,
            presets: cap.presets.is_none_or(|n| n >= 1.0),
            home: cap.home != Some(false),
            patrols: cap.patrols.is_none_or(|n| n >= 1.0),
            box_zoom: absolute || !self.no_box,
            // Not told here; an attempt tells.
            focus: true,
            iris: true,
        }
    }

    /// −1 where the camera's elevation counts downwards.
    fn up(&self) -> f64 {
        if self.target.invert_elevation != self.target.invert_tilt { -1.0 } else { 1.0 }
    }

    pub(super) fn place(&self, high: &High) -> Option<Position> {
        let pan = high.azimuth? / 10.0;
        Some(Position {
            pan: Some(if self.target.invert_pan { (360.0 - pan).rem_euclid(360.0) } else { pan }),
            tilt: Some(high.elevation? / 10.0 * self.up() + 0.0),
            zoom: high.zoom.map(|zoom| zoom / 10.0),
        })
    }

    pub(super) async fn position(&mut self) -> Result<Position, No> {
        let path = self.path("status");
        let status = self.get::<PtzStatus>(&path, "PTZStatus").await?;
        let none = || No::Fault(Fault::Rejected("the camera does not tell where it looks".into()));
        status.high.as_ref().and_then(|high| self.place(high)).ok_or_else(none)
    }

    async fn to(&mut self, to: Position) -> Result<(), No> {
        let to = match to {
            Position { pan: Some(_), tilt: Some(_), zoom: Some(_) } => to,
            // The call wants all three.
            _ => {
                let at = self.position().await?;
                Position { pan: to.pan.or(at.pan), tilt: to.tilt.or(at.tilt), zoom: to.zoom.or(at.zoom) }
            }
        };
        let pan = self.lens.turned(to.pan.unwrap_or(0.0));
        let pan = if self.target.invert_pan { (360.0 - pan).rem_euclid(360.0) } else { pan };
        let (elevation, zoom) = (to.tilt.unwrap_or(0.0) * self.up(), to.zoom.unwrap_or(1.0));
        let tenths = |value: f64| (value * 10.0).round() as i64;
        let body = format!(
            "<PTZData><AbsoluteHigh><elevation>{}</elevation><azimuth>{}</azimuth><absoluteZoom>{}</absoluteZoom>\
             </AbsoluteHigh></PTZData>",
            tenths(elevation),
            tenths(pan),
            tenths(zoom)
        );
        self.put("absolute", &body).await
    }

    /// By fractions of the picture.
    async fn by(&mut self, by: Velocity) -> Result<(), No> {
        // Natively half a picture at most.
        let near = by.pan.abs() <= 0.5 && by.tilt.abs() <= 0.5;
        if !self.no_relative && near {
            let part = |fraction: f64, inverted: bool| (flip(fraction, inverted) * 2.0 * 255.0).round() as i64;
            let body = format!(
                "<PTZData><Relative><positionX>{}</positionX><positionY>{}</positionY><relativeZoom>{}</relativeZoom>\
                 </Relative></PTZData>",
                part(by.pan, self.target.invert_pan),
                part(by.tilt, self.target.invert_tilt),
                (by.zoom * 100.0).round() as i64
            );
            match self.put("relative", &body).await {
                Err(no) if no.absent() => self.no_relative = true,
                done => return done,
            }
        }
        // Positions are inverted on their way in and out already.
        let at = self.position().await?;
        let to = self.lens.shifted(at, by.pan, by.tilt, 1.0 + by.zoom);
        self.to(to).await
    }

    async fn boxed(&mut self, frame: Frame) -> Result<(), No> {
        if !self.no_box {
            match self.position3d(corners(frame)).await {
                Err(no) if no.absent() => self.no_box = true,
                done => return done,
            }
        }
        let at = self.position().await?;
        let to = self.lens.framed(at, frame);
        self.to(to).await
    }

    async fn position3d(&mut self, [(x0, y0), (x1, y1)]: [(i64, i64); 2]) -> Result<(), No> {
        let point = |name: &str, x: i64, y: i64| {
            format!("<{name}><positionX>{x}</positionX><positionY>{y}</positionY></{name}>")
        };
        let body = format!(
            "<PTZData><Position3D>{}{}</Position3D></PTZData>",
            point("StartPoint", x0, y0),
            point("EndPoint", x1, y1)
        );
        self.put("position3D", &body).await
    }

    async fn center(&mut self, x: f64, y: f64) -> Result<(), No> {
        if self.no_relative && !self.no_box {
            let point = grid(x, y);
            match self.position3d([point, point]).await {
                Err(no) if no.absent() => self.no_box = true,
                done => return done,
            }
        }
        self.by(Velocity { pan: x - 0.5, tilt: 0.5 - y, zoom: 0.0 }).await
    }

    async fn drive_now(&mut self, drive: Drive) -> Result<(), No> {
        let (what, speed) = match drive {
            Drive::Move(v) => {
                let (pan, tilt) = (flip(v.pan, self.target.invert_pan), flip(v.tilt, self.target.invert_tilt));
                let body = format!(
                    "<PTZData><pan>{}</pan><tilt>{}</tilt><zoom>{}</zoom></PTZData>",
                    percent(pan),
                    percent(tilt),
                    percent(v.zoom)
                );
                return self.put("continuous", &body).await;
            }
            Drive::Focus(speed) => ("focus", speed),
            Drive::Iris(speed) => ("iris", speed),
        };
        let path = format!("{}/ISAPI/System/Video/inputs/channels/{}/{what}", self.target.path, self.target.channel);
        let data = if what == "focus" { "FocusData" } else { "IrisData" };
        let body = format!("{PROLOG}<{data}><{what}>{}</{what}></{data}>", percent(speed));
        match call(&mut self.client, Method::PUT, &path, body).await {
            Err(no) if no.absent() => Err(Fault::Unsupported(format!("the camera's {what} cannot be moved")).into()),
            done => done.map(drop),
        }
    }
}

impl Driver for Hikvision {
    fn about(&mut self) -> Boxed<'_, Outcome<About>> {
        Box::pin(self.find_out())
    }

    fn alone(&mut self, alone: bool) {
        self.client.alone(alone);
    }

    fn proven(&self) -> bool {
        self.client.proven()
    }

    fn drive(&mut self, drive: Drive, _lasts: Duration) -> Boxed<'_, Outcome<()>> {
        Box::pin(async move { Ok(self.drive_now(drive).await?) })
    }

    fn go<'a>(&'a mut self, go: &'a Go) -> Boxed<'a, Outcome<()>> {
        Box::pin(async move {
            if matches!(go, Go::To(..) | Go::By(_) | Go::Box(_) | Go::Center(..)) && !self.lens.known {
                self.find_out().await?;
            }
            match go {
                Go::To(to, unit) => {
                    let to = if *unit == Unit::Normalized { self.lens.degrees(*to) } else { *to };
                    self.lens.fits(to)?;
                    self.to(to).await?
                }
                Go::By(by) => self.by(*by).await?,
                Go::Preset(id) => self.goto(id).await?,
                Go::Home => self.put("homeposition/goto", "").await?,
                Go::Patrol(id) => self.patrol(id, "start").await?,
                Go::Box(frame) => self.boxed(*frame).await?,
                Go::Center(x, y) => self.center(*x, *y).await?,
            }
            Ok(())
        })
    }

    fn read(&mut self) -> Boxed<'_, Outcome<Reading>> {
        Box::pin(async move {
            let position = match self.position().await {
                Ok(position) => Some(position),
                Err(no) if no.absent() => None,
                Err(no) => return Err(no.into()),
            };
            let normalized = position.filter(|_| self.lens.known).map(|p| self.lens.normalized(p));
            Ok(Reading { position, normalized, moving: None })
        })
    }

    fn presets(&mut self) -> Boxed<'_, Outcome<Vec<Preset>>> {
        Box::pin(async move { Ok(self.presets_now().await?) })
    }

    fn edit<'a>(&'a mut self, edit: &'a Edit) -> Boxed<'a, Outcome<Option<String>>> {
        Box::pin(async move {
            match edit {
                Edit::Save { id, name } => {
                    let id = self.save(id.as_deref(), name.as_deref()).await?;
                    return Ok(Some(id.to_string()));
                }
                Edit::Rename { id, name } => self.rename(id, name).await?,
                Edit::Delete(id) => self.delete(id).await?,
                Edit::StopPatrol(id) => self.patrol(id, "stop").await?,
            }
            Ok(None)
        })
    }
}

/// What is assumed of a camera that does not tell.
const ANYTHING: Capabilities = Capabilities {
    pan: true,
    tilt: true,
    zoom: true,
    absolute: true,
    relative: true,
    presets: true,
    home: true,
    patrols: true,
    box_zoom: true,
    focus: true,
    iris: true,
};

#[cfg(test)]
#[path = "hikvision_tests.rs"]
mod tests;
