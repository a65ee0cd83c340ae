//! Processes that wait for the test.

use std::{
    fs::File,
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
};

/// A named pipe, from which a process reads what the test says. So the process runs for exactly as long as the test wants:
/// `read -r code < PIPE; exit $code`.
#[derive(Debug)]
pub struct Pipe {
    path: PathBuf,
    /// Open for reading too: a process and the test can then open the pipe in any order without waiting for each other, and what is said
    /// stays in the pipe until it is read.
    file: File,
}

impl Pipe {
    /// Creates the pipe at a path where nothing exists.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        let made = Command::new("mkfifo").arg(&path).status().unwrap();
        assert!(made.success(), "cannot create {}", path.display());
        let file = File::options().read(true).write(true).open(&path).unwrap();
        Self { path, file }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a line, which one process reads.
    pub fn say(&self, line: &str) {
        (&self.file).write_all(format!("{line}\n").as_bytes()).unwrap();
    }
}
