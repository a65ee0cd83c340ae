//! Times in requests and responses.

use jiff::{Timestamp, fmt::temporal::Pieces};
use serde::{Serialize, Serializer};

/// A time with milliseconds, even if they are 0, so that all times have the same length and sort as text.
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

/// Digits of the fraction of a second that a time can hold.
const FRACTION_DIGITS: usize = 9;

/// Reads an RFC 3339 time. Digits beyond a nanosecond are dropped. A time that is too late to be represented, such as
/// `9999-12-31T23:59:59Z`, which means "for ever", becomes the latest possible time.
pub(crate) fn read(text: &str) -> Option<Timestamp> {
    let text = without_finer_digits(text);
    if let Ok(time) = text.parse() {
        return Some(time);
    }
    let pieces = Pieces::parse(&text).ok()?;
    let (date, time) = (pieces.date(), pieces.time()?);
    match pieces.to_numeric_offset()?.to_timestamp(date.to_datetime(time)) {
        Ok(_) => None,
        Err(_) if date.year() > 0 => Some(Timestamp::MAX),
        Err(_) => Some(Timestamp::MIN),
    }
}

fn without_finer_digits(text: &str) -> String {
    let Some((whole, fraction)) = text.split_once('.') else { return text.to_owned() };
    let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, rest) = fraction.split_at(digits);
    format!("{whole}.{}{rest}", digits.get(..FRACTION_DIGITS).unwrap_or(digits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_truncated_to_the_supported_precision_and_range() {
        for (text, time) in [
            ("2026-03-02T09:00:00Z", Some("2026-03-02T09:00:00Z")),
            ("2026-03-02T11:00:00+02:00", Some("2026-03-02T09:00:00Z")),
            ("2026-03-02T09:00:00.1234567891234Z", Some("2026-03-02T09:00:00.123456789Z")),
            ("2026-03-02T11:00:00.1234567891234+02:00", Some("2026-03-02T09:00:00.123456789Z")),
            ("9999-12-31T23:59:59Z", Some("9999-12-30T22:00:00.999999999Z")),
            ("9999-12-31T23:59:59.9999999999999Z", Some("9999-12-30T22:00:00.999999999Z")),
            ("-009999-01-01T00:00:00Z", Some("-009999-01-02T01:59:59Z")),
            ("9999-12-31T23:59:59", None),
            ("9999-12-31", None),
            ("9999-13-31T23:59:59Z", None),
            ("2026-03-02T09:00:00", None),
            ("2026-03-02T09:00:00.Z", None),
            ("yesterday", None),
            ("", None),
        ] {
            assert_eq!(read(text), time.map(|time| time.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn every_time_is_written_with_three_decimals() {
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
