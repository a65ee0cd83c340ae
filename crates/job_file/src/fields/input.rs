//! `input`: the JSON Schema of a job's input, in a file of its own.

mod schema;

use std::path::Path;

use serde_json::Value;

use crate::{
    Mistake,
    checker::{Checker, Table},
};

/// Largest schema, in bytes. It is part of the catalog, which the API has in memory.
const BYTES: usize = 64 * 1024;

/// The schema, if it is one. Mistakes in it are told with the place in its own file.
pub(super) fn input<'i>(table: &mut Table<'i>, checker: &mut Checker<'i>) -> Option<Value> {
    let given = checker.text(table.take("input")?, "input")?;
    let (name, place) = (given.get_ref(), given.span());
    if name.trim().is_empty() || Path::new(name).is_absolute() {
        let why = format!(
            "input is \"{name}\"; name a JSON Schema relative to this file, for example \"schemas/order.json\""
        );
        checker.mistake(&place, why);
        return None;
    }
    let path = checker.path(name);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) if text.len() > BYTES => {
            checker.mistake(&place, format!("`{name}` has {} bytes; a schema has at most {BYTES}", text.len()));
            return None;
        }
        Ok(text) => text,
        Err(why) => {
            checker.mistake(&place, format!("cannot read the JSON Schema `{name}`: {why}"));
            return None;
        }
    };
    let file = path.to_string_lossy();
    let schema: Value = match serde_json::from_str(&text) {
        Ok(schema) => schema,
        Err(why) => {
            let what = why.to_string();
            let what = what.split(" at line ").next().unwrap_or_default();
            let (line, column) = (why.line().max(1), why.column().max(1));
            checker.mistakes.push(Mistake { file: file.into_owned(), line, column, what: format!("not JSON: {what}") });
            return None;
        }
    };
    let mistakes = schema::mistakes(&schema);
    for (pointer, what) in &mistakes {
        let at = schema::offset(&text, pointer);
        checker.mistakes.push(Mistake::at(&file, &text, &(at..at), what.clone()));
    }
    mistakes.is_empty().then_some(schema)
}
