//! Reading a JSON body, with errors that say where; and having none.

use std::time::Duration;

use axum::{
    body::Bytes,
    extract::{FromRequest, Request, rejection::BytesRejection},
    http::{HeaderMap, StatusCode, header},
};
use domain::limits;
use serde_json::error::Category;
use serde_path_to_error::{Path, Segment};

use crate::{
    model::NewExecution,
    object::JsonObject,
    problem::{Code, FieldError, Problem},
    router::App,
};

/// How long a body may take to arrive. Behind API Gateway it has arrived already.
const ARRIVES_WITHIN: Duration = Duration::from_secs(20);

/// A request's body.
pub(crate) struct Body(pub(crate) NewExecution);

impl FromRequest<App> for Body {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            return Err(Problem::new(Code::UnsupportedMediaType, "send the body as Content-Type: application/json"));
        }
        parse(&arrived(request, app).await?).map(Self)
    }
}

/// Of an operation that takes none: who sends one means something by it, and is not to find out that it was ignored.
pub(crate) struct NoBody;

impl FromRequest<App> for NoBody {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        match arrived(request, app).await?.trim_ascii() {
            b"" | b"{}" => Ok(Self),
            _ => Err(Problem::invalid_body(vec![FieldError {
                pointer: String::new(),
                detail: "this operation takes no body: send none".to_owned(),
                rule: "invalid-value",
            }])),
        }
    }
}

async fn arrived(request: Request, app: &App) -> Result<Bytes, Problem> {
    let arriving = tokio::time::timeout(ARRIVES_WITHIN, Bytes::from_request(request, app)).await;
    let arrived = arriving.map_err(|_| Problem::new(Code::InvalidJson, "the body took too long to arrive"))?;
    arrived.map_err(|why| unreadable(&why))
}

fn is_json(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

fn unreadable(why: &BytesRejection) -> Problem {
    if why.status() == StatusCode::PAYLOAD_TOO_LARGE {
        let detail = format!("a body has at most {} bytes", limits::BODY_BYTES);
        return Problem::new(Code::BodyTooLarge, detail);
    }
    Problem::new(Code::InvalidJson, "the body did not arrive whole")
}

fn parse(bytes: &[u8]) -> Result<NewExecution, Problem> {
    // Some editors begin a file with a byte order mark, which may be ignored (RFC 8259, section 8.1).
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    if bytes.trim_ascii().is_empty() {
        return Err(Problem::new(Code::InvalidJson, r#"the body is empty: send {"input": …}"#));
    }
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let JsonObject(new) = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let pointer = pointer(error.path());
        let why = error.into_inner();
        match why.classify() {
            Category::Data => {
                Problem::invalid_body(vec![FieldError { pointer, detail: without_place(&why), rule: "invalid-value" }])
            }
            Category::Syntax | Category::Eof | Category::Io => Problem::new(Code::InvalidJson, why.to_string()),
        }
    })?;
    json.end().map_err(|why| Problem::new(Code::InvalidJson, why.to_string()))?;
    Ok(new)
}

/// The pointer says where: a line and a column would say it again, and worse.
fn without_place(why: &serde_json::Error) -> String {
    let text = why.to_string();
    text.rsplit_once(" at line ").map_or(text.clone(), |(what, _)| what.to_owned())
}

fn pointer(path: &Path) -> String {
    let step = |segment: &Segment| match segment {
        Segment::Map { key } => Some(domain::pointer_to(key)),
        Segment::Seq { index } => Some(format!("/{index}")),
        Segment::Enum { .. } | Segment::Unknown => None,
    };
    path.iter().filter_map(step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(body: &str) -> (Code, String) {
        let problem = parse(body.as_bytes()).unwrap_err().body("r1");
        let body = serde_json::to_value(&problem).unwrap();
        let pointer = body["errors"][0]["pointer"].as_str().unwrap_or("-").to_owned();
        (problem.code(), pointer)
    }

    #[test]
    fn the_input_comes_in_as_it_was_written() {
        let body = r#"{"input": {"b": 1.10, "a": 12345678901234567890123}}"#;
        assert_eq!(parse(body.as_bytes()).unwrap().input.text(), r#"{"b": 1.10, "a": 12345678901234567890123}"#);
    }

    #[test]
    fn null_is_an_input_and_its_absence_is_not() {
        assert_eq!(parse(br#"{"input": null}"#).unwrap().input.text(), "null");
        assert_eq!(wrong("{}"), (Code::InvalidBody, String::new()));
    }

    #[test]
    fn says_where_a_body_is_wrong() {
        for (body, code, pointer) in [
            (r#"{"input":1,"timeoutSeconds":1.5}"#, Code::InvalidBody, "/timeoutSeconds"),
            (r#"{"input":1,"retry":[3]}"#, Code::InvalidBody, "/retry"),
            (r#"[1,"demo",60,null,{}]"#, Code::InvalidBody, ""),
            (r#"{"input":1,"tags":{"a/b":1}}"#, Code::InvalidBody, "/tags/a~1b"),
            (r#"{"input":1,"inptu":1}"#, Code::InvalidBody, "/inptu"),
            (r#"{"input":1,"input":2}"#, Code::InvalidBody, ""),
            ("[]", Code::InvalidBody, ""),
            ("{\"input\":", Code::InvalidJson, "-"),
            (r#"{"input":1} x"#, Code::InvalidJson, "-"),
        ] {
            assert_eq!(wrong(body), (code, pointer.to_owned()), "{body}");
        }
    }

    #[test]
    fn a_whole_number_may_be_written_as_a_fraction() {
        for seconds in ["60", "60.0", "6e1"] {
            parse(format!(r#"{{"input":1,"timeoutSeconds":{seconds}}}"#).as_bytes()).unwrap();
        }
    }

    #[test]
    fn json_has_several_content_types() {
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
