//! The faults of the soak test.

use std::{fmt, time::Duration};

use serde_json::json;

use crate::{choices::Choices, stack::Stack};

/// How long a client waits for a response.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// Faults of calls and events, each with its probability.
const FAULTS: [(&str, &str, f64); 11] = [
    ("*", "throttle", 0.03),
    ("*", "fail", 0.01),
    ("*", "cutBefore", 0.01),
    ("*", "cutAfter", 0.02),
    ("*", "repeat", 0.03),
    ("*", "delay", 0.03),
    ("*", "killBefore", 0.003),
    ("*", "killAfter", 0.003),
    ("events:*", "cutBefore", 0.3),
    ("events:*", "repeat", 0.3),
    ("events:*", "delay", 0.2),
];

#[derive(Default)]
pub(super) struct Chaos {
    stack_kills: u64,
    kills: usize,
    hits: u64,
}

impl Chaos {
    /// Arms the faults of a newly started stack. A stack does not keep faults over a restart.
    pub(super) async fn arm(&self, stack: &Stack, choices: &mut Choices) {
        for (on, does, chance) in FAULTS {
            let does = if does == "delay" { json!({ "delay": 0.7 }) } else { json!(does) };
            let seed = choices.below(u64::from(u32::MAX));
            let fault = json!({ "on": on, "does": does, "times": "all", "chance": chance, "seed": seed });
            stack.arm(&fault).await;
        }
    }

    /// Kills a function, or the task of an execution.
    pub(super) async fn kill(&mut self, stack: &Stack, choices: &mut Choices, task: &str) {
        let whom = match choices.below(4) {
            0 => json!({ "by": "longhaul-sync" }),
            1 => json!({ "by": "longhaul-callback" }),
            2 => json!({ "by": "longhaul-reconciler" }),
            _ if task.is_empty() => return,
            _ => json!({ "by": "task", "execution": task }),
        };
        match stack.admin("kill", &whom).await {
            Ok(answer) => self.kills += answer["killed"].as_array().map_or(0, Vec::len),
            Err((status, why)) => assert_eq!(status, 404, "only a process that is not running may be refused: {why}"),
        }
    }

    /// Kills a stack, and with it the armed faults.
    pub(super) async fn kill_stack(&mut self, stack: &mut Stack) {
        self.count(stack).await;
        stack.process.kill().await.unwrap();
        self.stack_kills += 1;
    }

    /// Ends all faults.
    pub(super) async fn end(&mut self, stack: &Stack) {
        self.count(stack).await;
        stack.delete("faults").await;
    }

    /// Adds the calls that were hit in this stack.
    async fn count(&mut self, stack: &Stack) {
        let faults = stack.local("faults").await;
        self.hits += faults["faults"].as_array().unwrap().iter().filter_map(|fault| fault["hit"].as_u64()).sum::<u64>();
    }
}

impl fmt::Display for Chaos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the stack killed {} times, functions and tasks {} times, {} calls and events disturbed",
            self.stack_kills, self.kills, self.hits
        )
    }
}
