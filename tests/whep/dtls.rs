//! DTLS with other people's clients: OpenSSL's and GnuTLS's command lines, with a door
//! in ICE for them, and with certificates that are not those of the offer.

use super::ENGINE;
use super::kit::{SOON, ask, gate, line, offer, post};
use super::support::camera::Camera;
use super::support::gateway::{Engine, Gateway};
use super::support::ice_gate::{Credentials, IceGate};
use super::support::until_true;
use super::support::whep::Options;
use sha2::{Digest as _, Sha256};
use std::io::Read;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};

/// A certificate and its key, in files.
struct Identity {
    directory: tempfile::TempDir,
    fingerprint: String,
}

impl Identity {
    fn new() -> Self {
        let made = rcgen::generate_simple_self_signed(vec!["viewer.test".into()]).unwrap();
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("cert.pem"), made.cert.pem()).unwrap();
        std::fs::write(directory.path().join("key.pem"), made.signing_key.serialize_pem()).unwrap();
        let hex: Vec<_> = Sha256::digest(made.cert.der()).iter().map(|b| format!("{b:02X}")).collect();
        Self { directory, fingerprint: hex.join(":") }
    }

    fn file(&self, name: &str) -> String {
        self.directory.path().join(name).display().to_string()
    }
}

/// A client under way: what it says, and its standard input, whose end is its own.
struct Client {
    child: Child,
    input: Option<ChildStdin>,
    said: Arc<Mutex<String>>,
}

impl Client {
    fn start(command: &mut Command) -> Self {
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.spawn().unwrap_or_else(|e| panic!("cannot start {command:?}: {e}"));
        let said = Arc::new(Mutex::new(String::new()));
        let pipes: [Box<dyn Read + Send>; 2] =
            [Box::new(child.stdout.take().unwrap()), Box::new(child.stderr.take().unwrap())];
        for mut pipe in pipes {
            let said = said.clone();
            std::thread::spawn(move || {
                let mut buffer = [0; 4096];
                while let Ok(size @ 1..) = pipe.read(&mut buffer) {
                    said.lock().unwrap().push_str(&String::from_utf8_lossy(&buffer[..size]));
                }
            });
        }
        let input = child.stdin.take();
        Self { child, input, said }
    }

    /// OpenSSL's; `profiles` with colons between them.
    fn openssl(port: u16, identity: &Identity, profiles: &str) -> Self {
        let mut command = Command::new("openssl");
        command.args(["s_client", "-dtls1_2", "-connect", &format!("127.0.0.1:{port}"), "-use_srtp", profiles]);
        Self::start(command.args(["-cert", &identity.file("cert.pem"), "-key", &identity.file("key.pem")]))
    }

    /// GnuTLS's, which knows no AES-GCM for SRTP.
    fn gnutls(port: u16, identity: &Identity, profile: &str) -> Self {
        let mut command = Command::new("gnutls-cli");
        command.args(["--udp", "--insecure", "--port", &port.to_string(), "--srtp-profiles", profile]);
        command.args(["--x509certfile", &identity.file("cert.pem"), "--x509keyfile", &identity.file("key.pem")]);
        Self::start(command.arg("127.0.0.1"))
    }

    async fn says(&self, what: &str) {
        until_true(SOON, &format!("{what:?} from the client"), || self.said.lock().unwrap().contains(what)).await;
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the client said ---\n{}", self.said.lock().unwrap());
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Opens a session for a viewer with this certificate, and its door.
async fn door(gateway: &Gateway, offered: &Identity) -> IceGate {
    let base = offer(&Options::default());
    let theirs = line(&base, "a=fingerprint:sha-256 ").to_string();
    let sdp = base.replace(&theirs, &offered.fingerprint);
    let reply = post(gateway.url(), "gate", &sdp).await;
    assert_eq!(reply.status, 201, "{reply:?}");
    let udp = |l: &&str| l.starts_with("a=candidate:") && l.to_lowercase().contains(" udp ");
    let candidate: Vec<_> = reply.body.lines().find(udp).unwrap().split(' ').collect();
    let server = format!("{}:{}", candidate[4], candidate[5]).parse().unwrap();
    // Who speaks first is the client here.
    assert!(reply.body.contains("a=setup:passive"), "{}", reply.body);
    let door = IceGate::start(server, Credentials::of(&sdp), Credentials::of(&reply.body));
    until_true(SOON, "an answered check", || door.is_open()).await;
    door
}

/// The handshake is done, media come, and the client's goodbye ends the session.
async fn is_served(gateway: &Gateway, door: &IceGate, mut client: Client) {
    gateway.wait_for_line(SOON, |l| l.contains("viewer connected"));
    until_true(SOON, "media", || door.media() > 50).await;
    drop(client.input.take());
    gateway.wait_for_line(SOON, |l| l.contains("viewer left") && l.contains("closed by the peer"));
}

#[tokio::test(flavor = "multi_thread")]
async fn openssls_client_gets_the_profile_that_is_best_and_media() {
    let camera = Camera::builder().size(320, 180).gop_frames(25).prerecorded().start();
    for (offered, chosen) in [
        ("SRTP_AES128_CM_SHA1_80:SRTP_AEAD_AES_128_GCM", "SRTP_AEAD_AES_128_GCM"),
        ("SRTP_AES128_CM_SHA1_80", "SRTP_AES128_CM_SHA1_80"),
    ] {
        let (gateway, identity) = (gate(&camera), Identity::new());
        let door = door(&gateway, &identity).await;
        let client = Client::openssl(door.port(), &identity, offered);
        client.says("SRTP Extension negotiated, profile=").await;
        if ENGINE == Engine::Shared {
            client.says(&format!("SRTP Extension negotiated, profile={chosen}")).await;
        }
        is_served(&gateway, &door, client).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn gnutls_client_gets_media() {
    let camera = Camera::builder().size(320, 180).gop_frames(25).prerecorded().start();
    let (gateway, identity) = (gate(&camera), Identity::new());
    let door = door(&gateway, &identity).await;
    let client = Client::gnutls(door.port(), &identity, "SRTP_AES128_CM_HMAC_SHA1_80");
    client.says("SRTP profile: SRTP_AES128_CM_HMAC_SHA1_80").await;
    client.says("Handshake was completed").await;
    is_served(&gateway, &door, client).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn their_certificate_has_to_be_that_of_the_offer() {
    let camera = Camera::builder().size(320, 180).gop_frames(25).prerecorded().start();
    let (gateway, offered, other) = (gate(&camera), Identity::new(), Identity::new());
    for gnutls in [false, true] {
        let mark = gateway.mark();
        let door = door(&gateway, &offered).await;
        let _client = match gnutls {
            false => Client::openssl(door.port(), &other, "SRTP_AEAD_AES_128_GCM:SRTP_AES128_CM_SHA1_80"),
            true => Client::gnutls(door.port(), &other, "SRTP_AES128_CM_HMAC_SHA1_80"),
        };
        let refused = |l: &str| l.contains("viewer left") && l.contains("certificate is not the one of its offer");
        gateway.wait_for_line_after(mark, SOON, refused);
        assert_eq!(door.media(), 0);
        assert!(!gateway.log_after(mark).iter().any(|l| l.contains("viewer connected")));
    }
    assert_eq!(ask("GET", &format!("{}/healthz", gateway.url()), &[], "").await.status, 200);
}
