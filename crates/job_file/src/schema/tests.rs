use std::collections::BTreeSet;

use serde_json::Value;

use super::*;

const EVERYTHING: &str = include_str!("../../tests/everything/longhaul.toml");

fn json(toml: &str) -> Value {
    toml::from_str(toml).unwrap()
}

/// Why the schema refuses a file.
fn refused(file: &Value) -> Option<String> {
    let (mut compiler, mut schemas) = (boon::Compiler::new(), boon::Schemas::new());
    compiler.add_resource("schema.json", schema()).unwrap();
    let index = compiler.compile("schema.json", &mut schemas).unwrap();
    schemas.validate(file, index).err().map(|why| why.to_string())
}

/// Editors read the schema from the repository.
#[test]
fn the_committed_schema_is_the_one_of_the_code() {
    let committed: Value = serde_json::from_str(include_str!("../../longhaul.schema.json")).unwrap();
    assert_eq!(
        committed,
        schema(),
        "write it with: cargo run -p job_file -- schema > crates/job_file/longhaul.schema.json"
    );
}

#[test]
fn the_schema_accepts_a_file_with_every_field() {
    assert_eq!(refused(&json(EVERYTHING)), None);
    let job = &json(EVERYTHING)["jobs"];
    let used: BTreeSet<_> = job.as_object().unwrap().values().flat_map(|job| job.as_object().unwrap().keys()).collect();
    let schema = schema();
    let jobs = schema["properties"]["jobs"]["patternProperties"].as_object().unwrap().values().next().unwrap();
    let known: BTreeSet<_> = jobs["properties"].as_object().unwrap().keys().collect();
    assert_eq!(used, known);
}

#[test]
fn the_schema_refuses_what_the_reader_refuses() {
    for field in [
        "nonsense = 1",
        "stop_timeout = \"5s\"",
        "volumes = []",
        "image = \"a b\"",
        "cpu = 300",
        "memory = 513",
        "ephemeralStorage = 20",
        "capacity = \"Spot\"",
        "architecture = \"amd64\"",
        "user = \"a:b:c\"",
        "readonlyRootFilesystem = \"yes\"",
        "environment = { 1A = \"x\" }",
        "environment = { A = 1 }",
        "secrets = { A = \"hunter2\" }",
        "permissions = [\"s3:GetObject\"]",
        "permissions = [\"s3:* arn:aws:s3:::x\"]",
        "taskRole = \"job\"",
        "sidecars = [{ name = \"job\", image = \"x\" }]",
        "sidecars = [{ name = \"a\", image = \"build:image\" }]",
        "sidecars = [{ name = \"a\" }]",
        "logRetentionDays = 8",
        "timeout = 60",
        "timeout = \"soon\"",
        "retry = { maxAttempts = 11 }",
        "retry = { onExitCodes = [0] }",
        "retry = { backoff = \"5s\" }",
        "input = {}",
        "allow = [\"timeout\"]",
    ] {
        let file = json(&format!("[jobs.a]\ncommand = [\"x\"]\n{field}\n"));
        assert!(refused(&file).is_some(), "{field}");
    }
    for file in
        ["[job.a]\ncommand = [\"x\"]", "[jobs.a]", "[jobs.\"a b\"]\ncommand = [\"x\"]", "[defaults]\ncommand = [\"x\"]"]
    {
        assert!(refused(&json(file)).is_some(), "{file}");
    }
}
