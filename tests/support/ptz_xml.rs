//! XML for the PTZ doubles: reading requests (roxmltree: well-formed or not,
//! real namespaces), writing answers in the encodings that cameras use, and
//! documents that should do no harm.

use roxmltree::{Document, Node};

/// How a camera writes its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Encoding {
    #[default]
    Utf8,
    /// UTF-8 with a byte order mark.
    Utf8Bom,
    /// UTF-16 with a byte order mark, little endian.
    Utf16Le,
    Utf16Be,
    Gb2312,
    Latin1,
}

impl Encoding {
    /// As the XML declaration names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Utf8 | Self::Utf8Bom => "UTF-8",
            Self::Utf16Le | Self::Utf16Be => "UTF-16",
            Self::Gb2312 => "GB2312",
            Self::Latin1 => "ISO-8859-1",
        }
    }

    /// A document with its declaration, as bytes.
    pub fn encode(self, xml: &str) -> Vec<u8> {
        let text = format!("<?xml version=\"1.0\" encoding=\"{}\"?>\n{xml}", self.name());
        match self {
            Self::Utf8 => text.into_bytes(),
            Self::Utf8Bom => [&[0xef, 0xbb, 0xbf], text.as_bytes()].concat(),
            Self::Utf16Le => ['\u{feff}'.into(), text].concat().encode_utf16().flat_map(u16::to_le_bytes).collect(),
            Self::Utf16Be => ['\u{feff}'.into(), text].concat().encode_utf16().flat_map(u16::to_be_bytes).collect(),
            Self::Gb2312 => encoding_rs::GBK.encode(&text).0.into_owned(),
            Self::Latin1 => text.chars().map(|c| u8::try_from(c).unwrap_or(b'?')).collect(),
        }
    }
}

/// Text for an element or attribute.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// The first descendant with this local name.
pub fn find<'a, 'i>(node: Node<'a, 'i>, name: &str) -> Option<Node<'a, 'i>> {
    node.descendants().find(|n| n.is_element() && n.tag_name().name() == name)
}

/// The text of the first descendant with this local name, trimmed.
pub fn text<'a>(node: Node<'a, '_>, name: &str) -> Option<&'a str> {
    find(node, name).map(|n| n.text().unwrap_or("").trim())
}

/// The number in the first descendant with this local name; the error is the name.
pub fn number(node: Node, name: &str) -> Result<Option<f64>, String> {
    match text(node, name) {
        None => Ok(None),
        Some(text) => text.parse().map(Some).map_err(|_| name.to_string()),
    }
}

/// A request's body, or what is wrong with it.
pub fn parse(body: &[u8]) -> Result<Document<'_>, String> {
    let text = std::str::from_utf8(body).map_err(|e| e.to_string())?;
    Document::parse(text).map_err(|e| e.to_string())
}

/// Bombs: documents that a careful reader refuses, each with a name.
pub fn bombs() -> Vec<(&'static str, Vec<u8>)> {
    let entities: String =
        (1..20).map(|i| format!("<!ENTITY l{i} \"{}\">", format!("&l{};", i - 1).repeat(10))).collect();
    let bomb = format!("<?xml version=\"1.0\"?><!DOCTYPE x [<!ENTITY l0 \"lol\">{entities}]><x>&l19;</x>");
    let file = "<?xml version=\"1.0\"?><!DOCTYPE x [<!ENTITY f SYSTEM \"file:///etc/passwd\">]>\
                <PTZStatus><AbsoluteHigh><elevation>&f;</elevation><azimuth>0</azimuth>\
                <absoluteZoom>10</absoluteZoom></AbsoluteHigh></PTZStatus>";
    let remote = file.replace("file:///etc/passwd", "http://127.0.0.1:9/x.dtd");
    vec![
        ("entities", bomb.into_bytes()),
        ("a file", file.into()),
        ("a remote entity", remote.into_bytes()),
        ("deep", ["<a>".repeat(100_000), "</a>".repeat(100_000)].concat().into_bytes()),
        ("huge", format!("<PTZStatus><x>{}</x></PTZStatus>", "y".repeat(3 << 20)).into_bytes()),
        ("many attributes", {
            let all: String = (0..200_000).map(|i| format!(" a{i}=\"\"")).collect();
            format!("<PTZStatus{all}/>").into_bytes()
        }),
        ("truncated", b"<?xml version=\"1.0\"?><PTZStatus><AbsoluteHigh><elevation>1".to_vec()),
        ("no XML", b"<html><body>It works!<br></body>".to_vec()),
        ("zeros", vec![0; 1000]),
        ("nothing", Vec::new()),
    ]
}
