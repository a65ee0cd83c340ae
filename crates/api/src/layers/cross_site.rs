//! Refuses changes requested by a page of another origin, which must not act with the rights of the person who visits it.
//!
//! A start has a JSON body, which a browser sends to another origin only after a CORS preflight. A cancel and a rerun need no body, so any
//! page could send them. The rule is that of Go's `net/http.CrossOriginProtection` (<https://pkg.go.dev/net/http#CrossOriginProtection>).
//! It needs no token and does not have to know the API's own host name, so it also works behind API Gateway and other proxies.

use axum::{
    extract::{Request, State},
    http::{HeaderMap, Method, Uri, header, uri::Authority},
    middleware::Next,
    response::{IntoResponse as _, Response},
};

use crate::{
    answers::problem::{Code, Problem},
    app::App,
    layers::cors::Origin,
};

pub(crate) async fn layer(State(app): State<App>, request: Request, next: Next) -> Response {
    if allowed(request.method(), request.uri(), request.headers(), &app.cors_origins) {
        return next.run(request).await;
    }
    let detail = "a web page of another origin sent this request, and only pages of the allowed origins may; \
                  name the origin with --cors-origin (on AWS: CORS_ORIGINS)";
    Problem::new(Code::CrossSiteRequest, detail).into_response()
}

/// Whether a request is allowed. Reads always are, since a page of another origin cannot see the response.
fn allowed(method: &Method, uri: &Uri, headers: &HeaderMap, origins: &[Origin]) -> bool {
    if [Method::GET, Method::HEAD, Method::OPTIONS].contains(method) {
        return true;
    }
    let origin = headers.get(header::ORIGIN);
    if origin.is_some_and(|origin| origins.iter().any(|named| named.is(origin))) {
        return true;
    }
    // `none` means that a person entered the address.
    if let Some(site) = headers.get("sec-fetch-site") {
        return site == "same-origin" || site == "none";
    }
    // Browsers send `Sec-Fetch-Site` only over HTTPS and to loopback addresses. They always send `Origin` with a change.
    let Some(origin) = origin else { return true };
    let host = uri.authority().map(Authority::as_str).or_else(|| headers.get(header::HOST)?.to_str().ok());
    let from = origin.to_str().ok().and_then(|origin| origin.split_once("://")).map(|(_, from)| from);
    host.is_some_and(|host| from.is_some_and(|from| from.eq_ignore_ascii_case(host)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMED: &str = "https://app.example";

    fn answer(method: &Method, headers: &[(&'static str, &str)], origins: &[&str]) -> bool {
        let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        let origins: Vec<Origin> = origins.iter().map(|origin| origin.parse().unwrap()).collect();
        allowed(method, &Uri::from_static("/executions/e/cancel"), &headers, &origins)
    }

    #[test]
    fn state_changing_requests_of_other_origins_are_refused() {
        for headers in [
            &[("host", "api.example"), ("origin", "https://evil.example")] as &[_],
            &[("host", "api.example"), ("origin", "null")],
            &[("host", "127.0.0.1:8080"), ("origin", "http://127.0.0.1:9999")],
            &[("host", "api.example"), ("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")],
            &[("host", "api.example"), ("sec-fetch-site", "cross-site")],
            &[("host", "api.example"), ("sec-fetch-site", "same-site"), ("origin", "https://other.example")],
            &[("host", "api.example"), ("sec-fetch-site", "cross-site"), ("origin", "https://api.example")],
            &[("origin", "https://evil.example")],
        ] {
            for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
                assert!(!answer(&method, headers, &[]), "{headers:?}");
            }
            assert!(!answer(&Method::POST, headers, &[NAMED]), "{headers:?}: another origin is named");
            assert!(answer(&Method::GET, headers, &[]), "{headers:?}: it reads, and CORS keeps the answer from it");
        }
    }

    #[test]
    fn requests_of_programs_the_documentation_page_and_allowed_origins_pass() {
        for headers in [
            &[("host", "api.example")] as &[_],
            &[("host", "api.example"), ("sec-fetch-mode", "cors")],
            &[("host", "api.example"), ("origin", "https://api.example"), ("sec-fetch-site", "same-origin")],
            // Behind a proxy that changes the host.
            &[("host", "internal"), ("origin", "https://api.example"), ("sec-fetch-site", "same-origin")],
            &[("host", "api.example:8443"), ("origin", "https://api.example:8443")],
        ] {
            assert!(answer(&Method::POST, headers, &[]), "{headers:?}");
        }
        let named = [("host", "api.example"), ("origin", NAMED), ("sec-fetch-site", "cross-site")];
        assert!(answer(&Method::POST, &named, &[NAMED]));
        assert!(answer(&Method::POST, &named, &["*"]));
        assert!(!answer(&Method::POST, &named, &["https://other.example"]));
    }
}
