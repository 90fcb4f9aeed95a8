//! What the browser tests share: watching a `<video>` from inside the page,
//! npm packages, and where screenshots go.

use super::support::barcode;
use super::support::browser::Page;
use serde_json::Value;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Long enough for a busy machine; nothing waits that long when all is well.
pub const LONG: Duration = Duration::from_secs(60);

/// `mark(video)`: where a video is; `onward(video, mark)`: its time, its frames
/// and its pixels have gone on since.
const WATCH: &str = r#"
window.mark = (video) => ({
  at: video.currentTime,
  frames: video.getVideoPlaybackQuality().totalVideoFrames,
  picture: pictureHash(video),
});
window.onward = (video, before) => {
  const now = mark(video);
  return now.at > before.at + 0.3 && now.frames > before.frames + 5 && now.picture !== before.picture;
};
window.session = (path) => window.camgate.sessions.find((s) => s.path === path);
window.decoded = (path) => { const s = session(path); return s && s.stats && s.stats.video ? s.stats.video.framesDecoded : 0; };
"#;

/// Puts the functions above, [`barcode::JS`] and `readBarcode` into the page.
pub async fn watch(page: &Page) {
    page.eval(&format!("{}{WATCH}true", barcode::JS)).await;
}

/// Waits until the video of `selector` plays: its clock advances, frames are
/// presented, the pixels change. Gives its size.
pub async fn plays(page: &Page, selector: &str) -> (u64, u64) {
    watch(page).await;
    let video = format!("document.querySelector({selector:?})");
    let there = format!("{video} && {video}.videoWidth > 0 && {video}.currentTime > 0 && !{video}.paused");
    page.wait_for(&there, LONG).await;
    goes_on(page, selector).await;
    let size = page.eval(&format!("[{video}.videoWidth, {video}.videoHeight]")).await;
    (size[0].as_u64().unwrap(), size[1].as_u64().unwrap())
}

/// Waits until the video goes on from where it is now.
pub async fn goes_on(page: &Page, selector: &str) {
    let video = format!("document.querySelector({selector:?})");
    page.eval(&format!("window.marked = mark({video})")).await;
    page.wait_for(&format!("onward({video}, window.marked)"), LONG).await;
}

/// Waits until the page's session of `path` has decoded more frames than now.
pub async fn decodes(page: &Page, path: &str) {
    let before = page.eval(&format!("decoded({path:?})")).await;
    page.wait_for(&format!("decoded({path:?}) > {before}"), LONG).await;
}

/// The page's own account of its session: `window.camgate`.
pub async fn session(page: &Page, path: &str) -> Value {
    page.eval(&format!("session({path:?})")).await
}

/// A number of it.
pub async fn number(page: &Page, path: &str, key: &str) -> u64 {
    session(page, path).await[key].as_u64().unwrap_or_else(|| panic!("no {key} of {path}"))
}

/// Waits until the text of an element contains `words`.
pub async fn says(page: &Page, selector: &str, words: &str) {
    let text = format!("(document.querySelector({selector:?})?.textContent || '')");
    let end = Instant::now() + LONG;
    while page.eval(&format!("{text}.includes({words:?})")).await != true {
        if Instant::now() > end {
            panic!("{selector} does not say {words:?} but {}", page.eval(&text).await);
        }
        tokio::time::sleep(Duration::from_millis(30)).await; // poll
    }
}

/// Presses a key as a person does: the event goes to what has the focus.
pub async fn press(page: &Page, key: &str) {
    let code = if key == " " { "Space" } else { key };
    page.eval(&format!(
        "(document.activeElement || document.body).dispatchEvent(new KeyboardEvent('keydown', \
         {{ key: {key:?}, code: {code:?}, bubbles: true, cancelable: true }})), true"
    ))
    .await;
}

/// No exception, no error on the console, no violation of the content security
/// policy, no failed request but those whose line contains one of `allowed`.
pub fn clean(page: &Page, allowed: &[&str]) {
    let bad: Vec<String> = page
        .messages()
        .into_iter()
        .filter(|l| ["exception:", "error:", "log error:", "warning:", "log warning:"].iter().any(|s| l.starts_with(s)))
        .filter(|l| !allowed.iter().any(|a| l.contains(a)))
        // Posters are asked for at once; a path that has never run has none.
        .filter(|l| !(l.contains("/snapshot.jpg") && l.contains("404")))
        .collect();
    assert!(bad.is_empty(), "the page complains:\n{}", bad.join("\n"));
}

/// A file of an npm package that tests/browser/package.json names.
pub fn npm(file: &str) -> PathBuf {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/browser/node_modules");
    let path = root.join(file);
    assert!(
        path.is_file(),
        "{} is missing: run `npm ci --prefix tests/browser` (docker/setup.sh --test does)",
        path.display()
    );
    path
}

/// Where screenshots go: $CAMGATE_SHOTS, or a directory that is thrown away.
pub struct Shots(PathBuf, #[allow(dead_code)] Option<tempfile::TempDir>);

impl Shots {
    pub fn new() -> Self {
        match std::env::var_os("CAMGATE_SHOTS") {
            Some(directory) => {
                std::fs::create_dir_all(&directory).unwrap();
                Self(directory.into(), None)
            }
            None => {
                let directory = tempfile::tempdir().unwrap();
                Self(directory.path().into(), Some(directory))
            }
        }
    }

    /// Takes one; it must be a picture of some size.
    pub async fn take(&self, page: &Page, name: &str) {
        let file = self.0.join(format!("{name}.png"));
        page.screenshot(&file).await;
        let size = std::fs::metadata(&file).unwrap().len();
        assert!(size > 2_000, "{name}: a screenshot of {size} bytes");
    }
}
