//! What a job file lets one request say: overrides, retries, and the schema of the input.

use std::path::Path;

use reqwest::StatusCode;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::stack::{Stack, command};

const PATTERNS: [&str; 2] = ["sync", "callback"];

const FILE: &str = r#"
[jobs.show]
description = "Shows what it is given"
command = ["sh", "-c", 'echo "{\"debug\": \"$DEBUG\", \"level\": \"$LEVEL\"}"']
cpu = 256
memory = 512
environment = { DEBUG = "0", LEVEL = "info" }
allow = ["environment.DEBUG", "cpu", "memory"]

[jobs.flaky]
command = ["sh", "-c", 'read code; echo "exits with $code" >&2; exit $code']
retry = { maxAttempts = 3, onExitCodes = [75], backoff = "1s..2s" }

[jobs.print]
command = ["cat"]
input = "order.json"
"#;

const SCHEMA: &str = r#"{
    "type": "object",
    "required": ["order"],
    "properties": { "order": { "type": "string", "maxLength": 5 }, "pages": { "type": "integer", "minimum": 1 } }
}"#;

struct Configured {
    stack: Stack,
    _folder: TempDir,
}

impl std::ops::Deref for Configured {
    type Target = Stack;

    fn deref(&self) -> &Stack {
        &self.stack
    }
}

/// A stack with the jobs of [`FILE`].
async fn start() -> Configured {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("longhaul.toml", FILE);
    write("order.json", SCHEMA);
    let data = folder.path().join(".local");
    let stack = start_in(folder.path(), &data).await;
    Configured { stack, _folder: folder }
}

async fn start_in(folder: &Path, data: &Path) -> Stack {
    let mut command = command(data, &[]);
    command.current_dir(folder);
    Stack::run_as(command, data).await
}

/// The errors of a request that is refused with a 422: pointers, rules and details.
async fn refused(stack: &Stack, path: &str, body: &Value) -> Vec<[String; 3]> {
    let response = stack.post(path).json(body).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::UNPROCESSABLE_ENTITY, "{body}");
    let problem: Value = response.json().await.unwrap();
    assert_eq!(problem["code"], "invalid-body", "{problem:#}");
    let text = |error: &Value| ["pointer", "rule", "detail"].map(|name| error[name].as_str().unwrap().to_owned());
    problem["errors"].as_array().unwrap().iter().map(text).collect()
}

#[tokio::test]
async fn an_allowed_override_reaches_the_task_and_is_repeated_by_a_rerun() {
    let stack = start().await;
    for pattern in PATTERNS {
        let plain = stack.run(pattern, json!({ "job": "show", "input": null })).await;
        assert_eq!(plain["result"], json!({ "debug": "0", "level": "info" }), "{pattern}");
        assert_eq!(plain["overrides"], Value::Null, "{pattern}");

        let body = json!({
            "job": "show",
            "input": null,
            "environment": { "DEBUG": "secret value" },
            "resources": { "cpu": 512, "memoryMiB": 2048 },
        });
        let done = stack.run(pattern, body).await;
        assert_eq!(done["result"], json!({ "debug": "secret value", "level": "info" }), "{pattern}");
        let shown = json!({ "resources": { "cpu": 512, "memoryMiB": 2048 }, "environment": ["DEBUG"] });
        assert_eq!(done["overrides"], shown, "the values of variables are not shown");
        let id = done["executionId"].as_str().unwrap();
        let again = stack.post(&format!("/executions/{id}/rerun")).send().await.unwrap();
        assert_eq!(again.status(), StatusCode::ACCEPTED, "{pattern}");
        let again: Value = again.json().await.unwrap();
        let again = again["executionId"].as_str().unwrap();
        let rerun = stack.wait_for(again, |execution| execution["done"] == true).await;
        assert_eq!((&rerun["result"], &rerun["overrides"]), (&done["result"], &shown), "{pattern}");
        for id in [id, again] {
            let tasks = stack.tasks_of(id).await;
            let overrides = &tasks[0]["overrides"];
            assert_eq!((&overrides["cpu"], &overrides["memory"]), (&json!("512"), &json!("2048")), "{pattern}");
        }
    }
}

#[tokio::test]
async fn a_refused_override_says_what_is_allowed_and_leaves_nothing_behind() {
    let stack = start().await;
    let body = |members: Value| {
        let mut body = json!({ "job": "show", "input": null });
        body.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        body
    };
    let allows = "cannot be set: the job show allows only DEBUG";
    let size = "is 4096, but the job's memory is 512 MiB; with this cpu, memoryMiB must be from 8192 to 30720 in steps of 1024";
    let nothing = "cannot be set: the job flaky does not allow a request to override its resources";
    let reserved = "is set by Longhaul or by AWS; choose another name";
    for (body, expected) in [
        (body(json!({ "environment": { "LEVEL": "x" } })), ["/environment/LEVEL", "override-not-allowed", allows]),
        (
            body(json!({ "environment": { "AWS_REGION": "x" } })),
            ["/environment/AWS_REGION", "invalid-variable", reserved],
        ),
        (body(json!({ "resources": { "cpu": 4_096 } })), ["/resources/cpu", "task-size", size]),
        (
            json!({ "job": "flaky", "input": 0, "resources": { "cpu": 512 } }),
            ["/resources/cpu", "override-not-allowed", nothing],
        ),
    ] {
        for pattern in PATTERNS {
            for path in [format!("/executions/{pattern}"), format!("/executions/{pattern}/validate")] {
                assert_eq!(refused(&stack, &path, &body).await, [expected], "{path} {body}");
            }
        }
    }
    assert_eq!((stack.items().await, stack.tasks().await.len()), (0, 0));
}

#[tokio::test]
async fn only_the_exit_codes_of_the_rule_are_retried() {
    let stack = start().await;
    for pattern in PATTERNS {
        let attempts = async |body: Value| {
            let done = stack.run(pattern, body).await;
            assert_eq!(done["status"], "FAILED", "{pattern}: {done:#}");
            (done["attempt"].as_u64().unwrap(), done["maxAttempts"].as_u64().unwrap(), done["retryOnExitCodes"].clone())
        };
        let job = |code: i32, retry: Value| json!({ "job": "flaky", "input": code, "retry": retry });
        assert_eq!(attempts(job(75, Value::Null)).await, (3, 3, json!([75])), "the job's own rule");
        assert_eq!(attempts(job(1, Value::Null)).await, (1, 3, json!([75])), "not one of its exit codes");
        assert_eq!(attempts(job(75, json!({ "maxAttempts": 2 }))).await, (2, 2, json!([75])));
        let own = json!({ "maxAttempts": 2, "onExitCodes": [1, 2] });
        assert_eq!(attempts(job(1, own.clone())).await, (2, 2, json!([1, 2])), "the request's rule");
        assert_eq!(attempts(job(75, own)).await, (1, 2, json!([1, 2])));
    }
    let empty = refused(&stack, "/executions/sync", &json!({ "job": "flaky", "input": 1, "retry": {} })).await;
    assert_eq!(empty[0][0], "/retry");
}

#[tokio::test]
async fn an_input_that_violates_the_schema_is_refused_with_every_mistake() {
    let stack = start().await;
    let wrong = json!({ "job": "print", "input": { "order": "far too secret", "pages": 0 } });
    for path in ["/executions/sync", "/executions/callback/validate"] {
        let mut found = refused(&stack, path, &wrong).await;
        found.sort();
        let expected = [
            ["/input/order", "input-schema", "has 14 characters; it must have at most 5"],
            ["/input/pages", "input-schema", "must be at least 1"],
        ];
        assert_eq!(found, expected, "{path}");
    }
    assert_eq!(stack.items().await, 0);
    let good = json!({ "order": "A1", "pages": 2 });
    let done = stack.run("sync", json!({ "job": "print", "input": good })).await;
    assert_eq!((&done["status"], &done["result"]), (&json!("COMPLETED"), &good));
}

#[tokio::test]
async fn a_repeated_key_with_other_overrides_is_refused() {
    let stack = start().await;
    let post = async |members: Value| {
        let mut body = json!({ "job": "show", "input": null, "environment": { "DEBUG": "1" } });
        body.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        let request = stack.post("/executions/sync").header("idempotency-key", "k").json(&body);
        let response = request.send().await.unwrap();
        let replayed = response.headers().contains_key("idempotent-replayed");
        (response.status(), replayed, response.json::<Value>().await.unwrap())
    };
    assert_eq!(post(json!({})).await.0, StatusCode::ACCEPTED);
    assert!(post(json!({})).await.1, "the same request");
    for (members, named) in [
        (json!({ "environment": { "DEBUG": "secret" } }), "environment"),
        (json!({ "resources": { "memoryMiB": 1024 } }), "resources"),
        (json!({ "retry": { "maxAttempts": 2 } }), "retry"),
        (json!({ "retry": { "onExitCodes": [75] } }), "retry"),
    ] {
        let (status, _, problem) = post(members).await;
        assert_eq!((status, &problem["code"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("idempotency-key-reused")));
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(&format!("differs in: {named};")) && !detail.contains("secret"), "{detail}");
    }
}

#[tokio::test]
async fn the_list_of_jobs_says_what_a_request_may_say() {
    let stack = start().await;
    let list: Value = stack.get("/jobs").send().await.unwrap().json().await.unwrap();
    let job = |name: &str| list["jobs"].as_array().unwrap().iter().find(|job| job["name"] == name).unwrap().clone();
    let show = job("show");
    assert_eq!(show["description"], "Shows what it is given");
    assert_eq!(show["resources"], json!({ "cpu": 256, "memoryMiB": 512 }));
    assert_eq!(show["allow"], json!({ "environment": ["DEBUG"], "cpu": true, "memory": true }));
    let rule = json!({ "maxAttempts": 3, "onExitCodes": [75], "backoffSeconds": { "first": 1, "longest": 2 } });
    assert_eq!(job("flaky")["retry"], rule);
    assert_eq!(job("print")["inputSchema"], serde_json::from_str::<Value>(SCHEMA).unwrap());
}
