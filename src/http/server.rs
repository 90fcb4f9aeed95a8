//! The server: listeners, workers, and the one place that every request passes.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::http::header::{HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use actix_web::web::{self, Payload, ServiceConfig};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};
use serde_json::json;
use socket2::SockRef;
use tokio::task::JoinHandle;

use super::auth::{Auth, Identity};
use super::client::Client;
use super::gateway::Gateway;
use super::limits::{Buckets, Rate, head_size};
use super::route::{Route, route};
use super::route_ptz::Ptz;
use super::{credentials, hls, page, ptz, reply, snapshot, whep};
use crate::config::{Action, Config};
use crate::error::{Error, Kind, Result};

/// They only wait for actors; the media never passes here.
const WORKERS: usize = 2;
/// How long requests under way may take to end when the server stops.
const SHUTDOWN_S: u64 = 2;

/// What a server is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Serves {
    /// All that there is.
    Everything,
    /// HLS and its player page (`hlsAddress`).
    Hls,
}

/// What all workers share.
pub(super) struct State {
    pub gateway: Arc<dyn Gateway>,
    pub serves: Serves,
    pub auth: Auth,
    /// POSTs to WHEP endpoints.
    pub posts: Buckets,
    /// PATCHes and DELETEs of sessions.
    pub sessions: Buckets,
}

/// The bounds of a request, from the configuration.
pub(super) struct Bounds {
    /// Bytes of an SDP.
    pub sdp: usize,
    /// Bytes of any other body.
    pub body: usize,
    /// Bytes of a head.
    pub head: usize,
    pub body_timeout: Duration,
    pub posts: Rate,
}

/// A request, with what every handler needs to know.
pub(super) struct Asked<'a> {
    pub state: &'a State,
    pub request: &'a HttpRequest,
    /// One configuration for the whole of a request, whatever is reloaded meanwhile.
    pub config: Arc<Config>,
    pub client: Client,
    pub bounds: Bounds,
}

impl Asked<'_> {
    /// Who sent the request.
    pub async fn identify(&self) -> Identity {
        let presented = credentials::from_request(self.request.headers(), self.request.query_string());
        let users = &self.config.auth_internal_users;
        self.state.auth.identify(users, self.client, &presented).await
    }

    /// Who sent the request, if they may do `action` on `path`.
    pub async fn require(&self, action: Action, path: &str) -> Result<Identity> {
        let identity = self.identify().await;
        identity.verdict(action, path)?;
        Ok(identity)
    }
}

/// A server that runs.
pub struct Handle {
    addrs: Vec<SocketAddr>,
    server: ServerHandle,
    task: JoinHandle<io::Result<()>>,
}

impl Handle {
    /// Where it listens: the real ports, also where 0 was asked for.
    pub fn addrs(&self) -> &[SocketAddr] {
        &self.addrs
    }

    /// Takes no more connections, gives requests under way two seconds, ends.
    pub async fn stop(self) {
        self.server.stop(true).await;
        match self.task.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the HTTP server ended with an error"),
            Err(error) => tracing::warn!(%error, "the HTTP server did not end by itself"),
        }
    }
}

/// Opens listeners. Where all addresses of both families are asked for, as the
/// two of `:8889`, one socket may serve both; a family that this machine does
/// not have is left out as long as one is left.
pub fn bind(addrs: &[SocketAddr]) -> io::Result<Vec<TcpListener>> {
    let mut listeners: Vec<TcpListener> = Vec::new();
    // IPv6 first: it is the one that may serve both.
    let mut sorted = addrs.to_vec();
    sorted.sort_by_key(SocketAddr::is_ipv4);
    let mut failed = None;
    for wanted in sorted {
        let all_v6 =
            listeners.iter().filter_map(|l| l.local_addr().ok()).find(|l| l.is_ipv6() && l.ip().is_unspecified());
        let sibling = all_v6.filter(|v6| {
            wanted.is_ipv4() && wanted.ip().is_unspecified() && (wanted.port() == 0 || wanted.port() == v6.port())
        });
        let addr = sibling.map_or(wanted, |v6| SocketAddr::new(wanted.ip(), v6.port()));
        match TcpListener::bind(addr) {
            Ok(listener) => listeners.push(listener),
            // The IPv6 socket takes IPv4 as well. (If another program had the
            // IPv4 port, binding IPv6 for both would have failed already.)
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && sibling.is_some() => {}
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => return Err(error),
            Err(error) => failed = Some(error),
        }
    }
    match failed {
        Some(error) if listeners.is_empty() => Err(error),
        _ => Ok(listeners),
    }
}

/// Serves `gateway` on `listeners` until [`Handle::stop`]. Limits on
/// connections and times are those of this moment's configuration.
pub fn serve(listeners: Vec<TcpListener>, gateway: Arc<dyn Gateway>, serves: Serves) -> io::Result<Handle> {
    let limits = gateway.config().limits.clone();
    let state = state(gateway, serves);
    let mut server = HttpServer::new(move || App::new().configure(configure(state.clone())))
        .workers(WORKERS)
        .max_connections((limits.connections / WORKERS).max(1))
        .client_request_timeout(limits.head_timeout)
        .keep_alive(limits.idle_timeout)
        .client_disconnect_timeout(Duration::from_secs(2))
        // A client that goes away while it waits for a camera is gone: the
        // future is dropped and the camera is not held for it.
        .h1_allow_half_closed(false)
        .shutdown_timeout(SHUTDOWN_S)
        .disable_signals();
    for listener in listeners {
        // A client that stands still in the middle of an answer never ends by itself, and
        // holds what it was to read. What is accepted inherits the limit.
        SockRef::from(&listener).set_tcp_user_timeout(Some(limits.stall_timeout))?;
        server = server.listen(listener)?;
    }
    let addrs = server.addrs();
    let running = server.run();
    let handle = running.handle();
    Ok(Handle { addrs, server: handle, task: tokio::spawn(running) })
}

/// The state of one server.
pub(super) fn state(gateway: Arc<dyn Gateway>, serves: Serves) -> web::Data<State> {
    let (auth, posts, sessions) = (Auth::default(), Buckets::default(), Buckets::default());
    web::Data::new(State { gateway, serves, auth, posts, sessions })
}

/// The whole of the application: one handler, because paths' names may have any
/// number of segments and only [`route`] tells them from ours.
pub(super) fn configure(state: web::Data<State>) -> impl FnOnce(&mut ServiceConfig) {
    move |app| {
        app.app_data(state).default_service(web::to(handle));
    }
}

async fn handle(request: HttpRequest, payload: Payload, state: web::Data<State>) -> HttpResponse {
    let config = state.gateway.config();
    let peer = request.peer_addr().unwrap_or(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0));
    let client = Client::new(peer, request.headers(), &config.webrtc_trusted_proxies);
    let bounds = Bounds {
        sdp: config.limits.sdp_size.0,
        body: config.limits.body_size.0,
        head: config.limits.header_size.0,
        body_timeout: config.limits.body_timeout,
        posts: Rate { per_second: config.limits.posts_per_second as f64, burst: config.limits.posts_burst as f64 },
    };
    let asked = Asked { state: &state, request: &request, config, client, bounds };
    let mut answer = dispatch(&asked, payload).await;
    let headers = answer.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // Queries may hold tokens, and sessions' URLs are secrets.
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    answer
}

async fn dispatch(asked: &Asked<'_>, payload: Payload) -> HttpResponse {
    let uri = asked.request.uri();
    let uri_len = uri.path().len() + uri.query().map_or(0, str::len);
    if head_size(uri_len, asked.request.headers()) > asked.bounds.head {
        return reply::head_too_large(asked.bounds.head);
    }
    let route = route(uri.path());
    // Neither the query nor a session's secret.
    let named = match &route {
        Route::Player(path) | Route::Snapshot(path) | Route::Hls { path, .. } => path.as_str(),
        Route::Ptz(Ptz::Camera { path, .. }) => path.as_str(),
        Route::Whep(_) => "(whep)",
        _ => "",
    };
    let method = asked.request.method();
    tracing::debug!(client = %asked.client.addr, %method, path = named, "request");
    if asked.state.serves == Serves::Hls && !hls::is_for(&route) {
        return hls::elsewhere(asked, &route);
    }
    match route {
        Route::Wall => page::wall(asked).await,
        Route::Asset(name) => page::asset(asked, &name),
        Route::Player(path) => page::player(asked, &path).await,
        Route::Snapshot(path) => snapshot::answer(asked, &path).await,
        Route::Whep(url) => whep::answer(asked, payload, url).await,
        Route::Hls { path, name } => hls::answer(asked, &path, name.as_deref()).await,
        Route::Ptz(what) => ptz::answer(asked, payload, what).await,
        Route::Health => health(true),
        Route::Ready => health(asked.state.gateway.ready()),
        Route::Reserved(text) => page::failure(asked, &Error::new(Kind::NotFound, text)),
        Route::Bad(text) => page::failure(asked, &Error::new(Kind::BadRequest, text)),
    }
}

fn health(well: bool) -> HttpResponse {
    if well {
        return HttpResponse::Ok().json(json!({"status": "ok"}));
    }
    let text = "camgate is starting or shutting down: try again in a moment";
    reply::error(&Error::new(Kind::Unavailable, text).retry_after(1))
}
