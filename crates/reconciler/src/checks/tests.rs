//! The checks of a sweep, with a simulated clock.

use std::collections::BTreeMap;

use super::*;

const SWEEP: Duration = Duration::from_secs(40);

fn id(number: usize) -> ExecutionId {
    format!("e{number}").parse().unwrap()
}

/// Makes every check as early as possible, and returns them in their order.
fn check_all(queue: &mut CheckQueue<usize>, mut now: Instant) -> (Vec<usize>, CheckCounts) {
    let mut order = Vec::new();
    loop {
        match queue.next(now) {
            Next::Check(number) => order.push(number),
            Next::At(next) => {
                assert!(next > now, "the clock moves forward");
                now = next;
            }
            Next::WhenAdded => panic!("nothing is added any more"),
            Next::Over(made) => return (order, made),
        }
    }
}

/// A sweep with `count` checks, of which the first `urgent` ones are urgent.
fn sweep(seed: i64, count: usize, urgent: usize) -> (Vec<usize>, CheckCounts) {
    let began = Instant::now();
    let mut queue = CheckQueue::new(seed, began + SWEEP);
    for number in (0..count).rev() {
        queue.add(id(number), number < urgent, number);
    }
    queue.complete = true;
    check_all(&mut queue, began)
}

#[test]
fn a_few_checks_are_all_made() {
    let (mut order, made) = sweep(1, 100, 0);
    order.sort_unstable();
    assert_eq!(order, (0..100).collect::<Vec<_>>());
    assert_eq!(made, CheckCounts { made: 100, dropped: 0 });
    assert_eq!(sweep(1, 0, 0).1, CheckCounts::default());
}

#[test]
fn many_checks_are_rate_limited_and_the_rest_is_dropped() {
    let (order, made) = sweep(1, 40_000, 0);
    assert_eq!(order.len(), 600, "15 a second, for 40 seconds");
    assert_eq!(made, CheckCounts { made: 600, dropped: 39_400 });

    let began = Instant::now();
    let mut queue = CheckQueue::new(1, began + SWEEP);
    (0..100).for_each(|number| queue.add(id(number), false, number));
    let mut in_a_second = 0;
    let mut now = began;
    while now < began + Duration::from_secs(1) {
        match queue.next(now) {
            Next::Check(_) => in_a_second += 1,
            Next::At(next) => now = next,
            other => panic!("{other:?}"),
        }
    }
    assert!((15..=16).contains(&in_a_second), "{in_a_second}");
}

#[test]
fn urgent_checks_come_first() {
    let (order, _) = sweep(1, 40_000, 50);
    let mut first = order[..50].to_vec();
    first.sort_unstable();
    assert_eq!(first, (0..50).collect::<Vec<_>>());

    let began = Instant::now();
    let mut queue = CheckQueue::new(1, began + SWEEP);
    (0..10).for_each(|number| queue.add(id(number), false, number));
    assert!(matches!(queue.next(began), Next::Check(_)));
    queue.add(id(77), true, 77);
    assert_eq!(queue.next(began + Duration::from_secs(1)), Next::Check(77));
}

/// A check that does not fit into one sweep is as likely as any other to fit into the next.
#[test]
fn no_check_is_dropped_in_every_sweep() {
    const COUNT: usize = 3_000;
    let mut times = BTreeMap::<usize, u32>::new();
    for minute in 0..60 {
        for number in sweep(minute * 60, COUNT, 0).0 {
            *times.entry(number).or_default() += 1;
        }
    }
    assert_eq!(times.len(), COUNT, "each is made within an hour");
    // A fifth in each of sixty sweeps: 12 on average, with a standard deviation of about 3.
    assert!(times.values().all(|times| *times <= 30), "{:?}", times.values().max());
}

#[test]
fn throttling_ends_the_checks_of_a_sweep() {
    let began = Instant::now();
    let mut queue = CheckQueue::new(1, began + SWEEP);
    (0..10).for_each(|number| queue.add(id(number), false, number));
    assert!(matches!(queue.next(began), Next::Check(_)));
    queue.closed = true;
    let later = began + Duration::from_secs(1);
    assert_eq!(queue.next(later), Next::WhenAdded, "the sweep continues");
    queue.add(id(99), true, 99);
    queue.complete = true;
    assert_eq!(queue.next(later), Next::Over(CheckCounts { made: 1, dropped: 10 }));
}

#[test]
fn no_check_is_made_after_the_deadline() {
    let began = Instant::now();
    let mut queue = CheckQueue::new(1, began + SWEEP);
    queue.add(id(1), true, 1);
    assert_eq!(queue.next(began + SWEEP), Next::Over(CheckCounts { made: 0, dropped: 1 }));
}
