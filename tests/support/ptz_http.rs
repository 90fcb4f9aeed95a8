//! An HTTP server as cameras have them: kept-alive connections, one request
//! after the other, and every way to go wrong. What it answers is up to a
//! [`Handler`]; it records every request that came.
//!
//! ```ignore
//! let server = Server::start(options, handler);
//! server.misbehave(Fault::Never).on("continuous").times(1);
//! server.requests(); // what came, with time, body and answer
//! ```
//!
//! Threads and blocking sockets (a thread per connection, small stacks): a fault
//! can hold or reset exactly its own connection, and a hundred servers cost a
//! test's runtime nothing.

use super::faults;
pub use super::ptz_fault::Fault;
use super::ptz_wire::{Framing, encode, read};
use std::io::{BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// How the camera took a request's credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Login {
    /// None came, or none were looked at.
    None,
    /// They are right.
    Granted,
    /// Right password, outworn or repeated nonce.
    Stale,
    /// Wrong user or password: this is what locks accounts.
    Refused,
    /// The account is locked, right or not.
    Locked,
}

/// One request, as it came.
#[derive(Debug, Clone)]
pub struct Request {
    /// Read to its end.
    pub at: Instant,
    pub method: String,
    /// With the query.
    pub path: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Which connection of the server, counted from 1.
    pub connection: usize,
    pub peer: SocketAddr,
    pub login: Login,
    /// The status answered; 0 while there is none, and for answers that never come.
    pub status: u16,
    /// SOAP: the local name of the operation.
    pub action: String,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub kind: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// What the record says of the credentials.
    pub login: Login,
    /// What the record says of the operation.
    pub action: String,
}

impl Answer {
    pub fn new(status: u16, kind: &str, body: impl Into<Vec<u8>>) -> Self {
        let (kind, body) = (kind.into(), body.into());
        Self { status, kind, headers: Vec::new(), body, login: Login::None, action: String::new() }
    }

    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }
}

/// What a camera does with requests.
pub trait Handler: Send + Sync {
    fn answer(&self, request: &Request) -> Answer;
}

struct Rule {
    fault: Fault,
    /// In path or body.
    on: String,
    /// How often still; None: always.
    left: Option<usize>,
}

/// How a server is set up.
#[derive(Default, Clone)]
pub struct Options {
    /// 0: any.
    pub port: u16,
    /// HTTPS with a self-signed certificate of its own.
    pub tls: bool,
    /// `::1` instead of `127.0.0.1`.
    pub ipv6: bool,
    /// Closes the connection after so many requests, as small cameras do.
    pub requests_per_connection: Option<usize>,
}

struct Shared {
    handler: Arc<dyn Handler>,
    options: Options,
    tls: Option<Arc<rustls::ServerConfig>>,
    rules: Mutex<Vec<Rule>>,
    requests: Mutex<Vec<Request>>,
    more: Condvar,
    /// The open connections, by their number.
    open: Mutex<Vec<(usize, TcpStream)>>,
    connections: AtomicUsize,
    quit: AtomicBool,
}

/// A running server; ends when dropped, with all its connections.
pub struct Server {
    address: SocketAddr,
    fingerprint: String,
    shared: Arc<Shared>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Server {
    pub fn start(options: Options, handler: Arc<dyn Handler>) -> Self {
        let host = if options.ipv6 { "::1" } else { "127.0.0.1" };
        let listener = TcpListener::bind((host, options.port)).expect("cannot bind the camera's port");
        let address = listener.local_addr().unwrap();
        let (tls, fingerprint) = if options.tls { tls() } else { (None, String::new()) };
        let shared = Arc::new(Shared {
            handler,
            options,
            tls,
            rules: Mutex::default(),
            requests: Mutex::default(),
            more: Condvar::new(),
            open: Mutex::default(),
            connections: AtomicUsize::new(0),
            quit: AtomicBool::new(false),
        });
        let thread = std::thread::Builder::new().name("ptz-http".into()).stack_size(128 << 10);
        let thread = thread.spawn({
            let shared = shared.clone();
            move || accept(&listener, &shared)
        });
        Self { address, fingerprint, shared, thread: Some(thread.unwrap()) }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://127.0.0.1:PORT`, or https.
    pub fn url(&self) -> String {
        let scheme = if self.shared.options.tls { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// SHA-256 of the certificate, lower case hex without colons; empty without TLS.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// The next answers go wrong so; the first rule that fits is taken. See
    /// [`RuleGuard::on`] and [`RuleGuard::times`]; [`Server::behave`] ends it.
    pub fn misbehave(&self, fault: Fault) -> RuleGuard<'_> {
        RuleGuard { server: self, rule: Some(Rule { fault, on: String::new(), left: None }) }
    }

    /// All answers are right from now on. Connections that hang stay so.
    pub fn behave(&self) {
        self.shared.rules.lock().unwrap().clear();
    }

    /// What came so far.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.requests.lock().unwrap().clone()
    }

    /// How many requests came so far; a mark for [`Server::requests_after`].
    pub fn mark(&self) -> usize {
        self.shared.requests.lock().unwrap().len()
    }

    /// What came since a [`Server::mark`].
    pub fn requests_after(&self, mark: usize) -> Vec<Request> {
        self.shared.requests.lock().unwrap()[mark..].to_vec()
    }

    /// The first request after the mark that fits, or None after the deadline.
    pub fn wait_for(&self, mark: usize, deadline: Duration, want: impl Fn(&Request) -> bool) -> Option<Request> {
        let end = Instant::now() + deadline;
        let mut requests = self.shared.requests.lock().unwrap();
        loop {
            if let Some(found) = requests[mark..].iter().find(|r| want(r)) {
                return Some(found.clone());
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            requests = self.shared.more.wait_timeout(requests, left).unwrap().0;
        }
    }

    /// Connections so far.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(SeqCst)
    }

    /// Connections that are open now.
    pub fn open_connections(&self) -> usize {
        self.shared.open.lock().unwrap().len()
    }

    /// Resets all connections.
    pub fn cut(&self) {
        for (_, stream) in self.shared.open.lock().unwrap().iter() {
            faults::abort(stream.as_raw_fd());
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.quit.store(true, SeqCst);
        let _ = TcpStream::connect(self.address); // wakes accept()
        for (_, stream) in self.shared.open.lock().unwrap().iter() {
            let _ = stream.shutdown(Shutdown::Both);
        }
        self.shared.more.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A rule that is taken into account when it goes out of scope, i.e. at the
/// semicolon.
pub struct RuleGuard<'a> {
    server: &'a Server,
    rule: Option<Rule>,
}

impl RuleGuard<'_> {
    /// Only for requests with this text in path or body.
    pub fn on(mut self, text: &str) -> Self {
        self.rule.as_mut().unwrap().on = text.into();
        self
    }

    /// Only so often.
    pub fn times(mut self, times: usize) -> Self {
        self.rule.as_mut().unwrap().left = Some(times);
        self
    }
}

impl Drop for RuleGuard<'_> {
    fn drop(&mut self) {
        self.server.shared.rules.lock().unwrap().extend(self.rule.take());
    }
}

/// A certificate of its own, and its fingerprint.
fn tls() -> (Option<Arc<rustls::ServerConfig>>, String) {
    use sha2::Digest as _;
    super::init();
    let key = rcgen::generate_simple_self_signed(vec!["camera.test".into()]).unwrap();
    let fingerprint = sha2::Sha256::digest(key.cert.der()).iter().map(|b| format!("{b:02x}")).collect();
    let private = rustls::pki_types::PrivateKeyDer::try_from(key.signing_key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![key.cert.der().clone()], private)
        .expect("no certificate");
    (Some(Arc::new(config)), fingerprint)
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        if shared.quit.load(SeqCst) {
            return;
        }
        let Ok(stream) = stream else { continue };
        let number = shared.connections.fetch_add(1, SeqCst) + 1;
        let Ok(handle) = stream.try_clone() else { continue };
        shared.open.lock().unwrap().push((number, handle));
        let shared = shared.clone();
        let thread = std::thread::Builder::new().name("ptz-http".into()).stack_size(256 << 10);
        // Ends when the client goes or the server is dropped.
        let _ = thread.spawn(move || {
            connection(&stream, number, &shared);
            let _ = stream.shutdown(Shutdown::Both);
            shared.open.lock().unwrap().retain(|(n, _)| *n != number);
        });
    }
}

fn connection(stream: &TcpStream, number: usize, shared: &Shared) {
    let Ok(peer) = stream.peer_addr() else { return };
    let _ = stream.set_nodelay(true);
    match &shared.tls {
        None => talk(BufReader::new(stream), stream, (number, peer), shared),
        Some(config) => {
            let Ok(session) = rustls::ServerConnection::new(config.clone()) else { return };
            let plain = BufReader::new(rustls::StreamOwned::new(session, stream));
            talk(plain, stream, (number, peer), shared);
        }
    }
}

/// Serves the requests of a connection; `raw` is the socket under `reader`.
fn talk<R: Read + Write>(
    mut reader: BufReader<R>,
    raw: &TcpStream,
    (number, peer): (usize, SocketAddr),
    shared: &Shared,
) {
    for served in 1.. {
        let Some(mut request) = read(&mut reader, number, peer) else { return };
        let fault = {
            let mut rules = shared.rules.lock().unwrap();
            let text = request.text();
            let rule =
                rules.iter_mut().find(|r| r.left != Some(0) && (request.path.contains(&r.on) || text.contains(&r.on)));
            rule.map(|rule| {
                rule.left = rule.left.map(|n| n - 1);
                rule.fault.clone()
            })
        };
        let done = !matches!(fault, Some(Fault::Never | Fault::Close | Fault::Reset | Fault::Instead(..)));
        let mut answer = match (&fault, done) {
            (Some(Fault::Instead(status, kind, body)), _) => Answer::new(*status, kind, body.clone()),
            (_, false) => Answer::new(0, "", ""),
            _ => shared.handler.answer(&request),
        };
        if let Some(Fault::InsteadAfter(status, kind, body)) = &fault
            && answer.login != Login::Refused
            && answer.status != 401
        {
            (answer.status, answer.kind, answer.body) = (*status, (*kind).into(), body.clone());
        }
        (request.login, request.action, request.status) = (answer.login, answer.action.clone(), answer.status);
        let last = shared.options.requests_per_connection.is_some_and(|n| served >= n);
        let close = last || request.header("connection").is_some_and(|c| c.eq_ignore_ascii_case("close"));
        shared.requests.lock().unwrap().push(request);
        shared.more.notify_all();
        let out = reader.get_mut();
        match fault {
            Some(Fault::Never | Fault::NeverAfter) => return hold(reader),
            Some(Fault::Close | Fault::CloseAfter) => return,
            Some(Fault::Reset) => return faults::abort(raw.as_raw_fd()),
            Some(Fault::Garbage) => {
                let _ = out.write_all(faults::GARBAGE);
                return;
            }
            Some(Fault::Half) => {
                let whole = encode(&answer, Framing::Length, false);
                let _ = out.write_all(&whole[..whole.len() - answer.body.len().div_ceil(2)]);
                let _ = out.flush();
                return;
            }
            // The camera's own slowness, which is what is tested.
            Some(Fault::Slow(time)) => std::thread::sleep(time), // poll
            _ => {}
        }
        let framing = match fault {
            Some(Fault::Chunked) => Framing::Chunked,
            Some(Fault::UntilClose) => Framing::Close,
            _ => Framing::Length,
        };
        let sent = out.write_all(&encode(&answer, framing, close)).and_then(|()| out.flush());
        if sent.is_err() || close || matches!(framing, Framing::Close) {
            return;
        }
    }
}

/// Reads on and says nothing, until the client goes.
fn hold(mut reader: impl Read) {
    let mut buffer = [0; 4096];
    while reader.read(&mut buffer).is_ok_and(|n| n > 0) {}
}
