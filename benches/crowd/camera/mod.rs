//! The camera double of the crowd: recorded packets over RTSP, in a process of its own,
//! so that what it costs is not counted as the server's or the client's.

pub mod clock;
pub mod rtp;
pub mod serve;
pub mod stream;

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The first argument of the process that is the camera.
pub const ARGUMENT: &str = "--camera-process";

/// A camera at work; its process ends when this is dropped.
pub struct Camera {
    child: Child,
    port: u16,
    /// When its clock stood at zero, ns of `CLOCK_MONOTONIC`.
    pub zero_ns: u64,
    /// Packets a second, by stream.
    rates: HashMap<String, f64>,
    playing: Arc<AtomicUsize>,
}

impl Camera {
    /// Starts this program again as the camera, with these streams, on `port` (0: any).
    pub fn start(port: u16, streams: &[&str]) -> Result<Camera, String> {
        let program = std::env::current_exe().map_err(|e| e.to_string())?;
        let mut child = Command::new(program)
            .arg(ARGUMENT)
            .arg(port.to_string())
            .args(streams)
            // It ends when this pipe does.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| format!("the camera's process: {e}"))?;
        let mut lines = BufReader::new(child.stdout.take().ok_or("no pipe")?).lines().map_while(Result::ok);
        let first = lines.next().ok_or("the camera's process ended; is its port taken?")?;
        let mut words = first.split_whitespace().skip(1).step_by(2);
        let port = words.next().and_then(|w| w.parse().ok()).ok_or("the camera says no port")?;
        let zero_ns = words.next().and_then(|w| w.parse().ok()).ok_or("the camera says no time")?;
        let rates = first.split_whitespace().filter_map(|w| w.split_once('='));
        let rates = rates.filter_map(|(name, n)| Some((name.to_owned(), n.parse().ok()?))).collect();
        let playing = Arc::new(AtomicUsize::new(0));
        std::thread::spawn({
            let playing = playing.clone();
            move || {
                for line in lines {
                    if let Some(n) = line.strip_prefix("playing ").and_then(|n| n.parse().ok()) {
                        playing.store(n, Relaxed);
                    }
                }
            }
        });
        Ok(Camera { child, port, zero_ns, rates, playing })
    }

    /// The RTSP URL of a path: a stream's name and a number.
    pub fn url(&self, path: &str) -> String {
        format!("rtsp://127.0.0.1:{}/{path}", self.port)
    }

    /// Packets a second of a stream.
    pub fn rate(&self, stream: &str) -> f64 {
        self.rates.get(stream).copied().unwrap_or_default()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Readers that play now.
    pub fn playing(&self) -> usize {
        self.playing.load(Relaxed)
    }
}

impl Drop for Camera {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
