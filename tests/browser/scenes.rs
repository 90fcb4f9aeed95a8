//! Drawn scenes in place of cameras, for pictures that people see.

use std::path::Path;

const SCENES: [(&str, &str); 4] = [
    (
        "gate",
        r##"<rect width="1280" height="720" fill="url(#dusk)"/><circle cx="1010" cy="150" r="46" fill="#ffe9b8"/>
<path d="M0 430 L220 330 L430 410 L700 300 L960 400 L1280 320 V720 H0Z" fill="#2c3d4e"/>
<rect y="470" width="1280" height="250" fill="#4d5457"/><path d="M500 470 L780 470 L1010 720 L270 720Z" fill="#6a6f70"/>
<path d="M640 480 V520 M640 560 V620 M640 660 V720" stroke="#d9d3bd" stroke-width="9"/>
<rect x="330" y="330" width="46" height="190" fill="#7f6a57"/><rect x="904" y="330" width="46" height="190" fill="#7f6a57"/>
<rect x="322" y="314" width="62" height="20" fill="#96806b"/><rect x="896" y="314" width="62" height="20" fill="#96806b"/>
<g stroke="#1d2429" stroke-width="7" fill="none"><path d="M376 372 Q640 330 904 372 M376 505 H904"/>
<path d="M410 366 V505 M450 362 V505 M490 358 V505 M530 356 V505 M570 354 V505 M610 352 V505 M650 352 V505 M690 352 V505 M730 354 V505 M770 356 V505 M810 360 V505 M850 364 V505"/></g>
<circle cx="353" cy="296" r="17" fill="#ffe39a"/><circle cx="927" cy="296" r="17" fill="#ffe39a"/>"##,
    ),
    (
        "yard/north",
        r##"<rect width="1280" height="720" fill="#6d7477"/><rect width="1280" height="190" fill="#4f6b4a"/>
<g stroke="#e6e4da" stroke-width="8"><path d="M90 240 L40 520 M290 240 L260 520 M490 240 L480 520 M690 240 L700 520 M890 240 L920 520 M1090 240 L1140 520"/></g>
<g><rect x="305" y="270" width="160" height="215" rx="34" fill="#a5352d"/><rect x="327" y="318" width="116" height="48" rx="12" fill="#27323a"/><rect x="327" y="425" width="116" height="34" rx="10" fill="#27323a"/></g>
<g><rect x="918" y="270" width="165" height="215" rx="34" fill="#d8dadb"/><rect x="940" y="318" width="120" height="48" rx="12" fill="#27323a"/><rect x="940" y="425" width="120" height="34" rx="10" fill="#27323a"/></g>
<g fill="#3c5a38"><circle cx="150" cy="110" r="78"/><circle cx="245" cy="70" r="62"/><circle cx="1130" cy="90" r="84"/></g>
<path d="M0 600 H1280" stroke="#e6e4da" stroke-width="10" stroke-dasharray="70 50"/><ellipse cx="640" cy="650" rx="34" ry="14" fill="#4a5053"/><circle cx="652" cy="628" r="17" fill="#2f4a7c"/>"##,
    ),
    (
        "hall",
        r##"<rect width="1280" height="720" fill="#cfd3d2"/><path d="M0 0 L430 250 H850 L1280 0Z" fill="#aeb5b7"/><path d="M0 720 L430 450 H850 L1280 720Z" fill="#8d8a84"/>
<rect x="430" y="250" width="420" height="200" fill="#e1e4e3"/><rect x="575" y="310" width="130" height="140" fill="#5f7c8c"/>
<g fill="#c7803c"><path d="M60 150 L330 255 V300 L60 240Z M60 330 L330 345 V385 L60 420Z M60 510 L330 430 V470 L60 600Z"/></g>
<g fill="#b06f31"><path d="M1220 150 L950 255 V300 L1220 240Z M1220 330 L950 345 V385 L1220 420Z M1220 510 L950 430 V470 L1220 600Z"/></g>
<g fill="#3f4a50"><path d="M52 60 H76 V690 H52Z M324 220 H338 V520 H324Z M1204 60 H1228 V690 H1204Z M942 220 H956 V520 H942Z"/></g>
<g fill="#fffdf0"><path d="M560 40 H720 L700 74 H580Z M585 120 H695 L682 142 H598Z M600 180 H680 L672 194 H608Z"/></g>
<g><rect x="600" y="500" width="120" height="86" fill="#e0b53d"/><rect x="618" y="440" width="70" height="64" fill="#2f3639"/><circle cx="624" cy="594" r="19" fill="#22282b"/><circle cx="696" cy="594" r="19" fill="#22282b"/><path d="M720 582 H780" stroke="#22282b" stroke-width="10"/></g>"##,
    ),
    (
        "roof",
        r##"<rect width="1280" height="720" fill="url(#day)"/><path d="M0 520 H90 V400 H190 V470 H270 V340 H380 V500 H470 V420 H560 V520 H650 V370 H700 V300 H790 V370 H830 V500 H930 V430 H1040 V510 H1130 V390 H1220 V480 H1280 V720 H0Z" fill="#7d93a6"/>
<path d="M0 600 L1280 540 V720 H0Z" fill="#59626a"/><path d="M0 612 L1280 552" stroke="#434b52" stroke-width="14"/>
<g fill="#868f96"><rect x="180" y="490" width="170" height="110"/><rect x="840" y="470" width="120" height="100"/></g>
<g stroke="#4c555c" stroke-width="9" fill="none"><circle cx="265" cy="545" r="38"/><path d="M227 545 H303 M265 507 V583"/></g>
<path d="M1090 560 V250 M1050 300 H1130 M1062 340 H1118" stroke="#39424a" stroke-width="10"/>
<g fill="#fff" opacity=".75"><ellipse cx="300" cy="140" rx="150" ry="34"/><ellipse cx="390" cy="118" rx="100" ry="34"/><ellipse cx="930" cy="190" rx="170" ry="30"/></g>"##,
    ),
];

const DEFS: &str = r##"<defs><linearGradient id="dusk" x1="0" y1="0" x2="0" y2="1"><stop offset="0" stop-color="#1c2f52"/><stop offset=".6" stop-color="#c9825b"/></linearGradient>
<linearGradient id="day" x1="0" y1="0" x2="0" y2="1"><stop offset="0" stop-color="#5e9bd0"/><stop offset="1" stop-color="#dfeaf2"/></linearGradient></defs>"##;

/// Draws them into `directory`; gives the names of the paths and their sources.
pub fn sources(directory: &Path) -> Vec<(&'static str, String)> {
    let draw = |(name, scene): (&'static str, &str)| {
        let file = directory.join(format!("{}.svg", name.replace('/', "-")));
        let svg = format!(r#"<svg xmlns="http://www.w3.org/2000/svg" width="1280" height="720">{DEFS}{scene}</svg>"#);
        std::fs::write(&file, svg).unwrap();
        let line = format!(
            "gst: filesrc location={} ! rsvgdec ! imagefreeze is-live=true ! videoconvert ! \
             video/x-raw,format=I420,framerate=10/1 ! clockoverlay time-format=\"%Y-%m-%d %H:%M:%S\" halignment=left font-desc=\"Sans 14\" ! \
             x264enc tune=zerolatency speed-preset=superfast bitrate=2500 key-int-max=20",
            file.display()
        );
        (name, line)
    };
    SCENES.map(draw).into()
}
