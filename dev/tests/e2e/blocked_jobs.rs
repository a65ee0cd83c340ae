//! Jobs that run until the test lets them end, so that they are running when the test checks them.

use tempfile::TempDir;

/// A directory with one file for each attempt that the test has released.
pub(crate) struct BlockedJobs(TempDir);

impl BlockedJobs {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// A job that prints `[1]` once its attempt is released.
    pub(crate) fn job(&self, name: &str) -> String {
        self.job_then(name, "echo '[1]'")
    }

    /// A job that runs a command once its attempt is released. If the test ends without that, the job ends too.
    pub(crate) fn job_then(&self, name: &str, command: &str) -> String {
        let directory = self.0.path().display();
        let wait = format!("until test -e $RELEASED; do test -d {directory} || exit 1; sleep 0.05; done");
        self.job_with_file(name, &format!("{wait}; {command}"))
    }

    /// A job that runs a command, in which `$RELEASED` is a file that exists once its attempt is released.
    pub(crate) fn job_with_file(&self, name: &str, command: &str) -> String {
        let file = self.0.path().join("$EXECUTION_ID.$EXECUTION_ATTEMPT");
        format!("{name}={}", command.replace("$RELEASED", &file.display().to_string()))
    }

    /// Lets the first attempt of an execution continue.
    pub(crate) fn release(&self, id: &str) {
        self.release_attempt(id, 1);
    }

    /// Lets an attempt of an execution continue.
    pub(crate) fn release_attempt(&self, id: &str, attempt: u32) {
        std::fs::write(self.0.path().join(format!("{id}.{attempt}")), "").unwrap();
    }
}
