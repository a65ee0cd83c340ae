//! The operations that create groups and streams and write events.

use jiff::{Timestamp, ToSpan};

use super::{
    Logs,
    answers::{PutLogEventsResponse, RejectedLogEventsInfo},
    read::EVENT_OVERHEAD_BYTES,
    request::{CreateLogGroup, CreateLogStream, InputLogEvent, PutLogEvents, invalid},
    store,
};
use crate::wire::{AwsError, Empty};

/// Limits of a batch (<https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html>).
const MAX_BATCH_EVENTS: usize = 10_000;
const MAX_BATCH_BYTES: usize = 1_048_576;
const OLDEST_HOURS: i64 = 14 * 24;
const NEWEST_HOURS: i64 = 2;

/// Longest name of a group or a stream.
const MAX_NAME_CHARS: usize = 512;

impl Logs {
    pub(super) fn create_log_group(&self, request: &CreateLogGroup) -> Result<Empty, AwsError> {
        let name = &request.log_group_name;
        let known = |c: char| c.is_ascii_alphanumeric() || "._-/#".contains(c);
        if !(1..=MAX_NAME_CHARS).contains(&name.chars().count()) || !name.chars().all(known) {
            return Err(invalid(format!("Invalid log group name: {name:?}")));
        }
        let now = self.clock.now();
        let new = self.db.transact(|tx| store::create_group(tx, name, now))?;
        if new { Ok(Empty {}) } else { Err(exists("The specified log group already exists")) }
    }

    pub(super) fn create_log_stream(&self, request: &CreateLogStream) -> Result<Empty, AwsError> {
        let name = &request.log_stream_name;
        if !(1..=MAX_NAME_CHARS).contains(&name.chars().count()) || name.contains([':', '*']) {
            return Err(invalid(format!("Invalid log stream name: {name:?}")));
        }
        let now = self.clock.now();
        let new = self.db.transact(|tx| {
            store::require_group(tx, &request.log_group_name)?;
            store::create_stream(tx, &request.log_group_name, name, now)
        })?;
        if new { Ok(Empty {}) } else { Err(exists("The specified log stream already exists")) }
    }

    pub(super) fn put_log_events(&self, request: &PutLogEvents) -> Result<PutLogEventsResponse, AwsError> {
        check_batch(&request.log_events)?;
        let now = self.clock.now();
        let accepted = Accepted::of(&request.log_events, now)?;
        let events = request.log_events.get(accepted.from..accepted.to).unwrap_or_default();
        self.db.transact(|tx| {
            let stream = store::stream(tx, &request.log_group_name, &request.log_stream_name)?;
            store::insert(tx, stream, events.iter().map(|event| (event.timestamp, event.message.as_str())), now)
        })?;
        Ok(accepted.answer(request.log_events.len()))
    }
}

fn check_batch(events: &[InputLogEvent]) -> Result<(), AwsError> {
    if !(1..=MAX_BATCH_EVENTS).contains(&events.len()) {
        return Err(invalid(format!("logEvents must have between 1 and {MAX_BATCH_EVENTS} events")));
    }
    if events.iter().any(|event| event.message.is_empty() || event.timestamp < 0) {
        return Err(invalid("Log event message must not be empty, and its timestamp must not be negative."));
    }
    if !events.is_sorted_by_key(|event| event.timestamp) {
        return Err(invalid("Log events in a single PutLogEvents request must be in chronological order."));
    }
    let bytes: usize = events.iter().map(|event| event.message.len() + EVENT_OVERHEAD_BYTES).sum();
    if bytes > MAX_BATCH_BYTES {
        return Err(invalid(format!("Upload too large: {bytes} bytes exceeds limit of {MAX_BATCH_BYTES}")));
    }
    Ok(())
}

/// The events of a batch that are neither too old nor too new.
#[derive(Debug)]
struct Accepted {
    from: usize,
    to: usize,
}

impl Accepted {
    fn of(events: &[InputLogEvent], now: Timestamp) -> Result<Self, AwsError> {
        let hours_on = |hours: i64| {
            let at = now.checked_add(hours.hours()).map_err(|why| AwsError::internal(why.to_string()))?;
            Ok::<_, AwsError>(at.as_millisecond())
        };
        let (oldest, newest) = (hours_on(-OLDEST_HOURS)?, hours_on(NEWEST_HOURS)?);
        Ok(Self {
            from: events.partition_point(|event| event.timestamp < oldest),
            to: events.partition_point(|event| event.timestamp <= newest),
        })
    }

    fn answer(&self, events: usize) -> PutLogEventsResponse {
        let rejected = RejectedLogEventsInfo {
            too_old_log_event_end_index: Some(self.from).filter(|from| *from > 0),
            too_new_log_event_start_index: Some(self.to).filter(|to| *to < events),
        };
        let any = self.from > 0 || self.to < events;
        PutLogEventsResponse { rejected_log_events_info: any.then_some(rejected) }
    }
}

fn exists(what: &str) -> AwsError {
    AwsError::bad_request("ResourceAlreadyExistsException", what)
}
