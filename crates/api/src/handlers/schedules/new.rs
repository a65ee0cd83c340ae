//! A request that defines a schedule.

use contract::catalog::Catalog;
use domain::{
    Json, Pattern, limits,
    schedule::{Definition, InvalidRule, Overlap, Times},
};
use utoipa::ToSchema;

use crate::{
    answers::{
        model::{NewExecution, PatternView},
        problem::FieldError,
    },
    extract::{
        body::Described,
        hint,
        object::{self, Members},
    },
};

/// The members of a start that a schedule cannot have, and why.
const NOT_IN_SCHEDULES: [(&str, &str); 4] = [
    ("inputUpload", "the upload would expire; let the job read its files from a place of its own"),
    ("startAt", "the cron expression says when it starts"),
    ("delaySeconds", "the cron expression says when it starts"),
    ("startBefore", "`catchUpSeconds` says how late it may start"),
];

/// When to start what.
#[derive(Debug, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({
    "cron": "0 2 * * *", "timeZone": "Europe/Berlin", "pattern": "sync",
    "start": {"input": {"message": "Good night", "processingTime": 3}}, "overlap": "skip"
}))]
pub(crate) struct NewSchedule {
    /// When, as a cron expression of five fields: minute, hour, day of month, month, day of week. Names (`MON`, `JAN`) and `L`, `W` and
    /// `#` are allowed. If both days are restricted, either is enough.
    #[schema(value_type = String, min_length = 9, max_length = 200, example = "0 2 * * *")]
    cron: Option<String>,
    /// The IANA time zone in which `cron` is read, as IANA spells it. If absent, `UTC`.
    #[schema(example = "Europe/Berlin")]
    time_zone: Option<String>,
    /// The pattern of the executions.
    #[schema(value_type = PatternView)]
    pattern: Option<Pattern>,
    /// The request to start, as for `POST /executions/sync` or `/callback`, without `inputUpload`, `startAt`, `delaySeconds` and
    /// `startBefore`.
    #[schema(value_type = NewExecution)]
    start: Option<NewStart>,
    /// What happens at a time at which the last execution is not over. If absent, `skip`.
    #[schema(value_type = Option<OverlapView>)]
    overlap: Option<Overlap>,
    /// How late a time may still be started, in seconds, if Longhaul or AWS was not available at the time. If absent, 3600.
    #[schema(minimum = 300, maximum = 604_800, example = 3600)]
    catch_up_seconds: Option<u64>,
    /// Delays each start by up to this many seconds, always the same number for a schedule and a time, so that not all schedules start at
    /// once. If absent, 0.
    #[schema(minimum = 0, maximum = 3_600, example = 0)]
    jitter_seconds: Option<u64>,
    /// Whether the schedule is paused. If absent, a new schedule is not, and an existing one stays as it is.
    #[schema(example = false)]
    paused: Option<bool>,
}

/// What happens at a time at which the last execution is not over: `skip` drops the time, `bufferOne` lets one time wait until it is over,
/// `allowAll` starts another execution, and `cancelOther` cancels it and starts when it is over.
#[derive(Debug, serde::Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Overlap)]
pub(crate) enum OverlapView {
    Skip,
    BufferOne,
    AllowAll,
    CancelOther,
}

impl OverlapView {
    pub(super) fn of(overlap: Overlap) -> Self {
        match overlap {
            Overlap::Skip => Self::Skip,
            Overlap::BufferOne => Self::BufferOne,
            Overlap::AllowAll => Self::AllowAll,
            Overlap::CancelOther => Self::CancelOther,
        }
    }
}

/// A request to start, as it was written and as it was read.
#[derive(Debug)]
struct NewStart {
    text: Json,
    read: NewExecution,
}

/// What a valid request defines.
pub(super) struct Defined {
    pub(super) definition: Definition,
    pub(super) times: Times,
    pub(super) paused: Option<bool>,
}

impl Described for NewSchedule {
    const EXAMPLE: &str = r#"{"cron": …, "pattern": …, "start": …}"#;

    fn read(body: &mut Members, errors: &mut Vec<FieldError>) -> Self {
        let mut body = std::mem::take(body);
        let no_object = !errors.is_empty() && body.is_empty();
        let (cron, pattern, start) = (body.optional("cron"), body.optional("pattern"), body.optional("start"));
        for (name, given) in [("cron", &cron), ("pattern", &pattern), ("start", &start)] {
            if given.is_none() && !no_object && !body.misspells(&[name]) {
                errors.push(body.lacks(format!("`{name}`; it is required")));
            }
        }
        let mut text = |value: Option<Json>, name| {
            value.and_then(|value| object::read::<String>(&value, body.pointer(name), "a string", errors))
        };
        let (cron, pattern) = (text(cron, "cron"), text(pattern, "pattern"));
        let zone = body.optional("timeZone");
        let overlap = body.optional("overlap");
        let mut text = |value: Option<Json>, name| {
            value.and_then(|value| object::read::<String>(&value, body.pointer(name), "a string", errors))
        };
        let (time_zone, overlap) = (text(zone, "timeZone"), text(overlap, "overlap"));
        let patterns = [("sync", Pattern::Sync), ("callback", Pattern::Callback)];
        let pattern = pattern.and_then(|name| choice(&name, body.pointer("pattern"), &patterns, errors));
        let overlaps = Overlap::ALL.map(|overlap| (overlap.as_str(), overlap));
        let overlap = overlap.and_then(|name| choice(&name, body.pointer("overlap"), &overlaps, errors));
        let catch_up = body.optional("catchUpSeconds");
        let catch_up_seconds = catch_up.and_then(|value| object::whole(&value, body.pointer("catchUpSeconds"), errors));
        let jitter = body.optional("jitterSeconds");
        let jitter_seconds =
            jitter.and_then(|value| object::not_negative(&value, body.pointer("jitterSeconds"), errors));
        let paused = body.optional("paused");
        let paused = paused.and_then(|value| object::read(&value, body.pointer("paused"), "true or false", errors));
        let start = start.and_then(|text| NewStart::read(text, &body.pointer("start"), errors));
        body.finish(errors);
        Self { cron, time_zone, pattern, start, overlap, catch_up_seconds, jitter_seconds, paused }
    }

    fn wrong(self, catalog: &Catalog, errors: &[FieldError]) -> Vec<FieldError> {
        let mut found = self.wrong_rule();
        if let Some(start) = self.start {
            let inside = errors.iter().filter_map(|error| {
                let pointer = error.pointer.strip_prefix("/start")?.to_owned();
                Some(FieldError { pointer, ..error.clone() })
            });
            found.extend(start.read.wrong(catalog, &inside.collect::<Vec<_>>()).into_iter().map(in_start));
        }
        found
    }
}

impl NewSchedule {
    /// The pattern and the request to start, if they could be read.
    pub(super) fn start(&self) -> Option<(Pattern, NewExecution)> {
        Some((self.pattern?, self.start.as_ref()?.read.clone()))
    }

    /// What is wrong with everything but the start.
    pub(super) fn wrong_rule(&self) -> Vec<FieldError> {
        let mut found = Vec::new();
        let mut wrong = |pointer: &str, detail: String, rule| {
            found.push(FieldError { pointer: pointer.to_owned(), detail, rule });
        };
        // If only one of them is there, the other is replaced by something that is valid.
        let (cron, zone) = (self.cron.as_deref().unwrap_or("* * * * *"), self.zone());
        for why in Times::of(cron, zone).err().unwrap_or_default() {
            match why {
                InvalidRule::Cron(why) => wrong("/cron", why, "invalid-cron"),
                InvalidRule::Zone(why) => wrong("/timeZone", why, "unknown-time-zone"),
            }
        }
        let window = limits::CATCH_UP_SECONDS;
        if self.catch_up_seconds.is_some_and(|seconds| !window.contains(&seconds)) {
            let detail = format!("must be between {} and {}", window.start(), window.end());
            wrong("/catchUpSeconds", detail, "catch-up-out-of-range");
        }
        if self.jitter_seconds.is_some_and(|seconds| seconds > limits::JITTER_SECONDS) {
            wrong("/jitterSeconds", format!("must be between 0 and {}", limits::JITTER_SECONDS), "jitter-out-of-range");
        }
        found
    }

    fn zone(&self) -> &str {
        self.time_zone.as_deref().unwrap_or("UTC")
    }

    /// What it defines, if its rule is valid.
    pub(super) fn defined(self) -> Option<Defined> {
        let zone = self.zone().to_owned();
        let (cron, pattern, start) = (self.cron?, self.pattern?, self.start?);
        let times = Times::of(&cron, &zone).ok()?;
        let definition = Definition {
            cron: cron.split_ascii_whitespace().collect::<Vec<_>>().join(" "),
            time_zone: zone,
            pattern,
            start: start.text,
            overlap: self.overlap.unwrap_or_default(),
            catch_up_seconds: self.catch_up_seconds.unwrap_or(limits::DEFAULT_CATCH_UP_SECONDS),
            jitter_seconds: self.jitter_seconds.unwrap_or_default(),
        };
        Some(Defined { definition, times, paused: self.paused })
    }
}

impl NewStart {
    fn read(text: Json, at: &str, errors: &mut Vec<FieldError>) -> Option<Self> {
        let mut inside = Vec::new();
        let mut members = Members::of(&text, at, &mut inside);
        let names = Members::of(&text, at, &mut Vec::new()).map(Members::rest).unwrap_or_default();
        for (name, why) in NOT_IN_SCHEDULES {
            if names.iter().any(|(given, value)| given == name && value.text() != "null") {
                let detail = format!("cannot be in a schedule: {why}");
                inside.push(FieldError { pointer: format!("{at}/{name}"), detail, rule: "not-in-schedule" });
            }
        }
        let mut of_start = Vec::new();
        let read = members.as_mut().map(|members| NewExecution::read(members, &mut of_start));
        of_start.retain(|error| inside.iter().all(|known| known.pointer != error.pointer));
        errors.extend(inside.into_iter().chain(of_start));
        Some(Self { text, read: read? })
    }
}

/// An error of the start, as an error of the schedule's body.
pub(super) fn in_start(error: FieldError) -> FieldError {
    FieldError { pointer: format!("/start{}", error.pointer), ..error }
}

fn choice<T: Copy>(name: &str, at: String, all: &[(&'static str, T)], errors: &mut Vec<FieldError>) -> Option<T> {
    let found = all.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
    if found.is_none() {
        let names: Vec<_> = all.iter().map(|(name, _)| *name).collect();
        let meant = hint::suggestion(name, &names).map_or_else(String::new, |meant| format!("; did you mean {meant}?"));
        errors.push(object::error(at, format!("is not one of {}{meant}", names.join(", "))));
    }
    found
}
