//! How cameras check credentials: HTTP Digest (RFC 7616, MD5, `qop=auth`) with
//! nonces that wear out, a count per nonce against replay and an account that
//! locks; and the WS-UsernameToken digest of SOAP.
//!
//! The client's half ([`Challenge::authorize`], [`ws_token`]) is here, too: the
//! self-tests and the page's tests talk to the doubles with it.

use super::ptz_http::{Login, Request};
use base64::Engine as _;
use md5::{Digest as _, Md5};
use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// So many wrong passwords lock the account.
pub const LOCKS_AFTER: u32 = 5;

/// What the camera wants.
#[derive(Debug, Clone)]
pub struct Policy {
    pub user: String,
    pub password: String,
    pub realm: String,
    /// How long a nonce is good; after that the answer is 401 with `stale`.
    pub nonce_life: Duration,
    /// How often a nonce is good.
    pub nonce_uses: usize,
    /// How long the account stays locked.
    pub lock: Duration,
    /// Whether it says that a nonce is stale, and not just no.
    pub says_stale: bool,
    /// A `Basic` challenge stands in front of the digest one, as some cameras have it.
    pub basic_too: bool,
}

impl Policy {
    pub fn new(user: &str, password: &str) -> Self {
        Self {
            user: user.into(),
            password: password.into(),
            realm: "IP Camera(C2183)".into(),
            nonce_life: Duration::from_secs(3600),
            nonce_uses: usize::MAX,
            lock: Duration::from_secs(1800),
            says_stale: true,
            basic_too: false,
        }
    }
}

/// What is known of a nonce.
struct Nonce {
    made: Instant,
    /// The counts that came with it: each is good once.
    used: HashSet<String>,
}

#[derive(Default)]
struct Account {
    /// The password, where it was changed.
    changed: Option<String>,
    nonces: HashMap<String, Nonce>,
    /// Wrong passwords since the last right one.
    wrong: u32,
    locked: Option<Instant>,
    replays: usize,
}

/// The account of a camera.
pub struct Digest {
    policy: Policy,
    account: Mutex<Account>,
}

/// What came of a request's credentials.
pub struct Verdict {
    pub login: Login,
    /// The challenges, where it is a 401.
    pub challenges: Vec<String>,
    /// Wrong passwords that are left, seconds until the lock opens.
    pub tries_left: u32,
    pub locked_for: u64,
}

impl Digest {
    pub fn new(policy: Policy) -> Self {
        Self { policy, account: Mutex::default() }
    }

    /// From now on it is another one; whoever was logged in with the old one is not.
    pub fn change_password(&self, password: &str) {
        self.account.lock().unwrap().changed = Some(password.into());
    }

    /// What it is now.
    pub fn password(&self) -> String {
        self.account.lock().unwrap().changed.clone().unwrap_or_else(|| self.policy.password.clone())
    }

    /// Wrong passwords since the last right one.
    pub fn wrong(&self) -> u32 {
        self.account.lock().unwrap().wrong
    }

    pub fn is_locked(&self) -> bool {
        let locked = self.account.lock().unwrap().locked;
        locked.is_some_and(|at| at.elapsed() < self.policy.lock)
    }

    /// How often a nonce came twice with the same count.
    pub fn replays(&self) -> usize {
        self.account.lock().unwrap().replays
    }

    /// All nonces are forgotten, as after a restart: the next request is stale.
    pub fn forget(&self) {
        self.account.lock().unwrap().nonces.clear();
    }

    /// Looks at the credentials of a request.
    pub fn check(&self, request: &Request) -> Verdict {
        let policy = &self.policy;
        let mut account = self.account.lock().unwrap();
        if let Some(at) = account.locked {
            match policy.lock.checked_sub(at.elapsed()).filter(|left| !left.is_zero()) {
                Some(left) => return self.refuse(&mut account, Login::Locked, left.as_secs().max(1)),
                None => (account.locked, account.wrong) = (None, 0),
            }
        }
        let Some(header) = request.header("authorization") else {
            return self.refuse(&mut account, Login::None, 0);
        };
        let login = self.judge(&mut account, request, header);
        match login {
            Login::Granted => {
                account.wrong = 0;
                Verdict { login, challenges: Vec::new(), tries_left: LOCKS_AFTER, locked_for: 0 }
            }
            Login::Refused => {
                account.wrong += 1;
                if account.wrong >= LOCKS_AFTER {
                    account.locked = Some(Instant::now());
                    return self.refuse(&mut account, login, policy.lock.as_secs());
                }
                self.refuse(&mut account, login, 0)
            }
            _ => self.refuse(&mut account, login, 0),
        }
    }

    fn judge(&self, account: &mut Account, request: &Request, header: &str) -> Login {
        let Some(rest) = header.strip_prefix("Digest ") else { return Login::Refused };
        let fields = fields(rest);
        let get = |name: &str| fields.get(name).map_or("", String::as_str);
        let right = Answered {
            user: &self.policy.user,
            password: &account.changed.clone().unwrap_or_else(|| self.policy.password.clone()),
            realm: &self.policy.realm,
            method: &request.method,
            uri: &request.path,
            nonce: get("nonce"),
            nc: get("nc"),
            cnonce: get("cnonce"),
        };
        let whole = get("qop") == "auth"
            && get("username") == self.policy.user
            && get("realm") == self.policy.realm
            && get("uri") == request.path
            && matches!(get("algorithm"), "" | "MD5")
            && get("nc").len() == 8
            && !get("cnonce").is_empty();
        if !whole || get("response") != right.response() {
            return Login::Refused;
        }
        let Some(nonce) = account.nonces.get_mut(get("nonce")) else { return Login::Stale };
        if nonce.made.elapsed() >= self.policy.nonce_life || nonce.used.len() >= self.policy.nonce_uses {
            return Login::Stale;
        }
        if !nonce.used.insert(get("nc").into()) {
            account.replays += 1;
            return Login::Stale;
        }
        Login::Granted
    }

    fn refuse(&self, account: &mut Account, login: Login, locked_for: u64) -> Verdict {
        let nonce: String = (0..16).map(|_| format!("{:02x}", rand::random::<u8>())).collect();
        account.nonces.insert(nonce.clone(), Nonce { made: Instant::now(), used: HashSet::new() });
        let stale = if login == Login::Stale && self.policy.says_stale { "TRUE" } else { "FALSE" };
        let realm = &self.policy.realm;
        // The order, and no algorithm, as they come from the camera.
        let digest = format!("Digest qop=\"auth\", realm=\"{realm}\", nonce=\"{nonce}\", stale=\"{stale}\"");
        let basic = self.policy.basic_too.then(|| format!("Basic realm=\"{realm}\""));
        let challenges = basic.into_iter().chain([digest]).collect();
        Verdict { login, challenges, tries_left: LOCKS_AFTER.saturating_sub(account.wrong), locked_for }
    }
}

/// What goes into a digest's response (RFC 7616 §3.4.1, MD5, `qop=auth`).
pub struct Answered<'a> {
    pub user: &'a str,
    pub password: &'a str,
    pub realm: &'a str,
    pub method: &'a str,
    pub uri: &'a str,
    pub nonce: &'a str,
    pub nc: &'a str,
    pub cnonce: &'a str,
}

impl Answered<'_> {
    pub fn response(&self) -> String {
        let a1 = hex(&format!("{}:{}:{}", self.user, self.realm, self.password));
        let a2 = hex(&format!("{}:{}", self.method, self.uri));
        hex(&format!("{a1}:{}:{}:{}:auth:{a2}", self.nonce, self.nc, self.cnonce))
    }
}

fn hex(text: &str) -> String {
    Md5::digest(text.as_bytes()).iter().map(|b| format!("{b:02x}")).collect()
}

/// A client's memory of a challenge.
pub struct Challenge {
    pub realm: String,
    pub nonce: String,
    pub stale: bool,
    count: u32,
}

impl Challenge {
    /// From a `WWW-Authenticate: Digest …`.
    pub fn read(header: &str) -> Option<Self> {
        let fields = fields(header.strip_prefix("Digest ")?);
        let get = |name: &str| fields.get(name).cloned();
        let stale = get("stale").is_some_and(|s| s.eq_ignore_ascii_case("true"));
        Some(Self { realm: get("realm")?, nonce: get("nonce")?, stale, count: 0 })
    }

    /// The `Authorization` for the next request.
    pub fn authorize(&mut self, user: &str, password: &str, method: &str, uri: &str) -> String {
        self.count += 1;
        let (nc, cnonce) = (format!("{:08x}", self.count), format!("{:08x}", rand::random::<u32>()));
        let Self { realm, nonce, .. } = self;
        let response = Answered { user, password, realm, method, uri, nonce, nc: &nc, cnonce: &cnonce }.response();
        format!(
            "Digest username=\"{user}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{uri}\", \
             qop=auth, nc={nc}, cnonce=\"{cnonce}\", response=\"{response}\""
        )
    }
}

/// `name="value", name=value` of both headers; names in lower case.
fn fields(text: &str) -> HashMap<String, String> {
    let mut out = HashMap::new();
    let mut rest = text.trim_start();
    while let Some((name, after)) = rest.split_once('=') {
        let (value, left) = match after.strip_prefix('"') {
            None => after.split_once(',').unwrap_or((after, "")),
            Some(quoted) => {
                let end = quoted.char_indices().scan(false, |escaped, (i, c)| {
                    let end = c == '"' && !*escaped;
                    *escaped = c == '\\' && !*escaped;
                    Some((i, end))
                });
                let end = end.filter(|(_, end)| *end).map(|(i, _)| i).next().unwrap_or(quoted.len());
                (&quoted[..end], quoted.get(end + 1..).unwrap_or(""))
            }
        };
        out.insert(name.trim().to_lowercase(), value.trim().replace("\\\"", "\"").replace("\\\\", "\\"));
        rest = left.trim_start_matches([',', ' ', '\t']);
    }
    out
}

/// The `PasswordDigest` of WS-UsernameToken: Base64(SHA-1(nonce + created + password)).
pub fn ws_digest(nonce: &[u8], created: &str, password: &str) -> String {
    use sha1::Digest as _; // of another version of the trait than MD5's
    let mut hash = sha1::Sha1::new();
    hash.update(nonce);
    hash.update(created.as_bytes());
    hash.update(password.as_bytes());
    base64::engine::general_purpose::STANDARD.encode(hash.finalize())
}

/// The SOAP header with a WS-UsernameToken, as a client writes it.
pub fn ws_token(user: &str, password: &str, created: &str) -> String {
    let nonce = rand::random::<[u8; 16]>();
    let text = base64::engine::general_purpose::STANDARD.encode(nonce);
    let digest = ws_digest(&nonce, created, password);
    let base = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss";
    format!(
        "<wsse:Security xmlns:wsse=\"{base}-wssecurity-secext-1.0.xsd\" xmlns:wsu=\"{base}-wssecurity-utility-1.0.xsd\">\
         <wsse:UsernameToken><wsse:Username>{user}</wsse:Username>\
         <wsse:Password Type=\"{base}-username-token-profile-1.0#PasswordDigest\">{digest}</wsse:Password>\
         <wsse:Nonce>{text}</wsse:Nonce><wsu:Created>{created}</wsu:Created></wsse:UsernameToken></wsse:Security>"
    )
}
