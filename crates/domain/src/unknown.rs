//! Attributes that a newer version of this code stored and this one does not know.

use std::collections::BTreeMap;

use serde_json::Value;

/// Stored attributes that this version does not know, by name. They are read, carried along and written back unchanged, because a
/// workflow that runs for a year keeps writing with the version that it started on.
///
/// **Invariant**: attributes that are added to stored data consist of strings, numbers that fit `i64` or `f64`, booleans, null,
/// lists and maps. `DynamoDB`'s sets and binary values would not be written back as they were.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unknown(BTreeMap<String, Value>);

impl Unknown {
    /// The attributes, by name.
    #[must_use]
    pub fn attributes(&self) -> &BTreeMap<String, Value> {
        &self.0
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<BTreeMap<String, Value>> for Unknown {
    fn from(attributes: BTreeMap<String, Value>) -> Self {
        Self(attributes)
    }
}
