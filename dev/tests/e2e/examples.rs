//! Runs the examples as their READMEs describe.

use std::{collections::BTreeSet, fs, path::Path, process::Stdio};

use serde_json::{Value, json};
use tokio::process::Command;

use crate::stack::{LONGHAUL, PATIENCE, Stack, root};

/// The test file that runs each example. It must mention the example's directory.
const RUN_BY: [(&str, &str); 7] = [
    ("container", "deploy/tests/test_image.py"),
    ("jobs", "dev/tests/e2e/job_languages.rs"),
    ("node", "dev/tests/e2e/examples.rs"),
    ("python-batch", "dev/tests/e2e/examples.rs"),
    ("rust", "dev/tests/e2e/examples.rs"),
    ("shell", "dev/tests/e2e/examples.rs"),
    ("web-page", "clients/typescript/test/browser/example.test.ts"),
];

#[test]
fn every_example_has_a_readme_and_is_run() {
    let directories: BTreeSet<String> = fs::read_dir(root().join("examples"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let run: BTreeSet<String> = RUN_BY.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(directories, run);
    for (name, by) in RUN_BY {
        let readme = root().join("examples").join(name).join("README.md");
        assert!(readme.exists(), "{} is missing", readme.display());
        let runner = fs::read_to_string(root().join(by)).unwrap();
        assert!(runner.contains(&format!("examples/{name}")), "{by} does not run examples/{name}");
    }
}

#[tokio::test]
async fn the_python_batch_reports_progress_and_refused_items() {
    let stack = Stack::start(&["--job", "batch=python3 examples/python-batch/batch.py"]).await;
    let input = json!({ "prices": ["9.99 EUR", "12 USD", "free"], "rates": { "EUR": 1.08, "USD": 1 } });
    let done = stack.run("callback", json!({ "job": "batch", "input": input })).await;
    assert_eq!((&done["status"], &done["resultSource"]), (&json!("COMPLETED"), &json!("file")), "{done:#}");
    assert_eq!(done["result"]["converted"], json!({ "9.99 EUR": "10.79", "12 USD": "12.00" }));
    assert_eq!(done["result"]["refused"].as_object().unwrap().keys().collect::<Vec<_>>(), ["free"]);
    let log = log(&stack, &done).await;
    assert_eq!(log, ["1 of 3 (33 %)", "2 of 3 (66 %)", "3 of 3 (100 %)"]);

    let refused = stack.run("callback", json!({ "job": "batch", "input": [] })).await;
    assert_eq!((&refused["status"], &refused["exitCode"]), (&json!("FAILED"), &json!(2)), "{refused:#}");
}

#[tokio::test]
async fn the_shell_script_archives_a_directory() {
    let stack = Stack::start(&["--job", "archive=examples/shell/archive.sh"]).await;
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("data");
    fs::create_dir(&directory).unwrap();
    fs::write(directory.join("one"), "1").unwrap();
    let done = stack.run("sync", json!({ "job": "archive", "input": { "directory": directory } })).await;
    assert_eq!(done["status"], "COMPLETED", "{done:#}");
    let archive = folder.path().join("data.tar.gz");
    let bytes = fs::metadata(&archive).unwrap().len();
    assert_eq!((&done["result"]["archive"], &done["result"]["bytes"]), (&json!(archive), &json!(bytes)));
    assert_eq!(done["result"]["sha256"].as_str().unwrap().len(), 64);
    assert!(log(&stack, &done).await.contains(&"./one".to_owned()));

    for (input, code) in [(json!({}), 2), (json!({ "directory": "/no/such" }), 3)] {
        let refused = stack.run("sync", json!({ "job": "archive", "input": input })).await;
        assert_eq!((&refused["status"], &refused["exitCode"]), (&json!("FAILED"), &json!(code)), "{refused:#}");
    }
}

#[tokio::test]
async fn the_rust_program_finds_its_execution_again() {
    let stack = Stack::start(&[]).await;
    // Built by `cargo build --workspace --bins` from examples/rust, beside the stack.
    let program = Path::new(LONGHAUL).with_file_name("start-and-wait");
    let once = async || output(Command::new(&program).args([&stack.api, "hello-1"])).await;
    let (first, again) = (once().await, once().await);
    assert_eq!(first.first(), again.first(), "the same execution");
    assert_eq!(first.last(), again.last(), "the same result");
    let result: Value = serde_json::from_str(first.last().unwrap()).unwrap();
    assert_eq!(result["message"], "Hello");
    assert_eq!(stack.items().await, 1);
}

/// `make client-built` builds the client that it uses.
#[tokio::test]
async fn the_node_program_runs_three_jobs() {
    let client = root().join("clients/typescript/dist/index.js");
    assert!(client.exists(), "{} is missing: `make client-built` builds it", client.display());
    let stack = Stack::start(&[]).await;
    let directory = root().join("examples/node");
    output(Command::new("npm").args(["ci", "--offline", "--silent"]).current_dir(&directory)).await;
    let lines = output(Command::new("node").args(["start.mjs", &stack.api]).current_dir(&directory)).await;
    assert_eq!(lines[..3], ["Hello", "Bonjour", "failed: exit-code"]);
    let mut listed: Vec<_> = lines[3..].iter().map(|line| line.split_once(' ').unwrap().1).collect();
    listed.sort_unstable();
    assert_eq!(listed, ["COMPLETED", "COMPLETED", "FAILED"]);
}

/// What a job printed.
async fn log(stack: &Stack, execution: &Value) -> Vec<String> {
    let logs: Value =
        stack.get(execution["links"]["logs"].as_str().unwrap()).send().await.unwrap().json().await.unwrap();
    logs["lines"].as_array().unwrap().iter().map(|line| line["text"].as_str().unwrap().to_owned()).collect()
}

/// Runs a program that must succeed, and returns the lines that it prints.
async fn output(command: &mut Command) -> Vec<String> {
    let running = command.stdin(Stdio::null()).stderr(Stdio::inherit()).kill_on_drop(true).output();
    let done = tokio::time::timeout(PATIENCE, running).await.unwrap().unwrap();
    let text = String::from_utf8(done.stdout).unwrap();
    assert!(done.status.success(), "{}: {text}", done.status);
    text.lines().map(str::to_owned).collect()
}
