//! The clock of the local stack: the machine's wall clock, which a stack that was started so can put forward.
//!
//! Functions, tasks, the API and the services read the wall clock as any program does, and must agree on it, or a deadline
//! would have passed for one and not for the other. So it is not this type that is put forward, but what they all read: with
//! `--movable-clock` the stack, and so every process that it starts, runs under libfaketime
//! (<https://github.com/wolfcw/libfaketime>), which adds to the wall clock what a file says. No program knows of it, not even
//! the commands of jobs. The file is in the data directory: time does not go back when the stack is started again.
//!
//! Monotonic clocks go on as they are: a timeout of two seconds takes two seconds, whatever the date. A program that is linked
//! statically is not reached. Of one in Python, from 3.11 on, `time.sleep` fails under libfaketime up to 0.9.10
//! (<https://github.com/wolfcw/libfaketime/issues/426>); `threading.Event().wait` does not.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Stdio,
    sync::LazyLock,
    time::Duration,
};

use aws::config::Environment;
use jiff::Timestamp;
use tokio::{process::Command, sync::watch, time::timeout};

/// Tells the time.
#[derive(Debug, Clone, Copy, Default)]
pub struct Clock;

/// A process has one wall clock, and so one place to hear of its moves.
static MOVES: LazyLock<watch::Sender<()>> = LazyLock::new(watch::Sender::default);

/// libfaketime's own names, and the one of the dynamic linker (ld.so(8)).
const SHIFT_FILE: &str = "FAKETIME_TIMESTAMP_FILE";
const PRELOAD: &str = "LD_PRELOAD";

/// The file beside the stack's other state.
const FILE: &str = "clock";

/// Where Debian and others put the library, `{arch}` being the machine's.
const LIBRARIES: [&str; 3] = [
    "/usr/lib/{arch}-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib64/faketime/libfaketimeMT.so.1",
    "/usr/lib/faketime/libfaketimeMT.so.1",
];

/// Why the clock cannot be put forward.
#[derive(Debug, thiserror::Error)]
pub enum Immovable {
    /// The stack was started without.
    #[error("the clock of this stack cannot be put forward: start it with --movable-clock")]
    NotAsked,
    /// The library is not there.
    #[error("a movable clock needs libfaketime: apt-get install libfaketime")]
    NoLibrary,
    /// The file cannot be used.
    #[error("the clock's file cannot be used: {0}")]
    File(#[from] io::Error),
}

impl Clock {
    /// The time now.
    #[must_use]
    pub fn now(self) -> Timestamp {
        aws::clock::now()
    }

    /// Puts it forward, for every process of the stack, and wakes whoever waits for a time here.
    ///
    /// # Errors
    ///
    /// [`Immovable`], in words.
    pub fn forward(by: Duration) -> Result<(), Immovable> {
        let file = shift_file().ok_or(Immovable::NotAsked)?;
        let mut moved = Ok(());
        // One move at a time.
        MOVES.send_modify(|()| moved = shift(&file, by));
        Ok(moved?)
    }

    /// Hears of every move from now on.
    pub(crate) fn moves() -> watch::Receiver<()> {
        MOVES.subscribe()
    }
}

fn shift_file() -> Option<PathBuf> {
    Environment::of_process().optional(SHIFT_FILE).map(PathBuf::from)
}

/// The variables that a program has to be started with to be under a movable clock; `None` if this one was already.
///
/// # Errors
///
/// [`Immovable`], in words.
pub fn movable(data: &Path) -> Result<Option<Vec<(&'static str, String)>>, Immovable> {
    if shift_file().is_some() {
        return Ok(None);
    }
    let here = LIBRARIES.map(|path| path.replace("{arch}", std::env::consts::ARCH));
    let library = here.into_iter().find(|path| Path::new(path).exists()).ok_or(Immovable::NoLibrary)?;
    fs::create_dir_all(data)?;
    let file = data.canonicalize()?.join(FILE);
    if !file.exists() {
        write(&file, 0.0)?;
    }
    let on = || "1".to_owned();
    Ok(Some(vec![
        (PRELOAD, library),
        (SHIFT_FILE, file.display().to_string()),
        // The file is read each time, the monotonic clocks and the times of files stay, and nothing is left in /dev/shm.
        ("FAKETIME_NO_CACHE", on()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", on()),
        ("NO_FAKE_STAT", on()),
        ("FAKETIME_DISABLE_SHM", on()),
    ]))
}

/// Warns if this clock breaks Python's sleep, which a job would only find out in the middle. For a process that is under a
/// movable clock; without a `python3` there is nothing to warn of.
pub(crate) async fn warn_of_python() {
    let mut python = Command::new("python3");
    python.args(["-c", "import time; time.sleep(0.001)"]).stdin(Stdio::null()).kill_on_drop(true);
    if let Ok(Ok(tried)) = timeout(Duration::from_secs(30), python.output()).await
        && !tried.status.success()
    {
        let said = String::from_utf8_lossy(&tried.stderr);
        let why = said.lines().last().unwrap_or_default();
        tracing::warn!(
            "--movable-clock breaks time.sleep of the python3 on this machine ({why}): jobs in Python that sleep will fail. \
             Use threading.Event().wait(SECONDS) in them, or a libfaketime later than 0.9.10"
        );
    }
}

/// Names of the variables that a process inherits to be under the same clock.
pub(crate) const INHERITED: [&str; 6] =
    [PRELOAD, SHIFT_FILE, "FAKETIME_NO_CACHE", "FAKETIME_DONT_FAKE_MONOTONIC", "NO_FAKE_STAT", "FAKETIME_DISABLE_SHM"];

fn shift(file: &Path, by: Duration) -> io::Result<()> {
    let before: f64 = fs::read_to_string(file)?.trim().parse().map_err(io::Error::other)?;
    write(file, before + by.as_secs_f64())
}

/// Whole or not at all: it is read at any moment.
fn write(file: &Path, seconds: f64) -> io::Result<()> {
    let new = file.with_extension("new");
    fs::write(&new, format!("{seconds:+.3}\n"))?;
    fs::rename(new, file)
}
