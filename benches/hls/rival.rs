//! MediaMTX beside camgate, where $MEDIAMTX names its binary.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::support::until;

/// A MediaMTX at work; killed when dropped.
pub struct Rival {
    child: Child,
    url: String,
    path: String,
    _directory: tempfile::TempDir,
}

impl Rival {
    /// Starts it with one path; None where $MEDIAMTX is not set.
    pub fn start(path: &str, source: &str) -> Option<Rival> {
        let binary = std::env::var_os("MEDIAMTX")?;
        let directory = tempfile::tempdir().expect("no directory");
        let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("no port").port();
        let file = directory.path().join("mediamtx.yml");
        // The muxer stays, as ours does while somebody asks.
        let yaml = format!(
            "logLevel: error\nrtsp: no\nrtmp: no\nsrt: no\nwebrtc: no\nmoq: no\nhlsAlwaysRemux: yes\n\
             hlsAddress: 127.0.0.1:{port}\npaths:\n  {path}:\n    source: {source}\n    rtspTransport: tcp\n"
        );
        std::fs::write(&file, yaml).expect("no file");
        let child = Command::new(binary)
            .arg(&file)
            .current_dir(directory.path())
            .stdout(Stdio::null())
            .spawn()
            .expect("MediaMTX does not start");
        Some(Rival { child, url: format!("http://127.0.0.1:{port}"), path: path.into(), _directory: directory })
    }

    /// Without a slash at the end.
    pub fn url(&self) -> &str {
        &self.url
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it has a playlist.
    pub async fn ready(&self) {
        let client = reqwest::Client::builder().no_proxy().build().expect("no client");
        let url = format!("{}/{}/index.m3u8", self.url, self.path);
        until(Duration::from_secs(60), "MediaMTX", || {
            let (client, url) = (client.clone(), url.clone());
            async move { client.get(url).send().await.ok().filter(|r| r.status().is_success()).map(|_| ()) }
        })
        .await;
    }
}

impl Drop for Rival {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
