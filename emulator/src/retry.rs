//! Retries operations that must succeed in the end, with growing pauses and one line in the log per cause.

use std::{
    collections::HashMap,
    fmt::Display,
    sync::{LazyLock, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, sleep};

use crate::wire::AwsError;

/// The pause after the first failure. It doubles with each further failure.
const SHORTEST: Duration = Duration::from_millis(100);

/// The longest pause.
const LONGEST: Duration = Duration::from_secs(5);

/// How long to wait before the same problem is logged again.
const REPEAT_AFTER: Duration = Duration::from_mins(1);

/// How long a logged problem is remembered.
const FORGOTTEN: Duration = Duration::from_hours(1);

/// The problems that were logged, when, and how often each has occurred since.
static LOGGED: LazyLock<Mutex<HashMap<Problem, (Instant, u64)>>> = LazyLock::new(Mutex::default);

/// A problem, and its cause.
type Problem = (&'static str, String);

/// The pauses between the attempts of one operation.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// Records a failure. Returns how long to wait.
    pub(crate) fn failed(&mut self) -> Duration {
        let pause = SHORTEST.saturating_mul(2_u32.saturating_pow(self.failures)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        pause
    }

    /// Records a success: the next pause is the shortest again.
    pub(crate) fn succeeded(&mut self) {
        self.failures = 0;
    }
}

/// Logs a problem that may occur many times a second, but at most once a minute for each cause.
pub(crate) fn log_problem(problem: &'static str, cause: &impl Display) {
    let now = Instant::now();
    let mut logged = LOGGED.lock().unwrap_or_else(PoisonError::into_inner);
    logged.retain(|_, (since, _)| now.duration_since(*since) < FORGOTTEN);
    let cause = cause.to_string();
    let more = match logged.get_mut(&(problem, cause.clone())) {
        Some((since, more)) if now.duration_since(*since) < REPEAT_AFTER => {
            *more += 1;
            return;
        }
        before => before.map_or(0, |(_, more)| *more),
    };
    tracing::error!(why = cause, repeated = more, "{problem}");
    logged.insert((problem, cause), (now, 0));
}

/// Retries an operation until it succeeds. Each attempt runs on a separate thread, because `SQLite` blocks.
pub(crate) async fn until_done<T: Send + 'static>(
    problem: &'static str,
    attempt: impl Fn() -> Result<T, AwsError> + Clone + Send + 'static,
) -> T {
    let mut backoff = Backoff::default();
    loop {
        match tokio::task::spawn_blocking(attempt.clone()).await {
            Ok(Ok(done)) => return done,
            Ok(Err(why)) => log_problem(problem, &why.message),
            Err(why) => log_problem(problem, &why),
        }
        sleep(backoff.failed()).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    };

    use super::*;

    #[test]
    fn pauses_grow_up_to_a_limit_and_start_over_after_a_success() {
        let mut backoff = Backoff::default();
        let pauses: Vec<_> = (0..40).map(|_| backoff.failed()).collect();
        assert_eq!(pauses[..3], [100, 200, 400].map(Duration::from_millis));
        assert!(pauses.is_sorted() && pauses[39] == LONGEST);
        backoff.succeeded();
        assert_eq!(backoff.failed(), SHORTEST);
    }

    #[tokio::test]
    async fn a_failing_operation_is_retried() {
        let tries = Arc::new(AtomicU32::new(0));
        let attempt = {
            let tries = Arc::clone(&tries);
            move || match tries.fetch_add(1, Ordering::Relaxed) {
                0 | 1 => Err(AwsError::internal("disk full")),
                tries => Ok(tries),
            }
        };
        assert_eq!(until_done("nothing", attempt).await, 2);
    }
}
