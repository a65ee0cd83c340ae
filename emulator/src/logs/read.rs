//! Reading events: a stream page by page in both directions, and a group's streams together.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{
    Logs,
    answers::{FilterLogEventsResponse, FilteredLogEvent, GetLogEventsResponse, OutputLogEvent},
    filter::Filter,
    position::{Position, Token, invalid_token},
    request::{FilterLogEvents, GetLogEvents, invalid},
    store::{self, Event, Span, Stream},
};
use crate::wire::AwsError;

/// The maximum number of events in a response, and its size
/// (<https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_GetLogEvents.html>).
const MAX_EVENTS: usize = 10_000;
const MAX_BYTES: usize = 1024 * 1024;

/// The size of an event in addition to its message, in every limit of CloudWatch Logs
/// (<https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html>).
pub(super) const EVENT_OVERHEAD_BYTES: usize = 26;

/// How many events are examined for one response of `FilterLogEvents`. AWS has such a limit too: it then returns few events or none,
/// and a token to continue.
const MAX_SEARCHED: usize = 100_000;

/// The maximum number of streams that `FilterLogEvents` accepts by name.
const MAX_STREAM_NAMES: usize = 100;

/// The events of one response, as many as fit. The first always fits, because an event is smaller than a response may be.
#[derive(Debug)]
struct Page {
    events: Vec<Event>,
    limit: usize,
    bytes: usize,
}

impl Page {
    fn new(limit: Option<usize>) -> Result<Self, AwsError> {
        let limit = limit.unwrap_or(MAX_EVENTS);
        if !(1..=MAX_EVENTS).contains(&limit) {
            return Err(invalid(format!("limit must be between 1 and {MAX_EVENTS}")));
        }
        Ok(Self { events: Vec::new(), limit, bytes: 0 })
    }

    /// Adds an event, and returns whether it fits.
    fn take(&mut self, event: Event) -> bool {
        self.bytes += event.message.len() + EVENT_OVERHEAD_BYTES;
        let fits = self.events.len() < self.limit && (self.bytes <= MAX_BYTES || self.events.is_empty());
        if fits {
            self.events.push(event);
        }
        fits
    }
}

impl Logs {
    /// The newest lines of a stream from a time on, as many as fit into one response.
    pub(crate) fn newest_lines(&self, group: &str, stream: &str, from: Timestamp) -> Result<Vec<String>, AwsError> {
        let (span, mut page) = (times(Some(from.as_millisecond()), None), Page::new(None)?);
        self.db.transact(|tx| {
            let stream = store::stream(tx, group, stream)?;
            store::walk_stream(tx, stream, span, true, |event| page.take(event))
        })?;
        Ok(page.events.into_iter().rev().map(|event| event.message).collect())
    }

    pub(super) fn get_log_events(&self, request: &GetLogEvents) -> Result<GetLogEventsResponse, AwsError> {
        let token = request.next_token.as_deref().map(Token::parse).transpose()?;
        let (span, newest_first) =
            window(request.start_time, request.end_time, token, request.start_from_head.unwrap_or(false));
        let mut page = Page::new(request.limit)?;
        self.db.transact(|tx| {
            let stream = store::stream(tx, request.group.name()?, &request.log_stream_name)?;
            store::walk_stream(tx, stream, span, newest_first, |event| page.take(event))
        })?;
        if newest_first {
            page.events.reverse();
        }
        let (forward, backward) = around(&page.events, token);
        let events = page.events.into_iter().map(|event| OutputLogEvent {
            timestamp: event.position.at_ms,
            message: event.message,
            ingestion_time: event.ingested_ms,
        });
        Ok(GetLogEventsResponse {
            events: events.collect(),
            next_forward_token: forward.text(),
            next_backward_token: backward.text(),
        })
    }

    pub(super) fn filter_log_events(&self, request: &FilterLogEvents) -> Result<FilterLogEventsResponse, AwsError> {
        let filter = Filter::parse(request.filter_pattern.as_deref().unwrap_or_default())?;
        let mut span = times(request.start_time, request.end_time);
        if let Some(token) = &request.next_token {
            span.from = span.from.max(Position::of_event_id(token).ok_or_else(invalid_token)?);
        }
        let mut page = Page::new(request.limit)?;
        let mut searched = Searched::default();
        let names = self.db.transact(|tx| {
            let names = chosen(request, store::streams(tx, request.group.name()?)?)?;
            let look = |event: Event| {
                if searched.events == MAX_SEARCHED {
                    searched.more = true;
                    return false;
                }
                let position = event.position;
                let wanted = names.contains_key(&event.stream) && filter.passes(&event.message);
                if wanted && !page.take(event) {
                    searched.more = true;
                    return false;
                }
                searched.events += 1;
                searched.up_to = position;
                true
            };
            match only(&names) {
                Some(stream) => store::walk_stream(tx, stream, span, false, look)?,
                None => store::walk_all(tx, span, look)?,
            }
            Ok::<_, AwsError>(names)
        })?;
        let events = page.events.into_iter().map(|event| FilteredLogEvent {
            log_stream_name: names.get(&event.stream).cloned().unwrap_or_default(),
            timestamp: event.position.at_ms,
            message: event.message,
            ingestion_time: event.ingested_ms,
            event_id: event.position.event_id(),
        });
        Ok(FilterLogEventsResponse {
            events: events.collect(),
            searched_log_streams: [],
            next_token: searched.more.then(|| searched.up_to.event_id()),
        })
    }
}

/// How far a search went.
#[derive(Debug, Default)]
struct Searched {
    events: usize,
    up_to: Position,
    more: bool,
}

/// `startTime` is included and `endTime` is excluded. A [`Span`] excludes both of its ends, but no event has the number 0.
fn times(start_ms: Option<i64>, end_ms: Option<i64>) -> Span {
    let edge = |at_ms| Position { at_ms, id: 0 };
    Span { from: start_ms.map_or_else(Position::default, edge), to: end_ms.map_or(Position::END, edge) }
}

/// What to read of a stream, and whether to start with the newest event. A token contains the direction.
fn window(start_ms: Option<i64>, end_ms: Option<i64>, token: Option<Token>, from_head: bool) -> (Span, bool) {
    let span = times(start_ms, end_ms);
    match token {
        None => (span, !from_head),
        Some(Token::Forward(last)) => (Span { from: span.from.max(last), ..span }, false),
        Some(Token::Backward(first)) => (Span { to: span.to.min(first), ..span }, true),
    }
}

/// The tokens of the pages after and before this one. If the page is empty, the request has reached an end of the stream. It then gets its
/// own token again, and a token for the opposite direction, whose page begins with the event that the request's token names.
fn around(events: &[Event], token: Option<Token>) -> (Token, Token) {
    match (events, token) {
        ([first, .., last], _) => (Token::Forward(last.position), Token::Backward(first.position)),
        ([only], _) => (Token::Forward(only.position), Token::Backward(only.position)),
        ([], Some(Token::Forward(last))) => (Token::Forward(last), Token::Backward(last.after())),
        ([], Some(Token::Backward(first))) => (Token::Forward(first.before()), Token::Backward(first)),
        ([], None) => (Token::Forward(Position::default()), Token::Backward(Position::default())),
    }
}

/// The streams of a search, by number.
fn chosen(request: &FilterLogEvents, streams: Vec<Stream>) -> Result<BTreeMap<i64, String>, AwsError> {
    let wanted = |name: &str| match (&request.log_stream_names, &request.log_stream_name_prefix) {
        (Some(names), _) => names.iter().any(|wanted| wanted == name),
        (None, Some(prefix)) => name.starts_with(prefix.as_str()),
        (None, None) => true,
    };
    if let Some(names) = &request.log_stream_names {
        if request.log_stream_name_prefix.is_some() {
            return Err(invalid("logStreamNames and logStreamNamePrefix cannot be used together."));
        }
        if !(1..=MAX_STREAM_NAMES).contains(&names.len()) {
            return Err(invalid(format!("logStreamNames must have between 1 and {MAX_STREAM_NAMES} names")));
        }
        if names.iter().any(|name| streams.iter().all(|stream| stream.name != *name)) {
            let why = "The specified log stream does not exist.";
            return Err(AwsError::bad_request("ResourceNotFoundException", why));
        }
    }
    let chosen = streams.into_iter().filter(|stream| wanted(&stream.name));
    Ok(chosen.map(|stream| (stream.id, stream.name)).collect())
}

/// The stream of a search, if it searches only one.
fn only(streams: &BTreeMap<i64, String>) -> Option<i64> {
    let mut numbers = streams.keys();
    numbers.next().copied().filter(|_| numbers.next().is_none())
}
