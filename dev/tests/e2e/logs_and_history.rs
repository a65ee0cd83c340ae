//! Logs and histories of executions.

use std::time::Duration;

use reqwest::{RequestBuilder, StatusCode};
use serde_json::{Value, json};

use crate::{
    blocked_jobs::BlockedJobs,
    stack::{Stack, eventually, header},
};

async fn answer(request: RequestBuilder) -> Value {
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK, "{}", response.text().await.unwrap());
    response.json().await.unwrap()
}

fn texts(page: &Value) -> Vec<&str> {
    page["lines"].as_array().unwrap().iter().map(|line| line["text"].as_str().unwrap()).collect()
}

fn id(execution: &Value) -> &str {
    execution["executionId"].as_str().unwrap()
}

#[tokio::test]
async fn all_pages_of_a_log_have_all_its_lines_in_order() {
    let stack = Stack::start(&["--job", "chatty=seq 1 2500"]).await;
    let done = stack.run("sync", json!({ "job": "chatty", "input": null })).await;
    let logs = |query: &str| stack.get(&format!("/executions/{}/logs?{query}", id(&done)));
    // The end is recorded before the log has its last lines.
    stack.wait_for_tasks_to_stop(id(&done)).await;
    let (mut lines, mut query, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let page = answer(logs(&query)).await;
        assert_eq!(page["attempt"], 1);
        lines.extend(texts(&page).into_iter().map(str::to_owned));
        pages += 1;
        let Some(token) = page["nextToken"].as_str() else { break };
        query = format!("nextToken={token}");
    }
    assert_eq!(lines, (1..=2_500).map(|number| number.to_string()).collect::<Vec<_>>());
    assert_eq!(pages, 4, "three pages with lines, and one without a token");
    let tail = answer(logs("tail=2")).await;
    assert_eq!(texts(&tail), ["2499", "2500"]);
    let behind = answer(logs(&format!("nextToken={}", tail["nextToken"].as_str().unwrap()))).await;
    assert_eq!((texts(&behind), behind.get("nextToken")), (vec![], None));
    let none = answer(logs("attempt=2")).await;
    assert_eq!((texts(&none), none.get("nextToken")), (vec![], None));

    let token = tail["nextToken"].as_str().unwrap();
    for (query, code) in [
        (format!("nextToken={token}&tail=1"), "invalid-parameter"),
        (format!("nextToken={token}&attempt=1"), "invalid-parameter"),
        (format!("nextToken={token}A"), "invalid-page-token"),
        ("nextToken=".to_owned(), "invalid-page-token"),
        ("tail=0".to_owned(), "invalid-parameter"),
        ("tail=1001".to_owned(), "invalid-parameter"),
        ("attempt=0".to_owned(), "invalid-parameter"),
        ("tial=1".to_owned(), "invalid-parameter"),
    ] {
        let response = logs(&query).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{query}");
        assert_eq!(response.json::<Value>().await.unwrap()["code"], code, "{query}");
    }
}

/// Makes CloudWatch return `count` empty pages before those with lines, which it may do. Only a token equal to the one in the request means
/// that there are no more lines. The tokens here belong to no line: they are before all lines, or after them when reading backwards.
async fn arm_empty_pages(stack: &Stack, by: &str, count: u64) -> Vec<u64> {
    let mut armed = Vec::new();
    for number in 0..count {
        let newer = format!("f/{:020}{:036}", 0, number + 1);
        let older = format!("b/{:020}{:036}", i64::MAX, count - number);
        let answer = json!({ "events": [], "nextForwardToken": newer, "nextBackwardToken": older });
        let fault = json!({ "on": "logs:GetLogEvents", "by": by, "skip": number, "does": { "answer": answer } });
        armed.push(stack.arm(&fault).await);
    }
    armed
}

#[tokio::test]
async fn log_lines_behind_empty_pages_are_found() {
    let stack = Stack::start(&["--job", "lines=seq 1 3"]).await;
    let done = stack.run("sync", json!({ "job": "lines", "input": null })).await;
    stack.wait_for_tasks_to_stop(id(&done)).await;
    let logs = async |query: &str| answer(stack.get(&format!("/executions/{}/logs?{query}", id(&done)))).await;
    for (query, expected) in [("", vec!["1", "2", "3"]), ("tail=2", vec!["2", "3"]), ("tail=9", vec!["1", "2", "3"])] {
        for count in [1, 9] {
            let armed = arm_empty_pages(&stack, "api", count).await;
            assert_eq!(texts(&logs(query).await), expected, "{query} behind {count} empty pages");
            for fault in armed {
                stack.disarm(fault).await;
            }
        }
        // More empty pages than one request reads: the next one continues with the token.
        let armed = arm_empty_pages(&stack, "api", 25).await;
        let mut page = logs(query).await;
        let mut empty = 0;
        while texts(&page).is_empty() {
            empty += 1;
            page = logs(&format!("nextToken={}", page["nextToken"].as_str().expect("the log ends before its lines")))
                .await;
        }
        assert_eq!((texts(&page), empty), (expected, 2), "{query}");
        for fault in armed {
            stack.disarm(fault).await;
        }
    }
}

/// The result of a sync execution is read from its log if its worker did not report it.
#[tokio::test]
async fn a_result_behind_empty_log_pages_is_found() {
    let stack = Stack::start(&["--job", "quick=echo '[1]'"]).await;
    arm_empty_pages(&stack, "longhaul-sync", 38).await;
    let done = stack.run("sync", json!({ "job": "quick", "input": null })).await;
    assert_eq!((&done["status"], &done["result"]), (&json!("COMPLETED"), &json!([1])), "{done:#}");
}

/// Before the first line there is no log stream. The API then returns an empty page with a token.
#[tokio::test]
async fn a_log_can_be_followed_while_it_is_written() {
    let blocked = BlockedJobs::new();
    let directory = tempfile::tempdir().unwrap();
    let second = directory.path().join("second");
    let prints = format!("echo one; until test -e {}; do sleep 0.05; done; echo two", second.display());
    let stack = Stack::start(&["--job", &blocked.job_then("prints", &prints), "--log-reads", "100000"]).await;
    let started = stack.start_execution("callback", &json!({ "job": "prints", "input": null })).await;
    let logs = |query: &str| stack.get(&format!("/executions/{}/logs?{query}", id(&started)));
    let mut page = answer(logs("")).await;
    assert_eq!(texts(&page), Vec::<&str>::new());
    blocked.release(id(&started));
    let mut lines = Vec::new();
    let mut follow = async |lines: &mut Vec<_>| {
        let token = page["nextToken"].as_str()?;
        page = answer(logs(&format!("nextToken={token}"))).await;
        lines.extend(texts(&page).into_iter().map(str::to_owned));
        Some(())
    };
    eventually("the first line", async || {
        follow(&mut lines).await.expect("the log ends while the job is running");
        (lines == ["one"]).then_some(())
    })
    .await;
    std::fs::write(second, "").unwrap();
    // The end is recorded before the log has its last lines.
    stack.wait_for(id(&started), |execution| execution["done"] == true).await;
    stack.wait_for_tasks_to_stop(id(&started)).await;
    eventually("the end of the log", async || follow(&mut lines).await.is_none().then_some(())).await;
    assert_eq!(lines, ["one", "two"]);
}

#[tokio::test]
async fn each_attempt_has_a_log_and_a_history() {
    let marks = tempfile::tempdir().unwrap();
    let mark = marks.path().display();
    let flaky = format!(
        "flaky=read name; test -e {mark}/$name && echo second || {{ touch {mark}/$name; echo first; exit 3; }}"
    );
    let stack = Stack::start(&["--job", &flaky]).await;
    for (number, pattern) in ["sync", "callback"].into_iter().enumerate() {
        let body = json!({ "job": "flaky", "input": number, "retry": { "maxAttempts": 2 } });
        let done = stack.run(pattern, body).await;
        assert_eq!(done["attempt"], 2, "{done:#}");
        // The end is recorded before the log has its last lines.
        stack.wait_for_tasks_to_stop(id(&done)).await;
        let path = |rest: &str| format!("/executions/{}/{rest}", id(&done));
        for (query, attempt, line) in [("", 2, "second"), ("?attempt=1", 1, "first"), ("?attempt=2", 2, "second")] {
            let page = answer(stack.get(&path(&format!("logs{query}")))).await;
            // The worker writes to this log too, so only the first line is compared.
            assert_eq!((&page["attempt"], texts(&page).first()), (&json!(attempt), Some(&line)), "{pattern} {query}");
        }
        let ran = async |query: &str| {
            let history = answer(stack.get(&path(&format!("history{query}")))).await;
            history["operations"].as_array().unwrap().iter().filter(|it| it["name"] == "run-task").count()
        };
        let expected = if pattern == "sync" { (2, 2) } else { (1, 1) };
        assert_eq!((ran("").await, ran("?attempt=2").await), expected, "{pattern}");
    }
}

#[tokio::test]
async fn a_history_has_every_operation_once() {
    let blocked = BlockedJobs::new();
    let stack = Stack::start(&["--job", &blocked.job("blocked")]).await;
    let started = stack.start_execution("sync", &json!({ "job": "blocked", "input": { "secret": "payload" } })).await;
    let running = stack.wait_for(id(&started), |execution| execution["status"] == "RUNNING").await;
    stack.wait_for_sleep(running["durableExecutionArn"].as_str().unwrap()).await;
    blocked.release(id(&started));
    let path = |query: &str| format!("/executions/{}/history?{query}", id(&started));
    // The item becomes final a moment before the workflow ends.
    let whole = eventually("the workflow to end", async || {
        let whole = answer(stack.get(&path(""))).await;
        let operations = whole["operations"].as_array().unwrap();
        let over = operations.iter().any(|it| it["name"] == "record" && it["outcome"] == "SUCCEEDED");
        over.then_some(whole)
    })
    .await;
    let operations = whole["operations"].as_array().unwrap();
    let names: Vec<_> = operations.iter().map(|operation| operation["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["accept", "run-task", "record-task", "wake", "check-task", "collect", "record"]);
    for operation in operations {
        let at = |name: &str| operation[name].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
        assert!(at("startedAt") <= at("endedAt"), "{operation}");
        // On a busy machine a step may need another attempt.
        assert!(operation["attempts"].as_u64().unwrap() >= 1, "{operation}");
        let kind = if operation["name"] == "wake" { "Callback" } else { "Step" };
        assert_eq!(operation["kind"], kind);
    }
    assert!(!whole.to_string().contains("payload") && !whole.to_string().contains("arn:"), "{whole:#}");

    for size in [1, 2, 3, 7] {
        let (mut paged, mut query) = (Vec::new(), format!("pageSize={size}"));
        loop {
            let page = answer(stack.get(&path(&query))).await;
            paged.extend(page["operations"].as_array().unwrap().clone());
            let Some(token) = page["nextPageToken"].as_str() else { break };
            query = format!("pageSize={size}&pageToken={token}");
        }
        assert_eq!(paged.len(), operations.len(), "in pages of {size}");
        assert!(operations.iter().all(|operation| paged.contains(operation)), "in pages of {size}");
    }
    for (query, code) in
        [("pageSize=0", "invalid-parameter"), ("x=1", "invalid-parameter"), ("pageToken=x", "invalid-page-token")]
    {
        let response = stack.get(&path(query)).send().await.unwrap();
        assert_eq!(response.json::<Value>().await.unwrap()["code"], code);
    }
}

#[tokio::test]
async fn requests_that_aws_throttles_are_answered_with_503_and_retry_after() {
    let stack = Stack::start(&["--job", "quick=echo '[1]'"]).await;
    let done = stack.run("sync", json!({ "job": "quick", "input": null })).await;
    for (on, path) in [
        ("logs:GetLogEvents", format!("/executions/{}/logs", id(&done))),
        ("lambda:GetDurableExecutionHistory", format!("/executions/{}/history", id(&done))),
        ("dynamodb:GetItem", format!("/executions/{}", id(&done))),
        ("dynamodb:Query", "/executions".to_owned()),
    ] {
        let fault = stack.arm(&json!({ "on": on, "does": "throttle", "by": "api", "times": "all" })).await;
        let response = stack.get(&path).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE, "{on}");
        assert_eq!(header(&response, "retry-after"), "1", "{on}");
        let problem: Value = response.json().await.unwrap();
        assert_eq!(problem["code"], "aws-unavailable", "{on}");
        assert!(!problem.to_string().contains("Throttling") && !problem.to_string().contains(on), "{problem:#}");
        stack.disarm(fault).await;
        assert_eq!(stack.get(&path).send().await.unwrap().status(), StatusCode::OK, "{on}");
    }
}

/// CloudWatch allows few log reads for a whole account, so the API limits them for each caller.
#[tokio::test]
async fn the_log_reads_of_each_caller_are_limited() {
    let arguments = ["--job", "quick=echo '[1]'", "--log-reads", "2", "--owner-header", "x-owner"];
    let stack = Stack::start(&arguments).await;
    let run = async |owner: &str| {
        let post = stack.post("/executions/callback").header("x-owner", owner).header("prefer", "wait=25");
        let done: Value =
            post.json(&json!({ "job": "quick", "input": null })).send().await.unwrap().json().await.unwrap();
        id(&done).to_owned()
    };
    let (adas, eves) = (run("ada").await, run("eve").await);
    let logs = |owner: &str, id: &str| stack.get(&format!("/executions/{id}/logs")).header("x-owner", owner).send();
    let left = |response: &reqwest::Response| -> (u64, u64) {
        assert_eq!(header(response, "ratelimit-policy"), "\"logs\";q=2;w=10");
        let left = header(response, "ratelimit").strip_prefix("\"logs\";r=").unwrap().split_once(";t=").unwrap();
        (left.0.parse().unwrap(), left.1.parse().unwrap())
    };
    // The third read in one window is refused. A window may end between them.
    let refused = eventually("a refusal", async || {
        let response = logs("ada", &adas).await.unwrap();
        if response.status() == StatusCode::OK {
            assert!(left(&response).0 < 2);
            return None;
        }
        Some(response)
    })
    .await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(header(&refused, "content-type"), "application/problem+json");
    let (requests, seconds) = left(&refused);
    assert_eq!(requests, 0);
    assert!((1..=10).contains(&seconds), "{seconds}");
    assert_eq!(header(&refused, "retry-after"), seconds.to_string());
    let problem: Value = refused.json().await.unwrap();
    assert_eq!(problem["code"], "quota-exceeded");
    assert_eq!(problem["type"], "https://iana.org/assignments/http-problem-types#quota-exceeded");
    assert_eq!(problem["violated-policies"], json!(["logs"]));

    assert_eq!(logs("eve", &eves).await.unwrap().status(), StatusCode::OK, "another caller has its own limit");
    let poll = stack.get(&format!("/executions/{adas}")).header("x-owner", "ada").send().await.unwrap();
    assert_eq!(poll.status(), StatusCode::OK, "only logs are limited");
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    eventually("the next window", async || {
        (logs("ada", &adas).await.unwrap().status() == StatusCode::OK).then_some(())
    })
    .await;

    // If reads cannot be counted, none is refused.
    stack.arm(&json!({ "on": "dynamodb:UpdateItem", "by": "api", "does": "fail", "times": "all" })).await;
    for _ in 0..4 {
        let response = logs("ada", &adas).await.unwrap();
        assert_eq!((response.status(), response.headers().get("ratelimit")), (StatusCode::OK, None));
    }
}
