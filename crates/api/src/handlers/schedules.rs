//! Schedules: cron rules that start executions. The reconciler starts them.

mod new;
mod view;

use axum::{
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
};
use contract::schedule::ScheduleKey;
use domain::{
    Owner, Status, limits,
    schedule::{Origin, Schedule, Times},
};
use jiff::Timestamp;
use runtime::clock;
use serde::Serialize;
use store::Stored;
use tracing::Level;
use utoipa::{IntoResponses, ToSchema};

use self::{
    new::{Defined, NewSchedule, in_start},
    view::{ScheduleSummary, ScheduleView},
};
use crate::{
    answers::{
        model::ExecutionView,
        problem::{Answers, Code, Problem, answers},
    },
    app::App,
    extract::{
        body::{Body, Described as _, NoBody},
        caller::Caller,
        idempotency_key::IdempotencyKey,
        object::Members,
        parameters::NoParameters,
        schedule_name::{Named, OwnSchedule, not_found},
    },
    handlers::start::accepted,
    starting::{Start, begin, lacks_workflow, new_id},
};

/// How often a change is retried because another writer was faster. A schedule has only its owner and the sweep.
const MAX_RACES: usize = 16;

/// The schedules of a caller.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ScheduleList {
    /// Sorted by name.
    schedules: Vec<ScheduleSummary>,
}

/// The errors of a request without a body.
struct BodilessRefused;

impl BodilessRefused {
    const CODES: [Code; 7] = [
        Code::IncompleteBody,
        Code::RequestTimeout,
        Code::UnsupportedContentEncoding,
        Code::InvalidParameter,
        Code::ScheduleNotFound,
        Code::BodyTooLarge,
        Code::InvalidBody,
    ];
}

impl IntoResponses for BodilessRefused {
    fn responses() -> Answers {
        answers(&Self::CODES)
    }
}

/// The errors of a definition.
struct PutRefused;

impl IntoResponses for PutRefused {
    fn responses() -> Answers {
        answers(&[
            Code::InvalidJson,
            Code::IncompleteBody,
            Code::RequestTimeout,
            Code::UnsupportedContentEncoding,
            Code::UnsupportedMediaType,
            Code::InvalidParameter,
            Code::TooManySchedules,
            Code::BodyTooLarge,
            Code::InvalidBody,
        ])
    }
}

/// The errors of a trigger.
struct TriggerRefused;

impl IntoResponses for TriggerRefused {
    fn responses() -> Answers {
        let more = [Code::InvalidHeader, Code::ExecutionIdTaken, Code::IdempotencyKeyReused];
        answers(&[&BodilessRefused::CODES[..], &more].concat())
    }
}

/// The problems of every operation. In these, a 503 may also mean that there were too many concurrent updates.
struct Unavailable;

impl IntoResponses for Unavailable {
    fn responses() -> Answers {
        let mut all = Problem::responses();
        all.extend(answers(&[Code::AwsUnavailable, Code::ConcurrentUpdates]));
        all
    }
}

/// Define a schedule, or replace it.
///
/// Idempotent: the same request again changes nothing, not even the next time. The next time also stays if a request changes anything but
/// `cron` and `timeZone`. What the schedule would start is checked as by `POST /executions/sync/validate`, and again at each start.
/// A caller may have 100 schedules.
#[utoipa::path(
    put, path = "/schedules/{name}", operation_id = "putSchedule", tag = "schedules",
    params(Named),
    request_body(content = NewSchedule, description = "When to start what"),
    responses(
        (status = 200, description = "The schedule existed, and is now defined like this", body = ScheduleView),
        (status = 201, description = "The schedule is new", body = ScheduleView),
        PutRefused,
        Unavailable,
    ),
)]
pub(crate) async fn put_schedule(
    State(app): State<App>,
    _: Caller,
    _: NoParameters,
    Named(key): Named,
    Body(new): Body<NewSchedule>,
) -> Result<(StatusCode, axum::Json<ScheduleView>), Problem> {
    let now = clock::now();
    let Defined { definition, times, paused } = valid(&app, &key.owner, new, now).await?;
    let mut seen = app.schedules.get(&key).await?;
    for _ in 0..MAX_RACES {
        let (next, status, stored) = if let Some(schedule) = &seen {
            let Some(next) = schedule.replaced((definition.clone(), &times), paused, now) else {
                return Ok((StatusCode::OK, view(&app, schedule, now).await?));
            };
            let stored = app.schedules.replace(&next).await?;
            (next, StatusCode::OK, stored)
        } else {
            has_room(&app, &key).await?;
            let generation = new_id(None, &key.owner, now)?.to_string();
            let (owner, name, paused) = (key.owner.clone(), key.name.clone(), paused.unwrap_or_default());
            let new = Schedule::new(owner, name, generation, (definition.clone(), &times), paused, now);
            let stored = app.schedules.create(&new).await?;
            (new, StatusCode::CREATED, stored)
        };
        match stored {
            Stored::Done => return Ok((status, view(&app, &next, now).await?)),
            Stored::Changed(other) => seen = other.map(|other| *other),
        }
    }
    Err(contended())
}

/// What a request defines, if an installation may start it.
async fn valid(app: &App, owner: &Owner, new: NewSchedule, now: Timestamp) -> Result<Defined, Problem> {
    let mut errors = new.wrong_rule();
    if let Some((pattern, start)) = new.start() {
        let mut start = Start::of(app, new_id(None, owner, now)?, false, (pattern, owner.clone()), start, now);
        errors.extend(start.violations(app, now).await?.into_iter().map(in_start));
    }
    match new.defined() {
        Some(defined) if errors.is_empty() => Ok(defined),
        _ => Err(Problem::invalid_body(errors)),
    }
}

/// Refuses one schedule too many. Requests at the same time may exceed the limit by their number, because the index that is counted is a
/// moment behind.
async fn has_room(app: &App, key: &ScheduleKey) -> Result<(), Problem> {
    if app.schedules.list(&key.owner).await?.len() < limits::SCHEDULES {
        return Ok(());
    }
    let detail = format!("you have {} schedules, which is the limit; delete one first", limits::SCHEDULES);
    Err(Problem::new(Code::TooManySchedules, detail))
}

fn contended() -> Problem {
    let problem = Problem::new(
        Code::ConcurrentUpdates,
        "other writers changed the schedule at the same time; repeat the request",
    );
    problem.because(Level::WARN, "too many concurrent updates of a schedule")
}

async fn view(app: &App, schedule: &Schedule, now: Timestamp) -> Result<axum::Json<ScheduleView>, Problem> {
    let status: Option<Status> = match &schedule.last {
        Some(last) => {
            app.executions.get(&last.execution_id).await?.filter(|seen| seen.expires_at > now).map(|seen| seen.status())
        }
        None => None,
    };
    Ok(axum::Json(ScheduleView::of(schedule, status, now)))
}

/// Get a schedule.
///
/// Shows its definition, its next five times, and what it has done.
#[utoipa::path(
    get, path = "/schedules/{name}", operation_id = "getSchedule", tag = "schedules",
    params(OwnSchedule),
    responses(
        (status = 200, description = "The schedule", body = ScheduleView),
        NoParameters, OwnSchedule, Problem,
    ),
)]
pub(crate) async fn get_schedule(
    State(app): State<App>,
    _: Caller,
    _: NoParameters,
    OwnSchedule(schedule): OwnSchedule,
) -> Result<(HeaderMap, axum::Json<ScheduleView>), Problem> {
    Ok((fresh(), view(&app, &schedule, clock::now()).await?))
}

/// List your schedules, by name.
///
/// A schedule that was just defined may be missing for a moment.
#[utoipa::path(
    get, path = "/schedules", operation_id = "listSchedules", tag = "schedules",
    responses((status = 200, description = "Your schedules", body = ScheduleList), NoParameters, Problem),
)]
pub(crate) async fn list_schedules(
    State(app): State<App>,
    Caller(owner): Caller,
    _: NoParameters,
) -> Result<(HeaderMap, axum::Json<ScheduleList>), Problem> {
    let now = clock::now();
    let found = app.schedules.list(&owner).await?;
    let schedules = found.into_iter().map(|(job, schedule)| ScheduleSummary::of(&schedule, job, now)).collect();
    Ok((fresh(), axum::Json(ScheduleList { schedules })))
}

fn fresh() -> HeaderMap {
    HeaderMap::from_iter([(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"))])
}

/// Delete a schedule.
///
/// It starts nothing any more. Its executions are not affected. A new schedule may have the same name.
#[utoipa::path(
    delete, path = "/schedules/{name}", operation_id = "deleteSchedule", tag = "schedules",
    params(OwnSchedule),
    responses((status = 204, description = "The schedule is deleted"), BodilessRefused, Unavailable),
)]
pub(crate) async fn delete_schedule(
    State(app): State<App>,
    _: Caller,
    _: NoParameters,
    NoBody(OwnSchedule(mut schedule)): NoBody<OwnSchedule>,
) -> Result<StatusCode, Problem> {
    for _ in 0..MAX_RACES {
        match app.schedules.delete(&schedule, clock::now()).await? {
            Stored::Done | Stored::Changed(None) => return Ok(StatusCode::NO_CONTENT),
            Stored::Changed(Some(other)) => schedule = *other,
        }
    }
    Err(contended())
}

/// Pause a schedule.
///
/// It starts nothing until it is resumed, except if it is triggered. A time that waits for the last execution is dropped. Safe to repeat.
#[utoipa::path(
    post, path = "/schedules/{name}/pause", operation_id = "pauseSchedule", tag = "schedules",
    params(OwnSchedule),
    responses((status = 200, description = "The schedule is paused", body = ScheduleView), BodilessRefused, Unavailable),
)]
pub(crate) async fn pause_schedule(
    State(app): State<App>,
    _: Caller,
    _: NoParameters,
    NoBody(OwnSchedule(schedule)): NoBody<OwnSchedule>,
) -> Result<axum::Json<ScheduleView>, Problem> {
    set_paused(&app, schedule, true).await
}

/// Resume a schedule.
///
/// Its next time is the first one from now on: times that passed while it was paused are not made up for. Safe to repeat.
#[utoipa::path(
    post, path = "/schedules/{name}/resume", operation_id = "resumeSchedule", tag = "schedules",
    params(OwnSchedule),
    responses((status = 200, description = "The schedule is not paused", body = ScheduleView), BodilessRefused, Unavailable),
)]
pub(crate) async fn resume_schedule(
    State(app): State<App>,
    _: Caller,
    _: NoParameters,
    NoBody(OwnSchedule(schedule)): NoBody<OwnSchedule>,
) -> Result<axum::Json<ScheduleView>, Problem> {
    set_paused(&app, schedule, false).await
}

async fn set_paused(app: &App, schedule: Schedule, paused: bool) -> Result<axum::Json<ScheduleView>, Problem> {
    let now = clock::now();
    let pause = |seen: &Schedule| {
        let times = Times::of(&seen.definition.cron, &seen.definition.time_zone).ok()?;
        seen.with_paused(paused, &times, now)
    };
    let changed = change(app, schedule, pause).await?.ok_or_else(not_found)?;
    view(app, &changed, now).await
}

/// Applies a change to a schedule, again if another writer was faster. `None` if the schedule was deleted in the meantime.
async fn change(
    app: &App,
    mut seen: Schedule,
    next: impl Fn(&Schedule) -> Option<Schedule>,
) -> Result<Option<Schedule>, Problem> {
    let generation = seen.generation.clone();
    for _ in 0..MAX_RACES {
        let Some(next) = next(&seen) else { return Ok(Some(seen)) };
        match app.schedules.replace(&next).await? {
            Stored::Done => return Ok(Some(next)),
            Stored::Changed(Some(other)) if other.generation == generation => seen = *other,
            Stored::Changed(_) => return Ok(None),
        }
    }
    Err(contended())
}

/// Start a schedule's request now.
///
/// The execution is started whatever the overlap policy, even if the schedule is paused, and the schedule's next time stays. For its next
/// time, it counts as the last execution. The request is refused for the same reasons as a start.
#[utoipa::path(
    post, path = "/schedules/{name}/trigger", operation_id = "triggerSchedule", tag = "schedules",
    params(
        OwnSchedule,
        ("Idempotency-Key" = Option<String>, Header, nullable = false, min_length = 1, max_length = 255,
            description = "Makes the request idempotent"),
    ),
    responses(
        (status = 202, description = "Accepted: poll `Location`", body = ExecutionView, headers(
            ("Location" = String, description = "Path of the execution"),
            ("ETag" = String, description = "Identifies this version of the execution"),
            ("Retry-After" = u64, description = "Seconds until the next poll; absent if the execution is final"),
            ("Idempotent-Replayed" = bool, description = "`true` if this request started nothing, because it repeats another"),
        )),
        (status = 200, description = "The request is a repeat, and the execution is already final", body = ExecutionView, headers(
            ("Location" = String, description = "Path of the execution"),
            ("ETag" = String, description = "Identifies this version of the execution"),
            ("Idempotent-Replayed" = bool, description = "`true` if this request started nothing, because it repeats another"),
        )),
        TriggerRefused,
        Unavailable,
    ),
)]
pub(crate) async fn trigger_schedule(
    State(app): State<App>,
    _: Caller,
    _: NoParameters,
    key: Option<IdempotencyKey>,
    NoBody(OwnSchedule(schedule)): NoBody<OwnSchedule>,
) -> Result<Response, Problem> {
    let now = clock::now();
    let id = new_id(key.as_ref(), &schedule.owner, now)?;
    let mut errors = Vec::new();
    let mut members = Members::of(&schedule.definition.start, "", &mut errors).unwrap_or_default();
    let request = crate::answers::model::NewExecution::read(&mut members, &mut errors);
    let owner = (schedule.definition.pattern, schedule.owner.clone());
    let mut start = Start::of(&app, id, key.is_some(), owner, request, now);
    start.execution.schedule = Some(Origin { name: schedule.name.to_string(), time: None });
    errors.extend(start.violations(&app, now).await?);
    if !errors.is_empty() {
        return Err(Problem::invalid_body(errors.into_iter().map(in_start).collect()));
    }
    let (execution, replayed) = start.create(&app, now).await?;
    if lacks_workflow(&execution, now) {
        begin(&app, &execution).await?;
    }
    // If the function crashes before this, the execution runs, and the overlap policy does not know of it. A repeat of the request with the
    // same key records it.
    let recorded = change(&app, schedule, |seen| seen.triggered(&execution.id, execution.created_at)).await;
    if let Err(why) = recorded {
        tracing::warn!(executionId = %execution.id, ?why, "cannot record a trigger in its schedule");
    }
    Ok(accepted(&app, execution, replayed).await)
}
