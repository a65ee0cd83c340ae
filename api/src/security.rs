//! Tells browsers to make of an answer what it is, and nothing more.

use axum::{
    extract::Request,
    http::{HeaderName, HeaderValue, header},
    middleware::Next,
    response::Response,
};

use crate::caller::gateway;

/// What a page of ours may do, unless it says more: nothing. Programs read these answers; a browser that is led to show one
/// loads nothing, runs nothing, and shows it in no frame.
const NOTHING: &str = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// What the documentation page may do. All of it comes from here; Swagger UI sets styles of single elements, and its icons
/// are `data:` URLs.
pub(crate) const PAGE: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
                               img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
                               frame-ancestors 'none'";

const HEADERS: [(HeaderName, &str); 6] = [
    (header::CONTENT_SECURITY_POLICY, NOTHING),
    // An answer is what its Content-Type says, also for a browser that thinks it knows better.
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    // A path names an execution: no other site gets to hear of it.
    (header::REFERRER_POLICY, "no-referrer"),
    // For browsers that do not know `frame-ancestors`.
    (header::X_FRAME_OPTIONS, "DENY"),
    // No other site's page loads an answer as an image or a script. What CORS lets through is not affected.
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    // A 404 may be an execution a moment later: without this, a cache may keep it.
    (header::CACHE_CONTROL, "no-store"),
];

/// Two years, the least that browsers' own lists of such sites take.
const HTTPS_ONLY: &str = "max-age=63072000";

pub(crate) async fn layer(request: Request, next: Next) -> Response {
    // API Gateway speaks HTTPS only. Over plain HTTP the header must not be sent (RFC 6797, 7.2).
    let encrypted = gateway(request.extensions()).is_some();
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    if encrypted {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static(HTTPS_ONLY));
    }
    response
}
