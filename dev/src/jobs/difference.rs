//! What is different after the job file has changed.

use std::fmt;

use job_file::Jobs;

/// The names of the jobs that are different.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    added: Vec<String>,
    changed: Vec<String>,
    removed: Vec<String>,
}

impl Difference {
    pub(crate) fn between(before: &Jobs, after: &Jobs) -> Self {
        let names = |of: &Jobs, which: &dyn Fn(&str) -> bool| of.keys().filter(|name| which(name)).cloned().collect();
        Self {
            added: names(after, &|name| !before.contains_key(name)),
            changed: names(after, &|name| before.get(name).is_some_and(|job| after.get(name) != Some(job))),
            removed: names(before, &|name| !after.contains_key(name)),
        }
    }
}

/// For example `added: a, b; removed: c`.
impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [("added", &self.added), ("changed", &self.changed), ("removed", &self.removed)];
        let parts = parts.iter().filter(|(_, names)| !names.is_empty());
        let parts: Vec<_> = parts.map(|(what, names)| format!("{what}: {}", names.join(", "))).collect();
        f.write_str(if parts.is_empty() { "no job is different".to_owned() } else { parts.join("; ") }.as_str())
    }
}

#[cfg(test)]
mod tests {
    use job_file::Job;

    use super::*;

    #[test]
    fn a_difference_names_the_jobs() {
        let jobs = |all: &[(&str, &str)]| -> Jobs {
            all.iter()
                .map(|(name, command)| ((*name).to_owned(), Job::of_command(vec![(*command).to_owned()])))
                .collect()
        };
        let before = jobs(&[("a", "x"), ("b", "x"), ("c", "x")]);
        let told = |after: &Jobs| Difference::between(&before, after).to_string();
        assert_eq!(
            told(&jobs(&[("a", "x"), ("b", "y"), ("d", "x"), ("e", "x")])),
            "added: d, e; changed: b; removed: c"
        );
        assert_eq!(told(&jobs(&[("a", "x"), ("b", "x")])), "removed: c");
        assert_eq!(told(&before), "no job is different");
    }
}
