//! Mistakes in the files, and where they are.

use std::{fmt, ops::Range};

/// A mistake.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mistake {
    /// The file, as a path that can be opened from where the job file's path can.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The column, in characters, from 1.
    pub column: usize,
    /// What is wrong, and what is allowed.
    pub what: String,
}

/// A place in a file. Its text form is that of compilers, `file:line:column`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file, as a path that can be opened from where the job file's path can.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The column, in characters, from 1.
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, column } = self;
        write!(f, "{file}:{line}:{column}")
    }
}

impl Place {
    /// A place in a file's text, in bytes.
    pub(crate) fn at(file: &str, text: &str, place: &Range<usize>) -> Self {
        let before = text.get(..place.start).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |end| end + 1);
        let column = before.get(line_start..).unwrap_or_default().chars().count() + 1;
        Self { file: file.to_owned(), line: before.matches('\n').count() + 1, column }
    }
}

/// All mistakes that were found, in the order of the files.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Mistakes(
    /// At least one.
    pub Vec<Mistake>,
);

/// One line for each, as compilers write them, so that an editor or a terminal can jump to the place.
impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, Mistake { file, line, column, what }) in self.0.iter().enumerate() {
            let end = if place + 1 < self.0.len() { "\n" } else { "" };
            write!(f, "{file}:{line}:{column}: {what}{end}")?;
        }
        Ok(())
    }
}

impl Mistake {
    /// A mistake at this place of a file's text, in bytes.
    pub(crate) fn at(file: &str, text: &str, place: &Range<usize>, what: impl Into<String>) -> Self {
        let Place { file, line, column } = Place::at(file, text, place);
        Self { file, line, column, what: what.into() }
    }
}
