//! The servers that are measured: camgate with either engine, MediaMTX, any other with WHEP.

use crate::camera::Camera;
use crate::options::{Engine, Options};
use crate::support::gateway::Gateway;
use std::process::{Child, Command, Stdio};

/// Who is measured.
#[derive(Debug, Clone)]
pub enum Contender {
    Camgate(Engine),
    Other {
        name: String,
        /// For sh; None: it runs already.
        command: Option<String>,
        /// With {path} and {port}.
        url: String,
        pid: Option<u32>,
    },
}

impl Contender {
    /// All that the options name, ours first.
    pub fn all(options: &Options) -> Vec<Contender> {
        let engines = options.engines.iter().filter(|e| **e != Engine::None);
        let mut all: Vec<_> = engines.map(|e| Contender::Camgate(*e)).collect();
        if let Some(binary) = &options.mediamtx {
            all.push(Contender::Other {
                name: "MediaMTX".into(),
                command: Some(format!("'{}' {{config}}", binary.display())),
                url: "http://127.0.0.1:{port}/{path}/whep".into(),
                pid: None,
            });
        }
        if let Some(url) = &options.against {
            all.push(Contender::Other {
                name: "other".into(),
                command: options.against_cmd.clone(),
                url: url.clone(),
                pid: options.pid,
            });
        }
        all
    }

    pub fn name(&self) -> String {
        match self {
            Contender::Camgate(Engine::Shared) => "camgate, shared".into(),
            Contender::Camgate(_) => "camgate, webrtcbin".into(),
            Contender::Other { name, .. } => name.clone(),
        }
    }
}

/// A server at work, with the paths of a case; ends when dropped, unless it ran before.
pub struct Server {
    /// With {path}.
    url: String,
    pub pid: Option<u32>,
    running: Running,
}

/// What has to be ended.
enum Running {
    Gateway(#[allow(dead_code)] Gateway),
    Child(Child, #[allow(dead_code)] tempfile::TempDir),
    Elsewhere,
}

impl Server {
    /// Starts it with these paths of the camera, each under its own name. Blocks; panics
    /// where camgate does not start, with its log.
    pub fn start(contender: &Contender, paths: &[String], camera: &Camera) -> Result<Server, String> {
        let (command, url, pid) = match contender {
            Contender::Camgate(engine) => {
                let gateway = Gateway::start(&(camgate(*engine) + &sources(paths, camera)));
                let (url, pid) = (format!("{}/{{path}}/whep", gateway.url()), Some(gateway.pid()));
                return Ok(Server { url, pid, running: Running::Gateway(gateway) });
            }
            Contender::Other { command: None, url, pid, .. } => {
                return Ok(Server { url: url.clone(), pid: *pid, running: Running::Elsewhere });
            }
            Contender::Other { command: Some(command), url, pid, .. } => (command, url, pid),
        };
        let text = |e: std::io::Error| e.to_string();
        let directory = tempfile::tempdir().map_err(text)?;
        let (port, udp) = (free_tcp().map_err(text)?, free_udp().map_err(text)?);
        let file = directory.path().join("mediamtx.yml");
        std::fs::write(&file, mediamtx(port, udp) + &sources(paths, camera)).map_err(text)?;
        let fill = |line: &str| {
            line.replace("{port}", &port.to_string())
                .replace("{udp}", &udp.to_string())
                .replace("{rtsp}", &paths.first().map(|p| camera.url(p)).unwrap_or_default())
                .replace("{config}", &file.display().to_string())
        };
        // exec: the process that is measured is the command's, not sh's.
        let child = Command::new("sh")
            .args(["-c", &format!("exec {}", fill(command))])
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .map_err(text)?;
        let pid = pid.or(Some(child.id()));
        Ok(Server { url: fill(url), pid, running: Running::Child(child, directory) })
    }

    /// The WHEP URL of a path.
    pub fn whep(&self, path: &str) -> String {
        self.url.replace("{path}", path)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Running::Child(child, _) = &mut self.running {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// camgate's settings: no limit that a crowd from one address would meet.
fn camgate(engine: Engine) -> String {
    let engine = match engine {
        Engine::Shared => "webrtcEngine: shared\nwebrtcLocalUDPAddress: 127.0.0.1:0\n",
        _ => "webrtcEngine: webrtcbin\n",
    };
    format!(
        "logLevel: info\nhls: no\n{engine}limits:\n  connections: 10000\n  postsPerSecond: 10000\n  \
         postsBurst: 10000\n  handshakes: 10000\n  handshakesPerAddress: 10000\n"
    )
}

/// MediaMTX's settings: WHEP and nothing else, over loopback.
fn mediamtx(port: u16, udp: u16) -> String {
    format!(
        "logLevel: error\nrtsp: no\nrtmp: no\nsrt: no\nhls: no\nmoq: no\nwebrtcAddress: 127.0.0.1:{port}\n\
         webrtcLocalUDPAddress: 127.0.0.1:{udp}\nwebrtcIPsFromInterfaces: yes\nwebrtcIPsFromInterfacesList: [lo]\n"
    )
}

/// The paths, which both of them read.
fn sources(paths: &[String], camera: &Camera) -> String {
    let path = |name: &String| format!("  {name}:\n    source: {}\n    rtspTransport: tcp\n", camera.url(name));
    format!("paths:\n{}", paths.iter().map(path).collect::<String>())
}

fn free_tcp() -> std::io::Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

fn free_udp() -> std::io::Result<u16> {
    Ok(std::net::UdpSocket::bind("127.0.0.1:0")?.local_addr()?.port())
}
