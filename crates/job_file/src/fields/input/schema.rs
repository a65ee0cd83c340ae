//! What is wrong with a JSON Schema, and where.
//!
//! The API compiles the schema with the same library, so it has no other opinion.
//!
//! **Invariant**: a schema is complete in itself. No reference to another document is followed, neither to a file nor over the network.

use std::{collections::BTreeMap, error::Error};

use boon::{CompileError, Compiler, Schemas, UrlLoader, ValidationError};
use serde_json::{Value, value::RawValue};

/// The address of a schema, which is only a name.
const ADDRESS: &str = "job:///input";

/// All mistakes of a schema: the place, as a JSON pointer, and what is wrong there.
pub(super) fn mistakes(schema: &Value) -> BTreeMap<String, String> {
    if !schema.is_object() {
        let what = "a JSON Schema must be a JSON object, such as {\"type\": \"object\"}";
        return BTreeMap::from([(String::new(), what.to_owned())]);
    }
    let mut references = BTreeMap::new();
    collect_references(schema, "", &mut references);
    let outside = |(place, target): (&String, &String)| {
        let what = format!(
            "`{target}` refers to another document; copy it into this one under `$defs`, and refer to it with \"#/$defs/NAME\""
        );
        (!target.starts_with('#')).then(|| (place.clone(), what))
    };
    let outside: BTreeMap<_, _> = references.iter().filter_map(outside).collect();
    if !outside.is_empty() {
        return outside;
    }
    match not_usable(schema) {
        None => BTreeMap::new(),
        Some(CompileError::ValidationError { src, .. }) => {
            let mut found = BTreeMap::new();
            collect_violations(&src, &mut found);
            found
        }
        Some(why) => BTreeMap::from([place_of(&why, &references)]),
    }
}

/// Refuses to load what a schema refers to.
struct Nothing;

impl UrlLoader for Nothing {
    fn load(&self, _: &str) -> Result<Value, Box<dyn Error>> {
        Err("it is not a known version of JSON Schema".into())
    }
}

/// Why a schema cannot be used.
fn not_usable(schema: &Value) -> Option<CompileError> {
    let mut compiler = Compiler::new();
    compiler.use_loader(Box::new(Nothing));
    match compiler.add_resource(ADDRESS, schema.clone()) {
        Ok(()) => compiler.compile(ADDRESS, &mut Schemas::new()).err(),
        Err(why) => Some(why),
    }
}

/// The places where a schema is not what the language allows. Of several reasons at the same place, the first is enough.
fn collect_violations(error: &ValidationError<'_, '_>, found: &mut BTreeMap<String, String>) {
    for cause in &error.causes {
        collect_violations(cause, found);
    }
    if error.causes.is_empty() {
        let place = error.instance_location.to_string();
        let what = format!("not a valid JSON Schema at {place}: {}", one_line(&error.kind.to_string()));
        found.entry(place).or_insert(what);
    }
}

/// The place of a mistake that is found when regular expressions and references are read.
fn place_of(why: &CompileError, references: &BTreeMap<String, String>) -> (String, String) {
    let place = match why {
        CompileError::InvalidRegex { url, .. } => url.split_once('#').map(|(_, place)| place.to_owned()),
        CompileError::LoadUrlError { .. } | CompileError::UnsupportedDraft { .. } => Some("/$schema".to_owned()),
        CompileError::JsonPointerNotFound(target) | CompileError::AnchorNotFound { reference: target, .. } => {
            let to = |(_, reference): &(&String, &String)| target.ends_with(reference.as_str());
            references.iter().find(to).map(|(place, _)| place.clone())
        }
        _ => None,
    };
    let text = one_line(&format!("{why:#}")).replace(&format!("{ADDRESS}#"), "").replace(ADDRESS, "the schema");
    (place.unwrap_or_default(), format!("not a valid JSON Schema: {text}"))
}

/// A message about a regular expression, which shows the expression in lines of its own, as one line.
fn one_line(message: &str) -> String {
    let lines = message.lines().map(str::trim).filter(|line| line.chars().any(|c| c != '^'));
    lines.collect::<Vec<_>>().join(" ")
}

/// The references of a schema, by their places.
fn collect_references(value: &Value, pointer: &str, found: &mut BTreeMap<String, String>) {
    /// Values that are data, not schemas.
    const DATA: [&str; 4] = ["const", "default", "enum", "examples"];
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                let place = format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"));
                let reference = matches!(name.as_str(), "$ref" | "$dynamicRef" | "$recursiveRef");
                match member {
                    Value::String(target) if reference => {
                        found.insert(place, target.clone());
                    }
                    _ if DATA.contains(&name.as_str()) => {}
                    _ => collect_references(member, &place, found),
                }
            }
        }
        Value::Array(members) => {
            for (index, member) in members.iter().enumerate() {
                collect_references(member, &format!("{pointer}/{index}"), found);
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
        let draft_7 = json!({ "$schema": "http://json-schema.org/draft-07/schema#", "type": "array" });
        assert_eq!([schema, draft_7].map(|schema| mistakes(&schema)), [BTreeMap::new(), BTreeMap::new()]);
    }

    #[test]
    fn a_mistake_in_a_schema_is_told_with_its_place() {
        for (schema, pointer, what) in [
            (json!(true), "", "must be a JSON object"),
            (json!({ "properties": { "a/b": { "type": "strin" } } }), "/properties/a~1b/type", "value must be one of"),
            (
                json!({ "properties": { "a": { "minLength": "1" } } }),
                "/properties/a/minLength",
                "want integer, but got string",
            ),
            (json!({ "items": [{ "$ref": "other.json" }] }), "/items/0/$ref", "refers to another document"),
            (json!({ "allOf": [{ "$ref": "https://example.com/x" }] }), "/allOf/0/$ref", "refers to another document"),
            (json!({ "not": { "$ref": "#/$defs/absent" } }), "/not/$ref", "/$defs/absent not found"),
            (json!({ "$ref": "#absent" }), "/$ref", "absent is not found"),
            (json!({ "properties": { "a": { "pattern": "(" } } }), "/properties/a/pattern", "unclosed group"),
            (json!({ "pattern": "(?=a)" }), "/pattern", "look-around"),
            (json!({ "$schema": "https://example.com/dialect" }), "/$schema", "example.com/dialect"),
        ] {
            let found = mistakes(&schema);
            assert_eq!(found.keys().collect::<Vec<_>>(), [pointer], "{schema}: {found:?}");
            assert!(found[pointer].contains(what), "{schema}: {found:?}");
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
