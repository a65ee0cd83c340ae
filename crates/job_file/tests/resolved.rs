//! What a file with everything says, as JSON and as Rust types.

use std::{collections::BTreeSet, path::Path};

use serde_json::Value;

const FOLDER: &str = "tests/everything";

/// The deployment reads this JSON.
#[test]
fn the_resolved_form_has_every_member_with_its_value() {
    let file = Path::new(FOLDER).join("longhaul.toml");
    let source = job_file::read(&file);
    let resolved = job_file::resolved(&source.jobs.unwrap(), &source.places);
    let golden: Value = serde_json::from_str(include_str!("everything/resolved.json")).unwrap();
    assert_eq!(resolved, golden, "{resolved:#}");
}

#[test]
fn the_files_that_were_read_are_known() {
    let folder = Path::new(FOLDER);
    let files = job_file::read(&folder.join("longhaul.toml")).files;
    let expected = ["longhaul.toml", "jobs/wordcount/Dockerfile", "schemas/order.json"];
    assert_eq!(files, expected.iter().map(|file| folder.join(file)).collect::<BTreeSet<_>>());
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let source = job_file::read(Path::new("absent/longhaul.toml"));
    let why = source.jobs.unwrap_err().to_string();
    assert!(why.starts_with("cannot read the job file absent/longhaul.toml: "), "{why}");
    assert_eq!(source.files, BTreeSet::from(["absent/longhaul.toml".into()]));
}
