//! What stands in a path where the document has a name in braces.

use axum::{extract::FromRequestParts, http::request::Parts};

use crate::problem::{Code, Problem};

/// The text that stands there. Bytes that are no text name nothing, so nothing is found by them.
pub(crate) struct Path(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for Path {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let read = axum::extract::Path::from_request_parts(parts, state).await;
        let unreadable = |_| Problem::new(Code::ExecutionNotFound, "what stands for its id in the path is no UTF-8");
        read.map(|axum::extract::Path(text)| Self(text)).map_err(unreadable)
    }
}
