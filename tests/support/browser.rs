//! The real Chromium, headless, driven over its debugging protocol.

use super::proc;
use chromiumoxide::browser::{Browser as Chrome, BrowserConfig};
use chromiumoxide::cdp::browser_protocol::browser::{PermissionDescriptor, PermissionSetting, SetPermissionParams};
use chromiumoxide::cdp::browser_protocol::log::EventEntryAdded;
use chromiumoxide::cdp::browser_protocol::page::CaptureScreenshotFormat;
use chromiumoxide::cdp::js_protocol::runtime::{EvaluateParams, EventConsoleApiCalled, EventExceptionThrown};
use chromiumoxide::page::ScreenshotParams;
use futures_util::StreamExt;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Messages kept per page.
const KEPT: usize = 2_000;

/// Debian's name, Ubuntu's, and Chrome's own; docker/setup.sh looks for the same.
const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/// The first Chromium in the PATH.
fn executable() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    NAMES
        .iter()
        .flat_map(|name| std::env::split_paths(&path).map(move |directory| directory.join(name)))
        .find(|file| file.is_file())
        .expect("no Chromium in the PATH: docker/setup.sh --test installs it")
}

/// A browser of its own profile; killed with all its children when dropped.
pub struct Browser {
    chrome: Chrome,
    pid: u32,
    handler: tokio::task::JoinHandle<()>,
    profile: Option<tempfile::TempDir>,
}

impl Browser {
    /// Starts it with a window of 1280×800. Needs a running tokio runtime, which
    /// must not block for long: the debugging protocol runs on it.
    pub async fn launch() -> Self {
        Self::launch_with(1280, 800, &[]).await
    }

    /// [`Browser::launch`] with a window size and further flags (without `--`).
    pub async fn launch_with(width: u32, height: u32, flags: &[&str]) -> Self {
        let profile = tempfile::Builder::new().prefix("camgate-chromium-").tempdir().unwrap();
        let config = BrowserConfig::builder()
            .chrome_executable(executable())
            .user_data_dir(profile.path())
            .new_headless_mode()
            .no_sandbox()
            .window_size(width, height)
            .viewport(None)
            .launch_timeout(Duration::from_secs(60))
            .request_timeout(Duration::from_secs(120))
            .disable_https_first()
            .args([
                "use-fake-device-for-media-stream",
                "use-fake-ui-for-media-stream",
                "disable-dev-shm-usage",
                "mute-audio",
                "disable-gpu",
                "disable-background-networking",
                "disable-component-update",
                "disable-sync",
                "no-first-run",
                // 127.0.0.1 as a candidate, and plain addresses instead of mDNS names.
                "allow-loopback-in-peer-connection",
            ])
            .arg(("disable-features", "WebRtcHideLocalIpsWithMdns"))
            .arg(("autoplay-policy", "no-user-gesture-required"))
            .args(flags.iter().copied())
            .build()
            .unwrap();
        let (mut chrome, mut handler) = Chrome::launch(config).await.expect("no Chromium");
        let handler = tokio::spawn(async move { while handler.next().await.is_some() {} });
        // Without this (a page that never asked for the camera) Chromium offers only the
        // default route's address, which a machine without network does not have.
        for name in ["camera", "microphone"] {
            let name = PermissionDescriptor::new(name);
            let grant = SetPermissionParams::new(name, PermissionSetting::Granted);
            chrome.execute(grant).await.unwrap();
        }
        let child = chrome.get_mut_child().expect("Chromium has no process");
        let pid = child.as_mut_inner().id().expect("Chromium is gone");
        Self { chrome, pid, handler, profile: Some(profile) }
    }

    /// Opens a page. Messages are captured from its first script on.
    pub async fn page(&self, url: &str) -> Page {
        let page = self.chrome.new_page("about:blank").await.unwrap();
        let messages = Messages::default();
        let mut console = page.event_listener::<EventConsoleApiCalled>().await.unwrap();
        let mut thrown = page.event_listener::<EventExceptionThrown>().await.unwrap();
        let mut entries = page.event_listener::<EventEntryAdded>().await.unwrap();
        let to = messages.clone();
        tokio::spawn(async move {
            while let Some(event) = console.next().await {
                let text = |a: &chromiumoxide::cdp::js_protocol::runtime::RemoteObject| match &a.value {
                    Some(Value::String(s)) => s.clone(),
                    Some(value) => value.to_string(),
                    None => a.description.clone().unwrap_or_default(),
                };
                let words: Vec<_> = event.args.iter().map(text).collect();
                to.add(format!("{:?}: {}", event.r#type, words.join(" ")).to_lowercase_kind());
            }
        });
        let to = messages.clone();
        tokio::spawn(async move {
            while let Some(event) = thrown.next().await {
                let details = &event.exception_details;
                let text = details.exception.as_ref().and_then(|e| e.description.clone());
                to.add(format!("exception: {}", text.unwrap_or(details.text.clone())));
            }
        });
        let to = messages.clone();
        tokio::spawn(async move {
            while let Some(event) = entries.next().await {
                let url = event.entry.url.clone().unwrap_or_default();
                let line = format!("{:?}: {} {url}", event.entry.level, event.entry.text);
                to.add(format!("log {}", line.to_lowercase_kind()));
            }
        });
        page.enable_log().await.unwrap();
        let page = Page { page, messages };
        if url != "about:blank" {
            page.goto(url).await;
        }
        page
    }

    /// The browser's process.
    pub fn pid(&self) -> u32 {
        self.pid
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        self.handler.abort();
        proc::kill_family(self.pid);
        if let Ok(Some(_)) = self.chrome.try_wait() {}
        // The profile is busy until the last process is gone.
        let end = Instant::now() + Duration::from_secs(5);
        while proc::alive(self.pid) && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(5)); // poll
        }
        drop(self.profile.take());
    }
}

/// Console messages, exceptions and the browser's own log entries.
#[derive(Clone, Default)]
struct Messages(Arc<Mutex<Vec<String>>>);

impl Messages {
    fn add(&self, line: String) {
        let mut lines = self.0.lock().unwrap();
        if lines.len() < KEPT {
            lines.push(line);
        }
    }
}

/// `Error: text` → `error: text`: the debug names of enums, in lower case.
trait LowercaseKind {
    fn to_lowercase_kind(&self) -> String;
}

impl LowercaseKind for String {
    fn to_lowercase_kind(&self) -> String {
        match self.split_once(':') {
            Some((kind, rest)) => format!("{}:{rest}", kind.to_ascii_lowercase()),
            None => self.clone(),
        }
    }
}

/// A page (tab).
pub struct Page {
    page: chromiumoxide::Page,
    messages: Messages,
}

impl Page {
    /// Goes to a URL and waits for its load.
    pub async fn goto(&self, url: &str) {
        self.page.goto(url).await.unwrap_or_else(|e| panic!("Chromium cannot open {url}: {e}"));
    }

    /// Evaluates an expression; promises are awaited. Err: the exception's text.
    pub async fn try_eval(&self, js: &str) -> Result<Value, String> {
        let params = EvaluateParams::builder()
            .expression(js)
            .await_promise(true)
            .return_by_value(true)
            .user_gesture(true)
            .build()
            .unwrap();
        // Not `Page::evaluate`: that takes an expression that looks like a function for one.
        let answer = self.page.execute(params).await.map_err(|e| e.to_string())?;
        if let Some(details) = &answer.result.exception_details {
            let text = details.exception.as_ref().and_then(|e| e.description.clone());
            return Err(text.unwrap_or_else(|| details.text.clone()));
        }
        Ok(answer.result.result.value.clone().unwrap_or(Value::Null))
    }

    /// [`Page::try_eval`] that panics with the exception and the page's messages.
    pub async fn eval(&self, js: &str) -> Value {
        match self.try_eval(js).await {
            Ok(value) => value,
            Err(error) => panic!("{js}\n→ {error}\n{}", self.messages().join("\n")),
        }
    }

    /// Waits until the expression is truthy and gives its value; panics after
    /// `deadline` with the last value and the page's messages.
    pub async fn wait_for(&self, js: &str, deadline: Duration) -> Value {
        let end = Instant::now() + deadline;
        loop {
            let result = self.try_eval(js).await;
            if let Ok(value) = &result
                && truthy(value)
            {
                return value.clone();
            }
            if Instant::now() >= end {
                panic!("still not true after {deadline:?}: {js}\nlast: {result:?}\n{}", self.messages().join("\n"));
            }
            tokio::time::sleep(Duration::from_millis(30)).await; // poll
        }
    }

    /// Console messages (`log: …`), exceptions (`exception: …`), and the
    /// browser's own entries (`log error: …`, such as failed requests).
    pub fn messages(&self) -> Vec<String> {
        self.messages.0.lock().unwrap().clone()
    }

    /// Exceptions and console errors only.
    pub fn errors(&self) -> Vec<String> {
        let bad = |line: &String| line.starts_with("exception:") || line.starts_with("error:");
        self.messages().into_iter().filter(bad).collect()
    }

    /// A PNG of what the window shows.
    pub async fn screenshot(&self, file: impl AsRef<Path>) {
        let params = ScreenshotParams::builder().format(CaptureScreenshotFormat::Png).build();
        self.page.save_screenshot(params, file).await.unwrap();
    }

    /// The page of the library, for what is missing here.
    pub fn inner(&self) -> &chromiumoxide::Page {
        &self.page
    }

    /// Closes the tab.
    pub async fn close(self) {
        let _ = self.page.close().await;
    }
}

/// As JavaScript sees it.
fn truthy(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(b) => *b,
        Value::Number(n) => n.as_f64().is_some_and(|n| n != 0.0),
        Value::String(s) => !s.is_empty(),
        Value::Array(_) | Value::Object(_) => true,
    }
}
