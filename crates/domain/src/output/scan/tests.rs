//! What counts as a result, what hides an earlier one, and random documents between random text.

use proptest::{collection::vec, prelude::*};
use serde_json::Value;

use super::*;

fn found_in(text: &[u8], chunk: usize) -> Output {
    let mut scanner = Scanner::default();
    text.chunks(chunk).for_each(|bytes| scanner.see(bytes));
    scanner.finish()
}

fn found(text: &str) -> Output {
    let at_once = found_in(text.as_bytes(), text.len().max(1));
    assert_eq!(found_in(text.as_bytes(), 1), at_once, "{text:?}: byte by byte");
    at_once
}

fn json(text: &str) -> Output {
    Output::Json(Json::parse(text).unwrap())
}

#[test]
fn the_last_object_or_array_is_the_result() {
    for (text, result) in [
        ("start\n{\"n\": 1}\n{\"n\": 2}\nend\n", "{\"n\": 2}"),
        ("  {\"n\": 2}\r\nend of it", "{\"n\": 2}"),
        ("[1, 2]", "[1, 2]"),
        (
            "{\n  \"ids\": [\n    \"i-1\",\n    \"i-2\"\n  ],\n  \"count\": 2\n}\n",
            "{\n  \"ids\": [\n    \"i-1\",\n    \"i-2\"\n  ],\n  \"count\": 2\n}",
        ),
        ("[\n{\"a\":1},\n{\"a\":2}\n]\n", "[\n{\"a\":1},\n{\"a\":2}\n]"),
        (" 50 %\r100 %\r{\"n\": 1}\n", "{\"n\": 1}"),
        ("\u{feff}{\"n\": 1}\n", "{\"n\": 1}"),
        ("\n\n{\"n\": 1}\n", "{\"n\": 1}"),
        ("\u{1b}[\n{\"n\": 1}\n", "{\"n\": 1}"),
        ("{'a': 1}\nTraceback it's\n{\"n\": 1}\n", "{\"n\": 1}"),
        ("{\"cut off\": \"in the mid\n{\"n\": 1}\n", "{\"n\": 1}"),
        ("{}", "{}"),
    ] {
        assert_eq!(found(text), json(result), "{text:?}");
    }
}

#[test]
fn text_and_scalars_do_not_hide_an_earlier_document() {
    for text in [
        "100",
        "\"done\"",
        "true",
        "null",
        "-1.5",
        "[INFO] done",
        "[3/7] building",
        "[ 12%] linking",
        "[12:30:01] up",
        "[2026-11-27 05:00:00,123] up",
        "[12345] up",
        "[*] up",
        "[####  ] 40 %",
        "[ OK ]",
        "[main] up",
        "[nope]",
        "\u{1b}[32m[INFO]\u{1b}[0m up",
        "\u{1b}[1mbold\u{1b}[0m",
        "a {\"n\": 2} in text",
        "[] none",
        "<a>",
        "} else {",
        "ü",
    ] {
        assert_eq!(found(&format!("{{\"n\": 1}}\n{text}\n")), json("{\"n\": 1}"), "{text:?}");
        assert_eq!(found(&format!("{text}\n")), Output::Text, "{text:?} alone");
    }
    assert_eq!((found(""), found(" \n\n")), (Output::None, Output::None));
}

#[test]
fn invalid_json_hides_earlier_documents() {
    for text in [
        "{\"a\": NaN}",
        "[1, Infinity]",
        "[NaN]",
        "[-Infinity]",
        "[None, 1]",
        "[nan, 1.0]",
        "{'a': 1}",
        "['a']",
        "{ a: 1 }",
        "{\"a\": True}",
        "{\"a\": 1",
        "{\"a\": \"cut",
        "{\"a\":",
        "[",
        "[1, 2",
        "[1, 2,]",
        "{\"a\": 1,}",
        "\u{1b}[32m{\"a\": 1}\u{1b}[0m",
        "{\"a\": 1}\u{1b}[0m",
        "\0{\"a\": 1}",
        "{\"a\": 1}\0",
        "[1]\u{1b}[0m",
        "[1]\0",
        "[[nope]]",
        "{\"a\" [1]",
        "{\"a\": -\n[1]",
        "]}",
        "},",
        "{\"a\": 01}",
        "{\"a\": 1} {\"b\": 2}",
        "{\"a\": 1} done",
        "{\"a\": 1}}",
        "{\"a\": \"\\x\"}",
        "{\"a\"=>1}",
        "{\"a\": 1},",
        "\u{1b}[1;39m{\n  \u{1b}[0m\u{1b}[34;1m\"a\"\u{1b}[0m: [1]\n}\u{1b}[0m",
        "{\n  \"a\": NaN,\n  \"items\": [\n    {\"x\": 1},\n    {\"x\": 2}\n  ]\n}",
        "{\n  \"a\": NaN,\n  \"items\": [\n    {\"x\": 1},\n    {\"x\": 2}",
        "{\n  \"a\": NaN,\n  \"b\": \"}\",\n{\"c\": 1}",
        "{\"a\": NaN, \"b\": \"\\\"}\",\n{\"c\": 1}",
        "[[NaN,\n{\"b\": 1}",
        "{\n  \"items\": [\n    {\"x\": 1},\n    {\"x\": 2}\n",
        "result: {\n  \"items\": [\n    {\"x\": 1},\n    {\"x\": 2}\n  ]\n}",
    ] {
        for behind in ["", "\n", "\ndone\n", "\n42\n"] {
            let text = format!("{{\"n\": 1}}\n{text}{behind}");
            assert_eq!(found(&text), Output::Broken, "{text:?}");
        }
    }
    assert_eq!(found_in(b"{\"n\": 1}\n{\"a\": \"\xff\"}\n", 3), Output::Broken);
}

#[test]
fn a_document_after_broken_json_is_the_result() {
    for text in [
        "{'a': '}', 'b': \"it's\"}",
        "{\"a\": 1} done",
        "[NaN, 1]",
        "{\"a\": \"cut",
        "{\"a\": 1,",
        "{ a: it's }",
        "{\n  \"a\": NaN\n}",
        "{\n  \"a\": NaN,\n  \"b\": \"\\\"}{[\",\n  \"c\": [{}]\n}",
    ] {
        assert_eq!(found(&format!("{text}\n{{\"n\": 1}}\n")), json("{\"n\": 1}"), "{text:?}");
    }
}

#[test]
fn a_too_large_or_too_deep_document_hides_earlier_ones() {
    let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    assert_eq!(found(&nested(limits::RESULT_DEPTH)), json(&nested(limits::RESULT_DEPTH)));
    for levels in [limits::RESULT_DEPTH + 1, 1_200, 90_000] {
        assert_eq!(found(&format!("[1]\n{}\nbye", nested(levels))), Output::TooDeep(levels));
    }
    let array = |bytes: usize| format!("[\"{}\"]", "x".repeat(bytes - 4));
    assert_eq!(found(&array(limits::RESULT_BYTES)), json(&array(limits::RESULT_BYTES)));
    let large = format!("[1]\n{}\nbye", array(limits::RESULT_BYTES + 1));
    assert_eq!(found(&large), Output::TooLarge(limits::RESULT_BYTES + 1));
    assert_eq!(found(&nested(MAX_TRACKED_DEPTH + 1)), Output::Broken);
    let invalid = format!("[\"\\u12\", \"{}\"]", "x".repeat(limits::RESULT_BYTES));
    assert_eq!(found(&invalid), Output::Broken, "invalid JSON of any size");
}

#[test]
fn the_scanner_uses_bounded_memory() {
    for endless in ["[", "{\"a\":", "[\"", "x", "[1,", "{a{"] {
        let mut scanner = Scanner::default();
        for _ in 0..=MAX_TRACKED_DEPTH / 1_024 {
            scanner.see(endless.repeat(1_024).as_bytes());
        }
        let document = &scanner.document;
        assert!(document.text.capacity() <= 2 * limits::RESULT_BYTES, "{endless}");
        assert!(
            document.stack.capacity() <= 2 * MAX_TRACKED_DEPTH && document.word.len() <= 2 * WORD_BYTES,
            "{endless}"
        );
    }
}

/// A log may begin inside a document, and CloudWatch has replaced bytes that are not UTF-8.
#[test]
fn a_truncated_log_gives_no_partial_document() {
    let seen = |cut, text: &str| {
        let mut scanner = Scanner::for_log(cut);
        scanner.see(text.as_bytes());
        scanner.finish()
    };
    assert_eq!(seen(true, "    {\"x\": 1},\n    {\"x\": 2}\n"), Output::OutOfReach);
    assert_eq!(seen(true, "    {\"x\": 2}\n  ]\n}\n"), Output::OutOfReach);
    assert_eq!(seen(true, "{\"x\": 2}\n]\n"), Output::Broken);
    assert_eq!(seen(true, "    {\"x\": 2}\n  ]\n}\n{\"n\": 1}\n"), json("{\"n\": 1}"));
    assert_eq!(seen(true, "bye\n  {\"n\": 1}\n"), json("{\"n\": 1}"));
    assert_eq!(seen(true, "bye\n"), Output::OutOfReach);
    assert_eq!(seen(false, "bye\n"), Output::Text);
    assert_eq!(seen(false, "[1]\n[\"\u{fffd}\"]\n"), Output::Broken);
    assert_eq!(found("[\"\u{fffd}\"]\n"), json("[\"\u{fffd}\"]"), "that is what the job printed");
}

fn value() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_filter("JSON has no others", |number| number.is_finite()).prop_map(Value::from),
        "\\PC*".prop_map(Value::from),
        "[\\[\\]{}\",:'\\\\\n\r\u{1b} a1]*".prop_map(Value::from),
    ];
    scalar.prop_recursive(6, 40, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::from),
            vec(("\\PC{0,6}", inner), 0..6).prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

fn document() -> impl Strategy<Value = Value> {
    value().prop_filter("a result is an object or an array", |value| value.is_object() || value.is_array())
}

/// The text of a value as programs print it: compact, in the style of Python's `json.dumps`, or indented with spaces or tabs.
fn printed(value: &Value, style: usize) -> String {
    let indented = |indent: &[u8]| {
        let mut out = Vec::new();
        let formatter = serde_json::ser::PrettyFormatter::with_indent(indent);
        let mut serializer = serde_json::Serializer::with_formatter(&mut out, formatter);
        serde::Serialize::serialize(value, &mut serializer).unwrap();
        String::from_utf8(out).unwrap()
    };
    match style {
        0 => value.to_string(),
        1 => indented(b"  "),
        2 => indented(b"    "),
        3 => indented(b"\t"),
        _ => indented(b""),
    }
}

fn lines<'a>(lines: impl Iterator<Item = &'a String>) -> String {
    lines.flat_map(|line| [line, "\n"]).collect()
}

fn noise() -> impl Strategy<Value = Vec<String>> {
    let line = prop_oneof![
        "[a-zA-Z ]{0,20}",
        "\\PC{0,30}",
        "[\\[\\]{}\",:'\\\\a1 \u{1b}\r]{0,12}",
        Just("[INFO] working".to_owned()),
        Just("42".to_owned()),
        Just("\u{1b}[32m50 %\u{1b}[0m".to_owned()),
        Just("{\"level\": NaN}".to_owned()),
    ];
    vec(line, 0..6)
}

proptest! {
    /// If the text before a document looks like the start of another document, neither is taken.
    #[test]
    fn a_document_is_found_whole_or_not_at_all(
        before in noise(), value in document(), after in noise(), style in 0..5_usize, chunk in 1..40_usize,
    ) {
        let text = printed(&value, style);
        let all = lines(before.iter().chain([&text]).chain(&after));
        match found_in(all.as_bytes(), chunk) {
            Output::Json(json) if json.text() == text => {}
            // A line of the text may be a document itself.
            Output::Json(json) => {
                let one = before.iter().chain(&after).any(|line| line.contains(json.text()));
                let several = before.join("\n").contains(json.text()) || after.join("\n").contains(json.text());
                prop_assert!(one || several || json.text().contains(&text), "{:?} of {:?}", json.text(), all);
            }
            Output::Broken | Output::Text | Output::TooDeep(_) => {}
            other => prop_assert!(false, "{other:?} of {all:?}"),
        }
    }

    #[test]
    fn a_document_between_plain_text_is_found_whole(
        before in vec("[a-zA-Z][a-zA-Z .:]{0,30}", 0..4), value in document(),
        after in vec("[a-zA-Z][a-zA-Z .:]{0,30}", 0..4), style in 0..5_usize, chunk in 1..40_usize,
    ) {
        let text = printed(&value, style);
        let all = lines(before.iter().chain([&text]).chain(&after));
        prop_assert_eq!(found_in(all.as_bytes(), chunk), json(&text));
    }

    /// Neither a document that is cut off at any point nor a part of it is taken.
    #[test]
    fn a_truncated_document_is_not_a_result(value in document(), style in 0..5_usize, cut in any::<prop::sample::Index>()) {
        let text = printed(&value, style);
        let mut end = cut.index(text.len());
        while !text.is_char_boundary(end) { end -= 1; }
        let seen = found_in(&text.as_bytes()[..end], 7);
        prop_assert!(matches!(seen, Output::None | Output::Broken), "{seen:?} of {:?}", &text[..end]);
    }

    /// The last lines of a log may lack the beginning of a document.
    #[test]
    fn the_end_of_a_document_is_not_a_result(value in document(), style in 0..5_usize, cut in any::<prop::sample::Index>()) {
        let text = printed(&value, style);
        let lines: Vec<_> = text.split('\n').collect();
        let from = cut.index(lines.len());
        prop_assume!(from > 0);
        let mut scanner = Scanner::for_log(true);
        lines[from..].iter().for_each(|line| scanner.see(format!("{line}\n").as_bytes()));
        let seen = scanner.finish();
        prop_assert!(!matches!(seen, Output::Json(_)), "{seen:?} of {:?}", &lines[from..]);
    }

    #[test]
    fn arbitrary_bytes_give_valid_json_or_no_result(bytes in vec(any::<u8>(), 0..200), chunk in 1..20_usize) {
        let at_once = found_in(&bytes, 1_000);
        prop_assert_eq!(&found_in(&bytes, chunk), &at_once);
        if let Output::Json(json) = at_once {
            let begins = json.text().starts_with(['{', '[']);
            prop_assert!(begins, "{json:?}");
        }
    }
}
