//! `camgate discover`: the ONVIF cameras of the network, their RTSP addresses, and what to
//! write into the configuration.

use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use camgate::config::{HttpUrl, Ptz, PtzDriver, RtspUrl, Source, valid_path_name};
use camgate::ptz::discovery::{self, Found};
use camgate::ptz::onvif::Onvif;
use camgate::redact::{self, Secret};

/// Holds the password: a command line can be read by everybody on the machine.
pub const PASSWORD: &str = "CAMGATE_ONVIF_PASSWORD";

/// What was asked for.
pub struct Options {
    /// Where to ask; None: all the network.
    pub to: Option<SocketAddr>,
    /// How long to wait for answers, in seconds.
    pub seconds: u64,
    /// The user at the cameras.
    pub user: Option<String>,
    /// Print entries for the configuration.
    pub yaml: bool,
    /// Write them into this file, with the password.
    pub write: Option<PathBuf>,
}

/// A camera, and what it says of its streams.
struct Camera {
    found: Found,
    streams: Result<Vec<(String, String)>, String>,
}

/// Asks, and prints what answered.
pub fn discover(options: &Options) -> anyhow::Result<ExitCode> {
    let password = std::env::var(PASSWORD).ok().map(Secret::new).unwrap_or_default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let cameras = runtime.block_on(async {
        let wait = Duration::from_secs(options.seconds.clamp(1, 60));
        let to = options.to.unwrap_or(discovery::MULTICAST);
        let found = discovery::probe(to, wait).await.with_context(|| format!("cannot ask at {to}"))?;
        let ask = |found: Found| async {
            let streams = streams(&found, options.user.as_deref().unwrap_or_default(), &password).await;
            Camera { found, streams }
        };
        anyhow::Ok(futures_util::future::join_all(found.into_iter().map(ask)).await)
    })?;
    if cameras.is_empty() {
        eprintln!(
            "no camera answered: ONVIF may be switched off in it, or it is in another network; --to ADDRESS asks one"
        );
        return Ok(ExitCode::FAILURE);
    }
    match &options.write {
        Some(file) => {
            write(file, &entries(&cameras, options.user.as_deref(), Some(&password)))?;
            println!("{} written, {} cameras", file.display(), cameras.len());
        }
        None if options.yaml => print!("{}", entries(&cameras, options.user.as_deref(), None)),
        None => cameras.iter().for_each(show),
    }
    Ok(ExitCode::SUCCESS)
}

async fn streams(found: &Found, user: &str, password: &Secret) -> Result<Vec<(String, String)>, String> {
    let url = HttpUrl::parse(found.service.as_str())?;
    let ptz = Ptz {
        driver: PtzDriver::Onvif,
        url: Some(url),
        username: user.to_owned(),
        password: password.clone(),
        ..Ptz::default()
    };
    let mut camera = Onvif::new(&ptz.target(&Source::Publisher)?).map_err(|fault| fault.to_string())?;
    let host = found.service.host_str().unwrap_or_default();
    let streams = camera.streams().await.map_err(|fault| fault.without(password).to_string())?;
    Ok(streams.into_iter().map(|(token, uri)| (token, reachable(&uri, host))).collect())
}

/// A stream at the address where the camera was found: behind NAT it names another.
fn reachable(uri: &str, host: &str) -> String {
    let moved = url::Url::parse(uri).ok().and_then(|mut url| url.set_host(Some(host)).ok().map(|()| url.to_string()));
    moved.unwrap_or_else(|| uri.to_owned())
}

/// What a camera says, without what a terminal would obey.
fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

fn show(camera: &Camera) {
    let found = &camera.found;
    let hardware = if found.hardware.is_empty() { "model unknown" } else { &found.hardware };
    println!("{} ({})", printable(&found.name), printable(hardware));
    println!("  service  {}", redact::url(found.service.as_str()));
    match &camera.streams {
        Ok(streams) => {
            streams.iter().for_each(|(token, uri)| {
                println!("  {:<8} {}", printable(&redact::text(token)), printable(&redact::url(uri)))
            });
        }
        Err(why) => println!("  streams  {} (--user NAME, and the password in {PASSWORD})", printable(why)),
    }
}

/// The cameras as entries of `paths`; without a password there is a word in its place.
fn entries(cameras: &[Camera], user: Option<&str>, password: Option<&Secret>) -> String {
    let mut text = String::from("paths:\n");
    let mut names: Vec<String> = Vec::new();
    for camera in cameras {
        let name = unique(&camera.found.name, &mut names);
        text += &format!("  {name}:\n");
        let stream = camera.streams.as_ref().ok().and_then(|streams| streams.first());
        match stream.and_then(|(_, uri)| RtspUrl::parse(uri).ok()) {
            Some(mut url) => {
                let user = user.filter(|user| !user.is_empty());
                let place = || Secret::from("PASSWORD");
                url.user = user.map(str::to_owned).or(url.user);
                // What is printed has no password, the camera's own neither.
                url.password = match password {
                    Some(password) => user.map(|_| password.clone()).or(url.password),
                    None => user.map(|_| place()).or(url.password.map(|_| place())),
                };
                text += &format!("    source: {}\n", quoted(url.location_with_credentials().expose()));
            }
            None => text += "    # Its streams could not be asked for.\n    source: rtsp://USER:PASSWORD@HOST/PATH\n",
        }
        let service = &camera.found.service;
        let plain = service.scheme() == "http" && service.port().is_none();
        let usual = service.path() == "/onvif/device_service";
        match (plain && usual, stream.is_some()) {
            (true, true) => text += "    ptz: {driver: onvif}\n",
            _ => text += &format!("    ptz: {{driver: onvif, url: {}}}\n", quoted(service.as_str())),
        }
    }
    text
}

/// In single quotes nothing has a meaning but the quote (YAML 1.2 §7.3.2).
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// The camera's name as that of a path, which no other has.
fn unique(name: &str, names: &mut Vec<String>) -> String {
    let safe: String =
        name.to_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(64).collect();
    let safe = safe.trim_matches('-').to_owned();
    let base = if valid_path_name(&safe).is_ok() && safe != "all" { safe } else { "camera".to_owned() };
    let mut all = std::iter::once(base.clone()).chain((2..).map(|n| format!("{base}-{n}")));
    // invariant: the numbers do not end.
    let name = all.find(|name| !names.contains(name)).unwrap_or(base);
    names.push(name.clone());
    name
}

/// A new file that only its owner reads: there is a password in it.
fn write(file: &Path, text: &str) -> anyhow::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file)
        .with_context(|| format!("cannot write {}", file.display()))?;
    file.write_all(text.as_bytes())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn camera(name: &str, service: &str, stream: Option<&str>) -> Camera {
        let found = Found { name: name.into(), hardware: String::new(), service: url::Url::parse(service).unwrap() };
        let streams = stream.map(|uri| vec![("main".to_owned(), uri.to_owned())]).ok_or_else(|| "no".to_owned());
        Camera { found, streams }
    }

    #[test]
    fn the_entries_are_read_by_camgate() {
        let cameras = [
            camera("Gate dome", "http://192.0.2.7/onvif/device_service", Some("rtsp://192.0.2.7:554/a?b=c")),
            camera("Gate dome", "https://192.0.2.8:8443/onvif/device_service", Some("rtsp://192.0.2.8/a")),
            camera("前", "http://192.0.2.9/onvif/device_service", None),
        ];
        let secret = Secret::from("p'@ss%:/w?#x");
        let text = entries(&cameras, Some("operator"), Some(&secret));
        let loaded = camgate::config::parse(&text, None, &[]).unwrap_or_else(|e| panic!("{e:#?}\n{text}"));
        let names: Vec<&String> = loaded.config.paths.keys().collect();
        assert_eq!(names, ["camera", "gate-dome", "gate-dome-2"]);
        let target = |name: &str| {
            let conf = &loaded.config.paths[name];
            conf.ptz.target(&conf.source).unwrap()
        };
        let first = target("gate-dome");
        assert_eq!((first.origin().as_str(), first.password.expose()), ("http://192.0.2.7:80", secret.expose()));
        assert_eq!(target("gate-dome-2").origin(), "https://192.0.2.8:8443");
        // What is printed has no password.
        let shown = entries(&cameras, Some("operator"), None);
        assert!(shown.contains("operator:PASSWORD@") && !shown.contains("ss%"), "{shown}");
    }

    #[test]
    fn what_a_camera_says_is_no_secret_and_no_order() {
        let own = [camera("x", "http://192.0.2.7/onvif/device_service", Some("rtsp://admin:hush@192.0.2.7/a"))];
        let shown = entries(&own, None, None);
        assert!(shown.contains("admin:PASSWORD@") && !shown.contains("hush"), "{shown}");
        assert_eq!(printable("a\u{1b}[2Jb\u{9b}\r\n"), "a[2Jb");
    }

    #[test]
    fn a_stream_is_where_its_camera_is() {
        assert_eq!(reachable("rtsp://10.0.0.5:554/a?b", "192.0.2.7"), "rtsp://192.0.2.7:554/a?b");
        assert_eq!(reachable("nonsense", "192.0.2.7"), "nonsense");
    }
}
