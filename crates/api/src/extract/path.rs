//! The variable part of a path, which the document names in braces.

use axum::{extract::FromRequestParts, http::request::Parts};

use crate::answers::problem::{Code, Problem};

/// Its text. If it is not valid UTF-8, it cannot name anything, so the response is a 404.
pub(crate) struct Path(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for Path {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let read = axum::extract::Path::from_request_parts(parts, state).await;
        let unreadable = |_| Problem::new(Code::ExecutionNotFound, "the execution id in the path is not valid UTF-8");
        read.map(|axum::extract::Path(text)| Self(text)).map_err(unreadable)
    }
}
