//! Requests that the stack's servers refuse, so that web pages cannot use them. `clients/typescript/test/browser/guard.test.ts` tests
//! the same with a real browser.

use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

use crate::stack::{Stack, header};

async fn refused(request: RequestBuilder) -> (StatusCode, Value) {
    let answer = request.send().await.unwrap();
    (answer.status(), answer.json().await.unwrap())
}

#[tokio::test]
async fn the_aws_endpoints_refuse_unsigned_requests_and_web_pages() {
    let stack = Stack::start(&[]).await;
    let unsigned = Client::new();
    let scan = unsigned.post(&stack.aws).header("x-amz-target", "DynamoDB_20120810.Scan").body("{}");
    let (status, said) = refused(scan).await;
    assert_eq!((status, &said["__type"]), (StatusCode::FORBIDDEN, &json!("MissingAuthenticationTokenException")));
    for path in ["/2015-03-31/functions", "/2025-12-01/durable-executions/a", "/nowhere"] {
        let (status, _) = refused(unsigned.get(format!("{}{path}", stack.aws))).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{path}");
    }
    for path in ["/2015-03-31/functions", "/_local/faults", "/_local/kill", "/_local/clock", "/_ecs/v4/a/task"] {
        let request = stack.post_to_aws(path).json(&json!({})).header("origin", "https://evil.example");
        assert_eq!(refused(request).await.0, StatusCode::FORBIDDEN, "{path}");
    }
    let arm = unsigned.post(format!("{}/_local/faults", stack.aws)).body(r#"{"on": "*", "does": "fail"}"#);
    let (status, said) = refused(arm).await;
    assert_eq!(status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert!(said["error"].as_str().unwrap().contains("-H 'content-type: application/json'"), "{said}");
    assert_eq!(stack.local("faults").await, json!({ "faults": [] }));
}

#[tokio::test]
async fn requests_with_an_unknown_host_are_refused() {
    let stack = Stack::start(&["--allow-host", "host.docker.internal"]).await;
    for base in [&stack.api, &stack.aws] {
        let path = if *base == stack.api { "healthz" } else { "_local/faults" };
        let get = |host: &str| Client::new().get(format!("{base}/{path}")).header("host", host);
        for host in ["localhost", "127.0.0.1:1", "[::1]:80", "host.docker.internal:8080"] {
            assert_eq!(get(host).send().await.unwrap().status(), StatusCode::OK, "{host}");
        }
        let answer = get("rebind.evil.example:4566").send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::MISDIRECTED_REQUEST);
        let is_api = *base == stack.api;
        let media_type = if is_api { "application/problem+json" } else { "application/json" };
        assert_eq!(header(&answer, "content-type"), media_type);
        let said: Value = answer.json().await.unwrap();
        assert!(said.to_string().contains("--allow-host"), "{said}");
    }
}

#[tokio::test]
async fn state_changing_requests_of_other_origins_are_refused() {
    const NAMED: &str = "https://app.example";
    let stack = Stack::start(&["--cors-origin", NAMED, "--job", "long=sleep 300"]).await;
    let started = stack.start_execution("sync", &json!({ "job": "long", "input": null })).await;
    let id = started["executionId"].as_str().unwrap();
    for (name, value) in [("origin", "https://evil.example"), ("origin", "null"), ("sec-fetch-site", "cross-site")] {
        for path in [&format!("/executions/{id}/cancel"), &format!("/executions/{id}/rerun"), "/executions/sync"] {
            let (status, said) = refused(stack.post(path).header(name, value)).await;
            assert_eq!((status, &said["code"]), (StatusCode::FORBIDDEN, &json!("cross-site-request")), "{path}");
        }
        assert_eq!(stack.get("/executions").header(name, value).send().await.unwrap().status(), StatusCode::OK);
    }
    let page = stack.post(&format!("/executions/{id}/cancel"));
    let page = page.header("origin", NAMED).header("sec-fetch-site", "cross-site");
    assert!(page.send().await.unwrap().status().is_success(), "--cors-origin allows it");
    assert_eq!(stack.wait_for(id, |execution| execution["done"] == true).await["status"], "CANCELLED");
    let options = Client::new().request(Method::OPTIONS, &stack.aws).header("origin", NAMED);
    assert_eq!(options.send().await.unwrap().status(), StatusCode::FORBIDDEN, "--cors-origin applies to the API only");
}
