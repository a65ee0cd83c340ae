//! Backoff for AWS calls, which are retried for as long as the task lives.

use std::time::Duration;

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
