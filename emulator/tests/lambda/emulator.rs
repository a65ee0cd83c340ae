//! An emulator for one test: the program, on a free port and with a separate directory.

use std::{
    ops::Deref,
    path::{Path, PathBuf},
    process::Stdio,
};

use ::emulator::testing::{Client, first_line};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::{Child, Command};

pub(crate) use ::emulator::testing::{PATIENCE, eventually, signing};

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// A running emulator. Dropping it kills it, as a crash would.
pub(crate) struct Emulator {
    pub(crate) aws: String,
    pub(crate) process: Child,
    client: Client,
    _directory: Option<TempDir>,
}

impl Emulator {
    /// Starts an emulator, and waits until it is ready. The options are `--function NAME=COMMAND`, `--durable-function NAME=COMMAND` and
    /// those of the program.
    pub(crate) async fn start(options: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().to_owned();
        Self { _directory: Some(directory), ..Self::start_over(&data, options).await }
    }

    /// Starts an emulator with the directory of an earlier one.
    pub(crate) async fn start_over(data: &Path, options: &[&str]) -> Self {
        let (mut functions, mut others) = (Vec::new(), Vec::new());
        let mut options = options.iter();
        while let Some(option) = options.next() {
            match *option {
                "--function" => functions.push(function(options.next().unwrap(), None)),
                "--durable-function" => functions.push(function(options.next().unwrap(), Some(&durable()))),
                other => others.push(other),
            }
        }
        Self::run(data, &resources(functions), &others).await
    }

    async fn run(data: &Path, resources: &Value, options: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("resources.json");
        std::fs::write(&file, resources.to_string()).unwrap();
        let mut process = Command::new(env!("CARGO_BIN_EXE_emulator"))
            .current_dir(root())
            .args(["--listen", "127.0.0.1:0", "--data"])
            .arg(data)
            .arg("--resources")
            .arg(file)
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let aws = first_line(&mut process).await;
        Self { client: Client::new(&aws), aws, process, _directory: None }
    }
}

/// Its calls.
impl Deref for Emulator {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

/// The resources of every emulator in these tests: functions, a rule that the API may not change, a cluster and a task definition.
fn resources(functions: Vec<Value>) -> Value {
    let declared = json!({ "name": "declared", "command": ["sleep", "1000"], "environment": { "DECLARED": "1" } });
    let functions: Vec<_> = std::iter::once(declared).chain(functions).collect();
    let container = json!({ "name": "main", "image": "any", "command": ["sleep", "1000"] });
    json!({
        "functions": functions,
        "rules": [{ "Name": "declared", "ScheduleExpression": "rate(1 day)", "ManagedBy": "tests" }],
        "cluster": "jobs",
        "taskDefinitions": [{ "family": "demo", "containerDefinitions": [container] }],
    })
}

fn function(option: &str, durable: Option<&Value>) -> Value {
    let (name, command) = option.split_once('=').unwrap();
    json!({
        "name": name,
        "command": ["sh", "-c", format!("exec {command}")],
        "timeoutSeconds": 60,
        "alias": "live",
        "durable": durable,
    })
}

fn durable() -> Value {
    json!({ "executionTimeoutSeconds": 15 * 60, "retentionDays": 14 })
}
