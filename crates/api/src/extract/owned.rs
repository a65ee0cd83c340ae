//! The execution that a path names, if it belongs to the caller.

use axum::{extract::FromRequestParts, http::request::Parts};
use domain::{Execution, ExecutionId, limits};
use runtime::clock;
use utoipa::{
    IntoParams, IntoResponses,
    openapi::{
        ObjectBuilder, Required, Type,
        path::{Parameter, ParameterBuilder, ParameterIn},
    },
};

use crate::{
    answers::problem::{Answers, Code, Problem, answers},
    app::App,
    extract::{caller::Caller, path::Path},
};

/// The execution with the path's `{executionId}`. If it belongs to another caller, it is treated as if it did not exist.
///
/// This extractor reads from the table. A handler takes it last, so that a request that is refused anyway costs no AWS call.
pub(crate) struct Owned(pub(crate) Execution);

impl FromRequestParts<App> for Owned {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let Caller(owner) = Caller::from_request_parts(parts, app).await?;
        let Path(id) = Path::from_request_parts(parts, app).await?;
        let id: ExecutionId = id.parse().map_err(|_| not_found())?;
        let found = app.executions.get(&id).await?;
        let execution = found.filter(|execution| execution.owner == owner).ok_or_else(not_found)?;
        if execution.expires_at <= clock::now() {
            return Err(Problem::new(Code::ExecutionExpired, format!("it expired at {}", execution.expires_at)));
        }
        Ok(Self(execution))
    }
}

/// An execution that does not exist, or belongs to another caller.
pub(crate) fn not_found() -> Problem {
    Problem::new(Code::ExecutionNotFound, "no such execution, or you do not have access to it")
}

impl IntoResponses for Owned {
    fn responses() -> Answers {
        answers(&[Code::ExecutionNotFound, Code::ExecutionExpired])
    }
}

impl IntoParams for Owned {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let parameter = ParameterBuilder::new().name("executionId").parameter_in(ParameterIn::Path);
        let text = ObjectBuilder::new().schema_type(Type::String).max_length(Some(limits::ID_CHARS));
        // An example of the parameter, not of its schema, so that the documentation page fills it in.
        let parameter =
            parameter.example(Some("0199a3c4-9f3e-7c11-b5a8-3d6f0e7a1b2c".into())).schema(Some(text.build()));
        vec![parameter.description(Some("Id of the execution")).required(Required::True).build()]
    }
}
