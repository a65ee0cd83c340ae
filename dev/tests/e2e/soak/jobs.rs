//! The jobs of the soak, and what an execution of each may come to.

use serde_json::{Value, json};

/// A job.
pub(super) struct Job {
    name: &'static str,
    command: &'static str,
    /// How an execution of it ends that nobody disturbs.
    pub(super) status: &'static str,
    pub(super) result: &'static str,
}

/// All of them.
pub(super) const JOBS: [Job; 6] = [
    Job { name: "ok", command: "sleep 0.2; echo '{\"n\": 1}'", status: "COMPLETED", result: "{\"n\":1}" },
    Job { name: "quick", command: "echo '[1]'", status: "COMPLETED", result: "[1]" },
    Job { name: "fails", command: "sleep 0.1; exit 3", status: "FAILED", result: "null" },
    Job { name: "crashes", command: "kill -9 $PPID; sleep 60", status: "FAILED", result: "null" },
    Job {
        name: "floods",
        command: "yes flood | head -c 2000000; echo; echo '{\"n\": 2}'",
        status: "COMPLETED",
        result: "{\"n\":2}",
    },
    Job { name: "hangs", command: "trap '' TERM; while :; do sleep 0.1; done", status: "TIMED_OUT", result: "null" },
];

/// What is told of a task that was killed, or whose machine was.
const KILLED: [&str; 4] = ["signal", "stopped", "task-lost", "task-failed-to-start"];

impl Job {
    /// The option of the stack that makes it.
    pub(super) fn option(&self) -> String {
        format!("{}={}", self.name, self.command)
    }

    /// What is posted for it; the same for each repeat.
    pub(super) fn request(&self) -> Value {
        // A job that hangs needs a deadline; one that fails may be tried again.
        match self.name {
            "hangs" => json!({ "job": "hangs", "input": null, "timeoutSeconds": 3 }),
            name => json!({ "job": name, "input": null, "retry": { "maxAttempts": 2 } }),
        }
    }

    /// Whether an execution of it may be so. A machine or a worker that is killed is a failure, after as many attempts as
    /// there are; a cancel that was heard may come to any of them. No other failure is one of a job that does well.
    pub(super) fn may_end(&self, execution: &Value, cancelled: bool) -> bool {
        match execution["status"].as_str().unwrap() {
            "COMPLETED" => {
                let result: Value = serde_json::from_str(self.result).unwrap();
                self.status == "COMPLETED" && execution["result"] == result
            }
            "CANCELLED" => cancelled,
            "FAILED" => {
                let kind = execution["error"]["type"].as_str().unwrap();
                KILLED.contains(&kind) || (self.status == "FAILED" && kind == "exit-code")
            }
            "TIMED_OUT" => self.status == "TIMED_OUT",
            _ => false,
        }
    }
}
