use std::fmt::Write as _;

use super::*;

fn upcoming(cron: &str, zone: &str, from: &str, count: usize) -> Vec<String> {
    let upcoming = Times::of(cron, zone).unwrap().upcoming(from.parse().unwrap(), count);
    upcoming.iter().map(|time| time.strftime("%m-%d %H:%M%:z").to_string()).collect()
}

/// Both switches of six zones in 2026: one of them moves by half an hour, in two the gap is at midnight, one is in the south, and one sets
/// its clock back for Ramadan.
#[test]
fn every_switch_of_six_zones_has_its_golden_times() {
    let switches = [
        ("Europe/Berlin", "2026-03-28T23:00:00Z", "30 2 * * *"),
        ("Europe/Berlin", "2026-10-24T22:00:00Z", "30 2 * * *"),
        ("America/New_York", "2026-03-08T05:00:00Z", "30 2 * * *"),
        ("America/New_York", "2026-11-01T04:00:00Z", "30 1 * * *"),
        ("Australia/Lord_Howe", "2026-10-03T13:00:00Z", "15 2 * * *"),
        ("Australia/Lord_Howe", "2026-04-04T13:00:00Z", "45 1 * * *"),
        ("America/Santiago", "2026-09-06T02:00:00Z", "30 0 * * *"),
        ("America/Santiago", "2026-04-05T01:30:00Z", "30 23 * * *"),
        ("Asia/Beirut", "2026-03-28T20:00:00Z", "0 0 * * *"),
        ("Asia/Beirut", "2026-10-24T19:30:00Z", "30 23 * * *"),
        ("Africa/Casablanca", "2026-02-15T00:00:00Z", "30 2 * * *"),
        ("Africa/Casablanca", "2026-03-22T00:00:00Z", "30 2 * * *"),
    ];
    let mut table = String::new();
    for (zone, from, fixed) in switches {
        for (cron, count) in [(fixed, 3), ("30 * * * *", 5), ("*/30 * * * *", 9)] {
            let _ = writeln!(table, "{zone} from {from}, {cron}: {}", upcoming(cron, zone, from, count).join(", "));
        }
    }
    insta::assert_snapshot!(table);
}

#[test]
fn a_list_of_numbers_is_fixed_and_every_time_in_a_gap_becomes_one() {
    let march = |cron, count| upcoming(cron, "Europe/Berlin", "2026-03-28T12:00:00Z", count);
    let october = |cron, count| upcoming(cron, "Europe/Berlin", "2026-10-24T12:00:00Z", count);
    assert_eq!(march("0,15,45 2 * * *", 2), ["03-29 03:00+02:00", "03-30 02:00+02:00"]);
    assert_eq!(march("0 2,3 * * *", 2), ["03-29 03:00+02:00", "03-30 02:00+02:00"]);
    assert_eq!(october("0,30 2 * * *", 3), ["10-25 02:00+02:00", "10-25 02:30+02:00", "10-26 02:00+01:00"]);
    assert_eq!(march("*/30 2 * * *", 1), ["03-30 02:00+02:00"], "an interval");
    assert_eq!(october("30 1-2 * * *", 3), ["10-25 01:30+02:00", "10-25 02:30+02:00", "10-25 02:30+01:00"]);
}

#[test]
fn a_day_that_a_zone_skipped_is_due_at_the_next_midnight() {
    let times = upcoming("0 12 30 * *", "Pacific/Apia", "2011-12-01T00:00:00Z", 2);
    assert_eq!(times, ["12-31 00:00+14:00", "01-30 12:00+14:00"]);
}

#[test]
fn the_last_day_the_nearest_weekday_and_the_nth_weekday_are_found() {
    let times = |cron| upcoming(cron, "UTC", "2026-01-01T12:00:00Z", 3);
    for (cron, expected) in [
        ("0 0 L * *", ["01-31", "02-28", "03-31"]),
        ("0 0 LW * *", ["01-30", "02-27", "03-31"]),
        ("0 0 15W * *", ["01-15", "02-16", "03-16"]),
        ("0 0 * * MON#2", ["01-12", "02-09", "03-09"]),
        ("0 0 * * 5L", ["01-30", "02-27", "03-27"]),
        ("0 0 1 jan-mar *", ["02-01", "03-01", "01-01"]),
        ("0 0 13 * 5", ["01-02", "01-09", "01-13"]),
        ("0 0 * * 7", ["01-04", "01-11", "01-18"]),
    ] {
        assert_eq!(times(cron), expected.map(|day| format!("{day} 00:00+00:00")), "{cron}");
    }
}

#[test]
fn an_expression_that_is_not_promised_is_refused_with_what_is_allowed() {
    for (cron, why) in [
        ("", "has 0 fields; it must have five: minute, hour, day of month, month, day of week (no seconds, no years)"),
        ("0 0 * * * *", "has 6 fields; it must have five"),
        ("0 0 0 * * * 2026", "has 7 fields; it must have five"),
        ("@daily", "is a nickname; it must have five fields"),
        ("0 0 ? * 1", "has '?'; allowed are numbers, names and * , - / L W #; write * for any day"),
        ("0 0 * * +1", "has '+'; allowed are numbers, names and * , - / L W #"),
        ("H 0 * * *", "is not a valid cron expression ("),
        ("60 * * * *", "is not a valid cron expression (Number out of bounds); it has minute (0-59)"),
        ("5/15 * * * *", "is not a valid cron expression (Invalid step syntax"),
        ("0 0 * * L", "has L as a day of week; name the day, for example 5L"),
        ("0 0 31 2 *", "is never due; check the day and the month"),
    ] {
        let errors = Times::of(cron, "UTC").unwrap_err();
        let [InvalidRule::Cron(found)] = errors.as_slice() else { panic!("{errors:?}") };
        assert!(found.starts_with(why), "{cron}: {found}");
    }
}

#[test]
fn a_zone_must_have_its_exact_name() {
    for (zone, meant) in [
        ("europe/berlin", "(did you mean Europe/Berlin?)"),
        ("America/New York", "(did you mean America/New_York?)"),
        ("Berlin", "(did you mean Europe/Berlin?)"),
        ("Atlantis", "is not an IANA time zone; it must be a name such as Europe/Berlin"),
    ] {
        let errors = Times::of("* * * * *", zone).unwrap_err();
        let [InvalidRule::Zone(found)] = errors.as_slice() else { panic!("{errors:?}") };
        assert!(found.contains(meant), "{zone}: {found}");
    }
    assert_eq!(Times::of("x", "y").unwrap_err().len(), 2, "both are reported");
}

#[test]
fn jitter_is_always_the_same_for_a_time_and_at_most_what_was_asked_for() {
    let time = |minute: i64| Timestamp::from_second(minute * 60).unwrap();
    let of = |name: &str, minute, most| {
        let late = jitter(&Owner::new("ada"), &name.parse().unwrap(), time(minute), most);
        late.duration_since(time(minute)).as_secs()
    };
    assert_eq!([of("a", 1, 0), of("a", 1, 600), of("a", 1, 600)], [0, of("a", 1, 600), of("a", 1, 600)]);
    let offsets: std::collections::BTreeSet<_> = (0..100).map(|minute| of("a", minute, 59)).collect();
    assert!(offsets.len() > 30 && offsets.iter().all(|by| (0..=59).contains(by)), "{offsets:?}");
    assert_ne!(of("a", 1, 3_600), of("b", 1, 3_600));
}
