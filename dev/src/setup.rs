//! What is deployed on the local stack: the names, functions and jobs that `template.yaml` creates on AWS.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    time::Duration,
};

use api::Callers;
use axum::http::HeaderName;
use contract::catalog::Catalog;
use contract::{environment, files};
use domain::{Owner, Pattern};
use emulator::{ACCOUNT, Bucket, DurableConfig, Function, Queue, REGION, RETENTION_DAYS, Rule, Target};
use reconciler::EventPatterns;
use runtime::Environment;
use serde_json::{Value, json};

use crate::{
    options::{self, Named, Options},
    table,
};

/// The access key of the API's AWS calls, by which faults select them.
pub(crate) const API_KEY: &str = "api";
/// The bucket for uploads and artifacts.
pub(crate) const BUCKET: &str = "longhaul-data";
pub(crate) const CLUSTER: &str = "longhaul";
pub(crate) const LOG_GROUP: &str = "/ecs/longhaul";
const SYNC: &str = "longhaul-sync";
const CALLBACK: &str = "longhaul-callback";
const RECONCILER: &str = "longhaul-reconciler";
const ALIAS: &str = "live";

/// The owner of everything in the local stack.
const OWNER: &str = "local";

/// The variables of this program's environment that every function and every task gets: enough to find programs.
pub(crate) fn environment() -> BTreeMap<String, String> {
    let machine = Environment::of_process();
    let inherited = ["PATH", "HOME", "LANG", "TMPDIR", "RUST_LOG"].into_iter();
    inherited.filter_map(|name| Some((name.to_owned(), machine.optional(name)?))).collect()
}

/// What every task gets in addition: `PYTHONUNBUFFERED` and the variables of the command line, which take precedence. By default, Python
/// buffers up to 8 KB of what it prints to a pipe, so that a job's log stays empty for a while. A job that wants the buffer can set
/// `PYTHONUNBUFFERED` to an empty value.
pub(crate) fn task_environment(given: Vec<(String, String)>) -> BTreeMap<String, String> {
    [("PYTHONUNBUFFERED".to_owned(), "1".to_owned())].into_iter().chain(given).collect()
}

/// The API's configuration.
pub(crate) fn api_config(catalog: Catalog, options: &Options) -> api::config::Config {
    api::config::Config {
        table: table::NAME.to_owned(),
        bucket: BUCKET.to_owned(),
        sync_function: live(SYNC),
        callback_function: live(CALLBACK),
        reconciler_function: RECONCILER.to_owned(),
        catalog,
        cors_origins: options.cors_origins.clone(),
        held_requests: options.held_requests,
        log_reads: options.log_reads,
    }
}

/// How a durable function is invoked: by its alias.
fn live(function: &str) -> String {
    format!("{function}:{ALIAS}")
}

/// How the API identifies callers: all as the machine's owner, or by the name in their header.
pub(crate) fn callers(owner_header: Option<HeaderName>) -> Callers {
    let owner = Owner::new(OWNER);
    match owner_header {
        Some(header) => Callers::Named(header, owner),
        None => Callers::Only(owner),
    }
}

/// Longhaul's own functions, which are further processes of this program, and those of the command line.
pub(crate) fn functions(this: &Path, catalog: &Catalog, more: &options::Functions) -> Vec<Function> {
    let jobs = serde_json::to_string(catalog).unwrap_or_default();
    let own = [
        (environment::EXECUTIONS_TABLE, table::NAME),
        (environment::DATA_BUCKET, BUCKET),
        (environment::ECS_CLUSTER, CLUSTER),
        (environment::JOBS, &jobs),
        (environment::LOG_GROUP, LOG_GROUP),
        (environment::DIRECT_OWNER, OWNER),
        (environment::SYNC_FUNCTION, &live(SYNC)),
        (environment::CALLBACK_FUNCTION, &live(CALLBACK)),
        (environment::RECONCILER_FUNCTION, RECONCILER),
    ];
    let environment = BTreeMap::from(own.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let function = |name: &str, command: Vec<String>, durable| Function {
        name: name.to_owned(),
        command,
        environment: environment.clone(),
        timeout: Duration::from_mins(1),
        memory: 128,
        alias: Some(ALIAS.to_owned()),
        durable,
    };
    let part = |part: &str| vec![this.to_string_lossy().into_owned(), "function".to_owned(), part.to_owned()];
    let durable = |name, command| function(name, command, Some(durable_for(LONGEST)));
    let shell = |named: &Named, durable| {
        let command = ["sh".to_owned(), "-c".to_owned(), format!("exec {}", named.command)];
        function(&named.name, command.into(), durable)
    };
    let plain = more.plain.iter().map(|named| shell(named, None));
    let more_durable = more.durable.iter().map(|named| {
        // A function that replaces one of the stack's own has the same configuration.
        let own = [SYNC, CALLBACK].contains(&named.name.as_str());
        shell(named, Some(durable_for(if own { LONGEST } else { SYNCHRONOUS })))
    });
    let own = [
        durable(SYNC, part("sync")),
        durable(CALLBACK, part("callback")),
        function(RECONCILER, part("reconciler"), None),
    ];
    own.into_iter().chain(plain).chain(more_durable).collect()
}

/// The AWS calls that each part of Longhaul may make, as the roles of `template.yaml` allow them. A function of the command line that
/// replaces one of them may make every call, like all functions of the command line.
pub(crate) fn permissions(more: &options::Functions) -> BTreeMap<String, BTreeSet<String>> {
    let replaced = |name: &str| more.plain.iter().chain(&more.durable).any(|named| named.name == name);
    let parts = [
        (API_KEY, api::needs()),
        (SYNC, durable::needs(Pattern::Sync)),
        (CALLBACK, durable::needs(Pattern::Callback)),
        (RECONCILER, reconciler::needs()),
    ];
    let own = parts.into_iter().filter(|(name, _)| !replaced(name));
    own.map(|(name, needs)| (name.to_owned(), needs.calls.into_iter().map(str::to_owned).collect())).collect()
}

/// The bucket of `template.yaml`.
pub(crate) fn bucket() -> Bucket {
    let rule = |(prefix, days): (String, u32)| json!({ "ID": prefix, "Status": "Enabled", "Filter": { "Prefix": prefix }, "Expiration": { "Days": days } });
    let rules: Vec<_> = files::kept_days().into_iter().map(rule).collect();
    Bucket { name: BUCKET.to_owned(), lifecycle_configuration: Some(json!({ "Rules": rules })) }
}

/// The queue of the reconciler's events.
pub(crate) fn event_queue() -> Queue {
    Queue { arn: format!("arn:aws:sqs:{REGION}:{ACCOUNT}:longhaul-events"), function: RECONCILER.to_owned() }
}

/// The event rules of `template.yaml`.
pub(crate) fn rules() -> Vec<Rule> {
    let to = |id: &str, arn: String| {
        vec![Target { id: id.to_owned(), arn, input: None, input_path: None, more: serde_json::Map::new() }]
    };
    let rule = |name: &str, targets| Rule {
        name: format!("longhaul-{name}"),
        managed_by: Some("longhaul".to_owned()),
        targets,
        ..Rule::default()
    };
    let function = |name: &str| format!("arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}");
    let EventPatterns { task_stopped, mut workflow_ended } = EventPatterns::facts();
    let functions = json!([{ "prefix": function(SYNC) }, { "prefix": function(CALLBACK) }]);
    if let Some(Value::Object(detail)) = workflow_ended.get_mut("detail") {
        detail.insert("functionArn".to_owned(), functions);
    }
    vec![
        Rule { event_pattern: Some(task_stopped.to_string()), ..rule("task-stopped", to("events", event_queue().arn)) },
        Rule {
            event_pattern: Some(workflow_ended.to_string()),
            ..rule("workflow-ended", to("events", event_queue().arn))
        },
        Rule {
            schedule_expression: Some("rate(1 minute)".to_owned()),
            ..rule("sweep", to("reconciler", function(RECONCILER)))
        },
    ]
}

/// The longest that a durable execution may take. An execution's own deadline is earlier.
const LONGEST: Duration = Duration::from_hours(366 * 24);

/// The execution timeout of durable functions of the command line. It is short enough for a synchronous invoke, so that they can be
/// invoked both synchronously and asynchronously.
const SYNCHRONOUS: Duration = Duration::from_mins(15);

fn durable_for(execution_timeout: Duration) -> DurableConfig {
    DurableConfig { execution_timeout, retention_days: RETENTION_DAYS }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `make bench` runs Python functions under the names of Longhaul's own.
    #[test]
    fn only_longhauls_own_functions_are_limited_to_the_calls_that_they_need() {
        let limited = |more: &options::Functions| permissions(more).into_keys().collect::<Vec<_>>();
        let none = options::Functions { plain: Vec::new(), durable: Vec::new() };
        assert_eq!(limited(&none), [API_KEY, CALLBACK, RECONCILER, SYNC]);
        let python = Named { name: CALLBACK.to_owned(), command: "python3 callback.py".to_owned() };
        let replaced = options::Functions { plain: Vec::new(), durable: vec![python] };
        assert_eq!(limited(&replaced), [API_KEY, RECONCILER, SYNC]);
    }
}
