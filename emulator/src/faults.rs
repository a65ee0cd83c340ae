//! Faults in AWS calls. A fault is data, which is armed, listed and cleared at `/_local/faults` on the AWS port.
//!
//! ```json
//! {"on": "dynamodb:PutItem", "does": "cutAfter", "by": "longhaul-sync", "execution": "ID", "skip": 1, "times": 2}
//! ```
//!
//! - `on` selects operations: `service:Operation`, `service:*` or `*`. The services are `dynamodb`, `ecs`, `eventbridge`, `lambda`,
//!   `logs` and `s3`. A fault for an operation that the emulator does not support is refused. `events:Detail Type`, as in
//!   `events:ECS Task State Change`, and `events:*` select events on their way to their targets, which are not calls: `*` does not match
//!   them.
//! - `does` says what happens to them: `throttle`, `fail` (500), `{"refuse": CODE}` (400; S3 has its own
//!   statuses), `{"answer": BODY}` (200; for S3, the body is a string; whatever
//!   the service would have done), `{"delay": SECONDS}`, `hang`, `cutBefore` and `cutAfter` (the connection is closed before
//!   or after the call takes effect, so that the reply is lost), `repeat` (the call takes effect twice), `killBefore` and `killAfter`
//!   (its caller is killed), `watch` (nothing). `cutBefore` loses an event, `repeat` duplicates it.
//! - `by` selects callers: a function's name, `task`, `api`, or one access key of [`crate::callers`].
//! - `execution` selects an execution: calls of its durable function or its task, and calls that name it or its task. Its id has to occur
//!   as a whole: a fault for `e1` hits calls about `e1` and `e1-2`, but not about `e10`. Of a call of S3, only the URL is read.
//! - The first `skip` matching calls pass. The next `times` (1, or `"all"`) are hit, each with the probability `chance`, determined by
//!   `seed`: the same seed makes the same choices.
//!
//! `POST /_local/faults` arms a fault and returns its id. `GET /_local/faults` lists them, with how many calls each has `seen`, how many
//! it has `hit`, and the most recent ones. `DELETE /_local/faults` clears them all; `/_local/faults/ID` is a single one.
//! `POST /_local/kill` with `by` and `execution` kills matching callers now (404 if none is running), and `POST /_local/clock` with
//! `{"forward": SECONDS}` moves the clock: see [`crate::clock`].
//!
//! Every fault that matches a call counts it. If several are due to hit it, the one that was armed first decides; faults that only watch
//! never decide. Clearing a fault releases the calls that it holds: delayed calls continue, and the connections of calls that hang are
//! closed. Faults are kept in memory, so a restart of the emulator clears them.

mod about;
mod admin;
mod call;
mod fault;
mod serve;

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use fastrand::Rng;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use tokio::sync::watch;

use self::{
    about::names,
    call::Call,
    fault::{Does, Fault, Times, seconds},
};
use crate::callers;

pub(crate) use admin::Refused;
pub(crate) use serve::Endpoints;

/// How many of the most recent calls that a fault matched are kept.
const CALLS_KEPT: usize = 2_000;

/// The armed faults. Clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Faults(Arc<Mutex<ArmedFaults>>);

#[derive(Debug, Default)]
struct ArmedFaults {
    armed: Vec<Armed>,
    /// How many have ever been armed.
    count: u64,
}

/// A fault, and what it has done so far.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Armed {
    id: u64,
    #[serde(flatten)]
    fault: Fault,
    seen: u64,
    hit: u64,
    calls: VecDeque<Seen>,
    #[serde(skip)]
    random: Rng,
    /// Becomes `true` when the fault is cleared, which releases the calls that it holds.
    #[serde(skip)]
    cleared: watch::Sender<bool>,
}

/// What happens to a call, and which fault decided that.
#[derive(Debug)]
pub(crate) struct Decision {
    pub(crate) does: Does,
    cleared: watch::Receiver<bool>,
}

impl Decision {
    /// Waits until the fault is cleared.
    pub(crate) async fn cleared(&mut self) {
        // An error means that the fault was dropped, which also clears it.
        let _ = self.cleared.wait_for(|cleared| *cleared).await;
    }
}

/// A call that a fault matches.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Seen {
    at: Timestamp,
    call: String,
    by: String,
    hit: bool,
}

impl Armed {
    fn new(id: u64, fault: Fault) -> Self {
        let random = Rng::with_seed(fault.seed);
        Self { id, fault, seen: 0, hit: 0, calls: VecDeque::new(), random, cleared: watch::Sender::default() }
    }

    fn fits(&self, call: &Call, about: &impl Fn(&str) -> bool) -> bool {
        let Fault { on, by, execution, .. } = &self.fault;
        on.includes(call)
            && by.as_ref().is_none_or(|by| callers::is_called(&call.by, by))
            && execution.as_ref().is_none_or(|execution| about(execution))
    }

    /// Counts a matching call. Returns whether the fault hits it.
    fn counts(&mut self) -> bool {
        self.seen += 1;
        if self.seen <= self.fault.skip || matches!(self.fault.times, Times::Some(times) if self.hit >= times) {
            return false;
        }
        self.fault.chance.is_none_or(|chance| self.random.f64() < chance)
    }

    fn note(&mut self, call: &Call, hit: bool, at: Timestamp) {
        self.hit += u64::from(hit);
        if self.calls.len() == CALLS_KEPT {
            self.calls.pop_front();
        }
        self.calls.push_back(Seen { at, call: call.to_string(), by: call.by.clone(), hit });
    }
}

impl Faults {
    /// What happens to a call; `None` if no fault hits it. `about` says whether the call is about an execution.
    pub(crate) fn meet(&self, call: &Call, about: impl Fn(&str) -> bool, now: Timestamp) -> Option<Decision> {
        let mut decision = None;
        for armed in &mut self.lock().armed {
            if !armed.fits(call, &about) {
                continue;
            }
            let turn = armed.counts();
            let watches = armed.fault.does == Does::Watch;
            let hit = turn && (watches || decision.is_none());
            armed.note(call, hit, now);
            if hit && !watches {
                decision = Some(Decision { does: armed.fault.does.clone(), cleared: armed.cleared.subscribe() });
            }
        }
        decision
    }

    /// When an event that is sent now arrives: never, late, once or twice.
    pub(crate) fn arrivals(&self, detail_type: &str, event: &Value, now: Timestamp) -> Vec<Timestamp> {
        if self.is_empty() {
            return vec![now];
        }
        let call = Call::event(detail_type);
        let text = event.to_string();
        match self.meet(&call, |execution| names(&text, execution), now).map(|decision| decision.does) {
            Some(Does::CutBefore) => Vec::new(),
            Some(Does::Repeat) => vec![now, now],
            Some(Does::Delay(late)) => vec![now.checked_add(seconds(late)).unwrap_or(Timestamp::MAX)],
            _ => vec![now],
        }
    }

    /// Whether nothing is armed.
    pub(crate) fn is_empty(&self) -> bool {
        self.lock().armed.is_empty()
    }

    fn arm(&self, fault: Fault) -> Armed {
        let mut faults = self.lock();
        faults.count += 1;
        let armed = Armed::new(faults.count, fault);
        faults.armed.push(armed.clone());
        armed
    }

    fn list(&self) -> Vec<Armed> {
        self.lock().armed.clone()
    }

    fn clear(&self, which: impl Fn(u64) -> bool) -> usize {
        let mut faults = self.lock();
        let before = faults.armed.len();
        faults.armed.retain(|armed| {
            let clear = which(armed.id);
            if clear {
                armed.cleared.send_replace(true);
            }
            !clear
        });
        before - faults.armed.len()
    }

    fn lock(&self) -> MutexGuard<'_, ArmedFaults> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{call::Of, *};
    use crate::dynamodb;

    fn armed(faults: &[Value]) -> Faults {
        let all = Faults::default();
        for fault in faults {
            all.arm(Fault::read(fault.to_string().as_bytes()).unwrap());
        }
        all
    }

    fn put(faults: &Faults, by: &str) -> Option<Does> {
        let call = Call { of: Of::Operation(&dynamodb::FACTS, "PutItem".to_owned()), by: by.to_owned() };
        faults.meet(&call, |execution| execution == "e1", Timestamp::UNIX_EPOCH).map(|decision| decision.does)
    }

    #[test]
    fn skipped_calls_pass_and_the_next_ones_are_hit() {
        let faults = armed(&[json!({ "on": "dynamodb:PutItem", "does": "fail", "skip": 1, "times": 2 })]);
        let met: Vec<_> = (0..5).map(|_| put(&faults, "").is_some()).collect();
        assert_eq!(met, [false, true, true, false, false]);
        let list = faults.list();
        assert_eq!((list[0].seen, list[0].hit, list[0].calls.len()), (5, 2, 5));
        assert_eq!((faults.clear(|id| id == 1), faults.is_empty()), (1, true));
    }

    #[test]
    fn a_fault_hits_only_matching_calls() {
        for other in [
            json!({ "on": "dynamodb:GetItem", "does": "fail" }),
            json!({ "on": "ecs:*", "does": "fail" }),
            json!({ "on": "events:*", "does": "cutBefore" }),
            json!({ "on": "*", "by": "task", "does": "fail" }),
            json!({ "on": "*", "execution": "e2", "does": "fail" }),
            json!({ "on": "*", "times": 0, "does": "fail" }),
            json!({ "on": "*", "does": "watch" }),
        ] {
            assert_eq!(put(&armed(std::slice::from_ref(&other)), "api"), None, "{other}");
        }
        for this in [
            json!({ "on": "*", "does": "fail" }),
            json!({ "on": "dynamodb:*", "by": "api", "execution": "e1", "does": "fail", "times": "all" }),
        ] {
            assert_eq!(put(&armed(std::slice::from_ref(&this)), "api"), Some(Does::Fail), "{this}");
        }
    }

    #[test]
    fn an_event_about_an_execution_whose_id_only_begins_alike_arrives() {
        let lost = json!({ "on": "events:Run", "does": "cutBefore", "times": "all", "execution": "e1" });
        let faults = armed(&[lost]);
        let arrivals = |id: &str| {
            let event = json!({ "detail-type": "Run", "detail": { "startedBy": id } });
            faults.arrivals("Run", &event, Timestamp::UNIX_EPOCH).len()
        };
        assert_eq!((arrivals("e1"), arrivals("e1-2"), arrivals("e10"), arrivals("the1")), (0, 0, 1, 1));
    }

    #[test]
    fn of_several_faults_the_first_decides_and_all_count() {
        let faults = armed(&[
            json!({ "on": "*", "does": "watch", "times": "all" }),
            json!({ "on": "*", "does": "fail" }),
            json!({ "on": "*", "does": "hang", "skip": 1 }),
        ]);
        let met: Vec<_> = (0..3).map(|_| put(&faults, "")).collect();
        assert_eq!(met, [Some(Does::Fail), Some(Does::Hang), None]);
        assert_eq!(
            faults.list().iter().map(|armed| (armed.seen, armed.hit)).collect::<Vec<_>>(),
            [(3, 3), (3, 1), (3, 1)]
        );
    }

    #[test]
    fn the_same_seed_makes_the_same_choices() {
        let choices = |seed: u64| {
            let fault = json!({ "on": "*", "does": "fail", "times": "all", "chance": 0.5, "seed": seed });
            let faults = armed(&[fault]);
            (0..64).map(|_| put(&faults, "").is_some()).collect::<Vec<_>>()
        };
        assert_eq!(choices(7), choices(7));
        assert_ne!(choices(7), choices(8));
        let hits = choices(7).iter().filter(|hit| **hit).count();
        assert!((16..48).contains(&hits), "{hits} of 64");
    }
}
