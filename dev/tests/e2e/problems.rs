//! Invalid requests are answered with a problem that has the right status and code, and have no effect.

use std::collections::BTreeSet;

use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

use crate::stack::{Stack, header};

async fn problem(request: RequestBuilder, status: u16, code: &str) -> Value {
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), StatusCode::from_u16(status).unwrap(), "{code}");
    assert_eq!(header(&response, "content-type"), "application/problem+json", "{code}");
    let request_id = header(&response, "x-request-id").to_owned();
    let problem: Value = response.json().await.unwrap();
    assert_eq!((&problem["status"], &problem["code"]), (&json!(status), &json!(code)), "{problem:#}");
    assert_eq!((&problem["requestId"], &problem["type"]), (&json!(request_id), &json!(format!("/docs/errors#{code}"))));
    assert!(problem["title"].is_string() && problem["detail"].is_string(), "{problem:#}");
    problem
}

#[tokio::test]
async fn an_invalid_post_is_answered_with_a_problem_and_creates_no_execution() {
    let stack = Stack::start(&[]).await;
    let json =
        |body: &str| stack.post("/executions/sync").header("content-type", "application/json").body(body.to_owned());
    let ok = r#"{"input": 1}"#;

    problem(json("{"), 400, "invalid-json").await;
    let empty = problem(json(" "), 400, "invalid-json").await;
    assert_eq!(empty["detail"], "the body is empty: send {\"input\": …}");
    problem(json("\u{0}"), 400, "invalid-json").await;
    problem(json(ok).header("idempotency-key", ""), 400, "invalid-header").await;
    problem(json(ok).header("idempotency-key", "k".repeat(256)), 400, "invalid-header").await;
    problem(json(ok).header("idempotency-key", "a").header("idempotency-key", "b"), 400, "invalid-header").await;
    problem(json(&format!(r#"{{"input": "{}"}}"#, "x".repeat(256 * 1024))), 413, "body-too-large").await;
    problem(json(ok).header("content-encoding", "gzip"), 415, "unsupported-content-encoding").await;
    problem(stack.post("/executions/sync").body(ok), 415, "unsupported-media-type").await;
    problem(
        stack.post("/executions/sync").header("content-type", "text/plain").body(ok),
        415,
        "unsupported-media-type",
    )
    .await;

    let deep = format!("{}{}", "[".repeat(65), "]".repeat(65));
    let tags: serde_json::Map<_, _> = (0..21).map(|n| (format!("t{n}"), json!("x"))).collect();
    for (body, pointer, rule) in [
        ("{}".to_owned(), "", "invalid-value"),
        ("[1]".to_owned(), "", "invalid-value"),
        (r#"{"input": 1, "inptu": 2}"#.to_owned(), "/inptu", "invalid-value"),
        (r#"{"input": 1, "job": 7}"#.to_owned(), "/job", "invalid-value"),
        (r#"{"input": 1, "job": "no-such-job"}"#.to_owned(), "/job", "unknown-job"),
        (r#"{"input": 1, "timeoutSeconds": 0}"#.to_owned(), "/timeoutSeconds", "timeout-out-of-range"),
        (r#"{"input": 1, "timeoutSeconds": 31536001}"#.to_owned(), "/timeoutSeconds", "timeout-out-of-range"),
        (r#"{"input": 1, "timeoutSeconds": 1.5}"#.to_owned(), "/timeoutSeconds", "invalid-value"),
        (r#"{"input": 1, "timeoutSeconds": 1e300}"#.to_owned(), "/timeoutSeconds", "timeout-out-of-range"),
        (r#"{"input": 1, "timeoutSeconds": -1}"#.to_owned(), "/timeoutSeconds", "timeout-out-of-range"),
        (
            r#"{"input": 1, "timeoutSeconds": 99999999999999999999}"#.to_owned(),
            "/timeoutSeconds",
            "timeout-out-of-range",
        ),
        (r#"{"input": 1, "retry": {"maxAttempts": 1e300}}"#.to_owned(), "/retry/maxAttempts", "attempts-out-of-range"),
        (r#"{"input": 1, "retry": {"maxAttempts": -1}}"#.to_owned(), "/retry/maxAttempts", "attempts-out-of-range"),
        (r#"{"input": 1, "retry": [3]}"#.to_owned(), "/retry", "invalid-value"),
        (r#"{"input": 1, "retry": {"maxAttempts": null}}"#.to_owned(), "/retry", "invalid-value"),
        (r#"{"input": 1, "retry": {"maxAttempts": 11}}"#.to_owned(), "/retry/maxAttempts", "attempts-out-of-range"),
        (format!(r#"{{"input": {deep}}}"#), "/input", "input-too-deep"),
        (format!(r#"{{"input": "{}"}}"#, "x".repeat(200 * 1024)), "/input", "input-too-large"),
        (json!({ "input": 1, "tags": tags }).to_string(), "/tags", "too-many-tags"),
        (r#"{"input": 1, "tags": {"a": "1", "a": "2"}}"#.to_owned(), "/tags/a", "invalid-value"),
        (r#"{"input": {"a": [{"b": 1, "b": 2}]}}"#.to_owned(), "/input/a/0/b", "invalid-value"),
        (json!({ "input": 1, "tags": { "a/b": "x".repeat(257) } }).to_string(), "/tags/a~1b", "tag-value-length"),
    ] {
        let problem = problem(json(&body), 422, "invalid-body").await;
        let error = &problem["errors"][0];
        assert_eq!((&error["pointer"], &error["rule"]), (&json!(pointer), &json!(rule)), "{problem:#}");
    }
    // One response lists all errors: unknown names, wrong types and exceeded limits.
    let all = r#"{"inptu": 1, "job": "demo2", "timeoutSeconds": 0, "retry": 3, "tags": {"a&b": "c"}}"#;
    let all = problem(json(all), 422, "invalid-body").await;
    let of =
        |error: &Value| [&error["pointer"], &error["rule"]].map(|text| text.as_str().unwrap().to_owned()).join(" ");
    let errors: Vec<_> = all["errors"].as_array().unwrap().iter().map(of).collect();
    assert_eq!(
        errors,
        [
            "/retry invalid-value",
            "/inptu invalid-value",
            "/timeoutSeconds timeout-out-of-range",
            "/tags/a&b tag-characters",
            "/job unknown-job",
        ]
    );
    assert_eq!(all["errors"][1]["detail"], "is not a member of this object; did you mean `input`?");
    assert_eq!(all["errors"][4]["detail"], "is not one of: demo (did you mean demo?)");
    // In JSON and JSON Schema, 3 and 3.0 are equal. A parser may ignore a byte order mark.
    let whole = "\u{feff}{\"input\": 1, \"timeoutSeconds\": 6e1, \"retry\": {\"maxAttempts\": 3.0}, \"tags\": null}";
    let checked = stack.post("/executions/sync/validate").header("content-type", "application/json");
    assert_eq!(checked.body(whole).send().await.unwrap().status(), StatusCode::OK);
    assert_eq!(stack.items().await, 0, "no execution was created");
}

#[tokio::test]
async fn an_unknown_query_parameter_is_refused_without_effect() {
    let stack = Stack::start(&["--job", "long=sleep 300"]).await;
    let id = stack.start_running("sync", "long").await;
    let path = |rest: &str| format!("/executions/{id}{rest}");
    problem(stack.post(&path("/rerun?validateOnly=true")), 400, "invalid-parameter").await;
    problem(stack.post(&path("/cancel?dryRun=true")), 400, "invalid-parameter").await;
    problem(stack.get(&path("?x=1")), 400, "invalid-parameter").await;
    problem(stack.get("/jobs?x=1&x=2"), 400, "invalid-parameter").await;
    assert_eq!(stack.items().await, 1, "nothing was started");
    assert_eq!(stack.execution(&id).await["status"], "RUNNING");
}

/// A caller may expect the body to have an effect, such as another input for a rerun.
#[tokio::test]
async fn a_body_for_an_operation_without_one_is_refused() {
    let stack = Stack::start(&["--job", "long=sleep 300"]).await;
    let id = stack.start_running("sync", "long").await;
    let post = |rest: &str, body: &'static str| stack.post(&format!("/executions/{id}/{rest}")).body(body);
    problem(post("rerun", r#"{"input": 2}"#), 422, "invalid-body").await;
    problem(post("cancel", "please"), 422, "invalid-body").await;
    assert_eq!(stack.items().await, 1, "nothing was started");
    assert_eq!(stack.execution(&id).await["status"], "RUNNING");
    assert_eq!(post("cancel", " {} ").send().await.unwrap().status(), StatusCode::ACCEPTED);
}

/// The API does not know whether the execution was accepted. With a key, the request can be repeated safely.
#[tokio::test]
async fn a_post_with_an_unknown_outcome_says_what_to_do_next() {
    let stack = Stack::start(&[]).await;
    stack.arm(&json!({ "on": "dynamodb:PutItem", "by": "api", "does": "cutAfter", "times": "all" })).await;
    let post = || stack.post("/executions/sync").json(&json!({ "input": null }));
    let unsure = problem(post(), 503, "aws-unavailable").await;
    assert!(unsure["detail"].as_str().unwrap().contains("GET /executions"), "{unsure:#}");
    let safe = problem(post().header("idempotency-key", "k"), 503, "aws-unavailable").await;
    assert!(safe["detail"].as_str().unwrap().contains("repeat the request"), "{safe:#}");
}

#[tokio::test]
async fn unknown_paths_methods_and_executions_are_answered_with_problems() {
    let stack = Stack::start(&[]).await;
    problem(stack.get("/executions/01a208cc-f685-7587-8cf0-6b6bfde36f95"), 404, "execution-not-found").await;
    problem(stack.get("/executions/not%20an%20id"), 404, "execution-not-found").await;
    problem(stack.get("/nowhere"), 404, "path-not-found").await;
    problem(stack.get("/docs/%ff"), 404, "path-not-found").await;
    for not_utf8 in ["/executions/%ff", "/executions/%ff/logs", "/executions/%ff/history"] {
        problem(stack.get(not_utf8), 404, "execution-not-found").await;
    }
    let delete = |path: &str| reqwest::Client::new().request(Method::DELETE, format!("{}{path}", stack.api));
    problem(delete("/executions/sync"), 405, "method-not-allowed").await;
    let post = problem(stack.post("/executions").json(&json!({ "input": 1 })), 405, "method-not-allowed").await;
    let detail = post["detail"].as_str().unwrap();
    assert!(detail.contains("POST /executions/sync") && detail.contains("POST /executions/callback"), "{detail}");
    let allowed_at = [
        ("/executions/sync", "POST"),
        ("/executions/sync/validate", "POST"),
        ("/executions/callback", "POST"),
        ("/executions/callback/validate", "POST"),
        ("/executions", "GET,HEAD"),
        ("/executions/some", "GET,HEAD,PATCH"),
        ("/executions/some/cancel", "POST"),
        ("/executions/some/rerun", "POST"),
        ("/executions/some/logs", "GET,HEAD"),
        ("/executions/some/history", "GET,HEAD"),
        ("/batches", "POST"),
        ("/batches/some", "GET,HEAD"),
        ("/uploads", "POST"),
        ("/schedules", "GET,HEAD"),
        ("/schedules/some", "PUT,GET,HEAD,DELETE"),
        ("/schedules/some/pause", "POST"),
        ("/schedules/some/resume", "POST"),
        ("/schedules/some/trigger", "POST"),
        ("/jobs", "GET,HEAD"),
        ("/healthz", "GET,HEAD"),
    ];
    let document: Value = stack.get("/openapi.json").send().await.unwrap().json().await.unwrap();
    let documented = document["paths"].as_object().unwrap().keys();
    let some = |path: &String| {
        ["{executionId}", "{batchId}", "{name}"].iter().fold(path.clone(), |path, id| path.replace(id, "some"))
    };
    let documented = documented.map(some);
    let listed: BTreeSet<_> = allowed_at.iter().map(|(path, _)| (*path).to_owned()).collect();
    assert_eq!(listed, documented.collect(), "this test lists every path of the document");
    for (path, allowed) in allowed_at {
        let trace = || reqwest::Client::new().request(Method::TRACE, format!("{}{path}", stack.api));
        problem(trace(), 405, "method-not-allowed").await;
        assert_eq!(header(&trace().send().await.unwrap(), "allow"), allowed, "{path}");
    }
    for path in ["/nothing", "/executions/", "/executions/a/b", "/Jobs", "/jobs/"] {
        problem(stack.get(path), 404, "path-not-found").await;
    }
}
