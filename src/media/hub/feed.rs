//! A source's side of the Hub. Runs on the source's streaming threads.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::{AccessUnit, Feed, NO_CLOCK};
use crate::media::codec::{Kind, Track};
use crate::media::rtp::Frame;
use crate::media::snapshot::Still;

impl Feed {
    /// Publishes a frame of a track. Called on the source's streaming thread.
    /// Returns whether readers can start now: a key frame (or, without video, any
    /// audio) is there. `false` also for a source whose successor has begun.
    pub fn publish(&self, kind: Kind, frame: Frame) -> bool {
        let now = Instant::now();
        self.hub.inbound_bytes.fetch_add(frame.data.len() as u64, Ordering::Relaxed);
        let mut inner = self.hub.lock();
        if inner.epoch != self.epoch {
            return false;
        }
        let has_video = inner.video.as_ref().is_some_and(|l| l.present);
        let Some(lane) = inner.lane_mut(kind).as_mut() else { return false };
        let key = frame.key;
        let unit = Arc::new(AccessUnit {
            kind,
            key,
            timestamp: lane.timestamp(&frame),
            pts_ns: frame.pts_ns,
            arrived: now,
            epoch: self.epoch,
            data: frame.data,
            packets: frame.packets,
        });
        lane.last = Some(now);
        lane.rhythm.push(unit.key, unit.timestamp);
        let still = (key && kind == Kind::Video).then(|| Still::new(lane.codec.clone(), unit.clone()));
        let ready = match &mut lane.gop {
            Some(gop) => {
                gop.push(unit.clone());
                gop.ready()
            }
            None => !has_video,
        };
        // What it replaces is freed after the lock is.
        let _old = still.and_then(|still| inner.still.replace(still));
        let mut dropped = 0;
        for r in inner.all() {
            dropped += r.offer(&unit);
        }
        drop(inner);
        if dropped > 0 {
            self.hub.dropped.fetch_add(dropped, Ordering::Relaxed);
        }
        ready
    }

    /// What the camera says of its wall clock in a track: [`crate::media::hub::Hub::clock`];
    /// none where it says that it has none.
    pub fn clock(&self, kind: Kind, offset: Option<i64>) {
        let inner = self.hub.lock();
        if inner.epoch == self.epoch {
            let [video, audio] = &self.hub.clocks;
            let clock = if kind == Kind::Video { video } else { audio };
            clock.store(offset.unwrap_or(NO_CLOCK), Ordering::Relaxed);
        }
    }

    /// The track's codec or picture size as now known from the stream itself.
    pub fn refine(&self, kind: Kind, update: impl FnOnce(&mut Track)) {
        let mut inner = self.hub.lock();
        if inner.epoch != self.epoch {
            return;
        }
        let track = inner.tracks.iter_mut().find(|t| t.codec.kind() == kind && t.codec.carried());
        let Some(track) = track else { return };
        update(track);
        let codec = track.codec.clone();
        if let Some(lane) = inner.lane_mut(kind) {
            lane.codec = codec;
        }
    }
}
