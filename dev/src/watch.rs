//! Notices when files change.
//!
//! It reads them twice a second, which works on every file system, and for editors that replace a file as well as for those that write into
//! it. The files are small and few.

use std::{path::PathBuf, time::Duration};

/// How often the files are read.
const INTERVAL: Duration = Duration::from_millis(500);

/// Files, and what they contained when they were last used. They need not exist.
#[derive(Debug)]
pub(crate) struct Files {
    paths: Vec<PathBuf>,
    contents: Contents,
}

type Contents = Vec<Option<Vec<u8>>>;

impl Files {
    /// These files, with what they contain now.
    pub(crate) fn new(paths: Vec<PathBuf>) -> Self {
        let contents = read(&paths);
        Self { paths, contents }
    }

    /// Watches these files too, from what they contain now.
    pub(crate) fn also(&mut self, paths: Vec<PathBuf>) {
        for path in paths.into_iter().filter(|path| !self.paths.contains(path)).collect::<Vec<_>>() {
            self.contents.push(std::fs::read(&path).ok());
            self.paths.push(path);
        }
    }

    /// Waits until the contents differ from those that were last seen and have been the same at two readings, so that a file that is being
    /// written is not used half.
    pub(crate) async fn changed(&mut self) {
        let mut before = None;
        loop {
            let now = read(&self.paths);
            if now != self.contents && before.as_ref() == Some(&now) {
                self.contents = now;
                return;
            }
            before = Some(now);
            tokio::time::sleep(INTERVAL).await;
        }
    }
}

fn read(paths: &[PathBuf]) -> Contents {
    let read = |path: &PathBuf| std::fs::read(path).ok();
    paths.iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_that_appears_changes_or_goes_away_has_changed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("jobs");
        let mut files = Files::new(vec![path.clone()]);
        for content in [Some("one"), Some("two"), None] {
            match content {
                Some(text) => std::fs::write(&path, text).unwrap(),
                None => std::fs::remove_file(&path).unwrap(),
            }
            tokio::time::timeout(Duration::from_secs(30), files.changed()).await.unwrap();
        }
        std::fs::remove_dir_all(directory.path()).unwrap();
        let unchanged = tokio::time::timeout(3 * INTERVAL, files.changed()).await;
        assert!(unchanged.is_err(), "nothing has changed");
    }
}
