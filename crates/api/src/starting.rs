//! What starting an execution consists of: build it from a request, validate it, store it, start its workflow.
//!
//! A single start does this for one request, and others for many.

use compute::StartError;
use domain::{Execution, ExecutionId, Owner, Pattern};
use jiff::Timestamp;
use store::Created;

use crate::{
    answers::{
        model::{NewExecution, Said, wrong},
        problem::{Code, FieldError, Problem},
    },
    app::App,
    extract::idempotency_key::IdempotencyKey,
    handlers::uploads,
    random,
};

/// The execution that a request would start.
pub(crate) struct Start {
    pub(crate) execution: Execution,
    /// The id of the upload that it names, as it was given.
    pub(crate) upload: Option<String>,
    /// Whether its id is derived, so that a repeat of the request finds the execution.
    pub(crate) keyed: bool,
    /// Which values it sets itself instead of leaving them to the job.
    pub(crate) said: Said,
}

/// The id for a request: the one that is derived from its idempotency key, or a new one.
pub(crate) fn new_id(key: Option<&IdempotencyKey>, owner: &Owner, now: Timestamp) -> Result<ExecutionId, Problem> {
    match key {
        Some(key) => Ok(key.execution_id(owner)),
        None => Ok(ExecutionId::fresh(now, random::bytes().map_err(|why| Problem::inside(&why))?)),
    }
}

impl Start {
    /// What a request would start, with every default filled in. `keyed`: whether the id is always the same for this request.
    pub(crate) fn of(
        app: &App,
        id: ExecutionId,
        keyed: bool,
        (pattern, owner): (Pattern, Owner),
        new: NewExecution,
        now: Timestamp,
    ) -> Self {
        let (said, upload) = (new.said(), new.upload().map(str::to_owned));
        let request = new.into_request(&app.catalog);
        Self { execution: Execution::new(id, pattern, owner, request, now), upload, keyed, said }
    }

    /// Refuses a request that may not be started: see [`Start::violations`].
    pub(crate) async fn check(&mut self, app: &App, now: Timestamp) -> Result<(), Problem> {
        let errors = self.violations(app, now).await?;
        if errors.is_empty() { Ok(()) } else { Err(Problem::invalid_body(errors)) }
    }

    /// Why a request may not be started; empty if it may. Finds the upload that it names. A repeat of a request that was accepted before is
    /// accepted again even if it would now be refused because its job can no longer be run, or its upload is no longer kept for long
    /// enough.
    pub(crate) async fn violations(&mut self, app: &App, now: Timestamp) -> Result<Vec<FieldError>, Problem> {
        let upload = match &self.upload {
            Some(id) => match uploads::find(app, &self.execution, id).await {
                Err(_) if self.keyed && self.was_accepted(app, now).await? => return Ok(Vec::new()),
                found => found?,
            },
            None => Ok(None),
        };
        let not_found = upload.map(|found| self.execution.request.input_upload = found).err();
        let request = &self.execution.request;
        let mut errors = wrong(request, &app.catalog, now);
        // An input that exceeds a limit is not checked further.
        if !errors.iter().any(|error| ["/job", "/input"].contains(&&*error.pointer)) {
            errors.extend(app.schemas.violations(&request.job, &request.input)?);
        }
        errors.extend(not_found);
        if !errors.is_empty() && self.keyed && self.was_accepted(app, now).await? {
            return Ok(Vec::new());
        }
        Ok(errors)
    }

    /// Whether the request repeats one that was accepted before. Its upload is then the one that was found at that time.
    async fn was_accepted(&mut self, app: &App, now: Timestamp) -> Result<bool, Problem> {
        let seen = app.executions.get(&self.execution.id).await?.filter(|seen| seen.expires_at > now);
        let Some(seen) = seen else { return Ok(false) };
        let upload = seen.request.input_upload.clone();
        self.execution.request.input_upload = upload.filter(|upload| Some(upload.id.to_string()) == self.upload);
        Ok(self.repeated(seen).is_ok())
    }

    /// Stores the execution. Returns it, and whether it already existed because the request is a repeat.
    ///
    /// If the function crashes before the item is written, nothing has been accepted. If it crashes between the item and the workflow
    /// ([`begin`]), a repeat of the request finds the item and starts its workflow. If no repeat comes, the reconciler starts it. If
    /// the function crashes after that, a second start changes nothing.
    pub(crate) async fn create(&self, app: &App, now: Timestamp) -> Result<(Execution, bool), Problem> {
        let created = app.executions.create(&self.execution, now).await.map_err(|why| {
            let problem = Problem::from(why);
            if self.keyed { problem } else { problem.not_safe_to_repeat() }
        })?;
        match created {
            Created::New(made) => Ok((*made, false)),
            Created::Existing(seen) => Ok((self.repeated(*seen)?, true)),
        }
    }

    /// The execution that already has this id, if its request is the same.
    pub(crate) fn repeated(&self, seen: Execution) -> Result<Execution, Problem> {
        let Self { execution, said, .. } = self;
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
}

/// What differs between two requests with the same key. A rerun differs from the start of the execution that it reruns, and from a rerun of
/// another execution.
fn differences(seen: &Execution, requested: &Execution, said: Said) -> Vec<&'static str> {
    let mut different = seen.differences(&said.or(&requested.request, &seen.request));
    if seen.pattern != requested.pattern {
        different.insert(0, "pattern");
    }
    if seen.rerun_of != requested.rerun_of {
        different.insert(0, "rerunOf");
    }
    different
}

/// Whether the workflow of an execution that was just stored or found has to be started. If its start time is far ahead, the sweep starts
/// it.
pub(crate) fn lacks_workflow(execution: &Execution, now: Timestamp) -> bool {
    execution.durable_execution_arn.is_none() && !execution.status().is_final() && !execution.is_dormant(now)
}

/// Starts the workflow of a stored execution.
pub(crate) async fn begin(app: &App, execution: &Execution) -> Result<(), Problem> {
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
