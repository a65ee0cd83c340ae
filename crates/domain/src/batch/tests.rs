use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn batch(total: u32, refused: &[u32], stored: bool) -> Batch {
    Batch {
        id: BatchId::for_key(&Owner::new("ada"), "night"),
        owner: Owner::new("ada"),
        created_at: at(0),
        total,
        refused: refused.to_vec(),
        fingerprint: String::new(),
        stored,
        expires_at: at(1_000_000_000),
        unknown: Unknown::default(),
    }
}

fn found(by_status: &[(&str, u32)], deleted: u32) -> Found {
    Found { by_status: by_status.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect(), deleted }
}

/// A repeat by a newer version must find what an older version started.
#[test]
fn ids_never_change() {
    let id = BatchId::for_key(&Owner::new("ada"), "order-17");
    assert_eq!(id.as_str(), "b20a8698-a11d-5529-9bd1-f8223d2a2e3e");
    assert_eq!(id.execution_id(0).as_str(), "1e6f5ec9-1b3a-5a95-a259-681bb88d619a");
    assert_eq!(id.execution_id(999).as_str(), "8ef9e323-e261-5b73-8e8e-082212314e13");
    assert_ne!(id.as_str(), ExecutionId::for_key(&Owner::new("ada"), "order-17").as_str());
    assert_ne!(BatchId::for_key(&Owner::new("ab"), "c"), BatchId::for_key(&Owner::new("a"), "bc"));
    assert_eq!(id.as_str().parse(), Ok(id));
    for text in ["", "x", "62C4FB25-77CA-5A92-B17C-3EE4C569E2FD", "62c4fb2577ca5a92b17c3ee4c569e2fd", "a/b"] {
        assert_eq!(text.parse::<BatchId>(), Err(InvalidId), "{text}");
    }
}

#[test]
fn a_fingerprint_depends_on_values_and_order_only() {
    let of = |texts: &[&str]| {
        let all: Vec<_> = texts.iter().map(|text| Json::parse(text).unwrap()).collect();
        fingerprint(all.iter())
    };
    let one = of(&[r#"{"input": {"a": 1, "b": [1.0, "A", null]}, "job": "demo"}"#, "1"]);
    assert_eq!(one, "678cbbbc243ad5be7bbdb3a1916eb466b350777634cade87dcdd685c980d95b0");
    assert_eq!(one, of(&[r#"{"job":"demo","input":{"b":[1,"\u0041",null],"a":10e-1}}"#, "1.0"]));
    for other in [
        &["1", r#"{"input": {"a": 1, "b": [1.0, "A", null]}, "job": "demo"}"#][..],
        &[r#"{"input": {"a": 1, "b": [1.0, "A", null]}, "job": "demo"}"#],
        &[r#"{"input": {"a": 1, "b": [1.0, "A", "null"]}, "job": "demo"}"#, "1"],
        &[r#"{"input": {"a": 1, "b": [1.0, ["A"], null]}, "job": "demo"}"#, "1"],
        &[r#"{"input": {"a": -1, "b": [1.0, "A", null]}, "job": "demo"}"#, "1"],
        &[r#"{"input": {"a": 10, "b": [1.0, "A", null]}, "job": "demo"}"#, "1"],
        &[r#"{"input": {"a": true, "b": [1.0, "A", null]}, "job": "demo"}"#, "1"],
    ] {
        assert_ne!(one, of(other), "{other:?}");
    }
    assert_ne!(of(&["[]", "1"]), of(&["[1]"]));
    assert_ne!(of(&[r#""ab""#, r#""c""#]), of(&[r#""a""#, r#""bc""#]));
}

#[test]
fn the_numbers_of_a_batch_always_add_up() {
    let month = 30 * 86_400;
    for (what, batch, found, now, expected) in [
        ("just accepted", batch(5, &[2], true), found(&[], 0), 1, (vec![("PENDING", 4)], 0, 0, 0, false)),
        (
            "running",
            batch(5, &[2], true),
            found(&[("RUNNING", 1), ("FAILED", 1)], 0),
            9,
            (vec![("FAILED", 1), ("PENDING", 2), ("RUNNING", 1)], 0, 0, 1, false),
        ),
        (
            "over",
            batch(3, &[], true),
            found(&[("COMPLETED", 2), ("CANCELLED", 1)], 0),
            9,
            (vec![("CANCELLED", 1), ("COMPLETED", 2)], 0, 0, 3, true),
        ),
        (
            "being stored",
            batch(3, &[], false),
            found(&[("COMPLETED", 2)], 0),
            9,
            (vec![("COMPLETED", 2)], 1, 0, 2, false),
        ),
        (
            "incomplete",
            batch(3, &[], false),
            found(&[("COMPLETED", 2)], 0),
            301,
            (vec![("COMPLETED", 2)], 1, 0, 2, true),
        ),
        (
            "stored but not marked",
            batch(1, &[], false),
            found(&[("FAILED", 1)], 0),
            9,
            (vec![("FAILED", 1)], 0, 0, 1, true),
        ),
        ("expired", batch(4, &[0], true), found(&[("RUNNING", 1)], 1), month, (vec![("RUNNING", 1)], 0, 2, 2, false)),
        ("newer", batch(1, &[], true), found(&[("FROZEN", 1)], 0), 9, (vec![("FROZEN", 1)], 0, 0, 0, false)),
    ] {
        let progress = batch.progress(found, at(now));
        let counts: Vec<_> = progress.counts.iter().map(|(name, count)| (name.as_str(), *count)).collect();
        let Progress { missing, deleted, finished, done, .. } = progress;
        assert_eq!((counts, missing, deleted, finished, done), expected, "{what}");
        let counted: u32 = progress.counts.values().sum();
        assert_eq!(counted + missing + deleted, batch.accepted(), "{what}");
    }
}
