//! Serves a few files over HTTP on loopback: pages and npm clients for the browser.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, RwLock};
use std::time::Duration;

#[derive(Default)]
struct Shared {
    pages: RwLock<HashMap<String, Vec<u8>>>,
    roots: RwLock<Vec<(String, PathBuf)>>,
    quit: AtomicBool,
}

/// A running server; ends when dropped.
pub struct StaticServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl StaticServer {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let thread = std::thread::spawn({
            let shared = shared.clone();
            move || {
                for stream in listener.incoming() {
                    if shared.quit.load(SeqCst) {
                        return;
                    }
                    let shared = shared.clone();
                    if let Ok(stream) = stream {
                        std::thread::spawn(move || serve(&stream, &shared));
                    }
                }
            }
        });
        Self { address, shared, thread: Some(thread) }
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Serves `content` at `path` (begins with a slash).
    pub fn page(&self, path: &str, content: impl Into<Vec<u8>>) -> &Self {
        let mut pages = self.shared.pages.write().unwrap();
        pages.insert(path.into(), content.into());
        self
    }

    /// Serves the files below `directory` at `prefix` (`/npm/`).
    pub fn directory(&self, prefix: &str, directory: impl Into<PathBuf>) -> &Self {
        let mut roots = self.shared.roots.write().unwrap();
        roots.push((prefix.into(), directory.into()));
        self
    }
}

impl Drop for StaticServer {
    fn drop(&mut self) {
        self.shared.quit.store(true, SeqCst);
        let _ = TcpStream::connect(self.address); // wakes accept()
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(mut stream: &TcpStream, shared: &Shared) {
    let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let Some(request) = lines.next() else { return };
    // Read the headers to their end: closing with unread bytes resets the connection.
    for line in lines {
        if line.is_empty() {
            break;
        }
    }
    let path = request.split(' ').nth(1).unwrap_or("/");
    let path = path.split('?').next().unwrap_or("/");
    let (status, body) = match content(path, shared) {
        Some(body) => ("200 OK", body),
        None => ("404 Not Found", b"not here\n".to_vec()),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {}\r\nContent-Length: {}\r\n\
         Cache-Control: no-store\r\nAccess-Control-Allow-Origin: *\r\nConnection: close\r\n\r\n",
        kind(path),
        body.len()
    );
    let _ = stream.write_all(head.as_bytes());
    let _ = stream.write_all(&body);
}

fn content(path: &str, shared: &Shared) -> Option<Vec<u8>> {
    if let Some(body) = shared.pages.read().unwrap().get(path) {
        return Some(body.clone());
    }
    let roots = shared.roots.read().unwrap();
    let mut found = roots.iter().filter_map(|(prefix, root)| {
        let rest = path.strip_prefix(prefix.as_str())?;
        let safe = !rest.split('/').any(|part| part == "..");
        safe.then(|| std::fs::read(root.join(rest.trim_start_matches('/'))).ok())?
    });
    found.next()
}

fn kind(path: &str) -> &'static str {
    match path.rsplit('.').next().unwrap_or("") {
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "map" => "application/json",
        "wasm" => "application/wasm",
        "svg" => "image/svg+xml",
        _ => "text/html; charset=utf-8",
    }
}
