use super::super::hikvision_xml::ResponseStatus;
use super::*;
use crate::config::PtzDriver;
use crate::redact::Secret;

/// As real cameras write (DS-2DF8425IX-AELW V5.8.0).
const STATUS: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<PTZStatus version=\"2.0\" \
    xmlns=\"http://www.hikvision.com/ver20/XMLSchema\">\n<AbsoluteHigh>\n<elevation>182</elevation>\n\
    <azimuth>3202</azimuth>\n<absoluteZoom>172</absoluteZoom>\n</AbsoluteHigh>\n</PTZStatus>\n";

fn camera(change: impl FnOnce(&mut PtzTarget)) -> Hikvision {
    let mut target = PtzTarget {
        driver: PtzDriver::Hikvision,
        tls: false,
        host: "127.0.0.1".into(),
        port: 1,
        path: String::new(),
        user: "u".into(),
        password: Secret::from("hush"),
        channel: 1,
        profile: String::new(),
        invert_pan: false,
        invert_tilt: false,
        invert_elevation: false,
        move_timeout: Duration::from_secs(2),
        allow_special_presets: false,
        fingerprint: None,
    };
    change(&mut target);
    Hikvision::new(&target).unwrap()
}

fn at(pan: f64, tilt: f64, zoom: f64) -> Position {
    Position { pan: Some(pan), tilt: Some(tilt), zoom: Some(zoom) }
}

#[test]
fn where_it_looks() {
    let status: PtzStatus = xml::read(STATUS, &["PTZStatus"]).unwrap();
    let high = status.high.unwrap();
    assert_eq!(camera(|_| {}).place(&high), Some(at(320.2, 18.2, 17.2)));
    assert_eq!(camera(|t| t.invert_elevation = true).place(&high), Some(at(320.2, -18.2, 17.2)));
    assert_eq!(camera(|t| t.invert_tilt = true).place(&high).unwrap().tilt, Some(-18.2));
    let both = camera(|t| (t.invert_tilt, t.invert_elevation) = (true, true));
    assert_eq!(both.place(&high).unwrap().tilt, Some(18.2));
    assert!((camera(|t| t.invert_pan = true).place(&high).unwrap().pan.unwrap() - 39.8).abs() < 1e-9);
    assert_eq!(camera(|_| {}).place(&High::default()), None);
}

#[test]
fn what_it_can_do() {
    let text = "<PTZChanelCap version=\"2.0\" xmlns=\"http://www.isapi.org/ver20/XMLSchema\"><AbsolutePanTiltPositionSpace>\
        <XRange><Min>0</Min><Max>3600</Max></XRange><YRange><Min>-200</Min><Max>900</Max></YRange>\
        </AbsolutePanTiltPositionSpace><AbsoluteZoomPositionSpace><ZRange><Min>10</Min><Max>250</Max></ZRange>\
        </AbsoluteZoomPositionSpace><ContinuousPanTiltSpace><XRange><Min>-100</Min><Max>100</Max></XRange><YRange>\
        <Min>-100</Min><Max>100</Max></YRange></ContinuousPanTiltSpace><ContinuousZoomSpace><ZRange><Min>-100</Min>\
        <Max>100</Max></ZRange></ContinuousZoomSpace><homePostionSupport>true</homePostionSupport>\
        <maxPresetNum>300</maxPresetNum><maxPatrolNum>0</maxPatrolNum></PTZChanelCap>";
    let cap: ChannelCap = xml::read(text, &["PTZChanelCap"]).unwrap();
    let mut hik = camera(|_| {});
    let c = hik.learn(&cap);
    assert!(c.pan && c.tilt && c.zoom && c.absolute && c.relative && c.presets && c.home && !c.patrols && c.box_zoom);
    assert!(hik.no_relative && !hik.no_box, "relative is emulated, the box is tried");
    assert_eq!((hik.lens.pan, hik.lens.tilt, hik.lens.zoom), ((0.0, 360.0), (-20.0, 90.0), (1.0, 25.0)));
    let mut down = camera(|t| t.invert_elevation = true);
    down.learn(&cap);
    assert_eq!(down.lens.tilt, (-90.0, 20.0));
}

#[test]
fn presets_that_are_functions_are_kept_back() {
    let hik = camera(|_| {});
    for id in ["33", "94", "105"] {
        let Err(No::Fault(Fault::Unsupported(text))) = hik.preset_id(id) else { panic!("{id}") };
        assert!(text.contains("allowSpecialPresets"), "{text}");
    }
    for id in ["0", "301", "x", "-1", "1.5", ""] {
        assert!(matches!(hik.preset_id(id), Err(No::Fault(Fault::NotFound(_)))), "{id}");
    }
    assert!(matches!((hik.preset_id("32"), hik.preset_id("106")), (Ok(32), Ok(106))));
    assert!(matches!(camera(|t| t.allow_special_presets = true).preset_id("94"), Ok(94)));
}

#[test]
fn refusals_are_told_in_the_cameras_words() {
    use super::super::isapi::refusal;
    let status = |code: u32, words: &str, sub: &str| -> ResponseStatus {
        let text = format!(
            "<ResponseStatus version=\"2.0\" xmlns=\"http://www.std-cgi.com/ver20/XMLSchema\"><requestURL>/x</requestURL>\
             <statusCode>{code}</statusCode><statusString>{words}</statusString><subStatusCode>{sub}</subStatusCode>\
             </ResponseStatus>"
        );
        xml::read(&text, &["ResponseStatus"]).unwrap()
    };
    let no = refusal(403, Some(status(4, "Invalid Operation", "notSupport")));
    assert!(no.absent());
    assert_eq!(Fault::from(no), Fault::Rejected("the camera refuses: notSupport (Invalid Operation), HTTP 403".into()));
    let no = refusal(503, Some(status(2, "Device Busy", "deviceBusy")));
    assert!(!no.absent() && Fault::from(no).reason().contains("busy"));
    assert!(refusal(404, None).absent());
    assert!(!refusal(500, None).absent());
}

#[test]
fn numbers_on_the_wire() {
    let speeds = [(0.0, 0), (0.001, 1), (-0.001, -1), (0.354, 35), (1.0, 100), (-1.0, -100)];
    assert!(speeds.iter().all(|(speed, want)| percent(*speed) == *want));
    let frame = Frame { x: 0.25, y: 0.25, width: 0.5, height: 0.25, out: false };
    assert_eq!(corners(frame), [(64, 191), (191, 128)]);
    assert_eq!(corners(Frame { out: true, ..frame }), [(191, 191), (64, 128)]);
    assert_eq!(grid(0.0, 1.0), (0, 0), "from the lower left");
}
