//! The real binary with real commands: input, output and exit code.

#![expect(clippy::unwrap_used, reason = "also the helpers of tests may stop at the first thing that is wrong")]

use std::{
    ffi::OsStr,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpListener,
    os::unix::ffi::OsStrExt as _,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

/// Longer than anything here takes, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);

/// The stop timeout of the tasks here.
const STOP_TIMEOUT: Duration = Duration::from_secs(8);

/// The worker as a workflow starts it, with an input.
fn worker(input: &str, command: &[&str]) -> Command {
    let mut worker = Command::new(env!("CARGO_BIN_EXE_worker"));
    worker.env_clear().env("PATH", env!("PATH")).env("EXECUTION_ID", "e1").env("EXECUTION_INPUT", input);
    worker.env("EXECUTION_STOP_TIMEOUT", STOP_TIMEOUT.as_secs().to_string());
    worker.args(command).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    worker
}

fn shell(script: &str) -> Command {
    worker("null", &["--", "sh", "-c", script])
}

/// Runs to the end; a worker that hangs is killed, and fails the test.
fn end(mut worker: Command) -> Output {
    finish(worker.spawn().unwrap())
}

fn finish(mut child: Child) -> Output {
    let pid = Pid::from_child(&child);
    let (done, expired) = std::sync::mpsc::channel::<()>();
    let watchdog = std::thread::spawn(move || {
        if expired.recv_timeout(PATIENCE) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
            kill_process(pid, Signal::KILL).unwrap();
        }
    });
    let (mut out, mut err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let errors = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        err.read_to_end(&mut bytes).unwrap();
        bytes
    });
    let mut stdout = Vec::new();
    out.read_to_end(&mut stdout).unwrap();
    let stderr = errors.join().unwrap();
    let status = child.wait().unwrap();
    drop(done);
    watchdog.join().unwrap();
    assert!(status.code().is_some(), "the worker was killed; it said {}", String::from_utf8_lossy(&stderr));
    Output { status, stdout, stderr }
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[expect(clippy::disallowed_methods, reason = "the worker reads the same clock")]
fn in_seconds(seconds: u64) -> String {
    (jiff::Timestamp::now() + Duration::from_secs(seconds)).to_string()
}

/// Runs a script whose deadline passes after it has printed `up`. If the machine is too slow for that, the script gets more time. Returns
/// its exit code, and what it printed after `up`.
fn at_its_deadline(script: &str) -> (Option<i32>, String) {
    let in_time = [1, 4, 16, 64].into_iter().find_map(|seconds| {
        let mut worker = shell(script);
        worker.env("EXECUTION_DEADLINE", in_seconds(seconds));
        let done = end(worker);
        text(&done.stdout).strip_prefix("up\n").map(|said| (done.status.code(), said.to_owned()))
    });
    in_time.unwrap()
}

/// Reads the command's first line, which it prints once its traps are set.
fn first_line(child: &mut Child) -> String {
    let mut line = String::new();
    let mut bytes = [0];
    let stdout = child.stdout.as_mut().unwrap();
    while stdout.read(&mut bytes).unwrap() == 1 && bytes != *b"\n" {
        line.push(char::from(bytes[0]));
    }
    line
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

#[test]
fn output_passes_through_unchanged() {
    let done = end(shell(r#"printf 'plain\r\n\377\n{"n": 1}\nno line end'; printf 'oops' >&2"#));
    assert_eq!(done.status.code(), Some(0));
    assert_eq!(done.stdout, b"plain\r\n\xff\n{\"n\": 1}\nno line end");
    assert_eq!(done.stderr, b"oops", "the worker itself logs nothing");
}

#[test]
fn the_input_is_on_stdin_and_in_the_environment() {
    let input = r#"{"text": "ä b", "n": 1.10}"#;
    let done = end(worker(input, &["--", "sh", "-c", r#"cat; printf '\n%s\n%s' "$EXECUTION_INPUT" "$EXECUTION_ID""#]));
    assert_eq!(text(&done.stdout), format!("{input}\n{input}\ne1"));
}

#[test]
fn the_worker_s_configuration_is_not_passed_to_the_command() {
    let mut worker = shell("env");
    worker.env("INPUT_TABLE", "t").env("AWS_REGION", "eu-north-1");
    let done = end(worker);
    assert!(!text(&done.stdout).contains("TABLE"), "{}", text(&done.stdout));
    assert!(text(&done.stdout).contains("AWS_REGION=eu-north-1"));
}

#[test]
fn a_large_input_is_on_stdin_only() {
    let input = format!("\"{}\"", "x".repeat(150 * 1024));
    let mut worker = worker("", &["--", "sh", "-c", r#"wc -c; echo "${EXECUTION_INPUT-unset}""#]);
    worker.env_remove("EXECUTION_INPUT").stdin(Stdio::piped());
    let mut child = worker.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let done = finish(child);
    let words: Vec<_> = text(&done.stdout).split_whitespace().collect();
    assert_eq!(words, [&*input.len().to_string(), "unset"]);
}

#[test]
fn a_command_need_not_read_its_input() {
    let input = format!("\"{}\"", "x".repeat(100 * 1024));
    let done = end(worker(&input, &["--", "sh", "-c", "exec 0<&-; echo 1"]));
    assert_eq!((done.status.code(), text(&done.stdout)), (Some(0), "1\n"));
}

#[test]
fn without_an_execution_the_input_is_stdin_or_null() {
    for (typed, input, code) in [("", "null", 0), (" [1]\n", "[1]", 0), ("nonsense", "", 125)] {
        let mut worker = worker("", &["--", "cat"]);
        worker.env_clear().env("PATH", env!("PATH")).stdin(Stdio::piped());
        let mut child = worker.spawn().unwrap();
        child.stdin.take().unwrap().write_all(typed.as_bytes()).unwrap();
        let done = finish(child);
        assert_eq!((done.status.code(), text(&done.stdout)), (Some(code), input), "{typed:?}");
    }
}

#[test]
fn an_incomplete_environment_is_refused() {
    let mut worker = shell("echo ran");
    worker.env("EXECUTIONS_TABLE", "t").env("EXECUTION_ID", "").env("EXECUTION_DEADLINE", "soon");
    let done = end(worker);
    assert_eq!((done.status.code(), text(&done.stdout)), (Some(125), ""));
    let said = text(&done.stderr);
    assert!(said.contains("EXECUTION_ID is not set") && said.contains("EXECUTION_DEADLINE cannot be read"), "{said}");
}

#[test]
fn the_worker_s_own_log_is_not_a_result() {
    let done = end(worker("null", &["--", "/no/such/command"]));
    assert!(!done.stderr.is_empty());
    let json =
        done.stderr.lines().find(|line| serde_json::from_str::<serde_json::Value>(line.as_ref().unwrap()).is_ok());
    assert!(json.is_none(), "{json:?}");
}

#[test]
fn the_exit_code_is_that_of_the_command() {
    assert_eq!(end(shell("echo no disk >&2; exit 3")).status.code(), Some(3));
    assert_eq!(end(shell("kill -KILL $$")).status.code(), Some(137));
    for (command, code) in [("/no/such/command", 127), ("/etc/passwd", 126), ("/", 126)] {
        let done = end(worker("null", &["--", command]));
        assert_eq!(done.status.code(), Some(code), "{command}");
        assert!(text(&done.stderr).contains(&format!("cannot run {command}: ")), "{}", text(&done.stderr));
    }
}

#[test]
fn a_lot_of_output_is_passed_through() {
    let line = end(shell("head -c 5000000 /dev/zero | tr '\\0' x; echo; echo 1"));
    assert_eq!(line.stdout.len(), 5_000_003);
    let lines = end(shell("yes '{\"n\": 1}' | head -c 5000000"));
    assert_eq!(lines.stdout.len(), 5_000_000);
}

/// The worker waits for a log that accepts nothing for a while, since the result comes last.
#[test]
fn a_slow_log_loses_no_output() {
    let directory = tempfile::tempdir().unwrap();
    let mark = directory.path().join("mark");
    // The command can end once its output is in the two pipes, of 64 KB each, and in the worker's buffer, which has at most 64 KB.
    // So some output is left to be read.
    let script = format!("head -c 132500 /dev/zero | tr '\\0' x; echo; echo '{{\"n\": 1}}'; touch {}", mark.display());
    let mut child = shell(&script).spawn().unwrap();
    let started = Instant::now();
    while !mark.exists() {
        assert!(started.elapsed() < PATIENCE, "the command does not end");
        std::thread::sleep(Duration::from_millis(20));
    }
    // Longer than the worker waits for a silent pipe.
    std::thread::sleep(Duration::from_secs(4));
    assert!(child.try_wait().unwrap().is_none());
    let done = finish(child);
    assert!(text(&done.stdout).ends_with("\n{\"n\": 1}\n"), "{} bytes of output", done.stdout.len());
}

#[test]
fn an_environment_that_is_not_unicode_is_passed_on() {
    let mut worker = shell("printf %s \"$ODD\" | od -An -tx1");
    worker.env("ODD", OsStr::from_bytes(b"\xff"));
    assert_eq!(text(&end(worker).stdout).trim(), "ff");
}

#[test]
fn sigterm_and_sigint_are_forwarded() {
    for (sent, name) in [(Signal::TERM, "TERM"), (Signal::INT, "INT")] {
        let script = format!("trap 'echo got {name}; exit 7' {name}; echo up; while :; do sleep 0.05; done");
        let mut child = shell(&script).spawn().unwrap();
        assert_eq!(first_line(&mut child), "up");
        signal(&child, sent);
        let done = finish(child);
        assert_eq!((done.status.code(), text(&done.stdout)), (Some(7), &*format!("got {name}\n")));
    }
}

#[test]
fn a_command_without_a_handler_is_killed_by_sigterm() {
    let mut child = shell("echo up; exec sleep 60").spawn().unwrap();
    assert_eq!(first_line(&mut child), "up");
    signal(&child, Signal::TERM);
    assert_eq!(finish(child).status.code(), Some(143));
}

#[test]
fn the_deadline_sends_sigterm() {
    let (code, said) = at_its_deadline("trap 'echo late; exit 0' TERM; echo up; while :; do sleep 0.05; done");
    assert_eq!((code, &*said), (Some(124), "late\n"), "0 would look like success");
}

/// A worker that kept trying would be killed, and SIGKILL would replace the exit code. After the deadline, a job that completed in time
/// would count as timed out.
#[test]
fn a_report_that_cannot_be_stored_is_abandoned_in_time() {
    // This endpoint accepts connections and never answers.
    let silent = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let reporting = |script: &str| {
        let mut worker = shell(script);
        worker.envs([("REPORT_TABLE", "t"), ("REPORT_KEY", "report/c/1"), ("AWS_ENDPOINT_URL", &url)]);
        worker.envs([("AWS_REGION", "us-east-1"), ("AWS_ACCESS_KEY_ID", "any"), ("AWS_SECRET_ACCESS_KEY", "any")]);
        worker
    };
    let started = Instant::now();
    let mut completed = reporting("echo '[1]'");
    completed.env("EXECUTION_DEADLINE", in_seconds(2));
    assert_eq!(end(completed).status.code(), Some(0));
    assert!(started.elapsed() < STOP_TIMEOUT, "{:?} for a deadline of 2 s", started.elapsed());

    let mut stopped = reporting("trap 'exit 0' TERM; echo up; while :; do sleep 0.05; done").spawn().unwrap();
    assert_eq!(first_line(&mut stopped), "up");
    let signalled = Instant::now();
    signal(&stopped, Signal::TERM);
    assert_eq!(finish(stopped).status.code(), Some(143), "0 would look like success");
    assert!(signalled.elapsed() < STOP_TIMEOUT, "{:?} after SIGTERM", signalled.elapsed());
}

#[test]
fn after_the_stop_timeout_the_deadline_sends_sigkill() {
    let started = Instant::now();
    let (code, _) = at_its_deadline("trap '' TERM; echo up; while :; do sleep 0.05; done");
    assert_eq!(code, Some(137));
    assert!(started.elapsed() > STOP_TIMEOUT, "{:?} of grace", started.elapsed());
}

/// A program that takes some seconds to end after SIGTERM, and writes to a file how it ended. It does not write to a pipe, because the
/// program that reads the pipe would get the signal too.
const SLOW_TO_END: &str = "import signal, sys, time\n\
    def say(what):\n    with open(sys.argv[1], 'a') as file: file.write(what)\n\
    def stop(*_):\n    time.sleep(2.5); say('stopped'); sys.exit(0)\n\
    signal.signal(signal.SIGTERM, stop)\nsay('up ')\nwhile True: time.sleep(0.05)";

/// Common commands in which a shell without `exec` is between the worker and the program.
#[test]
fn a_program_behind_a_shell_gets_sigterm_and_the_stop_timeout() {
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("gentle.py");
    std::fs::write(&program, SLOW_TO_END).unwrap();
    let program = format!("python3 {}", program.display());
    let commands =
        ["PROGRAM", "PROGRAM; echo after", "PROGRAM | cat", "(PROGRAM)", "PROGRAM & wait", "cd / && PROGRAM; true"];
    let jobs = commands.iter().enumerate().map(|(number, command)| {
        let said = directory.path().join(number.to_string());
        let job = shell(&command.replace("PROGRAM", &format!("{program} {}", said.display()))).spawn().unwrap();
        (job, command, said)
    });
    let jobs: Vec<_> = jobs.collect();
    let said = |file: &std::path::Path| std::fs::read_to_string(file).unwrap_or_default();
    for (job, command, file) in &jobs {
        let started = Instant::now();
        while said(file) != "up " {
            assert!(started.elapsed() < PATIENCE, "{command}");
            std::thread::sleep(Duration::from_millis(20));
        }
        signal(job, Signal::TERM);
    }
    for (job, command, file) in jobs {
        let done = finish(job);
        assert_eq!(said(&file), "up stopped", "{command}: {}", text(&done.stderr));
    }
}

/// SIGTERM kills the shell, and its program handles it.
#[test]
fn the_exit_code_of_a_stopped_job_is_that_of_the_program_behind_its_shells() {
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("exits.py");
    // It ends a moment later than its shells, so that none of them can reap it.
    let script = "import signal, sys, time\ndef stop(*_):\n    time.sleep(0.3); sys.exit(5)\nsignal.signal(signal.SIGTERM, stop)\n\
                  print('up', flush=True)\nwhile True: time.sleep(0.05)";
    std::fs::write(&program, script).unwrap();
    let program = format!("python3 {}", program.display());
    for (command, code) in [
        ("PROGRAM", 5),
        ("cd / && PROGRAM; true", 5),
        ("bash -c 'PROGRAM; true'; true", 5),
        ("sleep 100 & PROGRAM", 5),
        ("trap 'exit 9' TERM; PROGRAM; true", 9),
        ("echo up; sleep 100; true", 143),
        // Not a shell, so the exit code of its child does not count.
        ("exec python3 -c 'import subprocess, sys; sys.exit(subprocess.call([\"sh\", \"-c\", \"PROGRAM\"]))'", 143),
    ] {
        let mut job = shell(&command.replace("PROGRAM", &program)).spawn().unwrap();
        assert_eq!(first_line(&mut job), "up", "{command}");
        signal(&job, Signal::TERM);
        assert_eq!(finish(job).status.code(), Some(code), "{command}");
    }
}

/// At the deadline, ECS sends a SIGTERM too, while the program is still handling the worker's.
#[test]
fn a_program_gets_one_sigterm_at_its_deadline() {
    let mut worker = shell(
        "trap 'echo got TERM; n=$((n + 1))' TERM; echo up; until [ \"$n\" ]; do sleep 0.05; done; sleep 1; exit 3",
    );
    worker.env("EXECUTION_DEADLINE", in_seconds(1));
    let mut job = worker.spawn().unwrap();
    assert_eq!(first_line(&mut job), "up");
    assert_eq!(first_line(&mut job), "got TERM");
    signal(&job, Signal::TERM);
    let done = finish(job);
    assert_eq!((done.status.code(), text(&done.stdout)), (Some(3), ""));
}

/// Processes of a stopped job that do not end are killed in time for the worker to record the outcome.
#[test]
fn a_program_that_ignores_sigterm_is_killed_within_the_stop_timeout() {
    let started = Instant::now();
    let mut child = shell("(trap '' TERM; echo up; while :; do sleep 0.05; done) & wait").spawn().unwrap();
    assert_eq!(first_line(&mut child), "up");
    let asked = Instant::now();
    signal(&child, Signal::TERM);
    let done = finish(child);
    assert_eq!(done.status.code(), Some(137), "what the shell waited for was killed");
    assert!(asked.elapsed() >= STOP_TIMEOUT / 2, "{:?}", asked.elapsed());
    assert!(started.elapsed() < PATIENCE);
}

#[test]
fn every_signal_is_forwarded() {
    for (sent, name) in [
        (Signal::HUP, "HUP"),
        (Signal::QUIT, "QUIT"),
        (Signal::USR1, "USR1"),
        (Signal::USR2, "USR2"),
        (Signal::WINCH, "WINCH"),
        (Signal::ALARM, "ALRM"),
        (Signal::CONT, "CONT"),
    ] {
        let script = format!("trap 'echo got {name}; exit 7' {name}; echo up; while :; do sleep 0.05; done");
        let mut child = shell(&script).spawn().unwrap();
        assert_eq!(first_line(&mut child), "up");
        signal(&child, sent);
        let done = finish(child);
        assert_eq!((done.status.code(), text(&done.stdout)), (Some(7), &*format!("got {name}\n")));
    }
}

/// A job that handles a signal and continues does not count as stopped.
#[test]
fn a_job_that_handles_a_signal_completes() {
    let mut child = shell("trap 'echo got it; n=1' USR1; echo up; while [ -z \"$n\" ]; do sleep 0.05; done; exit 0")
        .spawn()
        .unwrap();
    assert_eq!(first_line(&mut child), "up");
    signal(&child, Signal::USR1);
    assert_eq!(finish(child).status.code(), Some(0));
}

/// The first process of a container inherits all orphaned processes.
#[test]
fn orphans_are_reaped() {
    let script = "import os, time\n\
        for _ in range(500):\n    child = os.fork()\n    if child == 0:\n        os.fork()\n        os._exit(0)\n    os.waitpid(child, 0)\n\
        def orphans():\n    count = 0\n    for pid in filter(str.isdigit, os.listdir('/proc')):\n        try:\n            stat = open(f'/proc/{pid}/stat').read()\n        except OSError:\n            continue\n        parent = stat.rsplit(')', 1)[1].split()[1]\n        count += parent == str(os.getppid()) and pid != str(os.getpid())\n    return count\n\
        deadline = time.time() + 60\n\
        left = orphans()\n\
        while left and time.time() < deadline:\n    time.sleep(0.05)\n    left = orphans()\n\
        print('orphans:', left)";
    let run = |before: &[&str]| {
        let mut command = Command::new("env");
        command.args(before).arg(env!("CARGO_BIN_EXE_worker")).args(["--", "python3", "-c", script]);
        command.env("EXECUTION_INPUT", "null").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let done = end(command);
        assert_eq!(text(&done.stdout), "orphans: 0\n", "{before:?}: {}", text(&done.stderr));
    };
    run(&[]);
    let unshared = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc"];
    let may = Command::new("env").args(unshared).arg("true").output().unwrap();
    if may.status.success() {
        run(&unshared);
    }
}

#[test]
fn the_result_file_is_printed_if_the_outcome_is_not_recorded() {
    let done = end(shell(r#"echo '{"old": 1}'; printf '{\n"n": 1}' > "$EXECUTION_RESULT_FILE"; printf 'no line end'"#));
    assert_eq!(text(&done.stdout), "{\"old\": 1}\nno line end\n{ \"n\": 1}\n");
    let done = end(shell(r#"echo '{"old": 1}'; echo '{' > "$EXECUTION_RESULT_FILE""#));
    assert_eq!(done.status.code(), Some(125), "otherwise the earlier document would be the result");
    assert!(text(&done.stderr).contains("the result file is not one valid JSON value"), "{}", text(&done.stderr));
    let done = end(shell(r#"echo '{' > "$EXECUTION_RESULT_FILE"; exit 3"#));
    assert_eq!(done.status.code(), Some(3));
    let mut nowhere = shell(r#"echo "${EXECUTION_RESULT_FILE-unset}""#);
    nowhere.env("TMPDIR", "/no/such/directory");
    assert_eq!(text(&end(nowhere).stdout), "unset\n");
}

#[test]
fn after_the_deadline_no_command_is_started() {
    let mut worker = shell("echo ran");
    worker.env("EXECUTION_DEADLINE", in_seconds(0));
    let done = end(worker);
    assert_eq!((done.status.code(), text(&done.stdout)), (Some(124), ""));
}

#[test]
fn the_worker_does_not_wait_for_a_grandchild_that_keeps_printing() {
    let done = end(shell("yes & echo 1"));
    assert_eq!(done.status.code(), Some(0));
    assert!(text(&done.stdout).lines().any(|line| line == "1"));
}

/// Whether a process is still running. A zombie does not count.
fn lives(pid: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, state)| !state.starts_with('Z'))
}

#[test]
fn the_worker_does_not_wait_for_a_grandchild_that_holds_the_output_open() {
    let mut child = shell("sleep 600 & echo $!; echo 1").spawn().unwrap();
    let grandchild = first_line(&mut child).parse().ok().and_then(Pid::from_raw).unwrap();
    let started = Instant::now();
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None => assert!(started.elapsed() < PATIENCE, "the worker hangs"),
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    // The worker kills the grandchild before it exits. Otherwise, the grandchild would keep running if the worker is not the container's
    // first process.
    while lives(grandchild) {
        assert!(started.elapsed() < PATIENCE, "the grandchild is still running");
        std::thread::sleep(Duration::from_millis(20));
    }
    let mut rest = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_to_string(&mut rest).unwrap();
    assert_eq!((status.code(), &*rest), (Some(0), "1\n"));
}

#[test]
fn without_a_command_the_demo_runs() {
    let done = end(worker(r#"{"message": "hello", "processingTime": 0.2}"#, &[]));
    assert_eq!(done.status.code(), Some(0), "{}", text(&done.stderr));
    let last = text(&done.stdout).lines().last().unwrap();
    let result: serde_json::Value = serde_json::from_str(last).unwrap();
    assert_eq!((&result["message"], &result["processingTime"]), (&"hello".into(), &0.2.into()));
    assert!(result["processedAt"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok());
}

#[test]
fn the_demo_refuses_invalid_input_and_can_be_stopped() {
    let refused = end(worker("[1]", &[]));
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).starts_with("the input must be like"), "{}", text(&refused.stderr));
    let mut child = worker(r#"{"processingTime": 60}"#, &[]).spawn().unwrap();
    assert_eq!(first_line(&mut child), "processing for 60 seconds: ");
    signal(&child, Signal::TERM);
    assert_eq!(finish(child).status.code(), Some(143));
}

/// The example that users copy.
#[test]
fn the_python_example_counts_words() {
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/container/wordcount.py");
    let run = |input: &str| end(worker(input, &["--", "python3", example]));
    let counted = run(r#"{"text": "The cat saw the dog. Don't wake the dog!"}"#);
    assert_eq!(counted.status.code(), Some(0), "{}", text(&counted.stderr));
    let last = text(&counted.stdout).lines().last().unwrap();
    assert_eq!(last, r#"{"words": 9, "unique": 6, "top": [["the", 3], ["dog", 2], ["cat", 1]]}"#);
    for bad in ["null", "[]", r#"{"text": 1}"#] {
        let refused = run(bad);
        assert_eq!(refused.status.code(), Some(2), "{bad}");
        assert!(text(&refused.stderr).contains("the input has to be an object"), "{}", text(&refused.stderr));
    }
}
