//! The OpenAPI document and the documentation page.

use serde_json::{Value, json};

use crate::stack::{Stack, header, root};

#[tokio::test]
async fn the_openapi_document_is_served_as_json_yaml_and_a_page() {
    let stack = Stack::start(&[]).await;
    let json: Value = stack.get("/openapi.json").send().await.unwrap().json().await.unwrap();
    assert_eq!(json["openapi"], "3.1.0");
    assert!(json["paths"]["/executions/sync"]["post"]["operationId"].is_string());

    let response = stack.get("/openapi.yaml").send().await.unwrap();
    assert_eq!(header(&response, "content-type"), "application/yaml");
    let checked_in = std::fs::read_to_string(root().join("openapi.yaml")).unwrap();
    // The file names the local stack as its server. The document that an installation serves names that installation.
    let here = "servers:\n- url: .\n  description: This installation\n";
    let servers = &checked_in[checked_in.find("servers:\n").unwrap()..checked_in.find("paths:\n").unwrap()];
    assert!(servers.contains("- url: http://127.0.0.1:8080\n"), "{servers}");
    let served = response.text().await.unwrap();
    assert!(served == checked_in.replace(servers, here), "openapi.yaml is out of date: run `make openapi`");

    let page = stack.get("/docs/").send().await.unwrap().text().await.unwrap();
    assert!(page.contains("swagger-ui"), "{page}");
    for asset in ["swagger-ui.css", "swagger-ui-bundle.js", "page.js", "page.css", "errors", "errors.css", "icon.svg"] {
        let response = stack.get(&format!("/docs/{asset}")).send().await.unwrap();
        assert!(response.status().is_success() && response.content_length().unwrap_or(1) > 0, "{asset}");
        assert!(!response.text().await.unwrap().is_empty());
    }
    let health = stack.get("/healthz").send().await.unwrap();
    assert_eq!(health.text().await.unwrap(), r#"{"status":"ok"}"#);
}

/// A problem's `type` is relative to the API's address, and leads to its explanation.
#[tokio::test]
async fn the_type_of_a_problem_leads_to_its_explanation() {
    let stack = Stack::start(&[]).await;
    let elsewhere = stack.get("/jobs").header("host", "evil.example");
    for (request, code) in [
        (stack.get("/nothing"), "path-not-found"),
        (stack.get("/executions/none"), "execution-not-found"),
        (stack.get("/executions?pageSize=0"), "invalid-parameter"),
        (stack.post("/executions"), "method-not-allowed"),
        (stack.post("/executions/sync").json(&json!({})), "invalid-body"),
        (elsewhere, "host-not-allowed"),
    ] {
        let response = request.send().await.unwrap();
        let base = response.url().clone();
        let problem: Value = response.json().await.unwrap();
        assert_eq!(problem["code"], code, "{problem:#}");
        let mut explained = base.join(problem["type"].as_str().unwrap()).unwrap();
        let anchor = explained.fragment().unwrap().to_owned();
        explained.set_fragment(None);
        let page = reqwest::get(explained).await.unwrap();
        assert_eq!((page.status().as_u16(), header(&page, "content-type")), (200, "text/html"), "{code}");
        let policy = header(&page, "content-security-policy");
        assert!(policy.contains("default-src 'none'") && policy.contains("script-src 'self'"), "{policy}");
        let page = page.text().await.unwrap();
        assert!(page.contains(&format!("<h3 id=\"{anchor}\">{code}</h3>")), "{code} {page}");
    }
}

/// A browser gets a page, other clients get JSON. All links of both must exist.
#[tokio::test]
async fn every_link_of_the_index_exists() {
    let stack = Stack::start(&[]).await;
    let accept = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
    let page = stack.get("/").header("accept", accept).send().await.unwrap();
    assert_eq!((page.status().as_u16(), header(&page, "content-type")), (200, "text/html; charset=utf-8"));
    let page = page.text().await.unwrap();
    let mut links: Vec<_> =
        page.split("href=\"").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()).collect();
    let json: Value = stack.get("/").send().await.unwrap().json().await.unwrap();
    links.extend(json["links"].as_object().unwrap().values().map(|link| link.as_str().unwrap().to_owned()));
    assert_eq!(links.len(), 12, "{links:?}");
    for link in links {
        let path = format!("/{}", link.trim_start_matches('/'));
        assert_eq!(stack.get(&path).send().await.unwrap().status(), 200, "{link}");
    }
}

/// Every example in the document can be sent unchanged, and succeeds.
#[tokio::test]
async fn every_example_request_of_the_document_succeeds() {
    let stack = Stack::start(&[]).await;
    let document: Value = stack.get("/openapi.json").send().await.unwrap().json().await.unwrap();
    let mut sent = 0;
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let examples = &operation["requestBody"]["content"]["application/json"]["examples"];
            for (name, example) in examples.as_object().into_iter().flatten() {
                let response = stack.post(path).json(&example["value"]).send().await.unwrap();
                assert_eq!(response.status(), 202, "{path} {name}");
                sent += 1;
            }
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            for parameter in parameters.filter(|parameter| method == "get" && parameter["in"] == "query") {
                let example = parameter.get("example").or_else(|| parameter["schema"]["examples"].get(0));
                let Some(example) = example.and_then(Value::as_str) else { continue };
                let query = [(parameter["name"].as_str().unwrap(), example)];
                let response = stack.get(path).query(&query).send().await.unwrap();
                assert_eq!(response.status(), 200, "{path} {query:?}");
                sent += 1;
            }
        }
    }
    assert!(sent >= 8, "{sent}");
}

/// All errors have the same schema, so that a generated client has one error type.
#[tokio::test]
async fn error_responses_are_shared_and_document_their_codes() {
    let stack = Stack::start(&[]).await;
    let document: Value = stack.get("/openapi.json").send().await.unwrap().json().await.unwrap();
    let paths = document["paths"].as_object().unwrap();
    let mut seen = 0;
    for operation in paths.values().flat_map(|path| path.as_object().unwrap().values()) {
        let id = operation["operationId"].as_str().unwrap();
        assert!(!operation["tags"].as_array().unwrap().is_empty(), "{id}");
        for (status, response) in operation["responses"].as_object().unwrap() {
            if !status.starts_with(['4', '5']) {
                assert!(response.get("$ref").is_none(), "{id} {status}");
                continue;
            }
            let shared = response["$ref"].as_str().unwrap().strip_prefix('#').unwrap();
            let shared = document.pointer(shared).unwrap_or_else(|| panic!("{id} {status}: {response}"));
            if let Some(problem) = shared["content"].get("application/problem+json") {
                assert_eq!(problem["schema"]["$ref"], "#/components/schemas/Problem", "{id} {status}");
                let description = response["description"].as_str().unwrap();
                let examples = problem["examples"].as_object().unwrap();
                let own: Vec<_> =
                    examples.iter().filter(|(code, _)| description.contains(&format!("`{code}`"))).collect();
                assert!(!own.is_empty(), "{id} {status} names none of its codes: {description}");
                for (code, example) in own {
                    let status: u16 = status.parse().unwrap();
                    let value = &example["value"];
                    assert_eq!((&value["code"], &value["status"]), (&json!(code), &json!(status)), "{id}");
                }
            }
            seen += 1;
        }
    }
    assert!(seen > 60, "{seen}");
    let schemas: Vec<_> = document["components"]["schemas"].as_object().unwrap().keys().collect();
    assert!(schemas.len() < 60, "{schemas:?}");
}

/// A start, a repeated start, a rerun and a cancel.
#[tokio::test]
async fn all_operations_return_an_execution_with_the_same_schema() {
    let stack = Stack::start(&[]).await;
    let document: Value = stack.get("/openapi.json").send().await.unwrap().json().await.unwrap();
    for (path, method, statuses) in [
        ("/executions/sync", "post", &["200", "202"][..]),
        ("/executions/callback", "post", &["200", "202"]),
        ("/executions/{executionId}/rerun", "post", &["200", "202"]),
        ("/executions/{executionId}/cancel", "post", &["200", "202"]),
        ("/executions/{executionId}", "get", &["200"]),
        ("/executions/{executionId}", "patch", &["200"]),
    ] {
        for status in statuses {
            let schema = &document["paths"][path][method]["responses"][status]["content"]["application/json"]["schema"];
            assert_eq!(schema, &json!({ "$ref": "#/components/schemas/Execution" }), "{path} {status}");
        }
    }
    assert_eq!(document["components"]["schemas"]["Execution"]["type"], "object", "generators need a flat object");
}

/// The documentation page shows the operations in the order of the document.
#[tokio::test]
async fn operations_are_documented_in_the_order_of_use() {
    let stack = Stack::start(&[]).await;
    let text = stack.get("/openapi.yaml").send().await.unwrap().text().await.unwrap();
    let (paths, _) = text.split_once("\ncomponents:").unwrap();
    let ids: Vec<_> = paths.lines().filter_map(|line| line.trim().strip_prefix("operationId: ")).collect();
    let first = ["startSyncExecution", "startCallbackExecution", "getExecution", "changeExecution", "listExecutions"];
    assert_eq!(ids[..5], first);
    assert_eq!(ids.last(), Some(&"getHealth"));
}

/// With OpenAPI links, a tool can call the other operations with the id of a start's response.
#[tokio::test]
async fn responses_of_a_start_link_to_the_execution() {
    let stack = Stack::start(&[]).await;
    let document: Value = stack.get("/openapi.json").send().await.unwrap().json().await.unwrap();
    let paths = document["paths"].as_object().unwrap();
    let operations: Vec<_> = paths.values().flat_map(|path| path.as_object().unwrap().values()).collect();
    for path in ["/executions/sync", "/executions/callback", "/executions/{executionId}/rerun"] {
        for status in ["200", "202"] {
            let links = document["paths"][path]["post"]["responses"][status]["links"].as_object().unwrap();
            let names: Vec<_> = links.keys().map(String::as_str).collect();
            assert_eq!(names, ["cancel", "execution", "history", "logs", "rerun"], "{path} {status}");
            for link in links.values() {
                let link = document.pointer(link["$ref"].as_str().unwrap().trim_start_matches('#')).unwrap();
                assert_eq!(link["parameters"], json!({ "executionId": "$response.body#/executionId" }));
                let target =
                    operations.iter().find(|operation| operation["operationId"] == link["operationId"]).unwrap();
                assert_eq!(target["parameters"][0]["name"], "executionId", "{link}");
            }
        }
    }
}
