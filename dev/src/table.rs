//! The table of executions, as `template.yaml` makes it on AWS.

use std::collections::BTreeMap;

use emulator::{Emulator, Table};
use serde_json::{Value, json};

/// Its name.
pub(crate) const NAME: &str = "longhaul-executions";

/// The index of what a list shows.
const BY_OWNER: &str = "byOwner";

/// What a list shows of an execution.
const LISTED: [&str; 12] = [
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
];

/// The table.
pub(crate) fn table() -> Table {
    let attribute = |name: &str, kind: &str| json!({ "AttributeName": name, "AttributeType": kind });
    let key = |hash: &str, range: &str| json!([{ "AttributeName": hash, "KeyType": "HASH" }, { "AttributeName": range, "KeyType": "RANGE" }]);
    let create = json!({
        "TableName": NAME,
        "AttributeDefinitions": [
            attribute("executionId", "S"),
            attribute("activeShard", "S"),
            attribute("due", "N"),
            attribute("ownerShard", "S"),
            attribute("created", "S"),
        ],
        "KeySchema": [{ "AttributeName": "executionId", "KeyType": "HASH" }],
        "GlobalSecondaryIndexes": [
            {
                "IndexName": "active",
                "KeySchema": key("activeShard", "due"),
                "Projection": { "ProjectionType": "KEYS_ONLY" },
            },
            {
                "IndexName": BY_OWNER,
                "KeySchema": key("ownerShard", "created"),
                "Projection": { "ProjectionType": "INCLUDE", "NonKeyAttributes": LISTED },
            },
        ],
        "BillingMode": "PAY_PER_REQUEST",
    });
    Table { create, expires_at: Some("expiresAt".to_owned()) }
}

/// How many executions of each job are not over.
pub(crate) async fn unfinished(emulator: &Emulator) -> Result<BTreeMap<String, usize>, String> {
    let mut counts = BTreeMap::new();
    let mut from_key = Value::Null;
    loop {
        // The index has neither inputs nor results to be read.
        let scan = json!({
            "TableName": NAME,
            "IndexName": BY_OWNER,
            "FilterExpression": "attribute_not_exists(finishedAt)",
            "ExclusiveStartKey": from_key,
        });
        let page = emulator.dynamodb("Scan", &scan).await?;
        let items = page.get("Items").and_then(Value::as_array).into_iter().flatten();
        for job in items.filter_map(|item| item.pointer("/job/S")?.as_str()) {
            *counts.entry(job.to_owned()).or_default() += 1;
        }
        from_key = page.get("LastEvaluatedKey").cloned().unwrap_or_default();
        if from_key.is_null() {
            return Ok(counts);
        }
    }
}
