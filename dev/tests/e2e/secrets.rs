//! Payloads of callers and results of jobs are never logged, at any log level.

use std::{fs::File, process::Stdio};

use serde_json::{Value, json};

use crate::stack::{Stack, command};

/// Texts that must not be in a log.
const PLANTED: [&str; 4] = ["planted-input", "planted-tag", "planted-result", "planted-key"];

#[tokio::test]
async fn no_payload_is_logged_even_at_trace_level() {
    let directory = tempfile::tempdir().unwrap();
    let stderr = directory.path().join("stderr");
    let data = directory.path().join("data");
    let job = r#"job=sh -c 'cat > /dev/null; echo "{\"text\": \"planted-result\"}"'"#;
    let mut start = command(&data, &["--job", job]);
    start.env("RUST_LOG", "trace").stderr(Stdio::from(File::create(&stderr).unwrap()));
    let stack = Stack::run_as(start, &data).await;
    for pattern in ["sync", "callback"] {
        // A large input, so that the worker reads it from the table.
        let input = json!({ "text": "planted-input", "more": "x".repeat(8 * 1024) });
        let body = json!({ "job": "job", "input": input, "tags": { "tag": "planted-tag" } });
        let request = stack
            .post(&format!("/executions/{pattern}"))
            .header("idempotency-key", "planted-key-".to_owned() + pattern);
        let started: Value = request.json(&body).send().await.unwrap().json().await.unwrap();
        let id = started["executionId"].as_str().unwrap();
        let over = stack.wait_for(id, |execution| execution["done"] == true).await;
        assert_eq!(over["result"], json!({ "text": "planted-result" }), "{over:#}");
    }
    let groups = stack.call("Logs_20140328.DescribeLogGroups", json!({})).await;
    let groups: Vec<_> = groups["logGroups"].as_array().unwrap().iter().map(|group| &group["logGroupName"]).collect();
    assert!(groups.len() > 3, "{groups:?}");
    let mut lines = 0;
    for group in groups {
        for message in messages(&stack, group).await {
            lines += 1;
            // The line that the job prints is allowed.
            if group == "/ecs/longhaul" && message == r#"{"text": "planted-result"}"# {
                continue;
            }
            assert_no_payload(&message, group.as_str().unwrap());
        }
    }
    assert!(lines > 10, "{lines} lines");
    let stderr = std::fs::read(&stderr).unwrap();
    assert_no_payload(&String::from_utf8_lossy(&stderr), "stderr");
}

async fn messages(stack: &Stack, group: &Value) -> Vec<String> {
    let mut messages = Vec::new();
    let mut token = Value::Null;
    loop {
        let ask = json!({ "logGroupName": group, "nextToken": token });
        let page = stack.call("Logs_20140328.FilterLogEvents", ask).await;
        let events = page["events"].as_array().unwrap().iter();
        messages.extend(events.map(|event| event["message"].as_str().unwrap().to_owned()));
        token = page["nextToken"].clone();
        if token.is_null() {
            return messages;
        }
    }
}

fn assert_no_payload(text: &str, place: &str) {
    for planted in PLANTED {
        let found = text.lines().find(|line| line.contains(planted));
        assert_eq!(found, None, "{planted} is in {place}");
    }
}
