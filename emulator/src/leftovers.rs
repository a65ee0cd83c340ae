//! Finds and kills processes that a killed emulator or an ended container left running.
//!
//! Every process that the emulator starts has a mark in its environment: [`MARK`] with the data directory, and in a container also
//! [`CONTAINER_MARK`] with the container's name. Children inherit both, whatever group or session they are in.
//!
//! The marks are read from Linux's `/proc`; without it, nothing is found. A process that was started with an empty environment is not
//! found here. The first process of a container is also recorded in the database.

use std::{
    fs,
    path::Path,
    thread::sleep,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

/// The variable with the data directory of the emulator that a process belongs to. Functions and containers cannot set it.
pub(crate) const MARK: &str = "_EMULATOR_DATA";

/// The variable with the container that a process belongs to. Containers cannot set it.
pub(crate) const CONTAINER_MARK: &str = "_EMULATOR_CONTAINER";

/// How long to wait until all are gone: a killed process may be in the middle of a write, or have started another one.
const LIMIT: Duration = Duration::from_secs(5);

/// The mark of the emulator with this directory, as a variable.
pub(crate) fn mark(data: &Path) -> (String, String) {
    let data = data.canonicalize().unwrap_or_else(|_| data.to_owned());
    (MARK.to_owned(), data.to_string_lossy().into_owned())
}

/// Kills every process that has this variable in its environment, and waits until they are gone.
pub(crate) fn kill((name, value): &(String, String)) {
    let mark = format!("{name}={value}");
    let until = Instant::now() + LIMIT;
    // A process has no environment for a moment while it starts, so reading it only once could miss the process.
    let mut looks = 0;
    while looks < 2 {
        let left: Vec<_> = processes().filter(|pid| carries(*pid, mark.as_bytes())).collect();
        looks = if left.is_empty() { looks + 1 } else { 0 };
        if !left.is_empty() && Instant::now() > until {
            tracing::error!(
                ?left,
                mark,
                "cannot kill the processes that an earlier emulator or container left running"
            );
            return;
        }
        for process in left.into_iter().filter_map(Pid::from_raw) {
            // If it has ended in the meantime, that is fine.
            let _ = kill_process(process, Signal::KILL);
        }
        sleep(Duration::from_millis(5));
    }
}

/// All processes except this one, which may itself have been started from a container.
fn processes() -> impl Iterator<Item = i32> {
    let this = i32::try_from(std::process::id()).ok();
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(move |pid| Some(*pid) != this)
}

/// A process that has ended but has not been reaped no longer has an environment.
fn carries(pid: i32, mark: &[u8]) -> bool {
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    environment.split(|byte| *byte == 0).any(|variable| variable == mark)
}
