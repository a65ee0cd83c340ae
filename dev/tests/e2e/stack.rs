//! A local stack for one test, with its own ports and directory.

use std::{
    collections::HashMap,
    ops::Deref,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use emulator::testing::first_line;
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::{Child, Command};

pub(crate) use emulator::testing::{PATIENCE, eventually, signing};

/// The program under test.
pub(crate) const LONGHAUL: &str = env!("CARGO_BIN_EXE_longhaul");

/// The table of executions.
pub(crate) const TABLE: &str = "longhaul-executions";

/// The pause between two reads of an execution.
const PAUSE: Duration = Duration::from_millis(50);

/// A running stack. Dropping it kills it, as a crash would.
pub(crate) struct Stack {
    pub(crate) api: String,
    pub(crate) aws: String,
    pub(crate) process: Child,
    pub(crate) data: PathBuf,
    client: Client,
    emulator: emulator::testing::Client,
    _directory: Option<TempDir>,
}

/// The root of the repository, where the examples are.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The program's command, with free ports and with its addresses printed as JSON.
pub(crate) fn command(data: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(LONGHAUL);
    command
        .current_dir(root())
        .args(["--listen", "127.0.0.1:0", "--aws-listen", "127.0.0.1:0", "--json", "--data"])
        .arg(data)
        .args(shipped_functions())
        // A test's functions come last, because the last option with a name takes precedence.
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// The binary that is deployed as this function, if `LONGHAUL_BOOTSTRAPS` names the output directory of `sam build`.
#[expect(clippy::disallowed_methods, reason = "an option of the tests, not of the program")]
pub(crate) fn shipped(function: &str) -> Option<PathBuf> {
    let built = std::env::var("LONGHAUL_BOOTSTRAPS").ok()?;
    let bootstrap = root().join(built).join(function).join("bootstrap");
    assert!(bootstrap.exists(), "{} does not exist: run `make sam-build`", bootstrap.display());
    Some(bootstrap)
}

/// Options that replace the stack's functions with the deployed binaries.
fn shipped_functions() -> Vec<String> {
    let functions = [
        ("--durable-function", "longhaul-sync", "SyncFunction"),
        ("--durable-function", "longhaul-callback", "CallbackFunction"),
        ("--function", "longhaul-reconciler", "ReconcilerFunction"),
    ];
    let option = |(option, name, function): (&str, &str, &str)| {
        let bootstrap = shipped(function)?;
        Some([option.to_owned(), format!("{name}={}", bootstrap.display())])
    };
    functions.into_iter().filter_map(option).flatten().collect()
}

impl Stack {
    /// Starts a stack, and waits until it is ready.
    pub(crate) async fn start(arguments: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().to_owned();
        Self { _directory: Some(directory), ..Self::start_over(&data, arguments).await }
    }

    /// Starts a stack with an existing data directory.
    pub(crate) async fn start_over(data: &Path, arguments: &[&str]) -> Self {
        Self::run_as(command(data, arguments), data).await
    }

    /// Starts a stack with a command, which must use this data directory.
    pub(crate) async fn run_as(mut command: Command, data: &Path) -> Self {
        let mut process = command.spawn().unwrap();
        let ready: Value = serde_json::from_str(&first_line(&mut process).await).unwrap();
        assert_eq!(ready["ready"], true);
        let url = |name: &str| ready[name].as_str().unwrap().to_owned();
        let data = data.to_owned();
        // The API closes connections that are idle for 30 s. A request that is sent at that moment would get no response.
        let client = signing().pool_idle_timeout(Duration::from_secs(10)).build().unwrap();
        let emulator = emulator::testing::Client::new(url("aws"));
        Self { api: url("api"), aws: url("aws"), process, data, client, emulator, _directory: None }
    }

    pub(crate) fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(format!("{}{path}", self.api))
    }

    pub(crate) fn post(&self, path: &str) -> RequestBuilder {
        self.client.post(format!("{}{path}", self.api))
    }

    pub(crate) fn patch(&self, path: &str) -> RequestBuilder {
        self.client.patch(format!("{}{path}", self.api))
    }

    /// Starts an execution, which must be accepted.
    pub(crate) async fn start_execution(&self, pattern: &str, body: &Value) -> Value {
        let response = self.post(&format!("/executions/{pattern}")).json(body).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::ACCEPTED, "{body}");
        response.json().await.unwrap()
    }

    pub(crate) async fn execution(&self, id: &str) -> Value {
        let response = self.get(&format!("/executions/{id}")).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        response.json().await.unwrap()
    }

    /// Polls an execution until the condition holds.
    pub(crate) async fn wait_for(&self, id: &str, what: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let execution = self.execution(id).await;
            if what(&execution) {
                return execution;
            }
            assert!(Instant::now() < deadline, "timed out, the execution is still {execution:#}");
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Starts an execution and waits for its end.
    pub(crate) async fn run(&self, pattern: &str, body: Value) -> Value {
        let started = self.start_execution(pattern, &body).await;
        self.wait_for(started["executionId"].as_str().unwrap(), |execution| execution["done"] == true).await
    }

    /// Invokes the reconciler with an event, and waits for the response.
    pub(crate) async fn reconcile(&self, event: Value) -> Value {
        let request = self.post_to_aws("/2015-03-31/functions/longhaul-reconciler/invocations").json(&event);
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{event}");
        response.json().await.unwrap()
    }

    /// The durable executions of a pattern that have this name.
    pub(crate) async fn durable_executions(&self, pattern: &str, name: &str) -> Vec<Value> {
        let answer = self.list_durable_executions(pattern, &format!("DurableExecutionName={name}")).await;
        answer["DurableExecutions"].as_array().unwrap().clone()
    }

    /// The status of every durable execution of a pattern, by its name.
    pub(crate) async fn durable_statuses(&self, pattern: &str) -> HashMap<String, String> {
        let mut statuses = HashMap::new();
        let mut marker = String::new();
        loop {
            let page = self.list_durable_executions(pattern, &format!("MaxItems=1000&Marker={marker}")).await;
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            let all = page["DurableExecutions"].as_array().unwrap().iter();
            statuses.extend(all.map(|one| (text(&one["DurableExecutionName"]), text(&one["Status"]))));
            match page["NextMarker"].as_str() {
                Some(next) => next.clone_into(&mut marker),
                None => return statuses,
            }
        }
    }

    async fn list_durable_executions(&self, pattern: &str, query: &str) -> Value {
        let path = format!("2025-12-01/functions/longhaul-{pattern}/durable-executions");
        let response = self.client.get(format!("{}/{path}?Qualifier=live&{query}", self.aws)).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{query}");
        response.json().await.unwrap()
    }

    /// The number of executions in the table, which also has workers' reports and callers' allowances.
    pub(crate) async fn items(&self) -> usize {
        let scan = self.call("DynamoDB_20120810.Scan", json!({ "TableName": TABLE })).await;
        scan["Items"].as_array().unwrap().iter().filter(|item| item.get("pattern").is_some()).count()
    }

    /// Starts an execution of this job, and waits until its task is running.
    pub(crate) async fn start_running(&self, pattern: &str, job: &str) -> String {
        let started = self.start_execution(pattern, &json!({ "job": job, "input": null })).await;
        let id = started["executionId"].as_str().unwrap().to_owned();
        self.wait_for(&id, |execution| execution["status"] == "RUNNING").await;
        id
    }

    /// All tasks, running or not.
    pub(crate) async fn tasks(&self) -> Vec<Value> {
        self.emulator.tasks("longhaul").await
    }

    /// The item of an execution.
    pub(crate) async fn item(&self, id: &str) -> Value {
        let key = json!({ "TableName": TABLE, "Key": { "executionId": { "S": id } }, "ConsistentRead": true });
        self.call("DynamoDB_20120810.GetItem", key).await["Item"].take()
    }

    /// The tasks that an execution has started, running or not.
    pub(crate) async fn tasks_of(&self, id: &str) -> Vec<Value> {
        self.tasks().await.into_iter().filter(|task| task["startedBy"] == id).collect()
    }

    /// Waits until no task of an execution is running. The end is recorded before tasks are stopped.
    pub(crate) async fn wait_for_tasks_to_stop(&self, id: &str) {
        eventually(&format!("the tasks of {id} to stop"), async || {
            self.tasks_of(id).await.iter().all(|task| task["lastStatus"] == "STOPPED").then_some(())
        })
        .await;
    }

    /// A durable execution as Lambda returns it.
    pub(crate) async fn durable_execution(&self, arn: &str) -> Value {
        self.of_durable_execution(arn, "").await
    }

    /// What Lambda returns at a path below a durable execution.
    pub(crate) async fn of_durable_execution(&self, arn: &str, path: &str) -> Value {
        let arn = arn.replace('/', "%2F").replace('$', "%24");
        let request = self.client.get(format!("{}/2025-12-01/durable-executions/{arn}{path}", self.aws));
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{arn}{path}");
        response.json().await.unwrap()
    }

    /// Waits until a durable execution is suspended or has ended.
    pub(crate) async fn wait_for_sleep(&self, arn: &str) {
        eventually(&format!("{arn} to suspend or end"), async || {
            let newest = self.of_durable_execution(arn, "/history?ReverseOrder=true&MaxItems=1").await;
            let last = newest["Events"][0]["EventType"].as_str().unwrap();
            ["InvocationCompleted", "ExecutionSucceeded", "ExecutionFailed"].contains(&last).then_some(())
        })
        .await;
    }

    /// Completes the callback that the workflow of an execution is waiting for.
    pub(crate) async fn wake(&self, id: &str, payload: &'static str) -> StatusCode {
        let item = self.item(id).await;
        let callback = item["wake"]["S"].as_str().unwrap();
        let callback = callback.replace('/', "%2F").replace('=', "%3D").replace('+', "%2B");
        let answer = self.post_to_aws(&format!("/2025-12-01/durable-execution-callbacks/{callback}/succeed"));
        answer.body(payload).send().await.unwrap().status()
    }

    /// The id of the execution with this `Idempotency-Key`.
    pub(crate) fn id_of_key(key: &str) -> String {
        domain::ExecutionId::for_key(&domain::Owner::new("local"), key).to_string()
    }

    /// Denies all tasks to write to the table. Workers of sync executions then cannot report, and results are read from the log.
    pub(crate) async fn deny_reports(&self) -> u64 {
        let refuse = json!({ "refuse": "AccessDeniedException" });
        self.arm(&json!({ "on": "dynamodb:PutItem", "by": "task", "does": refuse, "times": "all" })).await
    }

    /// Moves the clock forward until an execution has ended, each time far enough for the next retry of a step.
    pub(crate) async fn forward_to_the_end(&self, id: &str) -> Value {
        eventually(&format!("{id} to end"), async || {
            self.forward(Duration::from_mins(5)).await;
            let execution = self.execution(id).await;
            (execution["done"] == true).then_some(execution)
        })
        .await
    }
}

/// The calls of its emulator.
impl Deref for Stack {
    type Target = emulator::testing::Client;

    fn deref(&self) -> &Self::Target {
        &self.emulator
    }
}

/// A header that the response must have.
pub(crate) fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers().get(name).unwrap_or_else(|| panic!("the response has no {name}")).to_str().unwrap()
}
