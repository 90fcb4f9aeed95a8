//! The bodies of PTZ requests: from JSON to what is asked. Pure. Every error is a 400
//! that names the field.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::config::{LONGEST_MOVE, SHORTEST_MOVE};
use crate::error::{Error, Kind, Result};
use crate::ptz::{Ask, Drive, Frame, Go, Position, Unit, Velocity};

/// The longest id or name of a preset.
const MAX_NAME: usize = 64;

/// `POST …/move`
pub fn movement(body: &[u8]) -> Result<Ask> {
    let mut fields = Fields::read(body)?;
    let ask = match fields.text("mode")?.as_deref() {
        None | Some("continuous") => {
            let velocity = fields.velocity()?;
            Ask::Drive(Drive::Move(velocity), fields.timeout()?)
        }
        Some("relative") => Ask::Go(Go::By(fields.velocity()?)),
        Some("absolute") => {
            let (unit, angle, tilt, zoom) = match fields.text("unit")?.as_deref() {
                None | Some("degrees") => (Unit::Degrees, -360.0..=360.0, -180.0..=270.0, 1.0..=1000.0),
                Some("normalized") => (Unit::Normalized, -1.0..=1.0, -1.0..=1.0, 0.0..=1.0),
                Some(_) => return Err(bad("unit must be degrees or normalized")),
            };
            let position = Position {
                pan: fields.number("pan", angle)?,
                tilt: fields.number("tilt", tilt)?,
                zoom: fields.number("zoom", zoom)?,
            };
            if position == Position::default() {
                return Err(bad("pan, tilt and zoom are all missing: an absolute move needs one of them"));
            }
            Ask::Go(Go::To(position, unit))
        }
        Some(_) => return Err(bad("mode must be continuous, relative or absolute")),
    };
    fields.end()?;
    Ok(ask)
}

/// `POST …/focus` and `…/iris`: `{"speed": -1..1}`.
pub fn speed(body: &[u8], drive: impl FnOnce(f64) -> Drive) -> Result<Ask> {
    let mut fields = Fields::read(body)?;
    let speed = fields.needed("speed", -1.0..=1.0)?;
    let timeout = fields.timeout()?;
    fields.end()?;
    Ok(Ask::Drive(drive(speed), timeout))
}

/// `POST …/boxzoom`: `{"x", "y", "width", "height"}` in fractions of the picture, and
/// `"out": true` for the way back.
pub fn frame(body: &[u8]) -> Result<Ask> {
    let mut fields = Fields::read(body)?;
    let frame = Frame {
        x: fields.needed("x", 0.0..=1.0)?,
        y: fields.needed("y", 0.0..=1.0)?,
        width: fields.needed("width", 0.0..=1.0)?,
        height: fields.needed("height", 0.0..=1.0)?,
        out: fields.flag("out")?,
    };
    fields.end()?;
    for (name, from, size) in [("width", frame.x, frame.width), ("height", frame.y, frame.height)] {
        if size < 0.01 {
            return Err(bad(format!("{name} must be at least 0.01")));
        }
        // A hair of tolerance, for what a page's arithmetic leaves.
        if from + size > 1.000_001 {
            return Err(bad(format!("{name} reaches beyond the picture")));
        }
    }
    Ok(Ask::Go(Go::Box(frame)))
}

/// `POST …/center`: `{"x", "y"}` in fractions of the picture.
pub fn center(body: &[u8]) -> Result<Ask> {
    let mut fields = Fields::read(body)?;
    let (x, y) = (fields.needed("x", 0.0..=1.0)?, fields.needed("y", 0.0..=1.0)?);
    fields.end()?;
    Ok(Ask::Go(Go::Center(x, y)))
}

/// `{"name": …}`, or nothing.
pub fn name(body: &[u8]) -> Result<Option<String>> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(None);
    }
    let mut fields = Fields::read(body)?;
    let name = fields.text("name")?;
    fields.end()?;
    name.map(|name| short("name", name)).transpose()
}

/// The id of a preset or patrol, as the URL has it.
pub fn id(id: String) -> Result<String> {
    short("the preset's or patrol's id", id)
}

fn short(what: &str, text: String) -> Result<String> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > MAX_NAME || text.chars().any(char::is_control) {
        return Err(bad(format!("{what} must have 1 to {MAX_NAME} characters, and no control characters")));
    }
    Ok(text.to_owned())
}

fn bad(text: impl Into<String>) -> Error {
    Error::new(Kind::BadRequest, text)
}

/// An object's fields; each is taken out as it is read, and none may be left.
struct Fields(Map<String, Value>);

impl Fields {
    fn read(body: &[u8]) -> Result<Fields> {
        match serde_json::from_slice(body) {
            Ok(Value::Object(map)) => Ok(Fields(map)),
            Ok(_) => Err(bad("the body must be a JSON object like {\"pan\": 0.5}")),
            Err(_) if body.is_empty() => Err(bad("the body is empty; it must be a JSON object like {\"pan\": 0.5}")),
            Err(error) => {
                // NaN and 1e999 are no JSON: say at which field.
                let field = field_at(body, &error).map(|name| format!(" at \"{name}\"")).unwrap_or_default();
                Err(bad(format!("the body is not JSON{field}: a number is written like 0.5 ({error})")))
            }
        }
    }

    fn take(&mut self, name: &str) -> Option<Value> {
        self.0.remove(name).filter(|value| !value.is_null())
    }

    fn number(&mut self, name: &str, range: std::ops::RangeInclusive<f64>) -> Result<Option<f64>> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let must = || bad(format!("{name} must be a number from {} to {}", range.start(), range.end()));
        let number = value.as_f64().filter(|n| n.is_finite() && range.contains(n)).ok_or_else(must)?;
        // No minus zero: it would be told apart from zero in XML.
        Ok(Some(number + 0.0))
    }

    fn needed(&mut self, name: &str, range: std::ops::RangeInclusive<f64>) -> Result<f64> {
        let missing = || bad(format!("{name} is missing: a number from {} to {}", range.start(), range.end()));
        self.number(name, range.clone())?.ok_or_else(missing)
    }

    fn velocity(&mut self) -> Result<Velocity> {
        let mut part = |name| self.number(name, -1.0..=1.0).map(|n| n.unwrap_or(0.0));
        Ok(Velocity { pan: part("pan")?, tilt: part("tilt")?, zoom: part("zoom")? })
    }

    /// Milliseconds.
    fn timeout(&mut self) -> Result<Option<Duration>> {
        let ms = |d: Duration| d.as_millis() as f64;
        let timeout = self.number("timeout", ms(SHORTEST_MOVE)..=ms(LONGEST_MOVE))?;
        Ok(timeout.map(|ms| Duration::from_millis(ms as u64)))
    }

    fn text(&mut self, name: &str) -> Result<Option<String>> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(bad(format!("{name} must be a text"))),
        }
    }

    fn flag(&mut self, name: &str) -> Result<bool> {
        match self.take(name) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(flag),
            Some(_) => Err(bad(format!("{name} must be true or false"))),
        }
    }

    /// Errors when something is left: a misspelt field would be a zero.
    fn end(self) -> Result<()> {
        match self.0.keys().next() {
            None => Ok(()),
            Some(name) => {
                let name: String = name.chars().filter(|c| !c.is_control()).take(MAX_NAME).collect();
                Err(bad(format!("there is no field \"{name}\" here")))
            }
        }
    }
}

/// The last field that begins before an error of syntax.
fn field_at(body: &[u8], error: &serde_json::Error) -> Option<String> {
    let text = std::str::from_utf8(body).ok()?;
    let line_start: usize =
        text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum::<usize>();
    let end = (line_start + error.column()).min(text.len());
    let before = text.get(..end).or_else(|| text.get(..line_start))?;
    let colon = before.rfind("\":").or_else(|| before.rfind("\" :"))?;
    let start = before[..colon].rfind('"')? + 1;
    let name = &before[start..colon];
    (!name.is_empty() && name.len() <= MAX_NAME && name.chars().all(|c| c.is_ascii_alphanumeric()))
        .then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn refused(result: Result<Ask>, names: &str) {
        let error = result.unwrap_err();
        assert_eq!(error.kind, Kind::BadRequest);
        assert!(error.message.contains(names), "{}", error.message);
    }

    #[test]
    fn moves() {
        let v = |pan, tilt, zoom| Velocity { pan, tilt, zoom };
        for (body, want) in [
            (r#"{"pan":1}"#, Ask::Drive(Drive::Move(v(1.0, 0.0, 0.0)), None)),
            (r#"{"pan":0.35,"tilt":-1,"zoom":null}"#, Ask::Drive(Drive::Move(v(0.35, -1.0, 0.0)), None)),
            (
                r#"{"zoom":-0.0,"timeout":500}"#,
                Ask::Drive(Drive::Move(v(0.0, 0.0, 0.0)), Some(Duration::from_millis(500))),
            ),
            (r#"{"mode":"continuous","tilt":1.0}"#, Ask::Drive(Drive::Move(v(0.0, 1.0, 0.0)), None)),
            (r#"{"mode":"relative","pan":0.1}"#, Ask::Go(Go::By(v(0.1, 0.0, 0.0)))),
            (
                r#"{"mode":"absolute","pan":135.0,"zoom":4}"#,
                Ask::Go(Go::To(Position { pan: Some(135.0), tilt: None, zoom: Some(4.0) }, Unit::Degrees)),
            ),
            (
                r#"{"mode":"absolute","unit":"normalized","tilt":-1}"#,
                Ask::Go(Go::To(Position { pan: None, tilt: Some(-1.0), zoom: None }, Unit::Normalized)),
            ),
        ] {
            assert_eq!(movement(body.as_bytes()).unwrap(), want, "{body}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (body, names) in [
            (r#"{"pan":1.01}"#, "pan"),
            (r#"{"tilt":-2}"#, "tilt"),
            (r#"{"pan":0,"zoom":"1"}"#, "zoom"),
            (r#"{"pan":0, "zoom": NaN}"#, "\"zoom\""),
            (r#"{"pan":1e999}"#, "\"pan\""),
            ("{\n\"tilt\" : -Infinity}", "\"tilt\""),
            (r#"{"pan":"NaN"}"#, "pan"),
            (r#"{"pan":[1]}"#, "pan"),
            (r#"{"timeout":49,"pan":1}"#, "timeout"),
            (r#"{"timeout":60001}"#, "timeout"),
            (r#"{"tlit":1}"#, "tlit"),
            (r#"{"mode":"fast"}"#, "mode"),
            (r#"{"mode":1}"#, "mode"),
            (r#"{"mode":"relative","timeout":500}"#, "timeout"),
            (r#"{"mode":"absolute"}"#, "pan, tilt and zoom"),
            (r#"{"mode":"absolute","pan":361}"#, "pan"),
            (r#"{"mode":"absolute","zoom":0}"#, "zoom"),
            (r#"{"mode":"absolute","unit":"rad","pan":1}"#, "unit"),
            (r#"{"mode":"absolute","unit":"normalized","pan":1.5}"#, "pan"),
            ("[]", "object"),
            ("", "empty"),
            ("{", "JSON"),
            ("\u{0}", "JSON"),
        ] {
            refused(movement(body.as_bytes()), names);
        }
        refused(movement(b"\xff\xfe"), "JSON");
    }

    #[test]
    fn the_other_bodies() {
        let focus = speed(br#"{"speed":-0.5,"timeout":1000}"#, Drive::Focus).unwrap();
        assert_eq!(focus, Ask::Drive(Drive::Focus(-0.5), Some(Duration::from_secs(1))));
        refused(speed(b"{}", Drive::Iris), "speed");
        let whole = Frame { x: 0.0, y: 0.0, width: 1.0, height: 1.0, out: false };
        assert_eq!(frame(br#"{"x":0,"y":0,"width":1,"height":1}"#).unwrap(), Ask::Go(Go::Box(whole)));
        assert!(frame(br#"{"x":0.1,"y":0.7,"width":0.2,"height":0.3,"out":true}"#).is_ok());
        refused(frame(br#"{"x":0.5,"y":0,"width":0.6,"height":0.1}"#), "width");
        refused(frame(br#"{"x":0.5,"y":0,"width":0.1,"height":0}"#), "height");
        refused(frame(br#"{"x":0.5,"y":0,"width":0.1}"#), "height");
        refused(frame(br#"{"x":0,"y":0,"width":1,"height":1,"out":1}"#), "out");
        assert_eq!(center(br#"{"x":0.25,"y":1}"#).unwrap(), Ask::Go(Go::Center(0.25, 1.0)));
        refused(center(br#"{"x":-0.1,"y":1}"#), "x");
        assert_eq!(name(b" \n").unwrap(), None);
        assert_eq!(name(b"{}").unwrap(), None);
        assert_eq!(name(br#"{"name":" Front gate "}"#).unwrap().as_deref(), Some("Front gate"));
        for body in [r#"{"name":""}"#, r#"{"name":1}"#, r#"{"name":"a\u0000"}"#, r#"{"nam":"a"}"#] {
            assert!(name(body.as_bytes()).is_err(), "{body}");
        }
        assert!(name(format!(r#"{{"name":"{}"}}"#, "x".repeat(65)).as_bytes()).is_err());
    }

    proptest! {
        #[test]
        fn whatever_comes_the_numbers_are_in_range(body in "\\PC{0,80}", pan in any::<f64>(), zoom in any::<f64>()) {
            for body in [body, format!(r#"{{"pan":{pan},"zoom":{zoom}}}"#)] {
                if let Ok(Ask::Drive(Drive::Move(v), _)) = movement(body.as_bytes()) {
                    prop_assert!([v.pan, v.tilt, v.zoom].iter().all(|n| n.abs() <= 1.0));
                }
                let _ = frame(body.as_bytes());
                let _ = center(body.as_bytes());
                let _ = name(body.as_bytes());
            }
        }
    }
}
