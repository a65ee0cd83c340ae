//! The JSON Schema of the file, for editors.

use serde_json::Value;

/// The schema. It says what the file may contain; sizes, names and durations are checked by [`crate::read`].
#[must_use]
pub fn schema() -> Value {
    schemars::schema_for!(crate::file::File).to_value()
}

#[cfg(test)]
mod tests {
    /// Editors read the schema from the repository.
    #[test]
    fn the_committed_schema_is_the_one_of_the_code() {
        let committed: serde_json::Value = serde_json::from_str(include_str!("../longhaul.schema.json")).unwrap();
        assert_eq!(
            committed,
            super::schema(),
            "write it with: longhaul jobs schema > crates/job_file/longhaul.schema.json"
        );
    }
}
