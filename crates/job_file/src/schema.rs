//! The JSON Schema of the file, for editors: they complete fields and values, show what they mean, and mark mistakes.
//!
//! The schema says less than [`crate::read`] checks. What depends on two fields, on other files or on IAM is checked only there.

mod own;
mod shared;

use domain::limits;
use serde_json::{Map, Value, json};

/// The schema.
#[must_use]
pub fn schema() -> Value {
    let mut job = own::all();
    job.extend(shared::all());
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "longhaul.toml",
        "description": "The jobs of a Longhaul installation.",
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "defaults": {
                "description": "Defaults for all jobs. Variables and secrets are merged by name.",
                "type": "object",
                "additionalProperties": false,
                "properties": shared::all(),
            },
            "jobs": {
                "description": "The jobs, by name. A name has 1 to 64 letters, digits, `-` and `_`.",
                "type": "object",
                "additionalProperties": false,
                "patternProperties": {
                    format!("^[A-Za-z0-9_-]{{1,{}}}$", limits::JOB_NAME_CHARS): {
                        "type": "object",
                        "additionalProperties": false,
                        "required": ["command"],
                        "properties": job,
                    },
                },
            },
        },
    })
}

/// Fields, by name.
type Fields = Map<String, Value>;

/// Fields of these names, with their schemas.
fn fields<const N: usize>(all: [(&str, Value); N]) -> Fields {
    all.into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect()
}

/// A table of environment variables, whose values have this schema.
fn variables(description: &str, value: &Value) -> Value {
    json!({
        "description": description,
        "type": "object",
        "propertyNames": { "pattern": "^[A-Za-z_][A-Za-z0-9_]*$" },
        "additionalProperties": value,
    })
}

#[cfg(test)]
mod tests;
