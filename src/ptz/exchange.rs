//! What happens to a steerer, and what it does then: the words of [`super::state`].

use super::{About, Ask, Drive, Edit, Fault, Go, Preset, Reading, Status};

/// Who waits for an answer.
pub type Ticket = u64;

/// What happens to a steerer.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A client asks.
    Ask(Ticket, Ask),
    /// The exchange under way has ended.
    Done(Result<Done, Fault>),
    /// Somebody looks at the list of cameras.
    Look,
    /// Time has passed.
    Tick,
    /// The steerer is to end.
    Close,
}

/// What an exchange brought.
#[derive(Debug, Clone, PartialEq)]
pub enum Done {
    /// It is done.
    Nothing,
    /// What the camera is.
    About(About),
    /// Where it looks.
    Reading(Reading),
    /// Its presets.
    Presets(Vec<Preset>),
    /// The id of a new preset, where one was made.
    Saved(Option<String>),
}

/// An exchange with the camera.
#[derive(Debug, Clone, PartialEq)]
pub enum Task {
    /// What it is.
    About,
    /// A speed on an axis, for at most so many milliseconds.
    Drive(Drive, u64),
    /// A movement that ends by itself.
    Go(Go),
    /// Where it looks.
    Read,
    /// Its presets.
    Presets,
    /// A change.
    Edit(Edit),
}

/// What a client is told.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// Done.
    Done,
    /// It moves until then, in milliseconds.
    Moving(u64),
    /// Where it looks.
    Status(Status),
    /// Its presets.
    Presets(Vec<Preset>),
    /// A preset was saved, under a new id where the client named none.
    Saved(Option<String>),
    /// It did not work.
    Failed(Fault),
    /// Too much waits for this camera.
    Busy,
    /// The steerer ends.
    Closing,
}

/// How far an exchange is, of those that may still be broken off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Nothing was sent yet: it waits for other channels of the same camera.
    Waiting,
    /// Under way, with a password that is known to be good.
    UnderWay,
    /// Trying a password.
    Trying,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Begin an exchange. Never while one is under way.
    Run(Task),
    /// Break off the exchange that runs, where it is no further than that: a stop is due. It
    /// ends with [`Event::Done`] in any case; [`Fault::PutOff`] where it was broken off.
    BreakOff(Stage),
    /// Answer a client.
    Reply(Ticket, Answer),
    /// Nothing is left to do after [`Event::Close`].
    End,
}
