//! Limits how many requests of one caller are held at a time (`Prefer: wait`). Each held request takes one of the caller's places.
//!
//! A held request occupies a function instance for its whole wait, and the account's concurrency is limited. Without this limit,
//! one caller could use it all.
//!
//! **Invariant**: a place cannot leak. It is a lease for the time of the wait, and expires even if its holder crashes.

use std::time::Duration;

use aws::CallFailed;
use domain::Owner;
use jiff::SignedDuration;
use runtime::clock;
use store::Place;
use tokio::time::timeout;

use crate::{app::App, random};

/// How many of a caller's places are tried. If half of all its places are taken, one request in sixteen finds none free; if three quarters
/// are taken, one in three.
const TRIES: usize = 4;

/// How much longer than the wait a place is leased: the last read of the execution takes up to 2 s.
const LEASE_MARGIN: Duration = Duration::from_secs(5);

/// Timeout for taking a place, which counts as part of the wait.
const TAKE_TIMEOUT: Duration = Duration::from_secs(2);

/// Timeout for giving a place back. The longest wait and its last read take 27 s, and a request is abandoned after 27.5 s.
const GIVE_BACK_TIMEOUT: Duration = Duration::from_millis(300);

/// A place that was taken.
#[derive(Debug)]
pub(crate) struct Held(Place);

impl Held {
    /// Takes one of an owner's places for a wait, if one is free among a few that are tried.
    ///
    /// `None` also if `DynamoDB` does not answer: the request is then answered at once, so that a service in trouble is not
    /// polled every second.
    pub(crate) async fn take(app: &App, owner: &Owner, wait: Duration) -> Option<Self> {
        match timeout(TAKE_TIMEOUT, Self::take_any(app, owner, wait + LEASE_MARGIN)).await {
            Ok(Ok(taken)) => taken,
            Ok(Err(why)) => {
                tracing::warn!(
                    error = aws::with_causes(&why),
                    "the request is answered without waiting: cannot take a place for it"
                );
                None
            }
            Err(_) => {
                tracing::warn!("the request is answered without waiting: taking a place timed out");
                None
            }
        }
    }

    async fn take_any(app: &App, owner: &Owner, time: Duration) -> Result<Option<Self>, CallFailed> {
        let Ok(random) = random::bytes::<10>() else { return Ok(None) };
        let holder = random.iter().fold(0_u128, |number, byte| number << 8 | u128::from(*byte));
        let now = clock::now();
        let until = now.checked_add(SignedDuration::try_from(time).unwrap_or_default()).unwrap_or(now);
        for number in some_of(app.held_requests, holder) {
            let place = Place { owner: owner.clone(), number, holder: format!("{holder:020x}") };
            if app.allowances.take(&place, until, now).await? {
                return Ok(Some(Self(place)));
            }
        }
        Ok(None)
    }

    /// Gives the place back. If that fails, the lease expires.
    pub(crate) async fn give_back(self, app: &App) {
        match timeout(GIVE_BACK_TIMEOUT, app.allowances.give_back(&self.0, clock::now())).await {
            Ok(Ok(())) => {}
            Ok(Err(why)) => tracing::warn!(
                error = aws::with_causes(&why),
                "cannot give back a held request's place; its lease expires soon"
            ),
            Err(_) => tracing::warn!("giving back a held request's place timed out; its lease expires soon"),
        }
    }
}

/// Up to [`TRIES`] different numbers below `count`, chosen by a random number.
fn some_of(count: u32, mut random: u128) -> Vec<u32> {
    let mut all: Vec<_> = (0..count).collect();
    let mut chosen = Vec::new();
    while chosen.len() < TRIES && !all.is_empty() {
        let left = all.len() as u128;
        chosen.push(all.swap_remove(usize::try_from(random % left).unwrap_or_default()));
        random /= left;
    }
    chosen
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_few_different_places_are_chosen_and_each_is_chosen_sometimes() {
        assert_eq!(some_of(0, 7), Vec::<u32>::new());
        assert_eq!(some_of(1, 7), [0]);
        let mut three = some_of(3, 7);
        three.sort_unstable();
        assert_eq!(three, [0, 1, 2]);
        let mut first = BTreeSet::new();
        for random in 0..100_u128 {
            let chosen = some_of(20, random * 7_919);
            assert_eq!(chosen.iter().collect::<BTreeSet<_>>().len(), TRIES, "{chosen:?}");
            assert!(chosen.iter().all(|number| *number < 20), "{chosen:?}");
            first.insert(chosen[0]);
        }
        assert_eq!(first.len(), 20);
    }
}
