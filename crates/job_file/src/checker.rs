//! Takes values out of the parsed file, and collects mistakes.

use std::{
    collections::BTreeSet,
    ops::Range,
    path::{Path, PathBuf},
};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use crate::{Mistake, mistake::Place};

/// A value, and its place in the file.
pub(crate) type Value<'i> = Spanned<DeValue<'i>>;

/// Collects mistakes, and the files that were read.
#[derive(Debug)]
pub(crate) struct Checker<'i> {
    file: &'i str,
    text: &'i str,
    folder: &'i Path,
    pub(crate) mistakes: Vec<Mistake>,
    pub(crate) files: BTreeSet<PathBuf>,
}

impl<'i> Checker<'i> {
    /// For the text of the file with this path.
    pub(crate) fn new(file: &'i str, text: &'i str) -> Self {
        let path = Path::new(file);
        let folder = path.parent().unwrap_or(Path::new(""));
        Self { file, text, folder, mistakes: Vec::new(), files: BTreeSet::from([path.to_owned()]) }
    }

    pub(crate) fn mistake(&mut self, place: &Range<usize>, what: impl Into<String>) {
        self.mistakes.push(Mistake::at(self.file, self.text, place, what));
    }

    /// A place in the job file.
    pub(crate) fn place(&self, place: &Range<usize>) -> Place {
        Place::at(self.file, self.text, place)
    }

    /// The path of a file that the job file names. It is among the files that decide whether the job file is right.
    pub(crate) fn path(&mut self, relative: &str) -> PathBuf {
        let path = self.folder.join(relative);
        self.files.insert(path.clone());
        path
    }

    /// A string. `what` is what messages call the value.
    pub(crate) fn text(&mut self, value: Value<'i>, what: &str) -> Option<Spanned<String>> {
        let place = value.span();
        match value.into_inner() {
            DeValue::String(text) => Some(Spanned::new(place, text.into_owned())),
            DeValue::Integer(number) => {
                self.mistake(&place, format!("{what} is a number; it must be a string, such as \"{number}\""));
                None
            }
            DeValue::Boolean(flag) => {
                self.mistake(&place, format!("{what} is a boolean; it must be a string, such as \"{flag}\""));
                None
            }
            other => self.wrong_type(&place, &other, what, "a string"),
        }
    }

    /// A whole number that is in the range.
    pub(crate) fn number(&mut self, value: &Value<'i>, what: &str, least: u32, most: u32) -> Option<u32> {
        let place = value.span();
        let DeValue::Integer(number) = value.get_ref() else {
            return self.wrong_type(&place, value.get_ref(), what, "a whole number");
        };
        let read = u32::from_str_radix(number.as_str(), number.radix()).ok();
        let fits = read.filter(|number| (least..=most).contains(number));
        if fits.is_none() {
            self.mistake(&place, format!("{what} is {number}; it must be from {least} to {most}"));
        }
        fits
    }

    pub(crate) fn flag(&mut self, value: &Value<'i>, what: &str) -> Option<bool> {
        match value.get_ref() {
            DeValue::Boolean(flag) => Some(*flag),
            other => self.wrong_type(&value.span(), other, what, "true or false"),
        }
    }

    pub(crate) fn list(&mut self, value: Value<'i>, what: &str) -> Option<Vec<Value<'i>>> {
        let place = value.span();
        match value.into_inner() {
            DeValue::Array(values) => Some(values.into_iter().collect()),
            other => self.wrong_type(&place, &other, what, "a list"),
        }
    }

    /// A list of strings. Those that are not strings are left out.
    pub(crate) fn texts(&mut self, value: Value<'i>, what: &str) -> Option<Vec<Spanned<String>>> {
        let each = format!("each value of {what}");
        let values = self.list(value, what)?;
        Some(values.into_iter().filter_map(|value| self.text(value, &each)).collect())
    }

    pub(crate) fn table(&mut self, value: Value<'i>, what: &str) -> Option<Table<'i>> {
        let place = value.span();
        match value.into_inner() {
            DeValue::Table(fields) => Some(Table { place, fields, known: Vec::new() }),
            other => self.wrong_type(&place, &other, what, "a table"),
        }
    }

    /// One of these names.
    pub(crate) fn one_of<T: Copy>(
        &mut self,
        value: Value<'i>,
        what: &str,
        all: &[T],
        name: impl Fn(T) -> &'static str,
    ) -> Option<T> {
        let given = self.text(value, what)?;
        let found = all.iter().copied().find(|one| name(*one) == given.get_ref());
        if found.is_none() {
            let names: Vec<_> = all.iter().map(|one| format!("\"{}\"", name(*one))).collect();
            self.mistake(
                &given.span(),
                format!("{what} is \"{}\"; it must be {}", given.get_ref(), names.join(" or ")),
            );
        }
        found
    }

    fn wrong_type<T>(&mut self, place: &Range<usize>, value: &DeValue<'_>, what: &str, expected: &str) -> Option<T> {
        let given = match value {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "a whole number",
            DeValue::Float(_) => "a number with a fraction",
            DeValue::Boolean(_) => "a boolean",
            DeValue::Datetime(_) => "a date or time",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        self.mistake(place, format!("{what} is {given}; it must be {expected}"));
        None
    }
}

/// A table of the file, whose fields are taken out one after another. What nobody takes is unknown.
#[derive(Debug)]
pub(crate) struct Table<'i> {
    /// Where it is: its header, or its braces.
    pub(crate) place: Range<usize>,
    fields: DeTable<'i>,
    known: Vec<&'static str>,
}

impl<'i> Table<'i> {
    /// The whole file.
    pub(crate) fn of_file(parsed: Spanned<DeTable<'i>>) -> Self {
        Self { place: parsed.span(), fields: parsed.into_inner(), known: Vec::new() }
    }

    /// The value of a field, if it is there.
    pub(crate) fn take(&mut self, field: &'static str) -> Option<Value<'i>> {
        self.known.push(field);
        self.fields.remove(field)
    }

    /// The names of the fields that were asked for.
    pub(crate) fn known(&self) -> &[&'static str] {
        &self.known
    }

    /// All that is left, with the places of the names.
    pub(crate) fn rest(self) -> impl Iterator<Item = (Spanned<String>, Value<'i>)> {
        let owned =
            |name: Spanned<std::borrow::Cow<'i, str>>| Spanned::new(name.span(), name.into_inner().into_owned());
        self.fields.into_iter().map(move |(name, value)| (owned(name), value))
    }
}
