//! What can go wrong between a PTZ double and its client.

use std::time::Duration;

/// What can go wrong with one answer. The request is recorded all the same;
/// whether it took effect is said at each.
#[derive(Debug, Clone)]
pub enum Fault {
    /// Answers (and does) as always, but so much later. Others are not held up.
    Slow(Duration),
    /// Never says a word; the connection stays open. Done: no.
    Never,
    /// Does it, and never says so.
    NeverAfter,
    /// Closes the connection without an answer. Done: no.
    Close,
    /// Does it, and closes the connection without an answer.
    CloseAfter,
    /// Resets the connection (RST). Done: no.
    Reset,
    /// Answers half of the body that it announced, and closes.
    Half,
    /// Another answer: status, media type, body. Done: no.
    Instead(u16, &'static str, Vec<u8>),
    /// Does it, and answers with another body: status, media type, body.
    InsteadAfter(u16, &'static str, Vec<u8>),
    /// Bytes that are no HTTP.
    Garbage,
    /// A correct answer in chunks of 7 bytes without a Content-Length.
    Chunked,
    /// A correct answer with `Connection: close` and an end at the close.
    UntilClose,
}
