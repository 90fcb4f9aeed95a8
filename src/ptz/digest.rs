//! HTTP Digest (RFC 7616) that keeps its nonce: from the second request on there is no 401.

use digest_auth::{AuthContext, HttpMethod, WwwAuthenticateHeader};

/// What a camera's challenges come to.
#[derive(Debug)]
pub enum Challenge {
    /// Answer this.
    Digest(Box<Digest>),
    /// Only the password in the clear is wanted.
    Basic,
    /// Nothing that can be answered.
    Unknown,
}

/// A challenge that can be answered again and again, each time with the next count.
#[derive(Debug)]
pub struct Digest {
    prompt: WwwAuthenticateHeader,
}

impl Digest {
    /// Reads the values of `WWW-Authenticate`.
    pub fn challenge<'a>(values: impl IntoIterator<Item = &'a str>) -> Challenge {
        let mut basic = false;
        for value in values {
            let lower = value.to_ascii_lowercase();
            // Several challenges may stand in one field.
            if let Some(at) = lower.find("digest ")
                && let Ok(prompt) = digest_auth::parse(&format!("Digest {}", &value[at + "digest ".len()..]))
            {
                return Challenge::Digest(Box::new(Digest { prompt }));
            }
            basic |= lower.contains("basic");
        }
        if basic { Challenge::Basic } else { Challenge::Unknown }
    }

    /// Whether the camera knew the password and only wants a new nonce.
    pub fn stale(&self) -> bool {
        self.prompt.stale
    }

    /// The value of `Authorization` for a request; `uri` is its path and query. None where
    /// the camera wants what cannot be computed.
    pub fn answer(&mut self, user: &str, password: &str, method: &str, uri: &str, body: &[u8]) -> Option<String> {
        let method = match method {
            "GET" => HttpMethod::GET,
            "POST" => HttpMethod::POST,
            "PUT" => HttpMethod::PUT,
            "DELETE" => HttpMethod::DELETE,
            _ => return None,
        };
        let context = AuthContext::new_with_method(user, password, uri, Some(body), method);
        self.prompt.respond(&context).ok().map(|header| header.to_header_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(values: &[&str]) -> Digest {
        match Digest::challenge(values.iter().copied()) {
            Challenge::Digest(digest) => *digest,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_count_goes_up_with_one_nonce() {
        let mut d = digest(&["Digest qop=\"auth\", realm=\"IP Camera(C2183)\", nonce=\"abc\", stale=\"FALSE\""]);
        assert!(!d.stale());
        for n in 1..4 {
            let header = d.answer("u", "p@ss%:/w?#x", "PUT", "/ISAPI/x", b"").unwrap();
            assert!(header.contains(&format!("nc=0000000{n}")) && header.contains("nonce=\"abc\""), "{header}");
            assert!(header.contains("qop=auth") && header.contains("uri=\"/ISAPI/x\""), "{header}");
        }
    }

    #[test]
    fn challenges_come_in_any_order_and_shape() {
        assert!(
            digest(&["Basic realm=\"x\"", "Digest realm=\"x\", nonce=\"n\", stale=\"TRUE\", qop=\"auth\""]).stale()
        );
        digest(&["Basic realm=\"x\", Digest realm=\"x\", nonce=\"n\", qop=\"auth\""]);
        digest(&["digest realm=\"x\", nonce=\"n\""]);
        assert!(matches!(Digest::challenge(["Basic realm=\"x\""]), Challenge::Basic));
        assert!(matches!(Digest::challenge(["Bearer"]), Challenge::Unknown));
        assert!(matches!(Digest::challenge(["Digest x"]), Challenge::Unknown));
        assert!(matches!(Digest::challenge([]), Challenge::Unknown));
    }
}
