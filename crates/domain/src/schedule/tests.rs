use jiff::SignedDuration;

use super::*;
use crate::{Json, Pattern};

/// Midnight, from which the minutes of these tests count.
const MIDNIGHT: i64 = 1_772_409_600;

fn at(minute: i64) -> Timestamp {
    Timestamp::from_second(MIDNIGHT + minute * 60).unwrap()
}

fn definition(cron: &str, overlap: Overlap) -> (Definition, Times) {
    let definition = Definition {
        cron: cron.into(),
        time_zone: "UTC".into(),
        pattern: Pattern::Sync,
        start: Json::parse(r#"{"input": 1}"#).unwrap(),
        overlap,
        catch_up_seconds: 3_600,
        jitter_seconds: 0,
    };
    (definition, Times::of(cron, "UTC").unwrap())
}

/// A schedule that was created at midnight and is due every ten minutes.
fn schedule(overlap: Overlap) -> (Schedule, Times) {
    let (definition, times) = definition("*/10 * * * *", overlap);
    let (owner, name) = (Owner::new("ada"), "nightly".parse().unwrap());
    (Schedule::new(owner, name, "g1".into(), (definition, &times), false, at(0)), times)
}

/// What it does at a minute: each step, with minutes for times.
fn steps(mut schedule: Schedule, times: &Times, mut busy: bool, minute: i64) -> (Schedule, Vec<String>) {
    let mut told = Vec::new();
    let minutes = |time: Timestamp| time.duration_since(at(0)).as_mins();
    loop {
        let step = schedule.step(times, busy, at(minute));
        schedule = match &step {
            Step::Wait => return (schedule, told),
            Step::Start(time) => {
                told.push(format!("start {}", minutes(*time)));
                busy = true;
                schedule.started(times, *time, at(minute)).unwrap()
            }
            Step::Buffer { time, cancel, skipped, .. } => {
                told.push(format!("buffer {} skip {skipped}{}", minutes(*time), if *cancel { " cancel" } else { "" }));
                schedule.without_start(&step).unwrap()
            }
            Step::Skip { count, .. } => {
                told.push(format!("skip {count}"));
                schedule.without_start(&step).unwrap()
            }
            Step::Miss { count, .. } => {
                told.push(format!("miss {count}"));
                schedule.without_start(&step).unwrap()
            }
        };
    }
}

#[test]
fn each_policy_decides_about_one_time_about_several_and_about_missed_ones() {
    use Overlap::{AllowAll, BufferOne, CancelOther, Skip};
    for (overlap, busy, minute, expected) in [
        (Skip, false, 9, &[][..]),
        (Skip, false, 10, &["start 10"]),
        (BufferOne, false, 10, &["start 10"]),
        (AllowAll, false, 10, &["start 10"]),
        (CancelOther, false, 10, &["start 10"]),
        (Skip, true, 10, &["skip 1"]),
        (BufferOne, true, 10, &["buffer 10 skip 0"]),
        (AllowAll, true, 10, &["start 10"]),
        (CancelOther, true, 10, &["buffer 10 skip 0 cancel"]),
        // Three are due.
        (Skip, false, 30, &["start 10", "skip 2"]),
        (BufferOne, false, 30, &["start 10", "buffer 20 skip 0", "skip 1"]),
        (AllowAll, false, 30, &["start 10", "start 20", "start 30"]),
        (CancelOther, false, 30, &["skip 2", "start 30"]),
        (Skip, true, 30, &["skip 3"]),
        (BufferOne, true, 30, &["buffer 10 skip 0", "skip 2"]),
        (CancelOther, true, 30, &["buffer 30 skip 2 cancel"]),
        // The window is an hour, both ends included.
        (Skip, false, 70, &["start 10", "skip 6"]),
        (Skip, false, 71, &["miss 1", "start 20", "skip 5"]),
        (Skip, true, 100, &["miss 3", "skip 7"]),
        (CancelOther, false, 100, &["miss 3", "skip 6", "start 100"]),
    ] {
        let (schedule, times) = schedule(overlap);
        let (after, told) = steps(schedule, &times, busy, minute);
        assert_eq!(told, expected, "{overlap} {busy} {minute}");
        let Counts { fired, skipped, missed, failed } = after.counts;
        let buffered = u64::from(after.buffered.is_some());
        assert_eq!(fired + skipped + missed + failed + buffered, u64::try_from(minute / 10).unwrap(), "none is lost");
        assert_eq!(after.next, Some(at(minute / 10 * 10 + 10)));
    }
}

#[test]
fn a_buffered_time_starts_when_the_last_execution_is_over_however_late_that_is() {
    let (schedule, times) = schedule(Overlap::BufferOne);
    let (schedule, _) = steps(schedule, &times, true, 10);
    assert_eq!((schedule.buffered, schedule.due()), (Some(at(10)), Some(at(10))));
    let (schedule, told) = steps(schedule, &times, true, 30);
    assert_eq!(told, ["skip 2"]);
    let (schedule, told) = steps(schedule, &times, false, 500);
    assert_eq!(told, ["start 10", "miss 40", "buffer 440 skip 0", "skip 6"]);
    assert_eq!(schedule.buffered, Some(at(440)));
}

#[test]
fn a_newer_time_takes_the_place_of_one_that_waits_for_a_cancel() {
    let (schedule, times) = schedule(Overlap::CancelOther);
    let (schedule, _) = steps(schedule, &times, true, 10);
    let (schedule, told) = steps(schedule, &times, true, 15);
    assert!(told.is_empty(), "the cancel is requested once for a time");
    let (schedule, told) = steps(schedule, &times, true, 20);
    assert_eq!(
        (told, schedule.buffered, schedule.counts.skipped),
        (vec!["buffer 20 skip 1 cancel".into()], Some(at(20)), 1)
    );
    let (schedule, told) = steps(schedule, &times, false, 21);
    assert_eq!((told, schedule.due()), (vec!["start 20".into()], Some(at(30))));
}

#[test]
fn a_start_is_recorded_once_and_never_moves_a_next_time_that_was_replaced() {
    let (schedule, times) = schedule(Overlap::Skip);
    let started = schedule.started(&times, at(10), at(11)).unwrap();
    assert_eq!((started.next, started.counts.fired), (Some(at(20)), 1));
    assert_eq!(started.last.as_ref().unwrap().execution_id, schedule.execution_id(at(10)));
    assert_eq!(started.started(&times, at(10), at(12)), None);
    let (hourly, rule) = definition("0 * * * *", Overlap::Skip);
    let replaced = schedule.replaced((hourly, &rule), None, at(10)).unwrap();
    let started = replaced.started(&rule, at(10), at(11)).unwrap();
    assert_eq!((started.next, started.counts.fired), (Some(at(60)), 1));
}

#[test]
fn the_same_definition_changes_nothing() {
    let (schedule, times) = schedule(Overlap::Skip);
    let same = Definition { start: Json::parse(r#"{ "input" : 1.0 }"#).unwrap(), ..schedule.definition.clone() };
    assert_eq!(schedule.replaced((same, &times), None, at(7)), None);
    assert_eq!(schedule.replaced((schedule.definition.clone(), &times), Some(false), at(7)), None);
    let other = Definition { start: Json::parse(r#"{"input": 2}"#).unwrap(), ..schedule.definition.clone() };
    let changed = schedule.replaced((other, &times), None, at(57)).unwrap();
    assert_eq!((changed.next, changed.version), (schedule.next, 2), "what is due stays due");
    let (hourly, rule) = definition("0 * * * *", Overlap::Skip);
    assert_eq!(schedule.replaced((hourly, &rule), None, at(7)).unwrap().next, Some(at(60)));
}

#[test]
fn times_that_pass_while_it_is_paused_are_not_made_up_for() {
    let (schedule, times) = schedule(Overlap::BufferOne);
    let (schedule, _) = steps(schedule, &times, true, 10);
    let paused = schedule.with_paused(true, &times, at(12)).unwrap();
    assert_eq!((paused.due(), paused.buffered, paused.counts.skipped), (None, None, 1));
    assert_eq!(paused.with_paused(true, &times, at(13)), None);
    assert_eq!(paused.step(&times, false, at(40)), Step::Wait);
    let (hourly, rule) = definition("0 * * * *", Overlap::Skip);
    let replaced = paused.replaced((hourly, &rule), None, at(41)).unwrap();
    assert_eq!(replaced.due(), None, "a new definition does not resume it");
    let resumed = replaced.with_paused(false, &rule, at(61)).unwrap();
    assert_eq!(resumed.due(), Some(at(120)));
}

#[test]
fn times_that_fail_in_a_row_are_counted_until_one_starts() {
    let (mut schedule, times) = schedule(Overlap::Skip);
    for n in 1..=FAILING {
        schedule = schedule.failed(&times, at(10 * i64::try_from(n).unwrap()), "no such job");
    }
    let failing = schedule.failing.clone().unwrap();
    assert_eq!((failing.count, failing.last_error.as_str(), failing.time), (FAILING, "no such job", at(100)));
    assert_eq!((schedule.counts.failed, schedule.next), (FAILING, Some(at(110))));
    let started = schedule.started(&times, at(110), at(110)).unwrap();
    assert_eq!((started.failing, started.counts.failed), (None, FAILING));
}

#[test]
fn a_trigger_is_what_was_started_last() {
    let (schedule, _) = schedule(Overlap::Skip);
    let id: ExecutionId = "e1".parse().unwrap();
    let triggered = schedule.triggered(&id, at(3)).unwrap();
    assert_eq!((triggered.next, triggered.counts), (schedule.next, schedule.counts));
    assert_eq!(triggered.triggered(&id, at(3)), None);
    assert_eq!(triggered.triggered(&"e0".parse().unwrap(), at(2)), None, "an older one");
}

#[test]
fn with_jitter_a_time_is_due_later() {
    let (mut schedule, times) = schedule(Overlap::Skip);
    schedule.definition.jitter_seconds = 300;
    let due = schedule.due().unwrap();
    assert!(due > at(10) && due <= at(15), "{due}");
    assert_eq!(schedule.step(&times, false, due - SignedDuration::from_secs(1)), Step::Wait);
    assert_eq!(schedule.step(&times, false, due), Step::Start(at(10)));
}

/// The longest run that a step handles, of minutes in two weeks, is not the end of it.
#[test]
fn what_was_missed_in_a_long_outage_is_counted_in_full() {
    let (definition, times) = definition("* * * * *", Overlap::Skip);
    let schedule =
        Schedule::new(Owner::new("ada"), "a".parse().unwrap(), "g".into(), (definition, &times), false, at(0));
    let (after, told) = steps(schedule, &times, false, 20_000);
    assert_eq!((after.counts.missed, after.counts.fired, after.counts.skipped), (19_939, 1, 60), "{told:?}");
    assert_eq!(after.next, Some(at(20_001)));
}

#[test]
fn a_name_has_letters_digits_and_a_few_marks() {
    for name in ["a", "9", "nightly.report-2_x", &"x".repeat(64)] {
        assert_eq!(name.parse::<ScheduleName>().unwrap().as_str(), name);
    }
    for name in ["", ".", "..", "-a", "a/b", "a b", "ä", &"x".repeat(65)] {
        assert_eq!(name.parse::<ScheduleName>(), Err(InvalidName), "{name:?}");
    }
}
