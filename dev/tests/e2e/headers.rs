//! What applies to every response: security headers, CORS, and the owner.

use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};

use crate::stack::{Stack, header};

const PAGE: &str = "https://app.example";

#[tokio::test]
async fn every_response_has_security_headers() {
    let stack = Stack::start(&[]).await;
    for path in
        ["/healthz", "/openapi.json", "/executions/no-such-id", "/nowhere", "/docs/", "/docs/swagger-ui-bundle.js"]
    {
        let answer = stack.get(path).send().await.unwrap();
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("x-frame-options", "DENY"),
            ("cross-origin-resource-policy", "same-origin"),
            ("cache-control", "no-store"),
        ] {
            assert_eq!(header(&answer, name), value, "{path}");
        }
        let policy = header(&answer, "content-security-policy");
        assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
        assert_eq!(policy.contains("script-src 'self'"), path.starts_with("/docs/"), "{path}: {policy}");
        assert!(!policy.contains("unsafe-eval") && !policy.contains("script-src 'self' "), "{policy}");
        // Only for HTTPS, which the local stack does not serve.
        assert!(!answer.headers().contains_key("strict-transport-security"));
    }
}

fn preflight(stack: &Stack, origin: &str) -> RequestBuilder {
    let request = reqwest::Client::new().request(Method::OPTIONS, format!("{}/executions/sync", stack.api));
    let request = request.header("origin", origin).header("access-control-request-method", "POST");
    request.header("access-control-request-headers", "content-type,idempotency-key")
}

fn has_cors(answer: &Response) -> bool {
    answer.headers().keys().any(|name| name.as_str().starts_with("access-control-"))
}

#[tokio::test]
async fn by_default_no_other_origin_is_allowed() {
    let stack = Stack::start(&[]).await;
    let answer = preflight(&stack, PAGE).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert!(!has_cors(&answer));
    let answer = stack.get("/healthz").header("origin", PAGE).send().await.unwrap();
    assert!(!has_cors(&answer), "{:?}", answer.headers());
}

#[tokio::test]
async fn pages_of_the_given_origins_may_use_the_api() {
    let stack = Stack::start(&["--cors-origin", PAGE, "--cors-origin", "http://localhost:5173"]).await;
    for origin in [PAGE, "http://localhost:5173"] {
        let answer = preflight(&stack, origin).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(header(&answer, "access-control-allow-origin"), origin);
        for allowed in ["authorization", "content-type", "idempotency-key", "if-none-match", "prefer", "x-amz-date"] {
            assert!(header(&answer, "access-control-allow-headers").contains(allowed), "{allowed}");
        }
        assert_eq!(header(&answer, "access-control-allow-methods"), "GET,POST,PUT,PATCH,DELETE");
        assert!(!answer.headers().contains_key("access-control-allow-credentials"));
    }
    // Pages must also be able to read problems, and the headers that a client uses to follow an execution.
    let answer = stack.get("/executions/no-such-id").header("origin", PAGE).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::NOT_FOUND);
    assert_eq!(header(&answer, "access-control-allow-origin"), PAGE);
    assert!(header(&answer, "vary").contains("origin"));
    for exposed in ["etag", "location", "retry-after", "x-request-id"] {
        assert!(header(&answer, "access-control-expose-headers").contains(exposed), "{exposed}");
    }
    for request in [preflight(&stack, "https://evil.example"), stack.get("/healthz").header("origin", "null")] {
        let answer = request.send().await.unwrap();
        assert!(!answer.headers().contains_key("access-control-allow-origin"), "{:?}", answer.headers());
    }
}

#[tokio::test]
async fn the_owner_header_separates_the_executions_of_owners() {
    let stack = Stack::start(&["--owner-header", "x-owner", "--cors-origin", PAGE]).await;
    let allowed = preflight(&stack, PAGE).send().await.unwrap();
    assert!(header(&allowed, "access-control-allow-headers").contains("x-owner"), "pages may send the header");
    let start = |owner: &'static str| {
        let request =
            stack.post("/executions/sync").json(&json!({ "input": { "message": owner, "processingTime": 0 } }));
        request.header("idempotency-key", "the same").header("x-owner", owner)
    };
    let ada: Value = start("ada").send().await.unwrap().json().await.unwrap();
    let eve: Value = start("eve").send().await.unwrap().json().await.unwrap();
    assert_ne!(ada["executionId"], eve["executionId"], "each owner has their own keys");
    let path = format!("/executions/{}", ada["executionId"].as_str().unwrap());
    let status = async |request: RequestBuilder| request.send().await.unwrap().status();
    assert_eq!(status(stack.get(&path).header("x-owner", "ada")).await, StatusCode::OK);
    for request in [stack.get(&path), stack.post(&format!("{path}/cancel")), stack.post(&format!("{path}/rerun"))] {
        assert_eq!(status(request.try_clone().unwrap()).await, StatusCode::NOT_FOUND);
        assert_eq!(status(request.header("x-owner", "eve")).await, StatusCode::NOT_FOUND);
    }
    assert_eq!(status(stack.get(&path).header("x-owner", "")).await, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn without_the_option_the_owner_header_has_no_effect() {
    let stack = Stack::start(&[]).await;
    let body = json!({ "input": { "message": "Hello", "processingTime": 0 } });
    let started: Value =
        stack.post("/executions/sync").header("x-owner", "ada").json(&body).send().await.unwrap().json().await.unwrap();
    stack.execution(started["executionId"].as_str().unwrap()).await;
}
