//! What a caller may change of an execution before its start time.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest as _, Sha256};

use crate::{Execution, Moment, Refused, Request, Start, State, Violation, execution, limits};

/// Changes of an execution that is SCHEDULED. What is absent stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// The new start time. One that has passed means at once.
    pub start: Option<Timestamp>,
    /// The new latest start.
    pub start_before: Option<LatestStart>,
    /// The new tags.
    pub tags: Option<BTreeMap<String, String>>,
}

/// Until when a task must have been started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LatestStart {
    /// At any time.
    None,
    /// Until this time.
    At(Timestamp),
}

impl LatestStart {
    fn time(self) -> Option<Timestamp> {
        match self {
            Self::None => None,
            Self::At(time) => Some(time),
        }
    }
}

/// How much longer than the longest job a workflow may run that was started before its execution was moved. A durable execution may run a
/// day longer than the longest job.
const MARGIN: SignedDuration = SignedDuration::from_hours(1);

impl Execution {
    /// The execution after these changes, made at `at`; `None` if they change nothing. Moving it keeps the length of its timeout.
    ///
    /// # Errors
    ///
    /// [`Refused`] if it is not SCHEDULED, or if its workflow could not run for long enough.
    pub fn changed(&self, changes: &Changes, at: Timestamp) -> Result<Option<Self>, Refused> {
        let refused = |why| Refused { from: self.status(), event: "Changed", why };
        let State::Scheduled { .. } = self.state else { return Err(refused("it is not SCHEDULED")) };
        let mut next = self.clone();
        if let Some(start) = changes.start {
            next.move_to(start.max(at), at);
        }
        if let Some(latest) = changes.start_before {
            next.start_before = latest.time();
        }
        if let Some(tags) = changes.tags.as_ref().filter(|tags| **tags != self.request.tags) {
            next.first_tags.get_or_insert_with(|| digest(&self.request.tags));
            next.request.tags.clone_from(tags);
        }
        if next == *self {
            return Ok(None);
        }
        if next.scheduled_for != self.scheduled_for && next.outlives_its_workflow() {
            return Err(refused("its workflow cannot run for long enough"));
        }
        next.version += 1;
        Ok(Some(next))
    }

    fn move_to(&mut self, start: Timestamp, at: Timestamp) {
        if self.scheduled_for == Some(start) {
            return;
        }
        self.scheduled_for = Some(start);
        self.deadline = execution::deadline(start, self.request.timeout);
        self.due = Some(execution::first_visit(self.scheduled_for, at));
        self.timeline.push(at, Moment::Scheduled, Some(execution::scheduled(start)));
    }

    /// Whether its deadline is later than its workflow, which has begun, can run.
    fn outlives_its_workflow(&self) -> bool {
        if self.durable_execution_arn.is_none() {
            return false;
        }
        let began = self.timeline.entries().iter().find(|entry| entry.what == Moment::WorkflowStarted);
        let began = began.map_or(self.created_at, |entry| entry.at);
        let most = SignedDuration::try_from(limits::TIMEOUT).unwrap_or(SignedDuration::MAX).saturating_add(MARGIN);
        self.deadline.duration_since(began) > most
    }

    /// What is wrong with changes that are requested at `now`.
    #[must_use]
    pub fn violations_of(&self, changes: &Changes, now: Timestamp) -> Vec<Violation> {
        let start = changes.start.or(self.scheduled_for).unwrap_or(now).max(now);
        let latest = changes.start_before.map_or(self.start_before, LatestStart::time);
        let tags = changes.tags.clone().unwrap_or_default();
        let request = Request { start: Some(Start::At(start)), start_before: latest, tags, ..self.request.clone() };
        let mut found = Vec::new();
        if changes.start.is_some() || changes.start_before.is_some() {
            found.extend(request.violations_at(now).into_iter().map(|violation| match &*violation.pointer {
                "/startBefore" if changes.start_before.is_none() => Violation {
                    pointer: "/startAt".into(),
                    detail: format!(
                        "is {start:.3}, which does not fit the `startBefore` of the execution; change both"
                    ),
                    ..violation
                },
                _ => violation,
            }));
        }
        let mut moved = self.clone();
        moved.move_to(start, now);
        if changes.start.is_some() && moved.outlives_its_workflow() {
            let detail = "is too late for the workflow of the execution, which has begun and can only run 366 days; cancel the \
                          execution and start another one";
            found.push(Violation { pointer: "/startAt".into(), detail: detail.into(), rule: "start-out-of-range" });
        }
        if changes.tags.is_some() {
            found.extend(request.violations().into_iter().filter_map(|violation| match &*violation.pointer {
                "/input" => Some(Violation { pointer: "/tags".into(), ..violation }),
                pointer if pointer.starts_with("/tags") => Some(violation),
                _ => None,
            }));
        }
        found
    }

    /// The members of a request's body that differ from those with which this execution was started, by name. Later changes do not count.
    #[must_use]
    pub fn differences(&self, request: &Request) -> Vec<&'static str> {
        const TAGS: &str = "tags";
        let mut different = self.request.differences(request);
        if let Some(first) = &self.first_tags {
            different.retain(|name| *name != TAGS);
            if digest(&request.tags) != *first {
                different.push(TAGS);
            }
        }
        different
    }
}

/// Identifies tags, so that an execution does not have to keep those that were changed.
fn digest(tags: &BTreeMap<String, String>) -> String {
    let mut hash = Sha256::new();
    for text in tags.iter().flat_map(|(key, value)| [key, value]) {
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text.as_bytes());
    }
    format!("{:x}", hash.finalize())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{Event, Json, Owner, Pattern};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn tags(value: &str) -> BTreeMap<String, String> {
        BTreeMap::from([("team".to_owned(), value.to_owned())])
    }

    /// Accepted at second 0, to start at 10,000.
    fn scheduled(timeout: Duration) -> Execution {
        let start = Some(Start::At(at(10_000)));
        let request = Request { start, start_before: Some(at(20_000)), timeout, ..Request::of(Json::null()) };
        let request = Request { tags: tags("blue"), ..request };
        Execution::new("e1".parse().unwrap(), Pattern::Sync, Owner::new("ada"), request, at(0))
    }

    fn moved(to: i64) -> Changes {
        Changes { start: Some(at(to)), ..Changes::default() }
    }

    #[test]
    fn a_move_keeps_the_timeout_and_sets_the_next_visit() {
        let scheduled = scheduled(Duration::from_mins(1));
        assert_eq!((scheduled.deadline, scheduled.due), (at(10_060), Some(at(9_880))));
        for (to, start, due) in [(15_000, 15_000, 14_880), (150, 150, 160), (1, 100, 160)] {
            let next = scheduled.changed(&moved(to), at(100)).unwrap().unwrap();
            assert_eq!((next.scheduled_for, next.deadline), (Some(at(start)), at(start + 60)));
            assert_eq!((next.due, next.version), (Some(at(due)), 2), "{to}");
            assert_eq!(next.changed(&moved(to), at(100)), Ok(None), "a repeat");
        }
        assert_eq!(scheduled.changed(&Changes::default(), at(100)), Ok(None));
        assert_eq!(scheduled.changed(&moved(10_000), at(100)), Ok(None));
        let due = scheduled.after(&Event::Due, at(10_000)).unwrap().unwrap();
        assert!(due.changed(&moved(11_000), at(10_001)).is_err());
    }

    #[test]
    fn a_repeat_is_compared_with_the_request_as_it_was() {
        let scheduled = scheduled(Duration::from_mins(1));
        let request = scheduled.request.clone();
        let changes =
            Changes { start: Some(at(15_000)), start_before: Some(LatestStart::None), tags: Some(tags("red")) };
        let once = scheduled.changed(&changes, at(100)).unwrap().unwrap();
        assert_eq!((once.start_before, &once.request.tags), (None, &tags("red")));
        let back = Changes { tags: Some(BTreeMap::new()), ..Changes::default() };
        let twice = once.changed(&back, at(101)).unwrap().unwrap();
        for changed in [once, twice] {
            assert_eq!(changed.differences(&request), [""; 0]);
            assert_eq!(changed.differences(&Request { tags: tags("red"), ..request.clone() }), ["tags"]);
        }
    }

    #[test]
    fn a_workflow_that_has_begun_limits_how_far_an_execution_is_moved() {
        let scheduled = scheduled(limits::TIMEOUT);
        let changes = Changes { start_before: Some(LatestStart::None), ..moved(20_000) };
        assert_eq!(scheduled.violations_of(&changes, at(9_900)), []);
        let event = Event::WorkflowStarted { durable_execution_arn: "arn".into(), log: None };
        let begun = scheduled.after(&event, at(9_900)).unwrap().unwrap();
        let soon = Changes { start: Some(at(9_900 + 3_600)), ..changes.clone() };
        assert_eq!(begun.violations_of(&soon, at(9_900)), []);
        assert!(begun.changed(&soon, at(9_900)).unwrap().is_some());
        let found = begun.violations_of(&changes, at(9_900));
        assert_eq!(
            found.iter().map(|one| (&*one.pointer, one.rule)).collect::<Vec<_>>(),
            [("/startAt", "start-out-of-range")]
        );
        assert!(begun.changed(&changes, at(9_900)).is_err());
    }

    #[test]
    fn changes_are_checked_like_a_request() {
        let scheduled = scheduled(Duration::from_mins(1));
        let pointers = |changes: Changes| {
            let found = scheduled.violations_of(&changes, at(100));
            found.into_iter().map(|one| one.pointer).collect::<Vec<_>>()
        };
        let latest = |second| Changes { start_before: Some(LatestStart::At(at(second))), ..Changes::default() };
        assert_eq!(pointers(moved(19_999)), [""; 0]);
        assert_eq!(pointers(moved(20_000)), ["/startAt"]);
        assert_eq!(pointers(latest(10_000)), ["/startBefore"]);
        assert_eq!(pointers(latest(10_001)), [""; 0]);
        assert_eq!(pointers(Changes { tags: Some(tags("a&b")), ..Changes::default() }), ["/tags/team"]);
        assert_eq!(pointers(Changes { start: Some(at(367 * 86_400)), ..latest(367 * 86_400 + 1) }), ["/startAt"]);
    }
}
