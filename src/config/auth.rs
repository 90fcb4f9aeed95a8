//! Users and what they may do, as MediaMTX's `authInternalUsers`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::matching::compile;
use super::schema::{Cx, Field, Mapping, mapping, readable, words};
use super::yaml::Node;
use crate::redact::Secret;

words! {
    /// What a user may do.
    pub enum Action {
        /// Send into a path.
        Publish = "publish",
        /// Watch a path.
        Read = "read",
        /// Watch recordings.
        Playback = "playback",
        /// The control API.
        Api = "api",
        /// The metrics.
        Metrics = "metrics",
        /// Profiles of the process.
        Pprof = "pprof",
        /// Steer cameras (ours).
        Ptz = "ptz",
        /// See and change pipelines (ours).
        Pipelines = "pipelines",
    }
}

mapping! {
    /// A user. `any` is everybody, with or without credentials.
    pub struct User {
        /// The name: `any`, plain, `sha256:…` or `argon2:…`.
        "user" => user: String = String::new(), check_hash;
        /// The password: plain, `sha256:…` or `argon2:…`; empty with `any`, and only there.
        "pass" => pass: Secret = Secret::default(), secret_hash;
        /// Addresses from which this entry counts; empty means all.
        "ips" => ips: Vec<IpNet> = Vec::new();
        /// What this user may do.
        "permissions" => permissions: Vec<Permission> = Vec::new();
    }
}

mapping! {
    /// One thing that a user may do.
    pub struct Permission {
        /// What.
        "action" => action: Action = Action::Read;
        /// Where: a path, `~regex`, or empty for every path.
        "path" => path: String = String::new(), path;
    }
}

readable!(User);
readable!(Permission);

impl Mapping for User {
    const FIELDS: &'static [Field] = User::KEYS;

    fn set(&mut self, key: &str, node: &Node, cx: &mut Cx) -> bool {
        self.set_key(key, node, cx)
    }

    fn verify(&self, _given: &dyn Fn(&str) -> bool) -> Result<(), (&'static str, String)> {
        if self.user.is_empty() {
            return Err(("user", "is missing; \"any\" stands for everybody".into()));
        }
        if self.user == "any" && !self.pass.is_empty() {
            return Err(("pass", "the user \"any\" cannot have a password; give the user a name".into()));
        }
        if self.user != "any" && self.pass.is_empty() {
            let message = "must not be empty: nobody could sign in as this user; for everybody write user: any";
            return Err(("pass", message.into()));
        }
        Ok(())
    }
}

impl Mapping for Permission {
    const FIELDS: &'static [Field] = Permission::KEYS;

    fn set(&mut self, key: &str, node: &Node, cx: &mut Cx) -> bool {
        self.set_key(key, node, cx)
    }

    fn verify(&self, given: &dyn Fn(&str) -> bool) -> Result<(), (&'static str, String)> {
        if given("action") {
            Ok(())
        } else {
            Err(("action", format!("is missing; one of {}", Action::WORDS.join(", "))))
        }
    }
}

impl Permission {
    /// `action` on every path.
    pub fn everywhere(action: Action) -> Self {
        Permission { action, path: String::new() }
    }
}

/// MediaMTX's default: everybody may publish and read, the rest is for this machine.
pub(crate) fn default_users() -> Vec<User> {
    let user = |ips: Vec<IpNet>, actions: &[Action]| User {
        user: "any".into(),
        pass: Secret::default(),
        ips,
        permissions: actions.iter().map(|action| Permission::everywhere(*action)).collect(),
    };
    let here = [IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST)];
    vec![
        user(Vec::new(), &[Action::Publish, Action::Read, Action::Playback]),
        user(
            here.map(IpNet::from).to_vec(),
            &[Action::Api, Action::Metrics, Action::Pprof, Action::Ptz, Action::Pipelines],
        ),
    ]
}

/// [`default_users`] as YAML: what the environment's `AUTHINTERNALUSERS_0_…` changes
/// where the file has no list. A test keeps the two equal.
pub(crate) const DEFAULT_USERS: &str = "
- user: any
  permissions: [{action: publish}, {action: read}, {action: playback}]
- user: any
  ips: [127.0.0.1, '::1']
  permissions: [{action: api}, {action: metrics}, {action: pprof}, {action: ptz}, {action: pipelines}]
";

fn path(path: &str) -> Result<(), String> {
    match path.strip_prefix('~') {
        Some(regex) => compile(regex).map(|_| ()),
        None => Ok(()),
    }
}

fn secret_hash(secret: &Secret) -> Result<(), String> {
    check_hash(secret.expose())
}

/// Refuses a hash that nothing could ever match. Does not repeat it.
fn check_hash(text: &str) -> Result<(), String> {
    use base64::Engine as _;
    if let Some(hash) = text.strip_prefix("sha256:") {
        let bytes = base64::engine::general_purpose::STANDARD.decode(hash);
        if !bytes.is_ok_and(|bytes| bytes.len() == 32) {
            return Err("\"sha256:\" must be followed by the Base64 of a SHA-256 sum".into());
        }
    }
    if let Some(hash) = text.strip_prefix("argon2:")
        && (!hash.starts_with("$argon2") || hash.split('$').count() < 5)
    {
        return Err("\"argon2:\" must be followed by a hash like $argon2id$v=19$m=…,t=…,p=…$salt$hash".into());
    }
    Ok(())
}
