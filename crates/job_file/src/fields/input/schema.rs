//! What is wrong with a JSON Schema, and where.
//!
//! **Invariant**: a schema is complete in itself. No reference to another document is followed, neither to a file nor over the network.

use std::collections::BTreeMap;

use serde_json::{Value, value::RawValue};

/// All mistakes of a schema: the place, as a JSON pointer, and what is wrong there.
pub(super) fn mistakes(schema: &Value) -> Vec<(String, String)> {
    if !schema.is_object() {
        return vec![(String::new(), "a JSON Schema must be a JSON object, such as {\"type\": \"object\"}".to_owned())];
    }
    let mut found = Vec::new();
    references(schema, "", &mut found);
    if !found.is_empty() {
        return found;
    }
    let why = |error: &jsonschema::ValidationError<'_>| {
        let pointer = error.instance_path().to_string();
        let place = if pointer.is_empty() { String::new() } else { format!(" at {pointer}") };
        (pointer, format!("not a valid JSON Schema{place}: {error}"))
    };
    match jsonschema::meta::validator_for(schema) {
        Ok(meta) => {
            let mut errors: Vec<_> = meta.iter_errors(schema).map(|error| why(&error)).collect();
            errors.dedup_by(|one, other| one.0 == other.0);
            if !errors.is_empty() {
                return errors;
            }
        }
        Err(error) => return vec![why(&error)],
    }
    // Regular expressions and references are checked only here.
    jsonschema::validator_for(schema).err().iter().map(why).collect()
}

/// Finds references to other documents.
fn references(value: &Value, pointer: &str, found: &mut Vec<(String, String)>) {
    /// Values that are data, not schemas.
    const DATA: [&str; 4] = ["const", "default", "enum", "examples"];
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                let place = format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"));
                let reference = matches!(name.as_str(), "$ref" | "$dynamicRef" | "$recursiveRef");
                match member {
                    Value::String(target) if reference && !target.starts_with('#') => {
                        let why = format!(
                            "`{target}` refers to another document; copy it into this one under `$defs`, and refer to it with \
                             \"#/$defs/NAME\""
                        );
                        found.push((place, why));
                    }
                    _ if DATA.contains(&name.as_str()) => {}
                    _ => references(member, &place, found),
                }
            }
        }
        Value::Array(members) => {
            for (index, member) in members.iter().enumerate() {
                references(member, &format!("{pointer}/{index}"), found);
            }
        }
        _ => {}
    }
}

/// Where the value of a JSON pointer begins in a JSON text, or else the innermost value around it.
pub(super) fn offset(text: &str, pointer: &str) -> usize {
    let mut value = text.trim_start();
    for part in pointer.split('/').skip(1) {
        let name = part.replace("~1", "/").replace("~0", "~");
        let Some(inner) = member(value, &name) else { break };
        value = inner;
    }
    // Every value is a part of the text itself.
    (value.as_ptr() as usize).saturating_sub(text.as_ptr() as usize)
}

/// A member of a JSON object or array.
fn member<'a>(json: &'a str, name: &str) -> Option<&'a str> {
    if json.starts_with('[') {
        let all: Vec<&RawValue> = serde_json::from_str(json).ok()?;
        return all.get(name.parse::<usize>().ok()?).map(|value| value.get());
    }
    let all: BTreeMap<String, &RawValue> = serde_json::from_str(json).ok()?;
    all.get(name).map(|value| value.get())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_schema_that_refers_to_itself_is_valid() {
        let schema = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "properties": { "order": { "$ref": "#/$defs/order" }, "$ref": { "type": "string" } },
            "$defs": { "order": { "type": "string", "pattern": "^[A-Z]+$", "examples": [{ "$ref": "https://example.com" }] } },
        });
        assert_eq!(mistakes(&schema), []);
        assert_eq!(mistakes(&json!({ "$schema": "http://json-schema.org/draft-07/schema#", "type": "array" })), []);
    }

    #[test]
    fn a_mistake_in_a_schema_is_told_with_its_place() {
        for (schema, pointer, what) in [
            (json!(true), "", "must be a JSON object"),
            (json!({ "properties": { "a/b": { "type": "strin" } } }), "/properties/a~1b/type", "strin"),
            (json!({ "properties": { "a": { "minLength": "1" } } }), "/properties/a/minLength", "\"1\""),
            (json!({ "items": [{ "$ref": "other.json" }] }), "/items/0/$ref", "refers to another document"),
            (json!({ "allOf": [{ "$ref": "https://example.com/x" }] }), "/allOf/0/$ref", "refers to another document"),
            (json!({ "$ref": "#/$defs/absent" }), "", "absent"),
            (json!({ "properties": { "a": { "pattern": "(" } } }), "/properties/a/pattern", "("),
            (json!({ "$schema": "https://example.com/dialect" }), "", "example.com/dialect"),
        ] {
            let found = mistakes(&schema);
            assert_eq!(found.len(), 1, "{schema}: {found:?}");
            assert_eq!(found[0].0, pointer, "{schema}: {found:?}");
            assert!(found[0].1.contains(what), "{schema}: {found:?}");
        }
    }

    #[test]
    fn a_pointer_leads_to_a_place_in_the_text() {
        let text = " {\n  \"a/b\": [1, {\"c\": null}],\n  \"d~\": 2 }";
        let at = |pointer| &text[offset(text, pointer)..];
        assert!(at("").starts_with("{\n"));
        assert!(at("/a~1b").starts_with("[1, "));
        assert!(at("/a~1b/1/c").starts_with("null}"));
        assert!(at("/a~1b/1/absent").starts_with("{\"c\""));
        assert!(at("/d~0").starts_with("2 }"));
    }
}
