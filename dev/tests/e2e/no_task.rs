//! Cancels and deadlines while no task is running, and repeated starts whose name AWS refuses.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::stack::{Stack, eventually};

const PATTERNS: [&str; 2] = ["sync", "callback"];

/// How soon a cancel must take effect, with a margin for slow machines.
const AT_ONCE: Duration = Duration::from_secs(4);

fn told(execution: &Value, what: &str) -> bool {
    execution["timeline"].as_array().unwrap().iter().any(|entry| entry["what"] == what)
}

/// Cancels an execution, and returns it once it has ended.
async fn cancelled(stack: &Stack, id: &str) -> Value {
    let began = Instant::now();
    let response = stack.post(&format!("/executions/{id}/cancel")).send().await.unwrap();
    assert!(response.status().is_success(), "{response:?}");
    let over = stack.wait_for(id, |execution| execution["done"] == true).await;
    assert!(began.elapsed() < AT_ONCE, "{:?}: {over:#}", began.elapsed());
    over
}

#[tokio::test]
async fn a_cancel_between_two_attempts_takes_effect_at_once_and_reports_the_last_failure() {
    let stack = Stack::start(&["--job", "fails=exit 7"]).await;
    for pattern in PATTERNS {
        // The third attempt follows 10 s after the second has failed.
        let body = json!({ "job": "fails", "input": null, "retry": { "maxAttempts": 3 } });
        let started = stack.start_execution(pattern, &body).await;
        let id = started["executionId"].as_str().unwrap();
        let failed_twice = |execution: &Value| {
            let entries = execution["timeline"].as_array().unwrap();
            entries.iter().filter(|entry| entry["what"] == "attemptFailed").count() == 2
        };
        stack.wait_for(id, failed_twice).await;
        let over = cancelled(&stack, id).await;
        assert_eq!((&over["status"], &over["exitCode"]), (&json!("CANCELLED"), &json!(7)), "{over:#}");
        let message = "cancelled while waiting to retry; attempt 2 of 3 exited with code 7";
        assert_eq!(over["error"]["message"], message, "{over:#}");
    }
}

#[tokio::test]
async fn a_deadline_between_two_attempts_times_the_execution_out() {
    // The job prints something, because an empty log is read again for 3 s.
    let stack = Stack::start(&["--job", "fails=echo no; exit 7"]).await;
    for pattern in PATTERNS {
        // The second attempt would follow 5 s after the first has failed.
        let retry = json!({ "maxAttempts": 3 });
        let body = json!({ "job": "fails", "input": null, "timeoutSeconds": 3, "retry": retry });
        let over = stack.run(pattern, body).await;
        assert_eq!((&over["status"], &over["exitCode"]), (&json!("TIMED_OUT"), &json!(7)), "{over:#}");
        let [end, deadline] = ["finishedAt", "deadline"].map(|name| over[name].as_str().unwrap().parse().unwrap());
        let late: jiff::SignedDuration = jiff::Timestamp::duration_since(end, deadline);
        assert!(late < jiff::SignedDuration::from_secs(4), "{late}: {over:#}");
    }
}

#[tokio::test]
async fn an_execution_waits_for_capacity_until_a_cancel_or_its_deadline() {
    let stack = Stack::start(&["--job", "works=true"]).await;
    stack.arm(&json!({ "on": "ecs:RunTask", "does": "throttle", "times": "all" })).await;
    for pattern in PATTERNS {
        let started = stack.start_execution(pattern, &json!({ "job": "works", "input": null })).await;
        let id = started["executionId"].as_str().unwrap();
        stack.wait_for(id, |execution| told(execution, "waitingForCapacity")).await;
        let over = cancelled(&stack, id).await;
        assert_eq!((&over["status"], &over["error"]["type"]), (&json!("CANCELLED"), &json!("cancelled")), "{over:#}");
        assert!(over["error"]["message"].as_str().unwrap().contains("waiting for capacity"), "{over:#}");
        let over = stack.run(pattern, json!({ "job": "works", "input": null, "timeoutSeconds": 8 })).await;
        assert_eq!((&over["status"], &over["error"]["type"]), (&json!("TIMED_OUT"), &json!("no-capacity")), "{over:#}");
        assert_eq!(stack.tasks_of(id).await.len(), 0);
    }
}

#[tokio::test]
async fn a_denied_task_start_is_retried_until_a_cancel_or_the_deadline() {
    let stack = Stack::start(&["--job", "works=true", "--movable-clock"]).await;
    let refuse = json!({ "refuse": "AccessDeniedException" });
    for pattern in PATTERNS {
        let denied = stack.arm(&json!({ "on": "ecs:RunTask", "does": refuse, "times": "all" })).await;
        let started = stack.start_execution(pattern, &json!({ "job": "works", "input": null })).await;
        let id = started["executionId"].as_str().unwrap();
        let denials = async |least: u64| {
            eventually("a denial", async || (stack.fault(denied).await["hit"].as_u64()? >= least).then_some(())).await;
        };
        denials(1).await;
        // Each wait between retries is as long as the start has been denied so far.
        stack.forward(Duration::from_mins(2)).await;
        denials(2).await;
        let over = cancelled(&stack, id).await;
        assert_eq!((&over["status"], &over["error"]["type"]), (&json!("CANCELLED"), &json!("cancelled")), "{over:#}");
        let message = over["error"]["message"].as_str().unwrap();
        assert!(message.starts_with("cancelled while the start of its task was denied (ecs:RunTask"), "{over:#}");
        let over = stack.run(pattern, json!({ "job": "works", "input": null, "timeoutSeconds": 10 })).await;
        assert_eq!(
            (&over["status"], &over["error"]["type"]),
            (&json!("TIMED_OUT"), &json!("task-refused")),
            "{over:#}"
        );
        let [end, deadline] = ["finishedAt", "deadline"].map(|name| over[name].as_str().unwrap().parse().unwrap());
        let late: jiff::SignedDuration = jiff::Timestamp::duration_since(end, deadline);
        assert!(late < jiff::SignedDuration::from_secs(4), "{late}: {over:#}");
        stack.disarm(denied).await;
        assert_eq!(stack.run(pattern, json!({ "job": "works", "input": null })).await["status"], "COMPLETED");
    }
}

/// After a deployment, AWS may refuse a repeated start, because an execution of an earlier version has the same name.
#[tokio::test]
async fn a_repeated_start_whose_name_is_refused_is_recognized_as_the_same() {
    let stack = Stack::start(&["--job", "works=sleep 1"]).await;
    for pattern in PATTERNS {
        let post = async || {
            let request =
                stack.post(&format!("/executions/{pattern}")).header("idempotency-key", format!("k-{pattern}"));
            request.json(&json!({ "job": "works", "input": null })).send().await.unwrap()
        };
        let first: Value = post().await.json().await.unwrap();
        let id = first["executionId"].as_str().unwrap();
        stack.wait_for(id, |execution| told(execution, "workflowStarted")).await;
        let refuse = json!({ "refuse": "DurableExecutionAlreadyStartedException" });
        let fault = stack.arm(&json!({ "on": "lambda:Invoke", "does": refuse, "times": "all" })).await;
        let again = post().await;
        assert_eq!(again.status().as_u16(), 202, "{again:?}");
        stack.disarm(fault).await;
        let over = stack.wait_for(id, |execution| execution["done"] == true).await;
        assert_eq!(over["status"], "COMPLETED", "{over:#}");
    }
}
