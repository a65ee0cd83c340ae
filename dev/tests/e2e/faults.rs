//! Faults armed at `/_local/faults`, on real calls of real processes.

use std::time::{Duration, Instant};

use reqwest::{RequestBuilder, StatusCode};
use serde_json::json;

use crate::{
    blocked_jobs::BlockedJobs,
    stack::{LONGHAUL, PATIENCE, Stack, eventually},
};

/// A call that adds one to a number, so that the test knows how often it took effect.
fn add_one(stack: &Stack) -> RequestBuilder {
    let update = json!({
        "TableName": "longhaul-executions",
        "Key": { "executionId": { "S": "counter" } },
        "UpdateExpression": "ADD n :one",
        "ExpressionAttributeValues": { ":one": { "N": "1" } },
    });
    stack.request("DynamoDB_20120810.UpdateItem", &update)
}

/// How often [`add_one`] took effect.
async fn counted(stack: &Stack) -> u64 {
    let get = json!({ "TableName": "longhaul-executions", "Key": { "executionId": { "S": "counter" } } });
    let item = stack.call("DynamoDB_20120810.GetItem", get).await;
    item["Item"]["n"]["N"].as_str().map_or(0, |n| n.parse().unwrap())
}

/// Each kind of fault determines the response to a call, and how often the call takes effect.
#[tokio::test]
async fn each_kind_of_fault_affects_a_call_as_documented() {
    let stack = Stack::start(&[]).await;
    let mut before = 0;
    for (does, answer, worked) in [
        (json!("watch"), Some(200), 1),
        (json!("throttle"), Some(400), 0),
        (json!("fail"), Some(500), 0),
        (json!({ "answer": { "Attributes": {} } }), Some(200), 0),
        (json!({ "delay": 0.3 }), Some(200), 1),
        (json!("hang"), None, 0),
        (json!("cutBefore"), None, 0),
        (json!("cutAfter"), None, 1),
        (json!("repeat"), Some(200), 2),
        // The caller is not a process of the stack, so it is not killed, and only loses its connection.
        (json!("killBefore"), None, 0),
        (json!("killAfter"), None, 1),
    ] {
        let fault =
            stack.arm(&json!({ "on": "dynamodb:UpdateItem", "does": does, "by": emulator::testing::KEY })).await;
        let began = Instant::now();
        let patience = if does == "hang" { Duration::from_secs(5) } else { PATIENCE };
        let response = add_one(&stack).timeout(patience).send().await;
        let took = began.elapsed();
        let status = response.ok().map(|response| response.status().as_u16());
        let after = counted(&stack).await;
        assert_eq!((status, after - before), (answer, worked), "{does}");
        if does.get("delay").is_some() {
            assert!(took >= Duration::from_millis(300), "{took:?}");
        }
        before = after;
        let fault = stack.fault(fault).await;
        assert_eq!((&fault["seen"], &fault["hit"]), (&json!(1), &json!(1)), "{does}");
        assert_eq!(fault["calls"][0]["call"], "dynamodb:UpdateItem");
        // The fault was armed for one call only.
        assert_eq!(add_one(&stack).send().await.unwrap().status(), StatusCode::OK, "{does}");
        before += 1;
    }
}

#[tokio::test]
async fn each_service_refuses_calls_with_its_own_error_codes() {
    let stack = Stack::start(&[]).await;
    let ecs = "AmazonEC2ContainerServiceV20141113.ListTasks";
    let cases = [
        ("dynamodb", add_one(&stack), 400, "ProvisionedThroughputExceededException", "InternalServerError"),
        ("ecs", stack.request(ecs, &json!({ "cluster": "longhaul" })), 400, "ThrottlingException", "ServerException"),
        (
            "logs",
            stack.request("Logs_20140328.DescribeLogStreams", &json!({ "logGroupName": "/ecs/longhaul" })),
            400,
            "ThrottlingException",
            "ServiceUnavailableException",
        ),
        (
            "lambda",
            stack.post_to_aws("/2015-03-31/functions/longhaul-sync:live/invocations"),
            429,
            "TooManyRequestsException",
            "ServiceException",
        ),
    ];
    let rules = stack.request("AWSEvents.ListRules", &json!({}));
    let cases = cases.into_iter().chain([("eventbridge", rules, 400, "ThrottlingException", "InternalException")]);
    for (service, request, throttled, throttling, failure) in cases {
        for (does, status, code) in [("throttle", throttled, throttling), ("fail", 500, failure)] {
            stack.arm(&json!({ "on": format!("{service}:*"), "does": does })).await;
            let response = request.try_clone().unwrap().send().await.unwrap();
            assert_eq!(response.status(), status, "{service} {does}");
            assert_eq!(response.headers()["x-amzn-errortype"], code);
        }
    }
}

/// This includes the SDKs' own retries.
#[tokio::test]
async fn calls_that_fail_transiently_are_retried() {
    let stack = Stack::start(&["--job", "quick=echo '[1]'"]).await;
    let faults = ["ecs:RunTask", "dynamodb:PutItem", "lambda:CheckpointDurableExecution", "logs:GetLogEvents"];
    stack.deny_reports().await;
    let mut armed = Vec::new();
    for (number, on) in faults.iter().enumerate() {
        let does = ["throttle", "fail", "cutBefore", "cutAfter"][number];
        armed.push(stack.arm(&json!({ "on": on, "does": does, "by": "longhaul-sync", "times": 2 })).await);
    }
    let done = stack.run("sync", json!({ "job": "quick", "input": null })).await;
    assert_eq!((&done["status"], &done["result"]), (&json!("COMPLETED"), &json!([1])));
    for fault in armed {
        let fault = stack.fault(fault).await;
        assert_eq!(fault["hit"], 2, "{fault:#}");
    }
}

/// The function is killed before or after the call takes effect.
#[tokio::test]
async fn a_function_killed_at_run_task_resumes_and_starts_one_task() {
    let stack = Stack::start(&["--job", "quick=echo '[1]'"]).await;
    for does in ["killBefore", "killAfter"] {
        let fault = stack.arm(&json!({ "on": "ecs:RunTask", "does": does, "by": "longhaul-sync" })).await;
        let done = stack.run("sync", json!({ "job": "quick", "input": null })).await;
        assert_eq!(done["status"], "COMPLETED", "{does}: {done:#}");
        let fault = stack.fault(fault).await;
        assert_eq!((&fault["hit"], &fault["seen"]), (&json!(1), &json!(2)), "{does}");
        let by: Vec<_> = fault["calls"].as_array().unwrap().iter().map(|call| call["by"].clone()).collect();
        assert_ne!(by[0], by[1], "the repeated call comes from another instance");
        assert_eq!(stack.tasks_of(done["executionId"].as_str().unwrap()).await.len(), 1, "{does}");
    }
}

/// The fault applies to the task of one execution at its second read, which is after it has recorded its start.
#[tokio::test]
async fn a_task_killed_at_a_call_fails_its_execution() {
    let stack = Stack::start(&["--job", "quick=echo '[1]'"]).await;
    let job = json!({ "job": "quick", "input": null });
    for does in ["killBefore", "killAfter"] {
        let id = Stack::id_of_key(does);
        let fault = json!({ "on": "dynamodb:GetItem", "does": does, "by": "task", "execution": id, "skip": 1 });
        let fault = stack.arm(&fault).await;
        let other = stack.run("callback", job.clone()).await;
        assert_eq!((&other["status"], &stack.fault(fault).await["seen"]), (&json!("COMPLETED"), &json!(0)));
        stack.post("/executions/callback").header("idempotency-key", does).json(&job).send().await.unwrap();
        let done = stack.wait_for(&id, |execution| execution["done"] == true).await;
        assert_eq!((&done["status"], &done["exitCode"]), (&json!("FAILED"), &json!(137)), "{does}: {done:#}");
        assert_eq!(stack.fault(fault).await["hit"], 1, "{does}");
        let task = stack.tasks_of(&id).await.remove(0);
        assert_eq!(task["containers"][0]["exitCode"], 137, "{does}: {task:#}");
    }
}

/// `/_local/kill` selects a task by its execution, and an instance of a function by the function's name.
#[tokio::test]
async fn only_the_selected_process_is_killed() {
    let stack = Stack::start(&["--job", "long=sleep 300"]).await;
    let [killed, spared] = [0, 1].map(async |_| stack.start_running("sync", "long").await);
    let (killed, spared) = (killed.await, spared.await);
    let answer = stack.admin("kill", &json!({ "by": "task", "execution": killed })).await.unwrap();
    assert_eq!(answer["killed"].as_array().unwrap().len(), 1, "{answer}");
    let done = stack.wait_for(&killed, |execution| execution["done"] == true).await;
    assert_eq!((&done["status"], &done["exitCode"]), (&json!("FAILED"), &json!(137)), "{done:#}");
    assert_eq!(stack.execution(&spared).await["status"], "RUNNING");
    let answer = stack.admin("kill", &json!({ "by": "longhaul-sync" })).await.unwrap();
    assert!(!answer["killed"].as_array().unwrap().is_empty(), "no warm instance: {answer}");
    let (status, error) = stack.admin("kill", &json!({ "by": "tsk" })).await.unwrap_err();
    assert!(status == StatusCode::NOT_FOUND && error.contains("task."), "{status} {error}");
    stack.post(&format!("/executions/{spared}/cancel")).send().await.unwrap();
    let done = stack.wait_for(&spared, |execution| execution["done"] == true).await;
    assert_eq!(done["status"], "CANCELLED", "another instance continues: {done:#}");
}

#[tokio::test]
async fn armed_faults_can_be_listed_and_cleared() {
    let stack = Stack::start(&[]).await;
    let seeded = json!({ "on": "*", "does": "fail", "times": "all", "chance": 0.5, "seed": 7, "by": "nobody" });
    let ids = [stack.arm(&seeded).await, stack.arm(&json!({ "on": "ecs:*", "does": "hang" })).await];
    let listed = || async { stack.local("faults").await["faults"].as_array().unwrap().clone() };
    let shown = listed().await;
    assert_eq!((shown.len(), &shown[0]["chance"], &shown[1]["does"]), (2, &json!(0.5), &json!("hang")));
    stack.delete(&format!("faults/{}", ids[1])).await;
    assert_eq!(listed().await.len(), 1);
    stack.delete("faults").await;
    assert_eq!(listed().await.len(), 0);
}

#[tokio::test]
async fn invalid_faults_kills_and_clock_changes_are_refused() {
    let stack = Stack::start(&[]).await;
    for (path, body, says) in [
        ("faults", json!({ "on": "sqs:SendMessage", "does": "fail" }), "dynamodb, ecs, eventbridge, lambda, logs, s3"),
        ("faults", json!({ "on": "ecs:RunTask", "does": "explode" }), "killAfter"),
        ("faults", json!("not a fault"), "A fault is"),
        ("kill", json!({}), "\"by\""),
        ("clock", json!({ "forward": -1 }), "forward"),
    ] {
        let (status, error) = stack.admin(path, &body).await.unwrap_err();
        assert!(status == StatusCode::BAD_REQUEST && error.contains(says), "{path} {body}: {status} {error}");
    }
    let (status, error) = stack.admin("clock", &json!({ "forward": 1 })).await.unwrap_err();
    assert!(status == StatusCode::CONFLICT && error.contains("--movable-clock"), "{status} {error}");
    assert!(stack.local("faults").await["faults"].as_array().unwrap().is_empty());
}

#[tokio::test]
async fn lost_repeated_and_late_events_do_not_change_the_outcome() {
    let blocked = BlockedJobs::new();
    let stack = Stack::start(&["--movable-clock", "--job", &blocked.job("blocked")]).await;
    let on = "events:ECS Task State Change";
    for does in [json!("repeat"), json!({ "delay": 2 }), json!("cutBefore")] {
        for pattern in ["sync", "callback"] {
            let fault = stack.arm(&json!({ "on": on, "does": does, "times": "all" })).await;
            let id = stack.start_running(pattern, "blocked").await;
            blocked.release(&id);
            if does == "cutBefore" {
                // Without an event, the sweep or the workflow's next poll sees the end.
                stack.wait_for_tasks_to_stop(&id).await;
                stack.forward(Duration::from_mins(5)).await;
            }
            let done = stack.wait_for(&id, |execution| execution["done"] == true).await;
            assert_eq!((&done["status"], &done["result"]), (&json!("COMPLETED"), &json!([1])), "{does}: {done:#}");
            let ends = done["timeline"].as_array().unwrap().iter().filter(|entry| entry["what"] == "ended").count();
            assert_eq!(ends, 1, "{does}: {done:#}");
            let fault = stack.fault(fault).await;
            // The last event of a callback execution comes after the execution's end.
            assert!(fault["hit"].as_u64().unwrap() >= 2, "{fault:#}");
            stack.delete("faults").await;
        }
    }
}

/// The workflow is killed after it has started the task, and resumes after the deadline.
#[tokio::test]
async fn a_job_that_ended_before_its_deadline_counts_even_if_seen_later() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    // The workflow's second process waits for a file before it starts.
    let (script, first, second) = (path("sync.sh"), path("first"), path("second"));
    let waits = format!("if test -e {first}; then until test -e {second}; do sleep 0.05; done; fi");
    std::fs::write(&script, format!("{waits}\ntouch {first}\nexec {LONGHAUL} function sync\n")).unwrap();
    let function = format!("longhaul-sync=sh {script}");
    let stack = Stack::start(&["--movable-clock", "--job", "quick=echo '[1]'", "--durable-function", &function]).await;
    let fault = stack.arm(&json!({ "on": "ecs:RunTask", "does": "killAfter", "by": "longhaul-sync" })).await;
    let body = json!({ "job": "quick", "input": null, "timeoutSeconds": 60 });
    let id = stack.start_execution("sync", &body).await["executionId"].as_str().unwrap().to_owned();
    eventually("the task to start", async || (!stack.tasks_of(&id).await.is_empty()).then_some(())).await;
    stack.wait_for_tasks_to_stop(&id).await;
    stack.forward(Duration::from_secs(61)).await;
    std::fs::write(second, "").unwrap();
    let done = stack.wait_for(&id, |execution| execution["done"] == true).await;
    assert_eq!((&done["status"], &done["result"]), (&json!("COMPLETED"), &json!([1])), "{done:#}");
    assert_eq!(stack.fault(fault).await["seen"], 1, "the task was started twice");
    assert_eq!(stack.tasks_of(&id).await.len(), 1);
}

/// The local ECS never runs out of capacity by itself, so a fault returns that response.
#[tokio::test]
async fn a_fault_can_return_a_response_such_as_missing_capacity() {
    let stack = Stack::start(&["--job", "quick=echo '[1]'"]).await;
    let no_capacity = json!({ "tasks": [], "failures": [{ "reason": "RESOURCE:MEMORY" }] });
    stack.arm(&json!({ "on": "ecs:RunTask", "does": { "answer": no_capacity } })).await;
    let done = stack.run("sync", json!({ "job": "quick", "input": null })).await;
    assert_eq!((&done["status"], &done["attempt"]), (&json!("COMPLETED"), &json!(1)), "{done:#}");
    let timeline: Vec<_> = done["timeline"].as_array().unwrap().iter().map(|entry| entry["what"].clone()).collect();
    assert_eq!(timeline, ["created", "workflowStarted", "waitingForCapacity", "taskStarted", "ended"]);
    assert!(done.to_string().contains("RESOURCE:MEMORY"), "{done:#}");
}
