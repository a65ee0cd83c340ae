//! Executions that start later, or that must start in time.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::{
    dead_workflows::{stop_workflow, without_events_and_sweeps},
    stack::{Stack, eventually, header},
};

const PATTERNS: [&str; 2] = ["sync", "callback"];

/// How much later than its start time an execution may start on a busy machine. A workflow waits in whole seconds.
const LATE: SignedDuration = SignedDuration::from_secs(4);

/// The longest delay: 366 days.
const LONGEST: u64 = 366 * 86_400;

fn time(value: &Value) -> Timestamp {
    value.as_str().unwrap().parse().unwrap()
}

/// When the timeline says that this happened.
fn moment(execution: &Value, what: &str) -> Timestamp {
    let entries = execution["timeline"].as_array().unwrap();
    let entry = entries.iter().find(|entry| entry["what"] == what);
    time(&entry.unwrap_or_else(|| panic!("{what}: {execution:#}"))["at"])
}

/// Checks that an execution has completed, and that its start time came before its task was started, and not much before.
fn assert_started_in_time(done: &Value) {
    assert_eq!(done["status"], "COMPLETED", "{done:#}");
    let start = time(&done["scheduledFor"]);
    let (due, task) = (moment(done, "due"), moment(done, "taskStarted"));
    assert!(due >= start && task >= due, "it started too early: {done:#}");
    let late = due.duration_since(start);
    println!("{}: due {late:#} after its start time, its task {:#}", done["pattern"], task.duration_since(start));
    assert!(late < LATE, "it started {late:#} late: {done:#}");
}

async fn now(stack: &Stack) -> Timestamp {
    time(&stack.local("clock").await["now"])
}

async fn cancel(stack: &Stack, id: &str) -> (StatusCode, Value) {
    let response = stack.post(&format!("/executions/{id}/cancel")).send().await.unwrap();
    (response.status(), response.json().await.unwrap())
}

async fn sweep(stack: &Stack) {
    stack.reconcile(json!({ "source": "aws.events", "detail-type": "Scheduled Event" })).await;
}

#[tokio::test]
async fn an_execution_starts_at_its_time_to_the_second() {
    let stack = Stack::start(&["--job", "quick=echo '[1]'"]).await;
    let keyed = async |path: &str, body: &Value| {
        let request = stack.post(&format!("/executions/sync{path}")).header("idempotency-key", "later");
        let response = request.json(body).send().await.unwrap();
        (response.status(), response.json::<Value>().await.unwrap())
    };
    let mut ids = Vec::new();
    for pattern in PATTERNS {
        let start = now(&stack).await + Duration::from_secs(5);
        for when in [json!({ "startAt": start.to_string() }), json!({ "delaySeconds": 5 })] {
            let mut body = json!({ "job": "quick", "input": null, "timeoutSeconds": 60 });
            body.as_object_mut().unwrap().append(&mut when.as_object().unwrap().clone());
            let response = stack.post(&format!("/executions/{pattern}")).json(&body).send().await.unwrap();
            assert_eq!(response.status(), StatusCode::ACCEPTED);
            let poll: u64 = header(&response, "retry-after").parse().unwrap();
            assert!((3..=5).contains(&poll), "{poll}");
            let started: Value = response.json().await.unwrap();
            assert_eq!((&started["status"], &started["done"]), (&json!("SCHEDULED"), &json!(false)), "{started:#}");
            let timeout = time(&started["deadline"]).duration_since(time(&started["scheduledFor"]));
            assert_eq!(timeout, SignedDuration::from_secs(60), "the timeout counts from the start");
            ids.push(started["executionId"].as_str().unwrap().to_owned());
        }
    }
    // A repeat is the same request, although the same delay now means another time.
    let body = json!({ "job": "quick", "input": null, "delaySeconds": 3 });
    let (_, first) = keyed("", &body).await;
    let (_, checked) = keyed("/validate", &body).await;
    assert_eq!((&checked["executionId"], &checked["replay"]), (&first["executionId"], &json!(true)), "{checked:#}");
    let listed: Value = stack.get("/executions?status=SCHEDULED").send().await.unwrap().json().await.unwrap();
    assert_eq!(listed["executions"].as_array().unwrap().len(), 5, "{listed:#}");
    for id in &ids {
        assert_started_in_time(&stack.wait_for(id, |execution| execution["done"] == true).await);
    }
    let (status, again) = keyed("", &body).await;
    assert_eq!((status, &again["scheduledFor"]), (StatusCode::OK, &first["scheduledFor"]), "{again:#}");
    let (_, other) = keyed("", &json!({ "job": "quick", "input": null, "delaySeconds": 4 })).await;
    assert!(other["detail"].as_str().unwrap().contains("differs in: delaySeconds"), "{other:#}");

    // A start that is not ahead, and a rerun, are started at once.
    let past = json!({ "job": "quick", "input": null, "startAt": "2020-01-01T00:00:00+01:00" });
    let at_once = stack.start_execution("sync", &past).await;
    assert_eq!((&at_once["status"], &at_once["scheduledFor"]), (&json!("PENDING"), &Value::Null), "{at_once:#}");
    let rerun = stack.post(&format!("/executions/{}/rerun", ids[0])).send().await.unwrap();
    let rerun: Value = rerun.json().await.unwrap();
    assert_eq!((&rerun["status"], &rerun["scheduledFor"]), (&json!("PENDING"), &Value::Null), "{rerun:#}");
}

/// No durable execution exists while it waits, because it may only live 366 days. The sweep starts it, and a crash of a function does not
/// matter.
#[tokio::test]
async fn an_execution_a_year_ahead_is_started_by_the_sweep() {
    let stack = Stack::start(&["--movable-clock", "--job", "quick=echo '[1]'"]).await;
    let mut ids = Vec::new();
    for pattern in PATTERNS {
        let body = json!({ "job": "quick", "input": null, "delaySeconds": LONGEST, "timeoutSeconds": 365 * 86_400 });
        let started = stack.start_execution(pattern, &body).await;
        assert!(started.get("durableExecutionArn").is_none(), "{started:#}");
        ids.push((pattern, started["executionId"].as_str().unwrap().to_owned()));
    }
    let body = json!({ "job": "quick", "input": null, "delaySeconds": LONGEST });
    let cancelled = stack.start_execution("sync", &body).await["executionId"].as_str().unwrap().to_owned();
    let (status, over) = cancel(&stack, &cancelled).await;
    assert_eq!((status, &over["status"]), (StatusCode::OK, &json!("CANCELLED")), "{over:#}");
    stack.forward(Duration::from_secs(LONGEST - 600)).await;
    sweep(&stack).await;
    for (pattern, id) in &ids {
        assert!(stack.durable_executions(pattern, id).await.is_empty());
    }
    let crash = json!({ "on": "dynamodb:PutItem", "by": "longhaul-sync", "execution": ids[0].1, "does": "killAfter" });
    let crash = stack.arm(&crash).await;
    stack.forward(Duration::from_secs(520)).await;
    sweep(&stack).await;
    for (_, id) in &ids {
        let execution = stack.wait_for(id, |execution| execution.get("durableExecutionArn").is_some()).await;
        assert_eq!(execution["status"], "SCHEDULED", "{execution:#}");
        eventually("its workflow to wait", async || stack.item(id).await.get("wake").map(|_| ())).await;
    }
    assert_eq!(stack.fault(crash).await["hit"], 1);
    stack.forward(Duration::from_secs(70)).await;
    for (_, id) in &ids {
        assert_started_in_time(&stack.wait_for(id, |execution| execution["done"] == true).await);
        assert_eq!(stack.tasks_of(id).await.len(), 1);
    }
    assert!(stack.durable_executions("sync", &cancelled).await.is_empty());
}

#[tokio::test]
async fn a_workflow_that_died_before_the_start_fails_its_execution() {
    let stack = Stack::start(&["--movable-clock", "--job", "quick=echo '[1]'"]).await;
    without_events_and_sweeps(&stack).await;
    let mut ids = Vec::new();
    for pattern in PATTERNS {
        let body = json!({ "job": "quick", "input": null, "delaySeconds": 100 });
        let id = stack.start_execution(pattern, &body).await["executionId"].as_str().unwrap().to_owned();
        let arn = eventually("its workflow to wait", async || {
            let item = stack.item(&id).await;
            item.get("wake").map(|_| item["durableExecutionArn"]["S"].as_str().unwrap().to_owned())
        });
        let arn = arn.await;
        stack.wait_for_sleep(&arn).await;
        stop_workflow(&stack, &arn).await;
        ids.push(id);
    }
    // A cancelled execution leaves its workflow waiting; that ends at the start time and starts nothing.
    let body = json!({ "job": "quick", "input": null, "delaySeconds": 100 });
    let cancelled = stack.start_execution("sync", &body).await["executionId"].as_str().unwrap().to_owned();
    let arn = stack.wait_for(&cancelled, |execution| execution.get("durableExecutionArn").is_some()).await;
    let arn = arn["durableExecutionArn"].as_str().unwrap().to_owned();
    assert_eq!(cancel(&stack, &cancelled).await.1["status"], "CANCELLED");
    stack.forward(Duration::from_secs(110)).await;
    sweep(&stack).await;
    for id in &ids {
        let done = stack.wait_for(id, |execution| execution["done"] == true).await;
        assert_eq!((&done["status"], &done["error"]["type"]), (&json!("FAILED"), &json!("workflow-failed")));
    }
    eventually("the workflow of the cancelled execution to end", async || {
        (stack.durable_execution(&arn).await["Status"] == "FAILED").then_some(())
    })
    .await;
    assert_eq!(stack.tasks().await.len(), 0);
}

#[tokio::test]
async fn an_execution_that_cannot_start_in_time_expires() {
    let stack = Stack::start(&["--movable-clock", "--job", "works=true"]).await;
    let full = stack.arm(&json!({ "on": "ecs:RunTask", "does": "throttle", "times": "all" })).await;
    for pattern in PATTERNS {
        let latest = now(&stack).await + Duration::from_secs(5);
        let body = json!({ "job": "works", "input": null, "delaySeconds": 1, "startBefore": latest.to_string() });
        let over = stack.run(pattern, body).await;
        let error = &over["error"];
        assert_eq!((&over["status"], &error["type"]), (&json!("EXPIRED"), &json!("not-started-in-time")), "{over:#}");
        assert!(error["message"].as_str().unwrap().contains("ECS had no capacity"), "{over:#}");
        assert!(time(&over["finishedAt"]) >= latest && over.get("startedAt").is_none(), "{over:#}");
    }
    stack.disarm(full).await;
    let latest = now(&stack).await + Duration::from_mins(1);
    let body = json!({ "job": "works", "input": null, "startBefore": latest.to_string() });
    assert_eq!(stack.run("sync", body).await["status"], "COMPLETED");
    // No workflow can be started, so the sweep records it.
    let refuse =
        json!({ "on": "lambda:Invoke", "does": "fail", "times": "all", "execution": Stack::id_of_key("late") });
    stack.arm(&refuse).await;
    let latest = now(&stack).await + Duration::from_secs(400);
    let body = json!({ "job": "works", "input": null, "delaySeconds": 300, "startBefore": latest.to_string() });
    let request = stack.post("/executions/sync").header("idempotency-key", "late").json(&body);
    let id = request.send().await.unwrap().json::<Value>().await.unwrap()["executionId"].as_str().unwrap().to_owned();
    stack.forward(Duration::from_secs(500)).await;
    sweep(&stack).await;
    let over = stack.wait_for(&id, |execution| execution["done"] == true).await;
    assert_eq!(over["status"], "EXPIRED", "{over:#}");
    let listed: Value = stack.get("/executions?status=EXPIRED").send().await.unwrap().json().await.unwrap();
    assert_eq!(listed["executions"].as_array().unwrap().len(), 3, "{listed:#}");
}

#[tokio::test]
async fn a_start_that_is_not_possible_is_refused() {
    let stack = Stack::start(&[]).await;
    let today = now(&stack).await;
    let time = |days: i64| (today + SignedDuration::from_hours(days * 24)).to_string();
    let cases = [
        (json!({ "startAt": time(1), "delaySeconds": 5 }), "/delaySeconds"),
        (json!({ "startAt": time(367) }), "/startAt"),
        (json!({ "startAt": "9999-12-31T23:59:59Z" }), "/startAt"),
        (json!({ "startAt": "tomorrow" }), "/startAt"),
        (json!({ "startAt": 1 }), "/startAt"),
        (json!({ "delaySeconds": LONGEST + 1 }), "/delaySeconds"),
        (json!({ "delaySeconds": 0.5 }), "/delaySeconds"),
        (json!({ "startBefore": time(-1) }), "/startBefore"),
        (json!({ "startAt": time(2), "startBefore": time(1) }), "/startBefore"),
        (json!({ "startBefore": time(400) }), "/startBefore"),
    ];
    for (when, pointer) in cases {
        let mut body = json!({ "input": null });
        body.as_object_mut().unwrap().append(&mut when.as_object().unwrap().clone());
        for path in ["/executions/sync", "/executions/callback", "/executions/sync/validate"] {
            let response = stack.post(path).json(&body).send().await.unwrap();
            assert_eq!(response.status(), StatusCode::UNPROCESSABLE_ENTITY, "{body}");
            let problem: Value = response.json().await.unwrap();
            let pointers: Vec<_> = problem["errors"].as_array().unwrap().iter().map(|one| &one["pointer"]).collect();
            assert_eq!(pointers, [pointer], "{body}: {problem:#}");
        }
    }
    assert_eq!(stack.items().await, 0);
}

async fn change(stack: &Stack, id: &str, changes: &Value) -> (StatusCode, Value) {
    let response = stack.patch(&format!("/executions/{id}")).json(changes).send().await.unwrap();
    (response.status(), response.json().await.unwrap())
}

/// It is moved while no workflow exists for it, and while its workflow waits: to an earlier time, and far ahead and back.
#[tokio::test]
async fn an_execution_is_moved_before_its_start() {
    let stack = Stack::start(&["--movable-clock", "--job", "quick=echo '[1]'"]).await;
    for (pattern, delay) in [("sync", 100_000), ("callback", 100_000), ("sync", 90), ("callback", 90)] {
        let key = format!("{pattern}-{delay}");
        let body = json!({
            "job": "quick", "input": null, "delaySeconds": delay, "timeoutSeconds": 600, "tags": { "team": "blue" },
        });
        let start = async || {
            let request = stack.post(&format!("/executions/{pattern}")).header("idempotency-key", &key);
            request.json(&body).send().await.unwrap().json::<Value>().await.unwrap()
        };
        let id = start().await["executionId"].as_str().unwrap().to_owned();
        let waits =
            async || eventually("its workflow to wait", async || stack.item(&id).await.get("wake").cloned()).await;
        let get = async || stack.get(&format!("/executions/{id}")).send().await.unwrap();
        if delay < 100 {
            let callback = waits().await;
            let far = now(&stack).await + Duration::from_secs(5_000);
            let (status, moved) = change(&stack, &id, &json!({ "startAt": far.to_string() })).await;
            assert_eq!((status, &moved["status"]), (StatusCode::OK, &json!("SCHEDULED")), "{moved:#}");
            eventually("its workflow to wait again", async || {
                (stack.item(&id).await["wake"] != callback).then_some(())
            })
            .await;
            // Its workflow could not run for so long.
            let too_far = far + Duration::from_secs(LONGEST - 9_000);
            let (status, problem) = change(&stack, &id, &json!({ "startAt": too_far.to_string() })).await;
            assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{problem:#}");
            assert_eq!(problem["errors"][0]["rule"], "start-out-of-range", "{problem:#}");
        }
        let before = get().await;
        let soon = now(&stack).await + Duration::from_secs(4);
        let latest = soon + Duration::from_mins(1);
        let changes =
            json!({ "startAt": soon.to_string(), "startBefore": latest.to_string(), "tags": { "team": "red" } });
        let (status, moved) = change(&stack, &id, &changes).await;
        assert_eq!((status, &moved["tags"]), (StatusCode::OK, &json!({ "team": "red" })), "{moved:#}");
        assert_eq!(time(&moved["deadline"]), time(&moved["scheduledFor"]) + Duration::from_mins(10), "{moved:#}");
        let (_, same) = change(&stack, &id, &json!({ "startBefore": null })).await;
        assert!(same.get("startBefore").is_none(), "{same:#}");
        assert_ne!(header(&before, "etag"), header(&get().await, "etag"));
        assert_eq!(start().await["executionId"], json!(id), "a repeat is compared with the request as it was");
        let done = stack.wait_for(&id, |execution| execution["done"] == true).await;
        assert_started_in_time(&done);
        let (status, problem) = change(&stack, &id, &changes).await;
        assert_eq!((status, &problem["code"]), (StatusCode::CONFLICT, &json!("not-scheduled")), "{problem:#}");
    }
}

#[tokio::test]
async fn a_change_that_is_not_possible_is_refused_and_changes_nothing() {
    let stack = Stack::start(&["--owner-header", "x-owner", "--job", "long=sleep 300"]).await;
    let today = now(&stack).await;
    let at = |hours: i64| (today + SignedDuration::from_hours(hours)).to_string();
    let body = json!({ "input": null, "startAt": at(24), "startBefore": at(48) });
    let post = stack.post("/executions/sync").header("x-owner", "ada").json(&body);
    let scheduled: Value = post.send().await.unwrap().json().await.unwrap();
    let path = format!("/executions/{}", scheduled["executionId"].as_str().unwrap());
    let ask = async |owner: &str, changes: &Value| {
        let response = stack.patch(&path).header("x-owner", owner).json(changes).send().await.unwrap();
        (response.status(), response.json::<Value>().await.unwrap())
    };
    for (changes, pointer) in [
        (json!({ "startAt": at(48) }), "/startAt"),
        (json!({ "startAt": at(367 * 24), "startBefore": null }), "/startAt"),
        (json!({ "startAt": "soon" }), "/startAt"),
        (json!({ "startBefore": at(24) }), "/startBefore"),
        (json!({ "startBefore": at(-1) }), "/startBefore"),
        (json!({ "tags": { "a&b": "c" } }), "/tags/a&b"),
        (json!({ "tags": [] }), "/tags"),
        (json!({ "delaySeconds": 5 }), "/delaySeconds"),
    ] {
        let (status, problem) = ask("ada", &changes).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{changes}");
        let pointers: Vec<_> = problem["errors"].as_array().unwrap().iter().map(|one| &one["pointer"]).collect();
        assert_eq!(pointers, [pointer], "{changes}: {problem:#}");
    }
    assert_eq!(ask("eve", &json!({ "startAt": at(25) })).await.0, StatusCode::NOT_FOUND);
    let (status, same) = ask("ada", &json!({})).await;
    assert_eq!((status, &same["timeline"]), (StatusCode::OK, &scheduled["timeline"]), "{same:#}");
    assert_eq!(same["scheduledFor"], scheduled["scheduledFor"]);
    let (_, now) = ask("ada", &json!({ "startAt": null })).await;
    assert!(time(&now["scheduledFor"]) < today + Duration::from_mins(1), "{now:#}");
}

/// The API cannot tell anyone of the new start time, as if it had crashed after it had stored that. The sweep starts or wakes the
/// workflow.
#[tokio::test]
async fn a_move_takes_effect_even_if_the_api_crashes_after_it() {
    let stack = Stack::start(&["--movable-clock", "--job", "quick=echo '[1]'"]).await;
    without_events_and_sweeps(&stack).await;
    let mut ids = Vec::new();
    for (pattern, delay) in [("sync", 100_000), ("callback", 100_000), ("sync", 118), ("callback", 118)] {
        let body = json!({ "job": "quick", "input": null, "delaySeconds": delay });
        let id = stack.start_execution(pattern, &body).await["executionId"].as_str().unwrap().to_owned();
        if delay < 120 {
            eventually("its workflow to wait", async || stack.item(&id).await.get("wake").map(|_| ())).await;
        }
        ids.push(id);
    }
    let lost = json!({ "on": "lambda:Invoke", "by": "api", "does": "fail", "times": "all" });
    let lost = stack.arm(&lost).await;
    for id in &ids {
        let (status, moved) = change(&stack, id, &json!({ "startAt": null })).await;
        assert_eq!((status, &moved["status"]), (StatusCode::OK, &json!("SCHEDULED")), "{moved:#}");
    }
    stack.disarm(lost).await;
    stack.forward(Duration::from_secs(62)).await;
    sweep(&stack).await;
    for id in &ids {
        let done = stack.wait_for(id, |execution| execution["done"] == true).await;
        assert_eq!(done["status"], "COMPLETED", "{done:#}");
        let late = moment(&done, "due").duration_since(time(&done["scheduledFor"]));
        assert!(late < SignedDuration::from_secs(100), "no sweep woke its workflow: {done:#}");
    }
}
