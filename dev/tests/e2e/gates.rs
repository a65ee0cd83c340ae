//! Jobs that run until the test lets them end, so that they are running when the test checks them.

use tempfile::TempDir;

/// A gate for each attempt of each execution.
pub(crate) struct Gates(TempDir);

impl Gates {
    /// Creates closed gates.
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// A job that prints `1` once the gate of its attempt is open.
    pub(crate) fn job(&self, name: &str) -> String {
        self.job_and(name, "echo '[1]'")
    }

    /// A job that waits for the gate of its attempt, and then runs a command.
    pub(crate) fn job_and(&self, name: &str, command: &str) -> String {
        self.job_with_gate(name, &format!("until test -e $GATE; do sleep 0.05; done; {command}"))
    }

    /// A job that runs a command, in which `$GATE` is the gate of its attempt: a file that exists once the gate is open.
    pub(crate) fn job_with_gate(&self, name: &str, command: &str) -> String {
        let gate = self.0.path().join("$EXECUTION_ID.$EXECUTION_ATTEMPT");
        format!("{name}={}", command.replace("$GATE", &gate.display().to_string()))
    }

    /// Lets the first attempt of an execution continue.
    pub(crate) fn open(&self, id: &str) {
        self.open_attempt(id, 1);
    }

    /// Lets an attempt of an execution continue.
    pub(crate) fn open_attempt(&self, id: &str, attempt: u32) {
        std::fs::write(self.0.path().join(format!("{id}.{attempt}")), "").unwrap();
    }
}
