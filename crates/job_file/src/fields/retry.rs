//! `retry`.

use std::{collections::BTreeSet, time::Duration};

use domain::limits;

use super::{Owner, time::whole_seconds, unknown};
use crate::{
    checker::{Checker, Table, Value},
    job::{Backoff, Retry},
};

/// The shortest and the longest wait between attempts.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(1), limits::BACKOFF);

pub(super) fn retry<'i>(table: &mut Table<'i>, checker: &mut Checker<'i>) -> Option<Retry> {
    let mut retry = checker.table(table.take("retry")?, "retry")?;
    let attempts = retry.take("maxAttempts");
    let codes = retry.take("onExitCodes");
    let backoff = retry.take("backoff");
    unknown(retry, Owner::Retry, checker);
    Some(Retry {
        max_attempts: attempts.and_then(|value| checker.number(&value, "maxAttempts", 1, limits::ATTEMPTS)),
        on_exit_codes: codes.and_then(|value| exit_codes(value, checker)),
        backoff: backoff.and_then(|value| read_backoff(value, checker)),
    })
}

fn exit_codes<'i>(value: Value<'i>, checker: &mut Checker<'i>) -> Option<BTreeSet<u8>> {
    let place = value.span();
    let values = checker.list(value, "onExitCodes")?;
    if !(1..=limits::EXIT_CODES).contains(&values.len()) {
        checker.mistake(
            &place,
            format!("onExitCodes has {} exit codes; it must have from 1 to {}", values.len(), limits::EXIT_CODES),
        );
    }
    let mut codes = BTreeSet::new();
    for value in values {
        let read = checker.number(&value, "an exit code", 1, u8::MAX.into());
        let Some(code) = read.and_then(|code| u8::try_from(code).ok()) else { continue };
        if !codes.insert(code) {
            checker.mistake(&value.span(), format!("exit code {code} is in onExitCodes twice; name it once"));
        }
    }
    Some(codes)
}

fn read_backoff<'i>(value: Value<'i>, checker: &mut Checker<'i>) -> Option<Backoff> {
    let given = checker.text(value, "backoff")?;
    let read = given.get_ref().split_once("..").and_then(|(first, longest)| {
        let (first, longest) = (whole_seconds(first.trim(), BACKOFF)?, whole_seconds(longest.trim(), BACKOFF)?);
        (first <= longest).then_some(Backoff { first, longest })
    });
    if read.is_none() {
        checker.mistake(
            &given.span(),
            format!(
                "backoff is \"{}\"; it must be the first and the longest wait, in whole seconds from 1s to 24h, for example \
                 \"5s..5m\"",
                given.get_ref()
            ),
        );
    }
    read
}
