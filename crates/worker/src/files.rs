//! The files that a job has besides its own: its upload, its result and what it leaves behind.

use std::path::PathBuf;

use crate::{config, input_file::InputFile, outputs::Outputs, result_file::ResultFile};

/// The files of one job. Dropping this value deletes them.
#[derive(Debug, Default)]
pub(crate) struct Files {
    /// The upload; `None` if there is none.
    pub(crate) input: Option<InputFile>,
    /// The result; `None` if nothing can be written.
    pub(crate) result: Option<ResultFile>,
    /// What is kept; `None` if nothing can be written, or nothing is kept.
    pub(crate) outputs: Option<Outputs>,
}

impl Files {
    /// The variables that name them, for the job. A variable without a path is not set.
    pub(crate) fn variables(&self) -> [(&'static str, Option<PathBuf>); 3] {
        [
            (config::INPUT_FILE, self.input.as_ref().map(InputFile::path)),
            (config::RESULT_FILE, self.result.as_ref().map(ResultFile::path)),
            (config::OUTPUT_DIR, self.outputs.as_ref().map(|outputs| outputs.path().to_owned())),
        ]
    }
}
