//! `/_local`: the paths at which faults are armed, callers killed and the clock moved forward. No AWS client uses them.

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    Armed, Faults,
    about::names,
    fault::{FORM, Fault, seconds},
};
use crate::{
    callers::{self, Callers},
    clock::{Clock, ClockError},
};

/// What the handlers of these paths share.
#[derive(Debug, Clone)]
struct Admin {
    faults: Faults,
    callers: Callers,
    clock: Clock,
}

/// A request that is refused, with a status and an explanation.
#[derive(Debug)]
pub(crate) struct Refused(pub(crate) StatusCode, pub(crate) String);

/// The body of a refusal.
#[derive(Debug, Serialize)]
struct RefusedBody {
    error: String,
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.0, Json(RefusedBody { error: self.1 })).into_response()
    }
}

impl Faults {
    /// The admin paths.
    pub(crate) fn router(&self, callers: Callers, clock: Clock) -> Router {
        Router::new()
            .route("/_local/faults", get(list).post(arm).delete(clear))
            .route("/_local/faults/{id}", get(one).delete(clear_one))
            .route("/_local/kill", post(kill))
            .route("/_local/clock", get(time).post(forward))
            .with_state(Admin { faults: self.clone(), callers, clock })
    }
}

async fn arm(State(admin): State<Admin>, body: Bytes) -> Result<impl IntoResponse, Refused> {
    let refused = |why| Refused(StatusCode::BAD_REQUEST, format!("{why}. {FORM}"));
    let fault = Fault::read(&body).map_err(refused)?;
    Ok((StatusCode::CREATED, Json(admin.faults.arm(fault))))
}

/// All faults.
#[derive(Debug, Serialize)]
struct AllFaults {
    faults: Vec<Armed>,
}

async fn list(State(admin): State<Admin>) -> impl IntoResponse {
    Json(AllFaults { faults: admin.faults.list() })
}

async fn one(State(admin): State<Admin>, Path(id): Path<u64>) -> Result<impl IntoResponse, Refused> {
    admin.faults.list().into_iter().find(|armed| armed.id == id).map(Json).ok_or_else(|| not_armed(id))
}

async fn clear(State(admin): State<Admin>) -> StatusCode {
    admin.faults.clear(|_| true);
    StatusCode::NO_CONTENT
}

async fn clear_one(State(admin): State<Admin>, Path(id): Path<u64>) -> Result<StatusCode, Refused> {
    match admin.faults.clear(|armed| armed == id) {
        0 => Err(not_armed(id)),
        _ => Ok(StatusCode::NO_CONTENT),
    }
}

fn not_armed(id: u64) -> Refused {
    Refused(StatusCode::NOT_FOUND, format!("no fault {id} is armed"))
}

/// Which callers to kill: by name or key, and by the execution that they work for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kill {
    by: Option<String>,
    execution: Option<String>,
}

/// The keys of the callers that were killed.
#[derive(Debug, Serialize)]
struct Killed {
    killed: Vec<String>,
}

async fn kill(State(admin): State<Admin>, body: Bytes) -> Result<Json<Killed>, Refused> {
    let refused =
        |why| Refused(StatusCode::BAD_REQUEST, format!("{why}. Say \"by\": CALLER, \"execution\": ID, or both."));
    let kill: Kill = serde_json::from_slice(&body).map_err(|why| refused(why.to_string()))?;
    if kill.by.is_none() && kill.execution.is_none() {
        return Err(refused("whom".to_owned()));
    }
    let meant = |key: &String| {
        let works_for = |execution: &String| admin.callers.execution_of(key).is_some_and(|its| names(&its, execution));
        kill.by.as_ref().is_none_or(|by| callers::is_called(key, by)) && kill.execution.as_ref().is_none_or(works_for)
    };
    let killed: Vec<_> = admin.callers.running().into_iter().filter(meant).collect();
    if killed.is_empty() {
        let running = admin.callers.running();
        let running = if running.is_empty() { "nothing".to_owned() } else { running.join(", ") };
        let why = format!("no matching process is running. Running: {running}");
        return Err(Refused(StatusCode::NOT_FOUND, why));
    }
    for key in &killed {
        admin.callers.kill(key);
    }
    Ok(Json(Killed { killed }))
}

/// How far the clock may be moved forward at once: a hundred years, in seconds.
const MAX_FORWARD_SECONDS: f64 = 100.0 * 366.0 * 24.0 * 3_600.0;

/// How far to move the clock forward, in seconds.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Forward {
    forward: f64,
}

/// The emulator's time.
#[derive(Debug, Serialize)]
struct Now {
    now: Timestamp,
}

async fn time(State(admin): State<Admin>) -> Json<Now> {
    Json(Now { now: admin.clock.now() })
}

async fn forward(State(admin): State<Admin>, body: Bytes) -> Result<Json<Now>, Refused> {
    let refused = |why| Refused(StatusCode::BAD_REQUEST, format!("{why}. Say {{\"forward\": SECONDS}}."));
    let Forward { forward } = serde_json::from_slice(&body).map_err(|why| refused(why.to_string()))?;
    if !(0.0..=MAX_FORWARD_SECONDS).contains(&forward) {
        return Err(refused("forward must be a positive number of seconds, at most a hundred years".to_owned()));
    }
    match admin.clock.forward(seconds(forward)) {
        Ok(()) => Ok(time(State(admin)).await),
        Err(why @ ClockError::File(_)) => Err(Refused(StatusCode::INTERNAL_SERVER_ERROR, why.to_string())),
        Err(why) => Err(Refused(StatusCode::CONFLICT, why.to_string())),
    }
}
