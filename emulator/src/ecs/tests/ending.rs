//! How tasks end: when they are stopped, when the emulator stops, and after it was killed.

use tokio::runtime::Runtime;

use super::*;

#[tokio::test]
async fn a_task_that_ignores_sigterm_is_killed_with_its_children() {
    let (stack, _directory) = Stack::fresh();
    let mut job = shell("job", "trap '' TERM; sleep 1000 & echo $!; wait; wait; sleep 1000");
    job["stopTimeout"] = json!(1);
    stack.register(json!([job]));
    let arn = stack.run(json!({ "taskDefinition": "f" }));
    let child = stack.first_line(&arn).await;
    let stopping = stack.ask("StopTask", json!({ "task": arn, "reason": "enough" })).unwrap()["task"].clone();
    assert_eq!((&stopping["desiredStatus"], &stopping["lastStatus"]), (&json!("STOPPED"), &json!("RUNNING")));
    let task = stack.stopped(&arn).await;
    assert_eq!(task["containers"][0]["exitCode"], 137);
    assert_eq!((&task["stopCode"], &task["stoppedReason"]), (&json!("UserInitiated"), &json!("enough")));
    gone(&child).await;

    let again = stack.ask("StopTask", json!({ "task": arn, "reason": "more" })).unwrap()["task"].clone();
    assert_eq!((&again["stoppedReason"], &again["version"]), (&json!("enough"), &task["version"]));
    let unknown = stack.ask("StopTask", json!({ "task": "0" })).unwrap_err();
    assert_eq!(AwsError::from(unknown).message, "The referenced task was not found.");
}

#[tokio::test]
async fn sigterm_goes_to_the_first_process_and_its_children_end_with_it() {
    let (stack, _directory) = Stack::fresh();
    stack.script("trap 'echo bye; exit 5' TERM; sleep 1000 & echo $!; wait");
    let arn = stack.run(json!({ "taskDefinition": "f" }));
    let child = stack.first_line(&arn).await;
    stack.ask("StopTask", json!({ "task": arn })).unwrap();
    let task = stack.stopped(&arn).await;
    assert_eq!(
        (&task["containers"][0]["exitCode"], &task["stoppedReason"]),
        (&json!(5), &json!("Task stopped by user"))
    );
    assert_eq!(stack.lines(&task, "job"), [child.as_str(), "bye"]);
    gone(&child).await;
}

/// As in a PID namespace, every process ends with its container, whatever group or session it is in.
#[tokio::test]
async fn detached_processes_end_with_their_container() {
    let (stack, directory) = Stack::fresh();
    let fifo = directory.path().join("fifo");
    let fifo = fifo.display();
    let script = format!(
        "mkfifo {fifo}; setsid sh -c 'trap \"\" TERM; echo $$; echo > {fifo}; sleep 1000; sleep 1000' & read ready < {fifo}"
    );
    let (task, lines) = stack.outcome(&format!("{script}; echo end")).await;
    assert_eq!((&task["containers"][0]["exitCode"], lines[1].as_str()), (&json!(0), "end"));
    assert!(!is_alive(&lines[0]), "it outlives its container");

    std::fs::remove_file(directory.path().join("fifo")).unwrap();
    let mut job = shell("job", &format!("trap '' TERM; {script}; while :; do sleep 1; done"));
    job["stopTimeout"] = json!(1);
    stack.register(json!([job]));
    let arn = stack.run(json!({ "taskDefinition": "f" }));
    let left = stack.first_line(&arn).await;
    stack.ask("StopTask", json!({ "task": arn })).unwrap();
    assert_eq!(stack.stopped(&arn).await["containers"][0]["exitCode"], 137);
    assert!(!is_alive(&left), "it outlives its killed container");
}

/// An emulator dies with a task that has children, one of which has a group of its own; the next emulator ends them all.
#[test]
fn the_next_emulator_ends_the_processes_of_a_crashed_one() {
    let directory = tempfile::tempdir().unwrap();
    let first = Runtime::new().unwrap();
    let (arn, pids) = first.block_on(async {
        let stack = Stack::over(directory.path());
        stack.script("sleep 1000 & a=$!; setsid sleep 1000 & echo $$ $a $!; wait");
        let arn = stack.run(json!({ "taskDefinition": "f" }));
        let line = stack.first_line(&arn).await;
        (arn, line.split(' ').map(str::to_owned).collect::<Vec<_>>())
    });
    first.shutdown_background();
    assert!(pids.iter().all(|pid| is_alive(pid)));

    Runtime::new().unwrap().block_on(async {
        let stack = Stack::over(directory.path());
        stack.ecs.recover().unwrap();
        let task = stack.describe(&arn);
        assert_eq!((&task["lastStatus"], &task["stopCode"]), (&json!("STOPPED"), &json!("InfrastructureHealth")));
        assert_eq!(task["stoppedReason"], "Host terminated: the emulator was stopped.");
        assert_eq!(task["containers"][0].get("exitCode"), None);
        for pid in &pids {
            gone(pid).await;
        }
    });
}

/// An emulator dies between the answer to `RunTask` and the start of the process.
#[test]
fn a_task_that_never_ran_has_the_stop_code_failed_to_start() {
    let directory = tempfile::tempdir().unwrap();
    let first = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    // Spawned tasks run only when this one waits, and it never does.
    let arn = first.block_on(async {
        let stack = Stack::over(directory.path());
        stack.script("sleep 1000");
        stack.run(json!({ "taskDefinition": "f" }))
    });
    drop(first);
    Runtime::new().unwrap().block_on(async {
        let stack = Stack::over(directory.path());
        assert_eq!(stack.describe(&arn)["lastStatus"], "PROVISIONING");
        stack.ecs.recover().unwrap();
        let task = stack.describe(&arn);
        assert_eq!((&task["lastStatus"], &task["stopCode"]), (&json!("STOPPED"), &json!("TaskFailedToStart")));
    });
}

#[tokio::test]
async fn tasks_end_with_the_stack() {
    let (stack, _directory) = Stack::fresh();
    stack.script("trap 'echo bye; exit 0' TERM; echo $$; sleep 1000 & wait");
    let arn = stack.run(json!({ "taskDefinition": "f" }));
    stack.first_line(&arn).await;
    stack.ecs.shut_down().await;
    let task = stack.describe(&arn);
    assert_eq!((&task["lastStatus"], &task["stopCode"]), (&json!("STOPPED"), &json!("InfrastructureHealth")));
    assert_eq!(stack.lines(&task, "job")[1], "bye");
    let late = stack.stopped(&stack.run(json!({ "taskDefinition": "f" }))).await;
    assert_eq!(late["stopCode"], "TaskFailedToStart");
}
