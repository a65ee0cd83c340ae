//! The documentation: Swagger UI with what `src/docs/` adds to it, and the page of errors. `build.rs` renders that page from
//! `docs/errors.md`, and extracts the files of Swagger UI.
//!
//! **Invariant**: no link here begins with `/`. API Gateway may put a stage in front of every path, and only the browser knows it.

use axum::{
    Router,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use tower_http::set_header::SetResponseHeaderLayer;

use crate::{
    answers::problem::{Code, Problem},
    app::App,
    extract::path::Path,
    layers::security,
};

/// The page that problems link to.
const ERRORS: &str = include_str!(concat!(env!("OUT_DIR"), "/errors.html"));

/// The files: name, content type and text.
const FILES: [(&str, &str, &str); 8] = [
    ("index.html", "text/html", include_str!("docs/index.html")),
    ("page.js", "text/javascript", include_str!("docs/page.js")),
    ("page.css", "text/css", include_str!("docs/page.css")),
    ("errors", "text/html", ERRORS),
    ("errors.css", "text/css", include_str!("docs/errors.css")),
    ("icon.svg", "image/svg+xml", include_str!("docs/icon.svg")),
    ("swagger-ui.css", "text/css", include_str!(concat!(env!("OUT_DIR"), "/swagger-ui.css"))),
    ("swagger-ui-bundle.js", "text/javascript", include_str!(concat!(env!("OUT_DIR"), "/swagger-ui-bundle.js"))),
];

const SHORT: &str = "/docs";
const PAGE: &str = "/docs/";
const FILE: &str = "/docs/{*file}";

/// The paths of the documentation.
pub(crate) const PATHS: [&str; 3] = [SHORT, PAGE, FILE];

pub(crate) fn routes() -> Router<App> {
    let may = HeaderValue::from_static(security::PAGE);
    Router::new()
        .route(PAGE, get(|| async { file("index.html") }))
        .route(FILE, get(|name: Result<Path, Problem>| async move { file(&name.map_err(|_| no_such_file())?.0) }))
        .layer(SetResponseHeaderLayer::overriding(header::CONTENT_SECURITY_POLICY, may))
        .route(SHORT, get(|| async { (StatusCode::SEE_OTHER, [(header::LOCATION, "docs/")]) }))
}

fn no_such_file() -> Problem {
    Problem::new(Code::PathNotFound, "the documentation page has no such file")
}

fn file(name: &str) -> Result<Response, Problem> {
    let found = FILES.iter().find(|(own, ..)| *own == name);
    let (_, media_type, text) = found.ok_or_else(no_such_file)?;
    Ok(([(header::CONTENT_TYPE, *media_type)], *text).into_response())
}

#[cfg(test)]
mod tests {
    use utoipa::PartialSchema as _;

    use super::*;

    #[test]
    fn the_served_page_of_errors_has_an_anchor_for_every_code() {
        let codes = serde_json::to_value(Code::schema()).unwrap()["enum"].as_array().unwrap().clone();
        assert!(codes.len() > 20, "{codes:?}");
        for code in codes {
            let anchor = format!("<h3 id=\"{0}\">{0}</h3>", code.as_str().unwrap());
            assert_eq!(ERRORS.matches(&anchor).count(), 1, "{anchor}");
        }
    }

    #[test]
    fn the_served_page_of_errors_fits_into_the_policy_of_the_documentation() {
        assert!(!ERRORS.contains("{errors}") && ERRORS.contains("<table>"), "{ERRORS}");
        for forbidden in ["<script", "style=", "<style", "onclick", "src=", "href=\"/"] {
            assert!(!ERRORS.contains(forbidden), "{forbidden}");
        }
    }
}
