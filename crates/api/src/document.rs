//! The `OpenAPI` document, generated from the code, in JSON and in YAML.

use std::sync::LazyLock;

use axum::{
    Router,
    http::header,
    response::{IntoResponse, Response},
    routing::get,
};
use utoipa::{
    OpenApi,
    openapi::{
        ContactBuilder, Content, LicenseBuilder, Object, ObjectBuilder, OpenApi as Document, Ref, RefOr,
        Response as Answer, Schema, ServerBuilder, Type,
        header::HeaderBuilder,
        link::LinkBuilder,
        security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

use crate::{
    answers::problem::{GatewayAnswer, ProblemBody},
    app::App,
    router,
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
        (name = "executions", description = "Executions: start a job, follow it, stop it, read its logs."),
        (name = "batches", description = "Batches: start many executions with one request."),
        (name = "uploads", description = "Uploads: files that are too large for a request."),
        (name = "schedules", description = "Schedules: start a job again and again, at the times of a cron expression."),
        (name = "jobs", description = "Jobs that may be run."),
        (name = "service", description = "The service itself."),
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
    let words = "A token from the issuer that the installation trusts. The local stack does not need one.";
    let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").description(Some(words));
    SecurityScheme::Http(scheme.build())
}

fn sig_v4() -> SecurityScheme {
    let words = "AWS Signature Version 4 for the service `execute-api`, if the installation trusts IAM. The local stack \
                 does not ask for it.";
    SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::with_description("Authorization", words)))
}

fn answers(document: &mut Document) -> impl Iterator<Item = (&String, &mut Answer)> {
    let operations = document.paths.paths.values_mut().flat_map(|path| {
        [&mut path.get, &mut path.post, &mut path.put, &mut path.patch, &mut path.delete].into_iter().flatten()
    });
    let answers = operations.flat_map(|operation| &mut operation.responses.responses);
    answers.filter_map(|(status, answer)| if let RefOr::T(answer) = answer { Some((status, answer)) } else { None })
}

/// Adds the header with the request's id to the responses, except for the statuses that API Gateway also sends by itself: its own responses
/// do not have this header.
pub(crate) fn name_requests(document: &mut Document) {
    let text = ObjectBuilder::new().schema_type(Type::String);
    let header =
        HeaderBuilder::new().schema(Some(text)).description(Some("Identifies this request in the API's logs")).build();
    for (status, answer) in answers(document) {
        if !GatewayAnswer::STATUSES.iter().any(|gateways| gateways.as_str() == status) {
            answer.headers.insert("X-Request-Id".to_owned(), header.clone().into());
        }
    }
}

/// Writes each schema that combines objects (`allOf`, from a flattened member) as one object with the members of all. Generators of clients
/// do not understand all of these combinations.
pub(crate) fn merge_objects(document: &mut Document) {
    let Some(components) = &mut document.components else { return };
    let named = components.schemas.clone();
    let object = |part: &RefOr<Schema>| match part {
        RefOr::T(Schema::Object(object)) => Some(object.clone()),
        RefOr::Ref(part) => match named.get(part.ref_location.rsplit('/').next()?)? {
            RefOr::T(Schema::Object(object)) => Some(object.clone()),
            _ => None,
        },
        RefOr::T(_) => None,
    };
    for schema in components.schemas.values_mut() {
        let RefOr::T(Schema::AllOf(parts)) = schema else { continue };
        let Some(objects) = parts.items.iter().map(object).collect::<Option<Vec<_>>>() else { continue };
        let mut whole = Object::with_type(Type::Object);
        whole.description = parts.description.take();
        for object in objects {
            whole.properties.extend(object.properties);
            whole.required.extend(object.required);
        }
        *schema = RefOr::T(Schema::Object(whole));
    }
}

/// Links from an execution that was just started: the link's name, the operation, and what it does.
const LINKS: [(&str, &str, &str); 5] = [
    ("execution", "getExecution", "Get the execution's current state"),
    ("cancel", "cancelExecution", "Stop the execution"),
    ("logs", "getExecutionLogs", "Read what its task printed"),
    ("history", "getExecutionHistory", "Read what its workflow did"),
    ("rerun", "rerunExecution", "Run the same job again"),
];

/// Adds links to every response with the `Location` of an execution, which means that it started one. They lead to the operations that take
/// the execution's id.
pub(crate) fn link_executions(document: &mut Document) {
    let starts_one = |answer: &Answer| {
        let is_execution = |content: &Content| matches!(&content.schema, Some(RefOr::Ref(schema)) if schema.ref_location.ends_with("/Execution"));
        let contents =
            answer.content.values().filter_map(|content| if let RefOr::T(own) = content { Some(own) } else { None });
        answer.headers.contains_key("Location") && contents.into_iter().any(is_execution)
    };
    for (_, answer) in answers(document).filter(|(_, answer)| starts_one(answer)) {
        for (name, ..) in LINKS {
            answer.links.insert(name.to_owned(), RefOr::Ref(Ref::new(format!("#/components/links/{name}"))));
        }
    }
    if let Some(components) = &mut document.components {
        for (name, operation, description) in LINKS {
            let link = LinkBuilder::new().operation_id(operation).description(description);
            let link = link.parameter("executionId", "$response.body#/executionId").build();
            components.links.insert(name.to_owned(), link.into());
        }
    }
}

/// The document of the API, for people who read it without an installation. It names an absolute server, because a relative one means
/// nothing without an installation, and client generators complain about it.
#[must_use]
pub fn document() -> Document {
    let words = "The local stack. An installation on AWS has the URL that its deployment prints";
    let local = ServerBuilder::new().url("http://127.0.0.1:8080").description(Some(words)).build();
    let mut document = router::documented();
    document.servers = Some(vec![local]);
    document
}

/// Serialized on the first request for it, and only once: most processes never serve it, and start sooner this way.
static JSON: LazyLock<String> = LazyLock::new(|| router::documented().to_json().unwrap_or_default());
static YAML: LazyLock<String> = LazyLock::new(|| router::documented().to_yaml().unwrap_or_default());

fn served(media_type: &'static str, text: &'static LazyLock<String>) -> Response {
    ([(header::CONTENT_TYPE, media_type)], text.as_str()).into_response()
}

const YAML_PATH: &str = "/openapi.yaml";
const JSON_PATH: &str = "/openapi.json";

/// The paths of the document.
pub(crate) const PATHS: [&str; 2] = [YAML_PATH, JSON_PATH];

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route(YAML_PATH, get(|| async { served("application/yaml", &YAML) }))
        .route(JSON_PATH, get(|| async { served("application/json", &JSON) }))
}
