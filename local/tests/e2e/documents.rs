//! The document and its page: served, and the same as the one that is checked in.

use serde_json::Value;

use crate::stack::{Stack, header, root};

#[tokio::test]
async fn the_document_is_served_in_json_and_yaml_and_as_a_page() {
    let stack = Stack::start(&[]).await;
    let json: Value = stack.get("/openapi.json").send().await.unwrap().json().await.unwrap();
    assert_eq!(json["openapi"], "3.1.0");
    assert!(json["paths"]["/executions/sync"]["post"]["operationId"].is_string());

    let response = stack.get("/openapi.yaml").send().await.unwrap();
    assert_eq!(header(&response, "content-type"), "application/yaml");
    let checked_in = std::fs::read_to_string(root().join("openapi.yaml")).unwrap();
    assert!(response.text().await.unwrap() == checked_in, "openapi.yaml is not what the code says: run `make openapi`");

    let page = stack.get("/docs/").send().await.unwrap().text().await.unwrap();
    assert!(page.contains("swagger-ui"), "{page}");
    for asset in ["swagger-ui.css", "swagger-ui-bundle.js"] {
        let response = stack.get(&format!("/docs/{asset}")).send().await.unwrap();
        assert!(response.status().is_success() && response.content_length().unwrap_or(1) > 0, "{asset}");
        assert!(!response.text().await.unwrap().is_empty());
    }
    let health = stack.get("/healthz").send().await.unwrap();
    assert_eq!(health.text().await.unwrap(), r#"{"status":"ok"}"#);
}

/// What the document shows can be sent as it stands, and is answered with a status that it tells of.
#[tokio::test]
async fn every_example_of_a_request_works() {
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

/// A problem's schema says which codes a status can have: those of the examples beside it.
#[tokio::test]
async fn every_problem_is_typed_by_its_status() {
    let stack = Stack::start(&[]).await;
    let document: Value = stack.get("/openapi.json").send().await.unwrap().json().await.unwrap();
    let paths = document["paths"].as_object().unwrap().values();
    let operations = paths.flat_map(|path| path.as_object().unwrap().values());
    let mut seen = 0;
    for (status, response) in operations.flat_map(|operation| operation["responses"].as_object().unwrap()) {
        let Some(problem) = response["content"].get("application/problem+json") else { continue };
        let typed = &problem["schema"]["allOf"][1]["properties"];
        let status: u16 = status.parse().unwrap();
        assert_eq!(typed["status"]["enum"], serde_json::json!([status]));
        let codes: std::collections::BTreeSet<_> =
            typed["code"]["enum"].as_array().unwrap().iter().map(|code| code.as_str().unwrap()).collect();
        let examples = problem["examples"].as_object().unwrap();
        assert_eq!(examples.keys().map(String::as_str).collect::<std::collections::BTreeSet<_>>(), codes);
        for (code, example) in examples {
            assert_eq!(
                (&example["value"]["code"], &example["value"]["status"]),
                (&Value::from(code.as_str()), &Value::from(status))
            );
        }
        seen += 1;
    }
    assert!(seen > 20, "{seen}");
}
