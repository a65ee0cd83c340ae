//! Lists of executions, newest first: what an entry shows, how they are filtered, and where a list continues.
//!
//! An owner's executions are kept in several parts, so that no part is hot. A page is merged from all of them.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::{Attempt, BatchId, ExecutionId, JobError, Json, Pattern, Status, execution::kept_until};

/// What a list shows of an execution: everything except what may be large and what only a poll returns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Its id.
    pub id: ExecutionId,
    /// How the end of its job is recorded.
    pub pattern: Pattern,
    /// Its state.
    pub status: Status,
    /// Name of its job.
    pub job: String,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// The attempt of its newest task.
    pub attempt: Option<Attempt>,
    /// How many attempts it may have in total.
    pub max_attempts: u32,
    /// When its newest task was started.
    pub started_at: Option<Timestamp>,
    /// When its job ended.
    pub finished_at: Option<Timestamp>,
    /// Exit code of its job.
    pub exit_code: Option<i32>,
    /// When its job must have ended.
    pub deadline: Timestamp,
    /// When it is deleted; [`crate::NEVER`] while it is not over.
    pub expires_at: Timestamp,
    /// The caller's own labels.
    pub tags: BTreeMap<String, String>,
    /// The execution of which this one is a rerun.
    pub rerun_of: Option<ExecutionId>,
    /// The name of the schedule that started it.
    pub schedule: Option<String>,
    /// The batch that it belongs to.
    pub batch: Option<BatchId>,
}

impl Summary {
    /// When it is expected to be deleted: see [`crate::Execution::kept_until`].
    #[must_use]
    pub fn kept_until(&self) -> Timestamp {
        kept_until(self.expires_at, self.deadline)
    }
}

/// An execution's outcome, which a list shows on request.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Included {
    /// The job's result, if it has one.
    pub result: Option<Json>,
    /// Why it did not complete.
    pub error: Option<JobError>,
}

/// Which executions a list contains; all of them by default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only those in this state.
    pub status: Option<Status>,
    /// Only those of this pattern.
    pub pattern: Option<Pattern>,
    /// Only those of this job.
    pub job: Option<String>,
    /// Only those with this tag, and this value of it if one is given.
    pub tag: Option<(String, Option<String>)>,
    /// Only those that this schedule started.
    pub schedule: Option<String>,
    /// Only those of this batch.
    pub batch: Option<BatchId>,
    /// Only those accepted after this time.
    pub created_after: Option<Timestamp>,
    /// Only those accepted before this time.
    pub created_before: Option<Timestamp>,
}

impl Filter {
    /// Whether it filters by anything other than times. Times determine where reading begins and ends. Any other filter has to examine each
    /// execution in between.
    #[must_use]
    pub fn needs_search(&self) -> bool {
        self.status.is_some()
            || self.pattern.is_some()
            || self.job.is_some()
            || self.tag.is_some()
            || self.schedule.is_some()
    }

    fn wants(&self, summary: &Summary) -> bool {
        // A key may contain a `=` too.
        let tagged = |(key, value): &(String, Option<String>)| match value {
            None => summary.tags.contains_key(key),
            Some(value) => {
                let text = format!("{key}={value}");
                let is_it = |(key, value): (&String, &String)| *key == text || format!("{key}={value}") == text;
                summary.tags.iter().any(is_it)
            }
        };
        self.status.is_none_or(|status| status == summary.status)
            && self.pattern.is_none_or(|pattern| pattern == summary.pattern)
            && self.job.as_ref().is_none_or(|job| *job == summary.job)
            && self.tag.as_ref().is_none_or(tagged)
            && self.schedule.as_ref().is_none_or(|schedule| summary.schedule.as_ref() == Some(schedule))
            && self.created_after.is_none_or(|after| summary.created_at > after)
            && self.created_before.is_none_or(|before| summary.created_at < before)
    }
}

/// A place in a list: by time, and by id within a millisecond. A list runs from the largest place to the smallest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// When the execution at this place was accepted, to the millisecond.
    pub at: Timestamp,
    /// Its id.
    pub id: ExecutionId,
}

impl Summary {
    fn place(&self) -> Place {
        Place { at: self.created_at, id: self.id.clone() }
    }
}

/// What was read from one part of an owner's executions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Part {
    /// The executions that were read, newest first.
    pub read: Vec<Summary>,
    /// How far the part was read, if there is more.
    pub up_to: Option<Place>,
}

/// A page of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// The executions on it, newest first. There may be fewer than were requested, or none, although the list continues: a page
    /// examines a limited number of executions, and a filter may reject most of them.
    pub found: Vec<Summary>,
    /// Where the list continues, if it does.
    pub next: Option<Place>,
}

impl Page {
    /// Merges a page of at most `size` executions from what was read of each part. Leaves out executions that have expired by `now`.
    #[must_use]
    pub fn merge(parts: Vec<Part>, size: usize, filter: &Filter, now: Timestamp) -> Self {
        // The unread executions of a part are older than its `up_to`. The page ends at the newest of these places, so that it skips no
        // unread execution.
        let all_read = parts.iter().filter_map(|part| part.up_to.clone()).max();
        let read = parts.into_iter().flat_map(|part| part.read);
        let told = |summary: &Summary| all_read.as_ref().is_none_or(|up_to| summary.place() >= *up_to);
        let mut told: Vec<_> = read.filter(told).map(|summary| (summary.place(), summary)).collect();
        told.sort_by(|(one, _), (other, _)| other.cmp(one));
        let mut page = Self { found: Vec::new(), next: all_read };
        let mut last = None;
        for (place, summary) in told {
            if page.found.len() == size {
                page.next = last;
                break;
            }
            last = Some(place);
            if filter.wants(&summary) && summary.expires_at > now {
                page.found.push(summary);
            }
        }
        page
    }

    /// Ends the page after its first `count` executions; the list continues with the next one.
    pub fn cut(&mut self, count: usize) {
        if let Some(last) = count.checked_sub(1).and_then(|last| self.found.get(last)).map(Summary::place)
            && count < self.found.len()
        {
            self.found.truncate(count);
            self.next = Some(last);
        }
    }
}

#[cfg(test)]
mod tests;
