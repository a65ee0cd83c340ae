//! `docs/job-file.md` says what the reader and the schema say.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "also the helpers of tests may stop at the first thing that is wrong"
)]

use std::{fs, path::Path};

use serde_json::Value;

const PAGE: &str = include_str!("../../../docs/job-file.md");

/// The first example of the page.
fn example() -> &'static str {
    PAGE.split_once("```toml\n").unwrap().1.split_once("```").unwrap().0
}

#[test]
fn the_example_of_the_page_is_a_job_file_with_every_field() {
    let folder = tempfile::tempdir().unwrap();
    let write = |file: &str, text: &str| {
        let file = folder.path().join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    };
    write("jobs/wordcount/Dockerfile", "FROM scratch\n");
    write("schemas/order.json", "{}");
    write("longhaul.toml", example());
    let jobs = job_file::read(&folder.path().join("longhaul.toml")).jobs.unwrap_or_else(|why| panic!("{why}"));
    assert_eq!(jobs.keys().collect::<Vec<_>>(), ["hello", "report", "wordcount"]);
    for field in fields_of_jobs() {
        assert!(
            example()
                .lines()
                .any(|line| line.starts_with(&format!("{field} = ")) || line.contains(&format!(".{field}]"))),
            "{field}"
        );
    }
}

#[test]
fn the_page_describes_every_field() {
    for field in fields_of_jobs() {
        let described =
            [format!("\n| `{field}` | "), format!("\n| `{field}.")].iter().any(|start| PAGE.contains(start));
        assert!(described, "{field} is not in a table of docs/job-file.md");
    }
    let defaults = PAGE.split_once("## Defaults").unwrap().1.split_once("\n## ").unwrap().0;
    for field in schema()["properties"]["defaults"]["properties"].as_object().unwrap().keys() {
        assert!(defaults.contains(&format!("`{field}`")), "{field} is not among the defaults of docs/job-file.md");
    }
}

fn schema() -> Value {
    serde_json::from_str(&fs::read_to_string(Path::new("longhaul.schema.json")).unwrap()).unwrap()
}

fn fields_of_jobs() -> Vec<String> {
    let schema = schema();
    let jobs = schema["properties"]["jobs"]["patternProperties"].as_object().unwrap().values().next().unwrap();
    jobs["properties"].as_object().unwrap().keys().cloned().collect()
}
