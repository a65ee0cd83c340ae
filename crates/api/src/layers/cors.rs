//! Lets web pages of other origins use the API, if the configuration names those origins.
//!
//! **Invariant**: never with credentials that a browser adds by itself. Callers send a token or a signature, so a page can do only what
//! the secrets that it holds allow.

use std::{str::FromStr, time::Duration};

use axum::{
    Router,
    http::{HeaderName, HeaderValue, Method, Uri, header},
};
use serde::Serialize;
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::{
    app::App,
    extract::{caller::Callers, idempotency_key},
};

/// A web origin such as `https://app.example`, or `*` for every origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin(HeaderValue);

/// Text that is not a valid web origin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a valid origin; use scheme://host[:port], for example https://app.example, or * for every origin"
)]
pub struct InvalidOrigin(String);

const EVERY: &str = "*";

impl Origin {
    /// Whether it is the origin that a browser names.
    pub(crate) fn is(&self, origin: &HeaderValue) -> bool {
        self.0 == EVERY || self.0 == origin
    }
}

impl FromStr for Origin {
    type Err = InvalidOrigin;

    fn from_str(text: &str) -> Result<Self, InvalidOrigin> {
        let invalid = || InvalidOrigin(text.to_owned());
        let value = HeaderValue::from_str(text).map_err(|_| invalid())?;
        (text == EVERY || is_origin(text)).then_some(Self(value)).ok_or_else(invalid)
    }
}

/// Whether this is an origin as browsers write it. They compare origins as text, so any other notation would never match, without
/// any error.
fn is_origin(text: &str) -> bool {
    let Ok(uri) = text.parse::<Uri>() else { return false };
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else { return false };
    let default_port = match scheme {
        "http" => 80,
        "https" => 443,
        _ => return false,
    };
    text == format!("{scheme}://{authority}").to_ascii_lowercase()
        && !authority.as_str().contains('@')
        && authority.port_u16() != Some(default_port)
}

/// The methods that our operations have.
const METHODS: [Method; 5] = [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];

/// The headers that our clients send in addition to those that any page may send.
const REQUEST_HEADERS: [HeaderName; 8] = [
    header::AUTHORIZATION,
    header::CONTENT_TYPE,
    header::IF_NONE_MATCH,
    idempotency_key::NAME,
    HeaderName::from_static("prefer"),
    HeaderName::from_static("x-amz-content-sha256"),
    HeaderName::from_static("x-amz-date"),
    HeaderName::from_static("x-amz-security-token"),
];

/// The headers of a response that a page may read.
const ANSWER_HEADERS: [HeaderName; 10] = [
    header::ALLOW,
    header::ETAG,
    header::LINK,
    header::LOCATION,
    header::RETRY_AFTER,
    HeaderName::from_static("idempotent-replayed"),
    HeaderName::from_static("preference-applied"),
    HeaderName::from_static("ratelimit"),
    HeaderName::from_static("ratelimit-policy"),
    HeaderName::from_static("x-request-id"),
];

/// How long a browser may keep a preflight's response: Chromium's own limit.
const PREFLIGHT_KEPT: Duration = Duration::from_hours(2);

/// What responses say to pages of other origins. A gateway that answers by itself has to say the same.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Cors {
    methods: Vec<String>,
    request_headers: Vec<String>,
    response_headers: Vec<String>,
    max_age_seconds: u64,
}

pub(crate) fn facts() -> Cors {
    Cors {
        methods: METHODS.iter().map(Method::to_string).collect(),
        request_headers: REQUEST_HEADERS.iter().map(HeaderName::to_string).collect(),
        response_headers: ANSWER_HEADERS.iter().map(HeaderName::to_string).collect(),
        max_age_seconds: PREFLIGHT_KEPT.as_secs(),
    }
}

/// The same routes, open to pages of these origins. This layer answers preflights itself, since they cannot be authenticated.
pub(crate) fn open_to(origins: &[Origin], callers: &Callers, routes: Router<App>) -> Router<App> {
    if origins.is_empty() {
        return routes;
    }
    let allowed = if origins.iter().any(|origin| origin.0 == EVERY) {
        AllowOrigin::any()
    } else {
        AllowOrigin::list(origins.iter().map(|origin| origin.0.clone()))
    };
    let cors = CorsLayer::new()
        .allow_origin(allowed)
        .allow_methods(METHODS)
        .allow_headers(REQUEST_HEADERS.into_iter().chain(callers.header()).collect::<Vec<_>>())
        .expose_headers(ANSWER_HEADERS)
        .max_age(PREFLIGHT_KEPT);
    routes.layer(cors)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_must_be_written_as_browsers_do() {
        for text in ["https://app.example", "http://localhost:5173", "http://127.0.0.1:8000", "*"] {
            assert!(text.parse::<Origin>().is_ok(), "{text}");
        }
        for text in [
            "",
            "app.example",
            "https://app.example/",
            "https://App.example",
            "https://app.example:443",
            "https://me@app.example",
            "https://*.app.example ",
            "ftp://app.example",
            "null",
        ] {
            assert!(text.parse::<Origin>().is_err(), "{text}");
        }
    }
}
