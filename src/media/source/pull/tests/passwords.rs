//! Passwords, and for how long one that is refused is shown.

use super::*;

#[tokio::test]
async fn a_stale_nonce_and_a_wrong_password() {
    let camera = Stub::start(|asked, _| {
        let challenge = |nonce: &str, more: &str| {
            asked.answer("401 No", &format!("WWW-Authenticate: Digest realm=\"c\", nonce=\"{nonce}\"{more}\r\n"))
        };
        match asked.header("Authorization") {
            None => challenge("1", ""),
            Some(shown) if asked.method == "PLAY" && !shown.contains("nonce=\"2\"") => challenge("2", ", stale=true"),
            Some(shown) => {
                assert!(shown.contains(&format!("uri=\"{}\"", asked.url)), "{shown}");
                usual(asked, &key_frame(1, 1))
            }
        }
    });
    let mut run = Run::start(&format!("rtsp://oper:word@{}/s", camera.place)).await;
    run.ready().await;
    run.stop().await;
    let methods: Vec<String> = camera.asked().into_iter().map(|a| a.method).collect();
    assert_eq!(methods[..7], ["OPTIONS", "OPTIONS", "DESCRIBE", "SETUP", "SETUP", "PLAY", "PLAY"]);
    let no = Stub::start(|asked, _| asked.answer("401 No", "WWW-Authenticate: Digest realm=\"c\", nonce=\"1\"\r\n"));
    let failure = failure_of(&format!("rtsp://oper:word@{}/s", no.place)).await;
    assert_eq!(failure, Failure::new(FailureKind::Unauthorized, "camera refused the password (401)"));
    assert_eq!(no.asked().iter().filter(|a| a.text.contains("Authorization")).count(), 1);
    let failure = failure_of(&format!("rtsp://{}/s", no.place)).await;
    assert_eq!(failure, Failure::new(FailureKind::Unauthorized, "camera wants a user name and a password (401)"));
}

#[tokio::test]
async fn a_password_that_holds_no_longer_is_shown_once_more() {
    let camera = Stub::start(|asked, _| {
        let challenge = |nonce: u8| {
            asked
                .answer("401 No", &format!("WWW-Authenticate: Digest realm=\"c\", qop=\"auth\", nonce=\"{nonce}\"\r\n"))
        };
        match asked.header("Authorization") {
            None => challenge(1),
            // The nonce has run out, once; later the password is another one.
            Some(shown) if asked.method == "GET_PARAMETER" => match shown.contains("nonce=\"2\"") {
                true if shown.contains("nc=00000003") => challenge(3),
                // It has heard us.
                true => asked.answer("451 No", ""),
                false if shown.contains("nonce=\"1\"") => challenge(2),
                false => challenge(4),
            },
            Some(_) => usual(asked, &key_frame(1, 1)),
        }
    });
    let mut run = Run::start(&format!("rtsp://oper:word@{}/s", camera.place)).await;
    run.ready().await;
    let alive = |asked: &[Asked]| asked.iter().filter(|a| a.method == "GET_PARAMETER").count();
    camera.until("the last sign of life", |asked| alive(asked) == 5).await;
    // Meanwhile another camera has three.
    let other = Stub::start(|asked, _| usual(asked, &key_frame(1, 1)));
    let mut beside = Run::start(&format!("rtsp://{}/s", other.place)).await;
    other.until("three signs of life", |asked| alive(asked) == 3).await;
    run.stop().await;
    beside.stop().await;
    assert_eq!(alive(&camera.asked()), 5, "{:#?}", camera.asked());
    assert!(camera.asked().iter().all(|a| a.method != "TEARDOWN"), "the password once more");
}

#[tokio::test]
async fn a_camera_that_wants_a_password_for_parameters_alone_is_kept_alive_nevertheless() {
    let camera = Stub::start(|asked, _| match asked.method.as_str() {
        "GET_PARAMETER" => asked.answer("401 No", "WWW-Authenticate: Basic realm=\"c\"\r\n"),
        _ => usual(asked, &key_frame(1, 1)),
    });
    let mut run = Run::start(&format!("rtsp://{}/s", camera.place)).await;
    run.ready().await;
    let alive = |asked: &[Asked]| asked.iter().filter(|a| a.method == "GET_PARAMETER").count() == 3;
    camera.until("three signs of life", alive).await;
    run.stop().await;
}

#[tokio::test]
async fn a_nonce_that_is_always_stale_ends_the_signs_of_life() {
    let camera = Stub::start(|asked, _| match asked.method.as_str() {
        "GET_PARAMETER" => asked.answer("401 No", "WWW-Authenticate: Digest realm=\"c\", nonce=\"1\", stale=TRUE\r\n"),
        _ => usual(asked, &key_frame(1, 1)),
    });
    let mut run = Run::start(&format!("rtsp://oper:word@{}/s", camera.place)).await;
    run.ready().await;
    let shown = |asked: &[Asked]| asked.iter().filter(|a| a.text.contains("Authorization")).count();
    camera.until("two attempts", |asked| shown(asked) == 2).await;
    let other = Stub::start(|asked, _| usual(asked, &key_frame(1, 1)));
    let mut beside = Run::start(&format!("rtsp://{}/s", other.place)).await;
    other.until("signs of life", |asked| asked.iter().filter(|a| a.method == "GET_PARAMETER").count() == 3).await;
    assert_eq!(shown(&camera.asked()), 2, "{:#?}", camera.asked());
    run.stop().await;
    beside.stop().await;
}

#[tokio::test]
async fn a_password_that_is_good_for_describing_alone_is_not_shown_on_and_on() {
    let camera = Stub::start(|asked, _| {
        let challenge = |nonce: &str| {
            asked.answer("401 No", &format!("WWW-Authenticate: Digest realm=\"c\", nonce=\"{nonce}\"\r\n"))
        };
        match asked.header("Authorization") {
            None => challenge("1"),
            Some(_) if asked.method == "PLAY" => challenge("2"),
            Some(_) => usual(asked, b""),
        }
    });
    let failure = failure_of(&format!("rtsp://oper:word@{}/s", camera.place)).await;
    assert_eq!(failure, Failure::new(FailureKind::Unauthorized, "camera refused the password (401)"));
    let methods: Vec<String> = camera.asked().into_iter().map(|a| a.method).collect();
    // Twice, since it may have been the nonce; no TEARDOWN, and not again without sound.
    assert_eq!(methods, ["OPTIONS", "OPTIONS", "DESCRIBE", "SETUP", "SETUP", "PLAY", "PLAY"]);
}
