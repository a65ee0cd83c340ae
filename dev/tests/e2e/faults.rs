//! Faults that are armed at `/_local/faults`, each on real calls of real processes.

use std::time::{Duration, Instant};

use reqwest::{RequestBuilder, StatusCode};
use serde_json::json;

use crate::{
    gates::Gates,
    stack::{LONGHAUL, PATIENCE, Stack, eventually},
};

/// A call of the tests' own, of which it is known whether it worked: it adds one to a number.
fn add_one(stack: &Stack) -> RequestBuilder {
    let update = json!({
        "TableName": "longhaul-executions",
        "Key": { "executionId": { "S": "counter" } },
        "UpdateExpression": "ADD n :one",
        "ExpressionAttributeValues": { ":one": { "N": "1" } },
    });
    stack.request("DynamoDB_20120810.UpdateItem", &update)
}

/// How often [`add_one`] has worked.
async fn counted(stack: &Stack) -> u64 {
    let get = json!({ "TableName": "longhaul-executions", "Key": { "executionId": { "S": "counter" } } });
    let item = stack.call("DynamoDB_20120810.GetItem", get).await;
    item["Item"]["n"]["N"].as_str().map_or(0, |n| n.parse().unwrap())
}

/// Whether a call was answered, and how often it worked.
#[tokio::test]
async fn a_call_fares_as_the_fault_says() {
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
        // The caller is no process of the stack's: it only loses its connection.
        (json!("killBefore"), None, 0),
        (json!("killAfter"), None, 1),
    ] {
        let fault = stack.arm(&json!({ "on": "dynamodb:UpdateItem", "does": does, "by": "x" })).await;
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
        // It has done what it was armed for.
        assert_eq!(add_one(&stack).send().await.unwrap().status(), StatusCode::OK, "{does}");
        before += 1;
    }
}

#[tokio::test]
async fn each_service_refuses_in_its_own_words() {
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
    for (service, request, throttled, throttling, failure) in cases {
        for (does, status, code) in [("throttle", throttled, throttling), ("fail", 500, failure)] {
            stack.arm(&json!({ "on": format!("{service}:*"), "does": does })).await;
            let response = request.try_clone().unwrap().send().await.unwrap();
            assert_eq!(response.status(), status, "{service} {does}");
            assert_eq!(response.headers()["x-amzn-errortype"], code);
        }
    }
}

/// The SDKs' own retries are in it: three calls are refused, and nobody notices.
#[tokio::test]
async fn a_call_that_is_refused_for_a_while_is_repeated() {
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

/// A function dies at a call, before it worked or after, and the next invocation goes on; the task was started once.
#[tokio::test]
async fn a_function_is_killed_at_a_call() {
    let stack = Stack::start(&["--job", "quick=echo '[1]'"]).await;
    for does in ["killBefore", "killAfter"] {
        let fault = stack.arm(&json!({ "on": "ecs:RunTask", "does": does, "by": "longhaul-sync" })).await;
        let done = stack.run("sync", json!({ "job": "quick", "input": null })).await;
        assert_eq!(done["status"], "COMPLETED", "{does}: {done:#}");
        let fault = stack.fault(fault).await;
        assert_eq!((&fault["hit"], &fault["seen"]), (&json!(1), &json!(2)), "{does}");
        let by: Vec<_> = fault["calls"].as_array().unwrap().iter().map(|call| call["by"].clone()).collect();
        assert_ne!(by[0], by[1], "another instance");
        assert_eq!(stack.tasks_of(done["executionId"].as_str().unwrap()).await.len(), 1, "{does}");
    }
}

/// Only the task of one execution is hit, at its second read: it has recorded its start, and dies with its end.
#[tokio::test]
async fn a_task_is_killed_at_a_call() {
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

/// Killed now: a task by the execution that it works for, an instance of a function by its name.
#[tokio::test]
async fn who_is_named_is_killed() {
    let stack = Stack::start(&["--job", "long=sleep 300"]).await;
    let [killed, spared] = [0, 1].map(async |_| stack.start_running("sync", "long").await);
    let (killed, spared) = (killed.await, spared.await);
    let answer = stack.admin("kill", &json!({ "by": "task", "execution": killed })).await.unwrap();
    assert_eq!(answer["killed"].as_array().unwrap().len(), 1, "{answer}");
    let done = stack.wait_for(&killed, |execution| execution["done"] == true).await;
    assert_eq!((&done["status"], &done["exitCode"]), (&json!("FAILED"), &json!(137)), "{done:#}");
    assert_eq!(stack.execution(&spared).await["status"], "RUNNING");
    let answer = stack.admin("kill", &json!({ "by": "longhaul-sync" })).await.unwrap();
    assert!(!answer["killed"].as_array().unwrap().is_empty(), "an instance is kept warm: {answer}");
    let (status, error) = stack.admin("kill", &json!({ "by": "tsk" })).await.unwrap_err();
    assert!(status == StatusCode::NOT_FOUND && error.contains("task."), "{status} {error}");
    stack.post(&format!("/executions/{spared}/cancel")).send().await.unwrap();
    let done = stack.wait_for(&spared, |execution| execution["done"] == true).await;
    assert_eq!(done["status"], "CANCELLED", "another instance goes on: {done:#}");
}

#[tokio::test]
async fn what_is_armed_is_listed_and_cleared() {
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
async fn what_cannot_be_meant_is_refused() {
    let stack = Stack::start(&[]).await;
    for (path, body, says) in [
        ("faults", json!({ "on": "s3:GetObject", "does": "fail" }), "dynamodb, ecs, lambda, logs"),
        ("faults", json!({ "on": "ecs:RunTask", "does": "explode" }), "killAfter"),
        ("faults", json!("rubbish"), "A fault is"),
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

/// Lost: the next look sees the task's end. Doubled and late: nothing is done twice.
#[tokio::test]
async fn events_get_lost_come_twice_and_late() {
    let gates = Gates::new();
    let stack = Stack::start(&["--movable-clock", "--job", &gates.job("gated")]).await;
    let on = "events:ECS Task State Change";
    for does in [json!("repeat"), json!({ "delay": 2 }), json!("cutBefore")] {
        for pattern in ["sync", "callback"] {
            let fault = stack.arm(&json!({ "on": on, "does": does, "times": "all" })).await;
            let id = stack.start_running(pattern, "gated").await;
            gates.open(&id);
            if does == "cutBefore" {
                // Nobody tells: the sweep or the workflow itself has to look.
                stack.wait_for_tasks_to_stop(&id).await;
                stack.forward(Duration::from_mins(5)).await;
            }
            let done = stack.wait_for(&id, |execution| execution["done"] == true).await;
            assert_eq!((&done["status"], &done["result"]), (&json!("COMPLETED"), &json!([1])), "{does}: {done:#}");
            let ends = done["timeline"].as_array().unwrap().iter().filter(|entry| entry["what"] == "ended").count();
            assert_eq!(ends, 1, "{does}: {done:#}");
            let fault = stack.fault(fault).await;
            // Of the callback's, the last comes after its end.
            assert!(fault["hit"].as_u64().unwrap() >= 2, "{fault:#}");
            stack.delete("faults").await;
        }
    }
}

/// The workflow dies when it has started the task, and comes back after the deadline: what the task did in time counts.
#[tokio::test]
async fn what_was_done_in_time_counts_whoever_saw_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    // The second process of the workflow begins when it is let.
    let (script, first, second) = (path("sync.sh"), path("first"), path("second"));
    let waits = format!("if test -e {first}; then until test -e {second}; do sleep 0.05; done; fi");
    std::fs::write(&script, format!("{waits}\ntouch {first}\nexec {LONGHAUL} function sync\n")).unwrap();
    let function = format!("longhaul-sync=sh {script}");
    let stack = Stack::start(&["--movable-clock", "--job", "quick=echo '[1]'", "--durable-function", &function]).await;
    let fault = stack.arm(&json!({ "on": "ecs:RunTask", "does": "killAfter", "by": "longhaul-sync" })).await;
    let body = json!({ "job": "quick", "input": null, "timeoutSeconds": 60 });
    let id = stack.start_execution("sync", &body).await["executionId"].as_str().unwrap().to_owned();
    eventually("its task starts", async || (!stack.tasks_of(&id).await.is_empty()).then_some(())).await;
    stack.wait_for_tasks_to_stop(&id).await;
    stack.forward(Duration::from_secs(61)).await;
    std::fs::write(second, "").unwrap();
    let done = stack.wait_for(&id, |execution| execution["done"] == true).await;
    assert_eq!((&done["status"], &done["result"]), (&json!("COMPLETED"), &json!([1])), "{done:#}");
    assert_eq!(stack.fault(fault).await["seen"], 1, "nothing was started again");
    assert_eq!(stack.tasks_of(&id).await.len(), 1);
}

/// What ECS may say and this machine never does: no room.
#[tokio::test]
async fn an_answer_is_data_too() {
    let stack = Stack::start(&["--job", "quick=echo '[1]'"]).await;
    let no_room = json!({ "tasks": [], "failures": [{ "reason": "RESOURCE:MEMORY" }] });
    stack.arm(&json!({ "on": "ecs:RunTask", "does": { "answer": no_room } })).await;
    let done = stack.run("sync", json!({ "job": "quick", "input": null })).await;
    assert_eq!((&done["status"], &done["attempt"]), (&json!("COMPLETED"), &json!(1)), "{done:#}");
    let told: Vec<_> = done["timeline"].as_array().unwrap().iter().map(|entry| entry["what"].clone()).collect();
    assert_eq!(told, ["created", "workflowStarted", "waitingForCapacity", "taskStarted", "ended"]);
    assert!(done.to_string().contains("RESOURCE:MEMORY"), "{done:#}");
}
