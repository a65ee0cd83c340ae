//! The output files of a job: everything in `EXECUTION_OUTPUT_DIR`, and a result file that is too large for the item.
//!
//! They are uploaded after the job ends and before its outcome, which names them, is recorded or reported. If the worker crashes in
//! between, nothing names the uploaded objects, and the bucket's lifecycle rules delete them.

use std::{
    fs::{self, File, OpenOptions, Permissions},
    io::{self, BufReader, Read, Seek as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use aws::{CallFailed, Connection, with_causes};
use contract::files;
use domain::{
    Artifact, Artifacts, Unknown, artifacts,
    output::{Output, ResultSource},
};
use objects::{Objects, Put};
use rustix::fs::OFlags;
use serde::de::IgnoredAny;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use tokio::task::spawn_blocking;

use crate::{
    config::ObjectName,
    finished::Finished,
    result_file::ResultFile,
    retry::{for_files, patiently},
};

/// How much of a file is read at once.
const CHUNK: usize = 256 * 1024;

/// The directory for output files, and where to upload them. Dropping this value deletes the directory.
#[derive(Debug)]
pub(crate) struct Outputs {
    directory: TempDir,
    place: ObjectName,
}

/// Why output files could not be stored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotKept {
    /// They exceed the limits.
    #[error("{0}")]
    Limits(String),
    /// They cannot be read.
    #[error("{name:?} cannot be read: {why}")]
    Unreadable {
        /// The name of the first such file.
        name: String,
        /// What the system says.
        why: io::Error,
    },
    /// S3 cannot be reached, or refuses the call.
    #[error("{}", with_causes(.0))]
    Call(#[from] CallFailed),
}

/// A file to upload.
#[derive(Debug, Clone)]
struct Candidate {
    name: String,
    path: PathBuf,
    bytes: u64,
}

impl Outputs {
    /// Creates the directory in `TMPDIR`, or `/tmp`. `None` if that is not writable.
    pub(crate) fn prepare(place: &ObjectName) -> Option<Self> {
        // A job that drops root privileges must still be able to write here.
        let mode = if rustix::process::geteuid().is_root() { 0o1777 } else { 0o700 };
        let directory = tempfile::Builder::new().prefix("longhaul-output-").tempdir().ok()?;
        fs::set_permissions(directory.path(), Permissions::from_mode(mode)).ok()?;
        Some(Self { directory, place: place.clone() })
    }

    /// The directory that the job writes to.
    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Uploads the output files. `result` is the job's result file.
    ///
    /// If one file cannot be stored, there are no artifacts, and a job that exited with 0 has failed: files must not go missing unnoticed.
    pub(crate) async fn keep(&self, finished: Finished, result: Option<&ResultFile>) -> Finished {
        let (large, output) = match (&finished.output, finished.source, result) {
            (Output::TooLarge(_), ResultSource::File, Some(file)) => large_result(file.path()).await,
            (output, _, _) => (None, output.clone()),
        };
        match self.try_keep(large).await {
            Ok(artifacts) => Finished { artifacts: artifacts.map(Box::new), output, ..finished },
            Err(why) => {
                tracing::error!(error = &why as &dyn std::error::Error, "the output files cannot be stored");
                Finished { not_kept: Some(why.to_string()), ..finished }
            }
        }
    }

    async fn try_keep(&self, result: Option<PathBuf>) -> Result<Option<Artifacts>, NotKept> {
        let directory = self.path().to_owned();
        let found = spawn_blocking(move || candidates(&directory, result));
        let found = found.await.unwrap_or_else(|why| Err(NotKept::Limits(why.to_string())))?;
        if found.is_empty() {
            return Ok(None);
        }
        let objects = Objects::new(&Connection::from_env().await, &self.place.bucket);
        let place = uuid::Uuid::new_v4().simple().to_string();
        let mut kept = Vec::new();
        for file in found {
            let hashed = file.clone();
            let put = spawn_blocking(move || hashed.digest());
            let put = put.await.unwrap_or_else(|why| Err(NotKept::Limits(why.to_string())))?;
            let key = files::artifact_key(&self.place.key, &place, &file.name);
            let upload = async || objects.put(&key, &file.path, &put).await;
            patiently(for_files, "upload an output file", upload).await?;
            kept.push(Artifact { name: file.name, bytes: put.bytes, sha256: put.sha256, unknown: Unknown::default() });
        }
        Ok(Some(Artifacts { place, files: kept, unknown: Unknown::default() }))
    }
}

/// The files below a directory, and the result, sorted by name. The job may have deleted the directory.
fn candidates(directory: &Path, result: Option<PathBuf>) -> Result<Vec<Candidate>, NotKept> {
    let mut found = Vec::new();
    let mut directories = vec![(String::new(), directory.to_owned())];
    while let Some((below, directory)) = directories.pop() {
        let unreadable = |why| NotKept::Unreadable { name: below.clone(), why };
        let entries = match fs::read_dir(&directory) {
            Err(why) if below.is_empty() && why.kind() == io::ErrorKind::NotFound => break,
            entries => entries.map_err(unreadable)?,
        };
        for entry in entries {
            let entry = entry.map_err(unreadable)?;
            let own = entry.file_name();
            let Some(own) = own.to_str() else {
                return Err(NotKept::Limits(format!("the name of {} is not valid UTF-8", entry.path().display())));
            };
            let name = if below.is_empty() { own.to_owned() } else { format!("{below}/{own}") };
            if let Some(why) = artifacts::wrong_name(&name) {
                return Err(NotKept::Limits(why));
            }
            let unreadable = |why| NotKept::Unreadable { name: name.clone(), why };
            let about = entry.metadata().map_err(unreadable)?;
            if about.is_dir() {
                directories.push((name, entry.path()));
            } else if about.is_file() {
                found.push(Candidate { name, path: entry.path(), bytes: about.len() });
            } else {
                // A link could lead to a file that only the worker may read.
                return Err(NotKept::Limits(format!(
                    "{name:?} is not a regular file; instead of a link, write a copy of the file"
                )));
            }
            if found.len() > domain::limits::ARTIFACTS * 100 {
                let most = domain::limits::ARTIFACTS;
                let why = format!("there are very many files, at most {most} are allowed; pack them into an archive");
                return Err(NotKept::Limits(why));
            }
        }
    }
    if let Some(path) = result {
        let name = artifacts::RESULT.to_owned();
        let bytes = fs::metadata(&path).map_err(|why| NotKept::Unreadable { name: name.clone(), why })?.len();
        if found.iter().any(|file| file.name == name) {
            let why = format!(
                "the result file is large, so it becomes the artifact {name:?}, but there is another output file of this name"
            );
            return Err(NotKept::Limits(why));
        }
        found.push(Candidate { name, path, bytes });
    }
    found.sort_by(|one, other| one.name.cmp(&other.name));
    match artifacts::wrong_files(found.iter().map(|file| (file.name.as_str(), file.bytes))) {
        Some(why) => Err(NotKept::Limits(why)),
        None => Ok(found),
    }
}

impl Candidate {
    /// Its length and digest. A process that the job left running may still write: what it adds is not kept.
    fn digest(&self) -> Result<Put, NotKept> {
        let read = || -> io::Result<Put> {
            let mut hash = Sha256::new();
            let mut file = BufReader::with_capacity(CHUNK, open(&self.path)?.take(self.bytes));
            let bytes = io::copy(&mut file, &mut hash)?;
            Ok(Put { bytes, sha256: <[u8; 32]>::from(hash.finalize()).into() })
        };
        read().map_err(|why| NotKept::Unreadable { name: self.name.clone(), why })
    }
}

fn open(path: &Path) -> io::Result<File> {
    let nofollow = i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or_default();
    OpenOptions::new().read(true).custom_flags(nofollow).open(path)
}

/// A result file that is too large for the item: the file to keep, if it is valid, and what is known of the result. The file may be a link,
/// as a smaller one may.
async fn large_result(path: PathBuf) -> (Option<PathBuf>, Output) {
    let checked = spawn_blocking(move || {
        let path = path.canonicalize()?;
        not_json(&path).map(|wrong| (path, wrong))
    });
    match checked.await.unwrap_or_else(|why| Err(io::Error::other(why))) {
        Ok((path, None)) => (Some(path), Output::Artifact),
        Ok((_, Some(wrong))) => (None, Output::BadFile(wrong.to_owned())),
        Err(why) => (None, Output::BadFile(format!("the result file cannot be read: {why}"))),
    }
}

/// Why a large result file is not JSON; `None` if it is.
fn not_json(path: &Path) -> io::Result<Option<&'static str>> {
    let mut file = open(path)?;
    let mut start = [0; 3];
    let mark = file.read_exact(&mut start).is_ok() && start == *"\u{feff}".as_bytes();
    file.seek(io::SeekFrom::Start(if mark { 3 } else { 0 }))?;
    let text = Utf8 { file, rest: Vec::new() };
    match serde_json::from_reader::<_, IgnoredAny>(BufReader::with_capacity(CHUNK, text)) {
        Ok(IgnoredAny) => Ok(None),
        Err(why) if why.io_error_kind() == Some(io::ErrorKind::InvalidData) => Ok(Some("the result file is not UTF-8")),
        Err(why) if why.is_io() => Err(why.into()),
        Err(_) => Ok(Some("the result file is not one valid JSON value")),
    }
}

/// Reads a file, and fails with `InvalidData` where it is not UTF-8, which `serde_json` does not check in what it ignores.
struct Utf8 {
    file: File,
    /// The beginning of a character whose end has not been read yet.
    rest: Vec<u8>,
}

impl Read for Utf8 {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.file.read(buffer)?;
        self.rest.extend_from_slice(buffer.get(..length).unwrap_or_default());
        let valid = match std::str::from_utf8(&self.rest) {
            Ok(text) => text.len(),
            Err(why) if why.error_len().is_none() && length > 0 => why.valid_up_to(),
            Err(why) => return Err(io::Error::new(io::ErrorKind::InvalidData, why)),
        };
        self.rest.drain(..valid);
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_added_to_a_file_while_it_is_read_is_not_kept() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("log"), "one\n").unwrap();
        let found = candidates(directory.path(), None).unwrap();
        fs::write(directory.path().join("log"), "one\ntwo\n").unwrap();
        let put = found[0].digest().unwrap();
        assert_eq!((put.bytes, put.sha256), (4, <[u8; 32]>::from(Sha256::digest("one\n")).into()));
    }

    #[test]
    fn a_large_result_is_utf_8_and_json() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("result.json");
        // Characters of two bytes that the borders of reads divide.
        let text = format!("\u{feff}[\"{}x\"]\n", "ü".repeat(CHUNK));
        for (content, wrong) in [
            (text.clone().into_bytes(), None),
            (text.replace('x', "\"").into_bytes(), Some("the result file is not one valid JSON value")),
            (text.into_bytes().split_last().unwrap().1.repeat(2), Some("the result file is not one valid JSON value")),
            (b"[\"\xff\"]".to_vec(), Some("the result file is not UTF-8")),
            (b"[\"\xc3".to_vec(), Some("the result file is not UTF-8")),
        ] {
            fs::write(&path, content).unwrap();
            assert_eq!(not_json(&path).unwrap(), wrong);
        }
    }
}
