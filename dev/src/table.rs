//! The table of executions, as `template.yaml` makes it on AWS.

use std::collections::BTreeMap;

use contract::schema::{ACTIVE, BY_OWNER, EXPIRES, Index, KEY};
use emulator::{Emulator, Table};
use serde_json::{Value, json};

/// Its name.
pub(crate) const NAME: &str = "longhaul-executions";

/// The table.
pub(crate) fn table() -> Table {
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
    let create = json!({
        "TableName": NAME,
        "AttributeDefinitions": [
            attribute(KEY, "S"),
            attribute(ACTIVE.hash, "S"),
            attribute(ACTIVE.sort, "N"),
            attribute(BY_OWNER.hash, "S"),
            attribute(BY_OWNER.sort, "S"),
        ],
        "KeySchema": [{ "AttributeName": KEY, "KeyType": "HASH" }],
        "GlobalSecondaryIndexes": [index(ACTIVE), index(BY_OWNER)],
        "BillingMode": "PAY_PER_REQUEST",
    });
    Table { create, expires_at: Some(EXPIRES.to_owned()) }
}

/// How many executions of each job are not over.
pub(crate) async fn unfinished(emulator: &Emulator) -> Result<BTreeMap<String, usize>, String> {
    let mut counts = BTreeMap::new();
    let mut from_key = Value::Null;
    loop {
        // The index is small to read, because it contains neither inputs nor results.
        let scan = json!({
            "TableName": NAME,
            "IndexName": BY_OWNER.name,
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
