//! The command line: its options, its output and its exit code.

use std::process::Stdio;

use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader},
    net::TcpListener,
    process::Command,
};

use crate::stack::{LONGHAUL, PATIENCE, Stack, command};

#[tokio::test]
async fn ctrl_c_stops_the_stack_and_its_tasks() {
    let mut stack = Stack::start(&["--job", "long=sleep 300"]).await;
    let started = stack.start_execution("sync", &serde_json::json!({ "job": "long", "input": null })).await;
    stack.wait_for(started["executionId"].as_str().unwrap(), |execution| execution["status"] == "RUNNING").await;
    let pid = rustix::process::Pid::from_raw(stack.process.id().unwrap().try_into().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let status = tokio::time::timeout(PATIENCE, stack.process.wait()).await.unwrap().unwrap();
    assert!(status.success(), "{status}");
}

#[tokio::test]
async fn a_port_in_use_is_reported_in_one_line() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let directory = tempfile::tempdir().unwrap();
    for option in ["--listen", "--aws-listen"] {
        let other = if option == "--listen" { "--aws-listen" } else { "--listen" };
        let mut command = Command::new(LONGHAUL);
        command.args([option, &address, other, "127.0.0.1:0", "--data"]).arg(directory.path()).stdin(Stdio::null());
        let output = command.output().await.unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
        assert!(stderr.contains(&address) && stderr.contains(option), "{stderr}");
        assert!(output.stdout.is_empty());
    }
}

#[tokio::test]
async fn a_job_name_given_twice_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let twice = ["--job", "a=true", "--job", "b=true", "--job", "a=false"];
    let output = command(directory.path(), &twice).stderr(Stdio::piped()).output().await.unwrap();
    assert_eq!(output.status.code(), Some(1));
    let printed = String::from_utf8(output.stderr).unwrap();
    assert!(printed.contains("--job gives the name `a` twice"), "{printed}");
}

#[tokio::test]
async fn two_stacks_cannot_share_a_data_directory() {
    let stack = Stack::start(&[]).await;
    let output = command(&stack.data, &[]).stderr(Stdio::piped()).output().await.unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("another process uses it"));
}

#[tokio::test]
async fn the_stack_prints_its_addresses_and_commands_to_try() {
    let directory = tempfile::tempdir().unwrap();
    let jobs = directory.path().join("longhaul.toml");
    std::fs::write(&jobs, "[jobs.last]\ncommand = [\"true\"]\n[jobs.alpha]\ncommand = [\"true\"]\n").unwrap();
    let mut command = Command::new(LONGHAUL);
    command.args(["--listen", "127.0.0.1:0", "--aws-listen", "127.0.0.1:0", "--jobs"]).arg(jobs);
    command.arg("--data").arg(directory.path());
    let mut process = command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    let mut stdout = process.stdout.take().unwrap();
    let mut printed = Vec::new();
    while !String::from_utf8_lossy(&printed).contains("Ctrl-C stops it.") {
        let read =
            tokio::time::timeout(PATIENCE, stdout.read_buf(&mut printed)).await.expect("no more output").unwrap();
        assert!(read > 0, "the stack ended: {}", String::from_utf8_lossy(&printed));
    }
    let printed = String::from_utf8(printed).unwrap();
    assert_eq!(printed.matches("curl -sS http://127.0.0.1:").count(), 2, "{printed}");
    assert!(printed.contains(r#"-d '{"job": "last", "input": {}}'"#), "the first job of the file: {printed}");
}

#[tokio::test]
async fn the_stack_warns_if_it_listens_on_a_public_address() {
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
        let printed = String::from_utf8(output.stderr).unwrap();
        assert_eq!(printed.matches("nobody is authenticated").count(), warned.len(), "{printed}");
        assert!(warned.iter().all(|option| printed.contains(option)), "{printed}");
    }
}

#[tokio::test]
async fn a_damaged_database_is_reported_at_the_start() {
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
        // Damage the headers of all pages except the first.
        let mut bytes = std::fs::read(&path).unwrap();
        for page in bytes.chunks_mut(4096).skip(1) {
            page[..64].fill(0xA5);
        }
        std::fs::write(&path, bytes).unwrap();
        let output = command(data, &[]).stderr(Stdio::piped()).output().await.unwrap();
        assert_eq!(output.status.code(), Some(1), "{file}");
        let printed = String::from_utf8(output.stderr).unwrap();
        assert!(
            printed.contains("cannot use the data directory")
                && ["damaged", "malformed"].iter().any(|word| printed.contains(word)),
            "{file}: {printed}"
        );
    }
}

#[tokio::test]
async fn the_terminal_shows_the_progress_of_executions_without_payloads() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = Command::new(LONGHAUL);
    command.args(["--listen", "0", "--aws-listen", "0", "--job", "words=echo secret-output; exit 3", "--data"]);
    command.arg(directory.path()).stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
    let mut process = command.spawn().unwrap();
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let mut next = async || {
        let line = tokio::time::timeout(PATIENCE, lines.next_line()).await.expect("no more output").unwrap();
        line.expect("the stack ended")
    };
    let mut printed = Vec::new();
    while printed.last().is_none_or(|line: &String| !line.contains("Ctrl-C stops it.")) {
        printed.push(next().await);
    }
    assert!(printed.iter().any(|line| line.contains("jobs   demo (the demonstration), words")), "{printed:#?}");
    let api = printed.iter().find_map(|line| line.trim().strip_prefix("API    ")).unwrap();
    let api = api.split_whitespace().next().unwrap();
    let body = serde_json::json!({ "job": "words", "input": "secret-input", "tags": { "a": "secret-tag" } });
    let started = reqwest::Client::new().post(format!("{api}/executions/sync")).json(&body).send().await.unwrap();
    let started: serde_json::Value = started.json().await.unwrap();
    let id = started["executionId"].as_str().unwrap();
    let mut progress = Vec::new();
    while progress.last().is_none_or(|line: &String| !line.contains("FAILED")) {
        progress.push(next().await);
    }
    let expected = ["accepted (sync)", "attempt 1 started", "FAILED after "];
    for (line, what) in progress.iter().filter(|line| !line.is_empty()).zip(expected) {
        assert!(line.contains(&format!("  {id}  words  {what}")), "{what}: {progress:#?}");
    }
    assert!(progress.last().unwrap().ends_with(": exited with code 3 (exit-code)"), "{progress:#?}");
    assert!(!progress.concat().contains("secret"), "{progress:#?}");
}

/// Other variables of the shell do not reach jobs. No value appears in logs or in ECS.
#[tokio::test]
async fn jobs_have_only_the_variables_given_on_the_command_line() {
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
    let printed = std::fs::read_to_string(path("stderr")).unwrap();
    assert!(!printed.contains("planted"), "{:?}", printed.lines().find(|line| line.contains("planted")));
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
        let printed = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{printed}");
        assert!(printed.contains(why), "{printed}");
        assert!(option == "--env-file" || !printed.contains("planted"), "{printed}");
    }
}
