//! Event patterns: which events a rule is for
//! (<https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html>).
//!
//! `quamina` does the matching. Its language is that of EventBridge's own Ruler; operators that only one of them has are refused here.

use std::fmt;

use quamina::Quamina;
use serde_json::{Map, Value};

use crate::wire::AwsError;

/// Operators with the same meaning in EventBridge and here.
const OPERATORS: [&str; 8] =
    ["prefix", "suffix", "equals-ignore-case", "wildcard", "anything-but", "numeric", "exists", "cidr"];

/// The patterns of all rules, which are matched together.
#[derive(Clone, Default)]
pub(super) struct Matcher(Quamina<String>);

impl fmt::Debug for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Matcher").field(&self.0.pattern_count()).finish()
    }
}

impl Matcher {
    /// Adds the pattern of a rule.
    ///
    /// # Errors
    ///
    /// `InvalidEventPatternException`.
    pub(super) fn add(&mut self, rule: &str, pattern: &str) -> Result<(), AwsError> {
        let parsed = serde_json::from_str(pattern).map_err(|_| invalid("Invalid JSON"))?;
        let Value::Object(fields) = &parsed else { return Err(invalid("Filter is not an object")) };
        check(fields)?;
        self.0.add_pattern(rule.to_owned(), &parsed.to_string()).map_err(|why| invalid(why.to_string()))
    }

    /// The rules that an event matches.
    pub(super) fn rules_for(&self, event: &str) -> Vec<String> {
        self.0.matches_for_event(event.as_bytes()).unwrap_or_else(|why| {
            tracing::error!(%why, "cannot match an event against the rules; it is dropped");
            Vec::new()
        })
    }
}

fn check(fields: &Map<String, Value>) -> Result<(), AwsError> {
    if fields.is_empty() {
        return Err(invalid("Empty objects are not allowed"));
    }
    fields.iter().try_for_each(|(name, value)| match value {
        Value::Object(fields) => check(fields),
        Value::Array(_) if name.starts_with('$') => Err(invalid(format!("the emulator does not support {name}"))),
        Value::Array(values) if values.is_empty() => Err(invalid("Empty arrays are not allowed")),
        Value::Array(values) => values.iter().try_for_each(check_value),
        _ => Err(invalid(format!("\"{name}\" must be an object or an array"))),
    })
}

fn check_value(value: &Value) -> Result<(), AwsError> {
    match value {
        Value::Array(_) => Err(invalid("Match value must be String, number, true, false, or null")),
        Value::Object(operator) => match operator.keys().collect::<Vec<_>>()[..] {
            [name] if OPERATORS.contains(&name.as_str()) => Ok(()),
            [name] => Err(invalid(format!("Unrecognized match type {name}"))),
            _ => Err(invalid("Only one key allowed in match expression")),
        },
        _ => Ok(()),
    }
}

fn invalid(reason: impl fmt::Display) -> AwsError {
    let message = format!("Event pattern is not valid. Reason: {reason}");
    AwsError::bad_request("InvalidEventPatternException", message)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn matches(pattern: &Value, event: &Value) -> bool {
        let mut matcher = Matcher::default();
        matcher.add("rule", &pattern.to_string()).unwrap();
        !matcher.rules_for(&event.to_string()).is_empty()
    }

    #[test]
    fn each_operator_means_what_its_documentation_says() {
        let event = json!({
            "source": "aws.lambda",
            "resources": ["arn:a", "arn:b"],
            "detail": { "status": "FAILED", "code": 300, "none": null, "yes": true, "empty": "", "said": "a \"b\" ü/\n",
                "containers": [{ "name": "job", "exitCode": 0 }, { "name": "side", "exitCode": 1 }] },
        });
        for (pattern, fits) in [
            (json!({ "source": ["aws.ecs", "aws.lambda"], "detail": { "status": ["FAILED"] } }), true),
            (json!({ "source": ["aws.lambda"], "detail": { "status": ["STOPPED"] } }), false),
            (json!({ "resources": ["arn:b"] }), true),
            (json!({ "detail": { "status": ["failed"] } }), false),
            (json!({ "detail": { "status": [{ "equals-ignore-case": "failed" }] } }), true),
            (json!({ "detail": { "status": [{ "prefix": "FAI" }] } }), true),
            (json!({ "detail": { "status": [{ "prefix": "AIL" }] } }), false),
            (json!({ "detail": { "status": [{ "suffix": "LED" }] } }), true),
            (json!({ "detail": { "status": [{ "wildcard": "F*E*" }] } }), true),
            (json!({ "detail": { "status": [{ "wildcard": "F*X" }] } }), false),
            (json!({ "detail": { "status": [{ "anything-but": "FAILED" }] } }), false),
            (json!({ "detail": { "status": [{ "anything-but": ["RUNNING", "STOPPED"] }] } }), true),
            (json!({ "detail": { "code": [{ "anything-but": [300] }] } }), false),
            (json!({ "detail": { "code": [300] } }), true),
            (json!({ "detail": { "code": ["300"] } }), false),
            (json!({ "detail": { "code": [{ "numeric": [">", 299, "<=", 300] }] } }), true),
            (json!({ "detail": { "code": [{ "numeric": ["<", 300] }] } }), false),
            (json!({ "detail": { "code": [{ "numeric": ["=", 300] }] } }), true),
            (json!({ "detail": { "status": [{ "exists": true }] } }), true),
            (json!({ "detail": { "stopCode": [{ "exists": false }] } }), true),
            (json!({ "detail": { "status": [{ "exists": false }] } }), false),
            (json!({ "detail": { "none": [null], "yes": [true], "empty": [""] } }), true),
            (json!({ "detail": { "said": ["a \"b\" ü/\n"] } }), true),
            (json!({ "detail": { "containers": { "name": ["side"], "exitCode": [1] } } }), true),
            (json!({ "detail": { "containers": { "name": ["job"], "exitCode": [1] } } }), false),
        ] {
            assert_eq!(matches(&pattern, &event), fits, "{pattern}");
        }
    }

    #[test]
    fn an_invalid_pattern_is_refused_with_eventbridges_message() {
        let refusal = |pattern: &str| Matcher::default().add("rule", pattern).unwrap_err();
        for (pattern, reason) in [
            ("{", "Invalid JSON"),
            ("[]", "Filter is not an object"),
            ("{}", "Empty objects are not allowed"),
            (r#"{"source":"aws.ecs"}"#, r#""source" must be an object or an array"#),
            (r#"{"source":[]}"#, "Empty arrays are not allowed"),
            (r#"{"source":[["a"]]}"#, "Match value must be String, number, true, false, or null"),
            (r#"{"source":[{"regexp":"a"}]}"#, "Unrecognized match type regexp"),
            (r#"{"source":[{"shellstyle":"a"}]}"#, "Unrecognized match type shellstyle"),
            (r#"{"source":[{"prefix":"a","suffix":"b"}]}"#, "Only one key allowed in match expression"),
            (r#"{"$or":[{"source":["a"]}]}"#, "the emulator does not support $or"),
        ] {
            let refused = refusal(pattern);
            let message = format!("Event pattern is not valid. Reason: {reason}");
            assert_eq!((refused.code, refused.message), ("InvalidEventPatternException", message), "{pattern}");
        }
        for wrong in [
            r#"{"a":[{"prefix":1}]}"#,
            r#"{"a":[{"numeric":[">"]}]}"#,
            r#"{"a":[{"exists":"yes"}]}"#,
            r#"{"a":[{"anything-but":{"prefix":"a"}}]}"#,
        ] {
            assert_eq!(refusal(wrong).code, "InvalidEventPatternException", "{wrong}");
        }
    }
}
