//! How many requests of one caller are held at a time (`Prefer: wait`): each takes one of the caller's places.
//!
//! A held request occupies a function for its whole wait, and an account has a number of functions that run at once. Without a
//! bound one caller could use them all up.
//!
//! **Invariant**: a place cannot leak. It is taken for the time of the wait and is free after that, whatever became of whom it
//! was taken for.

use std::time::Duration;

use aws::{CallFailed, Place, clock};
use domain::Owner;
use jiff::SignedDuration;
use tokio::time::timeout;

use crate::{random, router::App};

/// Places that are tried. With half of them taken, one request in sixteen finds none; with three quarters, one in three.
const TRIES: usize = 4;

/// How long a place stays taken beyond the wait: the last look at the execution takes up to 2 s, and giving it back 1 s.
const AFTER: Duration = Duration::from_secs(5);

/// The longest that taking a place may keep a request from being answered, and giving it back: API Gateway waits 30 s in all,
/// and the longest wait and its last look are 27.
const TAKING: Duration = Duration::from_secs(2);
const GIVING_BACK: Duration = Duration::from_secs(1);

/// A place that was taken.
#[derive(Debug)]
pub(crate) struct Held(Place);

impl Held {
    /// Takes one of an owner's places for a wait, if one is free among a few that are tried.
    ///
    /// `None` also if `DynamoDB` does not say: what is in trouble is not asked again every second, and the bound holds.
    pub(crate) async fn take(app: &App, owner: &Owner, wait: Duration) -> Option<Self> {
        match timeout(TAKING, Self::take_any(app, owner, wait + AFTER)).await {
            Ok(Ok(taken)) => taken,
            Ok(Err(why)) => {
                tracing::warn!(error = aws::with_causes(&why), "a request is not held: no place could be taken");
                None
            }
            Err(_) => {
                tracing::warn!("a request is not held: taking a place took too long");
                None
            }
        }
    }

    async fn take_any(app: &App, owner: &Owner, time: Duration) -> Result<Option<Self>, CallFailed> {
        let Ok(random) = random::bytes() else { return Ok(None) };
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

    /// Gives it back. If that fails, it is free in some seconds anyway.
    pub(crate) async fn give_back(self, app: &App) {
        match timeout(GIVING_BACK, app.allowances.give_back(&self.0, clock::now())).await {
            Ok(Ok(())) => {}
            Ok(Err(why)) => tracing::warn!(error = aws::with_causes(&why), "a place was not given back"),
            Err(_) => tracing::warn!("giving a place back took too long"),
        }
    }
}

/// A few different numbers below `count`, chosen by a random number.
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
    fn a_few_different_places_are_tried_and_each_has_its_turn() {
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
