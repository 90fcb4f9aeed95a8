use proptest::prelude::*;

use super::*;

#[derive(Debug, PartialEq, Deserialize)]
struct Outer {
    #[serde(default, deserialize_with = "number")]
    a: Option<f64>,
    #[serde(default, deserialize_with = "flag")]
    b: Option<bool>,
    #[serde(default, rename = "Item")]
    items: Vec<Inner>,
}

#[derive(Debug, PartialEq, Deserialize)]
struct Inner {
    #[serde(rename = "@token", default)]
    token: String,
    #[serde(default)]
    name: String,
}

fn outer(text: &str) -> Result<Outer, String> {
    read(text, &["Outer"])
}

#[test]
fn namespaces_prefixes_and_order_do_not_matter() {
    let want = Outer {
        a: Some(-18.5),
        b: Some(true),
        items: ["x", "y"].map(|t| Inner { token: t.into(), name: "A&B <é".into() }).into(),
    };
    let name = "<n:name>A&amp;B &lt;&#233;</n:name>";
    for ns in ["http://www.hikvision.com/ver20/XMLSchema", "http://www.isapi.org/ver20/XMLSchema", "urn:x"] {
        let text = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<n:Outer xmlns:n=\"{ns}\" version=\"2.0\"><n:Item token=\"x\">{name}\
             </n:Item><!-- c --><n:other><n:a>7</n:a></n:other>\n<n:a> -18.5 </n:a><n:Item token=\"y\">{name}</n:Item>\
             <n:b>true</n:b></n:Outer>"
        );
        assert_eq!(outer(&text).unwrap(), want, "{ns}");
    }
    assert_eq!(outer("<Outer><a>many</a><b/></Outer>").unwrap(), Outer { a: None, b: Some(false), items: vec![] });
    assert_eq!(outer("<Outer/>").unwrap().a, None);
}

#[test]
fn what_is_out_of_bounds_is_refused() {
    let deep = |n: usize| format!("<Outer>{}{}</Outer>", "<x>".repeat(n), "</x>".repeat(n));
    assert!(outer(&deep(31)).is_ok());
    assert!(outer(&deep(32)).unwrap_err().contains("deep"));
    let laughs = "<!DOCTYPE l [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;\">]><Outer><a>&b;</a></Outer>";
    assert!(outer(laughs).unwrap_err().contains("document type"));
    assert!(outer("<!DOCTYPE x SYSTEM \"file:///etc/passwd\"><Outer/>").unwrap_err().contains("document type"));
    assert!(outer("<Outer><Item><name>&b;</name></Item></Outer>").is_err(), "an unknown entity");
    assert!(outer(&format!("<Outer>{}</Outer>", " ".repeat(2 * MAX_BYTES))).unwrap_err().contains("long"));
    for text in ["", " ", "<Outer>", "<Outer></Inner>", "Outer", "<Outer", "{}", "\u{0}", "<Outer/><Outer></Outer>"] {
        assert!(outer(text).is_err(), "{text:?}");
    }
    assert!(outer("<html><body>404</body></html>").unwrap_err().contains("<html>"));
}

#[test]
fn other_encodings() {
    let text = |encoding: &str| format!("<?xml version=\"1.0\" encoding=\"{encoding}\"?><r>前门 é</r>");
    let gb = encoding_rs::GB18030.encode(&text("GB2312")).0.into_owned();
    assert_eq!(decode(&gb, None), text("GB2312"));
    assert_eq!(decode(&gb, Some("application/xml; charset=\"gb2312\"")), text("GB2312"));
    let latin = encoding_rs::WINDOWS_1252.encode("<?xml version='1.0' encoding='ISO-8859-1'?><r>é</r>").0.into_owned();
    assert!(decode(&latin, None).contains('é'));
    let wide = |big: bool, mark: bool, text: &str| -> Vec<u8> {
        let mark = mark.then_some(0xfeff);
        let units = mark.into_iter().chain(text.encode_utf16());
        units.flat_map(|u| if big { u.to_be_bytes() } else { u.to_le_bytes() }).collect()
    };
    for (big, mark) in [(true, true), (false, true), (true, false), (false, false)] {
        assert_eq!(decode(&wide(big, mark, &text("UTF-16")), None), text("UTF-16"), "{big} {mark}");
    }
    // Declared wrong.
    assert_eq!(decode(text("UTF-16").as_bytes(), None), text("UTF-16"));
    assert_eq!(decode("\u{feff}<r/>".as_bytes(), None), "<r/>");
    assert_eq!(decode(b"<r>\xff</r>", Some("text/xml; charset=none")), "<r>\u{fffd}</r>");
}

proptest! {
    #[test]
    fn never_panics(text in "[<>/a-zA-Z&;!\\[\\]\"' =?:0-9#x-]{0,120}", bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = outer(&text);
        let _ = outer(&decode(&bytes, None));
        let _ = outer(&decode(&bytes, Some(&text)));
    }

    #[test]
    fn a_truncated_document_is_an_error(cut in 1usize..70, name in "\\PC{0,20}") {
        let text = format!("<Outer><Item token=\"x\"><name>{}</name></Item><a>1</a></Outer>", escape(&name));
        let mut end = text.len().saturating_sub(cut);
        while !text.is_char_boundary(end) { end -= 1; }
        prop_assert!(outer(&text[..end]).is_err());
    }

    #[test]
    fn what_is_escaped_comes_back(name in "[^\\x00-\\x1f]{0,30}") {
        let text = format!("<Outer><Item><name>{}</name></Item></Outer>", escape(&name));
        let read = outer(&text).unwrap();
        prop_assert_eq!(read.items[0].name.trim(), name.trim());
    }
}
