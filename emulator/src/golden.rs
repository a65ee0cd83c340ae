//! Shared by the snapshots of responses: replaces values that differ between runs with placeholders such as `<seconds>`.

use serde_json::Value;

/// A response in which times and generated ids are replaced. The form of a time stays visible: `<seconds>` is a float, `<milliseconds>`
/// an integer, and `<date>` a string.
pub(crate) fn fixed(mut response: Value) -> Value {
    replace(&mut response);
    response
}

fn replace(value: &mut Value) {
    match value {
        Value::Object(members) => members.values_mut().for_each(replace),
        Value::Array(items) => items.iter_mut().for_each(replace),
        Value::Number(number) => {
            if number.as_i64().is_some_and(|number| number > 1_000_000_000_000) {
                *value = "<milliseconds>".into();
            } else if number.is_f64() && number.as_f64().is_some_and(|number| number > 1_000_000_000.0) {
                *value = "<seconds>".into();
            }
        }
        Value::String(text) => *text = without_ids(text),
        Value::Null | Value::Bool(_) => {}
    }
}

/// Replaces dates, tokens (base64 of JSON), UUIDs, and everything else that consists of at least 32 hexadecimal digits.
fn without_ids(text: &str) -> String {
    if text.starts_with("eyJ") {
        return "<token>".to_owned();
    }
    if text.parse::<jiff::Timestamp>().is_ok() || jiff::Timestamp::strptime("%Y-%m-%dT%H:%M:%S%.f%z", text).is_ok() {
        return "<date>".to_owned();
    }
    let is_part = |c: char| c.is_ascii_hexdigit() || c == '-';
    let mut fixed = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let run = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        let (part, after) = rest.split_at(run.max(first.len_utf8()));
        match part.bytes().filter(u8::is_ascii_hexdigit).count() {
            32.. => fixed.push_str("<id>"),
            _ => fixed.push_str(part),
        }
        rest = after;
    }
    fixed
}

#[test]
fn times_and_ids_are_replaced_and_nothing_else() {
    let response = serde_json::json!({
        "at": 1_764_281_566.5, "ms": 1_764_281_566_500_i64, "n": 3, "f": 0.5,
        "date": "2026-11-27T22:00:00Z", "modified": "2026-11-27T22:00:00.000+0000",
        "arn": "arn:aws:ecs:us-east-1:000000000000:task/jobs/019d8f0c6e8c7f1da0c4f2b1d2e3f4a5",
        "uuid": "00000000-0000-4000-8000-000000000000", "token": "eyJhcm4iOiJhIn0=",
    });
    let wanted = serde_json::json!({
        "at": "<seconds>", "ms": "<milliseconds>", "n": 3, "f": 0.5, "date": "<date>", "modified": "<date>",
        "arn": "arn:aws:ecs:us-east-1:000000000000:task/jobs/<id>", "uuid": "<id>",
        "token": "<token>",
    });
    assert_eq!(fixed(response), wanted);
}
