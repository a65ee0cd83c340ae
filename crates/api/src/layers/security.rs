//! Headers that keep browsers from doing anything unexpected with a response.

use axum::{
    extract::Request,
    http::{HeaderName, HeaderValue, header},
    middleware::Next,
    response::Response,
};

use crate::extract::caller::gateway;

/// The default policy of our responses allows nothing. Programs read them; if a browser is made to show one, it loads nothing, runs
/// nothing, and does not show it in a frame.
const ALLOW_NOTHING: &str = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The policy of the documentation page. All of its files come from here; Swagger UI sets styles of single elements, and its icons are
/// `data:` URLs.
pub(crate) const PAGE: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
                               img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
                               frame-ancestors 'none'";

const HEADERS: [(HeaderName, &str); 6] = [
    (header::CONTENT_SECURITY_POLICY, ALLOW_NOTHING),
    // Browsers must not guess another type than the Content-Type.
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    // A path names an execution, which no other site may learn.
    (header::REFERRER_POLICY, "no-referrer"),
    // For browsers that do not know `frame-ancestors`.
    (header::X_FRAME_OPTIONS, "DENY"),
    // No page of another site may load a response as an image or a script. This does not affect what CORS allows.
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    // The same path may be an execution a moment after a 404. Without this header, a cache could keep the 404.
    (header::CACHE_CONTROL, "no-store"),
];

/// Two years, the value that browsers' preload lists recommend.
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
