//! Mistakes in the file, and where they are.

use std::{fmt, ops::Range};

/// A mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The line, from 1.
    pub line: usize,
    /// The column, in characters, from 1.
    pub column: usize,
    /// What is wrong, and what is allowed.
    pub what: String,
}

/// All mistakes that were found, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Mistakes {
    /// The file, as it was named.
    pub file: String,
    /// At least one.
    pub all: Vec<Mistake>,
}

/// One line for each, as compilers write them, so that an editor or a terminal can jump to the place.
impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, Mistake { line, column, what }) in self.all.iter().enumerate() {
            let end = if place + 1 < self.all.len() { "\n" } else { "" };
            write!(f, "{}:{line}:{column}: {what}{end}", self.file)?;
        }
        Ok(())
    }
}

impl Mistake {
    /// A mistake at this place of a text, in bytes.
    pub(crate) fn at(text: &str, place: &Range<usize>, what: impl Into<String>) -> Self {
        let before = text.get(..place.start).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |end| end + 1);
        let column = before.get(line_start..).unwrap_or_default().chars().count() + 1;
        Self { line: before.matches('\n').count() + 1, column, what: what.into() }
    }
}
