//! The jobs of the soak test, and their possible outcomes.

use serde_json::{Value, json};

/// A job.
pub(super) struct Job {
    name: &'static str,
    command: &'static str,
    /// How an undisturbed execution ends.
    pub(super) status: &'static str,
    pub(super) result: &'static str,
}

/// The jobs.
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

/// The error types of a task that was killed, or whose machine was lost.
const KILLED: [&str; 4] = ["signal", "stopped", "task-lost", "task-failed-to-start"];

impl Job {
    /// The command line option that configures the job.
    pub(super) fn option(&self) -> String {
        format!("{}={}", self.name, self.command)
    }

    /// The body of its POST, which is the same for each repeat.
    pub(super) fn request(&self) -> Value {
        // A job that hangs needs a deadline. The others may be retried.
        match self.name {
            "hangs" => json!({ "job": "hangs", "input": null, "timeoutSeconds": 3 }),
            name => json!({ "job": name, "input": null, "retry": { "maxAttempts": 2 } }),
        }
    }

    /// Whether this is a possible outcome. A killed machine or worker can fail any execution once its attempts are used up, and a
    /// cancel can end any execution. Otherwise only jobs that fail by themselves may fail.
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
