//! `timeout` and `stopTimeout`, and how the file writes a duration.

use std::time::Duration;

use domain::limits;
use jiff::SignedDuration;

use crate::checker::{Checker, Table};

/// What Fargate allows (<https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ContainerDefinition.html>, `stopTimeout`).
const STOP_TIMEOUT: Range = (Duration::from_secs(2), Duration::from_mins(2));

/// The shortest and the longest.
type Range = (Duration, Duration);

pub(super) fn timeout<'i>(table: &mut Table<'i>, checker: &mut Checker<'i>) -> Option<Duration> {
    duration(table, checker, "timeout", (Duration::from_secs(1), limits::TIMEOUT), "from 1s to 8760h")
}

pub(super) fn stop_timeout<'i>(table: &mut Table<'i>, checker: &mut Checker<'i>) -> Option<Duration> {
    duration(table, checker, "stopTimeout", STOP_TIMEOUT, "from 2s to 120s, as Fargate allows")
}

fn duration<'i>(
    table: &mut Table<'i>,
    checker: &mut Checker<'i>,
    field: &'static str,
    range: Range,
    allowed: &str,
) -> Option<Duration> {
    let given = checker.text(table.take(field)?, field)?;
    let read = whole_seconds(given.get_ref(), range);
    if read.is_none() {
        let text = given.get_ref();
        checker.mistake(&given.span(), format!("{field} is \"{text}\"; it must be whole seconds {allowed}"));
    }
    read
}

/// A duration of whole seconds, such as `90s` or `2h 30m`, if it is in the range.
pub(super) fn whole_seconds(text: &str, (least, most): Range) -> Option<Duration> {
    let read = Duration::try_from(text.parse::<SignedDuration>().ok()?).ok()?;
    (read.subsec_nanos() == 0 && (least..=most).contains(&read)).then_some(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_has_whole_seconds_and_is_in_its_range() {
        let range = (Duration::from_secs(1), Duration::from_hours(2));
        for (text, seconds) in [("1s", 1), ("90s", 90), ("1h 30m", 5_400), ("2h", 7_200), ("1 hour", 3_600)] {
            assert_eq!(whole_seconds(text, range), Some(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "5", "0s", "1500ms", "-1s", "3h", "1 fortnight", "1d"] {
            assert_eq!(whole_seconds(text, range), None, "{text}");
        }
    }
}
