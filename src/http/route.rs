//! From a request's path to what is meant by it. Pure: no configuration, no
//! method, no rights.
//!
//! The path is percent-decoded **once** and then split at its slashes, so that
//! `/a%2Fb` and `/a/b` are one name, and what is checked is what is used. Path
//! names may have slashes, which makes `/whep/a/b` two things at once: the
//! endpoint of `a/b` and the session `b` of `a`. [`Whep::target`] decides by the
//! method: PATCH and DELETE exist only on sessions (RFC 9725 §4), everything
//! else only on endpoints.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::route_ptz::{self, Ptz};
use crate::config::{is_hls_name, valid_path_name};

/// First segments that belong to routes of later versions.
const RESERVED_FIRST: [&str; 4] = ["v3", "whip", "metrics", "openapi.json"];
/// Last segments that belong to routes of later versions.
const RESERVED_LAST: [&str; 3] = ["whip", "inside", "publish"];
/// What is escaped in a Location: all but RFC 3986's unreserved characters.
const LOCATION: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/');

/// What a request's path names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// `/`: the wall.
    Wall,
    /// `/assets/{name}`, below a version or not, and `/favicon.ico`: an embedded file.
    Asset(String),
    /// `/{path}` and `/{path}/`: the player of a path.
    Player(String),
    /// `/{path}/snapshot.jpg`: the last picture of a path.
    Snapshot(String),
    /// One of the WHEP forms.
    Whep(Whep),
    /// `/{path}/index.m3u8` and what it names.
    Hls {
        /// The path's name, not checked yet.
        path: String,
        /// What is asked for; none for `index.m3u8`.
        name: Option<String>,
    },
    /// `/ptz/…`.
    Ptz(Ptz),
    /// `/healthz`.
    Health,
    /// `/readyz`.
    Ready,
    /// A name that is reserved for a route that does not exist yet; the text is
    /// the sentence for the 404.
    Reserved(String),
    /// No name at all; the text is the sentence for the 400.
    Bad(String),
}

/// A WHEP URL, before the method tells endpoint from session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whep {
    /// Which of the two forms was asked for; a Location answers in the same.
    pub form: Form,
    /// `/whep/{rest}`, or the part before `/whep` in the other form.
    rest: String,
    /// The segment after `/whep` in the form `/{path}/whep/{secret}`.
    secret: Option<String>,
}

/// The two spellings of a WHEP URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `/whep/{path}`
    Prefix,
    /// `/{path}/whep`, MediaMTX's
    Suffix,
}

/// What a WHEP request is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// The endpoint of a path, where sessions are made.
    Endpoint {
        /// The path's name, valid.
        path: String,
    },
    /// One session.
    Session {
        /// The path's name, valid.
        path: String,
        /// What the Location ended in. Never logged.
        secret: String,
    },
}

impl Whep {
    /// Endpoint or session, given whether the method is one that only sessions
    /// know (PATCH, DELETE). The error is a sentence for a 400.
    pub fn target(&self, session_method: bool) -> Result<Target, String> {
        if let Some(secret) = &self.secret {
            if secret.is_empty() {
                return Err("the URL of a session ends in its secret, not in a slash".into());
            }
            valid_path_name(&self.rest)?;
            return Ok(Target::Session { path: self.rest.clone(), secret: secret.clone() });
        }
        if self.form == Form::Prefix
            && session_method
            && let Some((path, secret)) = self.rest.rsplit_once('/')
            && !secret.is_empty()
        {
            valid_path_name(path)?;
            return Ok(Target::Session { path: path.into(), secret: secret.into() });
        }
        if self.rest.is_empty() {
            return Err("the URL lacks the path's name: /whep/{path}".into());
        }
        valid_path_name(&self.rest)?;
        Ok(Target::Endpoint { path: self.rest.clone() })
    }
}

impl Form {
    /// The relative URL of a session, in this form: starts with `/`, holds
    /// nothing but unreserved characters, escapes and slashes: OBS takes no `?` there, and
    /// what ends a line must not get into a head.
    pub fn location(self, path: &str, secret: &str) -> String {
        let path = utf8_percent_encode(path, LOCATION);
        let secret = utf8_percent_encode(secret, LOCATION);
        match self {
            Form::Prefix => format!("/whep/{path}/{secret}"),
            Form::Suffix => format!("/{path}/whep/{secret}"),
        }
    }
}

/// Reads a raw, percent-encoded request path (without the query).
pub fn route(raw: &str) -> Route {
    let Some(raw) = raw.strip_prefix('/') else {
        return Route::Bad("the path of a URL starts with /".into());
    };
    let Ok(path) = percent_decode_str(raw).decode_utf8() else {
        return Route::Bad("the path of the URL is not UTF-8 after percent-decoding".into());
    };
    if path.chars().any(|c| c.is_control() || c == '\\') {
        return Route::Bad("the path of the URL has a control character or a backslash in it".into());
    }
    let segments: Vec<&str> = path.split('/').collect();
    match segments.as_slice() {
        [""] => return Route::Wall,
        ["healthz"] => return Route::Health,
        ["readyz"] => return Route::Ready,
        ["favicon.ico"] => return Route::Asset("favicon.ico".into()),
        ["assets", name @ ..] if !name.is_empty() => return Route::Asset(name.join("/")),
        ["assets" | "healthz" | "readyz", ..] => {
            return Route::Reserved(format!("there is nothing at /{path}"));
        }
        ["whep", rest @ ..] => {
            return Route::Whep(Whep { form: Form::Prefix, rest: rest.join("/"), secret: None });
        }
        ["ptz", rest @ ..] => return route_ptz::route(rest, raw),
        [first, ..] if RESERVED_FIRST.contains(first) => {
            return Route::Reserved(format!("/{first} is reserved and does not exist yet"));
        }
        [rest @ .., "whep"] => {
            return Route::Whep(Whep { form: Form::Suffix, rest: rest.join("/"), secret: None });
        }
        [rest @ .., "whep", secret] if !rest.is_empty() => {
            return Route::Whep(Whep { form: Form::Suffix, rest: rest.join("/"), secret: Some((*secret).into()) });
        }
        [_, .., "whip", _] => {
            return Route::Reserved("WHIP is reserved and does not exist yet".into());
        }
        [path @ .., "index.m3u8"] => return Route::Hls { path: path.join("/"), name: None },
        [path @ .., last] if !path.is_empty() && is_hls_name(last) => {
            return Route::Hls { path: path.join("/"), name: Some((*last).into()) };
        }
        [rest @ .., "snapshot.jpg"] => {
            let name = rest.join("/");
            return match valid_path_name(&name) {
                Ok(()) => Route::Snapshot(name),
                Err(reason) => Route::Bad(reason),
            };
        }
        [.., last] if RESERVED_LAST.contains(last) => {
            return Route::Reserved(format!("a URL that ends in /{last} is reserved and does not exist yet"));
        }
        _ => {}
    }
    // One slash at the end is MediaMTX's spelling of its player page.
    let name = path.strip_suffix('/').unwrap_or(&path);
    match valid_path_name(name) {
        Ok(()) => Route::Player(name.into()),
        Err(reason) => Route::Bad(reason),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn endpoint(path: &str) -> Result<Target, String> {
        Ok(Target::Endpoint { path: path.into() })
    }

    fn session(path: &str, secret: &str) -> Result<Target, String> {
        Ok(Target::Session { path: path.into(), secret: secret.into() })
    }

    fn whep(raw: &str) -> Whep {
        match route(raw) {
            Route::Whep(w) => w,
            other => panic!("{raw}: {other:?}"),
        }
    }

    #[test]
    fn the_table() {
        let player = |s: &str| Route::Player(s.into());
        for (raw, want) in [
            ("/", Route::Wall),
            ("/healthz", Route::Health),
            ("/readyz", Route::Ready),
            ("/assets/app.js", Route::Asset("app.js".into())),
            ("/assets/icons/a.svg", Route::Asset("icons/a.svg".into())),
            ("/favicon.ico", Route::Asset("favicon.ico".into())),
            ("/gate", player("gate")),
            ("/gate/", player("gate")),
            ("/site/north/gate", player("site/north/gate")),
            ("/site/north/gate/", player("site/north/gate")),
            ("/site%2Fgate", player("site/gate")),
            ("/g%61te", player("gate")),
            ("/~a_b.c-d", player("~a_b.c-d")),
            ("/healthy", player("healthy")),
            ("/gate/index.m3u8", Route::Hls { path: "gate".into(), name: None }),
            ("/a/b/hls-1_seg2.ts", Route::Hls { path: "a/b".into(), name: Some("hls-1_seg2.ts".into()) }),
            ("/a/b/hls-1", player("a/b/hls-1")),
            ("/a/b/seg.ts", player("a/b/seg.ts")),
            ("/gate/snapshot.jpg", Route::Snapshot("gate".into())),
            ("/site%2Fgate/snapshot%2Ejpg", Route::Snapshot("site/gate".into())),
        ] {
            assert_eq!(route(raw), want, "{raw}");
        }
    }

    #[test]
    fn reserved_names_are_404() {
        for raw in [
            "/v3/paths/list",
            "/v3",
            "/ptz",
            "/ptz/",
            "/ptz/gate",
            "/ptz/gate/jump",
            "/ptz/gate/patrol/1",
            "/whip/gate",
            "/metrics",
            "/openapi.json",
            "/gate/whip",
            "/gate/whip/s",
            "/gate/inside",
            "/a/b/publish",
            "/healthz/",
            "/readyz/x",
            "/assets",
        ] {
            assert!(matches!(route(raw), Route::Reserved(_)), "{raw}: {:?}", route(raw));
        }
    }

    #[test]
    fn no_names_are_400() {
        for raw in [
            "",
            "*",
            "gate",
            "//",
            "//gate",
            "/gate//",
            "/a//b",
            "/..",
            "/a/../b",
            "/a/./b",
            "/%2e%2e/etc",
            "/a%00b",
            "/a%0d%0ab",
            "/a%20b",
            "/a b",
            "/%ff",
            "/%",
            "/%zz",
            "/a%252Fb",
            "/a\\b",
            "/a%5cb",
            "/ä",
            "/a:b",
            "/snapshot.jpg",
            "/a//snapshot.jpg",
            "/gate/inside/snapshot.jpg",
            "/a?b",
        ] {
            assert!(matches!(route(raw), Route::Bad(_)), "{raw}: {:?}", route(raw));
        }
    }

    #[test]
    fn both_whep_forms() {
        let w = whep("/whep/gate");
        assert_eq!((w.form, w.target(false)), (Form::Prefix, endpoint("gate")));
        assert_eq!(w.target(true), endpoint("gate"), "PATCH there is a 405, not a session");
        let w = whep("/site/gate/whep");
        assert_eq!((w.form, w.target(false)), (Form::Suffix, endpoint("site/gate")));
        assert_eq!(w.target(true), endpoint("site/gate"));
        let w = whep("/site/gate/whep/s3cret");
        assert_eq!(w.target(false), session("site/gate", "s3cret"));
        assert_eq!(w.target(true), session("site/gate", "s3cret"));
        let w = whep("/whep/site/gate");
        assert_eq!(w.target(false), endpoint("site/gate"));
        assert_eq!(w.target(true), session("site", "gate"));
        assert_eq!(whep("/whep/a/b/s").target(true), session("a/b", "s"));
        assert_eq!(whep("/whep/a%2Fb").target(false), endpoint("a/b"));
    }

    #[test]
    fn whep_urls_that_name_nothing() {
        for raw in ["/whep", "/whep/", "/whep/a//b", "/gate//whep", "/whep/../x", "/whep/gate/", "/whep/a/whep/b"] {
            assert!(whep(raw).target(false).is_err(), "{raw}");
        }
        for raw in ["/gate/whep/", "/whep/v3/x", "/whep/a b/s", "/whep/gate/"] {
            assert!(whep(raw).target(true).is_err(), "{raw}");
        }
    }

    #[test]
    fn locations_come_in_the_form_of_the_request() {
        assert_eq!(Form::Prefix.location("a/b", "x_-9"), "/whep/a/b/x_-9");
        assert_eq!(Form::Suffix.location("a/b", "x_-9"), "/a/b/whep/x_-9");
        assert_eq!(Form::Suffix.location("a", "x?\r\ny"), "/a/whep/x%3F%0D%0Ay");
    }

    proptest! {
        #[test]
        fn any_valid_name_is_found_in_every_form(name in "[0-9A-Za-z_~-]{1,8}(/[0-9A-Za-z_~-]{1,8}){0,3}") {
            prop_assume!(valid_path_name(&name).is_ok());
            // Every byte escaped must read the same as none.
            let escaped: String = name.bytes().map(|b| format!("%{b:02x}")).collect();
            for spelling in [&name, &escaped] {
                prop_assert_eq!(route(&format!("/{spelling}")), Route::Player(name.clone()));
                prop_assert_eq!(whep(&format!("/whep/{spelling}")).target(false), endpoint(&name));
                prop_assert_eq!(whep(&format!("/{spelling}/whep")).target(false), endpoint(&name));
            }
            for form in [Form::Prefix, Form::Suffix] {
                let location = form.location(&name, "s-_1");
                prop_assert_eq!(whep(&location).target(true), session(&name, "s-_1"));
                prop_assert_eq!(whep(&location).form, form);
            }
        }

        #[test]
        fn nothing_invalid_comes_out(raw in "/?([a-z.%2fF0-9/~ \\\\]|whep|whip|\\PC){0,12}") {
            match route(&raw) {
                Route::Player(name) => prop_assert!(valid_path_name(&name).is_ok()),
                Route::Whep(w) => for session_method in [false, true] {
                    match w.target(session_method) {
                        Ok(Target::Endpoint { path }) => prop_assert!(valid_path_name(&path).is_ok()),
                        Ok(Target::Session { path, secret }) => {
                            prop_assert!(valid_path_name(&path).is_ok());
                            prop_assert!(!secret.is_empty());
                        }
                        Err(reason) => prop_assert!(!reason.is_empty()),
                    }
                },
                _ => {}
            }
        }
    }
}
