//! `longhaul.toml`: the jobs that it describes can be run, its mistakes are told, and its changes take effect while the stack runs.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use reqwest::StatusCode;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::stack::{LONGHAUL, Stack, command, eventually};

const PATTERNS: [&str; 2] = ["sync", "callback"];

/// A folder with a job file.
struct Folder(TempDir);

impl Folder {
    fn with(text: &str) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        folder.write("longhaul.toml", text);
        folder
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn data(&self) -> PathBuf {
        self.path().join(".local")
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path().join(name), text).unwrap();
    }

    /// Starts a stack in this folder. What it prints on stderr goes to a file.
    async fn start(&self, arguments: &[&str]) -> Stack {
        let mut command = command(&self.data(), arguments);
        let errors = std::fs::File::create(self.path().join("stderr")).unwrap();
        command.current_dir(self.path()).stderr(errors);
        Stack::run_as(command, &self.data()).await
    }

    fn stderr(&self) -> String {
        std::fs::read_to_string(self.path().join("stderr")).unwrap()
    }

    /// Runs the program in this folder. Returns whether it succeeded, and what it printed on stdout and on stderr.
    async fn run(&self, arguments: &[&str]) -> (bool, String, String) {
        let mut command = tokio::process::Command::new(LONGHAUL);
        let output = command.args(arguments).current_dir(self.path()).stdin(Stdio::null()).output().await.unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.success(), text(output.stdout), text(output.stderr))
    }
}

/// The names of the jobs that the API offers.
async fn offered(stack: &Stack) -> Vec<String> {
    let answer: Value = stack.get("/jobs").send().await.unwrap().json().await.unwrap();
    let name = |job: &Value| job["name"].as_str().unwrap().to_owned();
    answer["jobs"].as_array().unwrap().iter().map(name).collect()
}

async fn eventually_offered(stack: &Stack, names: &[&str]) {
    eventually("the jobs of the changed file", async || (offered(stack).await == names).then_some(())).await;
}

#[tokio::test]
async fn a_job_runs_as_its_file_says() {
    let folder = Folder::with(
        r#"
[defaults]
environment = { GREETING = "hello" }

[jobs.greet]
description = "Greets"
command = ["python3", "-c", "import json, os, sys; print(json.dumps([os.environ['GREETING'], os.environ['NAME'], sys.argv[1:], input()]))", "a b", "$NAME"]
environment = { NAME = "Ada" }

[jobs.slow]
command = ["sleep", "100"]
timeout = "1s"
"#,
    );
    let stack = folder.start(&["--job", "shell=echo '[\"a shell\"]'"]).await;
    assert_eq!(offered(&stack).await, ["demo", "greet", "shell", "slow"]);
    for pattern in PATTERNS {
        let done = stack.run(pattern, json!({ "job": "greet", "input": 1 })).await;
        // No shell has changed the arguments.
        assert_eq!(done["result"], json!(["hello", "Ada", ["a b", "$NAME"], "1"]), "{pattern}: {done:#}");
        let done = stack.run(pattern, json!({ "job": "slow", "input": null })).await;
        assert_eq!(done["status"], "TIMED_OUT", "{pattern}: {done:#}");
        let done = stack.run(pattern, json!({ "job": "shell", "input": null })).await;
        assert_eq!(done["result"], json!(["a shell"]), "{pattern}: {done:#}");
    }
}

#[tokio::test]
async fn every_mistake_in_the_file_is_told_with_its_place() {
    let folder = Folder::with("[jobs.a]\ncommand = []\ncpu = 100\n");
    let told = |text: &str| text.contains("longhaul.toml:2:11: ") && text.contains("longhaul.toml:3:7: cpu is 100");
    let (succeeded, _, stderr) = folder.run(&["jobs", "check"]).await;
    assert!(!succeeded && told(&stderr), "{stderr}");
    let ports = ["--listen", "127.0.0.1:0", "--aws-listen", "127.0.0.1:0"];
    let (succeeded, stdout, stderr) = folder.run(&ports).await;
    assert!(!succeeded && told(&stderr) && stdout.is_empty(), "{stderr}");
    assert!(!folder.data().exists(), "a refused start leaves nothing behind");

    folder.write("longhaul.toml", "[jobs.a]\ncommand = [\"true\"]\n");
    let (succeeded, _, stderr) = folder.run(&[&ports[..], &["--job", "a=true"]].concat()).await;
    assert!(!succeeded && stderr.contains("`a` twice"), "{stderr}");
    let (succeeded, stdout, _) = folder.run(&["jobs", "check"]).await;
    assert!(succeeded && stdout.contains('a'), "{stdout}");
    let (succeeded, _, stderr) = folder.run(&["--jobs", "other.toml"]).await;
    assert!(!succeeded && stderr.contains("other.toml"), "{stderr}");
}

#[tokio::test]
async fn a_change_of_the_file_takes_effect_while_the_stack_runs() {
    let waits = |more: &str| {
        let script = "touch began; while [ ! -e go ]; do sleep 0.05; done; echo [1]";
        format!("[jobs.waits]\ncommand = [\"sh\", \"-c\", \"{script}\"]\n{more}")
    };
    let folder = Folder::with(&waits(""));
    let stack = folder.start(&[]).await;
    let running = stack.start_running("sync", "waits").await;

    folder.write("longhaul.toml", &waits("[jobs.added]\ncommand = [\"echo\", \"[2]\"]\n"));
    eventually_offered(&stack, &["added", "demo", "waits"]).await;
    for pattern in PATTERNS {
        let done = stack.run(pattern, json!({ "job": "added", "input": null })).await;
        assert_eq!(done["result"], json!([2]), "{pattern}: {done:#}");
    }

    folder.write("longhaul.toml", &waits("[jobs.added]\ncommand = [\"echo\", \"[3]\"]\n"));
    eventually("the changed command", async || {
        let done = stack.run("sync", json!({ "job": "added", "input": null })).await;
        (done["result"] == json!([3])).then_some(())
    })
    .await;

    // A file with a mistake changes nothing.
    folder.write("longhaul.toml", &waits("[jobs.added]\ncommand = \"echo\"\n"));
    eventually("a message", async || folder.stderr().contains("longhaul.toml:4:11: ").then_some(())).await;
    assert!(folder.stderr().contains("The jobs stay as they were"), "{}", folder.stderr());
    let done = stack.run("callback", json!({ "job": "added", "input": null })).await;
    assert_eq!(done["result"], json!([3]), "{done:#}");

    // A job that is gone accepts no new executions; the one that is running ends as it would have.
    folder.write("longhaul.toml", "[jobs.added]\ncommand = [\"echo\", \"[3]\"]\n");
    eventually_offered(&stack, &["added", "demo"]).await;
    let refused = stack.post("/executions/sync").json(&json!({ "job": "waits", "input": null })).send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::UNPROCESSABLE_ENTITY);
    folder.write("go", "");
    let done = stack.wait_for(&running, |execution| execution["done"] == true).await;
    assert_eq!((&done["result"], &done["attempt"]), (&json!([1]), &json!(1)), "{done:#}");
}

#[tokio::test]
async fn a_file_that_appears_later_is_used() {
    let folder = Folder(tempfile::tempdir().unwrap());
    let mut stack = folder.start(&[]).await;
    folder.write("longhaul.toml", "[jobs.new]\ncommand = [\"echo\", \"[1]\"]\n");
    eventually_offered(&stack, &["demo", "new"]).await;
    // If it is gone by mistake, its jobs remain.
    std::fs::remove_file(folder.path().join("longhaul.toml")).unwrap();
    eventually("a message", async || folder.stderr().contains("cannot read the job file").then_some(())).await;
    assert_eq!(offered(&stack).await, ["demo", "new"]);
    stack.process.start_kill().unwrap();
    stack.process.wait().await.unwrap();
}

#[tokio::test]
async fn a_secret_comes_from_the_environment_or_from_a_file_and_is_shown_nowhere() {
    const VALUES: [&str; 2] = ["value-of-the-file", "value-of-the-shell"];
    let folder = Folder::with(
        r#"
[jobs.hash]
command = ["sh", "-c", "printf '[\"%s\", \"%s\"]' $(printf %s \"$FROM_FILE\" | md5sum | cut -c -6) $(printf %s \"$FROM_SHELL\" | md5sum | cut -c -6)"]
secrets = { FROM_FILE = "ssm:/app/key", FROM_SHELL = "secretsmanager:app#key" }

[jobs.without]
command = ["true"]
secrets = { NOWHERE = "ssm:/app/none" }
"#,
    );
    folder.write(".env", &format!("FROM_FILE='{}'\nOTHER=x\n", VALUES[0]));
    let mut start = command(&folder.data(), &[]);
    let stderr = std::fs::File::create(folder.path().join("stderr")).unwrap();
    start.current_dir(folder.path()).env("FROM_SHELL", VALUES[1]).stderr(stderr);
    let stack = Stack::run_as(start, &folder.data()).await;
    assert!(folder.stderr().contains("the secret NOWHERE has no value"), "{}", folder.stderr());
    for pattern in PATTERNS {
        let done = stack.run(pattern, json!({ "job": "hash", "input": null })).await;
        assert_eq!(done["result"], json!(["a13613", "0f2d42"]), "{pattern}: {done:#}");
    }
    let definition = json!({ "taskDefinition": "longhaul-hash" });
    let definition = stack.call("AmazonEC2ContainerServiceV20141113.DescribeTaskDefinition", definition).await;
    assert!(definition.to_string().contains("parameter/FROM_FILE"), "{definition:#}");
    let mut shown = definition.to_string() + &folder.stderr();
    for entry in std::fs::read_dir(folder.data()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            shown += &String::from_utf8_lossy(&std::fs::read(path).unwrap());
        }
    }
    for value in VALUES {
        assert!(!shown.contains(value), "{value} is shown");
    }

    // A task whose secret has no value does not start. A value that is added later helps its next attempt.
    let started = stack.start_execution("sync", &json!({ "job": "without", "input": null })).await;
    let id = started["executionId"].as_str().unwrap();
    let failed = |execution: &Value| execution["timeline"].to_string().contains("task-failed-to-start");
    let timeline = stack.wait_for(id, failed).await["timeline"].to_string();
    let reason = "attempt 1: task-failed-to-start (not counted): ResourceInitializationError: ";
    assert!(timeline.contains(reason) && timeline.contains("parameter/NOWHERE does not exist"), "{timeline}");
    folder.write(".env", "FROM_FILE=x\nNOWHERE=now\n");
    let done = stack.wait_for(id, |execution| execution["done"] == true).await;
    assert_eq!(done["status"], "COMPLETED", "{done:#}");
}
