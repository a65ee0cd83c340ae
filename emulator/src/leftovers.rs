//! Finds and kills what an emulator that was killed left running, or a container that has ended: every process that an emulator starts
//! has the name of its data directory in its environment, under [`MARK`], one of a container also its container's, under
//! [`CONTAINER_MARK`], and so have that process's own children, whatever group or session they are in.
//!
//! It reads Linux's `/proc`; without that it finds nothing. A process whose environment was emptied before it started is not
//! found here; if it is the first one of a container, its record finds it.

use std::{
    fs,
    path::Path,
    thread::sleep,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

/// The variable that says which emulator a process belongs to. Neither a function nor a job can set it.
pub(crate) const MARK: &str = "_EMULATOR_DATA";

/// The variable that says which container a process belongs to. No job can set it.
pub(crate) const CONTAINER_MARK: &str = "_EMULATOR_CONTAINER";

/// How long it may take until nothing is left: a killed process may be in the middle of a write, or have started another one.
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
    // A program that is just being started has no environment for a moment: one look may miss it.
    let mut looks = 0;
    while looks < 2 {
        let left: Vec<_> = processes().filter(|pid| carries(*pid, mark.as_bytes())).collect();
        looks = if left.is_empty() { looks + 1 } else { 0 };
        if !left.is_empty() && Instant::now() > until {
            tracing::error!(?left, mark, "processes do not end");
            return;
        }
        for process in left.into_iter().filter_map(Pid::from_raw) {
            // One that has ended since then is as good as killed.
            let _ = kill_process(process, Signal::KILL);
        }
        sleep(Duration::from_millis(5));
    }
}

/// All processes but this one, which may have been started from a job of its own.
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
