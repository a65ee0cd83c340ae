//! Starting a batch.
//!
//! First the batch's own item is stored, which remembers the request under its id. Then all executions are stored, under ids that are derived
//! from the batch's. Only then their workflows are started, because what is stored is accepted, and the reconciler starts it anyway. At last,
//! the batch's item is marked as stored. A repeat of the request finds the item, and does again whatever is not done: each step changes
//! nothing if it was already done.

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::Duration,
};

use axum::{
    extract::State,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use domain::{Batch, BatchId, Execution, Owner, Unknown};
use futures_util::{StreamExt as _, stream};
use jiff::Timestamp;
use runtime::clock;
use serde::Serialize;
use tokio::time::{Instant, sleep_until};
use tracing::Level;
use utoipa::{IntoResponses, ToSchema};

use super::{
    BatchLinks,
    new::{NewBatch, NewBatchExecution, nothing_accepted},
};
use crate::{
    answers::problem::{Answers, Code, FieldError, Problem, answers},
    app::App,
    extract::{body::Body, caller::Caller, idempotency_key::IdempotencyKey, parameters::NoParameters},
    random,
    starting::{Start, lacks_workflow},
};

const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// How many executions are validated, or stored and started, at once. With 10 ms for each call, these are 3,200 calls a second, more than the rates below.
const AT_ONCE: usize = 32;

/// How many executions are stored in a second, after the first [`BURST`]. The index of a batch has one part, which takes 1,000 writes a second
/// (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-partition-key-design.html>), and executions that were started
/// already write to it too.
const STORED_PER_SECOND: u32 = 500;

/// How many workflows are started in a second, after the first [`BURST`]. Lambda starts 300 durable executions a second for a whole account
/// (<https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>).
const STARTED_PER_SECOND: u32 = 250;
const BURST: u32 = 50;

/// How long after a request began executions are still stored, and workflows still started. The request is answered after 27.5 s in any case. A
/// workflow that is not started is left to the reconciler's sweep.
const TIME_TO_STORE: Duration = Duration::from_secs(20);
const TIME_TO_START: Duration = Duration::from_secs(15);

/// After this many executions could not be stored, the rest is not tried.
const FAILURES: usize = 32;

/// How many errors a response has: all of one that was refused, and fewer of each if there are many.
const ERRORS: usize = 2_000;

/// What was accepted of a batch, and what was refused.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct StartedBatch {
    #[schema(example = "0199a3c4-9f3e-7c11-b5a8-3d6f0e7a1b2c")]
    batch_id: String,
    /// How many executions the request has.
    #[schema(example = 1000)]
    total: u32,
    /// How many of them were accepted.
    #[schema(example = 999)]
    accepted: u32,
    /// Those that were refused, by their index; empty if there are none.
    refused: Vec<RefusedExecution>,
    links: BatchLinks,
}

/// An execution of a batch that was refused.
#[derive(Debug, Serialize, ToSchema)]
struct RefusedExecution {
    /// Its index in `executions`, from 0.
    #[schema(example = 17)]
    index: u32,
    /// What is wrong with it. If many executions were refused, only the first errors of each.
    errors: Vec<FieldError>,
}

/// The errors of a request that is refused.
struct Refused;

impl IntoResponses for Refused {
    fn responses() -> Answers {
        answers(&[
            Code::IncompleteBody,
            Code::RequestTimeout,
            Code::UnsupportedContentEncoding,
            Code::InvalidHeader,
            Code::InvalidParameter,
            Code::InvalidJson,
            Code::BodyTooLarge,
            Code::UnsupportedMediaType,
            Code::InvalidBody,
            Code::IdempotencyKeyReused,
        ])
    }
}

/// An execution that was refused, and why.
struct Refusal {
    index: u32,
    /// What it would start; `None` if it cannot be read.
    start: Option<Start>,
    errors: Vec<FieldError>,
}

/// Start many executions.
///
/// Each of 1 to 1,000 executions is accepted or refused by itself; the body has at most 2 MiB. With an `Idempotency-Key`, repeat the request
/// until it is answered with a 202: it starts exactly what is missing, and nothing twice. If all executions are refused, so is the request, and
/// nothing is kept. The workflows of a large batch are started over several seconds, and those for which a request has no time within about a
/// minute after it.
#[utoipa::path(
    post, path = "/batches", operation_id = "startBatch", tag = "batches",
    params(
        ("Idempotency-Key" = Option<String>, Header, nullable = false, min_length = 1, max_length = 255,
            description = "Makes the request idempotent: a repeat with the same key and body, compared by value, returns the existing batch and \
                           starts only what is missing, as long as the batch is kept"),
    ),
    request_body(content = NewBatch, description = "The jobs to run, and their inputs"),
    responses(
        (status = 202, description = "At least one execution was accepted: poll `Location`", body = StartedBatch, headers(
            ("Location" = String, description = "Path of the batch"),
            ("Idempotent-Replayed" = bool, description = "`true` if this request started nothing, because it repeats another"),
        )),
        Refused,
        Problem,
    ),
)]
pub(crate) async fn start_batch(
    State(app): State<App>,
    Caller(owner): Caller,
    _: NoParameters,
    key: Option<IdempotencyKey>,
    Body(new): Body<NewBatch>,
) -> Result<Response, Problem> {
    let (began, now) = (Instant::now(), clock::now());
    let id = match &key {
        Some(key) => key.batch_id(&owner),
        None => BatchId::fresh(now, random::bytes().map_err(|why| Problem::inside(&why))?),
    };
    let fingerprint = new.fingerprint();
    let executions = new.into_executions();
    let total = u32::try_from(executions.len()).unwrap_or(u32::MAX);
    let (mut starts, mut refused) = checked(&app, &id, &owner, executions, now).await?;
    let mut batch = Batch {
        id,
        owner,
        created_at: now,
        total,
        refused: indexes(&refused),
        fingerprint,
        stored: false,
        expires_at: latest_expiry(&starts, now),
        unknown: Unknown::default(),
    };
    let seen = if !starts.is_empty() {
        app.batches.create(&batch, now).await?
    } else if key.is_some() {
        app.batches.get(&batch.id).await?.filter(|seen| seen.expires_at > now)
    } else {
        None
    };
    if let Some(seen) = seen {
        if (&seen.owner, &seen.fingerprint) != (&batch.owner, &batch.fingerprint) {
            let detail = format!(
                "batch {} has this Idempotency-Key, and its request differs; use a new key for another request",
                seen.id
            );
            return Err(Problem::new(Code::IdempotencyKeyReused, detail));
        }
        if seen.stored {
            let refused = as_before(&seen, refused);
            return Ok(accepted(&seen, refused, true));
        }
        // The request that stored it has not finished, or still runs.
        refused = still_refused(&app, refused, &mut starts, now).await?;
        batch.refused = indexes(&refused);
        batch.created_at = seen.created_at;
        batch.expires_at = seen.expires_at.max(latest_expiry(&starts, now));
        batch.unknown = seen.unknown;
    }
    if starts.is_empty() {
        return Err(nothing_accepted(shortened(refused).map(|refused| (refused.index, refused.errors))));
    }
    let (idle, failed) = store_all(&app, starts, now, began).await;
    begin_all(&app, idle, began).await;
    if !failed.is_empty() {
        return Err(incomplete(&batch, failed, key.is_some()));
    }
    batch.stored = true;
    if let Err(why) = app.batches.update(&batch).await {
        // A repeat of the request would find everything that it starts.
        let error = aws::with_causes(&why);
        tracing::warn!(batchId = %batch.id, error, "all executions are stored, but the batch could not be marked as stored");
    }
    Ok(accepted(&batch, shortened(refused), false))
}

fn indexes(refused: &[Refusal]) -> Vec<u32> {
    refused.iter().map(|refused| refused.index).collect()
}

fn latest_expiry(starts: &[(u32, Start)], now: Timestamp) -> Timestamp {
    starts.iter().map(|(_, start)| start.execution.kept_until()).max().unwrap_or(now)
}

/// Separates what may be started from what is refused, both in their order.
async fn checked(
    app: &App,
    id: &BatchId,
    owner: &Owner,
    executions: Vec<NewBatchExecution>,
    now: Timestamp,
) -> Result<(Vec<(u32, Start)>, Vec<Refusal>), Problem> {
    let check = |(index, one): (u32, NewBatchExecution)| async move {
        let (pattern, new) = match one.readable(&app.catalog) {
            Ok(readable) => readable,
            Err(errors) => return Ok::<_, Problem>(Err(Refusal { index, start: None, errors })),
        };
        // A repeat of a batch is recognized by the batch, which costs one read and not one for each execution.
        let mut start = Start::of(app, id.execution_id(index), false, (pattern, owner.clone()), new, now);
        start.execution.batch = Some(id.clone());
        let errors = start.violations(app, now).await?;
        Ok(if errors.is_empty() { Ok((index, start)) } else { Err(Refusal { index, start: Some(start), errors }) })
    };
    let mut checks = stream::iter((0..).zip(executions)).map(check).buffered(AT_ONCE);
    let (mut starts, mut refused) = (Vec::new(), Vec::new());
    while let Some(checked) = checks.next().await {
        match checked? {
            Ok(start) => starts.push(start),
            Err(refusal) => refused.push(refusal),
        }
    }
    Ok((starts, refused))
}

/// Those that are refused in a repeat of a request that was not finished. The others were accepted then: they are added to `starts`.
async fn still_refused(
    app: &App,
    refused: Vec<Refusal>,
    starts: &mut Vec<(u32, Start)>,
    now: Timestamp,
) -> Result<Vec<Refusal>, Problem> {
    let mut still = Vec::new();
    for Refusal { index, start, errors } in refused {
        let Some(mut start) = start else {
            still.push(Refusal { index, start: None, errors });
            continue;
        };
        start.keyed = true;
        let errors = start.violations(app, now).await?;
        if errors.is_empty() {
            starts.push((index, start));
        } else {
            still.push(Refusal { index, start: Some(start), errors });
        }
    }
    Ok(still)
}

/// Those that were refused when the batch was stored, with the errors that they have now.
fn as_before(seen: &Batch, refused: Vec<Refusal>) -> impl Iterator<Item = RefusedExecution> {
    let mut errors: std::collections::BTreeMap<_, _> = refused.into_iter().map(|now| (now.index, now.errors)).collect();
    let most = most_errors(seen.refused.len());
    seen.refused.clone().into_iter().map(move |index| {
        let mut errors = errors.remove(&index).unwrap_or_else(|| {
            let detail = "was refused when the batch was accepted, and would be accepted now; send it in another batch";
            vec![FieldError { pointer: String::new(), detail: detail.to_owned(), rule: "refused-before" }]
        });
        errors.truncate(most);
        RefusedExecution { index, errors }
    })
}

fn most_errors(refused: usize) -> usize {
    (ERRORS / refused.max(1)).max(1)
}

fn shortened(refused: Vec<Refusal>) -> impl Iterator<Item = RefusedExecution> {
    let most = most_errors(refused.len());
    refused.into_iter().map(move |Refusal { index, mut errors, .. }| {
        errors.truncate(most);
        RefusedExecution { index, errors }
    })
}

/// Stores the executions. Returns those whose workflows have to be started, and the indexes of those that could not be stored, and why, if
/// that is known. If the function crashes before an execution is stored, a repeat of the request stores it.
async fn store_all(
    app: &App,
    starts: Vec<(u32, Start)>,
    now: Timestamp,
    began: Instant,
) -> (Vec<Execution>, Vec<(u32, Option<Problem>)>) {
    let (pace, failures) = (Pace::of(STORED_PER_SECOND), AtomicUsize::new(0));
    let (pace, failures) = (&pace, &failures);
    let store = |(place, (index, start)): (u32, (u32, Start))| async move {
        pace.turn_of(place).await;
        if failures.load(Ordering::Relaxed) >= FAILURES || began.elapsed() > TIME_TO_STORE {
            return Err((index, None));
        }
        let stored = start.create(app, now).await.map_err(|problem| {
            failures.fetch_add(1, Ordering::Relaxed);
            (index, Some(problem))
        });
        stored.map(|(execution, _)| execution)
    };
    let mut all = stream::iter((0..).zip(starts)).map(store).buffer_unordered(AT_ONCE);
    let (mut idle, mut failed) = (Vec::new(), Vec::new());
    while let Some(stored) = all.next().await {
        match stored {
            Ok(execution) if lacks_workflow(&execution, now) => idle.push(execution),
            Ok(_) => {}
            Err(failure) => failed.push(failure),
        }
    }
    failed.sort_by_key(|(index, _)| *index);
    (idle, failed)
}

/// Starts the workflows of executions that are stored, as long as there is time and Lambda accepts them. The others are left to the
/// reconciler's sweep, which also starts those that a crash leaves out.
async fn begin_all(app: &App, idle: Vec<Execution>, began: Instant) {
    let (pace, left, leave) = (Pace::of(STARTED_PER_SECOND), AtomicUsize::new(0), AtomicBool::new(false));
    let (pace, left, leave) = (&pace, &left, &leave);
    let start = |(place, execution): (u32, Execution)| async move {
        pace.turn_of(place).await;
        if leave.load(Ordering::Relaxed) || began.elapsed() > TIME_TO_START {
            left.fetch_add(1, Ordering::Relaxed);
        } else if let Err(why) = app.workflows.start(&execution.id, execution.pattern).await {
            // More starts would only use up what Lambda still accepts.
            let error = aws::with_causes(&why);
            tracing::warn!(executionId = %execution.id, error, "cannot start the workflow; the reconciler will start it");
            leave.store(true, Ordering::Relaxed);
            left.fetch_add(1, Ordering::Relaxed);
        }
    };
    stream::iter((0..).zip(idle)).map(start).buffer_unordered(AT_ONCE).collect::<()>().await;
    let left = left.load(Ordering::Relaxed);
    if left > 0 {
        tracing::warn!(left, "the workflows of these executions of a batch are left to the reconciler");
    }
}

/// Spreads calls over time.
struct Pace {
    from: Instant,
    pause: Duration,
}

impl Pace {
    fn of(per_second: u32) -> Self {
        Self { from: Instant::now(), pause: Duration::from_secs(1) / per_second }
    }

    /// Returns when a call may be made: the first [`BURST`] at once, each of the others a while after the one before it.
    async fn turn_of(&self, place: u32) {
        sleep_until(self.from + self.pause * place.saturating_sub(BURST)).await;
    }
}

/// The problem of a batch of which some executions could not be stored. What was stored runs.
fn incomplete(batch: &Batch, failed: Vec<(u32, Option<Problem>)>, keyed: bool) -> Problem {
    let (count, accepted, id) = (failed.len(), batch.accepted(), &batch.id);
    let not_stored = |index: &u32| FieldError {
        pointer: format!("/executions/{index}"),
        detail: "was not stored".to_owned(),
        rule: "not-stored",
    };
    let errors = failed.iter().map(|(index, _)| not_stored(index)).collect();
    let problem = failed.into_iter().find_map(|(_, problem)| problem).unwrap_or_else(|| {
        Problem::new(Code::AwsUnavailable, "").because(Level::ERROR, "AWS took too long to store a batch")
    });
    let advice = if keyed {
        "repeat the same request with the same Idempotency-Key: it starts exactly those"
    } else {
        "send only those in another batch; with an Idempotency-Key, the same request would be safe to repeat"
    };
    problem
        .saying(format!(
            "{count} of {accepted} executions of batch {id} were not stored (see errors), the others were; {advice}"
        ))
        .about(errors)
}

fn accepted(batch: &Batch, refused: impl Iterator<Item = RefusedExecution>, replayed: bool) -> Response {
    let view = StartedBatch {
        batch_id: batch.id.to_string(),
        total: batch.total,
        accepted: batch.accepted(),
        refused: refused.collect(),
        links: BatchLinks::of(&batch.id),
    };
    let mut response = (StatusCode::ACCEPTED, axum::Json(view)).into_response();
    if let Ok(location) = HeaderValue::try_from(format!("/batches/{}", batch.id)) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    if replayed {
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
    response
}
