//! The list of jobs, and real programs as jobs, well-behaved and misbehaving: each execution ends as documented.

use std::time::{Duration, Instant};

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::stack::{Stack, eventually};

const PATTERNS: [&str; 2] = ["sync", "callback"];

async fn run(stack: &Stack, pattern: &str, job: &str) -> Value {
    stack.run(pattern, json!({ "job": job, "input": {} })).await
}

#[tokio::test]
async fn the_python_example_counts_words() {
    let stack = Stack::start(&["--job", "wordcount=python3 examples/container/wordcount.py"]).await;
    // Too large for the overrides of RunTask, so the worker reads it from the table.
    let long = "the quick brown fox ".repeat(2_000);
    for pattern in PATTERNS {
        for (text, words) in [("the cat and the dog", 5), (long.as_str(), 8_000)] {
            let done = stack.run(pattern, json!({ "job": "wordcount", "input": { "text": text } })).await;
            assert_eq!((&done["status"], &done["result"]["words"]), (&json!("COMPLETED"), &json!(words)), "{pattern}");
        }
    }
}

#[tokio::test]
async fn the_error_of_a_failed_job_shows_how_it_failed() {
    let fails = "fails=echo working; echo '{\"half\": true}'; echo no such order >&2; exit 3";
    let stack =
        Stack::start(&["--job", fails, "--job", "missing=no-such-program", "--job", "crashes=kill -9 $$"]).await;
    for pattern in PATTERNS {
        let done = run(&stack, pattern, "fails").await;
        let error = &done["error"];
        assert_eq!(
            (&done["status"], &error["type"], &error["exitCode"]),
            (&json!("FAILED"), &json!("exit-code"), &json!(3))
        );
        // The worker reads stderr separately. The log has both streams, in the order in which they were forwarded.
        let tail = error["logTail"].as_str().unwrap();
        let complete = if pattern == "callback" { tail == "no such order" } else { tail.contains("no such order") };
        assert!(complete && error["message"] == "exited with code 3", "{pattern}: {error}");
        assert_eq!(done["result"], json!({ "half": true }), "a failed job has a result too");

        let done = run(&stack, pattern, "missing").await;
        assert_eq!((&done["error"]["type"], &done["exitCode"]), (&json!("command-not-found"), &json!(127)), "{done:#}");

        let done = run(&stack, pattern, "crashes").await;
        assert_eq!((&done["error"]["type"], &done["exitCode"]), (&json!("signal"), &json!(137)), "{done:#}");
    }
}

#[tokio::test]
async fn a_job_that_prints_no_json_completes_without_a_result() {
    let stack = Stack::start(&["--job", "plain=echo all is well", "--job", "silent=true"]).await;
    for pattern in PATTERNS {
        for task in ["plain", "silent"] {
            let done = run(&stack, pattern, task).await;
            assert_eq!((&done["status"], &done["result"]), (&json!("COMPLETED"), &Value::Null), "{pattern} {task}");
        }
    }
}

#[tokio::test]
async fn a_result_is_complete_and_has_its_source() {
    let jobs = [
        r#"pretty=printf '{"a": {"b": [1, 2]}, "c": null}' | python3 -m json.tool; echo done"#,
        r#"file=printf '7' | tee "$EXECUTION_RESULT_FILE" >/dev/null; echo '{"level": "info"}'"#,
        r#"object=echo '{"n": 1}' > "$EXECUTION_RESULT_FILE"; echo '{"level": "info"}'"#,
        r#"broken=echo '{"n": 1}'; echo "{'n': 2}""#,
    ];
    let stack = Stack::start(&jobs.map(|job| ["--job", job]).concat()).await;
    for (pattern, reports) in [("sync", true), ("callback", true), ("sync", false)] {
        let denied = if reports { None } else { Some(stack.deny_reports().await) };
        let [printed, file] = if reports { ["stdout", "file"] } else { ["log", "log"] };
        for (task, source, result) in [
            ("pretty", printed, json!({ "a": { "b": [1, 2] }, "c": null })),
            ("object", file, json!({ "n": 1 })),
            ("broken", "none", Value::Null),
        ] {
            let done = run(&stack, pattern, task).await;
            assert_eq!((&done["status"], &done["result"]), (&json!("COMPLETED"), &result), "{pattern} {task}");
            assert_eq!(done["resultSource"], source, "{pattern} {task}");
            let told = done["timeline"].as_array().unwrap().iter().any(|entry| entry["what"] == "noResult");
            assert_eq!(told, task == "broken", "{done:#}");
        }
        if let Some(denied) = denied {
            stack.disarm(denied).await;
            continue;
        }
        let done = run(&stack, pattern, "file").await;
        let result = (&done["result"], &done["resultSource"]);
        assert_eq!(result, (&json!(7), &json!("file")), "a file may contain any JSON value: {pattern}");
    }
}

/// The job saves its work on SIGTERM and exits with 0.
#[tokio::test]
async fn a_job_that_exits_on_sigterm_keeps_its_exit_code_and_result() {
    let saves = r#"saves=trap 'echo "{\"saved\": 3}"; exit 0' TERM; echo ready; while :; do sleep 0.1; done"#;
    let stack = Stack::start(&["--job", saves]).await;
    for pattern in PATTERNS {
        let id = stack.start_running(pattern, "saves").await;
        // Wait until the job has set its trap.
        eventually("a line in the log", async || {
            let log = stack.get(&format!("/executions/{id}/logs")).send().await.unwrap();
            let log: Value = log.json().await.unwrap();
            (!log["lines"].as_array()?.is_empty()).then_some(())
        })
        .await;
        let cancelled = stack.post(&format!("/executions/{id}/cancel")).send().await.unwrap();
        assert_eq!(cancelled.status(), StatusCode::ACCEPTED);
        let cancelled = stack.wait_for(&id, |execution| execution["done"] == true).await;
        let late = stack.run(pattern, json!({ "job": "saves", "input": null, "timeoutSeconds": 2 })).await;
        for (done, status) in [(cancelled, "CANCELLED"), (late, "TIMED_OUT")] {
            let outcome = (&done["status"], &done["exitCode"], &done["result"]);
            assert_eq!(outcome, (&json!(status), &json!(0), &json!({ "saved": 3 })), "{pattern}: {done:#}");
            let times = ["startedAt", "finishedAt"].map(|name| done[name].as_str().unwrap().to_owned());
            assert!(times[0] <= times[1], "{pattern}: {times:?}");
        }
    }
}

#[tokio::test]
async fn a_job_may_print_megabytes_but_its_result_is_limited() {
    let lines =
        "lines=yes 'a line of some length, to make it five megabytes' | head -c 5000000; echo; echo '{\"n\": 1}'";
    let one = "one=python3 -c 'print(\"x\" * 5_000_000); print(\"[1]\")'";
    let large = "large=python3 -c 'import json; print(json.dumps([\"x\" * 5_000_000]))'";
    let limit = "limit=python3 -c 'import json; print(json.dumps([\"x\" * 204_797]))'";
    let stack = Stack::start(&["--job", lines, "--job", one, "--job", large, "--job", limit]).await;
    for pattern in PATTERNS {
        let done = run(&stack, pattern, "lines").await;
        assert_eq!((&done["status"], &done["result"]), (&json!("COMPLETED"), &json!({ "n": 1 })), "{pattern}");
        let done = run(&stack, pattern, "one").await;
        assert_eq!((&done["status"], &done["result"]), (&json!("COMPLETED"), &json!([1])), "{pattern}");
        for task in ["large", "limit"] {
            let done = run(&stack, pattern, task).await;
            assert_eq!(
                (&done["status"], &done["error"]["type"]),
                (&json!("FAILED"), &json!("result-too-large")),
                "{pattern}"
            );
            assert_eq!(done["result"], Value::Null);
        }
    }
}

#[tokio::test]
async fn a_job_that_ignores_sigterm_is_killed_after_its_deadline() {
    let stubborn = "stubborn=trap '' TERM; echo '[1]'; while :; do sleep 0.2; done";
    let began = Instant::now();
    let stack = Stack::start(&["--job", stubborn, "--env", "EXECUTION_STOP_TIMEOUT=2"]).await;
    let both =
        PATTERNS.map(|pattern| stack.run(pattern, json!({ "job": "stubborn", "input": null, "timeoutSeconds": 2 })));
    let [sync, callback] = both;
    let (sync, callback) = tokio::join!(sync, callback);
    for done in [sync, callback] {
        assert_eq!((&done["status"], &done["error"]["type"]), (&json!("TIMED_OUT"), &json!("timed-out")), "{done:#}");
        assert_eq!(done["exitCode"], 137, "only SIGKILL ends it: {done:#}");
    }
    assert!(
        began.elapsed() < Duration::from_secs(25),
        "the job's own stop timeout must apply, not the default of 30 s"
    );
}

#[tokio::test]
async fn the_list_of_jobs_has_every_job_and_the_default() {
    let stack = Stack::start(&["--job", "quick=echo '[1]'"]).await;
    let list: Value = stack.get("/jobs").send().await.unwrap().json().await.unwrap();
    let job = |name: &str, default| {
        json!({
            "name": name,
            "default": default,
            "timeoutSeconds": 86_400,
            "retry": { "maxAttempts": 1, "backoffSeconds": { "first": 5, "longest": 300 } },
            "allow": { "environment": [], "cpu": false, "memory": false },
        })
    };
    let mut quick = job("quick", false);
    quick["resources"] = json!({ "cpu": 256, "memoryMiB": 512 });
    assert_eq!(list, json!({ "jobs": [job("demo", true), quick] }));
}
