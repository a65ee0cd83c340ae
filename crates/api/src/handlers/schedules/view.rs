//! What the API shows of a schedule.

use std::collections::BTreeMap;

use domain::{
    Json, Status,
    schedule::{FAILING, Failing, Schedule, Times},
};
use jiff::{Timestamp, Zoned};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::new::OverlapView;
use crate::answers::{
    model::{PatternView, Resources, Retry, StatusView},
    time::Time,
};

/// How many of the next times are shown.
const UPCOMING: usize = 5;

/// A schedule: what its owner defined, what it has done, and when it is due.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Schedule)]
pub(crate) struct ScheduleView {
    #[serde(flatten)]
    summary: ScheduleSummary,
    start: StartView,
}

/// What a list shows of a schedule: everything but the request that it starts.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ScheduleSummary)]
pub(crate) struct ScheduleSummary {
    #[schema(example = "nightly-report")]
    name: String,
    /// The cron expression.
    #[schema(example = "0 2 * * *")]
    cron: String,
    /// The IANA time zone in which `cron` is read.
    #[schema(example = "Europe/Berlin")]
    time_zone: String,
    pattern: PatternView,
    /// Name of the job that it starts.
    #[schema(example = "demo")]
    job: String,
    overlap: OverlapView,
    /// How late a time may still be started, in seconds.
    #[schema(example = 3600)]
    catch_up_seconds: u64,
    /// By how many seconds a start may be delayed.
    #[schema(example = 0)]
    jitter_seconds: u64,
    /// Whether it is paused. It can be triggered nevertheless.
    paused: bool,
    /// The next five times; none if it is paused.
    next_times: Vec<NextTime>,
    /// The time that waits until the last execution is over. Absent if none does.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    waiting_time: Option<Time>,
    /// The execution that it started last; absent if it has started none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    last: Option<LastView>,
    counts: CountsView,
    /// Whether ten or more times in a row could not be started.
    failing: bool,
    /// The times since the last start that could not be started; absent if there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    failures: Option<FailuresView>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Time,
    /// When its definition was last changed.
    #[schema(value_type = String, format = DateTime)]
    changed_at: Time,
}

/// One of a schedule's next times.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct NextTime {
    #[schema(value_type = String, format = DateTime, example = "2026-03-29T01:00:00.000Z")]
    at: Time,
    /// The same in the schedule's time zone.
    #[schema(value_type = String, format = DateTime, example = "2026-03-29T03:00:00+02:00")]
    local: String,
}

/// The execution that a schedule started last.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = LastStart)]
pub(crate) struct LastView {
    #[schema(example = "1c0f9d12-535a-5667-b17f-ba2f786bd17a")]
    execution_id: String,
    /// The time that it was started for; absent if the schedule was triggered.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime, nullable = false)]
    time: Option<Time>,
    #[schema(value_type = String, format = DateTime)]
    started_at: Time,
    /// Its state. Absent in lists, and if the execution has expired.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    status: Option<StatusView>,
}

/// How many of a schedule's times led to what.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ScheduleCounts)]
pub(crate) struct CountsView {
    /// Times for which an execution was started.
    fired: u64,
    /// Times that were dropped because the last execution was not over, or a newer time took their place.
    skipped: u64,
    /// Times that were found later than `catchUpSeconds` after they were due.
    missed: u64,
    /// Times whose request could not be started.
    failed: u64,
}

/// Times in a row that could not be started.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ScheduleFailures)]
pub(crate) struct FailuresView {
    /// How many, since the last start.
    count: u64,
    /// Why the last of them could not be started.
    #[schema(example = "/job is not one of: demo")]
    last_error: String,
    /// The last of them.
    #[schema(value_type = String, format = DateTime)]
    time: Time,
}

/// The request that a schedule starts, as it was defined.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ScheduledStart)]
pub(crate) struct StartView {
    #[schema(value_type = Value)]
    input: Json,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "demo")]
    job: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u64>, nullable = false, example = 3600)]
    timeout_seconds: Option<Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Retry>, nullable = false)]
    retry: Option<Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Resources>, nullable = false)]
    resources: Option<Json>,
    /// The names of environment variables. Their values are not shown, because they may be secrets.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false, example = json!(["DEBUG"]))]
    environment: Vec<String>,
    tags: BTreeMap<String, String>,
}

impl ScheduleView {
    /// `status` is that of the last execution.
    pub(super) fn of(schedule: &Schedule, status: Option<Status>, now: Timestamp) -> Self {
        let start = StartView::of(&schedule.definition.start);
        let job = contract::schedule::job_of(&schedule.definition.start);
        let summary = ScheduleSummary::of(schedule, job, now);
        let last = summary.last.map(|last| LastView { status: status.map(StatusView::of), ..last });
        Self { summary: ScheduleSummary { last, ..summary }, start }
    }
}

impl ScheduleSummary {
    pub(super) fn of(schedule: &Schedule, job: String, now: Timestamp) -> Self {
        let definition = &schedule.definition;
        let times = Times::of(&definition.cron, &definition.time_zone).ok();
        // What is due but was not started yet counts as a next time.
        let before = schedule.next.and_then(|next| next.checked_sub(jiff::SignedDuration::from_secs(1)).ok());
        let upcoming = times.filter(|_| !schedule.paused).map(|times| times.upcoming(before.unwrap_or(now), UPCOMING));
        Self {
            name: schedule.name.to_string(),
            cron: definition.cron.clone(),
            time_zone: definition.time_zone.clone(),
            pattern: PatternView::of(definition.pattern),
            job,
            overlap: OverlapView::of(definition.overlap),
            catch_up_seconds: definition.catch_up_seconds,
            jitter_seconds: definition.jitter_seconds,
            paused: schedule.paused,
            next_times: upcoming.unwrap_or_default().iter().map(NextTime::of).collect(),
            waiting_time: schedule.buffered.map(Time::from),
            last: schedule.last.as_ref().map(|last| LastView {
                execution_id: last.execution_id.to_string(),
                time: last.time.map(Time::from),
                started_at: last.started_at.into(),
                status: None,
            }),
            counts: CountsView {
                fired: schedule.counts.fired,
                skipped: schedule.counts.skipped,
                missed: schedule.counts.missed,
                failed: schedule.counts.failed,
            },
            failing: schedule.failing.as_ref().is_some_and(|failing| failing.count >= FAILING),
            failures: schedule.failing.as_ref().map(FailuresView::of),
            created_at: schedule.created_at.into(),
            changed_at: schedule.changed_at.into(),
        }
    }
}

impl NextTime {
    fn of(time: &Zoned) -> Self {
        Self { at: time.timestamp().into(), local: time.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string() }
    }
}

impl FailuresView {
    fn of(failing: &Failing) -> Self {
        Self { count: failing.count, last_error: failing.last_error.clone(), time: failing.time.into() }
    }
}

impl StartView {
    fn of(start: &Json) -> Self {
        #[derive(Default, Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Start {
            input: Option<Json>,
            job: Option<String>,
            timeout_seconds: Option<Json>,
            retry: Option<Json>,
            resources: Option<Json>,
            environment: Option<BTreeMap<String, String>>,
            tags: Option<BTreeMap<String, String>>,
        }
        let read: Start = serde_json::from_str(start.text()).unwrap_or_default();
        Self {
            input: read.input.unwrap_or_else(Json::null),
            job: read.job,
            timeout_seconds: read.timeout_seconds,
            retry: read.retry,
            resources: read.resources,
            environment: read.environment.unwrap_or_default().into_keys().collect(),
            tags: read.tags.unwrap_or_default(),
        }
    }
}
