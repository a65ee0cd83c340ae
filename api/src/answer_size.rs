//! How large an answer may be: Lambda takes 6 MB, in which the body is a text
//! (<https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>).

/// Most bytes of an answer's body as it stands in Lambda's answer. The rest is for its headers and what is around a list.
pub(crate) const LARGEST_BODY: usize = 5_000_000;

/// Bytes of JSON as a text within JSON: quotes, backslashes and control characters are escaped.
pub(crate) fn as_text(json: &[u8]) -> usize {
    json.iter().map(|byte| if matches!(byte, b'"' | b'\\' | 0..b' ') { 2 } else { 1 }).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_that_of_the_text() {
        let json = serde_json::json!({ "a": ["\u{7}\"\\", "ä\n", 1.5] });
        let pretty = serde_json::to_vec_pretty(&json).unwrap();
        let text = serde_json::to_string(std::str::from_utf8(&pretty).unwrap()).unwrap();
        assert_eq!(as_text(&pretty) + 2, text.len(), "the quotes around it are not counted");
    }
}
