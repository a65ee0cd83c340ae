//! Compares paged lists over several parts with the same list in memory.

use proptest::prelude::*;

use super::*;

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).unwrap()
}

fn summary(ms: i64, id: &str, status: Status) -> Summary {
    Summary {
        id: id.parse().unwrap(),
        pattern: Pattern::Sync,
        status,
        job: "demo".into(),
        created_at: at(ms),
        attempt: None,
        max_attempts: 1,
        started_at: None,
        finished_at: None,
        exit_code: None,
        deadline: at(ms + 1_000),
        expires_at: at(1_000_000),
        tags: BTreeMap::from([("team".into(), "blue".into()), ("a=b".into(), "c".into())]),
        rerun_of: None,
        schedule: None,
        batch: None,
    }
}

/// Reads the executions of a part that are older than a place, at most `most`, as the index does.
fn read(part: &[Summary], after: Option<&Place>, most: usize) -> Part {
    let mut ahead: Vec<_> = part.iter().filter(|it| after.is_none_or(|after| it.place() < *after)).cloned().collect();
    ahead.sort_by_key(|it| std::cmp::Reverse(it.place()));
    let more = ahead.len() > most;
    ahead.truncate(most);
    Part { up_to: ahead.last().filter(|_| more).map(Summary::place), read: ahead }
}

proptest! {
    /// All pages together have each execution exactly once, and there is a last page.
    #[test]
    fn all_pages_together_are_the_whole_list(
        made in proptest::collection::vec((0_i64..20, 0_usize..4, any::<bool>()), 0..60),
        size in 1_usize..7, most in 1_usize..9, filtered in any::<bool>(),
    ) {
        let mut parts = vec![Vec::new(); 4];
        for (number, (ms, part, failed)) in made.iter().enumerate() {
            let status = if *failed { Status::Failed } else { Status::Completed };
            parts[*part].push(summary(*ms, &format!("e{number}"), status));
        }
        let filter = Filter { status: filtered.then_some(Status::Failed), ..Filter::default() };
        let mut expected: Vec<_> = parts.iter().flatten().filter(|it| filter.wants(it)).cloned().collect();
        expected.sort_by_key(|it| std::cmp::Reverse(it.place()));
        let mut listed = Vec::new();
        let mut after = None;
        for _ in 0..=made.len() {
            let read = parts.iter().map(|part| read(part, after.as_ref(), most)).collect();
            let page = Page::merge(read, size, &filter, at(0));
            prop_assert!(page.found.len() <= size);
            listed.extend(page.found);
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        prop_assert_eq!(after, None, "there is no last page");
        prop_assert_eq!(listed, expected);
    }
}

#[test]
fn a_filter_matches_what_it_names() {
    let one = summary(10, "e1", Status::Failed);
    let tag = |key: &str, value: Option<&str>| Some((key.to_owned(), value.map(str::to_owned)));
    let all = Filter::default();
    for (filter, wanted) in [
        (all.clone(), true),
        (Filter { status: Some(Status::Failed), ..all.clone() }, true),
        (Filter { status: Some(Status::Running), ..all.clone() }, false),
        (Filter { pattern: Some(Pattern::Callback), ..all.clone() }, false),
        (Filter { job: Some("demo".into()), ..all.clone() }, true),
        (Filter { job: Some("dem".into()), ..all.clone() }, false),
        (Filter { tag: tag("team", None), ..all.clone() }, true),
        (Filter { tag: tag("team", Some("blue")), ..all.clone() }, true),
        (Filter { tag: tag("team", Some("red")), ..all.clone() }, false),
        (Filter { tag: tag("blue", None), ..all.clone() }, false),
        (Filter { tag: tag("a=b", None), ..all.clone() }, true),
        (Filter { tag: tag("a", Some("b=c")), ..all.clone() }, true),
        (Filter { tag: tag("a", Some("b")), ..all.clone() }, true),
        (Filter { tag: tag("a", Some("b=")), ..all.clone() }, false),
        (Filter { created_after: Some(at(10)), ..all.clone() }, false),
        (Filter { created_after: Some(at(9)), ..all.clone() }, true),
        (Filter { created_before: Some(at(10)), ..all.clone() }, false),
        (Filter { created_before: Some(at(11)), ..all.clone() }, true),
    ] {
        assert_eq!(filter.wants(&one), wanted, "{filter:?}");
    }
}

/// A filter by time alone is a range of the index.
#[test]
fn a_filter_by_time_alone_needs_no_search() {
    let all = Filter::default();
    let times = Filter { created_after: Some(at(1)), created_before: Some(at(9)), ..all.clone() };
    assert!(!all.needs_search() && !times.needs_search());
    for filter in [
        Filter { status: Some(Status::Failed), ..all.clone() },
        Filter { pattern: Some(Pattern::Sync), ..all.clone() },
        Filter { job: Some("demo".into()), ..all.clone() },
        Filter { tag: Some(("team".into(), None)), ..all.clone() },
    ] {
        assert!(filter.needs_search(), "{filter:?}");
    }
}

#[test]
fn an_execution_that_is_not_over_is_kept_as_if_it_ended_at_its_deadline() {
    let over = summary(10, "e1", Status::Failed);
    assert_eq!(over.kept_until(), at(1_000_000));
    let running = Summary { deadline: at(60_000), expires_at: crate::NEVER, ..summary(10, "e2", Status::Running) };
    assert_eq!(running.kept_until(), at(60_000) + crate::limits::RETENTION);
}

#[test]
fn expired_executions_are_not_listed() {
    let part = Part { read: vec![summary(10, "e1", Status::Failed)], up_to: None };
    assert_eq!(Page::merge(vec![part], 5, &Filter::default(), at(1_000_000)), Page::default());
}

#[test]
fn a_shortened_page_continues_after_its_last_execution() {
    let found: Vec<_> = (0..3).map(|n| summary(9 - n, &format!("e{n}"), Status::Completed)).collect();
    let end = Some(Place { at: at(1), id: "end".parse().unwrap() });
    let page = Page { found: found.clone(), next: end.clone() };
    let cut = |count| {
        let mut page = page.clone();
        page.cut(count);
        page
    };
    assert_eq!(cut(2), Page { found: found[..2].to_vec(), next: Some(found[1].place()) });
    assert_eq!(cut(1), Page { found: found[..1].to_vec(), next: Some(found[0].place()) });
    for whole in [0, 3, 4] {
        assert_eq!(cut(whole), page, "{whole}");
    }
}
