//! What a URL below `/ptz` means. Pure; part of [`super::route`].

use percent_encoding::percent_decode_str;

use super::route::Route;
use crate::config::valid_path_name;

/// What a PTZ request is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ptz {
    /// `/ptz/cameras`: all that may be steered.
    Cameras,
    /// `/ptz/{path}/…`
    Camera {
        /// The path's name, valid.
        path: String,
        /// What is to be done with its camera.
        steer: Steer,
    },
}

/// What can be done with a camera.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Steer {
    /// `/move`
    Move,
    /// `/stop`
    Stop,
    /// `/home`
    Home,
    /// `/boxzoom`
    Box,
    /// `/center`
    Center,
    /// `/focus`
    Focus,
    /// `/iris`
    Iris,
    /// `/status`
    Status,
    /// `/presets`
    Presets,
    /// `/preset/{id}`; the id is not checked yet.
    Preset(String),
    /// `/patrol/{id}/start` and `/stop`; the id is not checked yet.
    Patrol {
        /// Which.
        id: String,
        /// Whether it is to begin.
        start: bool,
    },
}

/// What is behind `/ptz/`. Path names may have slashes, so that the end decides; what is
/// behind the last `preset` is an id, and a path that ends so cannot be named here.
///
/// `rest`: the segments, decoded; `raw`: the path of the URL as it came, where the slashes of
/// an id are told apart from those around it, since they are encoded.
pub fn route(rest: &[&str], raw: &str) -> Route {
    // invariant: the whole was UTF-8 when it was decoded, and so are its pieces.
    let raw: Vec<_> = raw.split('/').skip(1).map(|s| percent_decode_str(s).decode_utf8_lossy()).collect();
    let raw: Vec<&str> = raw.iter().map(AsRef::as_ref).collect();
    let slashed = |id: &str| id.contains('/');
    // A name may be encoded as a whole; only where an id is in question its slashes count.
    let rest = match raw.as_slice() {
        [.., "preset", id] if slashed(id) => raw.as_slice(),
        [.., "patrol", id, "start" | "stop"] if slashed(id) => raw.as_slice(),
        _ => rest,
    };
    let (path, steer) = match rest {
        ["cameras"] => return Route::Ptz(Ptz::Cameras),
        [path @ .., "patrol", id, verb @ ("start" | "stop")] if !path.is_empty() => {
            (path, Steer::Patrol { id: (*id).into(), start: *verb == "start" })
        }
        [path @ .., "preset", id] if !path.is_empty() => (path, Steer::Preset((*id).into())),
        [path @ .., verb] => {
            let steer = match *verb {
                "move" => Steer::Move,
                "stop" => Steer::Stop,
                "home" => Steer::Home,
                "boxzoom" => Steer::Box,
                "center" => Steer::Center,
                "focus" => Steer::Focus,
                "iris" => Steer::Iris,
                "status" => Steer::Status,
                "presets" => Steer::Presets,
                _ => return Route::Reserved("there is nothing at this URL below /ptz".into()),
            };
            (path, steer)
        }
        [] => return Route::Reserved("there is nothing at /ptz itself, but at /ptz/cameras".into()),
    };
    let path = path.join("/");
    match valid_path_name(&path) {
        Ok(()) => Route::Ptz(Ptz::Camera { path, steer }),
        Err(reason) => Route::Bad(reason),
    }
}

#[cfg(test)]
mod tests {
    use super::super::route::route;
    use super::*;

    #[test]
    fn ptz_by_the_end() {
        let camera = |path: &str, steer| Route::Ptz(Ptz::Camera { path: path.into(), steer });
        for (raw, want) in [
            ("/ptz/cameras", Route::Ptz(Ptz::Cameras)),
            ("/ptz/gate/move", camera("gate", Steer::Move)),
            ("/ptz/site/north/gate/stop", camera("site/north/gate", Steer::Stop)),
            ("/ptz/site%2Fgate/st%61tus", camera("site/gate", Steer::Status)),
            ("/ptz/cameras/presets", camera("cameras", Steer::Presets)),
            ("/ptz/move/move", camera("move", Steer::Move)),
            ("/ptz/a/b/preset/7", camera("a/b", Steer::Preset("7".into()))),
            ("/ptz/a/preset/stop", camera("a", Steer::Preset("stop".into()))),
            ("/ptz/a/preset/P%20%C3%A4", camera("a", Steer::Preset("P ä".into()))),
            ("/ptz/a/patrol/2/start", camera("a", Steer::Patrol { id: "2".into(), start: true })),
            ("/ptz/a/b/patrol/2/stop", camera("a/b", Steer::Patrol { id: "2".into(), start: false })),
            ("/ptz/preset/home", camera("preset", Steer::Home)),
            // A camera's ids may have slashes.
            ("/ptz/a/b/preset/P%2F1", camera("a/b", Steer::Preset("P/1".into()))),
            ("/ptz/a%2Fb/preset/x%2fstop", camera("a/b", Steer::Preset("x/stop".into()))),
            ("/ptz/a/preset/preset%2F7", camera("a", Steer::Preset("preset/7".into()))),
            ("/ptz/a/preset/%2F", camera("a", Steer::Preset("/".into()))),
            ("/ptz/a/patrol/1%2F2/start", camera("a", Steer::Patrol { id: "1/2".into(), start: true })),
            ("/ptz/a%2Fpreset%2F7", camera("a", Steer::Preset("7".into()))),
        ] {
            assert_eq!(route(raw), want, "{raw}");
        }
        for raw in ["/ptz/move", "/ptz//move", "/ptz/a//stop", "/ptz/../status", "/ptz/v3/a/move", "/ptz/ä/move"] {
            assert!(matches!(route(raw), Route::Bad(_)), "{raw}: {:?}", route(raw));
        }
    }
}
