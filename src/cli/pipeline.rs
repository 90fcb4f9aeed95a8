//! `camgate pipeline PATH`: the path's pipeline as a line for gst-launch-1.0.
//! Only the line goes to standard output.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use camgate::media::codec::{Codec, Kind};
use camgate::media::source::{Origin, rtsp_properties, whole_line};
use camgate::media::template::{self, Template};
use camgate::path::actor;

use crate::cli::{config, probe};

/// How long the camera is asked what it sends.
const ASK_S: u64 = 6;

/// Prints the line.
pub fn print(path: &str, named: Option<PathBuf>, credentials: bool, view: bool) -> anyhow::Result<ExitCode> {
    let loaded = config::load(config::find(named).as_deref())?;
    let found = loaded.config.find(path).with_context(|| format!("path \"{path}\" is not in the configuration"))?;
    gstreamer::init().context("GStreamer does not start")?;
    let spec = actor::spec(path, &found.conf, loaded.config.read_timeout)
        .with_context(|| format!("path \"{path}\" waits for a publisher: it has no pipeline of its own"))?;
    let line = match &spec.origin {
        Origin::Rtsp { url, transport, .. } => {
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().worker_threads(2).build()?;
            let seen = runtime.block_on(probe::watch(&spec, ASK_S, true));
            runtime.shutdown_timeout(Duration::from_millis(200));
            let mut codecs: Vec<Codec> = seen.tracks.into_iter().map(|t| t.codec).filter(Codec::carried).collect();
            if codecs.is_empty() {
                let why = seen.failure.map_or_else(|| "no answer".to_owned(), |f| f.reason);
                eprintln!(
                    "note: the camera could not be asked what it sends ({why}); the line is for H.264 without audio"
                );
                codecs.push(Codec::H264 { profile_level_id: [0x42, 0xe0, 0x1f] });
            }
            let template = match &spec.template {
                Some(file) => Template::load_file(file)?,
                None => Template::load_builtin(template::for_camera(codecs.iter().find(|c| c.kind() == Kind::Video)))?,
            };
            let properties = rtsp_properties(url, *transport, seen.hints, spec.read_timeout, credentials);
            template.launch_line(&properties, &codecs)
        }
        origin => {
            template::for_shell(&whole_line(origin, spec.template.as_ref()).map_err(|f| anyhow::anyhow!(f.reason))?)
        }
    };
    let line = if view { visible(&line) } else { line };
    let line = if credentials { line } else { camgate::redact::text(&line).into_owned() };
    println!("gst-launch-1.0 {line}");
    Ok(ExitCode::SUCCESS)
}

/// Replaces camgate's sinks by ones that a person sees and hears.
fn visible(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some(at) = rest.find("appsink name=") {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let video = rest.starts_with("appsink name=packets");
        // The properties go with their sink: words with "=" up to the next element.
        let end = rest
            .split_inclusive(' ')
            .take_while(|w| w.trim() == "appsink" || (w.contains('=') && !w.contains('/')))
            .map(str::len)
            .sum::<usize>();
        out.push_str(if video {
            "decodebin ! videoconvert ! autovideosink sync=false "
        } else {
            "decodebin ! audioconvert ! audioresample ! autoaudiosink sync=false "
        });
        rest = &rest[end..];
    }
    out.push_str(rest);
    out.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sinks_become_visible() {
        assert_eq!(
            visible(
                "a ! appsink name=packets sync=false drop=true src. ! application/x-rtp,media=audio ! b ! appsink name=audio x=1"
            ),
            "a ! decodebin ! videoconvert ! autovideosink sync=false src. ! application/x-rtp,media=audio ! b ! decodebin ! audioconvert ! audioresample ! autoaudiosink sync=false"
        );
    }
}
