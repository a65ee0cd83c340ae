//! Keeps web pages away from the servers of the emulator, which do not authenticate their callers: a page that the developer happens to
//! visit must not run commands on the machine.
//!
//! A browser says where a request comes from, and a page cannot prevent that. So three things are checked:
//!
//! - **`Host`**. If the name of a page's host is pointed at 127.0.0.1 (DNS rebinding), the page has the same origin as the server, and
//!   can read its responses. Its requests still contain its own name. Loopback names, the address that the server listens on and the
//!   names of `--allow-host` are answered; any other is a 421.
//! - **`Origin` and `Sec-Fetch-Site`** (<https://www.w3.org/TR/fetch-metadata/>). No AWS client sends either. Requests with them are
//!   refused, except those that a person has typed into the address bar.
//! - **The signature**. Every AWS client signs, and a page cannot add `Authorization` without a CORS preflight, which is refused.
//!   Signatures are not verified: every key is accepted. A presigned query counts as a signature only for S3, where clients presign
//!   calls, and there it is verified. The secret key is public, so a page can write a valid one. It gains nothing by that: browsers
//!   name the page in `Origin` or `Sec-Fetch-Site`, as in all other requests.
//!
//! Requests to the Runtime API (each process has its own) and to the task metadata endpoint are not signed on AWS, so they need no
//! signature here. `/_local` accepts only JSON, whose content type needs a preflight as well.
//!
//! A program that serves its own HTTP on this machine can check the `Host` of its requests with [`Hosts::check`].

use std::net::IpAddr;

use axum::{
    Json,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header, request::Parts, uri::Authority},
    middleware::Next,
    response::{IntoResponse as _, Response},
};

use crate::{
    faults,
    lambda::RuntimeError,
    s3,
    wire::{self, ErrorBody},
};

/// The host names for which a server answers.
#[derive(Debug, Clone)]
pub struct Hosts {
    listen: IpAddr,
    allowed: Vec<String>,
}

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is for another server.
    #[error(
        "the Host header is `{0}`; only localhost, loopback addresses and the address that this server listens on are allowed. \
         Start it with --allow-host NAME to allow another name"
    )]
    Host(String),
    /// A web page sent it.
    #[error("the `{0}` header says that a web page sent this request; only programs may use AWS here")]
    Page(&'static str),
    /// It is not signed.
    #[error(
        "the request is not signed; AWS clients sign every request with `Authorization: AWS4-HMAC-SHA256 …`. \
         Any credentials will do"
    )]
    Unsigned,
    /// It is not JSON.
    #[error("the content type must be application/json; add -H 'content-type: application/json'")]
    NotJson,
}

impl Refused {
    /// The HTTP status of the refusal.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Host(_) => StatusCode::MISDIRECTED_REQUEST,
            Self::Page(_) | Self::Unsigned => StatusCode::FORBIDDEN,
            Self::NotJson => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        }
    }

    /// The name of the exception: AWS's own if there is one
    /// (<https://docs.aws.amazon.com/awssupport/latest/APIReference/CommonErrors.html>).
    fn code(&self) -> &'static str {
        match self {
            Self::Host(_) => "MisdirectedRequestException",
            Self::Page(_) => "AccessDeniedException",
            Self::Unsigned => "MissingAuthenticationTokenException",
            Self::NotJson => "UnsupportedMediaTypeException",
        }
    }

    /// The response of the AWS endpoints for this path.
    pub(crate) fn at_aws(&self, path: &str) -> Response {
        if is_local(path) {
            return faults::Refused(self.status(), self.to_string()).into_response();
        }
        wire::refusal(self.status(), &ErrorBody::new(self.code(), &self.to_string()))
    }

    /// The response of the Runtime API.
    fn at_runtime_api(&self) -> Response {
        (self.status(), Json(RuntimeError::new(self.code(), self.to_string()))).into_response()
    }
}

impl Hosts {
    /// The names of a server that listens on this address, and additional names.
    #[must_use]
    pub fn new(listen: IpAddr, allowed: &[String]) -> Self {
        Self { listen, allowed: allowed.to_vec() }
    }

    /// Whether a request names this server. A request that names none does not come from a browser.
    ///
    /// # Errors
    ///
    /// [`Refused::Host`].
    pub fn check(&self, request: &Parts) -> Result<(), Refused> {
        let headers = request.headers.get_all(header::HOST).iter().map(|host| String::from_utf8_lossy(host.as_bytes()));
        let target = request.uri.authority().map(|authority| authority.as_str().into());
        match headers.chain(target).find(|host| !self.answers_to(host)) {
            None => Ok(()),
            Some(host) => Err(Refused::Host(host.into_owned())),
        }
    }

    fn answers_to(&self, host: &str) -> bool {
        let Ok(authority) = host.parse::<Authority>() else { return false };
        let name = authority.host();
        if let Ok(address) = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
            // DNS cannot redirect an address. A server that listens on all addresses answers for each of them.
            return address.is_loopback() || address == self.listen || self.listen.is_unspecified();
        }
        let is = |other: &str| name.trim_end_matches('.').eq_ignore_ascii_case(other);
        is("localhost") || self.allowed.iter().any(|allowed| is(allowed))
    }
}

/// Whether a request at the AWS endpoints may be answered.
///
/// # Errors
///
/// [`Refused`], for any reason.
pub(crate) fn check_aws(hosts: &Hosts, request: &Parts) -> Result<(), Refused> {
    hosts.check(request)?;
    no_page(request)?;
    match request.uri.path() {
        path if is_local(path) => json(request),
        path if path.starts_with("/_ecs/") => Ok(()),
        // Its signature is verified next.
        _ if s3::is_presigned(request) => Ok(()),
        _ => signed(&request.headers),
    }
}

/// Whether a request at a Runtime API may be answered.
///
/// # Errors
///
/// [`Refused::Host`] and [`Refused::Page`].
fn check_runtime_api(hosts: &Hosts, request: &Parts) -> Result<(), Refused> {
    hosts.check(request)?;
    no_page(request)
}

/// Whether a path is one of the emulator's own, which no AWS client uses.
fn is_local(path: &str) -> bool {
    path == "/_local" || path.starts_with("/_local/")
}

/// In front of a Runtime API.
pub(crate) async fn before_runtime_api(State(hosts): State<Hosts>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    match check_runtime_api(&hosts, &parts) {
        Ok(()) => next.run(Request::from_parts(parts, body)).await,
        Err(refused) => refused.at_runtime_api(),
    }
}

fn no_page(request: &Parts) -> Result<(), Refused> {
    let headers = &request.headers;
    if headers.contains_key(header::ORIGIN) {
        return Err(Refused::Page("Origin"));
    }
    let reads = [Method::GET, Method::HEAD].contains(&request.method);
    let typed = headers.get_all("sec-fetch-site").iter().all(|site| site == "none");
    if headers.contains_key("sec-fetch-site") && !(typed && reads) {
        return Err(Refused::Page("Sec-Fetch-Site"));
    }
    // A form that is submitted in the top-level window, by a browser that sends none of the headers above.
    if !reads && headers.get("sec-fetch-mode").is_some_and(|mode| mode == "navigate") {
        return Err(Refused::Page("Sec-Fetch-Mode"));
    }
    Ok(())
}

fn signed(headers: &HeaderMap) -> Result<(), Refused> {
    let signature = headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes).unwrap_or_default();
    if signature.starts_with(b"AWS4-HMAC-SHA256 ") { Ok(()) } else { Err(Refused::Unsigned) }
}

/// Whether a request has the JSON content type, if it needs one. Reads and DELETEs have no body; a page may send neither a DELETE nor a
/// JSON body without a preflight.
fn json(request: &Parts) -> Result<(), Refused> {
    if [Method::GET, Method::HEAD, Method::DELETE].contains(&request.method) {
        return Ok(());
    }
    let types = request.headers.get_all(header::CONTENT_TYPE);
    let is_json = |value: &HeaderValue| {
        let essence = value.to_str().ok().and_then(|text| text.split(';').next()).unwrap_or_default();
        essence.trim().eq_ignore_ascii_case("application/json")
    };
    if types.iter().next().is_some() && types.iter().all(is_json) { Ok(()) } else { Err(Refused::NotJson) }
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    const SIGNED: (&str, &str) = ("authorization", "AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/ecs/aws4_request");

    fn request(method: &str, uri: &str, headers: &[(&str, &str)]) -> Parts {
        let request = Request::builder().method(method).uri(uri);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        request.body(()).unwrap().into_parts().0
    }

    fn hosts(listen: &str) -> Hosts {
        Hosts::new(listen.parse().unwrap(), &["dev.internal".to_owned()])
    }

    fn aws(method: &str, uri: &str, headers: &[(&str, &str)]) -> Result<(), Refused> {
        check_aws(&hosts("127.0.0.1"), &request(method, uri, headers))
    }

    #[test]
    fn a_server_answers_to_its_own_names_only() {
        let own = hosts("127.0.0.1");
        for host in [
            "localhost",
            "LOCALHOST:8080",
            "localhost.:80",
            "127.0.0.1:4566",
            "127.9.8.7",
            "[::1]:4566",
            "dev.internal",
        ] {
            assert_eq!(own.check(&request("GET", "/", &[("host", host)])), Ok(()), "{host}");
        }
        for host in [
            "rebind.evil.example:4566",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "evil.example@127.0.0.1x",
            "192.168.1.2",
            "0.0.0.0",
            "",
            "a b",
        ] {
            assert_eq!(own.check(&request("GET", "/", &[("host", host)])), Err(Refused::Host(host.into())), "{host}");
        }
        assert_eq!(own.check(&request("GET", "/", &[])), Ok(()), "no browser leaves it out");
        let two = request("GET", "/", &[("host", "localhost"), ("host", "evil.example")]);
        assert!(own.check(&two).is_err());
        assert!(own.check(&request("GET", "http://evil.example/", &[("host", "localhost")])).is_err());
        let lan = hosts("192.168.1.2");
        assert_eq!(lan.check(&request("GET", "/", &[("host", "192.168.1.2:4566")])), Ok(()));
        assert!(lan.check(&request("GET", "/", &[("host", "192.168.1.3:4566")])).is_err());
        assert_eq!(hosts("0.0.0.0").check(&request("GET", "/", &[("host", "192.168.1.3")])), Ok(()));
        assert!(hosts("0.0.0.0").check(&request("GET", "/", &[("host", "evil.example")])).is_err());
    }

    #[test]
    fn aws_calls_are_signed() {
        assert_eq!(aws("POST", "/", &[SIGNED]), Ok(()));
        for path in ["/", "/2015-03-31/functions", "/2025-12-01/durable-executions/a", "/nowhere", "/_localhost"] {
            for method in ["GET", "POST", "PUT", "DELETE", "OPTIONS"] {
                assert_eq!(aws(method, path, &[]), Err(Refused::Unsigned), "{method} {path}");
                assert_eq!(aws(method, path, &[("authorization", "Bearer AWS4-HMAC-SHA256 ")]), Err(Refused::Unsigned));
            }
        }
        assert_eq!(aws("POST", "/?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=0", &[]), Err(Refused::Unsigned));
        assert_eq!(aws("GET", "/_ecs/v4/a/task", &[]), Ok(()), "nor is it on AWS");
        let presigned =
            |service: &str| format!("/a/b?X-Amz-Credential=a%2F1%2Fr%2F{service}%2Faws4_request&X-Amz-Signature=0");
        assert_eq!(aws("GET", &presigned("s3"), &[]), Ok(()), "S3 verifies it");
        assert_eq!(aws("GET", &presigned("lambda"), &[]), Err(Refused::Unsigned));
        assert_eq!(aws("GET", &presigned("s3"), &[("x-amz-target", "a.b")]), Err(Refused::Unsigned));
        let of_page = [("sec-fetch-site", "cross-site")];
        assert_eq!(aws("GET", &presigned("s3"), &of_page), Err(Refused::Page("Sec-Fetch-Site")));
        let of_script = [("origin", "https://evil.example")];
        assert_eq!(aws("PUT", &presigned("s3"), &of_script), Err(Refused::Page("Origin")));
    }

    #[test]
    fn requests_of_web_pages_are_refused_even_if_signed() {
        let paths = ["/", "/2015-03-31/functions", "/_ecs/v4/a/task", "/_local/faults"];
        for path in paths {
            for (name, value, refused) in [
                ("origin", "https://evil.example", "Origin"),
                ("origin", "null", "Origin"),
                ("origin", "http://127.0.0.1:4566", "Origin"),
                ("sec-fetch-site", "cross-site", "Sec-Fetch-Site"),
                ("sec-fetch-site", "same-site", "Sec-Fetch-Site"),
                ("sec-fetch-site", "same-origin", "Sec-Fetch-Site"),
                ("sec-fetch-site", "none", "Sec-Fetch-Site"),
                ("sec-fetch-mode", "navigate", "Sec-Fetch-Mode"),
            ] {
                let headers = [SIGNED, ("content-type", "application/json"), (name, value)];
                assert_eq!(aws("POST", path, &headers), Err(Refused::Page(refused)), "{path} {name}: {value}");
            }
        }
        let typed = [("sec-fetch-site", "none"), ("sec-fetch-mode", "navigate")];
        assert_eq!(aws("GET", "/_local/faults", &typed), Ok(()), "a person may look");
        // Sent by `fetch` in Node.js, which is not a browser.
        assert_eq!(aws("POST", "/", &[SIGNED, ("sec-fetch-mode", "cors")]), Ok(()));
        let runtime = |headers: &[(&str, &str)]| {
            let path = "/2018-06-01/runtime/invocation/a/response";
            check_runtime_api(&hosts("127.1.2.3"), &request("POST", path, headers))
        };
        assert_eq!(runtime(&[("host", "127.1.2.3:9001")]), Ok(()));
        assert_eq!(runtime(&[("origin", "https://evil.example")]), Err(Refused::Page("Origin")));
        assert!(matches!(runtime(&[("host", "evil.example:9001")]), Err(Refused::Host(_))));
    }

    #[test]
    fn the_stacks_own_paths_accept_json_only() {
        for path in ["/_local/faults", "/_local/kill", "/_local/clock"] {
            assert_eq!(aws("GET", path, &[]), Ok(()));
            assert_eq!(aws("DELETE", path, &[]), Ok(()));
            for json in ["application/json", "Application/JSON; charset=utf-8"] {
                assert_eq!(aws("POST", path, &[("content-type", json)]), Ok(()));
            }
            for other in ["text/plain", "text/plain; application/json", "application/x-www-form-urlencoded", ""] {
                assert_eq!(aws("POST", path, &[("content-type", other)]), Err(Refused::NotJson), "{other}");
            }
            assert_eq!(aws("POST", path, &[]), Err(Refused::NotJson));
            let two = [("content-type", "application/json"), ("content-type", "text/plain")];
            assert_eq!(aws("POST", path, &two), Err(Refused::NotJson));
        }
    }
}
