//! The times of a cron expression in a time zone.
//!
//! An expression whose minutes and hours are numbers, or lists of numbers, names fixed times of the day. Each is due exactly once a day:
//! if the clock skips it, right after the gap, and if the clock repeats it, the first time. Any other expression is an interval, and follows
//! the clock: what is skipped is not due, and what is repeated is due twice.

use std::sync::LazyLock;

use croner::{
    Cron,
    errors::CronError,
    parser::{CronParser, Seconds, Year},
};
use jiff::{
    SignedDuration, Timestamp, Zoned,
    civil::DateTime,
    tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase},
};
use sha2::{Digest as _, Sha256};

use super::ScheduleName;
use crate::Owner;

/// The time zones that this program contains. The host's are not used, because all functions have to agree.
static ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// The times at which a rule is due, in whole minutes.
#[derive(Debug, Clone)]
pub struct Times {
    cron: Cron,
    zone: TimeZone,
    fixed: bool,
}

/// What is wrong with a rule, and what is allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRule {
    /// The cron expression is not valid.
    #[error("{0}")]
    Cron(String),
    /// There is no such time zone.
    #[error("{0}")]
    Zone(String),
}

impl Times {
    /// The times of a cron expression of five fields in an IANA time zone.
    ///
    /// # Errors
    ///
    /// [`InvalidRule`] for each of the two that is not valid.
    pub fn of(cron: &str, time_zone: &str) -> Result<Self, Vec<InvalidRule>> {
        match (parse(cron), zone(time_zone)) {
            (Ok((cron, fixed)), Ok(zone)) => Ok(Self { cron, zone, fixed }),
            (cron, zone) => Err(cron.err().into_iter().chain(zone.err()).collect()),
        }
    }

    /// The first time after `at`. `None` if there is none that can be represented.
    #[must_use]
    pub fn after(&self, at: Timestamp) -> Option<Timestamp> {
        if self.fixed { self.fixed_after(at) } else { self.interval_after(at) }
    }

    /// The next `count` times after `at`, in the time zone.
    #[must_use]
    pub fn upcoming(&self, at: Timestamp, count: usize) -> Vec<Zoned> {
        let times = std::iter::successors(self.after(at), |last| self.after(*last));
        times.take(count).map(|time| time.to_zoned(self.zone.clone())).collect()
    }

    /// The local time of a moment.
    #[must_use]
    pub fn local(&self, at: Timestamp) -> Zoned {
        at.to_zoned(self.zone.clone())
    }

    fn interval_after(&self, at: Timestamp) -> Option<Timestamp> {
        let found = self.cron.find_next_occurrence(&at.to_zoned(self.zone.clone()), false);
        found.ok().map(|found| found.timestamp())
    }

    /// The expression is searched on a clock that neither skips nor repeats anything, and each time found there is one moment in the time
    /// zone. Later times are never earlier moments.
    fn fixed_after(&self, at: Timestamp) -> Option<Timestamp> {
        let mut local = self.zone.to_datetime(at);
        loop {
            local = self.civil_after(local)?;
            let moment = self.moment(local)?;
            if moment > at {
                return Some(moment);
            }
        }
    }

    fn civil_after(&self, local: DateTime) -> Option<DateTime> {
        let local = local.to_zoned(TimeZone::UTC).ok()?;
        self.cron.find_next_occurrence(&local, false).ok().map(|found| found.datetime())
    }

    fn moment(&self, local: DateTime) -> Option<Timestamp> {
        let ambiguous = self.zone.to_ambiguous_timestamp(local);
        match ambiguous.offset() {
            // The offset after the gap gives a moment before it, at which the clock still has the offset from before.
            AmbiguousOffset::Gap { .. } => {
                let before = ambiguous.earlier().ok()?;
                self.zone.following(before).next().map(|transition| transition.timestamp())
            }
            AmbiguousOffset::Unambiguous { .. } | AmbiguousOffset::Fold { .. } => ambiguous.earlier().ok(),
        }
    }
}

/// What a field may contain, besides its numbers and names.
const ALLOWED: &str = "* , - / L W #";

fn parse(text: &str) -> Result<(Cron, bool), InvalidRule> {
    let wrong = |why: String| Err(InvalidRule::Cron(why));
    let fields: Vec<_> = text.split_ascii_whitespace().collect();
    if text.trim_start().starts_with('@') {
        return wrong(
            "is a nickname; it must have five fields: minute, hour, day of month, month, day of week".to_owned(),
        );
    }
    if fields.len() != 5 {
        let count = fields.len();
        return wrong(format!(
            "has {count} {}; it must have five: minute, hour, day of month, month, day of week (no seconds, no years)",
            if count == 1 { "field" } else { "fields" }
        ));
    }
    if let Some(odd) = text.chars().find(|char| !char.is_ascii_alphanumeric() && !" \t*,-/#".contains(*char)) {
        let instead = if odd == '?' { "; write * for any day" } else { "" };
        return wrong(format!("has '{}'; allowed are numbers, names and {ALLOWED}{instead}", odd.escape_debug()));
    }
    let (minute, hour, weekday) = (fields.first(), fields.get(1), fields.get(4));
    if weekday.is_some_and(|field| field.split(',').any(|part| part.eq_ignore_ascii_case("l"))) {
        return wrong(
            "has L as a day of week; name the day, for example 5L for the last Friday of the month".to_owned(),
        );
    }
    let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
    let cron = parser.parse(text).map_err(|why| InvalidRule::Cron(explained(&why)))?;
    let fixed = [minute, hour]
        .into_iter()
        .flatten()
        .all(|field| field.bytes().all(|byte| byte.is_ascii_digit() || byte == b','));
    if cron.find_next_occurrence(&Timestamp::UNIX_EPOCH.to_zoned(TimeZone::UTC), false).is_err() {
        return wrong("is never due; check the day and the month".to_owned());
    }
    Ok((cron, fixed))
}

fn explained(why: &CronError) -> String {
    let why = match why {
        CronError::InvalidPattern(why) | CronError::IllegalCharacters(why) | CronError::ComponentError(why) => {
            why.clone()
        }
        other => other.to_string(),
    };
    let why = why.trim_end_matches('.');
    format!(
        "is not a valid cron expression ({why}); it has minute (0-59), hour (0-23), day of month (1-31), month (1-12 or JAN-DEC) and day \
         of week (0-7 or SUN-SAT)"
    )
}

fn zone(name: &str) -> Result<TimeZone, InvalidRule> {
    let wrong = || {
        let close: Vec<_> = close_to(name);
        let meant = if close.is_empty() { String::new() } else { format!(" (did you mean {}?)", close.join(" or ")) };
        InvalidRule::Zone(format!(
            "is not an IANA time zone{meant}; it must be a name such as Europe/Berlin, America/New_York or UTC"
        ))
    };
    let found = ZONES.get(name).map_err(|_| wrong())?;
    // The database ignores case. A definition has the name as IANA writes it, so that two spellings are not two rules.
    if found.iana_name() == Some(name) { Ok(found) } else { Err(wrong()) }
}

/// The zones whose city, or whose name without regard to case, is this one's.
fn close_to(name: &str) -> Vec<String> {
    let plain = |text: &str| text.to_ascii_lowercase().replace([' ', '-'], "_");
    let city = |text: &str| plain(text.rsplit('/').next().unwrap_or_default());
    let names = || ZONES.available().map(|name| name.to_string());
    let same: Vec<_> = names().filter(|zone| plain(zone) == plain(name)).collect();
    if same.is_empty() { names().filter(|zone| city(zone) == city(name)).take(3).collect() } else { same }
}

/// When a time is started: up to `most` seconds later, always the same for this schedule and time.
#[must_use]
pub fn jitter(owner: &Owner, name: &ScheduleName, time: Timestamp, most: u64) -> Timestamp {
    if most == 0 {
        return time;
    }
    let mut hash = Sha256::new();
    for text in [&owner.to_string(), name.as_str(), &time.as_second().to_string()] {
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text);
    }
    let number = hash.finalize().iter().take(8).fold(0_u64, |number, byte| (number << 8) | u64::from(*byte));
    let by = i64::try_from(number % (most + 1)).unwrap_or_default();
    time.checked_add(SignedDuration::from_secs(by)).unwrap_or(time)
}

#[cfg(test)]
mod tests;
