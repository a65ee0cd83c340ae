//! The program that a shell waits for.
//!
//! A shell dies of a SIGTERM that its program handles, so the shell's exit code says nothing about the program. When a process group is
//! told to stop, this module finds the program behind its shells, so that its exit code can be reported instead.

use rustix::process::{Pid, WaitStatus};

/// The names of shells. If a signal kills a program that is not a shell, that is how the job ended, whatever its children do.
const SHELLS: [&str; 7] = ["sh", "dash", "bash", "ash", "busybox", "ksh", "zsh"];

/// The processes behind a shell when its group was told to stop. Each is the newest child of the shell before it, which is the one that
/// a shell waits for.
#[derive(Debug)]
pub(crate) struct Foreground {
    /// The processes, outermost first, and how each ended.
    behind: Vec<(Pid, Option<WaitStatus>)>,
}

impl Foreground {
    /// The processes behind a group's leader now. There are none without `/proc`, which only Linux has.
    pub(crate) fn of(leader: Pid) -> Self {
        let all = processes();
        let mut behind = Vec::new();
        let mut last = leader.as_raw_nonzero().get();
        let of_group = |process: &&Process| process.group == leader.as_raw_nonzero().get();
        while all.iter().any(|process| process.pid == last && process.is_shell)
            && let Some(child) = all.iter().filter(of_group).filter(|it| it.parent == last).max_by_key(|it| it.started)
        {
            last = child.pid;
            behind.extend(Pid::from_raw(last).map(|pid| (pid, None)));
        }
        Self { behind }
    }

    /// Notes how a process ended, if it is one of these.
    pub(crate) fn note(&mut self, pid: Pid, status: WaitStatus) {
        if let Some((_, ended)) = self.behind.iter_mut().find(|(behind, _)| *behind == pid) {
            *ended = Some(status);
        }
    }

    /// How the command ended, given how its leader ended. The status of a process that `signal` killed says nothing, so the process behind
    /// it decides. A process whose end is unknown was reaped by its shell before the signal killed the shell too; it is skipped.
    pub(crate) fn ended(&self, leader: WaitStatus, signal: i32) -> WaitStatus {
        let mut told = leader;
        for ended in self.behind.iter().filter_map(|(_, ended)| *ended) {
            if told.terminating_signal() != Some(signal) {
                break;
            }
            told = ended;
        }
        told
    }
}

/// A process as `/proc` shows it.
struct Process {
    pid: i32,
    parent: i32,
    group: i32,
    is_shell: bool,
    /// When it started, in clock ticks since the machine booted, and its process id.
    started: (u64, i32),
}

fn processes() -> Vec<Process> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let stat = |entry: std::io::Result<std::fs::DirEntry>| {
        let entry = entry.ok()?;
        let pid = entry.file_name().to_str()?.parse().ok()?;
        process(pid, &std::fs::read_to_string(entry.path().join("stat")).ok()?)
    };
    entries.filter_map(stat).collect()
}

/// Reads `/proc/PID/stat`: `pid (comm) state ppid pgrp … starttime`, where the name may contain anything
/// (<https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html>).
fn process(pid: i32, stat: &str) -> Option<Process> {
    let (name, fields) = stat.split_once('(')?.1.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(1);
    let (parent, group) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    let started = fields.nth(16)?.parse().ok()?;
    Some(Process { pid, parent, group, is_shell: SHELLS.contains(&name), started: (started, pid) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_name_with_parentheses_is_parsed() {
        let stat = "4711 (a) (b c) S 1 4700 4700 0 -1 4194304 85 0 0 0 0 0 0 0 20 0 1 0 987654 8192 200";
        let process = process(4711, stat).unwrap();
        assert_eq!((process.parent, process.group, process.started), (1, 4700, (987_654, 4711)));
        assert!(!process.is_shell);
        assert!(super::process(1, &stat.replace("(a) (b c)", "(sh)")).unwrap().is_shell);
    }
}
