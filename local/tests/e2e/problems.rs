//! Every bad request is a problem with the right status and code, and leaves nothing behind.

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
    assert_eq!(
        (&problem["requestId"], &problem["type"]),
        (&json!(request_id), &json!(format!("urn:longhaul:problem:{code}")))
    );
    assert!(problem["title"].is_string() && problem["detail"].is_string(), "{problem:#}");
    problem
}

#[tokio::test]
async fn a_bad_post_is_a_problem_and_leaves_nothing_behind() {
    let stack = Stack::start(&[]).await;
    let json =
        |body: &str| stack.post("/executions/sync").header("content-type", "application/json").body(body.to_owned());
    let ok = r#"{"input": 1}"#;

    problem(json("{"), 400, "invalid-json").await;
    problem(json(""), 400, "invalid-json").await;
    problem(json("\u{0}"), 400, "invalid-json").await;
    problem(json(ok).header("idempotency-key", ""), 400, "invalid-header").await;
    problem(json(ok).header("idempotency-key", "k".repeat(256)), 400, "invalid-header").await;
    problem(json(ok).header("idempotency-key", "a").header("idempotency-key", "b"), 400, "invalid-header").await;
    problem(json(&format!(r#"{{"input": "{}"}}"#, "x".repeat(256 * 1024))), 413, "body-too-large").await;
    problem(stack.post("/executions/sync").body(ok), 415, "unsupported-media-type").await;
    problem(
        stack.post("/executions/sync").header("content-type", "text/plain").body(ok),
        415,
        "unsupported-media-type",
    )
    .await;

    let deep = format!("{}{}", "[".repeat(65), "]".repeat(65));
    let tags: serde_json::Map<_, _> = (0..21).map(|n| (format!("t{n}"), json!("x"))).collect();
    for (body, pointer) in [
        ("{}".to_owned(), ""),
        ("[1]".to_owned(), ""),
        (r#"{"input": 1, "inptu": 2}"#.to_owned(), "/inptu"),
        (r#"{"input": 1, "task": 7}"#.to_owned(), "/task"),
        (r#"{"input": 1, "task": "no-such-task"}"#.to_owned(), "/task"),
        (r#"{"input": 1, "timeoutSeconds": 0}"#.to_owned(), "/timeoutSeconds"),
        (r#"{"input": 1, "timeoutSeconds": 31536001}"#.to_owned(), "/timeoutSeconds"),
        (r#"{"input": 1, "timeoutSeconds": 1.5}"#.to_owned(), "/timeoutSeconds"),
        (r#"{"input": 1, "timeoutSeconds": 1e300}"#.to_owned(), "/timeoutSeconds"),
        (r#"{"input": 1, "retry": {"maxAttempts": 1e300}}"#.to_owned(), "/retry/maxAttempts"),
        (r#"{"input": 1, "retry": {"maxAttempts": null}}"#.to_owned(), "/retry/maxAttempts"),
        (r#"{"input": 1, "retry": {"maxAttempts": 11}}"#.to_owned(), "/retry/maxAttempts"),
        (format!(r#"{{"input": {deep}}}"#), "/input"),
        (format!(r#"{{"input": "{}"}}"#, "x".repeat(200 * 1024)), "/input"),
        (json!({ "input": 1, "tags": tags }).to_string(), "/tags"),
        (json!({ "input": 1, "tags": { "a/b": "x".repeat(257) } }).to_string(), "/tags/a~1b"),
    ] {
        let problem = problem(json(&body), 422, "invalid-body").await;
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem:#}");
    }
    // JSON and its schemas know no difference between 3 and 3.0.
    let whole = r#"{"input": 1, "timeoutSeconds": 6e1, "retry": {"maxAttempts": 3.0}}"#;
    let checked = stack.post("/executions/sync?validateOnly=true").header("content-type", "application/json");
    assert_eq!(checked.body(whole).send().await.unwrap().status(), StatusCode::OK);
    assert_eq!(stack.items().await, 0, "nothing is left behind");
}

#[tokio::test]
async fn what_is_not_there_is_a_problem_too() {
    let stack = Stack::start(&[]).await;
    problem(stack.get("/executions/01a208cc-f685-7587-8cf0-6b6bfde36f95"), 404, "execution-not-found").await;
    problem(stack.get("/executions/not%20an%20id"), 404, "execution-not-found").await;
    problem(stack.get("/nowhere"), 404, "path-not-found").await;
    for no_text in ["/executions/%ff", "/docs/%ff"] {
        problem(stack.get(no_text), 404, "path-not-found").await;
    }
    let delete = |path: &str| reqwest::Client::new().request(Method::DELETE, format!("{}{path}", stack.api));
    problem(delete("/executions/sync"), 405, "method-not-allowed").await;
    let response = delete("/executions/sync").send().await.unwrap();
    assert!(header(&response, "allow").contains("POST"));
}
