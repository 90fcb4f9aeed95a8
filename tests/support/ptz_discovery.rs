//! Answers WS-Discovery's Probe by unicast, on a UDP port of loopback: what a
//! camera says when it is asked who is there.

use super::ptz_xml;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A running responder; ends when dropped.
pub struct Discoverable {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<std::thread::JoinHandle<()>>,
}

struct Shared {
    service: String,
    model: String,
    quit: AtomicBool,
    probes: Mutex<Vec<String>>,
    /// Sent before the answer, each as a datagram.
    noise: Mutex<Vec<Vec<u8>>>,
}

impl Discoverable {
    /// `service`: what goes into XAddrs.
    pub fn start(service: &str, model: &str) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let address = socket.local_addr().unwrap();
        let shared = Arc::new(Shared {
            service: service.into(),
            model: model.into(),
            quit: AtomicBool::new(false),
            probes: Mutex::default(),
            noise: Mutex::default(),
        });
        let thread = std::thread::Builder::new().name("ws-discovery".into()).spawn({
            let shared = shared.clone();
            move || {
                let mut buffer = [0; 16 << 10];
                while !shared.quit.load(SeqCst) {
                    let Ok((n, peer)) = socket.recv_from(&mut buffer) else { continue };
                    let text = String::from_utf8_lossy(&buffer[..n]).into_owned();
                    let answer = answer(&text, &shared);
                    shared.probes.lock().unwrap().push(text);
                    let Some(answer) = answer else { continue };
                    for noise in shared.noise.lock().unwrap().iter() {
                        let _ = socket.send_to(noise, peer);
                    }
                    let _ = socket.send_to(answer.as_bytes(), peer);
                    let _ = socket.send_to(answer.as_bytes(), peer); // as cameras do: UDP gets lost
                }
            }
        });
        Self { address, shared, thread: Some(thread.unwrap()) }
    }

    /// Where to send the Probe.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What came.
    pub fn probes(&self) -> Vec<String> {
        self.shared.probes.lock().unwrap().clone()
    }

    /// Datagrams that arrive before each answer.
    pub fn noise(&self, datagrams: Vec<Vec<u8>>) {
        *self.shared.noise.lock().unwrap() = datagrams;
    }
}

impl Drop for Discoverable {
    fn drop(&mut self) {
        self.shared.quit.store(true, SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn answer(text: &str, shared: &Shared) -> Option<String> {
    const WSA: &str = "http://schemas.xmlsoap.org/ws/2004/08/addressing";
    const WSD: &str = "http://schemas.xmlsoap.org/ws/2005/04/discovery";
    let document = ptz_xml::parse(text.as_bytes()).ok()?;
    let node = |ns, name| document.descendants().find(|n| n.has_tag_name((ns, name)));
    let id = node(WSA, "MessageID")?.text()?.trim();
    let probe = node(WSD, "Probe")?;
    let types = probe.children().find(|n| n.has_tag_name((WSD, "Types"))).and_then(|n| n.text()).unwrap_or("");
    let known = types.split_whitespace().all(|t| {
        // A qualified name: its prefix has to stand for the right namespace.
        let (prefix, name) = t.split_once(':').unwrap_or(("", t));
        let ns = probe.descendants().find_map(|n| n.lookup_namespace_uri(Some(prefix)));
        let ours = "http://www.onvif.org/ver10/network/wsdl";
        ns == Some(ours) && name == "NetworkVideoTransmitter" || name == "Device"
    });
    known.then(|| {
        let (service, model) = (ptz_xml::escape(&shared.service), shared.model.replace(' ', "%20"));
        use sha1::Digest as _;
        // Each camera has its own, the same every time.
        let hash: String = sha1::Sha1::digest(&shared.service).iter().map(|b| format!("{b:02x}")).collect();
        let uuid = format!("urn:uuid:{}-{}-4991-9af1-{}", &hash[..8], &hash[8..12], &hash[12..24]);
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <SOAP-ENV:Envelope xmlns:SOAP-ENV=\"http://www.w3.org/2003/05/soap-envelope\" xmlns:wsa=\"{WSA}\" \
             xmlns:d=\"{WSD}\" xmlns:dn=\"http://www.onvif.org/ver10/network/wsdl\"><SOAP-ENV:Header>\
             <wsa:MessageID>urn:uuid:{}</wsa:MessageID><wsa:RelatesTo>{id}</wsa:RelatesTo>\
             <wsa:To>{WSA}/role/anonymous</wsa:To><wsa:Action>{WSD}/ProbeMatches</wsa:Action></SOAP-ENV:Header>\
             <SOAP-ENV:Body><d:ProbeMatches><d:ProbeMatch><wsa:EndpointReference><wsa:Address>{uuid}</wsa:Address>\
             </wsa:EndpointReference><d:Types>dn:NetworkVideoTransmitter</d:Types>\
             <d:Scopes>onvif://www.onvif.org/type/video_encoder onvif://www.onvif.org/type/ptz \
             onvif://www.onvif.org/name/Gate%20dome onvif://www.onvif.org/hardware/{model} \
             onvif://www.onvif.org/location/</d:Scopes><d:XAddrs>{service} http://[fe80::1]/onvif/device_service</d:XAddrs>\
             <d:MetadataVersion>10</d:MetadataVersion></d:ProbeMatch></d:ProbeMatches></SOAP-ENV:Body></SOAP-ENV:Envelope>",
            "5a1b0f60-7c43-4d5e-8f0a-000000000001",
        )
    })
}
