//! What real clients posted, posted to the real binary.

use super::kit::{ask, line, patch, place, post};
use gstreamer_sdp::SDPMessage;
use str0m::change::SdpAnswer;

macro_rules! captured {
    ($($name:literal => $status:literal),* $(,)?) => {
        [$(($name, include_str!(concat!("../fixtures/offers/", $name, ".post.sdp")), $status)),*]
    };
}

#[tokio::test]
async fn captured_offers_get_what_is_right() {
    let place = place();
    let base = place.gateway.url();
    for (name, offer, status) in captured![
        "chromium-whep" => 201,
        "chromium-whep-trickle" => 201,
        "gstreamer-whepsrc" => 201,
        "mediamtx-reader-js" => 201,
        "mediamtx-whep-source" => 201,
        "whip-whep-client" => 201,
        // They publish: nothing can be sent to them.
        "chromium-whip" => 400,
        "chromium-whip-simulcast" => 400,
        "whip-whep-publisher" => 400,
        // sendrecv, but with a codec that was chosen beforehand: to be played it need only fit.
        "mediamtx-whip-forward" => 201,
    ] {
        let reply = post(base, "cam-offers", offer).await;
        assert_eq!(reply.status, status, "{name}: {reply:?}");
        if status != 201 {
            reply.error();
            continue;
        }
        let answer = SDPMessage::parse_buffer(reply.body.as_bytes()).unwrap();
        SdpAnswer::from_sdp_string(&reply.body).unwrap_or_else(|e| panic!("{name}: {e}\n{}", reply.body));
        let asked = SDPMessage::parse_buffer(offer.as_bytes()).unwrap();
        let pairs: Vec<_> = asked.medias().zip(answer.medias()).collect();
        assert_eq!((pairs.len() as u32, pairs.len() as u32), (asked.medias_len(), answer.medias_len()), "{name}");
        let mut accepted = 0;
        for (theirs, ours) in pairs {
            assert_eq!(theirs.media(), ours.media(), "{name}");
            assert_eq!(theirs.attribute_val("mid"), ours.attribute_val("mid"), "{name}");
            let formats: Vec<_> = theirs.formats().collect();
            assert!(ours.formats().all(|f| formats.contains(&f)), "{name}\n{}", reply.body);
            assert!(ours.media() != Some("application") || ours.port() == 0, "{name}");
            if ours.port() != 0 {
                accepted += 1;
                assert!(ours.attribute_val("ssrc").is_some(), "{name}\n{}", reply.body);
            }
        }
        assert!(accepted > 0, "{name}\n{}", reply.body);
        assert!(reply.body.contains("H264/90000"), "{name}: no picture\n{}", reply.body);
        let url = format!("{base}{}", reply.header("location"));
        if name == "mediamtx-reader-js" {
            let trickled = include_str!("../fixtures/offers/mediamtx-reader-js.patch.sdp");
            assert_eq!(line(trickled, "a=ice-ufrag:"), line(offer, "a=ice-ufrag:"));
            // It sends no credentials here, a star, and wants exactly 204.
            assert_eq!(patch(&url, Some("*"), trickled).await.status, 204);
        }
        assert_eq!(ask("DELETE", &url, &[], "").await.status, 200, "{name}");
    }
}

#[tokio::test]
async fn an_offer_of_which_nothing_fits_is_422_that_names_both_sides() {
    let place = place();
    let offer = include_str!("../fixtures/offers/chromium-whep.post.sdp");
    let other = offer.replace("H264/90000", "VP8/90000").replace("opus/48000/2", "L16/48000/2");
    let reply = post(place.gateway.url(), "cam-offers", &other).await;
    assert_eq!(reply.status, 422, "{reply:?}");
    let text = reply.error();
    assert!(text.contains("H264") || text.contains("H.264"), "{text}");
}
