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
