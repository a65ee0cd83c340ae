//! Whether a text names an execution.

use std::borrow::Cow;

/// Whether `id` occurs in `text` as a whole: `e1` occurs in `run/e1/state` and in `e1-2`, the name of its second attempt, but not in
/// `e10` and `the-e1`.
pub(crate) fn names(text: &str, id: &str) -> bool {
    let word = |c: char| c.is_alphanumeric() || c == '_';
    !id.is_empty()
        && text.match_indices(id).any(|(at, _)| {
            let (before, rest) = text.split_at(at);
            let after = rest.get(id.len()..).unwrap_or_default();
            !before.ends_with(|c| word(c) || c == '-') && !after.starts_with(word)
        })
}

/// Decodes the `%` escapes of a path, because an escape could look like the beginning of an id.
pub(super) fn decoded(path: &str) -> Cow<'_, str> {
    if !path.contains('%') {
        return Cow::Borrowed(path);
    }
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let escaped = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let byte = escaped.and_then(|digits| u8::from_str_radix(digits, 16).ok()).filter(|_| *first == b'%');
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { after.get(2..).unwrap_or_default() } else { after };
    }
    Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_id_is_named() {
        for text in ["e1", r#"{"S":"e1"}"#, "run/e1/state", "e1-2", "e10 and e1", "{\\\"id\\\":\\\"e1\\\"}"] {
            assert!(names(text, "e1"), "{text}");
        }
        for text in ["", "e10", "the1", "fe1", "the-e1", "e1_", "e1é", r#"{"S":"e10"}"#, "run/e11/e12"] {
            assert!(!names(text, "e1"), "{text}");
        }
        assert!(!names("anything", ""));
    }

    #[test]
    fn an_id_is_found_behind_an_escape() {
        let path = "/2025-12-01/durable-executions/arn%3Aaws%3Alambda%2Fn%2Fe1%2Fi/history";
        assert!(!names(path, "e1"), "the escape ends with a letter");
        assert!(names(&decoded(path), "e1"));
        assert_eq!(decoded("/100%/%zz/%C3%A9"), "/100%/%zz/é");
    }
}
