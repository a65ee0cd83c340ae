//! Finds and kills processes that the tasks of an emulator that crashed left running.
//!
//! **Invariant**: only processes that certainly belong to a task are killed. Such a process is the recorded one, which was started at
//! the recorded time, or it has the mark of this emulator in its environment, which nothing else has. The mark also identifies the children
//! of a container that has ended, and a container that was started but not recorded before the crash.
//!
//! The search reads Linux's `/proc`; without that, it finds nothing.

use std::fs;

use rustix::process::{Pid, Signal, kill_process_group};

use super::{
    Settings,
    task::{Process, Task},
};
use crate::leftovers;

/// Kills all processes of these tasks, and everything else that an earlier emulator with the same directory started.
pub(super) fn kill(tasks: &[Task], settings: &Settings) {
    let recorded = || tasks.iter().flat_map(|task| &task.containers).filter_map(|container| container.process.as_ref());
    for process in recorded().filter(|process| lives(process)) {
        if let Some(group) = Pid::from_raw(process.pid) {
            // If it has ended in the meantime, that is fine.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
    for mark in settings.base_environment.iter().filter(|(name, _)| name == leftovers::MARK) {
        leftovers::kill(mark);
    }
}

/// When a process was started: the boot of the machine, and the clock ticks since then. It distinguishes two processes that have had
/// the same number.
pub(super) fn birth(pid: i32) -> Option<String> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(format!("{}/{}", boot.trim(), start_ticks(&stat)?))
}

/// Field 22 of `/proc/PID/stat`, `starttime` (proc(5)). Field 2 is the program's name in parentheses, and may itself contain spaces
/// and parentheses, so fields are counted from its end.
fn start_ticks(stat: &str) -> Option<&str> {
    let (_, from_field_3) = stat.rsplit_once(')')?;
    from_field_3.split_whitespace().nth(22 - 3)
}

fn lives(process: &Process) -> bool {
    process.born.is_some() && process.born == birth(process.pid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_may_have_any_name() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 4242 1000 1 1";
        assert_eq!(start_ticks(stat), Some("4242"));
    }

    #[test]
    fn a_reused_process_id_is_recognized_as_another_process() {
        let pid = i32::try_from(std::process::id()).unwrap();
        assert!(lives(&Process { pid, born: birth(pid) }));
        assert!(!lives(&Process { pid, born: Some("another boot/1".into()) }));
        assert!(!lives(&Process { pid, born: None }));
    }
}
