//! Attributes that a newer version of this code stored and this one does not know.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Stored attributes that this version does not know, by name. They are read, carried along and written back unchanged, because a
/// workflow that runs for a year keeps writing with the version that it started on.
///
/// **Invariant**: attributes that are added to stored data consist of strings, numbers that fit `i64` or `f64`, booleans, null,
/// lists and maps. `DynamoDB`'s sets and binary values would not be written back as they were.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Unknown(BTreeMap<String, Value>);

impl Unknown {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_attributes_are_written_back_unchanged() {
        let stored = r#"{"future":{"list":[1,null,"a"]},"other":true}"#;
        let unknown: Unknown = serde_json::from_str(stored).unwrap();
        assert_eq!(serde_json::to_string(&unknown).unwrap(), stored);
        assert!(!unknown.is_empty() && Unknown::default().is_empty());
    }
}
