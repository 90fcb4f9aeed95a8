//! Who we are: Basic (RFC 7617) and Digest (RFC 2617, RFC 7616). The password leaves here
//! only inside an `Authorization`, and no text of it is kept for logs. Pure.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use digest_auth::{AuthContext, HttpMethod, WwwAuthenticateHeader};

use crate::redact::Secret;

/// The credentials for one camera, and what it wants to see of them.
pub struct Auth {
    user: Option<String>,
    password: Secret,
    wanted: Option<Wanted>,
    /// The camera has accepted them: a new challenge is about the nonce alone.
    proven: bool,
    /// The camera itself, and nobody whom it sent us to: the password may go in the clear.
    at_home: bool,
}

enum Wanted {
    Basic,
    Digest(Box<WwwAuthenticateHeader>),
}

impl Auth {
    /// Without a user nothing is ever answered.
    pub fn new(user: Option<&str>, password: Option<&Secret>) -> Self {
        let password = Secret::new(password.map(|p| p.expose().to_owned()).unwrap_or_default());
        Auth { user: user.map(str::to_owned), password, wanted: None, proven: false, at_home: true }
    }

    /// Somebody else is asked from now on, whether or not on the camera's own host.
    pub fn sent_elsewhere(&mut self, same_host: bool) {
        self.wanted = None;
        self.proven = false;
        self.at_home &= same_host;
    }

    /// A request went through; `shown`: with credentials.
    pub fn accepted(&mut self, shown: bool) {
        self.proven |= shown;
    }

    /// A 401 with the values of `WWW-Authenticate` came. Whether to ask once more: not when
    /// the camera has seen the password and did not like it, for that locks accounts.
    pub fn challenged<'a>(&mut self, values: impl Iterator<Item = &'a str>, shown: bool) -> bool {
        if self.user.is_none() {
            return false;
        }
        let Some(wanted) = challenge(values) else { return false };
        let again = match &wanted {
            Wanted::Digest(prompt) => !shown || prompt.stale || self.proven,
            Wanted::Basic => !shown && self.at_home,
        };
        self.proven = false;
        self.wanted = Some(wanted);
        again
    }

    /// The value of `Authorization`, once the camera wants one.
    pub fn header(&mut self, method: &str, url: &str) -> Option<String> {
        let (user, password) = (self.user.as_deref()?, self.password.expose());
        match self.wanted.as_mut()? {
            Wanted::Basic if self.at_home => Some(format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))),
            Wanted::Basic => None,
            Wanted::Digest(prompt) => {
                let method = HttpMethod(method.into());
                let context = AuthContext::new_with_method(user, password, url, None::<&[u8]>, method);
                prompt.respond(&context).ok().map(|header| header.to_header_string())
            }
        }
    }
}

/// Digest where it can be answered, otherwise Basic where it is offered.
fn challenge<'a>(values: impl Iterator<Item = &'a str>) -> Option<Wanted> {
    let mut basic = false;
    for value in values {
        let (value, realm) = without_realm(value);
        // The library counts characters and cuts bytes.
        if !value.is_ascii() {
            continue;
        }
        let lower = value.to_ascii_lowercase();
        // Several challenges may stand in one field.
        if let Some(at) = lower.find("digest ") {
            let text = spelled(value.get(at + "digest ".len()..).unwrap_or_default());
            if let Ok(mut prompt) = digest_auth::parse(&format!("Digest {text}")) {
                prompt.realm = realm.unwrap_or(prompt.realm);
                return Some(Wanted::Digest(Box::new(prompt)));
            }
        }
        basic |= lower.contains("basic");
    }
    basic.then_some(Wanted::Basic)
}

/// A realm in another script is taken out, and put back into what the library has read.
fn without_realm(value: &str) -> (String, Option<String>) {
    const REALM: &str = "realm=\"";
    // Lower case of ASCII alone: every byte stays in its place.
    let from = value.to_ascii_lowercase().find(REALM).map(|at| at + REALM.len()).filter(|_| !value.is_ascii());
    let until = from.and_then(|from| value.get(from..)?.find('"').map(|n| from + n));
    let (Some(from), Some(until)) = (from, until) else { return (value.to_owned(), None) };
    let part = |range: std::ops::Range<usize>| value.get(range).unwrap_or_default();
    (format!("{}x{}", part(0..from), part(until..value.len())), Some(part(from..until).to_owned()))
}

/// Names of algorithms as the library spells them; cameras write `md5`, too.
fn spelled(text: &str) -> String {
    let lower = text.to_ascii_lowercase();
    let Some(at) = lower.find("algorithm=") else { return text.to_owned() };
    let from = at + "algorithm=".len();
    let until = lower.get(from..).and_then(|rest| rest.find([',', ' '])).map_or(lower.len(), |n| from + n);
    let name = text.get(from..until).unwrap_or_default();
    let upper = name.to_ascii_uppercase().replace("-SESS", "-sess");
    format!("{}{upper}{}", text.get(..from).unwrap_or_default(), text.get(until..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn auth(user: &str, password: &str) -> Auth {
        Auth::new(Some(user), Some(&Secret::new(password.to_owned())))
    }

    /// The answer with the vector's own cnonce.
    fn answer(challenge_text: &str, user: &str, password: &str, uri: &str, cnonce: &str) -> String {
        let Some(Wanted::Digest(mut prompt)) = challenge([challenge_text].into_iter()) else {
            panic!("{challenge_text}")
        };
        let mut context = AuthContext::new_with_method(user, password, uri, None::<&[u8]>, HttpMethod("GET".into()));
        context.set_custom_cnonce(cnonce);
        prompt.respond(&context).unwrap().response
    }

    #[test]
    fn the_vectors_of_the_rfcs() {
        // RFC 2617 §3.5.
        let old = "Digest realm=\"testrealm@host.com\", qop=\"auth,auth-int\", \
                   nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\", opaque=\"5ccc069c403ebaf9f0171e9517f40e41\"";
        assert_eq!(
            answer(old, "Mufasa", "Circle Of Life", "/dir/index.html", "0a4f113b"),
            "6629fae49393a05397450978507c4ef1"
        );
        // The same without qop (RFC 2069).
        let older = "Digest realm=\"testrealm@host.com\", nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\"";
        assert_eq!(
            answer(older, "Mufasa", "Circle Of Life", "/dir/index.html", ""),
            "670fd8c2df070c60b045671b8b24ff02"
        );
        // RFC 7616 §3.9.1, MD5 and SHA-256.
        for (name, response) in [
            ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
            ("md5", "8ca523f5e9506fed4657c9700eebdbec"),
            ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
            ("sha-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
        ] {
            let text = format!(
                "Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", algorithm={name}, \
                 nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", \
                 opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\""
            );
            let cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
            assert_eq!(answer(&text, "Mufasa", "Circle of Life", "/dir/index.html", cnonce), response, "{name}");
        }
    }

    #[test]
    fn a_realm_in_another_script() {
        use md5::{Digest as _, Md5};
        let hex = |text: &str| Md5::digest(text).iter().map(|b| format!("{b:02x}")).collect::<String>();
        let mut a = auth("oper", "p");
        assert!(a.challenged(["Digest realm=\"摄像机 1\", nonce=\"n\""].into_iter(), false));
        let header = a.header("PLAY", "rtsp://c/").unwrap();
        let response = hex(&format!("{}:n:{}", hex("oper:摄像机 1:p"), hex("PLAY:rtsp://c/")));
        assert!(header.contains("realm=\"摄像机 1\"") && header.contains(&response), "{header}");
        assert!(!auth("oper", "p").challenged(["Digest realm=\"é, nonce=é\""].into_iter(), false));
    }

    proptest! {
        #![proptest_config(crate::fuzz::cases(1_000))]

        #[test]
        fn fuzz_challenges(text in prop_oneof!["(Digest|digest) (realm=\"[^\r\n]{0,6}\", )?nonce=\"[^\r\n]{0,6}\"[ ,a-z=\"é]{0,20}", "\\PC{0,60}"]) {
            let mut a = auth("oper", "p");
            a.challenged([text.as_str()].into_iter(), false);
            let _ = a.header("PLAY", "rtsp://c/");
        }
    }

    #[test]
    fn a_password_is_shown_once() {
        let digest = || ["Digest realm=\"c\", nonce=\"1\""].into_iter();
        let stale = || ["Digest realm=\"c\", nonce=\"2\", stale=TRUE"].into_iter();
        let mut a = auth("oper", "p");
        assert_eq!(a.header("DESCRIBE", "rtsp://c/"), None, "nobody asked");
        assert!(a.challenged(digest(), false));
        assert!(a.header("DESCRIBE", "rtsp://c/").unwrap().contains("username=\"oper\""));
        assert!(!a.challenged(digest(), true), "not twice");
        let mut a = auth("oper", "p");
        assert!(a.challenged(digest(), false) && a.challenged(stale(), true));
        assert!(a.header("PLAY", "rtsp://c/").unwrap().contains("nonce=\"2\""));
        // A camera that took it and forgets its nonce without saying so; once.
        let mut a = auth("oper", "p");
        assert!(a.challenged(digest(), false));
        a.accepted(true);
        assert!(a.challenged(digest(), true) && !a.challenged(digest(), true));
    }

    #[test]
    fn the_password_in_the_clear_stays_with_the_camera() {
        let basic = || ["Basic realm=\"c\""].into_iter();
        let mut a = auth("oper", "p");
        assert!(a.challenged(basic(), false));
        assert_eq!(a.header("SETUP", "x").as_deref(), Some("Basic b3Blcjpw"));
        a.sent_elsewhere(false);
        assert!(a.header("SETUP", "x").is_none() && !a.challenged(basic(), false));
        assert!(a.header("SETUP", "x").is_none());
        let mut nobody = Auth::new(None, None);
        assert!(!nobody.challenged(basic(), false));
        assert!(!auth("oper", "p").challenged(["Bearer", "Digest é", "Digest x"].into_iter(), false));
        assert!(matches!(
            challenge(["Basic realm=\"x\", Digest realm=\"x\", nonce=\"n\""].into_iter()),
            Some(Wanted::Digest(_))
        ));
    }
}
