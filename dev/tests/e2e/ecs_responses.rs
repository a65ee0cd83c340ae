//! How executions end with every response that ECS may give about a task. The processes are real, and a proxy replaces the
//! responses of the local ECS.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::{
    aws_proxy::{Answer, AwsProxy, Rule},
    stack::{LONGHAUL, PATIENCE, Stack},
};

/// A response of AWS, and the expected outcome.
struct Case {
    job: &'static str,
    command: &'static str,
    operation: &'static str,
    calls: usize,
    answer: Answer,
    /// The patterns to test.
    patterns: &'static [&'static str],
    status: &'static str,
    /// A text that the timeline or the error must contain.
    contains: &'static str,
    attempt: Option<u64>,
}

const BOTH_PATTERNS: &[&str] = &["sync", "callback"];
/// Only sync executions: those of the callback pattern do not call `DescribeTasks`.
const SYNC: &[&str] = &["sync"];
const OK: &str = "echo '{\"n\": 1}'";
const ALL_CALLS: usize = usize::MAX;

/// Cases at a time: few enough for a machine with two processors to finish well before the timeout.
const AT_ONCE: usize = 7;

/// The waits between four attempts take 35 s.
const FOUR_ATTEMPTS: Duration = Duration::from_secs(35 + 2 * PATIENCE.as_secs());

const fn run_task(job: &'static str, calls: usize, answer: Answer) -> Case {
    Case {
        job,
        command: OK,
        operation: "RunTask",
        calls,
        answer,
        patterns: BOTH_PATTERNS,
        status: "COMPLETED",
        contains: "",
        attempt: Some(1),
    }
}

const fn describe(job: &'static str, command: &'static str, calls: usize, answer: Answer) -> Case {
    Case { command, operation: "DescribeTasks", patterns: SYNC, ..run_task(job, calls, answer) }
}

fn failure(reason: &str, detail: Option<&str>) -> Value {
    let arn = "arn:aws:ecs:us-east-1:000000000000:container-instance/x";
    json!({ "tasks": [], "failures": [{ "arn": arn, "reason": reason, "detail": detail }] })
}

const NO_CAPACITY: &str =
    "Capacity is unavailable at this time. Please try again later or in a different availability zone";

const NO_QUOTA: &str = "You’ve reached the limit on the number of vCPUs you can run concurrently";

/// `failures[]` of `RunTask`, with or without tasks
/// (<https://docs.aws.amazon.com/AmazonECS/latest/developerguide/api_failures_messages.html>).
fn failures() -> Vec<Case> {
    let waits = |job, answer| Case { contains: "waitingForCapacity", ..run_task(job, 1, answer) };
    let refused = |job, answer| Case {
        status: "FAILED",
        contains: "task-refused",
        attempt: None,
        ..run_task(job, ALL_CALLS, answer)
    };
    vec![
        waits("memory", Answer::Says(|| failure("RESOURCE:MEMORY", None))),
        waits("cpu", Answer::Says(|| failure("RESOURCE:CPU", Some("not enough")))),
        waits("agent", Answer::Says(|| failure("AGENT", None))),
        waits("zone", Answer::Says(|| failure(NO_CAPACITY, None))),
        waits("quota", Answer::Says(|| failure(NO_QUOTA, None))),
        run_task(
            "beside",
            1,
            Answer::Did(|answer| {
                answer["failures"] = failure("RESOURCE:MEMORY", None)["failures"].clone();
                200
            }),
        ),
        refused("location", Answer::Says(|| failure("LOCATION", None))),
        refused("nothing", Answer::Says(|| json!({ "tasks": [], "failures": [] }))),
    ]
}

const NO_NETWORK: &str =
    "Error retrieving security group information for [sg-1]: Request limit exceeded. (ErrorCode: RequestLimitExceeded)";

/// The ways in which ECS reports throttling. The SDK retries some of them, making four attempts, and then the workflow waits.
fn throttles() -> Vec<Case> {
    let waits = |job, calls, answer| Case { contains: "waitingForCapacity", ..run_task(job, calls, answer) };
    vec![
        waits("throttled", 5, Answer::Refuses(400, "ThrottlingException", "Rate exceeded")),
        waits("invalid", 5, Answer::Refuses(400, "InvalidParameterException", "Rate exceeded for RunTask")),
        waits("client", 5, Answer::Refuses(400, "ClientException", "Rate exceeded")),
        waits("network", 1, Answer::Refuses(400, "InvalidParameterException", NO_NETWORK)),
        waits("full", 1, Answer::Refuses(400, "ClientException", NO_CAPACITY)),
        run_task("server", 5, Answer::Refuses(500, "ServerException", "Service Unavailable.")),
        Case {
            status: "FAILED",
            contains: "TaskDefinition is inactive",
            attempt: None,
            ..run_task("inactive", ALL_CALLS, Answer::Refuses(400, "ClientException", "TaskDefinition is inactive"))
        },
        // The task starts but the reply is lost. Repeating the call with the same client token returns the same task.
        run_task("lost", 1, Answer::Did(|_| 500)),
        run_task(
            "conflict",
            1,
            Answer::Did(|answer| {
                *answer = json!({
                    "__type": "ConflictException", "message": "Conflict with the existing token",
                    "resourceIds": [answer["tasks"][0]["taskArn"]],
                });
                400
            }),
        ),
    ]
}

fn stopped(answer: &mut Value, change: fn(&mut Value)) -> u16 {
    let task = &mut answer["tasks"][0];
    if task["lastStatus"] == "STOPPED" {
        change(task);
    }
    200
}

fn missing() -> Value {
    json!({ "tasks": [], "failures": [{ "arn": "arn", "reason": "MISSING" }] })
}

/// What `DescribeTasks` may return about a task.
fn descriptions() -> Vec<Case> {
    vec![
        describe("missing", OK, 2, Answer::Says(missing)),
        describe("slow", OK, 5, Answer::Refuses(400, "ThrottlingException", "Rate exceeded")),
        Case {
            status: "FAILED",
            contains: "task-lost",
            ..describe(
                "codeless",
                OK,
                ALL_CALLS,
                Answer::Did(|answer| {
                    stopped(answer, |task| drop(task["containers"][0].as_object_mut().unwrap().remove("exitCode")))
                }),
            )
        },
        describe(
            "several",
            OK,
            ALL_CALLS,
            Answer::Did(|answer| {
                stopped(answer, |task| {
                    let sidecar = json!({ "name": "sidecar", "lastStatus": "STOPPED", "exitCode": 143 });
                    task["containers"].as_array_mut().unwrap().insert(0, sidecar);
                })
            }),
        ),
        // The first attempt's task is described twice: in the loop, and to collect its outcome.
        Case {
            contains: "attempt 1: stopped (not counted): the task was stopped: Your Spot Task was interrupted.",
            attempt: Some(2),
            ..describe(
                "spot",
                OK,
                2,
                Answer::Did(|answer| {
                    stopped(answer, |task| {
                        task["stopCode"] = json!("SpotInterruption");
                        task["stoppedReason"] = json!("Your Spot Task was interrupted.");
                    })
                }),
            )
        },
        Case {
            status: "FAILED",
            contains: "CannotPullContainerError",
            attempt: Some(4),
            ..describe(
                "image",
                OK,
                ALL_CALLS,
                Answer::Did(|answer| {
                    stopped(answer, |task| {
                        task["stopCode"] = json!("TaskFailedToStart");
                        task["containers"][0] =
                            json!({ "name": "job", "reason": "CannotPullContainerError: no such image" });
                    })
                }),
            )
        },
    ]
}

/// An empty page with a token. CloudWatch returns one if nothing was printed for so long that it ends its search early. This token
/// continues from the end, in the format of the local stack.
fn silence() -> Value {
    let end = format!("{:020}{:036}", i64::MAX, i64::MAX);
    json!({ "events": [], "nextBackwardToken": format!("b/{end}"), "nextForwardToken": format!("f/{end}") })
}

fn logs() -> Vec<Case> {
    let missing = Answer::Refuses(400, "ResourceNotFoundException", "The specified log stream does not exist.");
    let log = |job, calls, answer| Case { operation: "GetLogEvents", ..describe(job, OK, calls, answer) };
    vec![log("log", 2, missing), log("silence", ALL_CALLS, Answer::Begins(silence))]
}

#[tokio::test]
async fn every_response_of_run_task_leads_to_the_right_outcome() {
    let cases: Vec<_> = [failures(), throttles()].into_iter().flatten().collect();
    for some in cases.chunks(AT_ONCE) {
        let (stack, started) = start(some).await;
        for (case, pattern, id) in started {
            let done = stack.wait_for(&id, |execution| execution["done"] == true).await;
            check(&stack, case, pattern, &done).await;
        }
    }
}

#[tokio::test]
async fn a_result_is_found_in_the_log_despite_errors_and_empty_pages() {
    let cases = logs();
    let (stack, started) = start(&cases).await;
    for (case, pattern, id) in started {
        let done = stack.wait_for(&id, |execution| execution["done"] == true).await;
        assert_eq!(done["resultSource"], "log", "{done:#}");
        check(&stack, case, pattern, &done).await;
    }
}

/// There are no events, sweeps or reports. The workflow is woken without information, so it has to call `DescribeTasks`.
#[tokio::test]
async fn every_description_of_a_stopped_task_leads_to_the_right_outcome() {
    let cases = descriptions();
    let (stack, started) = start(&cases).await;
    let deadline = Instant::now() + FOUR_ATTEMPTS;
    let mut left = started;
    while !left.is_empty() {
        assert!(Instant::now() < deadline, "{} executions have not ended", left.len());
        for (_, _, id) in &left {
            let execution = stack.wait_for(id, |execution| execution.get("durableExecutionArn").is_some()).await;
            stack.wait_for_sleep(execution["durableExecutionArn"].as_str().unwrap()).await;
        }
        let mut waiting = Vec::new();
        for (case, pattern, id) in left {
            let execution = stack.execution(&id).await;
            if execution["done"] == true {
                check(&stack, case, pattern, &execution).await;
            } else {
                // This has no effect on a workflow that is waiting for its next attempt.
                stack.wake(&id, "").await;
                waiting.push((case, pattern, id));
            }
        }
        left = waiting;
    }
}

/// ECS sends each event twice, with what `DescribeTasks` would have returned. The workflow never calls `DescribeTasks`.
#[tokio::test]
async fn every_event_of_a_stopped_task_leads_to_the_right_outcome() {
    let cases: Vec<_> = descriptions().into_iter().filter(|case| matches!(case.answer, Answer::Did(_))).collect();
    let watch = json!({ "on": "ecs:DescribeTasks", "by": "longhaul-sync", "does": "watch", "times": "all" });
    let (stack, started) = start(&cases).await;
    let asked = stack.arm(&watch).await;
    for (case, pattern, id) in started {
        let Answer::Did(change) = case.answer else { unreachable!() };
        let mut sent = HashSet::new();
        let deadline = Instant::now() + FOUR_ATTEMPTS;
        let done = loop {
            let execution = stack.execution(&id).await;
            if execution["done"] == true {
                break execution;
            }
            assert!(Instant::now() < deadline, "{execution:#}");
            for task in stack.tasks_of(&id).await {
                // An event of a task whose start is not recorded yet would be ignored.
                let known = task["taskArn"] == execution["taskArn"];
                if known && task["lastStatus"] == "STOPPED" && sent.insert(task["taskArn"].clone()) {
                    let mut answer = json!({ "tasks": [task] });
                    // The loop and `collect` would each have described the task once.
                    if sent.len() <= case.calls / 2 {
                        change(&mut answer);
                    }
                    let event = event_of(answer["tasks"][0].take());
                    stack.reconcile(event.clone()).await;
                    stack.reconcile(event).await;
                }
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        check(&stack, case, pattern, &done).await;
    }
    assert_eq!(stack.fault(asked).await["seen"], 0);
}

/// The event about a task that `DescribeTasks` returned. Times in events are texts.
fn event_of(mut task: Value) -> Value {
    for name in ["startedAt", "stoppedAt"] {
        if let Some(seconds) = task[name].as_f64() {
            task[name] = json!(Timestamp::UNIX_EPOCH + SignedDuration::from_secs_f64(seconds));
        }
    }
    json!({ "source": "aws.ecs", "detail-type": "ECS Task State Change", "detail": task })
}

/// Starts an execution of each case and pattern, with the proxy before ECS and the logs. If the cases are about `DescribeTasks`, the
/// events of stopped tasks are lost and the sweep is off.
async fn start(cases: &[Case]) -> (Stack, Vec<(&Case, &'static str, String)>) {
    let rule = |case: &Case| Rule { job: case.job, operation: case.operation, calls: case.calls, answer: case.answer };
    let proxy = AwsProxy::start(cases.iter().map(rule).collect()).await;
    let durable = |pattern: &str| format!("longhaul-{pattern}={}", proxy.command_of(LONGHAUL, pattern));
    let (sync, callback) = (durable("sync"), durable("callback"));
    let jobs: Vec<_> = cases.iter().map(|case| format!("{}={}", case.job, case.command)).collect();
    let options = jobs.iter().flat_map(|job| ["--job", job]);
    let functions = ["--durable-function", &sync, "--durable-function", &callback];
    let stack = Stack::start(&options.chain(functions).collect::<Vec<_>>()).await;
    proxy.forward_to(&stack.aws);
    if cases.iter().any(|case| case.operation == "DescribeTasks") {
        let silent = json!({ "on": "events:ECS Task State Change", "does": "cutBefore", "times": "all" });
        stack.arm(&silent).await;
        stack.call("AWSEvents.DisableRule", json!({ "Name": "longhaul-sweep" })).await;
    }
    // A worker's report would take precedence over ECS and the log.
    if cases.iter().all(|case| case.patterns == SYNC) {
        stack.deny_reports().await;
    }
    let mut started = Vec::new();
    for case in cases {
        for pattern in case.patterns {
            let execution = stack.start_execution(pattern, &json!({ "job": case.job, "input": null })).await;
            started.push((case, *pattern, execution["executionId"].as_str().unwrap().to_owned()));
        }
    }
    (stack, started)
}

async fn check(stack: &Stack, case: &Case, pattern: &str, done: &Value) {
    let what = format!("{} {pattern}: {done:#}", case.job);
    assert_eq!(done["status"], case.status, "{what}");
    assert!(done.to_string().contains(case.contains), "{what}");
    assert_eq!(done["attempt"].as_u64(), case.attempt, "{what}");
    if case.status == "COMPLETED" {
        assert_eq!(done["result"], json!({ "n": 1 }), "{what}");
    }
    let tasks = stack.tasks_of(done["executionId"].as_str().unwrap()).await;
    let expected = usize::try_from(case.attempt.unwrap_or(0)).unwrap();
    assert_eq!(tasks.len(), expected, "one task for each attempt: {what}");
}
