//! Schedules: what callers do with them, and what the reconciler starts, with the clock moved.

use std::{collections::BTreeMap, time::Duration};

use jiff::{SignedDuration, Timestamp, ToSpan as _};
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};

use crate::{
    blocked_jobs::BlockedJobs,
    choices::option,
    stack::{Stack, eventually},
};

const QUICK: &str = "quick=echo '[1]'";

fn request(stack: &Stack, method: Method, path: &str) -> RequestBuilder {
    Client::new().request(method, format!("{}/schedules{path}", stack.api))
}

async fn answer(request: RequestBuilder) -> (u16, Value) {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    (status, if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap() })
}

async fn put(stack: &Stack, name: &str, body: &Value) -> (u16, Value) {
    answer(request(stack, Method::PUT, &format!("/{name}")).json(body)).await
}

async fn get(stack: &Stack, name: &str) -> Value {
    let (status, schedule) = answer(request(stack, Method::GET, &format!("/{name}"))).await;
    assert_eq!(status, 200, "{schedule:#}");
    schedule
}

fn quick(cron: &str) -> Value {
    json!({ "cron": cron, "pattern": "callback", "start": { "job": "quick", "input": { "n": 1 } } })
}

/// A schedule of `minutes` that runs a job which does not end by itself.
fn blocked(overlap: &str) -> Value {
    json!({ "cron": "*/10 * * * *", "pattern": "callback", "start": { "job": "blocked", "input": null }, "overlap": overlap })
}

async fn sweep(stack: &Stack) {
    stack.reconcile(json!({ "source": "aws.events", "detail-type": "Scheduled Event" })).await;
}

/// The executions of a schedule, newest first.
async fn executions(stack: &Stack, name: &str) -> Vec<Value> {
    let (mut found, mut token) = (Vec::new(), String::new());
    loop {
        let list = stack.get(&format!("/executions?schedule={name}&pageSize=100{token}"));
        let page: Value = list.send().await.unwrap().json().await.unwrap();
        found.extend(page["executions"].as_array().unwrap().iter().cloned());
        match page["nextPageToken"].as_str() {
            Some(next) => token = format!("&pageToken={next}"),
            None => return found,
        }
    }
}

fn time(value: &Value) -> Timestamp {
    value.as_str().unwrap_or_else(|| panic!("{value} is not a time")).parse().unwrap()
}

/// Moves the clock to a moment, which may have passed by less than a minute.
async fn forward_to(stack: &Stack, at: Timestamp) {
    let by = at.duration_since(now(stack).await) + SignedDuration::from_secs(1);
    if let Ok(by) = Duration::try_from(by) {
        stack.forward(by).await;
    }
}

/// The time of the stack's clock.
async fn now(stack: &Stack) -> Timestamp {
    let answer = stack.get("/healthz").send().await.unwrap();
    let date = answer.headers()["date"].to_str().unwrap().to_owned();
    jiff::fmt::rfc2822::parse(&date).unwrap().timestamp()
}

#[tokio::test]
async fn a_schedule_is_defined_shown_paused_triggered_and_deleted() {
    let stack = Stack::start(&["--job", QUICK, "--owner-header", "x-owner"]).await;
    let mut body = quick("0 2 * * *");
    body["timeZone"] = json!("Europe/Berlin");
    body["start"]["tags"] = json!({ "team": "blue" });
    let (status, created) = put(&stack, "nightly", &body).await;
    assert_eq!(status, 201, "{created:#}");
    let times = created["nextTimes"].as_array().unwrap();
    assert_eq!(times.len(), 5);
    for next in times {
        let local = next["local"].as_str().unwrap();
        assert!(local.contains("T02:00:00+0") || local.contains("T03:00:00+02:00"), "{next}");
        assert_eq!(time(&next["local"]), time(&next["at"]));
    }
    let expected = json!({ "input": { "n": 1 }, "job": "quick", "tags": { "team": "blue" } });
    assert_eq!((&created["start"], &created["overlap"]), (&expected, &json!("skip")));
    assert_eq!(put(&stack, "nightly", &body).await, (200, created.clone()), "the same body changes nothing");
    assert_eq!(get(&stack, "nightly").await, created);

    body["overlap"] = json!("allowAll");
    let (status, changed) = put(&stack, "nightly", &body).await;
    assert_eq!((status, &changed["nextTimes"], &changed["overlap"]), (200, &created["nextTimes"], &body["overlap"]));
    let (_, paused) = answer(request(&stack, Method::POST, "/nightly/pause")).await;
    assert_eq!((&paused["paused"], &paused["nextTimes"]), (&json!(true), &json!([])));
    assert_eq!(put(&stack, "nightly", &body).await.1["paused"], true, "a definition does not resume it");

    let trigger = || request(&stack, Method::POST, "/nightly/trigger").header("idempotency-key", "k");
    let (status, triggered) = answer(trigger()).await;
    assert_eq!(
        (status, &triggered["schedule"], &triggered["tags"]),
        (202, &json!("nightly"), &json!({ "team": "blue" }))
    );
    let id = triggered["executionId"].as_str().unwrap();
    stack.wait_for(id, |execution| execution["status"] == "COMPLETED").await;
    assert_eq!(answer(trigger()).await.1["executionId"], id, "a repeat starts nothing");
    let schedule = get(&stack, "nightly").await;
    assert_eq!((&schedule["last"]["executionId"], &schedule["last"]["status"]), (&json!(id), &json!("COMPLETED")));
    assert_eq!((&schedule["last"]["time"], &schedule["counts"]["fired"]), (&Value::Null, &json!(0)));

    let (_, resumed) = answer(request(&stack, Method::POST, "/nightly/resume")).await;
    assert_eq!((&resumed["paused"], &resumed["nextTimes"]), (&json!(false), &created["nextTimes"]));
    assert_eq!(put(&stack, "another", &quick("* * * * *")).await.0, 201);
    let listed = answer(request(&stack, Method::GET, "")).await.1;
    let names: Vec<_> =
        listed["schedules"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["another", "nightly"]);
    assert_eq!((&listed["schedules"][1]["job"], &listed["schedules"][1]["start"]), (&json!("quick"), &Value::Null));
    eventually("the list to name the execution", async || {
        (executions(&stack, "nightly").await.len() == 1).then_some(())
    })
    .await;
    assert!(executions(&stack, "other").await.is_empty());

    for (method, path) in
        [(Method::GET, ""), (Method::DELETE, ""), (Method::POST, "/pause"), (Method::POST, "/trigger")]
    {
        let theirs = request(&stack, method.clone(), &format!("/nightly{path}")).header("x-owner", "eve");
        let (status, problem) = answer(theirs).await;
        assert_eq!((status, &problem["code"]), (404, &json!("schedule-not-found")), "{method} {path}");
    }
    assert_eq!(answer(request(&stack, Method::DELETE, "/nightly")).await.0, 204);
    assert_eq!(answer(request(&stack, Method::GET, "/nightly")).await.0, 404);
    assert_eq!(answer(request(&stack, Method::DELETE, "/nightly")).await.0, 404);
    assert_eq!(stack.execution(id).await["status"], "COMPLETED");
    let (status, again) = put(&stack, "nightly", &body).await;
    assert_eq!((status, &again["last"], &again["paused"]), (201, &Value::Null, &json!(false)));
}

#[tokio::test]
async fn every_mistake_in_a_schedule_is_reported_and_leaves_nothing_behind() {
    let stack = Stack::start(&["--job", QUICK]).await;
    for (body, expected) in [
        (json!({}), vec![("", "invalid-value"), ("", "invalid-value"), ("", "invalid-value")]),
        (
            json!({ "cron": "0 0 * * * *", "timeZone": "Berlin", "pattern": "sync", "start": { "job": "qick", "input": 1, "timeoutSeconds": 0 },
                "catchUpSeconds": 1, "jitterSeconds": 9999 }),
            vec![
                ("/cron", "invalid-cron"),
                ("/timeZone", "unknown-time-zone"),
                ("/catchUpSeconds", "catch-up-out-of-range"),
                ("/jitterSeconds", "jitter-out-of-range"),
                ("/start/timeoutSeconds", "timeout-out-of-range"),
                ("/start/job", "unknown-job"),
            ],
        ),
        (
            json!({ "cron": "@daily", "pattern": "async", "overlap": "buffer", "start": { "inputUpload": "35-x", "Input": 1, "x": 1 }, "zone": 1 }),
            vec![
                ("/pattern", "invalid-value"),
                ("/overlap", "invalid-value"),
                ("/start/inputUpload", "not-in-schedule"),
                ("/start/Input", "invalid-value"),
                ("/start/x", "invalid-value"),
                ("/zone", "invalid-value"),
                ("/cron", "invalid-cron"),
            ],
        ),
    ] {
        let (status, problem) = put(&stack, "bad", &body).await;
        let errors = problem["errors"].as_array().unwrap_or_else(|| panic!("{problem:#}"));
        let found: Vec<_> =
            errors.iter().map(|one| (one["pointer"].as_str().unwrap(), one["rule"].as_str().unwrap())).collect();
        assert_eq!((status, found), (422, expected), "{problem:#}");
    }
    for name in ["-a", "a%20b", &"x".repeat(65)] {
        let (status, problem) = put(&stack, name, &quick("* * * * *")).await;
        assert_eq!((status, &problem["code"]), (400, &json!("invalid-parameter")), "{name}");
    }
    assert_eq!(answer(request(&stack, Method::GET, "")).await.1, json!({ "schedules": [] }));
}

/// The reconciler is killed after it has created an execution, and before it records that. Meanwhile, the clock goes through both switches
/// of a zone. `SCHEDULE_DAYS` days are run through around each of them.
#[tokio::test]
async fn every_time_starts_once_through_both_switches_and_crashes() {
    let stack = Stack::start(&["--movable-clock", "--job", QUICK]).await;
    let days = i64::try_from(option("SCHEDULE_DAYS", 2)).unwrap();
    let start = json!({ "job": "quick", "input": null });
    let rule = |cron: &str, catch_up: u64| {
        json!({ "cron": cron, "timeZone": "Europe/Berlin", "pattern": "callback", "start": start, "overlap": "allowAll",
            "catchUpSeconds": catch_up, "paused": true })
    };
    put(&stack, "fixed", &rule("30 2 * * *", 3_600)).await;
    put(&stack, "interval", &rule("0 */4 * * *", 86_400)).await;
    let mut totals = BTreeMap::from([("fixed", 0), ("interval", 0)]);
    let berlin = jiff::tz::TimeZoneDatabase::bundled().get("Europe/Berlin").unwrap();
    for _ in 0..2 {
        let mut expected = BTreeMap::from([("fixed", Vec::new()), ("interval", Vec::new())]);
        let switch = berlin.following(now(&stack).await).next().unwrap().timestamp();
        forward_to(&stack, switch - (days * 12).hours()).await;
        let end = switch + (days * 12).hours();
        for name in ["fixed", "interval"] {
            answer(request(&stack, Method::POST, &format!("/{name}/resume"))).await;
        }
        for crash in 0.. {
            let next = async |name| get(&stack, name).await["nextTimes"][0]["at"].clone();
            let (fixed, interval) = (time(&next("fixed").await), time(&next("interval").await));
            let at = fixed.min(interval);
            if at > end {
                break;
            }
            // The second PutItem of a sweep that starts one execution is the schedule's.
            let kills =
                json!({ "on": "dynamodb:PutItem", "by": "longhaul-reconciler", "does": "killBefore", "skip": 1 });
            let kills = if crash % 2 == 0 { Some(stack.arm(&kills).await) } else { None };
            forward_to(&stack, at).await;
            for (name, its) in [("fixed", fixed), ("interval", interval)] {
                if its == at {
                    expected.get_mut(name).unwrap().push(at);
                    eventually(&format!("{name} to be recorded at {at}"), async || {
                        let _ = stack
                            .post_to_aws("/2015-03-31/functions/longhaul-reconciler/invocations")
                            .json(&json!({ "source": "aws.events", "detail-type": "Scheduled Event" }))
                            .send()
                            .await;
                        (get(&stack, name).await["last"]["time"] == json!(format!("{at:.3}"))).then_some(())
                    })
                    .await;
                }
            }
            if let Some(kills) = kills {
                assert_ne!(stack.fault(kills).await["hit"], 0, "the reconciler was killed at {at}");
                stack.disarm(kills).await;
            }
        }
        for (name, expected) in expected {
            answer(request(&stack, Method::POST, &format!("/{name}/pause"))).await;
            let mut started = Vec::new();
            for execution in executions(&stack, name).await {
                started.push(time(&stack.execution(execution["executionId"].as_str().unwrap()).await["scheduleTime"]));
            }
            started.sort();
            assert_eq!(started, expected, "{name}");
            let total = totals.get_mut(name).unwrap();
            *total += expected.len();
            let counts = get(&stack, name).await["counts"].clone();
            assert_eq!(counts, json!({ "fired": *total, "skipped": 0, "missed": 0, "failed": 0 }), "{name}");
        }
    }
    println!("schedules: {totals:?} times were started, once each");
}

#[tokio::test]
async fn the_overlap_policies_skip_buffer_and_cancel() {
    let jobs = BlockedJobs::new();
    let stack = Stack::start(&["--movable-clock", "--job", &jobs.job("blocked")]).await;
    for name in ["skip", "bufferOne", "cancelOther"] {
        assert_eq!(put(&stack, name, &blocked(name)).await.0, 201);
    }
    let last =
        async |name: &str| get(&stack, name).await["last"]["executionId"].as_str().unwrap_or_default().to_owned();
    let due = async || {
        let next = time(&get(&stack, "skip").await["nextTimes"][0]["at"]);
        forward_to(&stack, next).await;
        sweep(&stack).await;
    };
    due().await;
    let firsts = [last("skip").await, last("bufferOne").await, last("cancelOther").await];
    for id in &firsts {
        stack.wait_for(id, |execution| execution["status"] == "RUNNING").await;
    }
    due().await;
    let counts = get(&stack, "skip").await["counts"].clone();
    assert_eq!(counts, json!({ "fired": 1, "skipped": 1, "missed": 0, "failed": 0 }));
    assert!(get(&stack, "bufferOne").await["waitingTime"].is_string());
    stack.wait_for(&firsts[2], |execution| execution["status"] == "CANCELLED").await;
    sweep(&stack).await;
    assert_ne!(last("cancelOther").await, firsts[2], "the time that waited for the cancel is started");
    assert_eq!(last("bufferOne").await, firsts[1]);
    jobs.release(&firsts[1]);
    stack.wait_for(&firsts[1], |execution| execution["done"] == true).await;
    sweep(&stack).await;
    assert_ne!(last("bufferOne").await, firsts[1], "the time that waited is started");
    assert_eq!(get(&stack, "bufferOne").await["waitingTime"], Value::Null);
    for name in ["skip", "bufferOne", "cancelOther"] {
        assert_eq!(answer(request(&stack, Method::DELETE, &format!("/{name}"))).await.0, 204);
    }
}

#[tokio::test]
async fn times_that_cannot_be_started_are_counted_and_the_schedule_shows_why() {
    let data = tempfile::tempdir().unwrap();
    let stack = Stack::start_over(data.path(), &["--movable-clock", "--job", QUICK]).await;
    assert_eq!(put(&stack, "gone", &quick("*/10 * * * *")).await.0, 201);
    drop(stack);
    let stack = Stack::start_over(data.path(), &["--movable-clock"]).await;
    let next = time(&get(&stack, "gone").await["nextTimes"][0]["at"]);
    for n in 0..10 {
        forward_to(&stack, next + (n * 10).minutes()).await;
        sweep(&stack).await;
    }
    let schedule = get(&stack, "gone").await;
    assert_eq!((&schedule["failing"], &schedule["failures"]["count"]), (&json!(true), &json!(10)), "{schedule:#}");
    let why = schedule["failures"]["lastError"].as_str().unwrap();
    assert!(why.starts_with("/start/job is not one of: demo"), "{why}");
    let (status, problem) = answer(request(&stack, Method::POST, "/gone/trigger")).await;
    assert_eq!((status, &problem["errors"][0]["pointer"]), (422, &json!("/start/job")));
}
