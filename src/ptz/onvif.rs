//! ONVIF: PTZ service 2.0 and imaging service 2.0 over SOAP.
//!
//! Our own SOAP and not a crate's: the whole of it is two files, the maintained client
//! spends two attempts at a password where one is allowed, bounds no nesting, and brings a
//! second TLS library.

use std::time::Duration;

use super::lens::{self, flip};
use super::onvif_learn::Learnt;
use super::onvif_session::{No, Session};
use super::onvif_space::{On, in_range, is_degrees, is_fov, part, same_part, scaled};
use super::onvif_xml::{Presets, SetPreset, StatusResponse, There, Vectors};
use super::xml;
use super::{
    About, Boxed, Capabilities, Drive, Driver, Edit, Fault, Go, Outcome, Position, Preset, Reading, Unit, Velocity,
};
use crate::config::PtzTarget;

/// Degrees that a picture is wide and high where nothing is known of the lens.
const PICTURE: (f64, f64) = (60.0, 33.75);

/// A camera that speaks ONVIF.
pub struct Onvif {
    session: Session,
    target: PtzTarget,
    /// It refused a time-out, and moves until it is stopped.
    no_timeout: bool,
    /// Pan or tilt, and zoom, may have a speed of ours.
    on: On,
}

impl Onvif {
    /// For a camera; nothing is sent yet.
    pub fn new(target: &PtzTarget) -> Outcome<Onvif> {
        Ok(Onvif { session: Session::new(target)?, target: target.clone(), no_timeout: false, on: On::default() })
    }

    /// The RTSP addresses of its profiles: token, address.
    pub async fn streams(&mut self) -> Outcome<Vec<(String, String)>> {
        self.session.streams().await
    }

    async fn ptz(&mut self, name: &str, inner: &str) -> Result<There, No> {
        self.ask(name, inner).await
    }

    /// A call on the steered profile.
    async fn ask<T: serde::de::DeserializeOwned>(&mut self, name: &str, inner: &str) -> Result<T, No> {
        let Learnt { ptz, profile, .. } = self.session.learn().await?;
        let (path, profile) = (ptz.clone(), xml::escape(profile));
        let body = format!("<tptz:{name}><tptz:ProfileToken>{profile}</tptz:ProfileToken>{inner}</tptz:{name}>");
        self.session.call(&path, &body).await
    }

    async fn find_out(&mut self) -> Result<About, No> {
        let learnt = self.session.learn_again().await?;
        let (node, focus) = (&learnt.node, !learnt.imaging.is_empty() && !learnt.source.is_empty());
        let told = !node.spaces.continuous.is_empty() || !node.spaces.continuous_zoom.is_empty();
        let turns = !told || !node.spaces.continuous.is_empty();
        let relative = !node.spaces.relative.is_empty();
        let capabilities = Capabilities {
            pan: turns,
            tilt: turns,
            zoom: !told || !node.spaces.continuous_zoom.is_empty(),
            absolute: !node.spaces.absolute.is_empty(),
            relative,
            presets: node.presets.is_none_or(|n| n >= 1.0),
            home: node.home != Some(false),
            patrols: node.extension.as_ref().is_some_and(|e| e.tour.is_some()),
            box_zoom: false,
            focus,
            iris: false,
        };
        let model = match self.session.model().await {
            Ok(model) => Some(xml::short(&model)).filter(|m| !m.is_empty()),
            Err(No::Fault(fault)) if fault.is_general() => return Err(fault.into()),
            Err(_) => None,
        };
        Ok(About { driver: "onvif", model, capabilities })
    }

    async fn drive_now(&mut self, drive: Drive, lasts: Duration) -> Result<(), No> {
        let velocity = match drive {
            Drive::Move(velocity) => velocity,
            Drive::Focus(speed) => return self.focus(speed).await,
            Drive::Iris(_) => return Err(Fault::Unsupported("ONVIF knows no moving iris".into()).into()),
        };
        if velocity.is_zero() {
            let both = "<tptz:PanTilt>true</tptz:PanTilt><tptz:Zoom>true</tptz:Zoom>";
            self.ptz("Stop", both).await?;
            self.on = On::default();
            return Ok(());
        }
        let (pan, tilt) = (flip(velocity.pan, self.target.invert_pan), flip(velocity.tilt, self.target.invert_tilt));
        let spaces = &self.session.learn().await?.node.spaces;
        let speed = Velocity { pan, tilt, zoom: velocity.zoom };
        let (turn, lens) = (spaces.continuous.first(), spaces.continuous_zoom.first());
        let velocity = format!("<tptz:Velocity>{}</tptz:Velocity>", self.on.speeds(speed, turn, lens));
        // Before it is sent: it may arrive although nothing comes back.
        self.on.turns |= pan != 0.0 || tilt != 0.0;
        self.on.zooms |= speed.zoom != 0.0;
        if !self.no_timeout {
            // For the case that we go away ourselves; whole seconds, as many cameras want them.
            let seconds = lasts.as_secs_f64().ceil().max(1.0);
            let timed = format!("{velocity}<tptz:Timeout>PT{seconds}S</tptz:Timeout>");
            match self.ptz("ContinuousMove", &timed).await {
                Err(no) if no.is("TimeoutNotSupported") => self.no_timeout = true,
                done => return done.map(drop),
            }
        }
        self.ptz("ContinuousMove", &velocity).await.map(drop)
    }

    async fn focus(&mut self, speed: f64) -> Result<(), No> {
        let Learnt { imaging, source, .. } = self.session.learn().await?;
        if imaging.is_empty() || source.is_empty() {
            return Err(Fault::Unsupported("the camera's focus cannot be moved".into()).into());
        }
        let (path, source) = (imaging.clone(), xml::escape(source));
        let source = format!("<timg:VideoSourceToken>{source}</timg:VideoSourceToken>");
        let call = match speed {
            0.0 => format!("<timg:Stop>{source}</timg:Stop>"),
            speed => format!(
                "<timg:Move>{source}<timg:Focus><tt:Continuous><tt:Speed>{speed}</tt:Speed></tt:Continuous></timg:Focus>\
                 </timg:Move>"
            ),
        };
        match self.session.call::<There>(&path, &call).await {
            Err(no) if no.is("ActionNotSupported") || no.is("NoImagingForSource") => {
                Err(Fault::Unsupported("the camera's focus cannot be moved".into()).into())
            }
            done => done.map(drop),
        }
    }

    async fn status(&mut self) -> Result<super::onvif_xml::Status, No> {
        Ok(self.ask::<StatusResponse>("GetStatus", "").await?.status)
    }

    /// What a position means, in degrees and in parts of the ranges.
    fn meaning(&self, at: &Vectors) -> (Option<Position>, Option<Position>) {
        let spaces = self.session.learnt().map(|learnt| &learnt.node.spaces);
        let degrees = spaces.and_then(|s| s.absolute.iter().find(|s| is_degrees(s)));
        let zooms = spaces.and_then(|s| s.absolute_zoom.first()).and_then(|s| s.x.ends()).unwrap_or((0.0, 1.0));
        let zoom = at.zoom.as_ref().and_then(|z| z.x).map(|x| part(x, zooms));
        let turn = at.pan_tilt.as_ref().and_then(|v| Some((v.x?, v.y?, v.space.contains("Spherical"))));
        let Some((x, y, spherical)) = turn else {
            let normalized = zoom.map(|zoom| Position { zoom: Some(zoom), ..Position::default() });
            return (None, normalized);
        };
        let (pan, tilt) = (flip(x, self.target.invert_pan), flip(y, self.target.invert_tilt));
        if spherical || x.abs() > 1.0 || y.abs() > 1.0 {
            let ranges = (degrees.and_then(|s| s.x.ends()), degrees.and_then(|s| s.y.ends()));
            let normal = |value: f64, range: Option<(f64, f64)>| range.map(|range| part(value, range) * 2.0 - 1.0);
            let normalized = Position { pan: normal(pan, ranges.0), tilt: normal(tilt, ranges.1), zoom };
            // The zoom's factor is told by no space.
            return (Some(Position { pan: Some(pan), tilt: Some(tilt), zoom: None }), Some(normalized));
        }
        (None, Some(Position { pan: Some(pan), tilt: Some(tilt), zoom }))
    }

    async fn to(&mut self, to: Position, unit: Unit) -> Result<(), No> {
        let absolute = self.session.learn().await?.node.spaces.absolute.clone();
        if absolute.is_empty() {
            return Err(Fault::Unsupported("the camera cannot go to positions".into()).into());
        }
        let degrees = absolute.iter().find(|s| is_degrees(s));
        if unit == Unit::Degrees && to.zoom.is_some() {
            let why = "the camera does not tell its zoom as a factor: say it with unit \"normalized\", as 0 to 1";
            return Err(Fault::Unsupported(why.into()).into());
        }
        let space = match (unit, degrees) {
            (Unit::Degrees, Some(space)) => space,
            (Unit::Degrees, None) => {
                let why = "the camera does not tell its positions in degrees: use unit \"normalized\"";
                return Err(Fault::Unsupported(why.into()).into());
            }
            (Unit::Normalized, _) => absolute.iter().find(|s| !is_degrees(s)).unwrap_or(&absolute[0]),
        };
        let mut parts = String::new();
        if to.pan.is_some() || to.tilt.is_some() {
            let (mut pan, mut tilt) = (to.pan, to.tilt);
            if pan.is_none() || tilt.is_none() {
                // The call wants both.
                let (at_degrees, at_parts) = self.status().await?.position.map_or((None, None), |p| self.meaning(&p));
                let at = if unit == Unit::Degrees { at_degrees } else { at_parts }.unwrap_or_default();
                (pan, tilt) = (pan.or(at.pan), tilt.or(at.tilt));
            }
            let missing =
                || Fault::Unsupported("the camera does not tell where it looks: say both pan and tilt".into());
            let (pan, tilt) = (pan.ok_or_else(missing)?, tilt.ok_or_else(missing)?);
            let (pan, tilt) = (flip(pan, self.target.invert_pan), flip(tilt, self.target.invert_tilt));
            let (x, y) = match unit {
                Unit::Degrees => {
                    (in_range("pan", pan, space.x.ends(), true)?, in_range("tilt", tilt, space.y.ends(), false)?)
                }
                Unit::Normalized => (scaled(pan, space.x.ends()), scaled(tilt, space.y.ends())),
            };
            parts += &format!("<tt:PanTilt x=\"{x}\" y=\"{y}\" space=\"{}\"/>", xml::escape(space.uri.trim()));
        }
        if let Some(zoom) = to.zoom {
            let zooms = &self.session.learn().await?.node.spaces.absolute_zoom;
            let (low, high) = zooms.first().and_then(|s| s.x.ends()).unwrap_or((0.0, 1.0));
            parts += &format!("<tt:Zoom x=\"{}\"/>", low + zoom * (high - low));
        }
        self.ptz("AbsoluteMove", &format!("<tptz:Position>{parts}</tptz:Position>")).await.map(drop)
    }

    /// By fractions of the picture.
    async fn by(&mut self, by: Velocity) -> Result<(), No> {
        let (pan, tilt) = (flip(by.pan, self.target.invert_pan), flip(by.tilt, self.target.invert_tilt));
        let spaces = &self.session.learn().await?.node.spaces;
        let Some(space) = spaces.relative.iter().find(|s| is_fov(s)).or(spaces.relative.first()) else {
            return Err(Fault::Unsupported("the camera cannot move by parts of its picture".into()).into());
        };
        let (x, y) = match is_fov(space) {
            // There 1 is half the picture.
            true => (pan * 2.0, tilt * 2.0),
            // There 1 is half the range, of which no more is known.
            false => (pan * PICTURE.0 / 180.0, tilt * PICTURE.1 / 90.0),
        };
        let (x, y) = (scaled(x.clamp(-1.0, 1.0), space.x.ends()), scaled(y.clamp(-1.0, 1.0), space.y.ends()));
        let mut parts = format!("<tt:PanTilt x=\"{x}\" y=\"{y}\" space=\"{}\"/>", xml::escape(space.uri.trim()));
        if by.zoom != 0.0 {
            parts += &format!("<tt:Zoom x=\"{}\"/>", by.zoom);
        }
        self.ptz("RelativeMove", &format!("<tptz:Translation>{parts}</tptz:Translation>")).await.map(drop)
    }

    async fn presets_now(&mut self) -> Result<Presets, No> {
        self.ask("GetPresets", "").await
    }

    /// A call about a preset or a tour by its token.
    async fn by_token(&mut self, name: &str, what: &str, token: &str, more: &str) -> Result<(), No> {
        let inner = format!("<tptz:{what}Token>{}</tptz:{what}Token>{more}", xml::escape(token));
        match self.ptz(name, &inner).await {
            Err(no) if no.is("NoToken") => {
                let kind = if what == "Preset" { "preset" } else { "patrol" };
                Err(Fault::NotFound(format!("there is no {kind} \"{}\"", xml::short(token))).into())
            }
            done => done.map(drop),
        }
    }

    async fn save(&mut self, id: Option<&str>, name: Option<&str>) -> Result<String, No> {
        let mut inner =
            name.map(|n| format!("<tptz:PresetName>{}</tptz:PresetName>", xml::escape(n))).unwrap_or_default();
        if let Some(id) = id {
            inner += &format!("<tptz:PresetToken>{}</tptz:PresetToken>", xml::escape(id));
        }
        match self.ask::<SetPreset>("SetPreset", &inner).await {
            Err(no) if no.is("NoToken") => Err(Fault::NotFound(format!(
                "there is no preset \"{}\"; the camera names new ones itself: POST to …/presets",
                xml::short(id.unwrap_or_default())
            ))
            .into()),
            Err(no) => Err(no),
            Ok(saved) => Ok(Some(xml::short(&saved.token))
                .filter(|t| !t.is_empty())
                .or(id.map(str::to_owned))
                .unwrap_or_default()),
        }
    }

    async fn rename(&mut self, id: &str, name: &str) -> Result<(), No> {
        let presets = self.presets_now().await?.presets;
        let preset = presets.iter().find(|p| p.token == id);
        let missing = || Fault::NotFound(format!("there is no preset \"{}\"", xml::short(id)));
        let place = preset.ok_or_else(missing)?.position.as_ref().map(|p| self.meaning(p));
        let at = self.status().await?.position.map(|p| self.meaning(&p));
        // The camera stores where it looks together with the name.
        let there = match (place, at) {
            (Some((Some(place), _)), Some((Some(at), _))) => lens::near(place, at),
            (Some((_, Some(place))), Some((_, Some(at)))) => same_part(place, at),
            _ => false,
        };
        if !there {
            return Err(Fault::Unsupported(lens::RENAME.into()).into());
        }
        self.save(Some(id), Some(name)).await.map(drop)
    }

    async fn tour(&mut self, id: &str, operation: &str) -> Result<(), No> {
        let more = format!("<tptz:Operation>{operation}</tptz:Operation>");
        self.by_token("OperatePresetTour", "PresetTour", id, &more).await
    }
}

impl Driver for Onvif {
    fn about(&mut self) -> Boxed<'_, Outcome<About>> {
        Box::pin(async move { Ok(self.find_out().await?) })
    }

    fn alone(&mut self, alone: bool) {
        self.session.alone(alone);
    }

    fn proven(&self) -> bool {
        self.session.proven()
    }

    fn ready(&mut self) -> Boxed<'_, Outcome<()>> {
        Box::pin(async move {
            self.session.settle().await?;
            self.session.learn().await?;
            Ok(())
        })
    }

    fn drive(&mut self, drive: Drive, lasts: Duration) -> Boxed<'_, Outcome<()>> {
        Box::pin(async move { Ok(self.drive_now(drive, lasts).await?) })
    }

    fn go<'a>(&'a mut self, go: &'a Go) -> Boxed<'a, Outcome<()>> {
        Box::pin(async move {
            match go {
                Go::To(to, unit) => self.to(*to, *unit).await?,
                Go::By(by) => self.by(*by).await?,
                Go::Center(x, y) => self.by(Velocity { pan: x - 0.5, tilt: 0.5 - y, zoom: 0.0 }).await?,
                Go::Preset(id) => self.by_token("GotoPreset", "Preset", id, "").await?,
                Go::Home => self.ptz("GotoHomePosition", "").await.map(drop)?,
                Go::Patrol(id) => self.tour(id, "Start").await?,
                Go::Box(_) => return Err(Fault::Unsupported("ONVIF knows no box zoom".into())),
            }
            Ok(())
        })
    }

    fn read(&mut self) -> Boxed<'_, Outcome<Reading>> {
        Box::pin(async move {
            let status = self.status().await?;
            let (position, normalized) = status.position.as_ref().map_or((None, None), |p| self.meaning(p));
            let moving = status.moving.and_then(|m| {
                let words = [m.pan_tilt.trim(), m.zoom.trim()];
                match words {
                    _ if words.contains(&"MOVING") => Some(true),
                    _ if words.contains(&"IDLE") => Some(false),
                    _ => None,
                }
            });
            Ok(Reading { position, normalized, moving })
        })
    }

    fn presets(&mut self) -> Boxed<'_, Outcome<Vec<Preset>>> {
        Box::pin(async move {
            let all = self.presets_now().await?.presets.into_iter();
            let all = all.map(|p| (xml::short(&p.token), xml::short(&p.name)));
            Ok(all
                .map(|(id, name)| Preset { name: if name.is_empty() { id.clone() } else { name }, id, enabled: true })
                .collect())
        })
    }

    fn edit<'a>(&'a mut self, edit: &'a Edit) -> Boxed<'a, Outcome<Option<String>>> {
        Box::pin(async move {
            match edit {
                Edit::Save { id, name } => return Ok(Some(self.save(id.as_deref(), name.as_deref()).await?)),
                Edit::Rename { id, name } => self.rename(id, name).await?,
                Edit::Delete(id) => self.by_token("RemovePreset", "Preset", id, "").await?,
                Edit::StopPatrol(id) => self.tour(id, "Stop").await?,
            }
            Ok(None)
        })
    }
}
