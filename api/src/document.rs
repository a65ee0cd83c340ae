//! The `OpenAPI` document: as the code has it, in JSON and in YAML.

use axum::{Router, http::header, routing::get};
use utoipa::{
    OpenApi,
    openapi::{LicenseBuilder, OpenApi as Document},
};

use crate::{
    problem::ProblemBody,
    router::{App, documented},
};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Longhaul",
        description = "Runs container jobs on AWS for as long as they take, and never loses one.\n\nPOST a job, poll its \
                       id, get its result. Every error is an `application/problem+json` with a stable `code`.",
    ),
    tags(
        (name = "executions", description = "Jobs: start them, follow them."),
        (name = "service", description = "The service itself."),
    ),
    components(schemas(ProblemBody)),
)]
struct Base;

pub(crate) fn base() -> Document {
    let mut document = Base::openapi();
    document.info.license = Some(LicenseBuilder::new().name("MIT-0").identifier(Some("MIT-0")).build());
    document.info.contact = None;
    document
}

/// The document of the API.
#[must_use]
pub fn document() -> Document {
    documented().into_openapi()
}

/// `/openapi.yaml`; the JSON is Swagger UI's.
pub(crate) fn routes(document: &Document) -> Router<App> {
    let yaml = document.to_yaml().unwrap_or_default();
    Router::new()
        .route("/openapi.yaml", get(|| async { ([(header::CONTENT_TYPE, "application/yaml")], yaml) }))
}
