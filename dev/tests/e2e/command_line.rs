//! The command line: what it prints, how it ends.

use std::process::Stdio;

use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader},
    net::TcpListener,
    process::Command,
};

use crate::stack::{LONGHAUL, PATIENCE, Stack, command};

#[tokio::test]
async fn ctrl_c_stops_it_cleanly_and_its_tasks_with_it() {
    let mut stack = Stack::start(&["--job", "long=sleep 300"]).await;
    let started = stack.start_execution("sync", &serde_json::json!({ "job": "long", "input": null })).await;
    stack.wait_for(started["executionId"].as_str().unwrap(), |execution| execution["status"] == "RUNNING").await;
    let pid = rustix::process::Pid::from_raw(stack.process.id().unwrap().try_into().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let status = tokio::time::timeout(PATIENCE, stack.process.wait()).await.unwrap().unwrap();
    assert!(status.success(), "{status}");
}

#[tokio::test]
async fn a_taken_port_is_one_clear_line() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let directory = tempfile::tempdir().unwrap();
    for option in ["--listen", "--aws-listen"] {
        let other = if option == "--listen" { "--aws-listen" } else { "--listen" };
        let mut command = Command::new(LONGHAUL);
        command.args([option, &address, other, "127.0.0.1:0", "--data"]).arg(directory.path()).stdin(Stdio::null());
        let output = command.output().await.unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(said.contains(&address) && said.contains(option), "{said}");
        assert!(output.stdout.is_empty());
    }
}

#[tokio::test]
async fn a_name_that_is_given_twice_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let twice = ["--job", "a=true", "--job", "b=true", "--job", "a=false"];
    let output = command(directory.path(), &twice).stderr(Stdio::piped()).output().await.unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("--job gives the name `a` twice"), "{said}");
}

#[tokio::test]
async fn one_directory_is_one_stacks() {
    let stack = Stack::start(&[]).await;
    let output = command(&stack.data, &[]).stderr(Stdio::piped()).output().await.unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("another local stack uses it"));
}

#[tokio::test]
async fn it_says_where_it_is_and_what_to_try() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = Command::new(LONGHAUL);
    command.args(["--listen", "127.0.0.1:0", "--aws-listen", "127.0.0.1:0", "--data"]).arg(directory.path());
    let mut process = command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    let mut stdout = process.stdout.take().unwrap();
    let mut said = Vec::new();
    while !String::from_utf8_lossy(&said).contains("Ctrl-C stops it.") {
        let read = tokio::time::timeout(PATIENCE, stdout.read_buf(&mut said)).await.expect("it says no more").unwrap();
        assert!(read > 0, "it ended: {}", String::from_utf8_lossy(&said));
    }
    let said = String::from_utf8(said).unwrap();
    assert_eq!(said.matches("curl -sS http://127.0.0.1:").count(), 2, "{said}");
}

#[tokio::test]
async fn an_address_of_strangers_is_warned_of() {
    for (listen, aws_listen, warned) in
        [("0.0.0.0:0", "0", vec!["--listen 0.0.0.0"]), ("localhost:0", "0.0.0.0:0", vec!["--aws-listen 0.0.0.0"])]
    {
        let directory = tempfile::tempdir().unwrap();
        let mut command = Command::new(LONGHAUL);
        command.args(["--json", "--listen", listen, "--aws-listen", aws_listen, "--data"]).arg(directory.path());
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let mut ready = [0_u8; 1];
        process.stdout.as_mut().unwrap().read_exact(&mut ready).await.unwrap();
        let id = rustix::process::Pid::from_raw(process.id().unwrap().try_into().unwrap()).unwrap();
        rustix::process::kill_process(id, rustix::process::Signal::INT).unwrap();
        let output = tokio::time::timeout(PATIENCE, process.wait_with_output()).await.unwrap().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(said.matches("nobody is authenticated").count(), warned.len(), "{said}");
        assert!(warned.iter().all(|option| said.contains(option)), "{said}");
    }
}

#[tokio::test]
async fn a_damaged_database_is_said_at_the_start() {
    for file in ["aws.db", "dynamodb.db"] {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path();
        let mut stack = Stack::start_over(data, &[]).await;
        for _ in 0..20 {
            stack.start_execution("sync", &serde_json::json!({ "input": "x".repeat(8 * 1024) })).await;
        }
        let pid = rustix::process::Pid::from_raw(stack.process.id().unwrap().try_into().unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
        tokio::time::timeout(PATIENCE, stack.process.wait()).await.unwrap().unwrap();
        let path = data.join(file);
        let connection = rusqlite::Connection::open(&path).unwrap();
        connection.pragma_update(None, "wal_checkpoint", "TRUNCATE").unwrap();
        drop(connection);
        // The headers of all pages but the first.
        let mut bytes = std::fs::read(&path).unwrap();
        for page in bytes.chunks_mut(4096).skip(1) {
            page[..64].fill(0xA5);
        }
        std::fs::write(&path, bytes).unwrap();
        let output = command(data, &[]).stderr(Stdio::piped()).output().await.unwrap();
        assert_eq!(output.status.code(), Some(1), "{file}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(
            said.contains("cannot use the data directory")
                && ["damaged", "malformed"].iter().any(|word| said.contains(word)),
            "{file}: {said}"
        );
    }
}

/// Without `--json`, the terminal tells of each execution, and of no payload.
#[tokio::test]
async fn the_terminal_tells_what_executions_do() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = Command::new(LONGHAUL);
    command.args(["--listen", "0", "--aws-listen", "0", "--job", "words=echo secret-output; exit 3", "--data"]);
    command.arg(directory.path()).stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
    let mut process = command.spawn().unwrap();
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let mut next = async || {
        let line = tokio::time::timeout(PATIENCE, lines.next_line()).await.expect("it says no more").unwrap();
        line.expect("it ended")
    };
    let mut said = Vec::new();
    while said.last().is_none_or(|line: &String| !line.contains("Ctrl-C stops it.")) {
        said.push(next().await);
    }
    assert!(said.iter().any(|line| line.contains("jobs   demo (the demonstration), words")), "{said:#?}");
    let api = said.iter().find_map(|line| line.trim().strip_prefix("API    ")).unwrap();
    let api = api.split_whitespace().next().unwrap();
    let body = serde_json::json!({ "job": "words", "input": "secret-input", "tags": { "a": "secret-tag" } });
    let started = reqwest::Client::new().post(format!("{api}/executions/sync")).json(&body).send().await.unwrap();
    let started: serde_json::Value = started.json().await.unwrap();
    let id = started["executionId"].as_str().unwrap();
    let mut told = Vec::new();
    while told.last().is_none_or(|line: &String| !line.contains("FAILED")) {
        told.push(next().await);
    }
    let expected = ["accepted (sync)", "attempt 1 started", "FAILED after "];
    for (line, what) in told.iter().filter(|line| !line.is_empty()).zip(expected) {
        assert!(line.contains(&format!("  {id}  words  {what}")), "{what}: {told:#?}");
    }
    assert!(told.last().unwrap().ends_with(": exited with code 3 (exit-code)"), "{told:#?}");
    assert!(!told.concat().contains("secret"), "{told:#?}");
}

/// The variables of `--env` and `--env-file` reach jobs, and nothing else of this shell does. None of their values is told.
#[tokio::test]
async fn jobs_get_the_variables_that_the_command_line_gives() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    std::fs::write(path("job.env"), "# variables\nA=planted-file\nB=overridden\n").unwrap();
    let job = r#"job=printf '["%s %s %s %s"]' "$A" "$B" "$C" "$OTHER""#;
    let given = ["--job", job, "--env-file", &path("job.env"), "--env", "B=planted-option", "--env", "C"];
    let data = directory.path().join("data");
    let mut start = command(&data, &given);
    start.env("C", "planted-shell").env("OTHER", "not given").env("RUST_LOG", "trace");
    start.stderr(std::fs::File::create(path("stderr")).unwrap());
    let stack = Stack::run_as(start, &data).await;
    for pattern in ["sync", "callback"] {
        let done = stack.run(pattern, serde_json::json!({ "job": "job", "input": null })).await;
        assert_eq!(done["result"][0], "planted-file planted-option planted-shell ", "{done:#}");
    }
    let said = std::fs::read_to_string(path("stderr")).unwrap();
    assert!(!said.contains("planted"), "{:?}", said.lines().find(|line| line.contains("planted")));
    let definition = serde_json::json!({ "taskDefinition": "longhaul-job" });
    let shown = stack.call("AmazonEC2ContainerServiceV20141113.DescribeTaskDefinition", definition).await;
    assert!(!format!("{shown}{:?}", stack.tasks().await).contains("planted"), "ECS shows no value");
    for (option, value, why) in [
        ("--env", "NOT_SET_ANYWHERE", "`NOT_SET_ANYWHERE` is not set in this shell"),
        ("--env", "AWS_PROFILE=planted", "`AWS_PROFILE` is set by the local stack"),
        ("--env", "1=planted", "a name has letters"),
        ("--env-file", "/nowhere/planted", "cannot read the --env-file /nowhere/planted"),
    ] {
        let output = command(&data, &[option, value]).stderr(Stdio::piped()).output().await.unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(why), "{said}");
        assert!(option == "--env-file" || !said.contains("planted"), "{said}");
    }
}
