//! Guesses which known name a caller meant.

/// This API's names, each with the names that other APIs use for the same thing.
const ALIASES: [(&str, &[&str]); 12] = [
    ("input", &["payload", "body", "data", "args", "arguments", "parameters"]),
    ("job", &["job", "name", "jobname", "taskname"]),
    ("timeoutSeconds", &["timeout", "deadline", "timeoutms", "ttl"]),
    ("retry", &["retries", "maxattempts", "attempts"]),
    ("maxAttempts", &["attempts", "retries"]),
    ("cpu", &["vcpu", "cpus", "cpuunits"]),
    ("memoryMiB", &["memory", "mem", "ram", "memorymb"]),
    ("tags", &["labels", "metadata"]),
    ("pageSize", &["limit", "size", "perpage", "maxresults", "count", "top"]),
    ("pageToken", &["cursor", "token", "nexttoken", "nextpagetoken", "page", "offset"]),
    ("createdAfter", &["since", "from", "after", "start"]),
    ("createdBefore", &["until", "to", "before", "end"]),
];

/// How similar two names must be for one to be a misspelling of the other (1 is equal).
const MIN_SIMILARITY: f64 = 0.7;

/// The known name that was probably meant: a different spelling of it, an alias of it, or the most similar name.
pub(crate) fn suggestion<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let plain = plain(name);
    let spelt = known.iter().copied().find(|known| self::plain(known) == plain);
    let alias = || {
        let mut ours = ALIASES.into_iter().filter(|(_, others)| others.contains(&plain.as_str()));
        ours.find_map(|(ours, _)| known.iter().copied().find(|known| *known == ours))
    };
    let alike = || {
        let likeness = |known: &&'a str| strsim::normalized_damerau_levenshtein(&self::plain(known), &plain);
        let rated = known.iter().map(|known| (likeness(known), *known));
        rated
            .filter(|(likeness, _)| *likeness >= MIN_SIMILARITY)
            .max_by(|(one, _), (other, _)| one.total_cmp(other))
            .map(|(_, known)| known)
    };
    spelt.or_else(alias).or_else(alike)
}

/// Names, listed for a sentence.
pub(crate) fn list(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// The name in lower case, without `-` and `_`. A long name is cut, because no known name is that long.
fn plain(name: &str) -> String {
    let letters = name.chars().filter(|letter| !matches!(letter, '-' | '_')).take(64);
    letters.flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_suggested_for_another_spelling_an_alias_or_a_typo() {
        let known = ["status", "pageSize", "pageToken", "createdAfter"];
        for (name, expected) in [
            ("page_size", Some("pageSize")),
            ("PAGESIZE", Some("pageSize")),
            ("limit", Some("pageSize")),
            ("stauts", Some("status")),
            ("pageTokn", Some("pageToken")),
            ("since", Some("createdAfter")),
            ("labels", None),
            ("colour", None),
            ("", None),
        ] {
            assert_eq!(suggestion(name, &known), expected, "{name}");
        }
    }
}
