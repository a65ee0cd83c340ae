//! Downloads the upload that a request names as its input, for `EXECUTION_INPUT_FILE`.

use std::{
    fs::{self, Permissions},
    io,
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
};

use aws::{CallFailed, Cause, Connection, Phase};
use domain::Digest;
use objects::Objects;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use tokio::{fs::File, io::AsyncWriteExt as _};

use crate::{config::ObjectName, retry::patiently};

/// Why there is no file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoFile {
    /// The upload does not exist.
    #[error("the upload no longer exists")]
    NotFound,
    /// S3 cannot be reached, or refuses the call.
    #[error("the upload cannot be downloaded")]
    Call(#[from] CallFailed),
    /// The downloaded file is not the file that was uploaded.
    #[error("the downloaded file is damaged: its SHA-256 is {found}, not {expected}")]
    Damaged {
        /// The digest of the downloaded file.
        found: Digest,
        /// The digest of the upload.
        expected: Digest,
    },
    /// S3 did not return the digest, as it does for every upload.
    #[error("the downloaded file cannot be verified: S3 did not return the SHA-256 of the upload")]
    Unverified,
    /// The file cannot be written.
    #[error("the upload cannot be written to {}; the task may need more ephemeral storage", .0.display())]
    Disk(PathBuf, #[source] io::Error),
}

/// The file, in its own directory. Dropping this value deletes the directory.
#[derive(Debug)]
pub(crate) struct InputFile(TempDir);

/// The part of the file that has arrived.
struct Arrived {
    file: File,
    bytes: u64,
    hash: Sha256,
    /// The digest that S3 stored with the object, once a response has contained it.
    expected: Option<Digest>,
}

impl InputFile {
    /// Downloads the upload. If the connection is lost, the download continues where it stopped.
    pub(crate) async fn fetch(name: &ObjectName) -> Result<Self, NoFile> {
        let directory = tempfile::Builder::new().prefix("longhaul-input-").tempdir();
        let this = Self(directory.map_err(|why| NoFile::Disk(std::env::temp_dir(), why))?);
        let disk = |why| NoFile::Disk(this.path(), why);
        // A job that drops root privileges must still be able to read it.
        let mode = if rustix::process::geteuid().is_root() { 0o755 } else { 0o700 };
        fs::set_permissions(this.0.path(), Permissions::from_mode(mode)).map_err(disk)?;
        let file = File::create(this.path()).await.map_err(disk)?;
        let mut arrived = Arrived { file, bytes: 0, hash: Sha256::new(), expected: None };
        let objects = Objects::new(&Connection::from_env().await, &name.bucket);
        loop {
            let before = arrived.bytes;
            let patience = |cause: Cause| cause.patience(Phase::BeforeTask);
            let fetched =
                patiently(patience, "download the upload", async || match arrived.fetch(&objects, &name.key).await {
                    Err(Interrupted::Call(failed)) if arrived.bytes == before => Err(failed),
                    fetched => Ok(fetched),
                });
            match fetched.await? {
                Ok(true) => break,
                Ok(false) => return Err(NoFile::NotFound),
                Err(Interrupted::Disk(why)) => return Err(disk(why)),
                // Some of it has arrived, so patience begins again: a large file may take hours.
                Err(Interrupted::Call(_)) => {}
            }
        }
        arrived.file.flush().await.map_err(disk)?;
        let digest = Digest::from(<[u8; 32]>::from(arrived.hash.finalize()));
        match arrived.expected {
            Some(expected) if expected == digest => Ok(this),
            Some(expected) => Err(NoFile::Damaged { found: digest, expected }),
            None => Err(NoFile::Unverified),
        }
    }

    /// Its path.
    pub(crate) fn path(&self) -> PathBuf {
        self.0.path().join("input")
    }
}

/// Why the rest has not arrived yet.
enum Interrupted {
    Call(CallFailed),
    Disk(io::Error),
}

impl Arrived {
    /// Downloads the rest of the object. Returns whether the object exists.
    async fn fetch(&mut self, objects: &Objects, key: &str) -> Result<bool, Interrupted> {
        let found = objects.get(key, self.bytes).await.map_err(Interrupted::Call)?;
        let Some(mut download) = found else { return Ok(false) };
        self.expected = self.expected.or(download.sha256);
        let end = self.bytes + download.bytes;
        while self.bytes < end {
            let Some(bytes) = download.next().await.map_err(Interrupted::Call)? else {
                let failed =
                    CallFailed::unanswered("s3:GetObject", "the connection was closed before the end of the object");
                return Err(Interrupted::Call(failed));
            };
            let bytes = bytes.as_ref();
            self.file.write_all(bytes).await.map_err(Interrupted::Disk)?;
            self.hash.update(bytes);
            self.bytes += u64::try_from(bytes.len()).unwrap_or_default();
        }
        Ok(true)
    }
}
