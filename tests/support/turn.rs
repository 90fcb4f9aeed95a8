//! A real coturn on loopback.

use base64::Engine as _;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use std::net::{TcpListener, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The shared secret of the double.
pub const SECRET: &str = "a secret of the tests";
/// The user of a server with a fixed password.
pub const USER: (&str, &str) = ("tester", "turn-password");

/// A running coturn; killed when dropped.
pub struct Turn {
    child: Child,
    port: u16,
    directory: tempfile::TempDir,
}

impl Turn {
    /// With the fixed user [`USER`].
    pub fn start() -> Self {
        let user = format!("--user={}:{}", USER.0, USER.1);
        Self::launch(&["--lt-cred-mech", &user])
    }

    /// With time-limited credentials from [`SECRET`].
    pub fn start_with_secret() -> Self {
        let secret = format!("--static-auth-secret={SECRET}");
        Self::launch(&["--use-auth-secret", &secret])
    }

    fn launch(auth: &[&str]) -> Self {
        // coturn cannot bind port 0: take a port that is free for both UDP and
        // TCP, and try again if somebody else was faster.
        for _ in 0..10 {
            let port = free_port();
            let directory = tempfile::tempdir().unwrap();
            let log = std::fs::File::create(directory.path().join("log")).unwrap();
            let at = |name: &str| directory.path().join(name).display().to_string();
            let mut child = Command::new("turnserver")
                .args(["-n", "--listening-ip=127.0.0.1", "--relay-ip=127.0.0.1"])
                .args(["--realm=camgate.test", "--no-tls", "--no-dtls", "--no-cli"])
                .args(["--allow-loopback-peers", "--log-file=stdout", "--simple-log"])
                .args(["--verbose", "--fingerprint"])
                .arg(format!("--listening-port={port}"))
                .arg(format!("--pidfile={}", at("pid")))
                .arg(format!("--userdb={}", at("db")))
                .args(auth)
                .current_dir(directory.path())
                .stdin(Stdio::null())
                .stdout(log.try_clone().unwrap())
                .stderr(log)
                .spawn()
                .expect("coturn (turnserver) is missing");
            let end = std::time::Instant::now() + Duration::from_secs(60);
            while std::time::Instant::now() < end {
                if child.try_wait().unwrap().is_some() {
                    break;
                }
                if answers(port) {
                    return Self { child, port, directory };
                }
            }
            let _ = child.kill();
            let _ = child.wait();
        }
        panic!("coturn does not start");
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// `turn:127.0.0.1:PORT`; append `?transport=tcp` for TCP.
    pub fn url(&self) -> String {
        format!("turn:127.0.0.1:{}", self.port)
    }

    /// `stun:127.0.0.1:PORT`.
    pub fn stun_url(&self) -> String {
        format!("stun:127.0.0.1:{}", self.port)
    }

    /// Everything that it wrote.
    pub fn log(&self) -> String {
        let bytes = std::fs::read(self.directory.path().join("log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// How many relayed addresses it has given out.
    pub fn allocations(&self) -> usize {
        let log = self.log();
        let lines = log.lines();
        lines.filter(|l| l.contains("ALLOCATE processed, success")).count()
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// User and password for [`SECRET`], good for an hour: the TURN REST API.
pub fn credentials(name: &str) -> (String, String) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let user = format!("{}:{name}", now.as_secs() + 3600);
    let mut mac = Hmac::<Sha1>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(user.as_bytes());
    let password = base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes());
    (user, password)
}

fn free_port() -> u16 {
    loop {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = tcp.local_addr().unwrap().port();
        if UdpSocket::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// Does it answer a STUN binding request within 100 ms?
fn answers(port: u16) -> bool {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let _ = socket.set_read_timeout(Some(Duration::from_millis(100)));
    let mut request = vec![0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42];
    request.extend_from_slice(b"camgate-test");
    let mut answer = [0; 512];
    socket.send_to(&request, ("127.0.0.1", port)).is_ok()
        && socket.recv(&mut answer).is_ok_and(|n| n >= 20 && answer[..2] == [1, 1])
        || {
            // "connection refused" comes at once: do not spin.
            std::thread::sleep(Duration::from_millis(20)); // poll
            false
        }
}

/// The YAML for `webrtcICEServers2` of this server.
pub fn yaml(turn: &Turn, user: &str, password: &str) -> String {
    yaml_of(&turn.url(), user, password)
}

/// The same of a server by its URL.
pub fn yaml_of(url: &str, user: &str, password: &str) -> String {
    format!("webrtcICEServers2:\n  - url: '{url}'\n    username: '{user}'\n    password: '{password}'\n")
}
