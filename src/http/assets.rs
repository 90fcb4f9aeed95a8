//! The files of src/web and hls.js, as they are in the binary: hashed and
//! compressed once, when the first of them is asked for.
//!
//! Pages name them below a version, `/assets/{version}/{name}`, under which they never
//! change: a browser asks for each of them once. Scripts name each other beside
//! themselves, so one version stands for all.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::Write;
use std::sync::LazyLock;

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, VARY};
use actix_web::{HttpResponse, HttpResponseBuilder};
use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use rust_embed::RustEmbed;
use sha2::{Digest, Sha256};

use super::accept;

#[derive(RustEmbed)]
#[folder = "src/web"]
#[exclude = "node_modules/*"]
#[exclude = "package*.json"]
#[exclude = "*.test.js"]
#[allow_missing = true]
struct Files;

/// hls.js as build.rs found it.
const HLS: (&str, &[u8]) = ("hls.js", include_bytes!(concat!(env!("OUT_DIR"), "/hls.js")));

/// An embedded file.
pub struct Asset {
    mime: &'static str,
    plain: Bytes,
    /// Where it is smaller by more than what the header costs.
    gzip: Option<Bytes>,
    /// A digest of the content, in hexadecimal.
    tag: String,
}

struct Assets {
    /// A digest of all files.
    version: String,
    files: HashMap<String, Asset>,
}

static ASSETS: LazyLock<Assets> = LazyLock::new(|| {
    let named = |name: String, content: Vec<u8>| mime(&name).map(|mime| (name, (mime, content)));
    let embedded = Files::iter().filter_map(|name| named(name.to_string(), Files::get(&name)?.data.into_owned()));
    let mut all: BTreeMap<_, _> = embedded.chain(named(HLS.0.to_owned(), HLS.1.to_vec())).collect();
    let mut digest = Sha256::new();
    for (name, (_, content)) in &all {
        digest.update([name.as_bytes(), &content.len().to_be_bytes(), content].concat());
    }
    let version = hex(&digest.finalize(), VERSION / 2);
    let scripts: HashMap<String, String> = all
        .iter()
        .filter(|(name, _)| name.ends_with(".js"))
        .map(|(name, (_, content))| (name.clone(), String::from_utf8_lossy(content).into_owned()))
        .collect();
    for (_, content) in all.iter_mut().filter(|(name, _)| name.ends_with(".html")).map(|(_, file)| file) {
        *content = page(&String::from_utf8_lossy(content), &version, &scripts).into_bytes();
    }
    let files = all.into_iter().map(|(name, (mime, content))| (name, Asset::new(mime, content))).collect();
    Assets { version, files }
});

/// Hexadecimal digits of a version.
const VERSION: usize = 12;

fn hex(digest: &[u8], bytes: usize) -> String {
    digest.iter().take(bytes).map(|b| format!("{b:02x}")).collect()
}

/// The file of that name below src/web, if it is one for browsers.
pub fn find(name: &str) -> Option<&'static Asset> {
    ASSETS.files.get(name)
}

/// The name below a version, and whether that is the present one: what was told under
/// it may be kept for ever. A page that was loaded before this binary was put in place
/// gets what there is now.
pub fn unversioned(name: &str) -> (bool, &str) {
    match name.split_once('/') {
        Some((version, rest)) if version.len() == VERSION && version.bytes().all(|b| b.is_ascii_hexdigit()) => {
            (version == ASSETS.version, rest)
        }
        _ => (false, name),
    }
}

/// A page with its files named below `version`, and all scripts that its modules import
/// named in its head: the browser need not read one to learn of the next.
fn page(html: &str, version: &str, scripts: &HashMap<String, String>) -> String {
    let mut preloads = String::new();
    for entry in html.split("<script type=\"module\" src=\"/assets/").skip(1).filter_map(|s| s.split('"').next()) {
        for name in imported(entry, scripts) {
            preloads += &format!("<link rel=\"modulepreload\" href=\"/assets/{name}\">\n");
        }
    }
    html.replacen("</head>", &format!("{preloads}</head>"), 1).replace("\"/assets/", &format!("\"/assets/{version}/"))
}

/// What a module imports, and what that imports, at once (`import()` comes later).
fn imported<'a>(entry: &str, scripts: &'a HashMap<String, String>) -> BTreeSet<&'a str> {
    let (mut found, mut open) = (BTreeSet::new(), vec![entry.to_owned()]);
    while let Some(script) = open.pop().and_then(|name| scripts.get(&name)) {
        for name in script.split("from './").skip(1).filter_map(|s| s.split('\'').next()) {
            if let Some((name, _)) = scripts.get_key_value(name)
                && found.insert(name.as_str())
            {
                open.push(name.clone());
            }
        }
    }
    found
}

/// The content type by the name's end; what is none of these (package.json,
/// tests) is not served.
fn mime(name: &str) -> Option<&'static str> {
    if name.ends_with(".test.js") || name.split('/').any(|s| s == "node_modules") {
        return None;
    }
    Some(match name.rsplit_once('.')?.1 {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" => "image/jpeg",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "webmanifest" => "application/manifest+json",
        "txt" => "text/plain; charset=utf-8",
        _ => return None,
    })
}

impl Asset {
    /// Hashes and compresses.
    pub fn new(mime: &'static str, content: Vec<u8>) -> Asset {
        let digest = Sha256::digest(&content);
        let tag = hex(&digest, 12);
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        let gzip = encoder
            .write_all(&content)
            .and_then(|()| encoder.finish())
            .ok()
            .filter(|packed| packed.len() + 64 < content.len())
            .map(Bytes::from);
        Asset { mime, plain: content.into(), gzip, tag }
    }

    /// Whether it is a page, which has routes of its own.
    pub fn is_page(&self) -> bool {
        self.mime.starts_with("text/html")
    }

    /// 200 with the content or 304, by what the client has and reads; `kept`: for ever,
    /// instead of until the client has asked again. `extra` adds headers to either.
    pub fn answer(
        &self,
        headers: &HeaderMap,
        kept: bool,
        extra: impl FnOnce(&mut HttpResponseBuilder),
    ) -> HttpResponse {
        let packed = self.gzip.as_ref().filter(|_| accept::gzip(headers));
        // A strong tag stands for the very bytes, so each encoding has its own.
        let suffix = if packed.is_some() { "-gz" } else { "" };
        let etag = format!("\"{}{suffix}\"", self.tag);
        let known = accept::has(headers, &etag);
        let status = if known { StatusCode::NOT_MODIFIED } else { StatusCode::OK };
        let mut answer = HttpResponse::build(status);
        answer
            .insert_header((ETAG, etag))
            .insert_header((CACHE_CONTROL, if kept { "public, max-age=31536000, immutable" } else { "no-cache" }))
            .append_header((VARY, "Accept-Encoding"));
        extra(&mut answer);
        if known {
            return answer.finish();
        }
        answer.insert_header((CONTENT_TYPE, HeaderValue::from_static(self.mime)));
        match packed {
            Some(packed) => {
                answer.insert_header((CONTENT_ENCODING, "gzip"));
                answer.body(packed.clone())
            }
            None => answer.body(self.plain.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use actix_web::body::MessageBody;
    use actix_web::http::header::{ACCEPT_ENCODING, IF_NONE_MATCH};

    use super::*;

    #[test]
    fn a_digest_names_the_very_bytes() {
        let asset = Asset::new("text/css; charset=utf-8", b"body { color: red }\n".repeat(100));
        let mut headers = HeaderMap::new();
        let plain = asset.answer(&headers, false, |_| {});
        assert_eq!(plain.status(), 200);
        assert_eq!(plain.headers().get(CACHE_CONTROL).unwrap(), "no-cache");
        assert!(!plain.headers().contains_key(CONTENT_ENCODING));
        let etag = plain.headers().get(ETAG).unwrap().clone();
        assert_eq!(plain.into_body().try_into_bytes().unwrap().len(), 2000);

        headers.insert(IF_NONE_MATCH, etag.clone());
        let known = asset.answer(&headers, false, |_| {});
        assert_eq!(known.status(), 304);
        assert_eq!(known.headers().get(ETAG), Some(&etag));

        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        let packed = asset.answer(&headers, false, |_| {});
        assert_eq!(packed.status(), 200, "another encoding has another tag");
        assert_ne!(packed.headers().get(ETAG), Some(&etag));
        assert_eq!(packed.headers().get(CONTENT_ENCODING).unwrap(), "gzip");
        let body = packed.into_body().try_into_bytes().unwrap();
        let mut text = Vec::new();
        std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&body[..]), &mut text).unwrap();
        assert_eq!(text.len(), 2000);
    }

    #[test]
    fn small_files_are_not_packed() {
        let asset = Asset::new("text/css; charset=utf-8", b"a{}".to_vec());
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        assert!(!asset.answer(&headers, false, |_| {}).headers().contains_key(CONTENT_ENCODING));
    }

    #[test]
    fn hls_js_is_there_and_npm_s_files_are_not() {
        let hls = find("hls.js").expect("hls.js");
        assert!(hls.plain.len() > 300_000 && hls.gzip.is_some());
        assert!(!String::from_utf8_lossy(&hls.plain).contains("sourceMappingURL"));
        assert!(Files::iter().all(|name| !name.contains("node_modules") && !name.ends_with(".json")));
        assert!(!ASSETS.files.keys().any(|name| name.contains('/')));
    }

    #[test]
    fn pages_name_their_files_below_a_version_and_their_modules_in_the_head() {
        for name in ["index.html", "player.html"] {
            let html = String::from_utf8(find(name).unwrap().plain.to_vec()).unwrap();
            let named: Vec<&str> = html.split("\"/assets/").skip(1).filter_map(|s| s.split('"').next()).collect();
            assert!(named.len() > 10, "{html}");
            for name in &named {
                let (kept, file) = unversioned(name);
                assert!(kept && find(file).is_some(), "{name}");
            }
            let preloads =
                |file: &str| html.contains(&format!("modulepreload\" href=\"/assets/{}/{file}\"", ASSETS.version));
            // Through others, and what is loaded when it is needed is not.
            assert!(preloads("sdp.js") && preloads("retry.js") && !preloads("hls.js") && !preloads("ptz.js"), "{html}");
        }
        assert_eq!(unversioned("style.css"), (false, "style.css"));
        assert_eq!(unversioned("0123456789ab/style.css"), (false, "style.css"));
        assert_eq!(unversioned("0123456789xy/style.css"), (false, "0123456789xy/style.css"));
    }

    /// All that the player's first load fetches, as it is sent: hls.js comes later.
    #[test]
    fn the_page_is_small() {
        let sent = |(name, asset): (&String, &Asset)| {
            let first = name != HLS.0;
            first.then(|| asset.gzip.as_ref().unwrap_or(&asset.plain).len())
        };
        let all: usize = ASSETS.files.iter().filter_map(sent).sum();
        assert!(all < 100_000, "{all} bytes");
    }

    #[test]
    fn only_files_for_browsers_are_served() {
        for name in ["package.json", "x", "wall.test.js", "node_modules/a/b.js", "README.md", ".x"] {
            assert_eq!(mime(name), None, "{name}");
        }
        assert_eq!(mime("a.js"), Some("text/javascript; charset=utf-8"));
    }
}
