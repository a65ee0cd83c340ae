//! Requests in XML.

use serde::Deserialize;

/// `DeleteObjects`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Delete {
    #[serde(rename = "Object", default)]
    pub(super) objects: Vec<ObjectIdentifier>,
    #[serde(default)]
    pub(super) quiet: bool,
}

/// An object to delete.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ObjectIdentifier {
    pub(super) key: String,
}
