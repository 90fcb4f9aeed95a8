//! HLS and Low-Latency HLS: one muxer per path, started by its first reader.
//!
//! [`playlist`] (what is listed, and how), [`cmaf`] (fragmented MP4), [`pace`],
//! [`places`], [`parts`], [`dates`], [`cutter`], [`segmenter`] (access units into parts
//! and segments) are pure; [`sound`] makes AAC of what HLS does not carry; [`muxer`] feeds
//! them from the Hub and answers readers, [`muxers`] has one for each path that is asked
//! for, and lets a path [`rest`] whose muxer failed. [`ts`] is the other way of carrying the media: MPEG-TS by GStreamer's `hlssink2`.

pub mod audio_lane;
pub mod cmaf;
pub mod cutter;
pub mod dates;
pub mod muxer;
pub mod muxers;
pub mod pace;
pub mod parts;
pub mod places;
pub mod playlist;
pub mod rest;
pub mod segmenter;
pub mod sound;
pub mod ts;
