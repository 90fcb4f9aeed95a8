//! Makes a viewer's pipeline and negotiates it. Blocking: runs on threads of
//! [`crate::media::blocking`] only.

use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use gst::glib;
use gst::prelude::*;
use gstreamer as gst;
use gstreamer_app as gst_app;
use gstreamer_sdp as gst_sdp;
use gstreamer_webrtc as gst_webrtc;

use crate::error::{Error, Kind, Result};
use crate::media::codec::Kind as Media;
use crate::webrtc::answer::{self, Transport};
use crate::webrtc::engine::Gathering;
use crate::webrtc::negotiate::{Plan, SendSection};
use crate::webrtc::offer::Offer;
use crate::webrtc::stream::Stream;
use crate::webrtc::webrtcbin::Identity;
use crate::webrtc::webrtcbin::farewell;
use crate::webrtc::webrtcbin::gathered::{Gathered, outside};
use crate::webrtc::webrtcbin::pump::Lane;
use crate::webrtc::webrtcbin::watch::Watch;

/// One step of the negotiation inside webrtcbin. Milliseconds, but for a machine
/// that is quite out of breath: late is better than an error then.
pub const STEP: Duration = Duration::from_secs(8);

/// A negotiated session.
pub struct Built {
    pub transport: Transport,
    pub streams: Vec<Ids>,
    pub lanes: Vec<Lane>,
    pub watch: Arc<Watch>,
    pub session: Session,
    pub webrtc: glib::WeakRef<gst::Element>,
}

/// The SSRCs of one stream.
pub struct Ids {
    pub ssrc: u32,
    pub rtx_ssrc: Option<u32>,
}

/// Owns a viewer's pipeline. Dropping it stops and releases everything, which
/// blocks: on such a thread only.
pub struct Session {
    pipeline: gst::Pipeline,
    webrtc: gst::Element,
}

impl Drop for Session {
    fn drop(&mut self) {
        farewell::say(&self.webrtc);
        let _ = self.pipeline.set_state(gst::State::Null);
        if let Some(bus) = self.pipeline.bus() {
            bus.unset_sync_handler();
        }
        // Left in its bin, one thread of webrtcbin would stay behind per session.
        let _ = self.pipeline.remove(&self.webrtc);
    }
}

fn internal(what: impl std::fmt::Display) -> Error {
    Error::new(Kind::Internal, format!("webrtcbin: {what}"))
}

fn no_address() -> Error {
    internal("no address to offer: check webrtcIPsFromInterfaces with its list, and webrtcAdditionalHosts")
}

/// Makes the pipeline, negotiates, gathers, and returns it playing.
pub fn build(id: &str, offer: &Offer, plan: &Plan, gathering: &Gathering, identity: &Arc<Identity>) -> Result<Built> {
    let expected =
        plan.sends().filter_map(|(i, _)| offer.sections.get(i)?.peer.as_ref().map(|p| p.fingerprint.clone())).collect();
    let watch = Watch::new(expected);
    let webrtc = gst::ElementFactory::make("webrtcbin")
        .property_from_str("bundle-policy", "max-bundle")
        .build()
        .map_err(internal)?;
    let pipeline = gst::Pipeline::with_name(&format!("viewer-{id}"));
    pipeline.add(&webrtc).map_err(internal)?;
    // Sender reports tell when a picture or a sound was captured (its PTS), so that the
    // receiver keeps both together. By default they would be about when it was sent,
    // for which the session waits to be told a latency that a pipeline such as this
    // one never has: the reports then ran twice as fast as the clock.
    let bin = webrtc.downcast_ref::<gst::Bin>().and_then(|bin| bin.by_name("rtpbin"));
    bin.ok_or_else(|| internal("it has no rtpbin"))?.set_property("rtcp-sync-send-time", false);
    let session = Session { pipeline, webrtc };
    let (transport, streams, lanes) = negotiate(&session, offer, plan, gathering, identity, &watch)?;
    let webrtc = session.webrtc.downgrade();
    Ok(Built { transport, streams, lanes, watch, session, webrtc })
}

type Negotiated = (Transport, Vec<Ids>, Vec<Lane>);

fn negotiate(
    session: &Session,
    offer: &Offer,
    plan: &Plan,
    gathering: &Gathering,
    identity: &Arc<Identity>,
    watch: &Arc<Watch>,
) -> Result<Negotiated> {
    let (pipeline, webrtc) = (&session.pipeline, &session.webrtc);
    if gathering.local.is_empty() {
        // libnice would take every address that it finds.
        return Err(no_address());
    }
    follow_inside(webrtc, watch, identity);
    follow_bus(pipeline, watch);
    configure_ice(webrtc, gathering);
    let gathered = Gathered::listen(webrtc);

    // The path's clock: timestamps of the Hub are CLOCK_MONOTONIC.
    pipeline.use_clock(Some(&gst::SystemClock::obtain()));
    pipeline.set_start_time(gst::ClockTime::NONE);
    pipeline.set_base_time(gst::ClockTime::ZERO);

    let mut lanes = Vec::new();
    let mut ssrcs = Vec::new();
    for (n, (_, section)) in plan.sends().enumerate() {
        let ssrc: u32 = rand::random::<u32>() | 1;
        let appsrc = add_stream(pipeline, webrtc, n, section, ssrc, watch)?;
        let stream = Stream::new(ssrc, section.pt, rand::random::<u16>() >> 1, rand::random());
        lanes.push(Lane::new(section.kind, appsrc, stream));
        ssrcs.push(ssrc);
    }
    pipeline.set_state(gst::State::Playing).map_err(internal)?;
    await_formats(webrtc)?;

    describe(webrtc, "set-remote-description", gst_webrtc::WebRTCSDPType::Offer, &answer::engine_offer(offer, plan))?;
    let created = promised(|p| webrtc.emit_by_name::<()>("create-answer", &[&None::<gst::Structure>, &p]))?
        .ok_or_else(|| internal("no answer"))?;
    let description =
        created.get::<gst_webrtc::WebRTCSessionDescription>("answer").map_err(|_| internal("it refused the offer"))?;
    promised(|p| webrtc.emit_by_name::<()>("set-local-description", &[&description, &p]))?;

    let candidates = gathered.wait(webrtc, gathering);
    let (mut transport, streams) = read_answer(description.sdp(), &ssrcs, &identity.fingerprint)?;
    transport.candidates = outside(candidates, gathering).iter().map(ToString::to_string).collect();
    if transport.candidates.is_empty() {
        return Err(no_address());
    }
    Ok((transport, streams, lanes))
}

fn follow_inside(webrtc: &gst::Element, watch: &Arc<Watch>, identity: &Arc<Identity>) {
    if let Some(bin) = webrtc.downcast_ref::<gst::Bin>() {
        let (watch, identity) = (watch.clone(), identity.clone());
        bin.connect_deep_element_added(move |_, _, element| watch.follow(element, &identity.pem));
    }
    let on_ice = watch.clone();
    webrtc.connect_notify(Some("ice-connection-state"), move |webrtc, _| {
        if webrtc.property::<gst_webrtc::WebRTCICEConnectionState>("ice-connection-state")
            == gst_webrtc::WebRTCICEConnectionState::Failed
        {
            on_ice.close("ICE failed: no candidate pair works (is the UDP port open, is webrtcAdditionalHosts set?)");
        }
    });
}

fn follow_bus(pipeline: &gst::Pipeline, watch: &Arc<Watch>) {
    let Some(bus) = pipeline.bus() else { return };
    let watch = watch.clone();
    bus.set_sync_handler(move |_, message| {
        if let gst::MessageView::Error(e) = message.view() {
            watch.close(&format!("pipeline failed: {}", crate::redact::text(&e.error().to_string())));
        }
        gst::BusSyncReply::Drop
    });
}

fn configure_ice(webrtc: &gst::Element, gathering: &Gathering) {
    let ice = webrtc.property::<glib::Object>("ice-agent");
    ice.set_property("ice-tcp", false);
    if let Some((min, max)) = gathering.ports {
        ice.set_property("max-rtp-port", u32::from(max));
        ice.set_property("min-rtp-port", u32::from(min));
    }
    let agent = ice.property::<glib::Object>("agent");
    // UPnP costs 200 ms and a thread per session (libnice, any version).
    agent.set_property("upnp", false);
    // Connectivity checks go on after the connection stands: a peer that vanished
    // makes the agent fail (RFC 7675 in spirit; libnice's own consent freshness can
    // only be asked for when the agent is made).
    agent.set_property("keepalive-conncheck", true);
    for ip in &gathering.local {
        ice.emit_by_name::<bool>("add-local-ip-address", &[&ip.to_string()]);
    }
    if let Some(stun) = &gathering.stun {
        webrtc.set_property("stun-server", stun);
    }
    for turn in &gathering.turn {
        if !webrtc.emit_by_name::<bool>("add-turn-server", &[turn]) {
            tracing::warn!("a TURN server in webrtcICEServers2 was refused by the ICE agent");
        }
    }
}

fn add_stream(
    pipeline: &gst::Pipeline,
    webrtc: &gst::Element,
    number: usize,
    section: &SendSection,
    ssrc: u32,
    watch: &Arc<Watch>,
) -> Result<gst_app::AppSrc> {
    let mut parts = section.rtpmap.split('/');
    let encoding = parts.next().unwrap_or_default().to_ascii_uppercase();
    let rate: i32 = parts.next().and_then(|r| r.parse().ok()).unwrap_or(90_000);
    let media = match section.kind {
        Media::Video => "video",
        Media::Audio => "audio",
    };
    let mut caps = gst::Caps::builder("application/x-rtp")
        .field("media", media)
        .field("encoding-name", &encoding)
        .field("clock-rate", rate)
        // The payload type of this offer, or the section becomes inactive without a word.
        .field("payload", i32::from(section.pt))
        // Without it the answer carries "ssrc-group:FID 0 …".
        .field("ssrc", ssrc);
    if let Some(channels) = parts.next().filter(|_| encoding == "OPUS") {
        caps = caps.field("encoding-params", channels);
    }
    let appsrc = gst_app::AppSrc::builder()
        .caps(&caps.build())
        .format(gst::Format::Time)
        .is_live(true)
        .block(false)
        .max_bytes(0)
        .build();
    pipeline.add(&appsrc).map_err(internal)?;
    let pad = webrtc.request_pad_simple(&format!("sink_{number}")).ok_or_else(|| internal("no sink pad"))?;
    let transceiver = pad.property::<gst_webrtc::WebRTCRTPTransceiver>("transceiver");
    transceiver.set_property("direction", gst_webrtc::WebRTCRTPTransceiverDirection::Sendonly);
    transceiver.set_property("do-nack", section.nack && section.rtx_pt.is_some());
    let source = appsrc.static_pad("src").ok_or_else(|| internal("appsrc without pad"))?;
    if section.kind == Media::Video {
        let watch = watch.clone();
        source.add_probe(gst::PadProbeType::EVENT_UPSTREAM, move |_, info| {
            // PLI and FIR arrive as GstForceKeyUnit. They go on to appsrc, which has no use for
            // them: an event that a probe drops is a CRITICAL (see media/source/reports.rs).
            if info.event().and_then(|e| e.structure()).is_some_and(|s| s.name() == "GstForceKeyUnit") {
                watch.key_wanted.notify_one();
            }
            gst::PadProbeReturn::Ok
        });
    }
    source.link(&pad).map_err(internal)?;
    Ok(appsrc)
}

/// Waits until webrtcbin knows its streams' formats: each appsrc tells its own on a
/// thread of its own, and a section whose format is not known yet is made inactive.
fn await_formats(webrtc: &gst::Element) -> Result<()> {
    let deadline = Instant::now() + STEP;
    for pad in webrtc.sink_pads() {
        let (tx, rx) = sync_channel(1);
        let handler = pad.connect_notify(Some("caps"), move |_, _| tx.try_send(()).unwrap_or_default());
        while pad.current_caps().is_none() {
            rx.recv_timeout(deadline.saturating_duration_since(Instant::now()))
                .map_err(|_| internal("a stream did not tell its format in time"))?;
        }
        pad.disconnect(handler);
    }
    Ok(())
}

/// Emits a signal that takes a promise, and waits for the reply.
fn promised(emit: impl FnOnce(gst::Promise)) -> Result<Option<gst::Structure>> {
    let (tx, rx) = sync_channel(1);
    emit(gst::Promise::with_change_func(move |reply| {
        let _ = tx.try_send(reply.map(|s| s.map(|s| s.to_owned())).map_err(|e| format!("{e:?}")));
    }));
    match rx.recv_timeout(STEP) {
        Ok(Ok(Some(s))) if s.has_field("error") => {
            Err(internal(s.get::<glib::Error>("error").map_or_else(|e| e.to_string(), |e| e.message().to_owned())))
        }
        Ok(Ok(reply)) => Ok(reply),
        Ok(Err(e)) => Err(internal(e)),
        Err(_) => Err(internal("no reply in time")),
    }
}

fn describe(webrtc: &gst::Element, signal: &str, kind: gst_webrtc::WebRTCSDPType, sdp: &str) -> Result<()> {
    let message = gst_sdp::SDPMessage::parse_buffer(sdp.as_bytes()).map_err(internal)?;
    let description = gst_webrtc::WebRTCSessionDescription::new(kind, message);
    promised(|p| webrtc.emit_by_name::<()>(signal, &[&description, &p])).map(drop)
}

/// What webrtcbin's own answer says about transport and retransmission.
fn read_answer(sdp: &gst_sdp::SDPMessageRef, ssrcs: &[u32], fingerprint: &str) -> Result<(Transport, Vec<Ids>)> {
    let find = |key: &str| {
        sdp.medias()
            .find_map(|m| m.attribute_val(key))
            .or_else(|| sdp.attribute_val(key))
            .map(str::to_owned)
            .ok_or_else(|| internal(format!("its answer has no {key}")))
    };
    let transport = Transport {
        ice_ufrag: find("ice-ufrag")?,
        ice_pwd: find("ice-pwd")?,
        fingerprint_sha256: fingerprint.to_owned(),
        candidates: Vec::new(),
        end_of_candidates: true,
    };
    let mut streams: Vec<Ids> = ssrcs.iter().map(|s| Ids { ssrc: *s, rtx_ssrc: None }).collect();
    for media in sdp.medias() {
        if media.attributes().any(|a| a.key() == "inactive") || media.port() == 0 {
            return Err(internal("it made a section inactive"));
        }
        for group in media.attributes().filter(|a| a.key() == "ssrc-group").filter_map(|a| a.value()) {
            let mut words = group.split_whitespace();
            let (Some("FID"), Some(main), Some(rtx)) = (words.next(), words.next(), words.next()) else { continue };
            if let (Ok(main), Ok(rtx)) = (main.parse::<u32>(), rtx.parse::<u32>())
                && let Some(ids) = streams.iter_mut().find(|i| i.ssrc == main)
            {
                ids.rtx_ssrc = Some(rtx);
            }
        }
    }
    Ok((transport, streams))
}
