//! The documentation page: Swagger UI, and what `docs/` adds to it.
//!
//! **Invariant**: no link here begins with `/`. API Gateway may put a stage in front of every path, and only the browser knows it.

use std::sync::{Arc, LazyLock};

use axum::{
    Router,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use tower_http::set_header::SetResponseHeaderLayer;
use utoipa_swagger_ui::Config;

use crate::{
    answers::problem::{Code, Problem},
    app::App,
    extract::path::Path,
    layers::security,
};

/// Our own files: name, content type and text.
const OWN: [(&str, &str, &str); 4] = [
    ("index.html", "text/html", include_str!("docs/index.html")),
    ("page.js", "text/javascript", include_str!("docs/page.js")),
    ("page.css", "text/css", include_str!("docs/page.css")),
    ("icon.svg", "image/svg+xml", include_str!("docs/icon.svg")),
];

/// `page.js` configures Swagger UI; the crate only serves its files.
static UNUSED: LazyLock<Arc<Config<'static>>> = LazyLock::new(Arc::default);

pub(crate) fn routes() -> Router<App> {
    let may = HeaderValue::from_static(security::PAGE);
    Router::new()
        .route("/docs/", get(|| async { file("index.html") }))
        .route(
            "/docs/{*file}",
            get(|name: Result<Path, Problem>| async move { file(&name.map_err(|_| no_such_file())?.0) }),
        )
        .layer(SetResponseHeaderLayer::overriding(header::CONTENT_SECURITY_POLICY, may))
        .route("/docs", get(|| async { (StatusCode::SEE_OTHER, [(header::LOCATION, "docs/")]) }))
}

fn no_such_file() -> Problem {
    Problem::new(Code::PathNotFound, "the documentation page has no such file")
}

fn file(name: &str) -> Result<Response, Problem> {
    if let Some((_, media_type, text)) = OWN.iter().find(|(own, ..)| *own == name) {
        return Ok(([(header::CONTENT_TYPE, *media_type)], *text).into_response());
    }
    let found = utoipa_swagger_ui::serve(name, Arc::clone(&UNUSED)).map_err(|why| Problem::inside(&*why))?;
    let file = found.ok_or_else(no_such_file)?;
    let encoding = file.gzpipped.then_some([(header::CONTENT_ENCODING, "gzip")]);
    Ok(([(header::CONTENT_TYPE, file.content_type)], encoding, file.bytes).into_response())
}
