//! Problems as the document has them: with the bodies that are really sent, so that the two can't drift.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use utoipa::{
    IntoResponses, ToSchema,
    openapi::{
        AllOfBuilder, Header, ObjectBuilder, RefOr, Response, ResponseBuilder, Schema, Type, content::ContentBuilder,
        example::ExampleBuilder, header::HeaderBuilder, schema::Ref,
    },
};

use super::{Code, FieldError, Problem};

/// What an operation can answer, by its status.
pub(crate) type Answers = BTreeMap<String, RefOr<Response>>;

/// The answers with these codes: one for each status, with an example for each code.
pub(crate) fn answers(codes: &[Code]) -> Answers {
    let mut by_status = BTreeMap::<_, Vec<Code>>::new();
    for code in codes {
        by_status.entry(code.status()).or_default().push(*code);
    }
    by_status.into_iter().map(|(status, codes)| (status.as_str().to_owned(), answer(&codes).into())).collect()
}

fn answer(codes: &[Code]) -> Response {
    let words = codes.iter().map(|code| format!("{}: `{}`", code.title(), code.name())).collect::<Vec<_>>();
    let examples = codes.iter().map(|code| {
        let body = serde_json::to_value(example(*code).body("5f2c9d1e7a3b4c60")).ok();
        (code.name(), ExampleBuilder::new().summary(code.title()).value(body).build())
    });
    let content = ContentBuilder::new().schema(Some(schema(codes))).examples_from_iter(examples);
    let answer = ResponseBuilder::new().description(words.join(". "));
    let answer = answer.content("application/problem+json", content.build());
    if codes.iter().any(|code| code.retry_after().is_some()) {
        answer.header("Retry-After", retry_after())
    } else {
        answer
    }
    .build()
}

fn retry_after() -> Header {
    let seconds = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0.0));
    HeaderBuilder::new().schema(Some(seconds)).description(Some("Seconds until the same request may succeed")).build()
}

/// A problem that has one of these codes, and their status.
fn schema(codes: &[Code]) -> Schema {
    let statuses = codes.first().map(|code| code.status().as_u16());
    let code = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(codes.iter().map(|code| code.name())));
    let status = ObjectBuilder::new().schema_type(Type::Integer).enum_values(Some(statuses));
    let these =
        ObjectBuilder::new().property("code", code).property("status", status).required("code").required("status");
    AllOfBuilder::new().item(Ref::from_schema_name("Problem")).item(these).build().into()
}

fn example(code: Code) -> Problem {
    match code {
        Code::InvalidBody => Problem::invalid_body(vec![FieldError {
            pointer: "/timeoutSeconds".to_owned(),
            detail: "must be between 1 and 31536000".to_owned(),
            rule: "timeout-out-of-range",
        }]),
        other => Problem::new(other, other.title()),
    }
}

/// The problems that every operation can answer. What one of them adds stands with it.
impl IntoResponses for Problem {
    fn responses() -> Answers {
        let mut answers = answers(&[Code::Unauthenticated, Code::Internal, Code::AwsUnavailable]);
        answers.extend(GatewayAnswer::responses());
        answers
    }
}

/// What API Gateway answers in our place, before we hear of the request: `application/json`, not a problem.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "API Gateway makes it; it is here to be documented")]
pub(crate) struct GatewayAnswer {
    /// What it has to say.
    #[schema(example = "Forbidden")]
    message: String,
}

impl GatewayAnswer {
    /// The statuses that are its own: we answer with neither.
    pub(crate) const STATUSES: [StatusCode; 2] = [StatusCode::FORBIDDEN, StatusCode::TOO_MANY_REQUESTS];
}

impl IntoResponses for GatewayAnswer {
    fn responses() -> Answers {
        let [forbidden, too_many] = Self::STATUSES;
        let answers = [
            (
                forbidden,
                "API Gateway's authorizer refuses the caller, or a web page of another origin asks for a change: `cross-site-request`",
                "Forbidden",
            ),
            (too_many, "API Gateway takes no more requests at this rate", "Too Many Requests"),
        ];
        let answer = |(status, words, message): (StatusCode, &str, &str)| {
            let body = serde_json::json!({ "message": message });
            let gateways = Ref::from_schema_name("GatewayAnswer");
            let content = ContentBuilder::new().schema(Some(gateways)).example(Some(body)).build();
            let response = ResponseBuilder::new().description(words).content("application/json", content);
            // The one answer of ours with a status of API Gateway's.
            let response = if status == Code::CrossSiteRequest.status() {
                let code = Code::CrossSiteRequest;
                let body = serde_json::to_value(example(code).body("5f2c9d1e7a3b4c60")).ok();
                let content = ContentBuilder::new().schema(Some(schema(&[code]))).example(body);
                response.content("application/problem+json", content.build()).build()
            } else {
                response.build()
            };
            (status.as_str().to_owned(), response.into())
        };
        answers.map(answer).into()
    }
}
