//! The inside of camgate as HTTP sees it: paths, sessions and muxers put together.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use camgate::config::Config;
use camgate::error::{Error, Kind, Result};
use camgate::hls::muxer;
use camgate::hls::muxers::Muxers;
use camgate::http::{Boxed, Gateway, Hls, HlsAnswer, Look, Opened, Patch, Restarted, Seen, Watch};
use camgate::path::registry::Registry;
use camgate::path::status::{PathStatus, StateName};
use camgate::ptz::steerers::Steerers;
use camgate::ptz::{Ask, Camera, Reply};
use camgate::webrtc::ice;
use camgate::webrtc::offer;
use camgate::webrtc::session::{SessionMeta, Sessions};

/// The inside, as HTTP sees it.
pub struct Inside {
    pub registry: Registry,
    pub sessions: Sessions,
    pub muxers: Muxers,
    pub steerers: Steerers,
    pub ready: AtomicBool,
}

impl Inside {
    /// The Hub knows a muxer as one reader: its own readers count instead.
    fn count(&self, status: &mut PathStatus) {
        let (readers, muxer) = self.muxers.readers(&status.name);
        status.readers = status.readers.saturating_sub(usize::from(muxer)) + readers;
    }
}

impl Gateway for Inside {
    fn config(&self) -> Arc<Config> {
        self.registry.config()
    }

    fn ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed)
    }

    fn statuses(&self) -> Boxed<'_, Vec<PathStatus>> {
        Box::pin(async {
            let mut all = self.registry.statuses().await;
            all.iter_mut().for_each(|s| self.count(s));
            all
        })
    }

    fn status<'a>(&'a self, path: &'a str) -> Boxed<'a, Result<PathStatus>> {
        Box::pin(async move {
            let mut status = self.registry.status(path).await?;
            self.count(&mut status);
            Ok(status)
        })
    }

    fn snapshot<'a>(&'a self, look: Look<'a>) -> Boxed<'a, Result<Seen>> {
        Box::pin(async move {
            let still = self.registry.still(look.path)?;
            let tag = still.tag(look.width);
            let jpeg = match (look.known)(&tag) {
                true => None,
                false => Some(still.picture(look.path, look.width).await?),
            };
            Ok(Seen { tag, taken: still.taken(), age: still.age(), jpeg })
        })
    }

    fn watch(&self, request: Watch) -> Boxed<'_, Result<Opened>> {
        Box::pin(async move {
            if !self.ready() {
                return Err(Error::new(Kind::Unavailable, "camgate is shutting down").retry_after(2));
            }
            let limits = &self.config().limits;
            let bounds = offer::Limits {
                bytes: limits.sdp_size.0,
                sections: limits.sdp_sections,
                candidates: limits.sdp_candidates,
            };
            let offer = offer::parse_within(&request.offer, &bounds)?;
            let subscription = self.registry.join(&request.path).await?;
            let meta = SessionMeta { path: request.path, user: request.user, remote: request.remote };
            let opened = self.sessions.open(offer, subscription, meta).await?;
            Ok(Opened { secret: opened.secret, etag: opened.etag, answer: opened.answer })
        })
    }

    fn hls<'a>(&'a self, request: Hls<'a>) -> Boxed<'a, Result<HlsAnswer>> {
        Box::pin(async move {
            let settings = hls_settings(&self.config(), request.path);
            let muxer = match self.muxers.get(request.path, &settings) {
                Some(muxer) => muxer,
                // What a muxer that has ended named is gone with it.
                None if request.name.is_some() => {
                    return Err(Error::new(Kind::NotFound, "there is no such segment (any more)"));
                }
                None if !self.ready() => {
                    return Err(Error::new(Kind::Unavailable, "camgate is shutting down").retry_after(2));
                }
                None => {
                    // Before the camera is woken for nothing.
                    if let Some(why) = self.muxers.rests(request.path, &settings) {
                        return Err(why);
                    }
                    let subscription = self.registry.join(request.path).await?;
                    self.muxers.start(request.path, settings, subscription)
                }
            };
            let Hls { name, reload, suffix, reader, .. } = request;
            muxer.answer(muxer::Asked { name, reload, suffix, reader }).await
        })
    }

    fn patch<'a>(&'a self, patch: Patch<'a>) -> Boxed<'a, Result<Option<Restarted>>> {
        Box::pin(self.sessions.patch(patch.secret, patch.path, patch.if_match, patch.body))
    }

    fn delete<'a>(&'a self, path: &'a str, secret: &'a str) -> Boxed<'a, Result<()>> {
        Box::pin(self.sessions.delete(secret, path))
    }

    fn cameras(&self) -> Vec<Camera> {
        self.steerers.cameras()
    }

    fn steer<'a>(&'a self, path: &'a str, ask: Ask) -> Boxed<'a, Result<Reply>> {
        Box::pin(async move { self.steerers.ask(&self.config(), path, ask).await })
    }

    fn ice_links(&self, user: &str) -> Vec<String> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
        ice::link_headers(&self.config().webrtc_ice_servers2, now, user)
    }
}

/// `hlsAlwaysRemux`: paths that are live have their muxer, asked for or not.
pub async fn always_remux(inside: Arc<Inside>) {
    let mut look = tokio::time::interval(Duration::from_secs(1));
    loop {
        look.tick().await;
        let config = inside.config();
        // One that was to stay, and is not any more, would never end by itself.
        inside.muxers.keep(|path, settings| config.hls && *settings == hls_settings(&config, path));
        if !config.hls || !config.hls_always_remux || !inside.ready() {
            continue;
        }
        for path in inside.registry.statuses().await {
            let settings = hls_settings(&config, &path.name);
            let wanted = path.state == StateName::Live && path.tracks.iter().any(|t| t.hls);
            let muxers = &inside.muxers;
            let there = || muxers.get(&path.name, &settings).is_some() || muxers.rests(&path.name, &settings).is_some();
            if !wanted || settings.close_after.is_some() || there() {
                continue;
            }
            if let Ok(subscription) = inside.registry.join(&path.name).await {
                inside.muxers.start(&path.name, settings, subscription);
            }
        }
    }
}

/// What the configuration says of HLS on a path, in the muxers' words.
fn hls_settings(config: &Config, path: &str) -> muxer::Settings {
    // A muxer is a reader: one that stays would keep a source on demand running.
    let found = config.find(path);
    let camera_clock = found.as_ref().is_none_or(|f| f.conf.use_absolute_timestamp);
    let on_demand = found.is_none_or(|f| f.conf.source_on_demand || f.conf_name != path);
    muxer::Settings {
        variant: config.hls_variant.into(),
        segments: config.hls_segment_count,
        segment: config.hls_segment_duration,
        part: config.hls_part_duration,
        max_bytes: config.hls_segment_max_size.0,
        camera_clock,
        close_after: (on_demand || !config.hls_always_remux).then_some(config.hls_muxer_close_after),
    }
}
