//! What a task does while it runs: its processes, their environment and their output.

use super::*;

#[tokio::test]
async fn a_task_runs_to_its_end() {
    let (stack, _directory) = Stack::fresh();
    let (task, lines) = stack.outcome("echo out; echo err >&2").await;
    assert_eq!(task["containers"][0]["exitCode"], 0);
    assert_eq!(task["stopCode"], "EssentialContainerExited");
    assert_eq!(task["stoppedReason"], "Essential container in task exited");
    assert_eq!(
        (&task["desiredStatus"], &task["group"], &task["version"]),
        (&json!("STOPPED"), &json!("family:f"), &json!(5))
    );
    for time in ["createdAt", "startedAt", "stoppingAt", "executionStoppedAt", "stoppedAt"] {
        assert!(task[time].as_f64().unwrap() > 1.7e9, "{time}");
    }
    assert_eq!(std::collections::BTreeSet::from_iter(lines), ["err".into(), "out".into()].into());

    let (failed, _) = stack.outcome("exit 3").await;
    assert_eq!(failed["containers"][0]["exitCode"], 3);
    let (killed, _) = stack.outcome("kill -KILL $$").await;
    assert_eq!(killed["containers"][0]["exitCode"], 137);
    assert!(failed["taskDefinitionArn"].as_str().unwrap().ends_with("task-definition/f:2"));
}

#[tokio::test]
async fn overrides_take_precedence_and_the_environment_is_not_inherited() {
    let (stack, _directory) = Stack::fresh();
    let mut container = shell("job", "echo wrong");
    container["environment"] = json!([{ "name": "A", "value": "1" }, { "name": "B", "value": "2" }]);
    stack.register(json!([container]));
    let script = "echo $A$B $BASE $CARGO_MANIFEST_DIR $ECS_CONTAINER_METADATA_URI_V4";
    let by = json!({ "name": "job", "command": [script], "environment": [{ "name": "B", "value": "3" }] });
    let tags = json!([{ "key": "k", "value": "v" }]);
    let request = json!({
        "taskDefinition": "f:1", "overrides": { "containerOverrides": [by] }, "startedBy": "me", "tags": tags,
    });
    let task = stack.stopped(&stack.run(request)).await;
    let id = arn::last_part(task["taskArn"].as_str().unwrap());
    assert_eq!(stack.lines(&task, "job"), [format!("13 base http://127.0.0.1:4566/_ecs/v4/{id}")]);
    assert_eq!((&task["startedBy"], &task["tags"]), (&json!("me"), &json!([])));
    assert_eq!(task["overrides"]["containerOverrides"][0]["environment"][0]["value"], "3");
    let with_tags = stack.ask("DescribeTasks", json!({ "tasks": [id], "include": ["TAGS"] })).unwrap();
    assert_eq!(with_tags["tasks"][0]["tags"], tags);

    let unknown = json!({ "taskDefinition": "f", "overrides": { "containerOverrides": [{ "name": "x" }] } });
    assert_eq!(code(stack.ask("RunTask", unknown).unwrap_err()), "InvalidParameterException");
    let metadata = serde_json::to_value(stack.ecs.metadata(id).unwrap()).unwrap();
    assert_eq!((&metadata["KnownStatus"], &metadata["Revision"]), (&json!("STOPPED"), &json!("1")));
}

#[tokio::test]
async fn a_secret_has_its_value_or_the_task_does_not_start() {
    let (stack, _directory) = Stack::fresh();
    let secrets = |values: &[(&str, &str)]| {
        let secrets = values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        stack.ecs.change(crate::ecs::Changeable { secrets, ..Default::default() });
    };
    let mut container = shell("job", "echo $A $B");
    container["secrets"] = json!([{ "name": "A", "valueFrom": "/a" }, { "name": "B", "valueFrom": "/b" }]);
    stack.register(json!([container]));
    secrets(&[("/a", "1")]);
    let task = stack.stopped(&stack.run(json!({ "taskDefinition": "f" }))).await;
    assert_eq!(task["stopCode"], "TaskFailedToStart", "{task:#}");
    let reason = task["containers"][0]["reason"].as_str().unwrap();
    assert!(reason.starts_with("ResourceInitializationError") && reason.contains("/b does not exist"), "{reason}");
    secrets(&[("/a", "1"), ("/b", "a secret")]);
    let task = stack.stopped(&stack.run(json!({ "taskDefinition": "f" }))).await;
    assert_eq!(stack.lines(&task, "job"), ["1 a secret"]);
    assert!(!task.to_string().contains("a secret"), "{task:#}");
    assert!(!format!("{:?}", stack.ecs).contains("a secret"), "it is not in debugging output");
}

#[tokio::test]
async fn a_missing_command_fails_to_start() {
    let (stack, _directory) = Stack::fresh();
    let mut missing = shell("job", "");
    missing["entryPoint"] = json!(["/nowhere/at-all"]);
    stack.register(json!([shell("side", "sleep 1000"), missing]));
    let task = stack.stopped(&stack.run(json!({ "taskDefinition": "f" }))).await;
    let reason = task["stoppedReason"].as_str().unwrap();
    assert!(reason.starts_with("CannotStartContainerError: exec: \"/nowhere/at-all\": No such file"), "{reason}");
    assert_eq!((&task["stopCode"], task.get("startedAt")), (&json!("TaskFailedToStart"), None));
    assert_eq!((&task["containers"][1]["reason"], task["containers"][1].get("exitCode")), (&json!(reason), None));
    assert_eq!(task["containers"][0]["exitCode"], 143);
    assert!(stack.lines(&task, "job").is_empty(), "the stream exists from the start");
}

#[tokio::test]
async fn all_output_is_in_the_log_when_the_task_is_stopped() {
    let (stack, _directory) = Stack::fresh();
    let (_, one) = stack.outcome("head -c 5000000 /dev/zero | tr '\\0' x").await;
    assert_eq!(one.iter().map(String::len).sum::<usize>(), 5_000_000);
    assert!(one.iter().all(|event| event.len() <= crate::logs::MAX_EVENT_BYTES));
    assert_eq!(one.len(), 5_000_000_usize.div_ceil(crate::logs::MAX_EVENT_BYTES));
    let (_, many) = stack.outcome("seq 1 100000").await;
    assert_eq!(many.len(), 100_000);
    assert!(many.iter().enumerate().all(|(place, line)| *line == (place + 1).to_string()));
    let (_, strange) = stack.outcome("printf 'a\\377b\\n\\nend'").await;
    assert_eq!(strange, ["a\u{fffd}b", "end"]);
}

#[tokio::test]
async fn the_end_of_an_essential_container_ends_the_others() {
    let (stack, directory) = Stack::fresh();
    let fifo = directory.path().join("fifo");
    let mut helper = shell("helper", "echo helped");
    helper["essential"] = json!(false);
    let job = shell("job", &format!("mkfifo {0}; echo ready; read go < {0}; echo done; exit 4", fifo.display()));
    stack.register(json!([helper, job, shell("server", "sleep 1000")]));
    let arn = stack.run(json!({ "taskDefinition": "f" }));
    stack.first_line(&arn).await;
    let without = stack.until(&arn, |task| task["containers"][0]["lastStatus"] == "STOPPED").await;
    assert_eq!((&without["lastStatus"], &without["desiredStatus"]), (&json!("RUNNING"), &json!("RUNNING")));
    tokio::fs::write(&fifo, "go\n").await.unwrap();
    let task = stack.stopped(&arn).await;
    let codes: Vec<_> = (0..3).map(|n| task["containers"][n]["exitCode"].as_i64().unwrap()).collect();
    assert_eq!(codes, [0, 4, 143]);
    assert_eq!(task["stopCode"], "EssentialContainerExited");
    assert_eq!(stack.lines(&task, "helper"), ["helped"]);
    assert_eq!(stack.lines(&task, "job"), ["ready", "done"]);
}

#[tokio::test]
async fn containers_are_started_in_the_order_of_their_dependencies() {
    let (stack, directory) = Stack::fresh();
    let file = directory.path().join("file");
    let file = file.display();
    let on = |name: &str, condition: &str| json!({ "containerName": name, "condition": condition });
    let mut job = shell("job", &format!("cat {file}; ls {file}.cleaned"));
    job["dependsOn"] = json!([on("init", "SUCCESS"), on("clean", "COMPLETE"), on("server", "START")]);
    let mut init = shell("init", &format!("echo made > {file}"));
    let mut clean = shell("clean", &format!("touch {file}.cleaned; exit 3"));
    clean["dependsOn"] = json!([on("init", "SUCCESS")]);
    let mut server = shell("server", "sleep 1000");
    for container in [&mut init, &mut clean, &mut server] {
        container["essential"] = json!(false);
    }
    stack.register(json!([job, clean, server, init]));
    let task = stack.stopped(&stack.run(json!({ "taskDefinition": "f" }))).await;
    assert_eq!(stack.lines(&task, "job"), ["made".to_owned(), format!("{file}.cleaned")]);
    let codes: Vec<_> = (0..4).map(|n| task["containers"][n]["exitCode"].as_i64().unwrap()).collect();
    assert_eq!(codes, [0, 3, 143, 0]);
    assert_eq!(task["stopCode"], "EssentialContainerExited");
    assert!(task["startedAt"].is_number());
}

#[tokio::test]
async fn a_task_whose_dependency_fails_does_not_start() {
    let (stack, _directory) = Stack::fresh();
    let mut init = shell("init", "exit 2");
    init["essential"] = json!(false);
    let mut job = shell("job", "echo wrong");
    job["dependsOn"] = json!([{ "containerName": "init", "condition": "SUCCESS" }]);
    stack.register(json!([init, job.clone()]));
    let task = stack.stopped(&stack.run(json!({ "taskDefinition": "f" }))).await;
    let reason = task["stoppedReason"].as_str().unwrap();
    let wanted = "CannotStartContainerError: dependency graph: failed to resolve container ordering dependency [init - Exit: 2] \
        for target [job] as dependency did not exit successfully.";
    assert_eq!((reason, &task["stopCode"]), (wanted, &json!("TaskFailedToStart")));
    assert_eq!((&task["containers"][1]["exitCode"], task.get("startedAt")), (&json!(143), None));

    job["dependsOn"][0]["condition"] = json!("HEALTHY");
    let definition = json!({ "family": "f", "containerDefinitions": [shell("init", "true"), job] });
    assert_eq!(code(stack.ask("RegisterTaskDefinition", definition).unwrap_err()), "ClientException");
}

#[tokio::test]
async fn a_task_that_is_stopped_while_a_container_waits_does_not_start_it() {
    let (stack, _directory) = Stack::fresh();
    let mut init = shell("init", "trap 'exit 0' TERM; echo ready; sleep 1000 & wait");
    init["essential"] = json!(false);
    let mut job = shell("job", "echo wrong");
    job["dependsOn"] = json!([{ "containerName": "init", "condition": "SUCCESS" }]);
    stack.register(json!([init, job]));
    let arn = stack.run(json!({ "taskDefinition": "f" }));
    let started = stack.until(&arn, |task| task["containers"][0]["lastStatus"] == "RUNNING").await;
    assert_eq!(
        (&started["lastStatus"], &started["containers"][1]["lastStatus"]),
        (&json!("PENDING"), &json!("PENDING"))
    );
    stack.ask("StopTask", json!({ "task": arn })).unwrap();
    let task = stack.stopped(&arn).await;
    let never = &task["containers"][1];
    assert_eq!((&task["stopCode"], never.get("exitCode")), (&json!("UserInitiated"), None));
    assert!(task["executionStoppedAt"].is_number() && never.get("runtimeId").is_none(), "{task:#}");
}

#[tokio::test]
async fn a_task_shows_the_cpu_and_the_memory_that_it_was_started_with() {
    let (stack, _directory) = Stack::fresh();
    let definition = json!({
        "family": "f", "cpu": "256", "memory": "512", "containerDefinitions": [shell("job", "true")],
    });
    stack.ask("RegisterTaskDefinition", definition).unwrap();
    let shown = |request: Value| {
        let task = stack.describe(&stack.run(request));
        (task["cpu"].clone(), task["memory"].clone())
    };
    assert_eq!(shown(json!({ "taskDefinition": "f" })), (json!("256"), json!("512")));
    let overridden = json!({ "taskDefinition": "f", "overrides": { "cpu": "1024" } });
    assert_eq!(shown(overridden), (json!("1024"), json!("512")));
    let both = json!({ "taskDefinition": "f", "overrides": { "cpu": "512", "memory": "2048" } });
    assert_eq!(shown(both), (json!("512"), json!("2048")));
}
