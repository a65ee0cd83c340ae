//! The item of a batch. It is in the table of executions.
//!
//! **Invariant**: its key is not a valid execution id, because it contains a `/`, and it is in no index.

use domain::{Batch, BatchId, Owner, Unknown};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::written;

/// The attribute with the request's fingerprint, which a second write compares.
pub const FINGERPRINT: &str = "fingerprint";

/// A batch, as the table stores it. Only ever add attributes, with a default. `expiresAt` is the table's TTL attribute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchItem {
    #[serde(rename = "executionId")]
    key: String,
    #[serde(with = "written")]
    owner: Owner,
    created_at: Timestamp,
    total: u32,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    refused: Vec<u32>,
    fingerprint: String,
    stored: bool,
    expires_at: i64,
    #[serde(flatten, with = "written")]
    unknown: Unknown,
}

/// The key of a batch's item.
#[must_use]
pub fn key(id: &BatchId) -> String {
    format!("batch/{id}")
}

impl BatchItem {
    /// The item of a batch.
    #[must_use]
    pub fn of(batch: &Batch) -> Self {
        Self {
            key: key(&batch.id),
            owner: batch.owner.clone(),
            created_at: batch.created_at,
            total: batch.total,
            refused: batch.refused.clone(),
            fingerprint: batch.fingerprint.clone(),
            stored: batch.stored,
            expires_at: batch.expires_at.as_second(),
            unknown: batch.unknown.clone(),
        }
    }

    /// The batch; `None` if the item is damaged.
    #[must_use]
    pub fn into_batch(self) -> Option<Batch> {
        Some(Batch {
            id: self.key.strip_prefix("batch/")?.parse().ok()?,
            owner: self.owner,
            created_at: self.created_at,
            total: self.total,
            refused: self.refused,
            fingerprint: self.fingerprint,
            stored: self.stored,
            expires_at: Timestamp::from_second(self.expires_at).ok()?,
            unknown: self.unknown,
        })
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::types::AttributeValue;
    use domain::ExecutionId;
    use serde_json::json;

    use super::*;

    /// Functions of two versions share these items during a deployment.
    #[test]
    fn the_item_of_a_batch_never_changes_and_is_not_an_execution() {
        let id: BatchId = "0199a3c4-9f3e-7c11-b5a8-3d6f0e7a1b2c".parse().unwrap();
        let batch = Batch {
            id: id.clone(),
            owner: Owner::new("ada"),
            created_at: Timestamp::from_millisecond(1_000_001).unwrap(),
            total: 3,
            refused: vec![0, 2],
            fingerprint: "0a".into(),
            stored: true,
            expires_at: Timestamp::from_second(2_000).unwrap(),
            unknown: Unknown::from(std::collections::BTreeMap::from([("newer".to_owned(), json!({ "a": 1 }))])),
        };
        assert!(key(&id).parse::<ExecutionId>().is_err());
        let written = json!({
            "executionId": "batch/0199a3c4-9f3e-7c11-b5a8-3d6f0e7a1b2c",
            "owner": "ada",
            "createdAt": "1970-01-01T00:16:40.001Z",
            "total": 3,
            "refused": [0, 2],
            "fingerprint": "0a",
            "stored": true,
            "expiresAt": 2_000,
            "newer": { "a": 1 },
        });
        assert_eq!(serde_json::to_value(BatchItem::of(&batch)).unwrap(), written);
        let attributes: std::collections::HashMap<String, AttributeValue> =
            serde_dynamo::to_item(BatchItem::of(&batch)).unwrap();
        assert!(attributes.contains_key(FINGERPRINT));
        let read: BatchItem = serde_dynamo::from_item(attributes).unwrap();
        assert_eq!(read.into_batch(), Some(batch));
    }
}
