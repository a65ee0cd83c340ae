//! The clock of the local stack.

use jiff::Timestamp;

/// Tells the time.
#[derive(Debug, Clone, Copy, Default)]
pub struct Clock;

impl Clock {
    /// The time now.
    #[must_use]
    pub fn now(self) -> Timestamp {
        aws::clock::now()
    }
}
