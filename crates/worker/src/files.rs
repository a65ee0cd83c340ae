//! The files that the worker provides to a job: its upload, its result file and its output directory.

use std::path::PathBuf;

use crate::{config, input_file::InputFile, outputs::Outputs, result_file::ResultFile};

/// The files of one job. Dropping this value deletes them.
#[derive(Debug, Default)]
pub(crate) struct Files {
    /// The uploaded file; `None` if there is none.
    pub(crate) input: Option<InputFile>,
    /// The result file; `None` if it cannot be created.
    pub(crate) result: Option<ResultFile>,
    /// The output directory; `None` if it cannot be created, or there are no artifacts.
    pub(crate) outputs: Option<Outputs>,
}

/// Where the files of one job are.
#[derive(Debug)]
pub(crate) struct Paths {
    /// The upload.
    pub(crate) input: Option<PathBuf>,
    /// The directory whose files are kept.
    pub(crate) outputs: Option<PathBuf>,
}

impl Files {
    /// The paths.
    pub(crate) fn paths(&self) -> Paths {
        Paths {
            input: self.input.as_ref().map(InputFile::path),
            outputs: self.outputs.as_ref().map(|outputs| outputs.path().to_owned()),
        }
    }

    /// The variables with their paths, for a command. A variable without a path is not set.
    pub(crate) fn variables(&self) -> [(&'static str, Option<PathBuf>); 3] {
        let Paths { input, outputs } = self.paths();
        let result = self.result.as_ref().map(ResultFile::path);
        [(config::INPUT_FILE, input), (config::RESULT_FILE, result), (config::OUTPUT_DIR, outputs)]
    }
}
