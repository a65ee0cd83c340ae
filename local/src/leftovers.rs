//! Finds and kills what a stack that was killed left running: by what it put into the environment of its processes, which
//! nothing else has there.
//!
//! It reads Linux's `/proc`; without that it finds nothing.

use std::fs;

use rustix::process::{Pid, Signal, kill_process};

/// Kills every process that was started with one of these variables, written `NAME=value`.
pub(crate) fn kill(marks: &[String]) {
    for pid in if marks.is_empty() { Vec::new() } else { processes() } {
        if let (true, Some(process)) = (carries(pid, marks), Pid::from_raw(pid)) {
            // One that has ended since then is as good as killed.
            let _ = kill_process(process, Signal::KILL);
        }
    }
}

fn processes() -> Vec<i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

fn carries(pid: i32, marks: &[String]) -> bool {
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    environment.split(|byte| *byte == 0).any(|variable| marks.iter().any(|mark| mark.as_bytes() == variable))
}
