//! Fields that nobody knows: what the user may have meant, and what to do instead.

mod advice;

use toml::Spanned;

use crate::checker::{Checker, Table};

/// Whose fields they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    /// The file itself.
    File,
    /// `[defaults]`.
    Defaults,
    /// A job.
    Job,
    /// A job's `retry`.
    Retry,
    /// A sidecar.
    Sidecar,
}

impl Owner {
    fn name(self) -> &'static str {
        match self {
            Self::File => "the file",
            Self::Defaults => "[defaults]",
            Self::Job => "a job",
            Self::Retry => "retry",
            Self::Sidecar => "a sidecar",
        }
    }
}

/// The fields that only a job has.
pub(crate) const OWN: [&str; 7] = ["allow", "command", "description", "input", "permissions", "sidecars", "taskRole"];

/// Refuses what is left of a table.
pub(crate) fn unknown<'i>(table: Table<'i>, owner: Owner, checker: &mut Checker<'i>) {
    let known = table.known().to_vec();
    for (name, _) in table.rest() {
        let why = why(name.get_ref(), owner, &known);
        refuse(&name, &why, checker);
    }
}

fn refuse(name: &Spanned<String>, why: &str, checker: &mut Checker<'_>) {
    checker.mistake(&name.span(), format!("unknown field `{}`; {why}", name.get_ref()));
}

fn why(name: &str, owner: Owner, known: &[&str]) -> String {
    let plain = plain(name);
    if owner == Owner::Defaults && OWN.contains(&name) {
        return "each job has its own; write it under [jobs.NAME]".to_owned();
    }
    if matches!(owner, Owner::Defaults | Owner::Job | Owner::Sidecar)
        && let Some(advice) = advice::about(&plain)
    {
        return advice.to_owned();
    }
    if let Some(field) = closest(&plain, known) {
        return format!("did you mean `{field}`?");
    }
    format!("{} has {}", owner.name(), known.join(", "))
}

/// A field's name without the differences between ways to write it: `stop_timeout`, `stop-timeout` and `StopTimeout` are the same.
fn plain(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

/// The known field that looks most like this one.
fn closest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let distance = |field: &&str| strsim::damerau_levenshtein(name, &plain(field));
    let closest = known.iter().min_by_key(|field| distance(field))?;
    // Two changes in a short name make another word.
    let most = if name.len() < 5 { 1 } else { 2 };
    (distance(closest) <= most).then_some(closest)
}
