//! `camgate health`: what a container's health check calls, without curl.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use crate::cli::config;

/// Longer than this is not well.
const PATIENCE: Duration = Duration::from_secs(2);

/// Asks /healthz where this configuration makes camgate listen.
pub fn check(named: Option<PathBuf>) -> anyhow::Result<ExitCode> {
    let loaded = config::load(config::find(named).as_deref())?;
    let addresses = loaded.config.webrtc_listen();
    let well = addresses.iter().map(reachable).any(|a| ask(a).is_ok_and(|status| status.contains(" 200 ")));
    Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// An address to listen on all interfaces is asked on loopback.
fn reachable(listen: &SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(v4) if v4.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(v6) if v6.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

fn ask(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut head = [0u8; 64];
    let n = stream.read(&mut head)?;
    Ok(String::from_utf8_lossy(&head[..n]).into_owned())
}
