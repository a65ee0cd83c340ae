//! Backoff for AWS calls, which are retried for as long as the task lives.

use std::time::Duration;

use aws::{CallFailed, Cause, Phase};
use runtime::clock;

use crate::record::lasts;

const LONGEST: Duration = Duration::from_secs(30);

/// The waits between the tries of a call: 1 s, 2 s, 4 s … 30 s.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    tries: u32,
}

impl Backoff {
    /// Whether there were three tries or more, so that the failure is unlikely to be brief.
    pub(crate) fn is_long(&self) -> bool {
        self.tries >= 2
    }

    /// Waits for the next try.
    pub(crate) async fn wait(&mut self) {
        let wait = self.next();
        tokio::time::sleep(wait).await;
    }

    fn next(&mut self) -> Duration {
        let wait = Duration::from_secs(1 << self.tries.min(LONGEST.as_secs().ilog2() + 1)).min(LONGEST);
        self.tries = self.tries.saturating_add(1);
        wait
    }
}

/// How long to retry a call without which output files are lost. A new permission takes effect within minutes, and an execution must not
/// appear to run for a day because a permission is missing.
pub(crate) fn for_files(cause: Cause) -> Duration {
    match cause {
        Cause::Denied => Duration::from_hours(1),
        Cause::Throttled | Cause::Unavailable | Cause::Rejected => cause.patience(Phase::TaskStarted),
    }
}

/// Retries a call until it succeeds, is refused permanently, or has failed for longer than the patience with its cause. `what` says what
/// the call does, for the log.
pub(crate) async fn patiently<T>(
    patience: impl Fn(Cause) -> Duration,
    what: &str,
    mut call: impl AsyncFnMut() -> Result<T, CallFailed>,
) -> Result<T, CallFailed> {
    let mut backoff = Backoff::default();
    let since = clock::now();
    loop {
        match call().await {
            Err(failed) if failed.retryable() && !lasts(since, patience(failed.cause)) => {
                // This goes to the job's log, where an operator looks.
                if backoff.is_long() {
                    tracing::error!(error = &failed as &dyn std::error::Error, "cannot {what}; retrying");
                }
                backoff.wait().await;
            }
            done => return done,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_backoff_grows_to_half_a_minute() {
        let mut backoff = Backoff::default();
        let waits: Vec<_> = (0..7).map(|_| backoff.next().as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30]);
    }
}
