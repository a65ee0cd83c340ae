//! The schedule that a path names.

use axum::{extract::FromRequestParts, http::request::Parts};
use contract::schedule::ScheduleKey;
use domain::schedule::{InvalidName, Schedule};
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

/// The caller's schedule with the path's `{name}`, which may not exist.
pub(crate) struct Named(pub(crate) ScheduleKey);

impl FromRequestParts<App> for Named {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let Caller(owner) = Caller::from_request_parts(parts, app).await?;
        let Path(name) = Path::from_request_parts(parts, app).await.map_err(|_| not_found())?;
        let invalid = |why: InvalidName| Problem::new(Code::InvalidParameter, why.to_string());
        Ok(Self(ScheduleKey { owner, name: name.parse().map_err(invalid)? }))
    }
}

impl IntoResponses for Named {
    fn responses() -> Answers {
        answers(&[Code::InvalidParameter])
    }
}

/// The caller's schedule with the path's `{name}`. Another caller's schedules are treated as if they did not exist: they have other keys.
///
/// This extractor reads from the table. A handler takes it last, so that a request that is refused anyway costs no AWS call.
pub(crate) struct OwnSchedule(pub(crate) Schedule);

impl FromRequestParts<App> for OwnSchedule {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let Caller(owner) = Caller::from_request_parts(parts, app).await?;
        let Path(name) = Path::from_request_parts(parts, app).await.map_err(|_| not_found())?;
        let name = name.parse().map_err(|_| not_found())?;
        app.schedules.get(&ScheduleKey { owner, name }).await?.map(Self).ok_or_else(not_found)
    }
}

impl IntoResponses for OwnSchedule {
    fn responses() -> Answers {
        answers(&[Code::ScheduleNotFound])
    }
}

/// A schedule that does not exist, or belongs to another caller.
pub(crate) fn not_found() -> Problem {
    Problem::new(
        Code::ScheduleNotFound,
        "no such schedule, or you do not have access to it; GET /schedules lists yours",
    )
}

fn parameter() -> Vec<Parameter> {
    let name = ObjectBuilder::new().schema_type(Type::String).pattern(Some("^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"));
    let parameter = ParameterBuilder::new().name("name").parameter_in(ParameterIn::Path);
    let parameter = parameter.example(Some("nightly-report".into())).schema(Some(name.build()));
    vec![parameter.description(Some("Name of the schedule")).required(Required::True).build()]
}

impl IntoParams for Named {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        parameter()
    }
}

impl IntoParams for OwnSchedule {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        parameter()
    }
}
