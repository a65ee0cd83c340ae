//! The local stack's database cannot be written for a while, because another process holds its lock or the disk is full.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Arc, Mutex},
    time::Duration,
};

use rusqlite::Connection;
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::json;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::Command,
};

use crate::stack::{LONGHAUL, PATIENCE, Stack, command, eventually, root};

/// A stack whose jobs wait for a file and then print their result. `stderr` has the stack's own output.
struct BlockedStack {
    stack: Stack,
    release: PathBuf,
    stderr: Arc<Mutex<String>>,
    _directory: TempDir,
}

impl BlockedStack {
    /// Ignores the signal that is raised by a write beyond [`BlockedStack::limit_files`], so that the write fails as on a full disk.
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let (data, release) = (path("data"), path("release"));
        let job =
            format!("job=until test -e {}; do sleep 0.05; done; seq 1000; echo '{{\"n\": 1}}'", release.display());
        let options = command(&data, &["--job", &job]);
        let mut shell = Command::new("sh");
        shell
            .current_dir(root())
            .args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\"", LONGHAUL])
            .args(options.as_std().get_args())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut stack = Stack::run_as(shell, &data).await;
        let stderr = Arc::new(Mutex::new(String::new()));
        let mut lines = BufReader::new(stack.process.stderr.take().unwrap()).lines();
        let collected = Arc::clone(&stderr);
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                collected.lock().unwrap().extend([line.as_str(), "\n"]);
            }
        });
        Self { stack, release, stderr, _directory: directory }
    }

    async fn start_jobs(&self) -> Vec<String> {
        let mut ids = Vec::new();
        for pattern in ["sync", "callback"] {
            for _ in 0..2 {
                ids.push(self.stack.start_running(pattern, "job").await);
            }
        }
        ids
    }

    fn release_jobs(&self) {
        std::fs::write(&self.release, "").unwrap();
    }

    fn stderr(&self) -> String {
        self.stderr.lock().unwrap().clone()
    }

    /// Waits until the stack has failed to record something.
    async fn cannot_record(&self) {
        eventually("the stack to report that it cannot record something", async || {
            ["cannot record", "cannot write log lines"].iter().any(|what| self.stderr().contains(what)).then_some(())
        })
        .await;
    }

    async fn all_complete(&self, ids: &[String]) {
        for id in ids {
            let done = self.stack.wait_for(id, |execution| execution["done"] == true).await;
            let outcome = (&done["status"], &done["exitCode"], &done["result"], &done["attempt"]);
            assert_eq!(outcome, (&json!("COMPLETED"), &json!(0), &json!({ "n": 1 }), &json!(1)), "{done:#}");
        }
    }

    /// The number of lines that the jobs have printed, without the worker's messages about retries in the same logs.
    fn lines(&self) -> usize {
        let database = Connection::open(self.stack.data.join("aws.db")).unwrap();
        let sql = "SELECT count(*) FROM log_events JOIN log_streams ON log_streams.id = stream \
                   WHERE group_name = '/ecs/longhaul' AND (message NOT GLOB '*[^0-9]*' OR message LIKE '{\"n\"%')";
        database.query_row(sql, [], |row| row.get(0)).unwrap()
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.stack.process.id().unwrap().try_into().unwrap()).unwrap()
    }

    fn limit_files(&self, bytes: Option<u64>) {
        prlimit(Some(self.pid()), Resource::Fsize, Rlimit { current: bytes, maximum: None }).unwrap();
    }

    /// The processor time that the stack has used.
    fn processor_time(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid().as_raw_nonzero())).unwrap();
        let fields: Vec<_> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        let ticks: u64 = [11, 12].iter().map(|place: &usize| fields[*place].parse::<u64>().unwrap()).sum();
        Duration::from_millis(ticks * 10)
    }
}

/// Takes the write lock of a database, as a backup or a `sqlite3` session does.
fn lock(data: &Path) -> Connection {
    let other = Connection::open(data.join("aws.db")).unwrap();
    other.busy_timeout(PATIENCE).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    other
}

#[tokio::test]
async fn the_end_of_a_task_is_recorded_once_the_database_is_unlocked() {
    let blocked = BlockedStack::start().await;
    let ids = blocked.start_jobs().await;
    let data = blocked.stack.data.clone();
    let lock = tokio::task::spawn_blocking(move || lock(&data)).await.unwrap();
    blocked.release_jobs();
    blocked.cannot_record().await;
    drop(lock);
    blocked.all_complete(&ids).await;
    assert_eq!(blocked.lines(), 1_001 * ids.len());
}

#[tokio::test]
async fn a_full_disk_loses_nothing_and_causes_neither_load_nor_many_log_lines() {
    const WINDOW: Duration = Duration::from_secs(8);
    let blocked = BlockedStack::start().await;
    let ids = blocked.start_jobs().await;
    blocked.limit_files(Some(0));
    blocked.release_jobs();
    blocked.cannot_record().await;
    let before = blocked.processor_time();
    tokio::time::sleep(WINDOW).await;
    let used = blocked.processor_time().saturating_sub(before);
    let stderr = blocked.stderr();
    blocked.limit_files(None);
    blocked.all_complete(&ids).await;
    assert_eq!(blocked.lines(), 1_001 * ids.len());
    assert!(used < WINDOW / 4, "{used:?} of processor time in {WINDOW:?}");
    assert!(
        stderr.lines().count() < 50,
        "{} lines:\n{}",
        stderr.lines().count(),
        stderr.lines().take(60).collect::<Vec<_>>().join("\n")
    );
}
