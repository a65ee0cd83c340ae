//! Times in answers.

use jiff::Timestamp;
use serde::{Serialize, Serializer};

/// A time with its milliseconds, also when they are 0: all are of one length, and sort as text.
#[derive(Debug)]
pub(crate) struct Time(Timestamp);

impl From<Timestamp> for Time {
    fn from(time: Timestamp) -> Self {
        Self(time)
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:.3}", self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_is_as_long() {
        for (time, shown) in [
            ("2026-03-02T09:00:00Z", "2026-03-02T09:00:00.000Z"),
            ("2026-03-02T09:00:00.44Z", "2026-03-02T09:00:00.440Z"),
            ("2026-03-02T09:00:00.999999Z", "2026-03-02T09:00:00.999Z"),
        ] {
            let time = Time(time.parse().unwrap());
            assert_eq!(serde_json::to_string(&time).unwrap(), format!("\"{shown}\""));
        }
    }
}
