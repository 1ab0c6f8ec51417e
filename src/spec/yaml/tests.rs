//! Places, anchors, bounds: what the reader promises.

use super::*;
use crate::spec::{Document, Environment};
use serde_json::json;

fn parse(yaml: &str) -> Result<Document, Problems> {
    Document::parse("a.yaml", yaml, "", &Environment::default())
}

/// The place and message of the first problem.
fn problem(yaml: &str) -> String {
    let problems = match parse(yaml) {
        Ok(document) => document.problems().clone(),
        Err(problems) => problems,
    };
    let place = problems.0[0].place.as_ref().expect("a place").start();
    format!("{}:{} {}", place.line, place.column, problems.0[0].message)
}

#[test]
fn every_value_and_key_has_its_place() {
    let yaml = "é: [1, {b: 'x'}]\nblock:\n  - key: |\n      text\n  - ~\n";
    let document = parse(yaml).unwrap();
    for (pointer, value, key) in [
        ("/é", "1:4", "1:1"),
        ("/é/0", "1:5", "1:5"),
        ("/é/1/b", "1:12", "1:9"),
        ("/block", "2:1", "2:1"),
        ("/block/0/key", "4:7", "3:5"),
        ("/block/1", "5:5", "5:5"),
        ("/block/7", "2:1", "2:1"),
        ("/nothing/here", "1:1", "1:1"),
    ] {
        let shown = |place: Option<Place>| {
            let start = place.unwrap().start();
            format!("{}:{}", start.line, start.column)
        };
        assert_eq!(shown(document.place(pointer)), value, "value of {pointer}");
        assert_eq!(shown(document.key_place(pointer)), key, "key of {pointer}");
    }
}

#[test]
fn anchors_and_merges_are_resolved_and_keep_their_places() {
    let document = parse(
        "x-a: &a { one: 1, two: 2 }\nx-b: &b { two: 3, three: 3 }\n\
         c: { <<: *a, one: 9 }\nd: { <<: [*a, *b] }\ne: *a\n\"<<\": plain\n",
    )
    .unwrap();
    assert_eq!(document.value("/c"), json!({ "one": 9, "two": 2 }));
    assert_eq!(document.value("/d"), json!({ "one": 1, "two": 2, "three": 3 }));
    assert_eq!(document.value("/e"), json!({ "one": 1, "two": 2 }));
    assert_eq!(document.place("/d/three").unwrap().display(), "a.yaml:2:26");
}

#[test]
fn what_is_no_spec_is_told_at_its_place() {
    for (yaml, expected) in [
        ("a: 1\nb: 2\na: 3\n", "3:1 duplicate key `a`"),
        ("a: { b: 1, 'b': 2 }\n", "1:12 duplicate key `b`"),
        ("a: 1\n---\nb: 2\n", "2:1 a second document in one file"),
        ("a: *b\n", "1:4 no anchor for `*b`"),
        ("a: &b [1, *b]\n", "1:11 `*b` stands inside the value it repeats"),
        ("a: &b 1\nc: { <<: *b }\n", "2:6 `<<` brings in a mapping, not a single value"),
        ("[a]: 1\n", "1:1 a key has to be a plain name"),
        ("a: !wrong 1\n", "1:11 unknown tag `!wrong`"),
        ("- a\n", "1:1 a spec is a mapping, with keys such as `sources` and `sinks`"),
        ("", "1:1 `a.yaml` is empty"),
        ("# nothing\n", "1:1 `a.yaml` is empty"),
    ] {
        assert_eq!(problem(yaml), expected, "{yaml}");
    }
}

#[test]
fn tags_of_the_core_schema_are_understood() {
    let document = parse("a: !!str 1\nb: !!int '2'\nc: !!map {}\n").unwrap();
    assert_eq!(document.value(""), json!({ "a": "1", "b": 2, "c": {} }));
}

#[test]
fn absurd_depth_is_refused_however_it_is_written() {
    let aliases = (1..100).fold(String::new(), |text, level| {
        text + format!("x{level}: &x{level} [[[[[[[[*x{}]]]]]]]]\n", level - 1).as_str()
    });
    for yaml in [
        "[".repeat(20_000),
        format!("a: {}", "{a: ".repeat(20_000)),
        "- ".repeat(20_000),
        "? ".repeat(20_000),
        format!("x0: &x0 1\n{aliases}"),
    ] {
        assert!(problem(&yaml).contains("deep"), "{}", problem(&yaml));
    }
    let deep = format!("a: {}{}", "[".repeat(60), "]".repeat(60));
    assert!(parse(&deep).unwrap().problems().is_empty());
}

#[test]
fn an_alias_bomb_does_not_go_off() {
    let levels = (1..30).fold(String::new(), |text, level| {
        text + format!("x{level}: &x{level} [*x{0}, *x{0}, *x{0}]\n", level - 1).as_str()
    });
    let problem = problem(&format!("x0: &x0 [1, 2]\n{levels}"));
    assert!(problem.contains("more than 50000 values"), "{problem}");
}

#[test]
fn bytes_that_are_no_text_are_told_at_their_place() {
    let problems =
        Document::parse("a.yaml", b"a: 1\nb: \xffx".to_vec(), "", &Environment::default())
            .err()
            .unwrap();
    assert_eq!(problems.0[0].place.as_ref().unwrap().display(), "a.yaml:2:4");
    assert_eq!(problems.0[0].message, "not UTF-8");
}
