//! An emulator for one test: the program, on a free port and with a separate directory.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use reqwest::{
    Client, ClientBuilder, RequestBuilder, StatusCode,
    header::{AUTHORIZATION, HeaderValue},
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
};

/// The timeout of everything that tests wait for. It is much longer than needed, even on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// The pause between two polls.
const PAUSE: Duration = Duration::from_millis(50);

/// Polls until there is a result, and returns it. After the timeout, the test fails with a message that says `what` it waited for.
pub(crate) async fn eventually<T>(what: &str, mut poll: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = poll().await {
            return found;
        }
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} in vain: {what}");
        tokio::time::sleep(PAUSE).await;
    }
}

/// A client that signs, as every AWS client does. The emulator does not verify signatures.
pub(crate) fn signing() -> ClientBuilder {
    let signature = "AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/dynamodb/aws4_request, \
                     SignedHeaders=host, Signature=0";
    let headers = [(AUTHORIZATION, HeaderValue::from_static(signature))];
    Client::builder().default_headers(headers.into_iter().collect())
}

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
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let url = tokio::time::timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap();
        let aws = url.expect("the emulator ended before it was ready");
        Self { aws, process, client: signing().build().unwrap(), _directory: None }
    }

    /// Moves the clock forward.
    pub(crate) async fn forward(&self, by: Duration) {
        let request = self.client.post(format!("{}/_local/clock", self.aws));
        let response = request.json(&json!({ "forward": by.as_secs() })).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{by:?}");
    }

    /// Makes a call in one of AWS's JSON protocols, which must succeed.
    pub(crate) async fn call(&self, target: &str, body: Value) -> Value {
        let response = self.request(target, &body).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{target}");
        response.json().await.unwrap()
    }

    /// The request of [`Emulator::call`].
    pub(crate) fn request(&self, target: &str, body: &Value) -> RequestBuilder {
        let request = self.client.post(&self.aws).header("x-amz-target", target).body(body.to_string());
        request.header("content-type", "application/x-amz-json-1.0")
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
