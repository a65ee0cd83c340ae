//! Reads the file, and the files that it names.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use domain::limits;
use toml::{Spanned, de::DeTable};

use crate::{
    Jobs, Mistake, Mistakes, Place,
    checker::{Checker, Table, Value},
    fields::{Owner, Shared, job, unknown},
};

/// Where the jobs of a file are, by name: the places of their names.
pub type Places = BTreeMap<String, Place>;

/// A job file, as it was read.
#[derive(Debug)]
pub struct Source {
    /// Its jobs, with its defaults applied.
    pub jobs: Result<Jobs, ReadError>,
    /// Where they are.
    pub places: Places,
    /// The files that decide what `jobs` is, some of which may not exist. If one of them changes, read the file again.
    pub files: BTreeSet<PathBuf>,
}

/// Why there are no jobs.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file cannot be read.
    #[error("cannot read the job file {}: {why}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        why: std::io::Error,
    },
    /// The file, or one that it names, has mistakes.
    #[error(transparent)]
    Mistakes(#[from] Mistakes),
}

/// Reads a job file. Other files that it names are relative to its folder.
#[must_use]
pub fn read(file: &Path) -> Source {
    match std::fs::read_to_string(file) {
        Ok(text) => {
            let (jobs, places, files) = read_text(&file.to_string_lossy(), &text);
            Source { jobs: jobs.map_err(ReadError::Mistakes), places, files }
        }
        Err(why) => {
            let file = file.to_owned();
            let files = BTreeSet::from([file.clone()]);
            Source { jobs: Err(ReadError::Unreadable { file, why }), places: Places::new(), files }
        }
    }
}

/// Reads the text of a file with this path. A text that is not TOML has one mistake, the first; otherwise all are found.
pub(crate) fn read_text(file: &str, text: &str) -> (Result<Jobs, Mistakes>, Places, BTreeSet<PathBuf>) {
    let mut checker = Checker::new(file, text);
    let (jobs, places) = match DeTable::parse(text) {
        Ok(parsed) => jobs(parsed, &mut checker),
        Err(why) => {
            checker.mistake(&why.span().unwrap_or_default(), why.message());
            (Jobs::new(), Places::new())
        }
    };
    let Checker { mut mistakes, files, .. } = checker;
    // Mistakes of the job file come first. The same default can be wrong for several jobs.
    mistakes.sort_by(|one: &Mistake, other| (one.file != file, one).cmp(&(other.file != file, other)));
    mistakes.dedup();
    (if mistakes.is_empty() { Ok(jobs) } else { Err(Mistakes(mistakes)) }, places, files)
}

fn jobs<'i>(parsed: Spanned<DeTable<'i>>, checker: &mut Checker<'i>) -> (Jobs, Places) {
    let mut file = Table::of_file(parsed);
    let defaults = file.take("defaults").map_or_else(Shared::default, |value| defaults(value, checker));
    let jobs = file.take("jobs").and_then(|value| checker.table(value, "jobs"));
    unknown(file, Owner::File, checker);
    let (mut all, mut places) = (Jobs::new(), Places::new());
    for (name, value) in jobs.into_iter().flat_map(Table::rest) {
        if let Some(why) = wrong_name(name.get_ref()) {
            checker.mistake(&name.span(), why);
        }
        if let Some(table) = checker.table(value, "a job") {
            places.insert(name.get_ref().clone(), checker.place(&name.span()));
            all.insert(name.get_ref().clone(), job(table, &name.span(), &defaults, checker));
        }
    }
    (all, places)
}

fn defaults<'i>(value: Value<'i>, checker: &mut Checker<'i>) -> Shared {
    let Some(mut table) = checker.table(value, "defaults") else { return Shared::default() };
    let defaults = Shared::read(&mut table, checker);
    unknown(table, Owner::Defaults, checker);
    defaults.check(checker);
    defaults
}

fn wrong_name(name: &str) -> Option<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let fits = (1..=limits::JOB_NAME_CHARS).contains(&name.chars().count()) && name.chars().all(plain);
    (!fits).then(|| "the name of a job has 1 to 64 letters, digits, '-' and '_'".to_owned())
}

#[cfg(test)]
mod tests;
