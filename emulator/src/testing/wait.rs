//! Waiting for a condition, with a deadline.

use std::time::{Duration, Instant};

use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::Child,
};

/// The timeout of everything that tests wait for. It is much longer than needed, even on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// The pause between two polls.
const PAUSE: Duration = Duration::from_millis(50);

/// Polls until there is a value, and returns it. After [`PATIENCE`], the test fails with a message that says `what` it waited for.
pub async fn eventually<T>(what: &str, mut poll: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = poll().await {
            return found;
        }
        assert!(Instant::now() < deadline, "timed out after {PATIENCE:?}, waiting for {what}");
        tokio::time::sleep(PAUSE).await;
    }
}

/// The first line that a program prints, by which it says that it is ready. Its stdout has to be a pipe.
pub async fn first_line(program: &mut Child) -> String {
    let stdout = program.stdout.take().expect("stdout is a pipe");
    let mut lines = BufReader::new(stdout).lines();
    let line = tokio::time::timeout(PATIENCE, lines.next_line());
    line.await.expect("the program prints a line").unwrap().expect("the program ended before it was ready")
}
