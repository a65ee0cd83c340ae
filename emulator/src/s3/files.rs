//! The bytes of objects and parts, each in a file of its own.
//!
//! **Invariant**: a file in `stored` is complete and never changes. It exists for S3 when a row of the database names it. A file that is
//! being written is in `uploading`. So a process that is killed at any point leaves only files that no row names, and the next one removes
//! them when it starts. A file that is removed can still be read by those that have opened it.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use uuid::Uuid;

/// The files of all objects and parts. Clones share them.
#[derive(Debug, Clone)]
pub(super) struct Files(Arc<Directories>);

#[derive(Debug)]
struct Directories {
    uploading: PathBuf,
    stored: PathBuf,
}

impl Files {
    /// Files in this directory, which is created if it does not exist.
    ///
    /// # Errors
    ///
    /// If the directory cannot be used.
    pub(super) fn open(directory: &Path) -> io::Result<Self> {
        let files = Directories { uploading: directory.join("uploading"), stored: directory.join("stored") };
        fs::create_dir_all(&files.uploading)?;
        fs::create_dir_all(&files.stored)?;
        Ok(Self(Arc::new(files)))
    }

    /// Removes what an earlier process left behind: everything except the stored files with these names.
    ///
    /// # Errors
    ///
    /// If the directories cannot be read.
    pub(super) fn remove_others(&self, named: &BTreeSet<String>) -> io::Result<()> {
        for entry in fs::read_dir(&self.0.uploading)?.chain(fs::read_dir(&self.0.stored)?) {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str());
            let is_named = path.starts_with(&self.0.stored) && name.is_some_and(|name| named.contains(name));
            if !is_named {
                remove(&path);
            }
        }
        Ok(())
    }

    /// A new file.
    ///
    /// # Errors
    ///
    /// If it cannot be created.
    pub(super) fn draft(&self) -> io::Result<Draft> {
        let name = Uuid::new_v4().simple().to_string();
        let path = self.0.uploading.join(&name);
        let file = File::create_new(&path)?;
        Ok(Draft { files: self.clone(), name, path, file, stored: false })
    }

    /// Opens a stored file.
    ///
    /// # Errors
    ///
    /// If it is not there.
    pub(super) fn read(&self, name: &str) -> io::Result<File> {
        File::open(self.0.stored.join(name))
    }

    /// Removes a stored file that no row names any more. If that fails, the next start removes it.
    pub(super) fn remove(&self, name: &str) {
        remove(&self.0.stored.join(name));
    }
}

fn remove(path: &Path) {
    match fs::remove_file(path) {
        Err(why) if why.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(%why, path = %path.display(), "cannot remove a file that is not used any more");
        }
        _ => {}
    }
}

/// A file that is being written. Dropping it removes it, unless it was stored.
#[derive(Debug)]
pub(super) struct Draft {
    files: Files,
    name: String,
    path: PathBuf,
    file: File,
    stored: bool,
}

impl Draft {
    /// Appends bytes.
    ///
    /// # Errors
    ///
    /// If they cannot be written.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)
    }

    /// Appends a stored file.
    ///
    /// # Errors
    ///
    /// If it cannot be read or written.
    pub(super) fn append(&mut self, name: &str) -> io::Result<u64> {
        io::copy(&mut self.files.read(name)?, &mut self.file)
    }

    /// Makes the file permanent. Returns its name.
    ///
    /// # Errors
    ///
    /// If it cannot be written to the disk.
    pub(super) fn store(mut self) -> io::Result<String> {
        self.file.sync_all()?;
        let directory = &self.files.0.stored;
        fs::rename(&self.path, directory.join(&self.name))?;
        self.stored = true;
        File::open(directory)?.sync_all()?;
        Ok(self.name.clone())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.stored {
            remove(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn count(directory: &Path) -> usize {
        fs::read_dir(directory).unwrap().count()
    }

    #[test]
    fn a_draft_that_is_not_stored_leaves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let files = Files::open(directory.path()).unwrap();
        let mut draft = files.draft().unwrap();
        draft.write(b"half").unwrap();
        assert_eq!(count(&files.0.uploading), 1);
        drop(draft);
        assert_eq!((count(&files.0.uploading), count(&files.0.stored)), (0, 0));
    }

    #[test]
    fn a_removed_file_can_still_be_read_by_those_that_opened_it() {
        let directory = tempfile::tempdir().unwrap();
        let files = Files::open(directory.path()).unwrap();
        let mut draft = files.draft().unwrap();
        draft.write(b"whole").unwrap();
        let name = draft.store().unwrap();
        let mut reader = files.read(&name).unwrap();
        files.remove(&name);
        assert!(files.read(&name).is_err());
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "whole");
    }

    #[test]
    fn the_next_start_removes_what_no_row_names() {
        let directory = tempfile::tempdir().unwrap();
        let files = Files::open(directory.path()).unwrap();
        let [kept, orphaned] = [b"a", b"b"].map(|bytes| {
            let mut draft = files.draft().unwrap();
            draft.write(bytes).unwrap();
            draft.store().unwrap()
        });
        // As after a kill, which runs no destructor.
        std::mem::forget(files.draft().unwrap());
        let files = Files::open(directory.path()).unwrap();
        files.remove_others(&BTreeSet::from([kept.clone()])).unwrap();
        assert!(files.read(&kept).is_ok() && files.read(&orphaned).is_err());
        assert_eq!((count(&files.0.uploading), count(&files.0.stored)), (0, 1));
    }
}
