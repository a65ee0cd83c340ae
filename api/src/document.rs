//! The `OpenAPI` document: as the code has it, in JSON, in YAML, and as a page to try it out on.
//!
//! **Invariant**: no link here begins with `/`. The stage of an API Gateway stands before every path, and only the browser
//! knows it.

use std::sync::{Arc, LazyLock};

use axum::{
    Router,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use tower_http::set_header::SetResponseHeaderLayer;
use utoipa::{
    OpenApi,
    openapi::{
        ContactBuilder, LicenseBuilder, ObjectBuilder, OpenApi as Document, RefOr, Type,
        header::HeaderBuilder,
        security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

use utoipa_swagger_ui::Config;

use crate::{
    path::Path,
    problem::{Code, GatewayAnswer, Problem, ProblemBody},
    router::{self, App},
    security,
};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Longhaul",
        description = "Runs container jobs on AWS for as long as they take, and never loses one.\n\nPOST a job, poll its \
                       id, get its result. Every error is an `application/problem+json` with a stable `code`.",
    ),
    servers((url = ".", description = "This installation")),
    security(("jwt" = []), ("sigV4" = [])),
    tags(
        (name = "executions", description = "Jobs: start them, follow them."),
        (name = "service", description = "The service itself."),
        (name = "tasks", description = "Jobs that may be run."),
    ),
    components(schemas(ProblemBody, GatewayAnswer)),
)]
struct Base;

pub(crate) fn base() -> Document {
    let mut document = Base::openapi();
    document.info.license = Some(LicenseBuilder::new().name("MIT-0").identifier(Some("MIT-0")).build());
    document.info.contact = Some(ContactBuilder::new().name(Some("Longhaul")).build());
    if let Some(components) = &mut document.components {
        components.add_security_scheme("jwt", jwt());
        components.add_security_scheme("sigV4", sig_v4());
    }
    document
}

fn jwt() -> SecurityScheme {
    let words = "A token of the issuer that the installation trusts. The local stack asks for none.";
    let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").description(Some(words));
    SecurityScheme::Http(scheme.build())
}

fn sig_v4() -> SecurityScheme {
    let words = "AWS Signature Version 4 of service `execute-api`, where the installation trusts IAM. The local stack \
                 asks for none.";
    SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::with_description("Authorization", words)))
}

/// Every answer of ours names its request; what API Gateway answers in our place does not.
pub(crate) fn name_requests(document: &mut Document) {
    let text = ObjectBuilder::new().schema_type(Type::String);
    let header = HeaderBuilder::new().schema(Some(text)).description(Some("Names this request in our logs")).build();
    let operations = document.paths.paths.values_mut().flat_map(|path| [&mut path.get, &mut path.post]).flatten();
    for (status, answer) in operations.flat_map(|operation| &mut operation.responses.responses) {
        if let RefOr::T(answer) = answer
            && !GatewayAnswer::STATUSES.iter().any(|gateways| gateways.as_str() == status)
        {
            answer.headers.insert("X-Request-Id".to_owned(), header.clone().into());
        }
    }
}

/// The document of the API.
#[must_use]
pub fn document() -> Document {
    router::documented()
}

/// Written out when somebody asks for it, and once: most processes answer other questions only, and start sooner for it.
static JSON: LazyLock<String> = LazyLock::new(|| document().to_json().unwrap_or_default());
static YAML: LazyLock<String> = LazyLock::new(|| document().to_yaml().unwrap_or_default());

fn served(media_type: &'static str, text: &'static LazyLock<String>) -> Response {
    ([(header::CONTENT_TYPE, media_type)], text.as_str()).into_response()
}

/// The document and the page.
pub(crate) fn routes() -> Router<App> {
    // The validator would be somebody else's server, and would be told where this one is.
    let page = Config::from("../openapi.json").validator_url("none").use_base_layout();
    let page = Arc::new(page.display_request_duration(true).default_models_expand_depth(0));
    let index = Arc::clone(&page);
    let may = HeaderValue::from_static(security::PAGE);
    Router::new()
        .route("/docs/", get(|| async { swagger_ui("index.html", index) }))
        .route(
            "/docs/{*file}",
            get(|file: Result<Path, Problem>| async move { swagger_ui(&file.map_err(|_| no_such_file())?.0, page) }),
        )
        .layer(SetResponseHeaderLayer::overriding(header::CONTENT_SECURITY_POLICY, may))
        .route("/docs", get(|| async { (StatusCode::SEE_OTHER, [(header::LOCATION, "docs/")]) }))
        .route("/openapi.yaml", get(|| async { served("application/yaml", &YAML) }))
        .route("/openapi.json", get(|| async { served("application/json", &JSON) }))
}

fn no_such_file() -> Problem {
    Problem::new(Code::PathNotFound, "Swagger UI has no such file")
}

fn swagger_ui(file: &str, page: Arc<Config<'static>>) -> Result<Response, Problem> {
    let found = utoipa_swagger_ui::serve(file, page).map_err(|why| Problem::inside(&*why))?;
    let file = found.ok_or_else(no_such_file)?;
    let encoding = file.gzpipped.then_some([(header::CONTENT_ENCODING, "gzip")]);
    Ok(([(header::CONTENT_TYPE, file.content_type)], encoding, file.bytes).into_response())
}
