//! What a gateway in front of the API has to be configured with.

use serde::Serialize;
use utoipa::openapi::{OpenApi, path::Operation, security::SecurityRequirement};

use crate::{
    docs, document,
    handlers::index,
    layers::cors::{self, Cors},
    router,
};

/// What a gateway in front of the API has to be configured with. `deploy/tests` checks `template.yaml` against it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Gateway {
    /// The routes that need no caller, as `METHOD /path`.
    open: Vec<String>,
    /// The routes of the documentation, which an operator may open.
    documentation: Vec<String>,
    /// The CORS headers of responses, including the gateway's own.
    cors: Cors,
}

impl Gateway {
    /// The facts, from the routes that are served and the document.
    #[must_use]
    pub fn facts() -> Self {
        let pages = [index::PATH].into_iter().chain(docs::PATHS).chain(document::PATHS);
        // API Gateway's word for the rest of a path.
        let documentation = pages.map(|path| format!("GET {}", path.replace("{*file}", "{proxy+}"))).collect();
        Self { open: open(&router::documented()), documentation, cors: cors::facts() }
    }
}

/// The operations that the document says need no security.
fn open(document: &OpenApi) -> Vec<String> {
    let none = SecurityRequirement::default();
    let is_open = |operation: &Option<Operation>| {
        let security = operation.as_ref().and_then(|operation| operation.security.as_ref());
        security.is_some_and(|security| security.is_empty() || security.contains(&none))
    };
    let operations = document.paths.paths.iter().flat_map(|(path, item)| {
        let methods = [
            ("GET", &item.get),
            ("POST", &item.post),
            ("PUT", &item.put),
            ("PATCH", &item.patch),
            ("DELETE", &item.delete),
        ];
        methods.map(|(method, operation)| (format!("{method} {path}"), operation))
    });
    operations.filter(|(_, operation)| is_open(operation)).map(|(route, _)| route).collect()
}
