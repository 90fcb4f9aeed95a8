//! Templates: a launch line in a file, read, checked and split. Pure but for the
//! instantiation at the end.
//!
//! A template for a camera begins with `rtspsrc name=src …`, followed by branches
//! that begin with `src. ! application/x-rtp,…`. camgate runs `src` first and adds
//! the branches that the camera's SDP calls for, so that one connection is enough
//! to find out what a camera sends. Other templates are run whole.
//! Values that camgate knows (URL, credentials) are set as properties, never by
//! pasting text.

use std::fmt::Write as _;
use std::path::Path;

use gst::prelude::*;
use gstreamer as gst;

use crate::media::codec::{Codec, Kind};

/// The name that the appsink of the video packets must have.
pub const VIDEO_SINK: &str = "packets";
/// The name that the appsink of the audio packets (of AAC: frames) must have.
pub const AUDIO_SINK: &str = "audio";

/// A template that was read and split.
#[derive(Debug, Clone, PartialEq)]
pub struct Template {
    /// File name, for messages.
    pub name: String,
    /// `rtspsrc name=src …`, where the template has branches; the whole line
    /// otherwise.
    pub head: String,
    /// The branches on `src.`, in the order of the file.
    pub branches: Vec<Branch>,
}

/// One branch of a template: what it takes and what it does.
#[derive(Debug, Clone, PartialEq)]
pub struct Branch {
    /// The caps filter after `src. !`.
    pub caps: String,
    /// What follows the filter, without leading `!`.
    pub body: String,
}

/// Why a template is refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{file}{}: {reason}", .line.map(|l| format!(":{l}")).unwrap_or_default())]
pub struct TemplateError {
    /// The template's file name.
    pub file: String,
    /// Line in the file, where it is known.
    pub line: Option<usize>,
    /// What is wrong and what to change.
    pub reason: String,
}

macro_rules! builtin {
    ($($name:literal),*) => {
        /// A template that is part of the binary, by file name.
        pub fn builtin(name: &str) -> Option<&'static str> {
            match name {
                $($name => Some(include_str!(concat!("../../pipelines/", $name))),)*
                _ => None,
            }
        }
        #[cfg(test)]
        const BUILTIN: &[&str] = &[$($name),*];
    };
}
builtin!(
    "rtsp-h264.gst",
    "rtsp-h265.gst",
    "rtsp-audio.gst",
    "test.gst",
    "launch-h264.gst",
    "launch-h265.gst",
    "launch-opus.gst",
    "launch-pcmu.gst",
    "launch-pcma.gst",
    "launch-aac.gst"
);

/// The built-in template for a camera that sends this video (or none).
pub fn for_camera(video: Option<&Codec>) -> &'static str {
    match video {
        Some(Codec::H264 { .. }) => "rtsp-h264.gst",
        Some(Codec::H265 { .. }) => "rtsp-h265.gst",
        _ => "rtsp-audio.gst",
    }
}

/// The text of a template file without comments, as one line.
fn strip(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for l in text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')) {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(l);
    }
    line
}

/// The words of a launch line; quotes keep theirs together.
fn words(line: &str) -> Vec<&str> {
    let (mut out, mut start, mut quoted, mut escaped) = (Vec::new(), None, false, false);
    for (i, c) in line.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => {
                escaped = true;
                start.get_or_insert(i);
            }
            '"' => {
                quoted = !quoted;
                start.get_or_insert(i);
            }
            c if c.is_whitespace() && !quoted => {
                if let Some(s) = start.take() {
                    out.push(&line[s..i]);
                }
            }
            _ => {
                start.get_or_insert(i);
            }
        }
    }
    if let Some(s) = start {
        out.push(&line[s..]);
    }
    out
}

impl Template {
    /// Reads a built-in template. Their correctness is tested, so this does not fail.
    pub fn load_builtin(name: &str) -> Result<Template, TemplateError> {
        let text = builtin(name).ok_or_else(|| TemplateError {
            file: name.into(),
            line: None,
            reason: "no such template in this binary".into(),
        })?;
        Template::parse(name, text)
    }

    /// Reads a template file of the operator (64 KiB at most).
    pub fn load_file(path: &Path) -> Result<Template, TemplateError> {
        let name = path.display().to_string();
        let fail = |reason: String| TemplateError { file: name.clone(), line: None, reason };
        let len = std::fs::metadata(path).map_err(|e| fail(format!("cannot be read: {e}")))?.len();
        if len > 64 * 1024 {
            return Err(fail("is larger than 64 KiB, which no launch line needs".into()));
        }
        let text = std::fs::read_to_string(path).map_err(|e| fail(format!("cannot be read: {e}")))?;
        Template::parse(&name, &text)
    }

    /// Splits and checks a template's text.
    pub fn parse(name: &str, text: &str) -> Result<Template, TemplateError> {
        let line = strip(text);
        let words = words(&line);
        let fail = |needle: &str, reason: String| TemplateError {
            file: name.into(),
            line: text.lines().position(|l| !l.trim().starts_with('#') && l.contains(needle)).map(|i| i + 1),
            reason,
        };
        if words.is_empty() {
            return Err(fail("", "the file holds no launch line".into()));
        }
        let starts: Vec<usize> =
            (0..words.len()).filter(|&i| words[i] == "src." && (i == 0 || words[i - 1] != "!")).collect();
        let Some(&first) = starts.first() else {
            return Ok(Template { name: name.into(), head: line, branches: Vec::new() });
        };
        let head = words[..first].join(" ");
        if words.first() != Some(&"rtspsrc") || words[..first].contains(&"!") || !words[..first].contains(&"name=src") {
            return Err(fail(
                words[0],
                "a template with branches on \"src.\" begins with \"rtspsrc name=src\" and its properties".into(),
            ));
        }
        let mut branches = Vec::new();
        for (n, &at) in starts.iter().enumerate() {
            let end = starts.get(n + 1).copied().unwrap_or(words.len());
            let chain = &words[at..end];
            let second = chain.iter().skip(2).position(|w| *w == "!").map(|i| i + 2);
            let (Some(&"!"), Some(second)) = (chain.get(1), second) else {
                return Err(fail("src.", "a branch reads \"src. ! application/x-rtp,media=… ! …\"".into()));
            };
            let caps = chain[2..second].join(" ");
            if !caps.starts_with("application/x-rtp") {
                return Err(fail(chain[2], format!("\"{caps}\" must be a caps filter on application/x-rtp")));
            }
            branches.push(Branch { caps, body: chain[second + 1..].join(" ") });
        }
        if !branches.iter().any(|b| b.sink().is_some()) {
            return Err(fail(
                "src.",
                format!("no branch ends in an appsink named \"{VIDEO_SINK}\" or \"{AUDIO_SINK}\""),
            ));
        }
        Ok(Template { name: name.into(), head, branches })
    }

    /// The branch that takes a stream with these caps; the first one that matches.
    pub fn branch_for(&self, caps: &gst::CapsRef) -> Option<&Branch> {
        self.branches.iter().find(|b| b.caps.parse::<gst::Caps>().is_ok_and(|filter| filter.can_intersect(caps)))
    }

    /// The branch for a codec, before caps are known.
    pub fn branch_for_codec(&self, codec: &Codec) -> Option<&Branch> {
        let media = match codec.kind() {
            Kind::Video => "video",
            Kind::Audio => "audio",
        };
        let caps = gst::Caps::builder("application/x-rtp")
            .field("media", media)
            .field("encoding-name", codec.encoding_name().to_ascii_uppercase())
            .build();
        self.branch_for(&caps)
    }

    /// A line for `gst-launch-1.0`: the head with more properties, and the
    /// branches for these codecs (all, when none are given). The properties are
    /// quoted for the shell.
    pub fn launch_line(&self, properties: &[(String, String)], codecs: &[Codec]) -> String {
        let mut line = for_shell(&self.head);
        for (key, value) in properties {
            let _ = write!(line, " {key}={}", shell_quote(value)); // invariant: writing to a String cannot fail
        }
        let wanted: Vec<&Branch> = match codecs {
            [] => self.branches.iter().collect(),
            some => some.iter().filter_map(|c| self.branch_for_codec(c)).collect(),
        };
        for b in wanted {
            let _ = write!(line, " src. ! {} ! {}", for_shell(&b.caps), for_shell(&b.body));
        }
        line
    }
}

impl Branch {
    /// Which kind of packets this branch hands over.
    pub fn sink(&self) -> Option<Kind> {
        let words = words(&self.body);
        if words.contains(&"name=packets") {
            Some(Kind::Video)
        } else if words.contains(&"name=audio") {
            Some(Kind::Audio)
        } else {
            None
        }
    }

    /// Makes the branch's elements, with the first one's sink pad as the bin's.
    pub fn instantiate(&self, template: &str) -> Result<gst::Bin, TemplateError> {
        // `true` would ghost the pad by itself, and the delayed link of rtspsrc would
        // then fail (GStreamer up to 1.26): ghosted by hand.
        let bin =
            gst::parse::bin_from_description(&self.body, false).map_err(|e| parse_error(template, &self.body, &e))?;
        let pad = bin.find_unlinked_pad(gst::PadDirection::Sink).ok_or_else(|| TemplateError {
            file: template.into(),
            line: None,
            reason: "a branch has no free sink pad to take the stream".into(),
        })?;
        let ghost = gst::GhostPad::builder_with_target(&pad)
            .map_err(|e| TemplateError { file: template.into(), line: None, reason: e.to_string() })?
            .name("sink")
            .build();
        bin.add_pad(&ghost).map_err(|e| TemplateError { file: template.into(), line: None, reason: e.to_string() })?;
        Ok(bin)
    }
}

/// Makes an element or a pipeline from a launch line.
pub fn instantiate(name: &str, line: &str) -> Result<gst::Element, TemplateError> {
    gst::parse::launch_full(line, None, gst::ParseFlags::FATAL_ERRORS).map_err(|e| parse_error(name, line, &e))
}

fn parse_error(name: &str, line: &str, error: &gst::glib::Error) -> TemplateError {
    let mut reason = error.message().to_string();
    if error.matches(gst::ParseError::NoSuchElement) {
        reason.push_str(" (is its GStreamer plugin installed?)");
    }
    TemplateError { file: name.into(), line: None, reason: format!("{reason}, in: {}", crate::redact::text(line)) }
}

/// A launch line whose words a POSIX shell hands on unchanged.
pub fn for_shell(line: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:+@%,=!".contains(c);
    let quoted =
        |w: &&str| if w.chars().all(plain) { (*w).to_owned() } else { format!("'{}'", w.replace('\'', "'\\''")) };
    words(line).iter().map(quoted).collect::<Vec<_>>().join(" ")
}

/// Quotes a value so that a POSIX shell and gst-launch both read it unchanged.
pub fn shell_quote(value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:+@%,=".contains(c);
    if !value.is_empty() && value.chars().all(plain) {
        return value.into();
    }
    let gst = format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""));
    format!("'{}'", gst.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const VIDEO: Codec = Codec::H264 { profile_level_id: [0x42, 0xe0, 0x1f] };

    #[test]
    fn every_builtin_template_reads_and_runs() {
        gst::init().unwrap();
        for name in BUILTIN {
            let t = Template::load_builtin(name).unwrap();
            assert!(!t.head.contains('#'), "{name}");
            if t.branches.is_empty() {
                instantiate(name, &t.head).unwrap();
            }
            for b in &t.branches {
                b.instantiate(name).unwrap();
            }
        }
    }

    #[test]
    fn camera_templates_differ_in_their_branches_only() {
        let heads: Vec<_> = ["rtsp-h264.gst", "rtsp-h265.gst", "rtsp-audio.gst"]
            .map(|n| Template::load_builtin(n).unwrap().head)
            .to_vec();
        assert!(heads.windows(2).all(|w| w[0] == w[1]));
    }

    #[test]
    fn branches_are_chosen_by_caps_and_codec() {
        gst::init().unwrap();
        let t = Template::load_builtin("rtsp-h264.gst").unwrap();
        assert_eq!(t.branch_for_codec(&VIDEO).unwrap().sink(), Some(Kind::Video));
        assert!(t.branch_for_codec(&Codec::Opus { channels: 2 }).unwrap().body.contains("rtpopusdepay"));
        assert!(t.branch_for_codec(&Codec::Pcma).unwrap().body.contains("rtppcmadepay"));
        for (format, depay) in [("MPEG4-GENERIC", "rtpmp4gdepay"), ("MP4A-LATM", "rtpmp4adepay")] {
            assert!(t.branch_for_codec(&Codec::Aac { format, config: Vec::new() }).unwrap().body.contains(depay));
        }
        assert!(t.branch_for_codec(&Codec::Other { kind: Kind::Audio, name: "AAC".into() }).is_none());
    }

    #[test]
    fn lines_for_gst_launch_have_only_what_the_camera_sends() {
        gst::init().unwrap();
        let t = Template::load_builtin("rtsp-h264.gst").unwrap();
        let line = t.launch_line(&[("location".into(), "rtsp://h/s?a=1&b=it's".into())], &[VIDEO]);
        assert!(line.contains(r#" location='"rtsp://h/s?a=1&b=it'\''s"' src. ! "#), "{line}");
        assert!(!line.contains("pcmu"));
    }

    #[test]
    fn bad_templates_are_refused_with_the_line() {
        for (text, line, says) in [
            ("# only a comment\n", None, "no launch line"),
            ("fakesrc name=src\nsrc. ! application/x-rtp ! appsink name=packets", Some(1), "begins with"),
            ("rtspsrc name=src\n\nsrc. ! appsink name=packets", Some(3), "a branch reads"),
            ("rtspsrc name=src\nsrc. ! video/x-raw ! appsink name=packets", Some(2), "must be a caps filter"),
            ("rtspsrc name=src\nsrc. ! application/x-rtp ! fakesink", Some(2), "no branch ends"),
        ] {
            let e = Template::parse("x.gst", text).unwrap_err();
            assert!(e.reason.contains(says), "{e}");
            if line.is_some() {
                assert_eq!(e.line, line, "{e}");
            }
        }
    }

    #[test]
    fn an_unknown_element_is_named() {
        gst::init().unwrap();
        let e = instantiate("x.gst", "nosuchelement ! fakesink").unwrap_err();
        assert!(e.to_string().contains("nosuchelement"), "{e}");
    }

    #[test]
    fn lines_are_fit_for_a_shell() {
        assert_eq!(for_shell("a ! b x=1 ! c"), "a ! b x=1 ! c");
        assert_eq!(
            for_shell(r#"f caps="video/x-raw, format=(string)I420" ! g"#),
            r#"f 'caps="video/x-raw, format=(string)I420"' ! g"#
        );
        assert_eq!(for_shell("x=it's"), r"'x=it'\''s'");
    }

    #[test]
    fn quoting_survives_shell_and_gst() {
        assert_eq!(shell_quote("rtsp://h:554/a"), "rtsp://h:554/a");
        assert_eq!(shell_quote("a b"), r#"'"a b"'"#);
        assert_eq!(shell_quote(""), r#"'""'"#);
    }
}
