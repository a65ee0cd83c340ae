//! The checks of a sweep, with a simulated clock.

use std::collections::BTreeMap;

use super::*;

const SWEEP: Duration = Duration::from_secs(40);

fn id(number: usize) -> ExecutionId {
    format!("e{number}").parse().unwrap()
}

/// Asks every question as early as possible, and returns them in their order.
fn ask_all(questions: &mut Questions<usize>, mut now: Instant) -> (Vec<usize>, Asked) {
    let mut order = Vec::new();
    loop {
        match questions.turn(now) {
            Turn::Ask(number) => order.push(number),
            Turn::At(next) => {
                assert!(next > now, "the clock moves forward");
                now = next;
            }
            Turn::WhenAdded => panic!("nothing is added any more"),
            Turn::Over(asked) => return (order, asked),
        }
    }
}

/// A sweep with `count` questions, of which the first `urgent` ones are urgent.
fn sweep(seed: i64, count: usize, urgent: usize) -> (Vec<usize>, Asked) {
    let began = Instant::now();
    let mut questions = Questions::new(seed, began + SWEEP);
    for number in (0..count).rev() {
        questions.add(id(number), number < urgent, number);
    }
    questions.complete = true;
    ask_all(&mut questions, began)
}

#[test]
fn a_few_checks_are_all_made() {
    let (mut order, asked) = sweep(1, 100, 0);
    order.sort_unstable();
    assert_eq!(order, (0..100).collect::<Vec<_>>());
    assert_eq!(asked, Asked { asked: 100, dropped: 0 });
    assert_eq!(sweep(1, 0, 0).1, Asked::default());
}

#[test]
fn many_checks_are_rate_limited_and_the_rest_is_dropped() {
    let (order, asked) = sweep(1, 40_000, 0);
    assert_eq!(order.len(), 600, "15 a second, for 40 seconds");
    assert_eq!(asked, Asked { asked: 600, dropped: 39_400 });

    let began = Instant::now();
    let mut questions = Questions::new(1, began + SWEEP);
    (0..100).for_each(|number| questions.add(id(number), false, number));
    let mut in_a_second = 0;
    let mut now = began;
    while now < began + Duration::from_secs(1) {
        match questions.turn(now) {
            Turn::Ask(_) => in_a_second += 1,
            Turn::At(next) => now = next,
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
    let mut questions = Questions::new(1, began + SWEEP);
    (0..10).for_each(|number| questions.add(id(number), false, number));
    assert!(matches!(questions.turn(began), Turn::Ask(_)));
    questions.add(id(77), true, 77);
    assert_eq!(questions.turn(began + Duration::from_secs(1)), Turn::Ask(77));
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
    let mut questions = Questions::new(1, began + SWEEP);
    (0..10).for_each(|number| questions.add(id(number), false, number));
    assert!(matches!(questions.turn(began), Turn::Ask(_)));
    questions.closed = true;
    let later = began + Duration::from_secs(1);
    assert_eq!(questions.turn(later), Turn::WhenAdded, "the sweep continues");
    questions.add(id(99), true, 99);
    questions.complete = true;
    assert_eq!(questions.turn(later), Turn::Over(Asked { asked: 1, dropped: 10 }));
}

#[test]
fn no_check_is_made_after_the_deadline() {
    let began = Instant::now();
    let mut questions = Questions::new(1, began + SWEEP);
    questions.add(id(1), true, 1);
    assert_eq!(questions.turn(began + SWEEP), Turn::Over(Asked { asked: 0, dropped: 1 }));
}
