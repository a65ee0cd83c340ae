//! Golden entries, and the mistakes that are found when a catalog is read.

use super::*;

/// An entry with every member.
const FULL: &str = r#"{
    "taskDefinition": "etl:3", "container": "main", "logStreamPrefix": "run", "logGroup": "/jobs/etl",
    "tableRole": "arn:role", "capacityProvider": "FARGATE_SPOT", "description": "Loads orders", "cpu": 512,
    "memory": 1024, "timeoutSeconds": 60,
    "retry": {"maxAttempts": 3, "onExitCodes": [75], "backoffSeconds": {"first": 1, "longest": 60}},
    "input": {"type": "object", "properties": {"b": {}, "a": {}}},
    "allow": {"environment": ["DEBUG"], "cpu": true, "memory": true}
}"#;

fn job(text: &str) -> Job {
    read(&format!(r#"{{"etl": {text}}}"#)).unwrap().remove("etl").unwrap()
}

#[track_caller]
fn is_refused(members: &str, why: &str) {
    let mistake = read(&format!(r#"{{"etl": {{"taskDefinition": "a", {members}}}}}"#)).unwrap_err();
    assert!(mistake.contains(why), "{mistake}");
}

#[test]
fn every_member_is_read() {
    let full = job(FULL);
    let text = |text: &str| Some(text.to_owned());
    assert_eq!((full.family(), &*full.container), ("etl", "main"));
    let log = full.log("/default");
    assert_eq!((&*log.group, &*log.stream_prefix), ("/jobs/etl", "run"));
    assert_eq!((full.table_role.clone(), full.capacity_provider.clone()), (text("arn:role"), text("FARGATE_SPOT")));
    assert_eq!((full.description.clone(), full.timeout()), (text("Loads orders"), Duration::from_mins(1)));
    let rule = full.retry_rule();
    assert_eq!((full.max_attempts(), rule.on_exit_codes), (3, Some([75].into())));
    assert_eq!((rule.first, rule.longest), (Duration::from_secs(1), Duration::from_mins(1)));
    let schema = full.input.as_ref().map(Json::text);
    assert_eq!(schema, Some(r#"{"type": "object", "properties": {"b": {}, "a": {}}}"#), "it is kept as written");
    let size = Some(TaskSize { cpu: 512, memory: 1_024 });
    assert_eq!(full.allowed(), Allowed { environment: &["DEBUG".to_owned()], cpu: true, memory: true, size });
    assert_eq!(job(&serde_json::to_string(&full).unwrap()), full);
}

/// Entries that older deployments wrote.
#[test]
fn an_entry_with_only_a_task_definition_has_the_defaults() {
    let text = r#"{"taskDefinition":"etl","container":"job","logStreamPrefix":"task"}"#;
    let plain = job(r#"{"taskDefinition": "etl"}"#);
    assert_eq!(serde_json::to_string(&plain).unwrap(), text);
    assert_eq!((plain.timeout(), plain.max_attempts()), (Duration::from_hours(24), 1));
    assert_eq!((plain.retry_rule(), plain.size()), (RetryRule::default(), None));
    assert_eq!(plain.allowed(), Allowed { environment: &[], cpu: false, memory: false, size: None });
    assert_eq!(plain.log("/default").group, "/default");
    let null = r#"{"taskDefinition": "etl", "description": null, "cpu": null, "memory": null, "capacityProvider": null,
        "logGroup": null, "timeoutSeconds": null, "retry": null, "input": null, "allow": null}"#;
    assert_eq!(job(null), plain);
    let null =
        r#"{"taskDefinition": "etl", "retry": {"maxAttempts": null, "onExitCodes": null, "backoffSeconds": null}}"#;
    assert_eq!(job(null).retry_rule(), RetryRule::default());
}

#[test]
fn a_value_that_is_not_valid_is_refused_when_the_catalog_is_read() {
    for seconds in ["0", "31536001"] {
        is_refused(&format!(r#""timeoutSeconds": {seconds}"#), "it must be between 1 and 31536000");
    }
    for wrong in ["-1", "1.5", "\"60\""] {
        is_refused(&format!(r#""timeoutSeconds": {wrong}"#), "expected u64");
    }
    is_refused(r#""timeoutSecond": 60"#, "unknown field `timeoutSecond`");
    is_refused(r#""allow": {"env": []}"#, "unknown field `env`");
    is_refused(&format!(r#""description": "{}""#, "x".repeat(501)), "more than 500 characters");
    is_refused(r#""logGroup": """#, "logGroup is empty");
    is_refused(r#""capacityProvider": """#, "capacityProvider is empty");
    is_refused(r#""cpu": 300, "memory": 512"#, "cpu is 300");
    is_refused(r#""cpu": 512, "memory": 512"#, "memory is 512");
    is_refused(r#""retry": {"maxAttempts": 11}"#, "retry.maxAttempts is 11; it must be between 1 and 10");
    is_refused(r#""retry": {"onExitCodes": []}"#, "retry.onExitCodes has 0 exit codes");
    is_refused(r#""retry": {"onExitCodes": [0]}"#, "retry.onExitCodes contains 0");
    for backoff in [r#"{"first": 0}"#, r#"{"first": 301}"#, r#"{"longest": 4}"#, r#"{"longest": 86401}"#] {
        is_refused(&format!(r#""retry": {{"backoffSeconds": {backoff}}}"#), "retry.backoffSeconds goes from");
    }
    is_refused(r#""allow": {"cpu": true}"#, "allow needs the job's cpu and memory");
    is_refused(r#""allow": {"environment": ["AWS_REGION"]}"#, "allow.environment: `AWS_REGION` is set by");
    is_refused(r#""input": "order.json""#, "input is not a JSON Schema");
}

#[test]
fn every_mistake_is_told_with_its_job() {
    let text = r#"{"a": {"taskDefinition": "a", "timeoutSeconds": 0, "cpu": 1, "memory": 1},
        "b": {"taskDefinition": "b", "logGroup": ""}}"#;
    let told = read(text).unwrap_err();
    let beginnings: Vec<_> = told.split("; ").filter_map(|part| part.split(" is ").next()).collect();
    assert_eq!(beginnings.iter().filter(|part| part.starts_with("job ")).count(), 3, "{told}");
    assert!(told.contains("job b: logGroup is empty"), "{told}");
}

#[test]
fn a_disabled_job_is_in_the_catalog_but_cannot_be_started() {
    let text = r#"{"new":{"taskDefinition":"n"},"old":{"taskDefinition":"o","disabled":true}}"#;
    let catalog = read(text).unwrap();
    assert_eq!(offered(&catalog), ["new"]);
    assert!(serde_json::to_string(&catalog).unwrap().matches("disabled").count() == 1);
}
