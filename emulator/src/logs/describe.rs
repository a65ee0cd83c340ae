//! The operations that list groups and streams.

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use serde::{Deserialize, Serialize};

use super::{
    Logs,
    answers::{DescribeLogGroupsResponse, DescribeLogStreamsResponse, LogGroup, LogStream},
    position::invalid_token,
    request::{DescribeLogGroups, DescribeLogStreams, OrderBy, invalid},
    store::{self, Stream},
};
use crate::{
    identity::{ACCOUNT, REGION},
    wire::{self, AwsError},
};

/// The maximum number of groups or streams in a response.
const MAX_DESCRIBED: usize = 50;

impl Logs {
    pub(super) fn describe_log_groups(
        &self,
        request: &DescribeLogGroups,
    ) -> Result<DescribeLogGroupsResponse, AwsError> {
        let prefix = request.log_group_name_prefix.as_deref().unwrap_or_default();
        let groups = self.db.transact(store::groups)?.into_iter();
        let keyed = groups.filter(|(name, _)| name.starts_with(prefix)).map(|group| (Key::name(&group.0), group));
        let (groups, next_token) = page(keyed.collect(), request.next_token.as_deref(), request.limit)?;
        let groups = groups.into_iter().map(|(name, created_ms)| LogGroup {
            creation_time: created_ms,
            metric_filter_count: 0,
            stored_bytes: 0,
            arn: format!("{}:*", group_arn(&name)),
            log_group_arn: group_arn(&name),
            log_group_class: "STANDARD",
            log_group_name: name,
        });
        Ok(DescribeLogGroupsResponse { log_groups: groups.collect(), next_token })
    }

    pub(super) fn describe_log_streams(
        &self,
        request: &DescribeLogStreams,
    ) -> Result<DescribeLogStreamsResponse, AwsError> {
        let order = request.order_by.unwrap_or_default();
        let prefix = request.log_stream_name_prefix.as_deref();
        if order == OrderBy::LastEventTime && prefix.is_some() {
            return Err(invalid("Cannot order by LastEventTime with a logStreamNamePrefix."));
        }
        let group = request.group.name()?;
        let streams = self.db.transact(|tx| store::streams(tx, group))?.into_iter();
        let descending = request.descending.unwrap_or(false);
        let mut keyed: Vec<_> = streams
            .filter(|stream| stream.name.starts_with(prefix.unwrap_or_default()))
            .map(|stream| (Key::of(&stream, order, descending), stream))
            .collect();
        keyed.sort_by(|(a, _), (b, _)| a.compare(b));
        let (streams, next_token) = page(keyed, request.next_token.as_deref(), request.limit)?;
        let streams = streams.into_iter().map(|stream| LogStream {
            creation_time: stream.created_ms,
            first_event_timestamp: stream.first_ms,
            last_event_timestamp: stream.last_ms,
            last_ingestion_time: stream.ingested_ms,
            stored_bytes: 0,
            arn: format!("{}:log-stream:{}", group_arn(group), stream.name),
            log_stream_name: stream.name,
        });
        Ok(DescribeLogStreamsResponse { log_streams: streams.collect(), next_token })
    }
}

/// The position of a group or stream in a list. A page token contains it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Key {
    at_ms: i64,
    name: String,
    descending: bool,
}

impl Key {
    fn name(name: &str) -> Self {
        Self { at_ms: 0, name: name.to_owned(), descending: false }
    }

    fn of(stream: &Stream, order: OrderBy, descending: bool) -> Self {
        let at_ms = match order {
            OrderBy::LogStreamName => 0,
            OrderBy::LastEventTime => stream.last_ms.unwrap_or(0),
        };
        Self { at_ms, descending, ..Self::name(&stream.name) }
    }

    fn compare(&self, other: &Self) -> std::cmp::Ordering {
        let ascending = (self.at_ms, &self.name).cmp(&(other.at_ms, &other.name));
        if self.descending { ascending.reverse() } else { ascending }
    }
}

/// One page of a sorted list, and the token of the next page.
fn page<T>(
    sorted: Vec<(Key, T)>,
    token: Option<&str>,
    limit: Option<usize>,
) -> Result<(Vec<T>, Option<String>), AwsError> {
    let limit = limit.unwrap_or(MAX_DESCRIBED);
    if !(1..=MAX_DESCRIBED).contains(&limit) {
        return Err(invalid(format!("limit must be between 1 and {MAX_DESCRIBED}")));
    }
    let after: Option<Key> = match token {
        None => None,
        Some(token) => {
            let json = BASE64.decode(token).map_err(|_| invalid_token())?;
            Some(serde_json::from_slice(&json).map_err(|_| invalid_token())?)
        }
    };
    let mut left = sorted.into_iter().filter(|(key, _)| after.as_ref().is_none_or(|after| key.compare(after).is_gt()));
    let (keys, items): (Vec<_>, Vec<_>) = left.by_ref().take(limit).unzip();
    let more = left.next().is_some();
    let last = keys.last().filter(|_| more).map(wire::write).transpose()?;
    Ok((items, last.map(|json| BASE64.encode(json))))
}

fn group_arn(name: &str) -> String {
    format!("arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{name}")
}
