//! Where camgate listens: the main port, and one of its own for HLS where the
//! configuration wants it. A reload moves what changed, and nothing else.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use anyhow::Context as _;
use camgate::config::Config;
use camgate::http::{self, Handle, Serves};
use camgate::webrtc::shared::engine::Shared;

use crate::cli::inside::Inside;

/// See the module.
pub struct Listeners {
    main: Handle,
    hls: Option<Handle>,
}

fn serve(addrs: &[SocketAddr], serves: Serves, inside: &Arc<Inside>) -> std::io::Result<Handle> {
    http::bind(addrs).and_then(|listeners| http::serve(listeners, inside.clone(), serves))
}

/// Where HLS listens by itself; nowhere with `hls: no`.
fn hls_wanted(config: &Config) -> Vec<SocketAddr> {
    if config.hls { config.hls_listen() } else { Vec::new() }
}

/// Sockets that are open, and nobody answers yet.
pub struct Bound {
    main: Vec<TcpListener>,
    hls: Vec<TcpListener>,
}

/// Opens the sockets that the configuration names: before any camera is asked.
pub fn bind(config: &Config) -> anyhow::Result<Bound> {
    let main = http::bind(&config.webrtc_listen())
        .with_context(|| format!("cannot listen on webrtcAddress {}", config.webrtc_address))?;
    let hls = http::bind(&hls_wanted(config))
        .with_context(|| format!("cannot listen on hlsAddress {}", config.hls_address))?;
    Ok(Bound { main, hls })
}

/// Opens the ports of the WebRTC engine that is shared, where a path has it and they are
/// not open yet, and tells the log where.
pub fn start_shared(shared: &Shared, config: &Config) -> anyhow::Result<()> {
    if let Some(local) = shared.start(config)? {
        for (transport, list) in [("UDP", &local.udp), ("TCP", &local.tcp)] {
            list.iter().for_each(|address| tracing::info!("WebRTC viewers on {transport} {address}"));
        }
    }
    Ok(())
}

impl Bound {
    /// Answers from now on, and tells the log where.
    pub fn serve(self, inside: &Arc<Inside>) -> anyhow::Result<Listeners> {
        let main = http::serve(self.main, inside.clone(), Serves::Everything)?;
        announce(&main, Serves::Everything);
        let hls = match self.hls.is_empty() {
            true => None,
            false => Some(http::serve(self.hls, inside.clone(), Serves::Hls)?),
        };
        hls.iter().for_each(|hls| announce(hls, Serves::Hls));
        Ok(Listeners { main, hls })
    }
}

impl Listeners {
    /// Whether the addresses of a new configuration can be had; the error says which
    /// cannot, and why. Touches nothing.
    pub fn check(&self, old: &Config, new: &Config) -> Result<(), String> {
        let both = [
            ("webrtcAddress", &new.webrtc_address, old.webrtc_address != new.webrtc_address, new.webrtc_listen()),
            ("hlsAddress", &new.hls_address, hls_wanted(old) != hls_wanted(new), hls_wanted(new)),
        ];
        for (key, address, changed, wanted) in both {
            if changed && !wanted.is_empty() && !self.in_our_way(&wanted) {
                http::bind(&wanted).map_err(|error| format!("{key} {address}: {error}"))?;
            }
        }
        Ok(())
    }

    /// Whether a wanted address is taken by a listener of ours, as `127.0.0.1:8889` is
    /// while we listen on all addresses.
    fn in_our_way(&self, wanted: &[SocketAddr]) -> bool {
        let ours = || std::iter::once(&self.main).chain(&self.hls).flat_map(|h| h.addrs());
        wanted.iter().any(|w| w.port() != 0 && ours().any(|a| a.port() == w.port()))
    }

    /// Moves to where the new configuration says. Errors when the main port listens
    /// nowhere after that.
    pub async fn follow(mut self, old: &Config, new: &Config, inside: &Arc<Inside>) -> anyhow::Result<Self> {
        let (was, wanted) = (hls_wanted(old), hls_wanted(new));
        let moves = was != wanted;
        // First, as it may listen where the main port is to.
        if let Some(hls) = self.hls.take_if(|_| moves) {
            hls.stop().await;
        }
        if old.webrtc_address != new.webrtc_address {
            self = self.move_main(new, inside).await?;
        }
        if !moves || wanted.is_empty() {
            return Ok(self);
        }
        self.hls = serve(&wanted, Serves::Hls, inside)
            .map_err(|error| tracing::error!("hlsAddress {}: {error}", new.hls_address))
            .ok();
        if self.hls.is_none() && !was.is_empty() {
            self.hls = serve(&was, Serves::Hls, inside)
                .map_err(|error| tracing::error!("hlsAddress: the old one is gone as well: {error}"))
                .ok();
        }
        self.hls.iter().for_each(|hls| announce(hls, Serves::Hls));
        Ok(self)
    }

    async fn move_main(self, config: &Config, inside: &Arc<Inside>) -> anyhow::Result<Self> {
        let complain = |error: &std::io::Error| {
            tracing::error!("webrtcAddress {}: {error}; listening on the old one", config.webrtc_address);
        };
        let wanted = config.webrtc_listen();
        let in_our_way = self.in_our_way(&wanted);
        let Listeners { main, hls } = self;
        let next = if in_our_way {
            let old = main.addrs().to_vec();
            main.stop().await;
            match serve(&wanted, Serves::Everything, inside) {
                Ok(next) => next,
                Err(error) => {
                    complain(&error);
                    serve(&old, Serves::Everything, inside).context("the old address is gone as well")?
                }
            }
        } else {
            match serve(&wanted, Serves::Everything, inside) {
                Ok(next) => {
                    main.stop().await;
                    next
                }
                Err(error) => {
                    complain(&error);
                    return Ok(Listeners { main, hls });
                }
            }
        };
        announce(&next, Serves::Everything);
        Ok(Listeners { main: next, hls })
    }

    /// Ends both; requests under way get their time.
    pub async fn stop(self) {
        let hls = async {
            if let Some(hls) = self.hls {
                hls.stop().await;
            }
        };
        tokio::join!(self.main.stop(), hls);
    }
}

fn announce(server: &Handle, serves: Serves) {
    for address in server.addrs() {
        match serves {
            Serves::Everything => tracing::info!("listening on http://{address}"),
            Serves::Hls => tracing::info!("HLS alone is served on http://{address}"),
        }
    }
}
