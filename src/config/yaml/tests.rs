use super::*;
use proptest::prelude::*;

fn ok(text: &str) -> Node {
    let parsed = parse(text);
    assert!(parsed.problems.is_empty(), "{text}: {:?}", parsed.problems);
    parsed.root
}

fn bad(text: &str) -> (u32, String) {
    let parsed = parse(text);
    let first = parsed.problems.first().unwrap_or_else(|| panic!("accepted {text:?}"));
    (first.line.unwrap_or(0), first.message.clone())
}

fn get<'a>(node: &'a Node, path: &str) -> &'a Node {
    path.split('.').fold(node, |node, part| match &node.value {
        Value::Map(map) => &map[part].node,
        Value::List(items) => &items[part.parse::<usize>().unwrap()],
        _ => panic!("nothing below {part}"),
    })
}

fn text<'a>(node: &'a Node, path: &str) -> &'a str {
    match &get(node, path).value {
        Value::Scalar(text) => text,
        other => panic!("{path}: {other:?}"),
    }
}

#[test]
fn values_keep_their_text_and_line() {
    let root = ok("a: 0123\nb:\n  - 1e5\n  - \"x: y\"\n  # comment\n  - yes\nc: {d: 'e', f: }\n");
    assert_eq!(text(&root, "a"), "0123");
    assert_eq!(text(&root, "b.0"), "1e5");
    assert_eq!(text(&root, "b.1"), "x: y");
    assert_eq!(get(&root, "b.2").at, At::Line(6));
    assert_eq!(text(&root, "c.d"), "e");
    assert_eq!(get(&root, "c.f").value, Value::Null);
    let Value::Map(map) = &root.value else { panic!() };
    assert_eq!(map["c"].at, At::Line(7));
}

#[test]
fn nothing_is_null() {
    for text in ["", "# only a comment\n", "---\n", "~", "null", "\u{feff}"] {
        assert_eq!(ok(text).value, Value::Null, "{text:?}");
    }
    assert_eq!(ok("''").value, Value::Scalar("".into()));
    assert_eq!(ok("!!str null").value, Value::Scalar("null".into()));
}

#[test]
fn anchors_and_merges() {
    let root = ok("x: &d {a: 1, b: 2}\ny:\n  <<: *d\n  b: 3\nz: *d\nw:\n  <<: [*d, {c: 4}]\n\"<<\": 5\n");
    assert_eq!(text(&root, "y.a"), "1");
    assert_eq!(text(&root, "y.b"), "3");
    assert_eq!(text(&root, "z.b"), "2");
    assert_eq!(text(&root, "w.c"), "4");
    assert_eq!(text(&root, "<<"), "5");
    assert!(bad("a: &a [*a]").1.contains("alias"));
    assert!(bad("a: *unknown").0 == 1);
    assert!(bad("a: &x 1\nb:\n  <<: *x\n").1.contains("mapping"));
}

#[test]
fn what_is_refused() {
    assert_eq!(bad("a: 1\nb: 2\na: 3\n"), (3, "the key \"a\" occurs twice, first on line 1".to_owned()));
    assert_eq!(parse("a: 1\na: 2\nb: 1\nb: 2\n").problems.len(), 2);
    assert!(bad("a: 1\n---\nb: 2\n").1.contains("second"));
    assert!(bad("a: !secret x").1.contains("tags"));
    assert!(bad("? [a, b]\n: c").1.contains("key"));
    assert!(bad("a: [1, 2").1.contains("not valid YAML"));
    assert!(bad("a:\n\t- b").1.contains("not valid YAML"));
    assert!(bad(&"[".repeat(40)).1.contains("nested"));
    assert!(bad(&"- ".repeat(40)).1.contains("nested"));
    assert!(bad(&"[".repeat(100_000)).1.contains("limit"));
    assert!(bad("a: rtsp://u:p@h: x: y").1.contains("not valid YAML"));
}

#[test]
fn a_billion_laughs_are_refused() {
    let mut laughs = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for i in 1..20 {
        let refs = vec![format!("*a{}", i - 1); 10].join(", ");
        laughs.push_str(&format!("a{i}: &a{i} [{refs}]\n"));
    }
    assert!(bad(&laughs).1.contains("more than"));
}

#[test]
fn large_nonsense_ends_soon() {
    // Anything quadratic would hang the suite here.
    for piece in [
        "[", "{", "- ", "? ", "&a ", "\"", "'", ": ", "a: ", "| ", "#", "!", "*a ", "\n", " ", "{a: ", "a:\n ", "%",
        "---\n", "- - ", "a,", "[a,", "\\", "é",
    ] {
        let large = piece.repeat(400_000 / piece.len());
        let _ = parse(&large);
        let _ = parse(&format!("a: [{large}"));
        let _ = parse(&format!("a: \"{large}"));
    }
}

/// Whether a tree says the same as another library's reading of the text.
fn agrees(node: &Node, other: &serde_yaml::Value) -> bool {
    use serde_yaml::Value as Other;
    match (&node.value, other) {
        (Value::Null, Other::Null) => true,
        (Value::Scalar(text), Other::String(s)) => **text == *s,
        (Value::Scalar(_), Other::Bool(_) | Other::Number(_)) => true,
        (Value::List(a), Other::Sequence(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| agrees(a, b)),
        (Value::Map(a), Other::Mapping(b)) => {
            a.len() == b.len() && a.iter().all(|(k, entry)| b.get(k.as_str()).is_some_and(|v| agrees(&entry.node, v)))
        }
        _ => false,
    }
}

proptest! {
    #![proptest_config(crate::fuzz::cases(3000))]

    #[test]
    fn random_text_neither_panics_nor_hangs(s in any::<String>()) {
        let _ = parse(&s);
    }

    #[test]
    fn random_yaml_like_text(s in "([ \\n]|  |- |\\[|\\]|\\{|\\}|[a-c]|: |:|&x |\\*x|<<: |\"|'|#|\\||>|!|%|,|\\?|---\\n|\\t|é){0,60}") {
        let _ = parse(&s);
    }

    #[test]
    fn reads_what_another_library_reads(
        words in proptest::collection::vec("[a-zA-Z0-9 :/@%$._~-]{0,12}", 1..8),
        shape in 0usize..4,
    ) {
        let quoted: Vec<String> = words.iter().map(|w| format!("{w:?}")).collect();
        let yaml = match shape {
            0 => format!("[{}]", quoted.join(", ")),
            1 => quoted.iter().map(|w| format!("- {w}\n")).collect(),
            2 => quoted.iter().enumerate().map(|(i, w)| format!("k{i}: {w}\n")).collect(),
            _ => quoted.iter().enumerate().map(|(i, w)| format!("k{i}:\n  - a: {w}\n    b: [{w}]\n")).collect::<String>(),
        };
        let other: serde_yaml::Value = serde_yaml::from_str(&yaml).unwrap();
        prop_assert!(agrees(&ok(&yaml), &other), "{}", yaml);
    }
}
