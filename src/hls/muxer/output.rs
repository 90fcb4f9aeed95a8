//! Where the muxer's two ways of carrying the media meet again: the answers.

use bytes::Bytes;

use crate::hls::playlist::{Stream, Window};
use crate::hls::segmenter::Segmenter;
use crate::hls::ts::shelf::Shelf;

/// What readers are answered from: one for each way of carrying the media.
pub(super) enum Output {
    /// Fragmented MP4, with or without parts.
    Parts(Box<Segmenter>),
    /// MPEG-TS.
    TransportStream(Box<Shelf>),
}

impl Output {
    /// What readers ask.
    pub(super) fn window(&self) -> &Window<Bytes> {
        match self {
            Output::Parts(segmenter) => segmenter.window(),
            Output::TransportStream(shelf) => shelf.window(),
        }
    }

    /// Counts the media playlists: with each another name. Without parts nothing has to
    /// change in one.
    pub(super) fn generation(&self) -> u32 {
        match self {
            Output::Parts(segmenter) => segmenter.generation(),
            Output::TransportStream(_) => 0,
        }
    }

    /// The stream for the multivariant playlist; `uri` is its media playlist.
    pub(super) fn stream(&self, uri: String) -> Stream {
        match self {
            Output::Parts(segmenter) => segmenter.stream(uri),
            Output::TransportStream(shelf) => shelf.stream(uri),
        }
    }
}
