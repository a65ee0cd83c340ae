//! A function whose process only reports the address of its Runtime API. The test itself is the runtime, and can send any response.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use reqwest::{Client, StatusCode, header::HeaderMap};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::{Mutex, mpsc};

use crate::{
    emulator::{Emulator, PATIENCE},
    support::{Answer, Lambda},
};

/// An emulator with the durable function `manual`, whose invocations the test answers.
pub(crate) struct ManualRuntime {
    pub(crate) emulator: Emulator,
    pub(crate) lambda: Lambda,
    directory: TempDir,
    invocations: Mutex<mpsc::Receiver<Invocation>>,
}

/// An invocation that the test has to answer.
pub(crate) struct Invocation {
    api: String,
    client: Client,
    pub(crate) id: String,
    pub(crate) event: Value,
    pub(crate) headers: HeaderMap,
    token: String,
}

/// The command of a function that writes the address of its Runtime API into a directory. It ends with the emulator.
pub(crate) fn command(directory: &Path) -> String {
    let script = directory.join("manual.sh");
    let text = "echo \"$AWS_LAMBDA_RUNTIME_API\" > \"$1/new.$$\"\nmv \"$1/new.$$\" \"$1/api.$$\"\nwhile kill -0 $PPID 2>&-; do sleep 1; done\n";
    std::fs::write(&script, text).unwrap();
    format!("sh {} {}", script.display(), directory.display())
}

impl ManualRuntime {
    pub(crate) async fn open() -> Self {
        Self::open_with(&[]).await
    }

    /// Opens a runtime with a clock that the test moves forward.
    pub(crate) async fn open_with_movable_clock() -> Self {
        Self::open_with(&["--movable-clock"]).await
    }

    async fn open_with(options: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let manual = format!("manual={}", command(directory.path()));
        let emulator = Emulator::start(&[&["--durable-function", &manual], options].concat()).await;
        Self::over(emulator, directory)
    }

    /// A runtime for an emulator whose functions write the addresses of their Runtime APIs into a directory.
    pub(crate) fn over(emulator: Emulator, directory: TempDir) -> Self {
        let lambda = Lambda::of(&emulator);
        let (to, invocations) = mpsc::channel(16);
        tokio::spawn(find_processes(directory.path().to_owned(), to));
        Self { emulator, lambda, directory, invocations: Mutex::new(invocations) }
    }

    pub(crate) fn command(&self) -> String {
        command(self.directory.path())
    }

    /// Starts an execution and takes its first invocation.
    pub(crate) async fn begin(&self, input: &str) -> (String, Invocation) {
        let arn = self.lambda.start("manual:$LATEST", input).await;
        (arn, self.next().await)
    }

    /// Waits for the next invocation of any of the processes.
    pub(crate) async fn next(&self) -> Invocation {
        self.next_within(PATIENCE).await.expect("nothing is invoked")
    }

    /// Waits for the next invocation; `None` if there is none within this time.
    pub(crate) async fn next_within(&self, patience: Duration) -> Option<Invocation> {
        let mut invocations = self.invocations.lock().await;
        tokio::time::timeout(patience, invocations.recv()).await.ok().flatten()
    }

    /// Sends a checkpoint with the newest token.
    pub(crate) async fn checkpoint(&self, invocation: &mut Invocation, updates: Value) -> Answer {
        let answer = self
            .lambda
            .checkpoint(invocation.arn(), json!({ "CheckpointToken": invocation.token, "Updates": updates }));
        let answer = answer.await;
        if let Some(token) = answer.1["CheckpointToken"].as_str() {
            token.clone_into(&mut invocation.token);
        }
        answer
    }

    /// Sends a checkpoint that must be accepted. Returns the operations that changed.
    pub(crate) async fn record(&self, invocation: &mut Invocation, updates: Value) -> Vec<Value> {
        let (status, body) = self.checkpoint(invocation, updates).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        body["NewExecutionState"]["Operations"].as_array().unwrap().clone()
    }
}

/// Acts as the runtime of each process that appears.
async fn find_processes(directory: PathBuf, to: mpsc::Sender<Invocation>) {
    while let Ok(entries) = std::fs::read_dir(&directory) {
        for entry in entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with("api.")) {
            let address = std::fs::read_to_string(entry.path()).unwrap_or_default();
            drop(std::fs::remove_file(entry.path()));
            tokio::spawn(be_runtime(format!("http://{}/2018-06-01/runtime", address.trim()), to.clone()));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn be_runtime(api: String, to: mpsc::Sender<Invocation>) {
    let client = Client::new();
    while let Ok(response) = client.get(format!("{api}/invocation/next")).send().await {
        if response.status() != StatusCode::OK {
            break;
        }
        let headers = response.headers().clone();
        let id = headers["lambda-runtime-aws-request-id"].to_str().unwrap().to_owned();
        let Ok(event) = response.json::<Value>().await else { break };
        let token = event["CheckpointToken"].as_str().unwrap_or_default().to_owned();
        let invocation = Invocation { api: api.clone(), client: client.clone(), id, event, headers, token };
        if to.send(invocation).await.is_err() {
            break;
        }
    }
}

impl Invocation {
    pub(crate) fn arn(&self) -> &str {
        self.event["DurableExecutionArn"].as_str().unwrap()
    }

    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    /// The operations that the invocation contains, without the execution itself.
    pub(crate) fn operations(&self) -> Vec<Value> {
        self.event["InitialExecutionState"]["Operations"].as_array().unwrap()[1..].to_vec()
    }

    pub(crate) async fn post(&self, what: &str, body: String) -> StatusCode {
        let url = format!("{}/invocation/{}/{what}", self.api, self.id);
        self.client.post(url).body(body).send().await.unwrap().status()
    }

    pub(crate) async fn answer(self, body: Value) {
        assert_eq!(self.post("response", body.to_string()).await, StatusCode::ACCEPTED);
    }

    pub(crate) async fn pend(self) {
        self.answer(json!({ "Status": "PENDING" })).await;
    }

    pub(crate) async fn succeed(self, result: &str) {
        self.answer(json!({ "Status": "SUCCEEDED", "Result": result })).await;
    }
}
