//! Starting an execution.

mod validation;

use axum::{
    extract::State,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use compute::StartError;
use domain::{Execution, ExecutionId, Owner, Pattern};
use jiff::Timestamp;
use runtime::clock;
use store::Created;
use utoipa::IntoResponses;

use self::validation::Validated;
use crate::{
    answers::{
        model::{ExecutionView, NewExecution, Said, example, wrong},
        problem::{Answers, Code, Problem, answers},
    },
    app::App,
    extract::{
        body::{Body, NoBody},
        caller::Caller,
        idempotency_key::IdempotencyKey,
        owned::Owned,
        parameters::NoParameters,
        prefer::Prefer,
    },
    handlers::{executions, uploads},
    random,
};

const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// The errors of a rerun.
struct RerunRefused;

impl RerunRefused {
    const CODES: [Code; 9] = [
        Code::IncompleteBody,
        Code::RequestTimeout,
        Code::UnsupportedContentEncoding,
        Code::InvalidHeader,
        Code::InvalidParameter,
        Code::ExecutionIdTaken,
        Code::BodyTooLarge,
        Code::InvalidBody,
        Code::IdempotencyKeyReused,
    ];
}

impl IntoResponses for RerunRefused {
    fn responses() -> Answers {
        answers(&Self::CODES)
    }
}

/// The errors of a start: those of a rerun, and those of a body.
struct Refused;

impl IntoResponses for Refused {
    fn responses() -> Answers {
        answers(&[&RerunRefused::CODES[..], &[Code::InvalidJson, Code::UnsupportedMediaType]].concat())
    }
}

/// The two patterns differ in what waits for the task, not in how they are started.
macro_rules! start {
    ($(#[$doc:meta])* $name:ident, $path:literal, $id:literal, $pattern:expr) => {
        $(#[$doc])*
        #[utoipa::path(
            post, path = $path, operation_id = $id, tag = "executions",
            params(
                ("Idempotency-Key" = Option<String>, Header, nullable = false, min_length = 1, max_length = 255,
                    description = "Makes the request idempotent: a repeat with the same key and body, compared by value, returns the \
                                   existing execution and starts nothing, as long as the execution is kept"),
                Prefer,
            ),
            request_body(content = NewExecution, description = "The job to run, and its input", examples(
                ("greeting" = (summary = "The demonstration job: takes three seconds, then greets",
                    value = json!({"input": {"message": "Hello", "processingTime": 3}}))),
                ("with-everything" = (summary = "The same, with every member",
                    value = json!({
                        "input": {"message": "Hello", "processingTime": 3},
                        "job": "demo",
                        "timeoutSeconds": 3600,
                        "retry": {"maxAttempts": 3},
                        "tags": {"team": "blue"}
                    }))),
            )),
            responses(
                (status = 202, description = "Accepted: poll `Location`", body = ExecutionView, headers(
                    ("Location" = String, description = "Path of the execution"),
                    ("ETag" = String, description = "Identifies this version of the execution"),
                    ("Retry-After" = u64, description = "Seconds until the next poll; absent if the execution is final"),
                    ("Idempotent-Replayed" = bool, description = "`true` if this request started nothing, because it repeats another"),
                    ("Preference-Applied" = String, description = "The wait that was granted, if one was requested"),
                ), example = example::pending),
                (status = 200, description = "The execution is already final: `Prefer: wait` saw it end, or the request is a repeat",
                    body = ExecutionView, headers(
                    ("Location" = String, description = "Path of the execution"),
                    ("ETag" = String, description = "Identifies this version of the execution"),
                    ("Idempotent-Replayed" = bool, description = "`true` if this request started nothing, because it repeats another"),
                    ("Preference-Applied" = String, description = "The wait that was granted, if one was requested"),
                )),
                Refused,
                Problem,
            ),
        )]
        pub(crate) async fn $name(
            State(app): State<App>,
            Caller(owner): Caller,
            _: NoParameters,
            prefer: Prefer,
            key: Option<IdempotencyKey>,
            Body(new): Body<NewExecution>,
        ) -> Result<Response, Problem> {
            start(app, $pattern, owner, prefer, key, new).await
        }
    };
}

start!(
    /// Start a job whose workflow waits for it and records the result.
    ///
    /// The image needs the worker only for inputs over 4 KB: smaller inputs are in `EXECUTION_INPUT`. Without the worker, the result is
    /// the last JSON object or array among the last 10,000 lines of the task's log, on stdout or stderr.
    start_sync, "/executions/sync", "startSyncExecution", Pattern::Sync
);
start!(
    /// Start a job whose worker records the result.
    ///
    /// The workflow starts the task and ends; the worker in the task records the result: the file that
    /// `EXECUTION_RESULT_FILE` names, or else the last JSON object or array on the job's stdout.
    start_callback, "/executions/callback", "startCallbackExecution", Pattern::Callback
);

/// A request is checked in the same way for both patterns.
macro_rules! validate {
    ($(#[$doc:meta])* $name:ident, $path:literal, $id:literal, $pattern:expr) => {
        $(#[$doc])*
        #[utoipa::path(
            post, path = $path, operation_id = $id, tag = "executions",
            params(
                ("Idempotency-Key" = Option<String>, Header, nullable = false, min_length = 1, max_length = 255,
                    description = "The key with which the execution would be started"),
            ),
            request_body(content = NewExecution, description = "The job that would be run, and its input"),
            responses(
                (status = 200, description = "The request is valid. This is what would be started", body = Validated),
                Refused,
                Problem,
            ),
        )]
        pub(crate) async fn $name(
            State(app): State<App>,
            Caller(owner): Caller,
            _: NoParameters,
            key: Option<IdempotencyKey>,
            Body(new): Body<NewExecution>,
        ) -> Result<axum::Json<Validated>, Problem> {
            validate(app, $pattern, owner, key, new).await
        }
    };
}

validate!(
    /// Check a request for a sync execution, and start nothing.
    ///
    /// An invalid request is refused as the start would be. Otherwise the response says what would be started, with every default
    /// filled in.
    validate_sync, "/executions/sync/validate", "validateSyncExecution", Pattern::Sync
);
validate!(
    /// Check a request for a callback execution, and start nothing.
    ///
    /// An invalid request is refused as the start would be. Otherwise the response says what would be started, with every default
    /// filled in.
    validate_callback, "/executions/callback/validate", "validateCallbackExecution", Pattern::Callback
);

async fn validate(
    app: App,
    pattern: Pattern,
    owner: Owner,
    key: Option<IdempotencyKey>,
    new: NewExecution,
) -> Result<axum::Json<Validated>, Problem> {
    let now = clock::now();
    let mut start = Start::of(&app, pattern, owner, key.as_ref(), new, now)?;
    startable(&app, &mut start, now).await?;
    Validated::of(&app, start, now).await.map(axum::Json)
}

async fn start(
    app: App,
    pattern: Pattern,
    owner: Owner,
    prefer: Prefer,
    key: Option<IdempotencyKey>,
    new: NewExecution,
) -> Result<Response, Problem> {
    let now = clock::now();
    let mut start = Start::of(&app, pattern, owner, key.as_ref(), new, now)?;
    startable(&app, &mut start, now).await?;
    start_and_wait(&app, start, now, prefer).await
}

/// The execution that a request would start.
struct Start {
    execution: Execution,
    /// The id of the upload that it names, as it was given.
    upload: Option<String>,
    /// Whether it has an `Idempotency-Key`.
    keyed: bool,
    /// Which values it sets itself instead of leaving them to the job.
    said: Said,
}

impl Start {
    fn of(
        app: &App,
        pattern: Pattern,
        owner: Owner,
        key: Option<&IdempotencyKey>,
        new: NewExecution,
        now: Timestamp,
    ) -> Result<Self, Problem> {
        let (said, upload) = (new.said(), new.upload().map(str::to_owned));
        let request = new.into_request(&app.catalog);
        let execution = Execution::new(new_id(key, &owner, now)?, pattern, owner, request, now);
        Ok(Self { execution, upload, keyed: key.is_some(), said })
    }
}

/// The id for a request: the one that is derived from its idempotency key, or a new one.
fn new_id(key: Option<&IdempotencyKey>, owner: &Owner, now: Timestamp) -> Result<ExecutionId, Problem> {
    match key {
        Some(key) => Ok(key.execution_id(owner)),
        None => Ok(ExecutionId::fresh(now, random::bytes().map_err(|why| Problem::inside(&why))?)),
    }
}

/// If the function crashes before the item is written, nothing has been accepted. If it crashes between the item and the workflow, a repeat
/// of the request finds the PENDING item and starts its workflow. If no repeat comes, the reconciler starts it. If the function crashes
/// after that, a second start changes nothing.
async fn start_and_wait(app: &App, start: Start, now: Timestamp, mut prefer: Prefer) -> Result<Response, Problem> {
    let created = app.executions.create(&start.execution, now).await.map_err(|why| {
        let problem = Problem::from(why);
        if start.keyed { problem } else { problem.not_safe_to_repeat() }
    })?;
    let (execution, replayed) = match created {
        Created::New(made) => (*made, false),
        Created::Existing(seen) => (repeated(*seen, &start)?, true),
    };
    if execution.durable_execution_arn.is_none() && !execution.status().is_final() {
        begin(app, &execution).await?;
    }
    let execution = prefer.hold(app, execution, |seen| seen.status().is_final()).await;
    let mut answer = accepted(app, execution, replayed).await;
    prefer.add_headers(answer.headers_mut());
    Ok(answer)
}

/// Refuses a request that may not be started. A repeat of a request that was accepted before is answered even if it would now be
/// refused because its job can no longer be run, or its upload is no longer kept for long enough.
async fn startable(app: &App, start: &mut Start, now: Timestamp) -> Result<(), Problem> {
    let upload = match &start.upload {
        Some(id) => match uploads::find(app, &start.execution, id, now).await {
            Err(_) if start.keyed && was_accepted(app, start, now).await? => return Ok(()),
            found => found?,
        },
        None => Ok(None),
    };
    let not_found = upload.map(|found| start.execution.request.input_upload = found).err();
    let request = &start.execution.request;
    let mut errors = wrong(request, &app.catalog);
    // An input that exceeds a limit is not checked further.
    if !errors.iter().any(|error| ["/job", "/input"].contains(&&*error.pointer)) {
        errors.extend(app.schemas.violations(&request.job, &request.input)?);
    }
    errors.extend(not_found);
    if errors.is_empty() || (start.keyed && was_accepted(app, start, now).await?) {
        return Ok(());
    }
    Err(Problem::invalid_body(errors))
}

/// Whether the request repeats one that was accepted before. Its upload is then the one that was found at that time.
async fn was_accepted(app: &App, start: &mut Start, now: Timestamp) -> Result<bool, Problem> {
    let seen = app.executions.get(&start.execution.id).await?.filter(|seen| seen.expires_at > now);
    let Some(seen) = seen else { return Ok(false) };
    let upload = seen.request.input_upload.clone();
    start.execution.request.input_upload = upload.filter(|upload| Some(upload.id.to_string()) == start.upload);
    Ok(repeated(seen, start).is_ok())
}

/// The execution that already has this id, if its request is the same.
fn repeated(seen: Execution, start: &Start) -> Result<Execution, Problem> {
    let Start { execution, said, .. } = start;
    if seen.owner != execution.owner {
        // Another caller chose this id by starting a durable function directly. What that caller runs must not be revealed.
        return Err(Problem::new(
            Code::IdempotencyKeyReused,
            "the id of this key is already in use; use another Idempotency-Key",
        ));
    }
    let different = differences(&seen, execution, *said);
    if different.is_empty() {
        return Ok(seen);
    }
    let detail = format!(
        "execution {} has this Idempotency-Key, and its request differs in: {}; use a new key for another request",
        seen.id,
        different.join(", ")
    );
    Err(Problem::new(Code::IdempotencyKeyReused, detail))
}

/// What differs between two requests with the same key. A rerun differs from the start of the execution that it reruns, and from a rerun of
/// another execution.
fn differences(seen: &Execution, requested: &Execution, said: Said) -> Vec<&'static str> {
    let mut different = seen.request.differences(&said.or(&requested.request, &seen.request));
    if seen.pattern != requested.pattern {
        different.insert(0, "pattern");
    }
    if seen.rerun_of != requested.rerun_of {
        different.insert(0, "rerunOf");
    }
    different
}

/// Run the same job again, as a new execution.
///
/// The new execution has the request of the old one, whose id is in `rerunOf`, and a new deadline. It is refused for the
/// same reasons as a start, for example with `invalid-body` if the job can no longer be run.
#[utoipa::path(
    post, path = "/executions/{executionId}/rerun", operation_id = "rerunExecution", tag = "executions",
    params(
        Owned,
        ("Idempotency-Key" = Option<String>, Header, nullable = false, min_length = 1, max_length = 255,
            description = "Makes the request idempotent"),
        Prefer,
    ),
    responses(
        (status = 202, description = "Accepted: poll `Location`", body = ExecutionView, headers(
            ("Location" = String, description = "Path of the new execution"),
            ("ETag" = String, description = "Identifies this version of the execution"),
            ("Retry-After" = u64, description = "Seconds until the next poll; absent if the execution is final"),
            ("Idempotent-Replayed" = bool, description = "`true` if this request started nothing, because it repeats another"),
            ("Preference-Applied" = String, description = "The wait that was granted, if one was requested"),
        )),
        (status = 200, description = "The execution is already final: `Prefer: wait` saw it end, or the request is a repeat",
            body = ExecutionView, headers(
            ("Location" = String, description = "Path of the new execution"),
            ("ETag" = String, description = "Identifies this version of the execution"),
            ("Idempotent-Replayed" = bool, description = "`true` if this request started nothing, because it repeats another"),
            ("Preference-Applied" = String, description = "The wait that was granted, if one was requested"),
        )),
        RerunRefused,
        Owned,
        Problem,
    ),
)]
pub(crate) async fn rerun(
    State(app): State<App>,
    _: Caller,
    _: NoParameters,
    prefer: Prefer,
    key: Option<IdempotencyKey>,
    NoBody(Owned(old)): NoBody<Owned>,
) -> Result<Response, Problem> {
    let now = clock::now();
    let new = Execution::new(new_id(key.as_ref(), &old.owner, now)?, old.pattern, old.owner, old.request, now);
    let execution = Execution { rerun_of: Some(old.id), ..new };
    let upload = execution.request.input_upload.as_ref().map(|upload| upload.id.to_string());
    let mut start = Start { execution, upload, keyed: key.is_some(), said: Said::ALL };
    startable(&app, &mut start, now).await?;
    start_and_wait(&app, start, now, prefer).await
}

async fn begin(app: &App, execution: &Execution) -> Result<(), Problem> {
    match app.workflows.start(&execution.id, execution.pattern).await {
        Ok(_) => Ok(()),
        Err(StartError::NameTaken(id)) => {
            let detail = format!("a durable execution named {id} was started directly; use another Idempotency-Key");
            Err(Problem::new(Code::ExecutionIdTaken, detail))
        }
        // The item is stored, so the request is accepted, whatever the failure: the reconciler will start the workflow. An error would
        // cause a second POST, and without a key a second job.
        Err(StartError::Call(failed)) => {
            tracing::error!(
                executionId = %execution.id,
                error = %failed,
                "cannot start the workflow; the execution is stored, and the reconciler will start it"
            );
            Ok(())
        }
    }
}

async fn accepted(app: &App, execution: Execution, replayed: bool) -> Response {
    let status = if execution.status().is_final() { StatusCode::OK } else { StatusCode::ACCEPTED };
    let now = clock::now();
    let mut headers = executions::following(&execution, now);
    if let Ok(location) = HeaderValue::try_from(format!("/executions/{}", execution.id)) {
        headers.insert(header::LOCATION, location);
    }
    if replayed {
        headers.insert(REPLAYED, HeaderValue::from_static("true"));
    }
    (status, headers, axum::Json(ExecutionView::of(app, execution, now).await)).into_response()
}
