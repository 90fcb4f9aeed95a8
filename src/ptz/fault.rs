//! What goes wrong with a camera, and which of our answers that is.

use std::fmt;
use std::time::Duration;

use crate::error::{Error, Kind};
use crate::redact::Secret;

/// How long a refused password is not tried again.
pub const HOLD: Duration = Duration::from_secs(30 * 60);
/// A camera's own lock is outwaited by so much.
pub const SLACK: Duration = Duration::from_secs(60);

/// Why an exchange with a camera failed. Texts have no credentials in them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The camera does not know the password; or locked the account, for so long.
    Refused {
        /// What it said.
        reason: String,
        /// How long it will refuse the right one as well.
        locked: Option<Duration>,
    },
    /// Nothing came back in time, or nothing is there. The command may have arrived.
    Silent(String),
    /// The camera says no, in its own words.
    Rejected(String),
    /// The camera does not let this user do that; the password is right.
    Denied(String),
    /// There is no such preset or patrol.
    NotFound(String),
    /// The camera cannot do that.
    Unsupported(String),
    /// A value is out of the camera's range; the field is named.
    OutOfRange(String),
}

impl Fault {
    /// The sentence for people.
    pub fn reason(&self) -> &str {
        match self {
            Fault::Refused { reason, .. }
            | Fault::Silent(reason)
            | Fault::Rejected(reason)
            | Fault::Denied(reason)
            | Fault::NotFound(reason)
            | Fault::Unsupported(reason)
            | Fault::OutOfRange(reason) => reason,
        }
    }

    /// For how long the camera is left in peace after that; none but for a refusal.
    pub fn hold(&self) -> Duration {
        match self {
            Fault::Refused { locked, .. } => locked.map_or(HOLD, |locked| locked.saturating_add(SLACK)),
            _ => Duration::ZERO,
        }
    }

    /// The same without the password: a camera may repeat what it was sent.
    pub fn without(mut self, password: &Secret) -> Fault {
        let (Fault::Refused { reason, .. }
        | Fault::Silent(reason)
        | Fault::Rejected(reason)
        | Fault::Denied(reason)
        | Fault::NotFound(reason)
        | Fault::Unsupported(reason)
        | Fault::OutOfRange(reason)) = &mut self;
        *reason = password.hide(reason);
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason())
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Error {
        let kind = match &fault {
            Fault::Refused { .. } | Fault::Rejected(_) | Fault::Denied(_) => Kind::BadGateway,
            Fault::Silent(_) => Kind::GatewayTimeout,
            Fault::NotFound(_) => Kind::NotFound,
            Fault::Unsupported(_) => Kind::Conflict,
            Fault::OutOfRange(_) => Kind::BadRequest,
        };
        Error::new(kind, fault.reason())
    }
}

/// What an exchange comes to.
pub type Outcome<T> = std::result::Result<T, Fault>;
