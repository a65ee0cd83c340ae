//! JSON text that is kept as it was written.

mod repeated;
mod value;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::Sha256;

use crate::limits;

/// One JSON value, kept as its text. It comes out unchanged, including big numbers and the order of keys.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Json(Box<RawValue>);

impl Json {
    /// Checks that `text` is one JSON value and keeps it, without the white space around it.
    ///
    /// # Errors
    ///
    /// [`NotJson`] if it is anything else.
    pub fn parse(text: &str) -> Result<Self, NotJson> {
        // RawValue's parser does not recurse, so a deep document cannot exhaust the stack.
        serde_json::from_str(text.trim()).map(Self).map_err(|_| NotJson)
    }

    /// The value `null`.
    #[must_use]
    pub fn null() -> Self {
        Self(RawValue::NULL.to_owned())
    }

    /// The text.
    #[must_use]
    pub fn text(&self) -> &str {
        self.0.get()
    }

    /// How deep arrays and objects are nested; 0 for a scalar.
    #[must_use]
    pub fn depth(&self) -> usize {
        let (mut depth, mut deepest) = (0_usize, 0);
        let (mut in_string, mut escaped) = (false, false);
        for byte in self.text().bytes() {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = !in_string,
                b'[' | b'{' if !in_string => {
                    depth += 1;
                    deepest = deepest.max(depth);
                }
                b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
        deepest
    }

    /// The places, as JSON Pointers (RFC 6901), of names that occur more than once in an object. Each place is named once. After `most`
    /// repeats, it does not look for more.
    #[must_use]
    pub fn repeated_names(&self, most: usize) -> Vec<String> {
        repeated::repeated(self.text(), most)
    }

    /// Whether both have the same value: the order of an object's keys, white space, escapes in strings and the notation of a number (`1`,
    /// `1.0`, `10e-1`) do not matter. Documents that are nested deeper than [`limits::INPUT_DEPTH`] are compared as text.
    #[must_use]
    pub fn same_value(&self, other: &Self) -> bool {
        self == other
            || (self.depth() <= limits::INPUT_DEPTH
                && other.depth() <= limits::INPUT_DEPTH
                && value::of(&self.0) == value::of(&other.0))
    }

    /// Adds the value to a hash: two texts with the same value add the same bytes. Documents that are nested deeper than
    /// [`limits::INPUT_DEPTH`] and one level more are hashed as text. Hashes are stored, so this never changes.
    pub(crate) fn hash_value(&self, hash: &mut Sha256) {
        if self.depth() <= limits::INPUT_DEPTH + 1 {
            value::of(&self.0).hash(hash);
        } else {
            value::Value::Literal(self.text().to_owned()).hash(hash);
        }
    }
}

impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text()
    }
}

impl Eq for Json {}

/// The text is not one JSON value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a JSON value")]
pub struct NotJson;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_keeps_its_text() {
        let text = r#"{"b": 12345678901234567890123, "a":1.10 }"#;
        assert_eq!(Json::parse(text).unwrap().text(), text);
    }

    #[test]
    fn depth_counts_brackets_outside_strings() {
        for (text, depth) in [
            ("1", 0),
            ("[]", 1),
            ("[[],[]]", 2),
            (r#"{"a":[{}]}"#, 3),
            (r#""[[\"[[""#, 0),
            (r#"["\\",[]]"#, 2),
            (r#"["]}",[]]"#, 2),
        ] {
            assert_eq!(Json::parse(text).unwrap().depth(), depth, "{text}");
        }
    }

    #[test]
    fn very_deep_json_does_not_exhaust_the_stack() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(Json::parse(&deep).unwrap().depth(), 100_000);
    }

    #[test]
    fn text_that_is_not_one_json_value_is_refused() {
        for text in ["", "{", "1 2", "nul", "Infinity"] {
            assert_eq!(Json::parse(text), Err(NotJson), "{text:?}");
        }
    }
}
