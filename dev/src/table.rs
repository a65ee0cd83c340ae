//! The table of executions, as `template.yaml` makes it on AWS.

use std::collections::BTreeMap;

use contract::schema::{self, BY_OWNER};
use emulator::{Emulator, Table};
use serde_json::{Value, json};

/// Its name.
pub(crate) const NAME: &str = "longhaul-executions";

/// The table.
pub(crate) fn table() -> Table {
    Table { create: schema::create_table(NAME), expires_at: Some(schema::EXPIRES.to_owned()) }
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
