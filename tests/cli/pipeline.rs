//! `camgate pipeline PATH`: the line runs as it is.

use super::support::camera::{Audio, Camera, Codec};
use super::support::faults::Fault;
use super::support::gateway::paths;
use super::support::{proc, wait_true};
use super::{SOON, Said, camgate, file, small};
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

const PASSWORD: &str = "p@ss%:'w $x";

fn line_of(path: &str, config: &str, more: &[&str]) -> Said {
    let said = camgate(&[&["pipeline", path, "--config", config], more].concat());
    assert_eq!(said.code, 0, "{}", said.all());
    assert_eq!(said.out.lines().count(), 1, "only the line: {}", said.out);
    assert!(said.out.starts_with("gst-launch-1.0 "), "{}", said.out);
    said
}

/// A line run by a shell, and what it says.
struct Launched {
    child: Child,
    text: Arc<Mutex<String>>,
}

impl Launched {
    fn start(line: &str) -> Self {
        let line = line.replacen("gst-launch-1.0", "exec gst-launch-1.0", 1);
        let mut command = Command::new("sh");
        // Each sink says what it renders. What `-v` tells of caps is not always all (1.22).
        command.env("GST_DEBUG", "basesink:5").env("GST_DEBUG_NO_COLOR", "1");
        command.arg("-c").arg(&line).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // A test that is killed drops nothing. The thread that starts it is the test's own,
        // which it never outlives.
        // SAFETY: prctl takes numbers, and may be called between fork and exec.
        unsafe {
            command.pre_exec(|| {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as libc::c_ulong);
                Ok(())
            });
        }
        let mut child = command.process_group(0).spawn().unwrap();
        let text = Arc::new(Mutex::new(String::new()));
        let pipes: [Box<dyn Read + Send>; 2] =
            [Box::new(child.stdout.take().unwrap()), Box::new(child.stderr.take().unwrap())];
        for mut pipe in pipes {
            let text = text.clone();
            std::thread::spawn(move || {
                let mut buffer = [0; 4096];
                while let Ok(n @ 1..) = pipe.read(&mut buffer) {
                    text.lock().unwrap().push_str(&String::from_utf8_lossy(&buffer[..n]));
                }
            });
        }
        Self { child, text }
    }

    fn said(&self) -> String {
        self.text.lock().unwrap().clone()
    }

    /// Waits until packets or pictures come into the sink.
    #[track_caller]
    fn wait_rendered(&mut self, sink: &str) {
        let what = format!("<{sink}> rendering object");
        wait_true(SOON, sink, || {
            assert!(self.running(), "it ended:\n{}", self.said());
            self.said().contains(&what)
        });
    }

    fn running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// It has run without a complaint.
    #[track_caller]
    fn assert_well(&mut self) {
        assert!(self.running() && !self.said().contains("ERROR"), "{}", self.said());
    }
}

impl Drop for Launched {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.said());
        }
        proc::signal(self.child.id(), libc::SIGKILL);
        let _ = self.child.wait();
    }
}

/// 40 more pictures are taken: the line goes on for a while.
fn for_a_while(camera: &Camera) {
    let now = camera.frames().last().unwrap().index;
    wait_true(SOON, "40 pictures", || camera.frames().last().unwrap().index > now + 40);
}

#[test]
fn a_cameras_line_runs_as_it_is() {
    let camera = small().digest("oper", PASSWORD).audio(Audio::Pcma).start();
    let (_dir, config) = file(&paths(&[("gate", &camera.url_with_credentials())]));
    let said = line_of("gate", &config, &["--credentials"]);
    assert!(said.out.contains("max-buffers=") && said.out.contains("drop=true"), "{}", said.out);
    let plays = camera.plays();
    let mut launched = Launched::start(said.out.trim());
    launched.wait_rendered("packets");
    launched.wait_rendered("audio");
    assert_eq!(camera.plays(), plays + 1);
    for_a_while(&camera);
    launched.assert_well();
    // Without the option the password stays here.
    let said = line_of("gate", &config, &[]);
    assert!(said.out.contains("user-pw='<redacted>'"), "{}", said.out);
    for secret in ["p@ss", "p%40ss"] {
        assert!(!said.all().contains(secret), "{}", said.all());
    }
}

#[test]
fn a_masked_line_runs_too_where_there_is_nothing_to_mask() {
    for (camera, sinks) in [
        (small().start(), vec!["packets"]),
        (small().codec(Codec::H265).audio(Audio::Opus).start(), vec!["packets", "audio"]),
        (small().audio(Audio::Aac).start(), vec!["packets", "audio"]),
        (small().audio(Audio::Latm).start(), vec!["packets", "audio"]),
        (small().misbehave(Fault::NoTcp).start(), vec!["packets"]),
    ] {
        let (_dir, config) = file(&paths(&[("gate", &camera.url())]));
        let said = line_of("gate", &config, &[]);
        let mut launched = Launched::start(said.out.trim());
        for sink in sinks {
            launched.wait_rendered(sink);
        }
        for_a_while(&camera);
        launched.assert_well();
    }
}

#[test]
fn the_view_ends_in_sinks_that_a_person_sees_and_hears() {
    let camera = small().audio(Audio::Pcma).start();
    let (_dir, config) = file(&paths(&[("gate", &camera.url()), ("test", "test")]));
    for path in ["gate", "test"] {
        let said = line_of(path, &config, &["--view"]);
        assert!(said.out.contains("autovideosink") && said.out.contains("autoaudiosink"), "{}", said.out);
        assert!(!said.out.contains("appsink"), "{}", said.out);
        // No screen and no loudspeaker here.
        let line = said.out.trim();
        let line = line
            .replace("autovideosink", "fakesink name=eyes sync=true")
            .replace("autoaudiosink", "fakesink name=ears sync=true");
        let mut launched = Launched::start(&line);
        for sink in ["eyes", "ears"] {
            launched.wait_rendered(sink);
        }
        launched.assert_well();
    }
}

#[test]
fn lines_of_test_and_launch_sources_run() {
    let line = "gst: videotestsrc is-live=true ! video/x-raw,width=320,height=240 ! x264enc tune=zerolatency";
    let (_dir, config) = file(&paths(&[("test", "test"), ("line", line)]));
    for (path, audio) in [("test", true), ("line", false)] {
        let said = line_of(path, &config, &[]);
        let mut launched = Launched::start(said.out.trim());
        launched.wait_rendered("packets");
        if audio {
            launched.wait_rendered("audio");
        }
        launched.assert_well();
    }
}

#[test]
fn what_has_no_line_says_so() {
    let (_dir, config) =
        file("paths:\n  push:\n    source: publisher\n  off:\n    source: rtsp://oper:hush-hush@127.0.0.1:1/a\n");
    let said = camgate(&["pipeline", "push", "--config", &config]);
    assert!(said.code == 1 && said.err.contains("publisher"), "{}", said.all());
    let said = camgate(&["pipeline", "other", "--config", &config]);
    assert!(said.code == 1 && said.err.contains("other"), "{}", said.all());
    // A camera that is off: a line all the same, and a note beside it.
    let said = line_of("off", &config, &[]);
    assert!(said.err.contains("note:") && said.err.contains("no connection to 127.0.0.1:1"), "{}", said.err);
    assert!(said.out.contains("encoding-name=H264") && !said.all().contains("hush-hush"), "{}", said.all());
}
