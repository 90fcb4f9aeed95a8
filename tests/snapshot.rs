//! Snapshots: the last key frame of a path as a JPEG, from the real binary with real
//! cameras before it.

mod support;

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use support::api::{SOON, frames, status, until_state, view};
use support::barcode;
use support::camera::{Audio, Builder, Camera, Codec};
use support::feed::Profile;
use support::gateway::{Gateway, paths};
use support::{until, until_true};

fn small() -> Builder {
    Camera::builder().size(640, 360).gop_frames(25).prerecorded()
}

/// An answer, read whole.
struct Reply {
    status: u16,
    headers: reqwest::header::HeaderMap,
    body: Vec<u8>,
}

impl Reply {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |v| v.to_str().unwrap())
    }

    #[track_caller]
    fn error(&self) -> String {
        let json: serde_json::Value = serde_json::from_slice(&self.body).expect("no JSON");
        assert_eq!(json["status"], "error");
        json["error"].as_str().unwrap().to_owned()
    }
}

async fn ask(gateway: &Gateway, target: &str, headers: &[(&str, &str)]) -> Reply {
    support::init();
    let client = reqwest::Client::builder().no_proxy().timeout(SOON).build().unwrap();
    let mut request = client.get(format!("{}/{target}", gateway.url()));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = request.send().await.unwrap();
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    Reply { status, headers, body: answer.bytes().await.unwrap().to_vec() }
}

/// A picture as soon as there is one.
async fn first(gateway: &Gateway, target: &str) -> Reply {
    until(SOON, "a picture", || async {
        let reply = ask(gateway, target, &[]).await;
        match reply.status {
            200 => Some(reply),
            404 => None,
            other => panic!("{other}: {}", reply.error()),
        }
    })
    .await
}

/// A decoded JPEG: three bytes a pixel.
struct Picture {
    width: usize,
    height: usize,
    rgb: Vec<u8>,
}

impl Picture {
    fn of(jpeg: &[u8]) -> Self {
        support::init();
        let line = "appsrc name=in caps=image/jpeg ! jpegdec ! videoconvert ! video/x-raw,format=RGB ! \
                    appsink name=out sync=false";
        let pipeline = gst::parse::launch(line).unwrap().downcast::<gst::Pipeline>().unwrap();
        let source = pipeline.by_name("in").unwrap().downcast::<gst_app::AppSrc>().unwrap();
        let sink = pipeline.by_name("out").unwrap().downcast::<gst_app::AppSink>().unwrap();
        pipeline.set_state(gst::State::Playing).unwrap();
        source.push_buffer(gst::Buffer::from_slice(jpeg.to_vec())).unwrap();
        source.end_of_stream().unwrap();
        let sample = sink.try_pull_sample(gst::ClockTime::from_seconds(30)).expect("no JPEG");
        pipeline.set_state(gst::State::Null).unwrap();
        let s = sample.caps().unwrap().structure(0).unwrap();
        let side = |key: &str| s.get::<i32>(key).unwrap() as usize;
        let (width, height) = (side("width"), side("height"));
        let map = sample.buffer().unwrap().map_readable().unwrap();
        let stride = map.len() / height;
        let rgb = map.chunks(stride).flat_map(|row| row[..width * 3].to_vec()).collect();
        Picture { width, height, rgb }
    }

    /// The index in the picture's bar code.
    fn code(&self) -> Option<u16> {
        let luma: Vec<u8> = self.rgb.chunks(3).map(|p| p[1]).collect();
        barcode::read(&luma, self.width, self.width, self.height)
    }

    /// The bar code is black and white: neither grey, nor of any colour.
    #[track_caller]
    fn assert_clean(&self) {
        let row = self.height / barcode::ROW_PART / 2;
        let (mut black, mut white) = (0, 0);
        for block in 0..barcode::BLOCKS {
            let at = 3 * (row * self.width + (2 * block + 1) * self.width / (2 * barcode::BLOCKS));
            let pixel = &self.rgb[at..at + 3];
            match pixel {
                p if p.iter().all(|v| *v < 40) => black += 1,
                p if p.iter().all(|v| *v > 215) => white += 1,
                other => panic!("block {block} is {other:?}"),
            }
        }
        assert!(black > 0 && white > 0, "{black} {white}");
    }
}

/// Looks at every width of a path with a picture of 640×360.
async fn look_at_all(gateway: &Gateway, camera: &Camera, path: &str) {
    first(gateway, &format!("{path}/snapshot.jpg")).await;
    for (query, size) in [
        ("", (640, 360)),
        ("?width=160", (160, 90)),
        ("?width=320", (320, 180)),
        ("?width=640", (640, 360)),
        ("?width=1280", (640, 360)),
    ] {
        let reply = ask(gateway, &format!("{path}/snapshot.jpg{query}"), &[]).await;
        assert_eq!((reply.status, reply.header("content-type")), (200, "image/jpeg"));
        let picture = Picture::of(&reply.body);
        assert_eq!((picture.width, picture.height), size, "{path} {query}");
        let code = picture.code().unwrap_or_else(|| panic!("no bar code: {path} {query}"));
        picture.assert_clean();
        let frame = camera.frames().by_code(code).unwrap_or_else(|| panic!("{path} {query}: {code} is no frame"));
        assert!(frame.key, "{path} {query}: {frame:?}");
    }
}

#[tokio::test]
async fn every_codec_in_every_width() {
    // Encoded live: only then the bar code is that of the frame.
    let live = || Camera::builder().size(640, 360).gop_frames(25);
    let cameras = [
        ("h264", live().audio(Audio::Pcmu).start()),
        ("bframes", live().b_frames(2).profile(Profile::High).start()),
        ("h265", live().codec(Codec::H265).start()),
    ];
    let urls: Vec<_> = cameras.iter().map(|(name, camera)| (*name, camera.url())).collect();
    let list: Vec<_> = urls.iter().map(|(name, url)| (*name, url.as_str())).collect();
    let gateway = Gateway::start(&paths(&list));
    for (name, camera) in &cameras {
        look_at_all(&gateway, camera, name).await;
    }
    assert_eq!(gateway.complaints(), Vec::<String>::new());
}

fn decodes(gateway: &Gateway, path: &str) -> usize {
    let path = format!("path={path} ");
    gateway.log().iter().filter(|l| l.contains("snapshot decoded") && l.contains(&path)).count()
}

#[tokio::test]
async fn fifty_at_once_are_one_decode() {
    let mut camera = small().start();
    let gateway = Gateway::start(&paths(&[("gate", &camera.url())]));
    until_state(&gateway, "gate", "live").await;
    // The last key frame stays the last.
    camera.stop();
    until_state(&gateway, "gate", "reconnecting").await;
    let queries = ["", "?width=160", "?width=320", "?width=640", "?width=1280"];
    let asks = (0..50).map(|n| format!("gate/snapshot.jpg{}", queries[n % queries.len()]));
    let replies = futures_util::future::join_all(asks.map(|target| {
        let gateway = &gateway;
        async move { ask(gateway, &target, &[]).await }
    }))
    .await;
    for (n, reply) in replies.iter().enumerate() {
        assert_eq!(reply.status, 200, "{n}");
        assert_eq!(reply.body, replies[n % queries.len()].body, "{n}");
    }
    assert_eq!(decodes(&gateway, "gate"), 1);
    ask(&gateway, "gate/snapshot.jpg?width=160", &[]).await;
    assert_eq!(decodes(&gateway, "gate"), 1);
}

#[tokio::test]
async fn a_camera_that_is_gone_leaves_its_picture_which_ages() {
    let mut camera = small().start();
    let gateway = Gateway::start(&paths(&[("gate", &camera.url())]));
    first(&gateway, "gate/snapshot.jpg").await;
    camera.stop();
    until_state(&gateway, "gate", "reconnecting").await;
    let reply = ask(&gateway, "gate/snapshot.jpg?width=320", &[]).await;
    assert_eq!(reply.status, 200);
    let age: u64 = reply.header("age").parse().unwrap();
    let tag = reply.header("etag").to_owned();
    assert!(reply.header("last-modified").ends_with(" GMT") && tag.starts_with('"'), "{:?}", reply.headers);
    assert_eq!(reply.header("cache-control"), "no-cache");
    let older = until(SOON, "a greater age", || async {
        let reply = ask(&gateway, "gate/snapshot.jpg?width=320", &[]).await;
        (reply.header("age").parse::<u64>().unwrap() > age).then_some(reply)
    })
    .await;
    assert_eq!((older.status, older.header("etag"), &older.body), (200, tag.as_str(), &reply.body));
    assert_eq!(older.header("last-modified"), reply.header("last-modified"));
    let known = ask(&gateway, "gate/snapshot.jpg?width=320", &[("if-none-match", &tag)]).await;
    assert_eq!((known.status, known.body.len()), (304, 0));
    // With the camera the picture is a new one.
    camera.start_again();
    until(SOON, "a new picture", || async {
        let reply = ask(&gateway, "gate/snapshot.jpg?width=320", &[("if-none-match", &tag)]).await;
        (reply.status == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn nobody_is_woken_for_a_picture() {
    let camera = small().start();
    let gateway = Gateway::start(&format!(
        "paths:\n  gate:\n    source: {0}\n    sourceOnDemand: yes\n    sourceOnDemandCloseAfter: 1s\n  \
         '~^cam':\n    source: {0}\n    sourceOnDemand: yes\n",
        camera.url()
    ));
    for path in ["gate", "cam1"] {
        let reply = ask(&gateway, &format!("{path}/snapshot.jpg"), &[]).await;
        assert_eq!(reply.status, 404);
        assert!(reply.error().contains(path), "{}", reply.error());
    }
    // Neither made nor woken.
    let wall = ask(&gateway, "", &[("accept", "application/json")]).await;
    assert!(!String::from_utf8_lossy(&wall.body).contains("cam1"));
    assert_eq!((camera.connections(), status(&gateway, "gate").await["state"].as_str()), (0, Some("idle")));
    // Somebody watches and leaves: the picture stays, and wakes nobody either.
    let viewer = view(&gateway, "gate").await;
    frames(&viewer, 5).await;
    viewer.leave().await.unwrap();
    until_state(&gateway, "gate", "idle").await;
    until_true(SOON, "the camera's rest", || camera.open_connections() == 0).await;
    let mark = gateway.mark();
    let reply = ask(&gateway, "gate/snapshot.jpg", &[]).await;
    assert_eq!(reply.status, 200);
    Picture::of(&reply.body).assert_clean();
    assert_eq!((camera.connections(), status(&gateway, "gate").await["state"].as_str()), (1, Some("idle")));
    // Another camera under this name is not shown with the old one's picture.
    gateway.write_config("paths:\n  gate:\n    source: rtsp://127.0.0.1:9/x\n    sourceOnDemand: yes\n");
    gateway.wait_for_line_after(mark, SOON, |l| l.contains("configuration reloaded"));
    until(SOON, "the picture's end", || async {
        (ask(&gateway, "gate/snapshot.jpg", &[]).await.status == 404).then_some(())
    })
    .await;
    // All this passed through the path: whatever had woken it would have been said by now.
    let woken = gateway.log_after(mark).into_iter().find(|l| l.contains("state=Starting"));
    assert_eq!((camera.connections(), woken), (1, None));
}

#[tokio::test]
async fn refusals_say_why() {
    let camera = small().start();
    let gateway = Gateway::start(&format!(
        "authInternalUsers:\n  - user: bob\n    pass: s3cret\n    permissions:\n      - action: read\n        path: ~^(gate|sound|nobody)\n\
         paths:\n  gate:\n    source: {}\n  yard:\n    source: publisher\n  sound:\n    source: 'gst: audiotestsrc is-live=true ! audio/x-raw,rate=8000,channels=1 ! alawenc'\n",
        camera.url()
    ));
    let bob = ("authorization", "Basic Ym9iOnMzY3JldA==");
    until(SOON, "a picture", || async {
        (ask(&gateway, "gate/snapshot.jpg", &[bob]).await.status == 200).then_some(())
    })
    .await;
    until(SOON, "the word on audio", || async {
        let reply = ask(&gateway, "sound/snapshot.jpg", &[bob]).await;
        assert_eq!(reply.status, 404);
        reply.error().contains("only audio").then_some(())
    })
    .await;
    for (target, headers, want) in [
        ("gate/snapshot.jpg", vec![], 401),
        ("yard/snapshot.jpg", vec![bob], 403),
        ("nobody/snapshot.jpg", vec![bob], 404),
        ("gate/snapshot.jpg?width=200", vec![bob], 400),
        ("gate/snapshot.jpg?width=160", vec![bob], 200),
        ("gate/snapshot.jpg?width=160&token=s3cret", vec![], 200),
    ] {
        let reply = ask(&gateway, target, &headers).await;
        assert_eq!(reply.status, want, "{target}");
        if want >= 400 {
            assert!(reply.error().len() > 10, "{target}");
        }
    }
}

#[tokio::test]
async fn a_substream_is_a_path_that_the_status_names() {
    let (big, tiny) = (small().start(), small().size(320, 180).start());
    let yaml = |more: &str| {
        format!(
            "paths:\n  gate:\n    source: {}\n{more}  yard:\n    source: {}\n    substream: gate\n",
            big.url(),
            big.url()
        )
    };
    let gateway = Gateway::start(&yaml(""));
    assert_eq!(status(&gateway, "gate").await["substream"], serde_json::Value::Null);
    assert_eq!(status(&gateway, "yard").await["substream"], "gate");
    let viewer = view(&gateway, "gate").await;
    frames(&viewer, 5).await;
    let mark = gateway.mark();
    gateway.write_config(&yaml(&format!("    substream: {}\n", tiny.url())));
    let line = gateway.wait_for_line_after(mark, SOON, |l| l.contains("configuration reloaded"));
    assert!(line.contains("gate/sub") && !line.contains("yard"), "{line}");
    let sub = status(&gateway, "gate/sub").await;
    assert_eq!((&sub["state"], &sub["onDemand"], &sub["substream"]), (&"idle".into(), &true.into(), &().into()));
    assert_eq!(status(&gateway, "gate").await["substream"], "gate/sub");
    assert_eq!(tiny.connections(), 0);
    frames(&view(&gateway, "gate/sub").await, 5).await;
    let picture = Picture::of(&first(&gateway, "gate/sub/snapshot.jpg").await.body);
    assert_eq!((picture.width, picture.height), (320, 180));
    // The big one's viewer noticed nothing of it.
    support::api::more_frames(&viewer, 10).await;
    assert_eq!(big.plays(), 2, "one for each path of it");
}
