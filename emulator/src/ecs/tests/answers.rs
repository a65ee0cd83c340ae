//! The exact form of every response.

use axum::response::IntoResponse as _;

use super::*;
use crate::golden::fixed;

async fn body(response: axum::response::Response) -> Value {
    let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

#[tokio::test]
async fn every_response_has_the_form_of_the_api() {
    let (stack, _directory) = Stack::fresh();
    let mut responses = serde_json::Map::new();
    let mut keep = |name: &str, response: &Value| {
        let mut response = fixed(response.clone());
        if name == "ListTasks" {
            response["taskArns"] = response["taskArns"].as_array().unwrap().len().into();
        }
        responses.insert(name.to_owned(), response);
    };
    let mut job = shell("job", "exit 3");
    job["environment"] = json!([{ "name": "A", "value": "1" }]);
    job["startTimeout"] = json!(30);
    let definition = json!({
        "family": "f", "containerDefinitions": [job], "cpu": "256", "memory": "512", "networkMode": "awsvpc",
        "tags": [{ "key": "k", "value": "v" }],
    });
    keep("RegisterTaskDefinition", &stack.ask("RegisterTaskDefinition", definition).unwrap());
    stack.script("sleep 1000");
    let named = |name: &str| json!({ "taskDefinition": name });
    keep("DescribeTaskDefinition", &stack.ask("DescribeTaskDefinition", named("f:1")).unwrap());
    let with_tags = json!({ "taskDefinition": "f:1", "include": ["TAGS"] });
    keep("DescribeTaskDefinition, with tags", &stack.ask("DescribeTaskDefinition", with_tags).unwrap());
    keep("ListTaskDefinitions", &stack.ask("ListTaskDefinitions", json!({})).unwrap());
    keep("ListTaskDefinitions, a page", &stack.ask("ListTaskDefinitions", json!({ "maxResults": 1 })).unwrap());

    let by = json!({ "name": "job", "cpu": 128, "environment": [{ "name": "B", "value": "2" }] });
    let run = json!({
        "taskDefinition": "f:1", "clientToken": "t", "startedBy": "me", "tags": [{ "key": "a", "value": "b" }],
        "propagateTags": "TASK_DEFINITION", "overrides": { "containerOverrides": [by], "memory": "1024" },
    });
    let ran = stack.ask("RunTask", run.clone()).unwrap();
    keep("RunTask", &ran);
    let arn = ran["tasks"][0]["taskArn"].as_str().unwrap();
    stack.stopped(arn).await;
    let tasks =
        json!({ "tasks": [arn, "nothing", "arn:aws:ecs:us-east-1:000000000000:task/other/x"], "include": ["TAGS"] });
    keep("DescribeTasks", &stack.ask("DescribeTasks", tasks).unwrap());
    keep("the metadata of a task", &serde_json::to_value(stack.ecs.metadata(arn::last_part(arn)).unwrap()).unwrap());
    let mut other = run;
    other["startedBy"] = "you".into();
    let conflict = stack.ask("RunTask", other).unwrap_err().into_response();
    keep("RunTask, with a token that is taken", &body(conflict).await);

    stack.run(named("f"));
    stack.run(named("f"));
    let second = stack.run(named("f"));
    keep("ListTasks", &stack.ask("ListTasks", json!({ "maxResults": 2 })).unwrap());
    keep("ListTasks, of none", &stack.ask("ListTasks", json!({ "family": "none" })).unwrap());
    keep("DescribeClusters", &stack.ask("DescribeClusters", json!({ "clusters": [CLUSTER, "other"] })).unwrap());
    stack.until(&second, |task| task["lastStatus"] == "RUNNING").await;
    keep("StopTask", &stack.ask("StopTask", json!({ "task": second, "reason": "enough" })).unwrap());
    keep("DeregisterTaskDefinition", &stack.ask("DeregisterTaskDefinition", named("f:1")).unwrap());
    let refused = stack.ask("DescribeTaskDefinition", named("nothing")).unwrap_err().into_response();
    keep("a refusal", &body(refused).await);

    // How many tasks have started by then varies.
    for count in ["runningTasksCount", "pendingTasksCount"] {
        responses["DescribeClusters"]["clusters"][0][count] = "<count>".into();
    }
    insta::assert_json_snapshot!(responses);
}

#[test]
fn an_event_shows_the_task_with_dates() {
    let row = r#"{"id":"i","family":"f","revision":2,"group":"family:f","started_by":"me","overrides":{"cpu":"256"},
        "tags":[{"key":"k","value":"v"}],"cpu":"256","memory":null,"containers":[{"name":"job","image":"image",
        "essential":true,"status":"STOPPED","process":{"pid":7,"born":"boot/4242"},"exit_code":3,"reason":null}],
        "version":3,"status":"STOPPED","created_at":"2026-11-23T00:00:00Z","started_at":"2026-11-23T00:00:01Z",
        "ending":{"code":"EssentialContainerExited","reason":"over","at":"2026-11-23T00:00:02Z"},
        "execution_stopped_at":"2026-11-23T00:00:02.5Z","stopped_at":"2026-11-23T00:00:03Z"}"#;
    let task: Task = serde_json::from_str(row).unwrap();
    insta::assert_json_snapshot!(serde_json::to_value(event::detail(&task, CLUSTER)).unwrap());
}
