//! Matches events against a `filterPattern` of plain terms.

use crate::wire::AwsError;

/// Terms that must all occur in an event, in any order. Without terms, every event matches.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Filter(Vec<String>);

impl Filter {
    /// Parses a pattern of words and `"quoted phrases"`, which are case-sensitive
    /// (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html>).
    ///
    /// # Errors
    ///
    /// `InvalidParameterException` for patterns that are not supported: JSON, columns, regular expressions, optional (`?`) and
    /// excluded (`-`) terms.
    pub(super) fn parse(pattern: &str) -> Result<Self, AwsError> {
        let mut terms = Vec::new();
        let mut rest = pattern.trim();
        while !rest.is_empty() {
            let (term, after) = if let Some(quoted) = rest.strip_prefix('"') {
                quoted.split_once('"').ok_or_else(|| refused(pattern))?
            } else if rest.starts_with(['{', '[', '%', '?', '-']) {
                return Err(refused(pattern));
            } else {
                rest.split_once(char::is_whitespace).unwrap_or((rest, ""))
            };
            terms.push(term.to_owned());
            rest = after.trim_start();
        }
        Ok(Self(terms))
    }

    /// Whether an event matches.
    pub(super) fn passes(&self, message: &str) -> bool {
        self.0.iter().all(|term| message.contains(term.as_str()))
    }
}

fn refused(pattern: &str) -> AwsError {
    let why = format!("Invalid filter pattern {pattern:?}: the emulator supports only plain terms and quoted phrases");
    AwsError::bad_request("InvalidParameterException", why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_terms_must_occur() {
        let filter = Filter::parse(r#" ERROR "not found" "#).unwrap();
        assert!(filter.passes("it was not found: ERROR 7"));
        assert!(!filter.passes("ERROR: found not"));
        assert!(!filter.passes("error: not found"));
        assert!(Filter::parse("").unwrap().passes("anything"));
    }

    #[test]
    fn an_unsupported_filter_is_refused() {
        for pattern in ["{ $.level = 1 }", "[a, b]", "%[0-9]%", "a -b", "?a ?b", "\"open"] {
            assert_eq!(Filter::parse(pattern).unwrap_err().code, "InvalidParameterException", "{pattern}");
        }
    }
}
