//! The clock of the emulator: the machine's wall clock. With `--movable-clock`, the emulator can move it forward.
//!
//! Functions, tasks, the API and the services all read the wall clock, and must agree on it; otherwise a deadline could have passed for one
//! and not for another. Moving the clock of this process alone would not be enough. With `--movable-clock`, the emulator and every process
//! that it starts therefore run under libfaketime (<https://github.com/wolfcw/libfaketime>), which adds an offset from a file to the wall
//! clock. Programs, including the commands of jobs, need no change. The file is in the data directory, so that time does not go back when
//! the emulator is started again.
//!
//! Monotonic clocks do not change: a timeout of two seconds takes two seconds, whatever the date. Statically linked programs are not
//! affected. In Python from 3.11 on, `time.sleep` fails under libfaketime up to 0.9.10
//! (<https://github.com/wolfcw/libfaketime/issues/426>); `threading.Event().wait` does not.

use std::{
    collections::BTreeMap, fs, io, os::unix::process::CommandExt as _, path::Path, process::Stdio, sync::Arc,
    time::Duration,
};

use jiff::{Timestamp, Unit};
use tokio::{process::Command, sync::watch, time::timeout};

/// The clock. Clones share its moves.
#[derive(Debug, Clone, Default)]
pub struct Clock(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// Notifies of moves.
    moves: watch::Sender<()>,
    /// The environment variables of a movable clock, which give every process the same clock; empty if the clock cannot be moved.
    variables: BTreeMap<&'static str, String>,
}

/// Environment variables of libfaketime and of the dynamic linker (ld.so(8)).
const SHIFT_FILE: &str = "FAKETIME_TIMESTAMP_FILE";
const PRELOAD: &str = "LD_PRELOAD";

/// The name of the file, in the data directory.
const FILE: &str = "clock";

/// Where Debian and other distributions install the library; `{arch}` stands for the machine's architecture.
const LIBRARIES: [&str; 3] = [
    "/usr/lib/{arch}-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib64/faketime/libfaketimeMT.so.1",
    "/usr/lib/faketime/libfaketimeMT.so.1",
];

/// Why the clock cannot be moved forward.
#[derive(Debug, thiserror::Error)]
pub enum ClockError {
    /// The emulator was started without `--movable-clock`.
    #[error("the clock cannot be moved; start with --movable-clock")]
    NotAsked,
    /// The library is not installed.
    #[error("a movable clock needs libfaketime: apt-get install libfaketime")]
    NoLibrary,
    /// The file cannot be used.
    #[error("the clock's file cannot be used: {0}")]
    File(#[from] io::Error),
}

impl Clock {
    /// This process's clock, which can be moved if the process was started by [`with_movable_clock`].
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the only variables that the emulator reads from its environment")]
    pub fn of_process() -> Self {
        let variables = VARIABLES.into_iter().filter_map(|name| Some((name, std::env::var(name).ok()?)));
        Self(Arc::new(Inner { moves: watch::Sender::default(), variables: variables.collect() }))
    }

    /// The current time, to the millisecond: recorded and displayed times need no more precision.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub fn now(&self) -> Timestamp {
        let now = Timestamp::now();
        now.round(Unit::Millisecond).unwrap_or(now)
    }

    /// Moves the clock forward for every process of the emulator, and wakes everything in this process that waits for a time.
    ///
    /// # Errors
    ///
    /// [`ClockError`] says why the clock cannot be moved.
    pub fn forward(&self, by: Duration) -> Result<(), ClockError> {
        let file = Path::new(self.0.variables.get(SHIFT_FILE).ok_or(ClockError::NotAsked)?);
        let mut moved = Ok(());
        // `send_modify` holds a lock, so that two moves cannot overlap.
        self.0.moves.send_modify(|()| moved = shift(file, by));
        Ok(moved?)
    }

    /// Whether the clock can be moved.
    #[must_use]
    pub fn is_movable(&self) -> bool {
        self.0.variables.contains_key(SHIFT_FILE)
    }

    /// The environment variables with which another process has the same clock.
    pub(crate) fn variables(&self) -> impl Iterator<Item = (String, String)> {
        self.0.variables.iter().map(|(name, value)| ((*name).to_owned(), value.clone()))
    }

    /// Notifies of every move from now on.
    pub(crate) fn moves(&self) -> watch::Receiver<()> {
        self.0.moves.subscribe()
    }
}

/// Executes this program again with a movable clock, whose file is in the directory `data`. Returns if the process already has a
/// movable clock.
///
/// # Errors
///
/// [`ClockError`] says why the clock cannot be moved.
pub fn with_movable_clock(data: &Path) -> Result<(), ClockError> {
    if Clock::of_process().is_movable() {
        return Ok(());
    }
    let mut again = std::process::Command::new(std::env::current_exe()?);
    // `exec` returns only if it has failed.
    Err(again.args(std::env::args_os().skip(1)).envs(movable(data)?).exec().into())
}

/// The environment variables with which a program has a movable clock.
fn movable(data: &Path) -> Result<Vec<(&'static str, String)>, ClockError> {
    let here = LIBRARIES.map(|path| path.replace("{arch}", std::env::consts::ARCH));
    let library = here.into_iter().find(|path| Path::new(path).exists()).ok_or(ClockError::NoLibrary)?;
    fs::create_dir_all(data)?;
    let file = data.canonicalize()?.join(FILE);
    if !file.exists() {
        write(&file, 0.0)?;
    }
    let on = || "1".to_owned();
    Ok(vec![
        (PRELOAD, library),
        (SHIFT_FILE, file.display().to_string()),
        // Read the file each time, do not change monotonic clocks and the times of files, and leave nothing in /dev/shm.
        ("FAKETIME_NO_CACHE", on()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", on()),
        ("NO_FAKE_STAT", on()),
        ("FAKETIME_DISABLE_SHM", on()),
    ])
}

/// Warns if this clock breaks Python's sleep, which a job would otherwise notice only while it runs. Call it in a process with a movable
/// clock. Without a `python3`, there is nothing to warn about.
pub(crate) async fn warn_of_python() {
    let mut python = Command::new("python3");
    python.args(["-c", "import time; time.sleep(0.001)"]).stdin(Stdio::null()).kill_on_drop(true);
    if let Ok(Ok(tried)) = timeout(Duration::from_secs(30), python.output()).await
        && !tried.status.success()
    {
        let said = String::from_utf8_lossy(&tried.stderr);
        let why = said.lines().last().unwrap_or_default();
        tracing::warn!(
            "--movable-clock breaks time.sleep of this machine's python3 ({why}): Python jobs that sleep will fail. \
             Use threading.Event().wait(SECONDS) in them, or a libfaketime later than 0.9.10"
        );
    }
}

/// All variables of a movable clock.
const VARIABLES: [&str; 6] =
    [PRELOAD, SHIFT_FILE, "FAKETIME_NO_CACHE", "FAKETIME_DONT_FAKE_MONOTONIC", "NO_FAKE_STAT", "FAKETIME_DISABLE_SHM"];

fn shift(file: &Path, by: Duration) -> io::Result<()> {
    let before: f64 = fs::read_to_string(file)?.trim().parse().map_err(io::Error::other)?;
    write(file, before + by.as_secs_f64())
}

/// Writes the file atomically, since it may be read at any moment.
fn write(file: &Path, seconds: f64) -> io::Result<()> {
    let new = file.with_extension("new");
    fs::write(&new, format!("{seconds:+.3}\n"))?;
    fs::rename(new, file)
}
