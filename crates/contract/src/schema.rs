//! The table of executions: its key, its indexes, and the attribute with the time at which items expire.

use serde_json::{Value, json};

/// The table's key, a string.
pub const KEY: &str = "executionId";

/// The table's TTL attribute.
pub const EXPIRES: &str = "expiresAt";

/// An index of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Index {
    /// Its name.
    pub name: &'static str,
    /// Its hash key, a string.
    pub hash: &'static str,
    /// Its sort key.
    pub sort: &'static str,
    /// The attributes that it has in addition to its own keys and the table's.
    pub attributes: &'static [&'static str],
}

/// The sparse index of executions that are not over, or that may have left something running, by when the sweep has to visit them.
pub const ACTIVE: Index = Index { name: "active", hash: "activeShard", sort: "due", attributes: &[] };

/// The index of an owner's executions, newest first, with what a list shows of them.
pub const BY_OWNER: Index = Index {
    name: "byOwner",
    hash: "ownerShard",
    sort: "created",
    attributes: &[
        "pattern",
        "status",
        "job",
        "createdAt",
        "maxAttempts",
        "run",
        "finishedAt",
        "exitCode",
        "deadline",
        "expiresAt",
        "tags",
        "rerunOf",
        "schedule",
        // What a list shows of a schedule.
        "definition",
        "firings",
        "batch",
    ],
};

/// The sparse index of the executions of a batch, with what a list shows of them.
pub const BY_BATCH: Index = Index {
    name: "byBatch",
    hash: "batch",
    sort: "created",
    attributes: &[
        "pattern",
        "status",
        "job",
        "createdAt",
        "maxAttempts",
        "run",
        "finishedAt",
        "exitCode",
        "deadline",
        "expiresAt",
        "tags",
        "rerunOf",
    ],
};

/// All indexes of the table.
pub const INDEXES: [Index; 3] = [ACTIVE, BY_OWNER, BY_BATCH];

/// The request of `CreateTable` for a table with this name, as `template.yaml` makes it on AWS.
#[must_use]
pub fn create_table(name: &str) -> Value {
    let attribute = |name: &str, kind: &str| json!({ "AttributeName": name, "AttributeType": kind });
    let index = |index: Index| {
        let projection = match index.attributes {
            [] => json!({ "ProjectionType": "KEYS_ONLY" }),
            some => json!({ "ProjectionType": "INCLUDE", "NonKeyAttributes": some }),
        };
        json!({
            "IndexName": index.name,
            "KeySchema": [
                { "AttributeName": index.hash, "KeyType": "HASH" },
                { "AttributeName": index.sort, "KeyType": "RANGE" },
            ],
            "Projection": projection,
        })
    };
    json!({
        "TableName": name,
        "AttributeDefinitions": [
            attribute(KEY, "S"),
            attribute(ACTIVE.hash, "S"),
            attribute(ACTIVE.sort, "N"),
            attribute(BY_OWNER.hash, "S"),
            attribute(BY_OWNER.sort, "S"),
            attribute(BY_BATCH.hash, "S"),
        ],
        "KeySchema": [{ "AttributeName": KEY, "KeyType": "HASH" }],
        "GlobalSecondaryIndexes": INDEXES.map(index),
        "BillingMode": "PAY_PER_REQUEST",
    })
}
