//! Prints what Longhaul's programs need from their deployment, as JSON: the environment variables that they read, the AWS calls that
//! they make, the table, the limits, how long the bucket keeps objects, what API Gateway has to do, and the events that rules have to
//! send. `deploy/tests` checks `template.yaml` against it.

use std::collections::BTreeMap;

use api::Gateway;
use contract::catalog::Job;
use contract::files::kept_days;
use contract::schema::{EXPIRES, INDEXES, Index, KEY};
use domain::{Pattern, limits};
use reconciler::EventPatterns;
use serde_json::{Value, json};

fn main() -> Result<(), serde_json::Error> {
    let job: Job = serde_json::from_value(json!({ "taskDefinition": "job" }))?;
    let facts = json!({
        "programs": {
            "api": api::needs(),
            "sync": durable::needs(Pattern::Sync),
            "callback": durable::needs(Pattern::Callback),
            "reconciler": reconciler::needs(),
            "worker": worker::needs(),
        },
        "table": { "key": KEY, "expires": EXPIRES, "indexes": INDEXES.map(index) },
        "limits": {
            "retentionHours": limits::RETENTION.as_secs() / 3_600,
            "timeoutHours": limits::TIMEOUT.as_secs() / 3_600,
        },
        "keptDays": kept_days().into_iter().collect::<BTreeMap<_, _>>(),
        "gateway": Gateway::facts(),
        "events": EventPatterns::facts(),
        "jobDefaults": { "container": job.container, "logStreamPrefix": job.log_stream_prefix },
    });
    println!("{facts:#}");
    Ok(())
}

fn index(index: Index) -> Value {
    json!({ "name": index.name, "hash": index.hash, "sort": index.sort, "attributes": index.attributes })
}
