//! How long a workflow waits between two looks at its task, and between two tries of a step.

use std::time::Duration;

use domain::Attempt;

/// The first wait for a task that works. ECS tells of its end, and should that get lost the reconciler's sweep sees it, of a
/// hundred tasks in one call: these looks are there in case neither does.
pub(crate) const WORKING: Duration = Duration::from_mins(5);

/// The first wait for a task that is being stopped: the end is near.
pub(crate) const STOPPING: Duration = Duration::from_secs(5);

/// The longest wait. At twice the one before, a year of waiting costs about 740 looks of two operations, of the 3,000 that an
/// execution may have
/// (<https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>).
const LONGEST: Duration = Duration::from_hours(12);

/// The wait before look `n`, counted from 0: `first` × 2ⁿ, at most 12 h, and never past the deadline, of which `left`
/// remains. Whole seconds, at least one. An event ends a wait at once.
pub(crate) fn wait(first: Duration, n: u32, left: Duration) -> Duration {
    let wait = first.saturating_mul(2_u32.saturating_pow(n)).min(LONGEST);
    // One second past the deadline: the look that comes then has to see it passed.
    wait.min(Duration::from_secs(left.as_secs().saturating_add(1)))
}

/// The wait before try `attempt + 1` of a step, after try `attempt` (from 1) failed: 1 s, 2 s, 4 s … 5 min.
pub(crate) fn retry(attempt: u32) -> Duration {
    Duration::from_secs(1 << attempt.saturating_sub(1).min(9)).min(Duration::from_mins(5))
}

/// The wait before `attempt`, the second or a later one: 5 s, 10 s, 20 s … 5 min.
pub(crate) fn backoff_before(attempt: Attempt) -> Duration {
    Duration::from_secs(5 << attempt.get().saturating_sub(2).min(6)).min(Duration::from_mins(5))
}

/// Tries of a task's start before it is given up: with the waits of [`retry`] that is an hour.
pub(crate) const TRIES: u32 = 20;

/// Tries of any other step: a day. They are operations too: beside a year's looks there is room for several such days.
pub(crate) const PATIENT_TRIES: u32 = 300;

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_hours(24);

    #[test]
    fn a_year_of_waiting_stays_under_its_operations() {
        let mut waited = Duration::ZERO;
        let mut looks = 0;
        while waited < 366 * DAY {
            waited += wait(WORKING, looks, 366 * DAY);
            looks += 1;
        }
        assert!(looks * 2 < 1_600, "{looks} looks of a callback and a step each");
    }

    #[test]
    fn waits_double_and_stop_at_the_deadline() {
        let waits: Vec<_> = (0..5).map(|n| wait(STOPPING, n, DAY).as_secs()).collect();
        assert_eq!(waits, [5, 10, 20, 40, 80]);
        assert_eq!(wait(WORKING, u32::MAX, 366 * DAY), LONGEST);
        assert_eq!(wait(WORKING, 3, Duration::from_secs(2)).as_secs(), 3);
        assert_eq!(wait(WORKING, 3, Duration::ZERO).as_secs(), 1);
    }

    #[test]
    fn a_start_is_tried_for_about_an_hour_and_another_step_for_a_day() {
        let total: Duration = (1..TRIES).map(retry).sum();
        assert!(total > Duration::from_mins(55) && total < Duration::from_mins(75), "{total:?}");
        let total: Duration = (1..PATIENT_TRIES).map(retry).sum();
        assert!(total > DAY && total < DAY + Duration::from_hours(2), "{total:?}");
    }
}
