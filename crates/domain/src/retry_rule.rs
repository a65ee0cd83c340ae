//! Which failures of a job are retried, and after how long.

use std::{collections::BTreeSet, time::Duration};

use crate::{Attempt, ErrorKind, Outcome, OutcomeKind, Violation, judge, limits};

/// Which failures of a job are retried, and after how long. It is stored with each execution, so a later deployment does not change it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryRule {
    /// The exit codes after which another attempt follows. `None`: all.
    pub on_exit_codes: Option<BTreeSet<i32>>,
    /// The wait before the second attempt, in whole seconds. It doubles from attempt to attempt.
    pub first: Duration,
    /// The longest wait, in whole seconds.
    pub longest: Duration,
}

/// Never change it: the workflows of executions in flight wait as it says when they are replayed.
impl Default for RetryRule {
    fn default() -> Self {
        Self { on_exit_codes: None, first: Duration::from_secs(5), longest: Duration::from_mins(5) }
    }
}

impl RetryRule {
    /// The wait before `attempt`, the second or a later one.
    #[must_use]
    pub fn backoff_before(&self, attempt: Attempt) -> Duration {
        let doubled = attempt.get().saturating_sub(2);
        let factor = 1_u32.checked_shl(doubled).unwrap_or(u32::MAX);
        self.first.checked_mul(factor).unwrap_or(Duration::MAX).min(self.longest)
    }

    /// Whether another attempt may follow an outcome, as far as its exit code decides. It does not decide if the platform ended the
    /// attempt, or if the job did not end by itself.
    #[must_use]
    pub fn allows(&self, outcome: &Outcome) -> bool {
        let (Some(codes), OutcomeKind::Failed(error)) = (&self.on_exit_codes, &outcome.kind) else { return true };
        if judge::excused(outcome) {
            return true;
        }
        match error.kind {
            // The job exited by itself. With 0, its result could not be kept, and no rule has that code.
            ErrorKind::ExitCode
            | ErrorKind::Signal
            | ErrorKind::CommandNotFound
            | ErrorKind::ResultTooLarge
            | ErrorKind::ResultTooDeep
            | ErrorKind::ResultNotJson
            | ErrorKind::ArtifactsNotKept => outcome.exit_code.is_none_or(|code| codes.contains(&code)),
            ErrorKind::ResultUnreadable
            | ErrorKind::TaskRetired
            | ErrorKind::TaskLost
            | ErrorKind::Stopped
            | ErrorKind::Cancelled
            | ErrorKind::NotStartedInTime
            | ErrorKind::TimedOut
            | ErrorKind::UnknownJob
            | ErrorKind::NoCapacity
            | ErrorKind::TaskRefused
            | ErrorKind::WorkflowFailed
            | ErrorKind::TaskFailedToStart
            | ErrorKind::Other(_) => true,
        }
    }

    /// What is wrong with the exit codes of a request or a catalog entry.
    #[must_use]
    pub fn wrong_exit_codes(codes: &BTreeSet<i32>) -> Option<String> {
        let (most, highest) = (limits::EXIT_CODES, limits::HIGHEST_EXIT_CODE);
        let count = codes.len();
        if !(1..=most).contains(&count) {
            return Some(format!("has {count} exit codes; 1 to {most} are allowed"));
        }
        let wrong = codes.iter().find(|code| !(1..=highest).contains(code))?;
        Some(format!("contains {wrong}; an exit code after which a job is retried is between 1 and {highest}"))
    }

    pub(crate) fn violations(&self) -> Vec<Violation> {
        let why = self.on_exit_codes.as_ref().and_then(Self::wrong_exit_codes);
        let violation =
            |detail| Violation { pointer: "/retry/onExitCodes".to_owned(), detail, rule: "exit-codes-out-of-range" };
        why.map(violation).into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{JobError, output::ResultSource};

    fn failed(kind: ErrorKind, stop_code: Option<&str>, exit_code: Option<i32>) -> Outcome {
        let error = JobError { stop_code: stop_code.map(str::to_owned), ..JobError::new(kind, "why") };
        Outcome {
            kind: OutcomeKind::Failed(error),
            result: None,
            result_source: ResultSource::None,
            artifacts: None,
            exit_code,
            finished_at: jiff::Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn the_default_backoff_grows_from_5_s_to_5_min() {
        let backoff = |number| RetryRule::default().backoff_before(Attempt::new(number).unwrap()).as_secs();
        assert_eq!([2, 3, 4, 5, 6, 7, 8, 9, 1_000].map(backoff), [5, 10, 20, 40, 80, 160, 300, 300, 300]);
    }

    #[test]
    fn a_backoff_doubles_up_to_the_longest() {
        let rule = |first, longest| RetryRule {
            first: Duration::from_secs(first),
            longest: Duration::from_secs(longest),
            ..RetryRule::default()
        };
        let waits =
            |rule: &RetryRule| [2, 3, 4, 34, 40].map(|n| rule.backoff_before(Attempt::new(n).unwrap()).as_secs());
        assert_eq!(waits(&rule(1, 3)), [1, 2, 3, 3, 3]);
        assert_eq!(waits(&rule(60, 60)), [60; 5]);
        assert_eq!(waits(&rule(86_400, 86_400)), [86_400; 5]);
    }

    #[test]
    fn an_exit_code_decides_only_if_the_job_exited_by_itself() {
        let rule = RetryRule { on_exit_codes: Some(BTreeSet::from([75, 137])), ..RetryRule::default() };
        for (outcome, listed) in [
            (failed(ErrorKind::ExitCode, None, Some(75)), true),
            (failed(ErrorKind::ExitCode, None, Some(1)), false),
            (failed(ErrorKind::Signal, None, Some(137)), true),
            (failed(ErrorKind::Signal, None, Some(139)), false),
            (failed(ErrorKind::CommandNotFound, None, Some(127)), false),
            (failed(ErrorKind::ResultTooLarge, None, Some(0)), false),
            (failed(ErrorKind::ExitCode, Some("SpotInterruption"), Some(1)), true),
            (failed(ErrorKind::Stopped, Some("UserInitiated"), Some(143)), true),
            (failed(ErrorKind::TaskLost, None, None), true),
            (failed(ErrorKind::Signal, None, None), true),
            (failed(ErrorKind::TaskFailedToStart, Some("TaskFailedToStart"), None), true),
            (failed(ErrorKind::TaskRetired, None, Some(143)), true),
        ] {
            assert_eq!(rule.allows(&outcome), listed, "{outcome:?}");
            assert!(RetryRule::default().allows(&outcome), "{outcome:?}");
        }
    }

    #[test]
    fn exit_codes_have_limits() {
        let wrong = |codes: &[i32]| RetryRule::wrong_exit_codes(&codes.iter().copied().collect());
        assert_eq!(wrong(&[1, 75, 255]), None);
        assert_eq!(wrong(&(1..=50).collect::<Vec<_>>()), None);
        assert_eq!(wrong(&[]).as_deref(), Some("has 0 exit codes; 1 to 50 are allowed"));
        assert!(wrong(&(1..=51).collect::<Vec<_>>()).is_some());
        for code in [0, -1, 256] {
            assert!(wrong(&[75, code]).unwrap().contains(&format!("contains {code};")), "{code}");
        }
    }
}
