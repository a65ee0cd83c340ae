//! The file that a job may write its result to, named by `EXECUTION_RESULT_FILE`.

use std::{
    fs::{self, File, Permissions},
    io::{self, Read as _},
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
};

use domain::{limits, output::Output};
use tempfile::TempDir;

/// A place for a result, in its own directory. Dropping this value deletes the directory.
#[derive(Debug)]
pub(crate) struct ResultFile(TempDir);

impl ResultFile {
    /// In the directory for temporary files: `TMPDIR`, or `/tmp`. `None` if nothing can be written there.
    pub(crate) fn prepare() -> Option<Self> {
        // A job that drops root privileges must still be able to write here.
        let mode = if rustix::process::geteuid().is_root() { 0o1777 } else { 0o700 };
        let directory = tempfile::Builder::new().prefix("longhaul-result-").tempdir().ok()?;
        fs::set_permissions(directory.path(), Permissions::from_mode(mode)).ok()?;
        Some(Self(directory))
    }

    /// The path that the job writes to. The file does not exist yet.
    pub(crate) fn path(&self) -> PathBuf {
        self.0.path().join("result.json")
    }

    /// The result in it; `None` if the job wrote none.
    pub(crate) fn read(&self) -> Option<Output> {
        match self.content() {
            Ok(output) => Some(output),
            Err(why) if why.kind() == io::ErrorKind::NotFound => None,
            Err(why) => Some(Output::BadFile(format!("the result file cannot be read: {why}"))),
        }
    }

    fn content(&self) -> io::Result<Output> {
        let about = fs::metadata(self.path())?;
        // Opening a pipe would wait until another process opens it for writing.
        if !about.is_file() {
            return Ok(Output::BadFile("the result file is not a regular file".to_owned()));
        }
        let most = u64::try_from(limits::RESULT_BYTES).unwrap_or(u64::MAX);
        if about.len() > most {
            return Ok(Output::TooLarge(usize::try_from(about.len()).unwrap_or(usize::MAX)));
        }
        let mut bytes = Vec::new();
        File::open(self.path())?.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
        Ok(Output::of_file(&bytes))
    }
}

#[cfg(test)]
mod tests {
    use domain::Json;

    use super::*;

    #[test]
    fn the_content_of_the_result_file_is_the_result() {
        let file = ResultFile::prepare().unwrap();
        assert_eq!(file.read(), None);
        fs::write(file.path(), " 42\n").unwrap();
        assert_eq!(file.read(), Some(Output::Json(Json::parse("42").unwrap())));
        fs::write(file.path(), "{").unwrap();
        assert!(matches!(file.read(), Some(Output::BadFile(_))));
        fs::write(file.path(), vec![b' '; limits::RESULT_BYTES + 1]).unwrap();
        assert_eq!(file.read(), Some(Output::TooLarge(limits::RESULT_BYTES + 1)));
        let directory = file.0.path().to_owned();
        drop(file);
        assert!(!directory.exists());
    }

    #[test]
    fn a_result_file_that_is_not_a_regular_file_is_not_read() {
        let file = ResultFile::prepare().unwrap();
        fs::create_dir(file.path()).unwrap();
        assert!(matches!(file.read(), Some(Output::BadFile(_))));
        fs::remove_dir(file.path()).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(file.path()).status().unwrap().success());
        assert!(matches!(file.read(), Some(Output::BadFile(_))));
    }
}
