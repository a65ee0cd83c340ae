//! How long a workflow waits between two checks of its task, and between two tries of a step.

use std::time::Duration;

use aws::{Cause, Phase};

/// The first wait for a running task. An event of ECS reports the task's end. If the event is lost, the reconciler's sweep sees the end,
/// with one call for a hundred tasks. The workflow's own checks are only needed if both fail.
pub(crate) const FIRST_WAIT: Duration = Duration::from_mins(5);

/// The first wait for a task that is being stopped, whose end is near.
pub(crate) const FIRST_WAIT_WHEN_STOPPING: Duration = Duration::from_secs(5);

/// The longest wait. Each wait up to it is twice the previous one, so a year of waiting takes about 740 checks. Each check is two
/// operations, of the 3,000 that a durable execution may have
/// (<https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>).
pub(crate) const LONGEST: Duration = Duration::from_hours(12);

/// The waits for the end of one task: twice as long each time, at most 12 h, and until just past the deadline at the latest, in whole
/// seconds. An event ends a wait at once.
#[derive(Debug)]
pub(crate) struct Waits {
    first: Duration,
    /// How many waits have begun.
    begun: u32,
    last: Duration,
    /// How much time remained until the deadline at the last check.
    left: Duration,
    /// Whether the last wait was ended by a wake-up that did not say that the task is over.
    cut_short: bool,
}

impl Waits {
    /// For a running task, with this much time left until the deadline.
    pub(crate) fn new(left: Duration) -> Self {
        Self { first: FIRST_WAIT, begun: 0, last: Duration::ZERO, left, cut_short: false }
    }

    /// Whether the next wait is the first for a task that has just been started.
    pub(crate) fn is_first(&self) -> bool {
        self.begun == 0 && self.first == FIRST_WAIT
    }

    /// Sets how much time is left until the deadline.
    pub(crate) fn left(&mut self, left: Duration) {
        self.left = left;
    }

    /// The task is being stopped: check often from now on, and ignore the deadline. Returns whether the wait that has begun is too
    /// long for that.
    pub(crate) fn stopping(&mut self) -> bool {
        if self.first == FIRST_WAIT_WHEN_STOPPING {
            return false;
        }
        let too_long = self.last > FIRST_WAIT_WHEN_STOPPING;
        *self = Self { first: FIRST_WAIT_WHEN_STOPPING, ..Self::new(Duration::MAX) };
        too_long
    }

    /// A wake-up ended the last wait. That is usually a cancel, so the next check stops the task, and its end is near.
    pub(crate) fn cut_short(&mut self) {
        self.cut_short = true;
    }

    /// Begins the next wait and returns its length. The workflow checks the task when a wait begins.
    pub(crate) fn begin(&mut self) -> Duration {
        // Assumes that the last wait has passed in full. If an event cut it short, the next check comes early and corrects this.
        self.left = self.left.saturating_sub(self.last);
        let wait = self.first.saturating_mul(2_u32.saturating_pow(self.begun)).min(LONGEST);
        let wait = if std::mem::take(&mut self.cut_short) { wait.min(FIRST_WAIT_WHEN_STOPPING) } else { wait };
        self.begun = self.begun.saturating_add(1);
        // Until one second past the deadline, so that the next check sees that it has passed.
        self.last = wait.min(Duration::from_secs(self.left.as_secs().saturating_add(1)));
        self.last
    }
}

/// The wait before try `attempt + 1` of a step, after try `attempt` (from 1) failed: 1 s, 2 s, 4 s … 5 min.
pub(crate) fn retry(attempt: u32) -> Duration {
    Duration::from_secs(1 << attempt.saturating_sub(1).min(9)).min(Duration::from_mins(5))
}

/// The number of tries of a step that take at least this long, including the waits of [`retry`] between them. Each try counts as
/// an operation. A day of tries is 300 operations, and the limit of 3,000 is enough for several such days in addition to a year's
/// checks.
pub(crate) fn tries(patience: Duration) -> u32 {
    let (mut tries, mut waited) = (1, Duration::ZERO);
    while waited < patience {
        waited += retry(tries);
        tries += 1;
    }
    tries
}

/// Whether a denied start of a task is abandoned after this try of its step: after as many tries as [`Cause::patience`] allows, and after
/// each multiple of that number. Waits for capacity count as tries too, so with a plain maximum, a single denial after hours of waiting for
/// capacity would end the execution.
pub(crate) fn is_last_denial(tried: u32) -> bool {
    tried.is_multiple_of(tries(Cause::Denied.patience(Phase::BeforeTask)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_hours(24);

    #[test]
    fn a_year_of_waiting_fits_the_operation_limit() {
        let mut waits = Waits::new(366 * DAY);
        let (mut waited, mut checks) = (Duration::ZERO, 0);
        while waited < 366 * DAY {
            waited += waits.begin();
            waits.left(366 * DAY);
            checks += 1;
        }
        assert!(checks * 2 < 1_600, "{checks} checks of a callback and a step each");
    }

    #[test]
    fn waits_double_up_to_half_a_day() {
        let mut waits = Waits::new(366 * DAY);
        let minutes: Vec<_> = (0..9).map(|_| waits.begin().as_secs() / 60).collect();
        assert_eq!(minutes, [5, 10, 20, 40, 80, 160, 320, 640, 720]);
        assert!(waits.stopping(), "twelve hours have begun");
        let seconds: Vec<_> = (0..5).map(|_| waits.begin().as_secs()).collect();
        assert_eq!(seconds, [5, 10, 20, 40, 80]);
        assert!(!waits.stopping());
        assert_eq!(waits.begin().as_secs(), 160, "it is being stopped already");
    }

    #[test]
    fn the_first_wait_is_for_a_task_that_has_just_started() {
        let mut waits = Waits::new(DAY);
        assert!(waits.is_first());
        waits.begin();
        assert!(!waits.is_first());
        let mut waits = Waits::new(DAY);
        waits.stopping();
        assert!(!waits.is_first(), "it is being stopped");
    }

    #[test]
    fn a_wake_up_shortens_the_next_wait() {
        let mut waits = Waits::new(DAY);
        waits.begin();
        waits.cut_short();
        assert_eq!(waits.begin().as_secs(), 5);
        assert!(!waits.stopping(), "the wait that has begun is short enough");
        assert_eq!(waits.begin().as_secs(), 5);
        let mut waits = Waits::new(DAY);
        waits.begin();
        waits.cut_short();
        assert_eq!([waits.begin().as_secs(), waits.begin().as_secs()], [5, 20 * 60], "it was something else");
    }

    /// Each check happens when a wait begins, and sees the time that is left then.
    #[test]
    fn no_wait_extends_past_the_deadline() {
        for deadline in [1, 59, 300, 301, 3_600, 86_400].map(Duration::from_secs) {
            let mut waits = Waits::new(deadline);
            let mut now = Duration::ZERO;
            while now <= deadline {
                let wait = waits.begin();
                waits.left(deadline.saturating_sub(now));
                now += wait;
            }
            assert!(now <= deadline + Duration::from_secs(2), "{deadline:?}: {now:?}");
        }
    }

    /// A wait that was cut short counts in full, so the next wait can only be too short.
    #[test]
    fn after_a_wait_that_ended_early_the_next_one_ends_by_the_deadline() {
        let mut waits = Waits::new(DAY);
        waits.begin();
        waits.left(Duration::from_secs(400));
        assert_eq!(waits.begin().as_secs(), 101);
        assert_eq!(waits.begin().as_secs(), 1);
    }

    #[test]
    fn the_number_of_tries_covers_the_patience_and_little_more() {
        assert_eq!(tries(Duration::ZERO), 1, "a permanent failure is tried once");
        for patience in [1, 8, 60, 24 * 60].map(Duration::from_mins) {
            let waited: Duration = (1..tries(patience)).map(retry).sum();
            assert!(waited >= patience && waited <= patience + Duration::from_mins(5), "{patience:?}: {waited:?}");
        }
        assert!(tries(DAY) <= 300, "{}", tries(DAY));
    }

    #[test]
    fn a_denied_start_is_abandoned_after_minutes_but_not_for_one_later_denial() {
        let last: Vec<_> = (1..40).filter(|tried| is_last_denial(*tried)).collect();
        assert_eq!(last, [10, 20, 30]);
    }
}
