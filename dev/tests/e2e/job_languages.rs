//! The same job in five languages (`examples/jobs`) behaves in the same way in both patterns: its result, its refusal of a bad input, its
//! log, and its end on SIGTERM.

use std::{fs, path::Path};

use reqwest::StatusCode;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

use crate::stack::{LONGHAUL, Stack, command, eventually, root};

const LANGUAGES: [&str; 5] = ["python", "javascript", "go", "rust", "shell"];

/// A copy of the example, with the programs built that have to be.
async fn built() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let example = root().join("examples/jobs");
    for file in ["longhaul.toml", "python/total.py", "javascript/total.mjs", "go/total.go", "shell/total.sh"] {
        let copy = folder.path().join(file);
        fs::create_dir_all(copy.parent().unwrap()).unwrap();
        fs::copy(example.join(file), copy).unwrap();
    }
    for language in LANGUAGES {
        fs::create_dir_all(folder.path().join(language)).unwrap();
        fs::copy(example.join(language).join("Dockerfile"), folder.path().join(language).join("Dockerfile")).unwrap();
    }
    // Built by `cargo build --workspace --bins`, beside the stack.
    fs::copy(Path::new(LONGHAUL).with_file_name("total"), folder.path().join("rust/total")).unwrap();
    let go = ["build", "-o", "total", "total.go"];
    let built = Command::new("go").args(go).current_dir(folder.path().join("go")).status().await.unwrap();
    assert!(built.success());
    folder
}

async fn start(folder: &Path) -> Stack {
    let data = folder.join(".local");
    let mut command = command(&data, &["--log-reads", "1000"]);
    command.current_dir(folder);
    Stack::run_as(command, &data).await
}

/// What an execution has printed; `None` if there is no log yet.
async fn printed(stack: &Stack, id: &str) -> Option<Vec<String>> {
    let log = stack.get(&format!("/executions/{id}/logs")).send().await.unwrap();
    let log: Value = log.json().await.unwrap();
    Some(log["lines"].as_array()?.iter().map(|line| line["text"].as_str().unwrap().to_owned()).collect())
}

#[tokio::test]
async fn a_job_in_each_language_returns_its_result_and_refuses_a_bad_input() {
    let folder = built().await;
    let stack = start(folder.path()).await;
    for language in LANGUAGES {
        let job = format!("total-{language}");
        for pattern in ["sync", "callback"] {
            let done = stack.run(pattern, json!({ "job": job, "input": { "numbers": [1, 2, 3] } })).await;
            assert_eq!(done["result"], json!({ "total": 6, "added": 3 }), "{job}, {pattern}: {done:#}");
            assert_eq!(done["resultSource"], "file", "{job}, {pattern}");
            let lines = printed(&stack, done["executionId"].as_str().unwrap()).await.unwrap();
            assert_eq!(lines, ["added 1 of 3", "added 2 of 3", "added 3 of 3"], "{job}, {pattern}");

            let refused = stack.run(pattern, json!({ "job": job, "input": { "numbers": [1, "2"] } })).await;
            assert_eq!((&refused["status"], &refused["exitCode"]), (&json!("FAILED"), &json!(2)), "{job}, {pattern}");
            let tail = refused["error"]["logTail"].as_str().unwrap();
            assert!(tail.contains("the input needs a list of whole numbers in `numbers`"), "{job}, {pattern}: {tail}");
        }
    }
}

#[tokio::test]
async fn a_job_in_each_language_keeps_what_it_has_done_when_it_is_cancelled() {
    let folder = built().await;
    let stack = start(folder.path()).await;
    for language in LANGUAGES {
        let job = format!("total-{language}");
        for pattern in ["sync", "callback"] {
            // The pause is short enough for the programs that finish it before they stop.
            let input = json!({ "numbers": vec![1; 1_000], "secondsEach": 0.5 });
            let started = stack.start_execution(pattern, &json!({ "job": job, "input": input })).await;
            let id = started["executionId"].as_str().unwrap();
            eventually("some progress", async || printed(&stack, id).await.filter(|lines| !lines.is_empty())).await;
            let cancelled = stack.post(&format!("/executions/{id}/cancel")).send().await.unwrap();
            assert_eq!(cancelled.status(), StatusCode::ACCEPTED);
            let done = stack.wait_for(id, |execution| execution["done"] == true).await;
            let outcome = (&done["status"], &done["exitCode"], &done["resultSource"]);
            assert_eq!(outcome, (&json!("CANCELLED"), &json!(75), &json!("file")), "{job}, {pattern}: {done:#}");
            let added = done["result"]["added"].as_u64().unwrap();
            assert!((1..1_000).contains(&added), "{job}, {pattern}: {done:#}");
        }
    }
}

/// The first block of this kind in a document.
fn block<'a>(document: &'a str, kind: &str) -> &'a str {
    let (_, rest) = document.split_once(&format!("```{kind}\n")).unwrap();
    rest.split_once("```").unwrap().0
}

#[tokio::test]
async fn the_first_job_of_the_guide_runs_as_the_guide_says() {
    let guide = fs::read_to_string(root().join("docs/writing-a-job.md")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("longhaul.toml"), block(&guide, "toml")).unwrap();
    fs::write(folder.path().join("greet.py"), block(&guide, "python")).unwrap();
    let (_, body) = block(&guide, "text").split_once("\"result\":").unwrap();
    let stack = start(folder.path()).await;
    for pattern in ["sync", "callback"] {
        let done = stack.run(pattern, json!({ "job": "greet", "input": { "name": "Ada" } })).await;
        assert_eq!(done["result"], serde_json::from_str::<Value>(body).unwrap(), "{pattern}: {done:#}");
        assert_eq!(
            printed(&stack, done["executionId"].as_str().unwrap()).await.unwrap(),
            ["greeting Ada"],
            "{pattern}"
        );
    }
}
