//! Problems in the `OpenAPI` document. Their examples are bodies as they are really sent, so that the two cannot drift apart.

use std::collections::{BTreeMap, btree_map::Entry};

use axum::http::StatusCode;
use utoipa::{
    IntoResponses, ToSchema,
    openapi::{
        Header, ObjectBuilder, OpenApi, RefOr, Response, ResponseBuilder, Type,
        content::{Content, ContentBuilder},
        example::ExampleBuilder,
        header::HeaderBuilder,
        schema::{Ref, RefBuilder},
    },
};

use super::{Code, FieldError, Problem};
use crate::rate;

/// An operation's responses, by status.
pub(crate) type Answers = BTreeMap<String, RefOr<Response>>;

/// The responses with these codes: one for each status, with an example for each code.
pub(crate) fn answers(codes: &[Code]) -> Answers {
    let mut by_status = BTreeMap::<_, Vec<Code>>::new();
    for code in codes {
        by_status.entry(code.status()).or_default().push(*code);
    }
    by_status.into_iter().map(|(status, codes)| (status.as_str().to_owned(), answer(&codes).into())).collect()
}

fn answer(codes: &[Code]) -> Response {
    let answer = ResponseBuilder::new().description(words(codes.iter().map(|code| (code.name(), code.title()))));
    let answer = answer.content("application/problem+json", problems(codes));
    if codes.iter().any(|code| code.retry_after().is_some()) {
        answer.header("Retry-After", retry_after())
    } else {
        answer
    }
    .build()
}

fn problems(codes: &[Code]) -> Content {
    let examples = codes.iter().map(|code| {
        let body = serde_json::to_value(example(*code).body("5f2c9d1e7a3b4c60")).ok();
        (code.name(), ExampleBuilder::new().summary(code.title()).value(body).build())
    });
    ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).examples_from_iter(examples).build()
}

/// A description that lists the codes of a response's problems, and what each means.
fn words<Title: AsRef<str>>(problems: impl Iterator<Item = (String, Title)>) -> String {
    let word = |(code, title): (String, Title)| format!("`{code}`: {}", title.as_ref());
    problems.map(word).collect::<Vec<_>>().join(". ")
}

fn retry_after() -> Header {
    let seconds = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0.0));
    HeaderBuilder::new().schema(Some(seconds)).description(Some("Seconds until the same request may succeed")).build()
}

fn example(code: Code) -> Problem {
    match code {
        Code::InvalidBody => Problem::invalid_body(vec![FieldError {
            pointer: "/timeoutSeconds".to_owned(),
            detail: "must be between 1 and 31536000".to_owned(),
            rule: "timeout-out-of-range",
        }]),
        Code::QuotaExceeded => {
            let detail = "you have read logs 30 times in 10 seconds, which is the limit; repeat the request in 7 s";
            Problem::new(code, detail).beyond("logs", rate::Remaining::none(30, 7))
        }
        other => Problem::new(other, other.title()),
    }
}

/// The problems of every operation. An operation lists its additional problems itself.
impl IntoResponses for Problem {
    fn responses() -> Answers {
        let mut answers = answers(&[Code::Unauthenticated, Code::Internal, Code::AwsUnavailable]);
        answers.extend(GatewayAnswer::responses());
        answers
    }
}

/// Merges all responses with the same error status into one, to which every operation refers, so that a generated client has one error
/// type. The description of an operation's own codes stays beside the reference.
pub(crate) fn share(document: &mut OpenApi) {
    let mut shared = BTreeMap::<String, Response>::new();
    let operations = document.paths.paths.values_mut().flat_map(|path| {
        [&mut path.get, &mut path.post, &mut path.put, &mut path.patch, &mut path.delete].into_iter().flatten()
    });
    for (status, answer) in operations.flat_map(|operation| &mut operation.responses.responses) {
        let Some(name) = shared_name(status) else { continue };
        let RefOr::T(own) = answer else { continue };
        let own = std::mem::take(own);
        *answer = RefOr::Ref(reference(&name, &own.description));
        match shared.entry(name) {
            Entry::Vacant(first) => drop(first.insert(own)),
            Entry::Occupied(mut known) => add(known.get_mut(), own),
        }
    }
    if let Some(components) = &mut document.components {
        components.responses.extend(shared.into_iter().map(|(name, answer)| (name, answer.into())));
    }
}

/// The name of the response with this status in the document, if it is an error.
fn shared_name(status: &str) -> Option<String> {
    let status: StatusCode = status.parse().ok()?;
    let is_error = status.is_client_error() || status.is_server_error();
    is_error.then(|| status.canonical_reason().unwrap_or(status.as_str()).replace([' ', '-'], ""))
}

fn reference(name: &str, description: &str) -> Ref {
    RefBuilder::new().ref_location(format!("#/components/responses/{name}")).description(Some(description)).build()
}

/// Adds the examples that a response does not have yet, and describes all of them.
fn add(known: &mut Response, more: Response) {
    known.headers.extend(more.headers);
    for (media_type, content) in more.content {
        match (known.content.get_mut(&media_type), content) {
            (Some(RefOr::T(known)), RefOr::T(content)) => known.examples.extend(content.examples),
            (Some(_), _) => {}
            (None, content) => drop(known.content.insert(media_type, content)),
        }
    }
    if known.description == more.description {
        return;
    }
    let examples =
        known.content.values().filter_map(|content| if let RefOr::T(own) = content { Some(own) } else { None });
    let titled = examples.flat_map(|content| &content.examples).filter_map(|(code, example)| match example {
        RefOr::T(example) => Some((code.clone(), example.summary.clone())),
        RefOr::Ref(_) => None,
    });
    let all = words(titled);
    if !all.is_empty() {
        known.description = all;
    }
}

/// An error of API Gateway itself, which it sends before the request reaches the API: `application/json`, not a problem.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "API Gateway makes it; it is here to be documented")]
pub(crate) struct GatewayAnswer {
    /// What went wrong.
    #[schema(example = "Forbidden")]
    message: String,
}

impl GatewayAnswer {
    /// Its statuses. The API has its own response with each of them as well.
    pub(crate) const STATUSES: [StatusCode; 2] = [StatusCode::FORBIDDEN, StatusCode::TOO_MANY_REQUESTS];
}

impl IntoResponses for GatewayAnswer {
    fn responses() -> Answers {
        let [forbidden, too_many] = Self::STATUSES;
        let answers = [
            (
                forbidden,
                "`cross-site-request`: a web page of another origin requests a change. Without a code: API Gateway's authorizer refuses the caller",
                "Forbidden",
            ),
            (
                too_many,
                "`quota-exceeded`: the caller has reached the limit on reading logs. Without a code: API Gateway throttles requests",
                "Too Many Requests",
            ),
        ];
        let answer = |(status, words, message): (StatusCode, &str, &str)| {
            let body = serde_json::json!({ "message": message });
            let gateways = Ref::from_schema_name("GatewayAnswer");
            let content = ContentBuilder::new().schema(Some(gateways)).example(Some(body)).build();
            let response = ResponseBuilder::new().description(words).content("application/json", content);
            // The API's own responses with a status that API Gateway uses too.
            let ours = [Code::CrossSiteRequest, Code::QuotaExceeded].into_iter().filter(|code| code.status() == status);
            let response =
                ours.fold(response, |response, code| response.content("application/problem+json", problems(&[code])));
            let mut response = response.build();
            if status == too_many {
                response.headers.insert("Retry-After".to_owned(), retry_after().into());
                response.headers.extend(rate::documented().map(|(name, header)| (name.to_owned(), header.into())));
            }
            (status.as_str().to_owned(), response.into())
        };
        answers.map(answer).into()
    }
}
