//! JSON in database rows.

use serde::{Serialize, de::DeserializeOwned};

/// Reads a row. Invalid JSON means that the file is damaged, so it is the same error as a row that `SQLite` cannot read.
pub(crate) fn read<T: DeserializeOwned>(text: &str) -> rusqlite::Result<T> {
    serde_json::from_str(text)
        .map_err(|why| rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, Box::new(why)))
}

/// Writes a row.
pub(crate) fn write<T: Serialize>(value: &T) -> rusqlite::Result<String> {
    serde_json::to_string(value).map_err(|why| rusqlite::Error::ToSqlConversionFailure(Box::new(why)))
}
