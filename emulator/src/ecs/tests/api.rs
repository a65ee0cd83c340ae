//! What the API answers and refuses.

use super::*;

#[tokio::test]
async fn a_client_token_starts_its_tasks_once() {
    let (stack, _directory) = Stack::fresh();
    stack.script("true");
    let request = |by: &str| json!({ "taskDefinition": "f", "clientToken": "t", "startedBy": by, "count": 2 });
    let arns = |answer: &Value| {
        let tasks = answer["tasks"].as_array().unwrap().iter();
        tasks.map(|task| task["taskArn"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let first = arns(&stack.ask("RunTask", request("me")).unwrap());
    assert_eq!(first.len(), 2);
    // A new revision of the definition makes no difference: only the request is compared.
    stack.script("false");
    assert_eq!(arns(&stack.ask("RunTask", request("me")).unwrap()), first);
    let conflict = stack.ask("RunTask", request("you")).unwrap_err();
    assert_eq!(conflict, Refused::Conflict(first.clone()));
    assert_eq!(code(conflict), "ConflictException");

    for arn in &first {
        stack.stopped(arn).await;
    }
    let forget = |tx: &rusqlite::Transaction<'_>| tx.execute("UPDATE ecs_tasks SET stopped_ms = 0", []);
    stack.db.transact(forget).unwrap();
    let again = arns(&stack.ask("RunTask", request("you")).unwrap());
    assert!(again.iter().all(|arn| !first.contains(arn)));
}

#[tokio::test]
async fn tasks_are_listed_as_running_until_they_are_stopped_and_described_for_an_hour() {
    let (stack, _directory) = Stack::fresh();
    stack.script("sleep 1000");
    let mine = stack.run(json!({ "taskDefinition": "f", "startedBy": "me" }));
    let yours = stack.run(json!({ "taskDefinition": "f", "startedBy": "you" }));
    let list = async |request: Value| stack.ask("ListTasks", request).unwrap()["taskArns"].clone();
    assert_eq!(list(json!({ "startedBy": "me" })).await, json!([mine]));
    assert_eq!(list(json!({ "family": "f" })).await, json!([mine, yours]));
    assert_eq!(list(json!({ "family": "g" })).await, json!([]));
    let first = stack.ask("ListTasks", json!({ "maxResults": 1 })).unwrap();
    let rest = json!({ "maxResults": 1, "nextToken": first["nextToken"] });
    assert_eq!((first["taskArns"].clone(), list(rest).await), (json!([mine]), json!([yours])));
    let both = json!({ "startedBy": "me", "family": "f" });
    assert_eq!(code(stack.ask("ListTasks", both).unwrap_err()), "InvalidParameterException");

    stack.ask("StopTask", json!({ "task": mine })).unwrap();
    assert_eq!(list(json!({ "startedBy": "me" })).await, json!([]));
    assert_eq!(list(json!({ "desiredStatus": "STOPPED" })).await, json!([mine]));
    stack.stopped(&mine).await;
    let forget =
        |tx: &rusqlite::Transaction<'_>| tx.execute("UPDATE ecs_tasks SET stopped_ms = 0 WHERE to_end = 1", []);
    stack.db.transact(forget).unwrap();
    let unknown = "0".repeat(32);
    let seen = stack.ask("DescribeTasks", json!({ "tasks": [mine, yours, unknown] })).unwrap();
    let unknown = arn::task(CLUSTER, &unknown);
    assert_eq!(
        seen["failures"],
        json!([{ "arn": mine, "reason": "MISSING" }, { "arn": unknown, "reason": "MISSING" }])
    );
    assert_eq!(seen["tasks"].as_array().unwrap().len(), 1);
    stack.ecs.shut_down().await;
}

#[tokio::test]
async fn missing_resources_are_refused() {
    let (stack, _directory) = Stack::fresh();
    let elsewhere = json!({ "cluster": "other", "tasks": ["x"] }).to_string();
    let error = AwsError::from(stack.ecs.call("DescribeTasks", elsewhere.as_bytes()).unwrap_err());
    assert_eq!((error.code, error.message.as_str()), ("ClusterNotFoundException", "Cluster not found."));
    let run = stack.ask("RunTask", json!({ "taskDefinition": "f" })).unwrap_err();
    assert_eq!(AwsError::from(run).message, "TaskDefinition not found.");
    let describe = stack.ask("DescribeTaskDefinition", json!({ "taskDefinition": "f" })).unwrap_err();
    assert_eq!(AwsError::from(describe).message, "Unable to describe task definition.");
    assert_eq!(code(stack.ask("CreateService", json!({})).unwrap_err()), "UnknownOperationException");
    let broken = AwsError::from(stack.ecs.call("RunTask", b"{").unwrap_err());
    assert_eq!(broken.code, "SerializationException");
    let none = json!({ "family": "f", "containerDefinitions": [] });
    assert_eq!(code(stack.ask("RegisterTaskDefinition", none).unwrap_err()), "ClientException");
    let clusters = stack.ask("DescribeClusters", json!({ "clusters": [CLUSTER, "other"] })).unwrap();
    assert_eq!(clusters["clusters"][0]["status"], "ACTIVE");
    assert_eq!(clusters["failures"], json!([{ "arn": arn::cluster("other"), "reason": "MISSING" }]));
}

#[tokio::test]
async fn every_registration_is_a_revision() {
    let (stack, _directory) = Stack::fresh();
    for _ in 0..3 {
        stack.script("true");
    }
    let described = stack.ask("DescribeTaskDefinition", json!({ "taskDefinition": "f" })).unwrap();
    assert_eq!(described["taskDefinition"]["revision"], 3);
    assert_eq!(described["taskDefinition"]["containerDefinitions"][0]["essential"], true);
    let page = stack.ask("ListTaskDefinitions", json!({ "familyPrefix": "f", "maxResults": 2 })).unwrap();
    assert_eq!(page["taskDefinitionArns"], json!([arn::definition("f", 1), arn::definition("f", 2)]));
    let rest = stack.ask("ListTaskDefinitions", json!({ "nextToken": page["nextToken"] })).unwrap();
    assert_eq!(rest["taskDefinitionArns"], json!([arn::definition("f", 3)]));
}

#[tokio::test]
async fn a_deregistered_revision_starts_no_tasks_but_its_tasks_continue() {
    let (stack, _directory) = Stack::fresh();
    stack.script("sleep 300");
    let task = stack.run(json!({ "taskDefinition": "f" }));
    stack.script("true");
    let named = |name: &str| json!({ "taskDefinition": name });
    let gone = stack.ask("DeregisterTaskDefinition", named("f:1")).unwrap();
    assert_eq!(gone["taskDefinition"]["status"], "INACTIVE");
    assert!(gone["taskDefinition"]["deregisteredAt"].is_number(), "{gone:#}");
    let again = stack.ask("DeregisterTaskDefinition", named("f:1")).unwrap();
    assert_eq!(again, gone, "it is so already");

    let refused = AwsError::from(stack.ask("RunTask", named("f:1")).unwrap_err());
    assert_eq!((refused.code, &*refused.message), ("InvalidParameterException", "TaskDefinition is inactive"));
    let seen = stack.ask("DescribeTasks", json!({ "tasks": [task] })).unwrap();
    assert_eq!(seen["tasks"][0]["desiredStatus"], "RUNNING");
    let shown = stack.ask("DescribeTaskDefinition", named("f:1")).unwrap();
    assert_eq!(shown["taskDefinition"]["status"], "INACTIVE");
    let listed = async |status: &str| {
        stack.ask("ListTaskDefinitions", json!({ "status": status })).unwrap()["taskDefinitionArns"].take()
    };
    assert_eq!(listed("ACTIVE").await, json!([arn::definition("f", 2)]));
    assert_eq!(listed("INACTIVE").await, json!([arn::definition("f", 1)]));

    // A family is its newest active revision.
    stack.ask("DeregisterTaskDefinition", named("f:2")).unwrap();
    let refused = AwsError::from(stack.ask("RunTask", named("f")).unwrap_err());
    assert_eq!(refused.message, "TaskDefinition not found.");
    stack.script("true");
    let newest = stack.ask("DescribeTaskDefinition", named("f")).unwrap();
    assert_eq!(newest["taskDefinition"]["revision"], 3, "no number comes again");
    for (name, why) in [("f", "Revision is missing."), ("f:9", "The specified task definition does not exist.")] {
        let refused = AwsError::from(stack.ask("DeregisterTaskDefinition", named(name)).unwrap_err());
        assert_eq!((refused.code, &*refused.message), ("ClientException", why), "{name}");
    }
    stack.ecs.shut_down().await;
}
