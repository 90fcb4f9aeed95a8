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
    /// A login that was good before is denied: it may be the nonce, the camera's clock, this
    /// user's rights or the password. Carried out once more, alone, it is known: see
    /// [`super::account`]. No client of a steerer ever sees it.
    Doubted(String),
    /// Nothing was sent, or it only asked, and a stop goes first. Not seen by clients, either.
    PutOff,
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
            | Fault::Doubted(reason)
            | Fault::Silent(reason)
            | Fault::Rejected(reason)
            | Fault::Denied(reason)
            | Fault::NotFound(reason)
            | Fault::Unsupported(reason)
            | Fault::OutOfRange(reason) => reason,
            Fault::PutOff => "put off: a stop goes first",
        }
    }

    /// Whether it is about the camera and not about the call: another call fares no better.
    pub fn is_general(&self) -> bool {
        matches!(self, Fault::Refused { .. } | Fault::Doubted(_) | Fault::Silent(_) | Fault::PutOff)
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
        | Fault::Doubted(reason)
        | Fault::Silent(reason)
        | Fault::Rejected(reason)
        | Fault::Denied(reason)
        | Fault::NotFound(reason)
        | Fault::Unsupported(reason)
        | Fault::OutOfRange(reason)) = &mut self
        else {
            return self;
        };
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
            Fault::Refused { .. } | Fault::Doubted(_) | Fault::Rejected(_) | Fault::Denied(_) => Kind::BadGateway,
            Fault::Silent(_) | Fault::PutOff => Kind::GatewayTimeout,
            Fault::NotFound(_) => Kind::NotFound,
            Fault::Unsupported(_) => Kind::Conflict,
            Fault::OutOfRange(_) => Kind::BadRequest,
        };
        Error::new(kind, fault.reason())
    }
}

/// What an exchange comes to.
pub type Outcome<T> = std::result::Result<T, Fault>;
