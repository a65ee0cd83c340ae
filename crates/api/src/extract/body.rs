//! Reads a JSON body, with errors that say where they are, or checks that a request has no body.

use std::time::Duration;

use axum::{
    body::Bytes,
    extract::{DefaultBodyLimit, FromRequest, FromRequestParts, Request, rejection::BytesRejection},
    http::{HeaderMap, StatusCode, header},
};
use contract::catalog::Catalog;
use domain::{Json, limits};

use crate::{
    answers::problem::{Code, FieldError, Problem},
    app::App,
    extract::object::Members,
};

/// How long a body may take to arrive. Behind API Gateway, it has already arrived.
const ARRIVAL_TIMEOUT: Duration = Duration::from_secs(20);

/// What a body can describe.
pub(crate) trait Described: Sized {
    /// What to send instead of nothing.
    const EXAMPLE: &str;

    /// Largest body, in bytes.
    const LARGEST: usize = limits::BODY_BYTES;

    /// Reads a body. What is wrong is left out and added to `errors`, so that the rest can still be checked.
    fn read(body: &mut Members, errors: &mut Vec<FieldError>) -> Self;

    /// Everything that is wrong with the values that could be read. What could only be the consequence of one of `errors` is left out: it
    /// depends on a value that could not be read.
    fn wrong(self, catalog: &Catalog, errors: &[FieldError]) -> Vec<FieldError>;
}

/// What could be read of a body, and an error for everything that could not.
#[derive(Debug)]
struct Read<T> {
    new: T,
    errors: Vec<FieldError>,
}

/// A request's body.
pub(crate) struct Body<T>(pub(crate) T);

impl<T: Described> FromRequest<App> for Body<T> {
    type Rejection = Problem;

    async fn from_request(mut request: Request, app: &App) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            return Err(Problem::new(Code::UnsupportedMediaType, "send the body as Content-Type: application/json"));
        }
        DefaultBodyLimit::max(T::LARGEST).apply(&mut request);
        let Read { new, errors } = parse::<T>(&arrived(request, app, T::LARGEST).await?)?;
        if errors.is_empty() {
            return Ok(Self(new));
        }
        Err(Problem::invalid_body(with_violations(errors, new, &app.catalog)))
    }
}

/// The errors of a body, and what is wrong with the members that could be read, so that one response names every mistake.
pub(crate) fn with_violations<T: Described>(mut errors: Vec<FieldError>, new: T, catalog: &Catalog) -> Vec<FieldError> {
    let mut more = new.wrong(catalog, &errors);
    more.retain(|found| errors.iter().all(|error| error.pointer != found.pointer));
    errors.extend(more);
    errors
}

/// The extractor of an operation that takes no body: checks that the request has none, and then extracts a `T`. A caller who sends a body
/// expects it to have an effect, so it is refused, not ignored.
pub(crate) struct NoBody<T>(pub(crate) T);

impl<T: FromRequestParts<App, Rejection = Problem>> FromRequest<App> for NoBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let (mut parts, body) = request.into_parts();
        let request = Request::from_parts(parts.clone(), body);
        match arrived(request, app, limits::BODY_BYTES).await?.trim_ascii() {
            b"" | b"{}" => T::from_request_parts(&mut parts, app).await.map(Self),
            _ => Err(Problem::invalid_body(vec![FieldError {
                pointer: String::new(),
                detail: "this operation takes no body: send none".to_owned(),
                rule: "invalid-value",
            }])),
        }
    }
}

/// Reads a body, and then extracts a `T`, which may need an AWS call: a request whose body is not valid costs none.
pub(crate) struct BodyThen<B, T>(pub(crate) Body<B>, pub(crate) T);

impl<B: Described + Send, T: FromRequestParts<App, Rejection = Problem>> FromRequest<App> for BodyThen<B, T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let (mut parts, body) = request.into_parts();
        let body = Body::from_request(Request::from_parts(parts.clone(), body), app).await?;
        Ok(Self(body, T::from_request_parts(&mut parts, app).await?))
    }
}

async fn arrived(request: Request, app: &App, largest: usize) -> Result<Bytes, Problem> {
    if let Some(encoding) = encoding(request.headers()) {
        let detail = format!("the body has Content-Encoding {encoding}; send it without any content encoding");
        return Err(Problem::new(Code::UnsupportedContentEncoding, detail));
    }
    let arriving = tokio::time::timeout(ARRIVAL_TIMEOUT, Bytes::from_request(request, app)).await;
    let arrived = arriving.map_err(|_| {
        let detail = format!("the body did not arrive within {} s; send the request again", ARRIVAL_TIMEOUT.as_secs());
        Problem::new(Code::RequestTimeout, detail)
    })?;
    arrived.map_err(|why| unreadable(&why, largest))
}

/// A `Content-Encoding` that changes the body.
fn encoding(headers: &HeaderMap) -> Option<String> {
    let given =
        headers.get_all(header::CONTENT_ENCODING).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    let mut given = given.map(|name| String::from_utf8_lossy(name).trim().to_owned());
    given.find(|name| !name.is_empty() && !name.eq_ignore_ascii_case("identity"))
}

fn is_json(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

fn unreadable(why: &BytesRejection, largest: usize) -> Problem {
    if why.status() == StatusCode::PAYLOAD_TOO_LARGE {
        let input = limits::INPUT_BYTES;
        let detail = format!("the body is too large: at most {largest} bytes are allowed, and {input} for an input");
        return Problem::new(Code::BodyTooLarge, detail);
    }
    Problem::new(Code::IncompleteBody, "the connection broke before the whole body had arrived; send the request again")
}

fn parse<T: Described>(bytes: &[u8]) -> Result<Read<T>, Problem> {
    // Some editors begin a file with a byte order mark, which may be ignored (RFC 8259, section 8.1).
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    if bytes.trim_ascii().is_empty() {
        return Err(Problem::new(Code::InvalidJson, format!("the body is empty: send {}", T::EXAMPLE)));
    }
    let body: Json = serde_json::from_slice(bytes).map_err(|why| Problem::new(Code::InvalidJson, why.to_string()))?;
    let mut errors = Vec::new();
    let new = T::read(&mut Members::of(&body, "", &mut errors).unwrap_or_default(), &mut errors);
    Ok(Read { new, errors })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answers::model::NewExecution;

    fn problem(body: &str) -> (Code, Vec<(String, String)>) {
        match parse::<NewExecution>(body.as_bytes()) {
            Ok(read) => {
                let errors = read.errors.into_iter().map(|error| (error.pointer, error.detail));
                (Code::InvalidBody, errors.collect())
            }
            Err(problem) => (problem.body("r1").code(), Vec::new()),
        }
    }

    fn good(body: &str) -> NewExecution {
        let Read { new, errors } = parse::<NewExecution>(body.as_bytes()).unwrap();
        assert_eq!(errors, [], "{body}");
        new
    }

    #[test]
    fn the_text_of_an_input_is_kept_unchanged() {
        let body = r#"{"input": {"b": 1.10, "a": 12345678901234567890123}}"#;
        assert_eq!(good(body).input.text(), r#"{"b": 1.10, "a": 12345678901234567890123}"#);
    }

    #[test]
    fn null_is_a_valid_input_and_otherwise_means_absent() {
        assert_eq!(good(r#"{"input": null}"#).input.text(), "null");
        let unsaid = good(r#"{"input": 1}"#);
        let null = good(r#"{"input": 1, "job": null, "timeoutSeconds": null, "retry": null, "tags": null}"#);
        assert_eq!(format!("{unsaid:?}"), format!("{null:?}"));
        assert_eq!(problem("{}").1, [(String::new(), "has no `input`; it is required, and may be null".to_owned())]);
        let retry = problem(r#"{"input": 1, "retry": {"maxAttempts": null}}"#).1;
        let detail = "has no `maxAttempts` and no `onExitCodes`; one of them is required";
        assert_eq!(retry, [("/retry".to_owned(), detail.to_owned())]);
        let resources = problem(r#"{"input": 1, "resources": {}}"#).1;
        let detail = "has no `cpu` and no `memoryMiB`; one of them is required";
        assert_eq!(resources, [("/resources".to_owned(), detail.to_owned())]);
    }

    #[test]
    fn every_mistake_in_a_body_is_reported_with_its_pointer() {
        let body = r#"{"inptu": 1, "Job": "demo", "timeoutSeconds": "60", "retry": {"maxAttempt": 1.5, "x": 1},
            "tags": {"a/b": 1, "c": "d", "e": null, "c": "f"}, "labels": {}}"#;
        let errors = problem(body).1;
        let errors: Vec<_> = errors.iter().map(|(pointer, detail)| (pointer.as_str(), detail.as_str())).collect();
        assert_eq!(
            errors,
            [
                ("/timeoutSeconds", "is a string; it must be a whole number"),
                ("/retry/maxAttempt", "is not a member of this object; did you mean `maxAttempts`?"),
                ("/retry/x", "is not a member of this object; it has `maxAttempts`, `onExitCodes`"),
                ("/tags/c", "is given more than once"),
                ("/tags/a~1b", "is a number; it must be a string"),
                ("/tags/e", "is null; it must be a string"),
                ("/inptu", "is not a member of this object; did you mean `input`?"),
                ("/Job", "is not a member of this object; did you mean `job`?"),
                ("/labels", "is not a member of this object; did you mean `tags`?"),
            ]
        );
    }

    /// All errors about a body, for an installation with this catalog.
    fn errors(body: &str, catalog: &str) -> Vec<(String, String)> {
        let Read { new, errors } = parse::<NewExecution>(body.as_bytes()).unwrap();
        let errors = with_violations(errors, new, &contract::catalog::read(catalog).unwrap());
        errors.into_iter().map(|error| (error.pointer, error.detail)).collect()
    }

    #[test]
    fn one_mistake_is_one_error() {
        let job = r#"{"taskDefinition": "t", "cpu": 256, "memory": 512, "allow": {"cpu": true, "memory": true}}"#;
        let catalog = format!(r#"{{"demo": {{"taskDefinition": "t"}}, "etl": {job}}}"#);
        let unknown = |meant: &str| format!("is not a member of this object; did you mean `{meant}`?");
        for (body, pointer, detail) in [
            (
                r#"{"job": "etl", "input": 1, "resources": {"cpu": 512, "memory": 1024}}"#,
                "/resources/memory",
                unknown("memoryMiB"),
            ),
            (r#"{"job": "etl", "input": 1, "resources": {"memory": 1024}}"#, "/resources/memory", unknown("memoryMiB")),
            (r#"{"job": "etl", "input": 1, "retry": {"attempts": 3}}"#, "/retry/attempts", unknown("maxAttempts")),
            (r#"{"job": "etl", "inptu": 1}"#, "/inptu", unknown("input")),
            (r#"{"name": "etl", "input": 1, "resources": {"cpu": 512}}"#, "/name", unknown("job")),
            (
                r#"{"job": 7, "input": 1, "resources": {"cpu": 512}}"#,
                "/job",
                "is a number; it must be a string".to_owned(),
            ),
        ] {
            assert_eq!(errors(body, &catalog), [(pointer.to_owned(), detail)], "{body}");
        }
        let two = errors(r#"{"job": "etl", "input": 1, "resources": {"cpu": 300}, "timeoutSeconds": "1"}"#, &catalog);
        let pointers: Vec<_> = two.iter().map(|(pointer, _)| pointer.as_str()).collect();
        assert_eq!(pointers, ["/timeoutSeconds", "/resources/cpu"], "mistakes that have nothing to do with each other");
    }

    /// A problem's detail is its first error's pointer and detail.
    #[test]
    fn every_detail_continues_the_sentence_that_its_pointer_begins() {
        let long = "x".repeat(300);
        let deep = format!("{}{}", "[".repeat(65), "]".repeat(65));
        let environment = (0..21).map(|n| format!("\"A{n}\": \"{long}\"")).collect::<Vec<_>>().join(",");
        let tags = (0..21).map(|n| format!("\"{n}\": \"{n}\"")).collect::<Vec<_>>().join(",");
        let job = r#"{"taskDefinition": "t", "cpu": 256, "memory": 512, "allow": {"cpu": true, "memory": true, "environment": ["A"]}}"#;
        let catalog = format!(r#"{{"demo": {job}}}"#);
        for body in [
            r#"{"input": 1, "resources": {"cpu": 300}}"#,
            r#"{"input": 1, "resources": {"cpu": 512}}"#,
            r#"{"input": 1, "resources": {"memoryMiB": 513}}"#,
            r#"{"input": 1, "resources": {}, "retry": {}}"#,
            r#"{"input": 1, "environment": {"1A": "", "AWS_X": "", "B": "", "A": "\u0000"}}"#,
            r#"{"input": 1, "timeoutSeconds": 0, "retry": {"maxAttempts": 11, "onExitCodes": [0]}, "job": "x"}"#,
            r#"{"input": {"a": 1, "a": 2}, "unknown": 1, "tags": {"aws:x": "a&b", "": ""}}"#,
            &format!(r#"{{"input": {deep}, "environment": {{{environment}}}, "tags": {{{tags}}}}}"#),
            &format!(r#"{{"input": "{}", "tags": {{"{long}": "{long}"}}}}"#, "x".repeat(limits::INPUT_BYTES)),
        ] {
            for (pointer, detail) in errors(body, &catalog) {
                let verb = detail.split(' ').next().unwrap();
                assert!(["is", "has", "must", "cannot", "contains"].contains(&verb), "{pointer} {detail}");
            }
        }
    }

    #[test]
    fn names_that_are_repeated_in_an_input_are_reported() {
        let found = problem(r#"{"input": {"a": [{"b": 1, "b": 2}], "a": 3}, "tags": {"x": "", "x": ""}}"#).1;
        let pointers: Vec<_> = found.iter().map(|(pointer, _)| pointer.as_str()).collect();
        assert_eq!(pointers, ["/input/a/0/b", "/input/a", "/tags/x"]);
        assert!(found.iter().all(|(_, detail)| detail == "is given more than once"), "{found:?}");
        let deep = format!(r#"{}{{"{}": {{"b": 1, "b": 1}}}}{}"#, "[".repeat(9), "x".repeat(600), "]".repeat(9));
        let pointer = problem(&format!(r#"{{"input": {deep}}}"#)).1.remove(0).0;
        assert_eq!(pointer, "/input/0/0/0/0/0/0/0/0/0");
    }

    #[test]
    fn an_invalid_body_is_reported_with_its_pointer() {
        for (body, code, pointer) in [
            (r#"{"input":1,"timeoutSeconds":1.5}"#, Code::InvalidBody, "/timeoutSeconds"),
            (r#"{"input":1,"retry":[3]}"#, Code::InvalidBody, "/retry"),
            (r#"{"input":1,"retry":{"onExitCodes":[75,"1"]}}"#, Code::InvalidBody, "/retry/onExitCodes/1"),
            (r#"{"input":1,"retry":{"onExitCodes":75}}"#, Code::InvalidBody, "/retry/onExitCodes"),
            (r#"{"input":1,"retry":{"onExitCodes":[1.5]}}"#, Code::InvalidBody, "/retry/onExitCodes/0"),
            (r#"{"input":1,"resources":{"memory":512,"cpu":256}}"#, Code::InvalidBody, "/resources/memory"),
            (r#"{"input":1,"environment":{"DEBUG":1}}"#, Code::InvalidBody, "/environment/DEBUG"),
            (r#"[1,"demo",60,null,{}]"#, Code::InvalidBody, ""),
            (r#"{"input":1,"tags":{"a/b":1}}"#, Code::InvalidBody, "/tags/a~1b"),
            (r#"{"input":1,"inptu":1}"#, Code::InvalidBody, "/inptu"),
            (r#"{"input":1,"input":2}"#, Code::InvalidBody, "/input"),
            ("[]", Code::InvalidBody, ""),
            ("{\"input\":", Code::InvalidJson, "-"),
            (r#"{"input":1} x"#, Code::InvalidJson, "-"),
        ] {
            let (found, errors) = problem(body);
            let first = errors.first().map_or("-", |(pointer, _)| pointer.as_str());
            assert_eq!((found, first, errors.len()), (code, pointer, usize::from(pointer != "-")), "{body}");
        }
    }

    #[test]
    fn the_content_encoding_identity_is_ignored() {
        for (value, found) in [("gzip", Some("gzip")), ("identity", None), ("Identity, br", Some("br")), ("", None)] {
            let headers = HeaderMap::from_iter([(header::CONTENT_ENCODING, value.parse().unwrap())]);
            assert_eq!(encoding(&headers).as_deref(), found, "{value}");
        }
    }

    #[test]
    fn a_whole_number_may_be_written_as_a_fraction() {
        for seconds in ["60", "60.0", "6e1"] {
            good(&format!(r#"{{"input":1,"timeoutSeconds":{seconds},"retry":{{"onExitCodes":[{seconds}]}}}}"#));
        }
    }

    #[test]
    fn every_content_type_of_json_is_accepted() {
        for (value, json) in [
            ("application/json", true),
            ("Application/JSON; charset=utf-8", true),
            ("application/vnd.api+json", true),
            ("text/json", false),
            ("application/jsonp", false),
        ] {
            let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, value.parse().unwrap())]);
            assert_eq!(is_json(&headers), json, "{value}");
        }
    }
}
