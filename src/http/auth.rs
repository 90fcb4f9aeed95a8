//! Who may what: `authInternalUsers`.
//!
//! A request is asked once who it is ([`Auth::identify`], which may compute an
//! argon2 hash off the event loop); the [`Identity`] then answers any number of
//! questions at once. As in MediaMTX an entry counts when its addresses include
//! the client's and its name and password match what is presented (`user: any`
//! needs neither); the permissions of all entries that count add up.
//!
//! Beyond MediaMTX:
//! - An entry that names only loopback addresses stands for *this machine*. For
//!   all actions but the media ones (read, publish, playback) it counts only for
//!   requests that were really made here: see [`super::client::Client::local`].
//! - 401 tells that other credentials may help, 403 (the action is named) that
//!   they were right and are not enough.
//! - The credentials of an address that presented wrong ones again and again are
//!   not looked at for a while (429, or what anyone may do): guessing is slow, and
//!   no worker waits for it.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use ipnet::IpNet;
use regex::Regex;

use super::client::Client;
use super::credentials::Credentials;
use super::limits::{Buckets, Rate};
use super::password::Verifier;
use crate::config::{Action, Permission, User};
use crate::error::{Error, Kind, Result};

/// Thirty wrong passwords at once, then one a second and address.
const FAILURES: Rate = Rate { per_second: 1.0, burst: 30.0 };

/// What is remembered between requests.
#[derive(Default)]
pub struct Auth {
    verifier: Verifier,
    failures: Buckets,
}

/// A request's rights.
pub struct Identity {
    grants: Vec<Grant>,
    /// The name of the user whose password was presented; empty for everyone
    /// else. For logs and for TURN user names.
    pub user: String,
    /// Credentials came, right or wrong.
    pub presented: bool,
    /// They matched an entry.
    accepted: bool,
    /// Not looked at: too many wrong ones came from this address.
    locked: Option<u32>,
    /// The actions that somebody with a password has: asking for one makes sense.
    with_password: Vec<Action>,
}

/// What became of one of the presented credentials.
#[derive(Debug, Clone, Copy, Default)]
struct Mark {
    /// A password was compared: the name was known, or it is a token.
    compared: bool,
    /// It was the right one.
    right: bool,
}

struct Grant {
    action: Action,
    paths: Paths,
}

/// What the `path` of a permission stands for.
enum Paths {
    Any,
    Exact(String),
    Regex(Regex),
    /// A regular expression that does not compile matches nothing.
    None,
}

impl Auth {
    /// Finds out who sent a request.
    pub async fn identify(&self, users: &[User], client: Client, presented: &[Credentials]) -> Identity {
        let ip = client.addr.ip();
        let locked = match presented {
            [] => None,
            _ => self.failures.full(ip, FAILURES, Instant::now()),
        };
        let mut identity = Identity {
            grants: Vec::new(),
            user: String::new(),
            presented: !presented.is_empty(),
            accepted: false,
            locked,
            with_password: Vec::new(),
        };
        let mut marks = vec![Mark::default(); presented.len()];
        // Guesses that came together wait for one another's argon2: the limit is looked
        // at again when it is each one's turn.
        let too_late = AtomicU32::new(0);
        let look = || match self.failures.full(ip, FAILURES, Instant::now()) {
            Some(seconds) => {
                too_late.store(seconds, Ordering::Relaxed);
                false
            }
            None => true,
        };
        for entry in users {
            let anyone = entry.user == "any";
            if !anyone {
                identity.with_password.extend(entry.permissions.iter().map(|p| p.action));
            }
            if !entry.ips.is_empty() && !entry.ips.iter().any(|net| net.contains(&ip)) {
                continue;
            }
            if !anyone {
                if locked.is_some() {
                    continue;
                }
                let Some(name) = self.matching(entry, presented, &mut marks, &look).await else {
                    continue;
                };
                identity.accepted = true;
                if identity.user.is_empty() {
                    identity.user = name;
                }
            }
            let this_machine = !entry.ips.is_empty() && entry.ips.iter().all(is_loopback);
            identity.grants.extend(
                entry
                    .permissions
                    .iter()
                    .filter(|p| client.local || !this_machine || is_media(p.action))
                    .map(Grant::new),
            );
        }
        // Counted whether or not the request succeeds without the password: a
        // page that shows more to bob tells a right guess from a wrong one. What
        // names nobody here (a proxy's own password) is no guess as long as
        // something else is right.
        let guess = |m: &Mark| !m.right && (m.compared || !identity.accepted);
        if locked.is_none() && !identity.with_password.is_empty() && marks.iter().any(guess) {
            let _ = self.failures.take(ip, FAILURES, Instant::now());
            tracing::info!(client = %ip, "wrong user name, password or token");
        }
        if !identity.accepted && too_late.load(Ordering::Relaxed) > 0 {
            identity.locked = Some(too_late.into_inner());
        }
        identity
    }

    /// The name under which one of the presented credentials matches the entry.
    /// All are compared, so that a right one does not hide guesses beside it.
    async fn matching(
        &self,
        entry: &User,
        presented: &[Credentials],
        marks: &mut [Mark],
        look: &impl Fn() -> bool,
    ) -> Option<String> {
        let stored = entry.pass.expose();
        // An empty password is not "any password" as in MediaMTX, but none.
        if stored.is_empty() {
            return None;
        }
        let mut found = None;
        for (credentials, mark) in presented.iter().zip(marks) {
            if let Some(user) = &credentials.user
                && !self.verifier.check(&entry.user, user, look).await
            {
                continue;
            }
            mark.compared = true;
            if self.verifier.check(stored, credentials.pass.expose(), look).await {
                mark.right = true;
                found = found.or_else(|| Some(name(entry, credentials)));
            }
        }
        found
    }
}

/// The name to know a user by: as presented; for a token as stored, unless that
/// is a hash.
fn name(entry: &User, credentials: &Credentials) -> String {
    let hashed = entry.user.starts_with("sha256:") || entry.user.starts_with("argon2:");
    let stored = if hashed { "" } else { entry.user.as_str() };
    credentials.user.as_deref().unwrap_or(stored).to_string()
}

impl Identity {
    /// Whether the identity may do `action` on `path`.
    pub fn may(&self, action: Action, path: &str) -> bool {
        self.grants.iter().any(|g| g.action == action && g.paths.contain(path))
    }

    /// Whether the identity may do `action` on any path at all.
    pub fn may_somewhere(&self, action: Action) -> bool {
        self.grants.iter().any(|g| g.action == action)
    }

    /// The refusal for one who may not do `action` on `path`, or Ok.
    pub fn verdict(&self, action: Action, path: &str) -> Result<()> {
        if self.may(action, path) { Ok(()) } else { Err(self.refusal(action, path)) }
    }

    /// Why not: 429, 401 or 403.
    pub fn refusal(&self, action: Action, path: &str) -> Error {
        if let Some(seconds) = self.locked {
            let text = "too many wrong passwords came from this address: wait, then try again";
            return Error::new(Kind::TooManyRequests, text).retry_after(seconds);
        }
        let word = action.word();
        if self.presented && !self.accepted {
            return Error::new(Kind::Unauthorized, "the user name, password or token is wrong");
        }
        if !self.accepted && self.with_password.contains(&action) {
            let text = format!("the action \"{word}\" needs a user name and a password");
            return Error::new(Kind::Unauthorized, text);
        }
        let place = match path {
            "" => String::new(),
            path => format!(" on the path \"{path}\""),
        };
        let whom = if self.accepted { "this user" } else { "this client" };
        Error::new(
            Kind::Forbidden,
            format!(
                "the action \"{word}\"{place} is not permitted to {whom}: add \"- action: {word}\" to the permissions \
                 of an entry of authInternalUsers that is meant for it"
            ),
        )
    }
}

impl Grant {
    fn new(permission: &Permission) -> Grant {
        let paths = match permission.path.as_str() {
            // Other actions have no path, and MediaMTX does not look at it.
            // Ptz is ours, and about one camera.
            _ if !is_media(permission.action) && permission.action != Action::Ptz => Paths::Any,
            "" => Paths::Any,
            path => match path.strip_prefix('~') {
                Some(pattern) => Regex::new(pattern).map_or(Paths::None, Paths::Regex),
                None => Paths::Exact(path.to_string()),
            },
        };
        Grant { action: permission.action, paths }
    }
}

impl Paths {
    fn contain(&self, path: &str) -> bool {
        match self {
            Paths::Any => true,
            Paths::Exact(name) => name == path,
            Paths::Regex(regex) => regex.is_match(path),
            Paths::None => false,
        }
    }
}

/// Actions on media: also granted through proxies and to pages of any host name.
fn is_media(action: Action) -> bool {
    matches!(action, Action::Read | Action::Publish | Action::Playback)
}

fn is_loopback(net: &IpNet) -> bool {
    // Both ends: a network that begins in loopback and ends outside is wider.
    net.network().is_loopback() && net.broadcast().is_loopback()
}

#[cfg(test)]
#[path = "auth_tests.rs"]
mod tests;
