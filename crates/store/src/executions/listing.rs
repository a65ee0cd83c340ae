//! The index `byOwner`: an owner's executions, newest first.
//!
//! A change that a list shows is also a write to the index, about three in an execution's life. One part of an index takes 1,000
//! writes a second, and Lambda starts 300 durable executions a second. A single owner could use up one part, so there are four. A page
//! costs one `Query` of each part, of small entries, whatever the size of inputs and results. The executions of a batch have an index of
//! their own, `byBatch`, which has one part: a request that starts a batch writes to it at less than a third of this rate.
//!
//! Executions that were last written before this index existed are not in it until something changes them.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use contract::{
    keys::{OWNER_SHARDS, batch, moment, owner_shard, place, read_place},
    listed::{Counted, Listed},
    schema::{BY_BATCH, BY_OWNER, Index},
};
use domain::{
    BatchId, Owner,
    batch::Found,
    listing::{Filter, Page, Part, Place, Summary},
};
use futures_util::future::try_join_all;
use jiff::{SignedDuration, Timestamp};

use super::Executions;
use aws::CallFailed;

const CALL: &str = "dynamodb:Query";

/// How many entries of each part are examined for one page of a filtered list: 2,000 in total, about 1 MB. So a filter that matches few
/// executions takes many pages, not one endless request.
const ENTRIES_EXAMINED: usize = 500;

/// Maximum number of times that all parts are read for one page.
const MAX_READS: usize = 4;

/// How many entries are read of each part beyond its share of a page. Executions are spread over the parts at random: of the 100 executions
/// of the largest page, a part has 25 on average. It has 41 or more so rarely (binomial distribution) that only one page in a thousand
/// takes a second read.
const SPARE_ENTRIES: usize = 15;

/// The range of keys in which a list is read, both ends included.
fn range(filter: &Filter, after: Option<&Place>) -> (String, String) {
    let millisecond = SignedDuration::from_millis(1);
    // The first millisecond that begins after the time.
    let behind = |at: Timestamp| moment(at.checked_add(millisecond).unwrap_or(at));
    let low = filter.created_after.map_or_else(|| "0".to_owned(), behind);
    let before = filter.created_before.map(|at| {
        let whole = at.subsec_nanosecond() % 1_000_000 == 0;
        if whole { moment(at) } else { behind(at) }
    });
    let after = after.map(|after| place(after.at, &after.id));
    let high = [before, after].into_iter().flatten().min().unwrap_or_else(|| "~".to_owned());
    (low, high)
}

impl Executions {
    /// A page of an owner's executions, at most `size`, after a place. The index is a moment behind the table, so an execution that was
    /// just accepted may be missing.
    ///
    /// # Errors
    ///
    /// [`CallFailed`] if `DynamoDB` did not answer or refused the call.
    pub async fn list(
        &self,
        owner: &Owner,
        filter: &Filter,
        after: Option<&Place>,
        size: usize,
        now: Timestamp,
    ) -> Result<Page, CallFailed> {
        let mut page = self.read_page(owner, filter, after, size, now).await?;
        // A filtered list is read once for a page. An unfiltered list is read again if most of what was read has expired, at most
        // [`MAX_READS`] times in all.
        let reads = if filter.needs_search() { 1 } else { MAX_READS };
        for _ in 1..reads {
            let Some(next) = page.next.take_if(|_| page.found.len() < size) else { break };
            let more = self.read_page(owner, filter, Some(&next), size - page.found.len(), now).await?;
            page.found.extend(more.found);
            page.next = more.next;
        }
        Ok(page)
    }

    /// How many executions of a batch are in each state. The index is a moment behind the table. One `Query` reads 1 MB, which is a batch of
    /// 1,000 with a few short tags each; the tags of an execution can have 8 KB.
    ///
    /// # Errors
    ///
    /// [`CallFailed`] if `DynamoDB` did not answer or refused the call.
    pub async fn count_batch(&self, id: &BatchId, owner: &Owner, now: Timestamp) -> Result<Found, CallFailed> {
        let mut found = Found::default();
        let mut after = None;
        loop {
            let query = self.client.query().table_name(&self.table).index_name(BY_BATCH.name);
            let [status, expires] = Counted::ATTRIBUTES;
            let query = query
                .key_condition_expression("#hash = :hash")
                .projection_expression("#status, #expires")
                .expression_attribute_names("#hash", BY_BATCH.hash)
                .expression_attribute_names("#status", status)
                .expression_attribute_names("#expires", expires)
                .expression_attribute_values(":hash", AttributeValue::S(batch(id, owner)))
                .set_exclusive_start_key(after);
            let answer = query.send().await.map_err(|error| CallFailed::new(CALL, error))?;
            for entry in answer.items.unwrap_or_default() {
                let entry: Counted = serde_dynamo::from_item(entry).map_err(|why| CallFailed::rejected(CALL, why))?;
                if entry.has_expired(now) {
                    found.deleted += 1;
                } else {
                    *found.by_status.entry(entry.status).or_default() += 1;
                }
            }
            after = answer.last_evaluated_key;
            if after.is_none() {
                return Ok(found);
            }
        }
    }

    /// Reads every part once.
    async fn read_page(
        &self,
        owner: &Owner,
        filter: &Filter,
        after: Option<&Place>,
        size: usize,
        now: Timestamp,
    ) -> Result<Page, CallFailed> {
        let (low, high) = range(filter, after);
        // DynamoDB refuses a range that ends before it begins.
        if high < low {
            return Ok(Page::default());
        }
        let (index, parts) = match &filter.batch {
            Some(id) => (BY_BATCH, vec![batch(id, owner)]),
            None => (BY_OWNER, (0..OWNER_SHARDS).map(|number| owner_shard(owner, number)).collect()),
        };
        let share = size.min(size / parts.len() + SPARE_ENTRIES);
        let most = if filter.needs_search() { ENTRIES_EXAMINED } else { share };
        let parts = parts.into_iter().map(|part| self.part(index, part, (&low, &high), most));
        let mut parts = try_join_all(parts).await?;
        for part in &mut parts {
            part.read.retain(|summary| after.is_none_or(|after| summary.id != after.id));
        }
        Ok(Page::merge(parts, size, filter, now))
    }

    /// The newest `most` entries of a part in a range, and one more, since the first may be the entry after which the list continues.
    async fn part(
        &self,
        index: Index,
        hash: String,
        (low, high): (&str, &str),
        most: usize,
    ) -> Result<Part, CallFailed> {
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let query = self.client.query().table_name(&self.table).index_name(index.name).scan_index_forward(false);
        let query = query
            .key_condition_expression("#hash = :hash AND #created BETWEEN :low AND :high")
            .expression_attribute_names("#hash", index.hash)
            .expression_attribute_names("#created", index.sort)
            .expression_attribute_values(":hash", AttributeValue::S(hash))
            .expression_attribute_values(":low", text(low))
            .expression_attribute_values(":high", text(high))
            .limit(i32::try_from(most + 1).unwrap_or(i32::MAX));
        let answer = query.send().await.map_err(|error| CallFailed::new(CALL, error))?;
        let up_to = answer.last_evaluated_key.as_ref().and_then(|key| read_place(key.get(index.sort)?.as_s().ok()?));
        let entry = |attributes: HashMap<String, AttributeValue>| serde_dynamo::from_item::<_, Listed>(attributes);
        let read: Result<Vec<_>, _> = answer.items.unwrap_or_default().into_iter().map(entry).collect();
        let read = read.map_err(|why| CallFailed::rejected(CALL, why))?;
        // A list leaves out executions that only a newer version can read, so that one of them does not hide all others.
        Ok(Part { read: read.into_iter().filter_map(|entry| Summary::try_from(entry).ok()).collect(), up_to })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_range_excludes_its_bounds() {
        let key = |text: &str| place(at(text), &"e".parse().unwrap());
        let times = |after: &str, before: &str| {
            let filter =
                Filter { created_after: Some(at(after)), created_before: Some(at(before)), ..Filter::default() };
            range(&filter, None)
        };
        let within = |(low, high): (String, String), text: &str| low <= key(text) && key(text) <= high;
        let whole = || times("2026-01-01T00:00:01Z", "2026-01-01T00:00:02Z");
        assert!(!within(whole(), "2026-01-01T00:00:01.000Z") && within(whole(), "2026-01-01T00:00:01.001Z"));
        assert!(within(whole(), "2026-01-01T00:00:01.999Z") && !within(whole(), "2026-01-01T00:00:02.000Z"));
        let finer = || times("2026-01-01T00:00:01.0005Z", "2026-01-01T00:00:02.0005Z");
        assert!(!within(finer(), "2026-01-01T00:00:01.000Z") && within(finer(), "2026-01-01T00:00:01.001Z"));
        assert!(within(finer(), "2026-01-01T00:00:02.000Z") && !within(finer(), "2026-01-01T00:00:02.001Z"));
        let (low, high) = times("9999-01-01T00:00:00Z", "-001000-01-01T00:00:00Z");
        assert!(high < low, "{low} {high}");
    }
}
