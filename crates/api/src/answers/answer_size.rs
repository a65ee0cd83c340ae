//! How large a response may be: Lambda accepts 6 MB, in which the body is a JSON string
//! (<https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>).

/// Maximum size in bytes of a response's body, as a string in Lambda's response. The rest of the 6 MB is for headers and for what surrounds
/// a list.
pub(crate) const LARGEST_BODY: usize = 5_000_000;

/// Size of JSON as a string within JSON, in which quotes, backslashes and control characters are escaped.
pub(crate) fn as_text(json: &[u8]) -> usize {
    json.iter().map(|byte| if matches!(byte, b'"' | b'\\' | 0..b' ') { 2 } else { 1 }).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_of_an_answer_is_that_of_its_text_in_json() {
        let json = serde_json::json!({ "a": ["\u{7}\"\\", "ä\n", 1.5] });
        let pretty = serde_json::to_vec_pretty(&json).unwrap();
        let text = serde_json::to_string(std::str::from_utf8(&pretty).unwrap()).unwrap();
        assert_eq!(as_text(&pretty) + 2, text.len(), "the quotes around it are not counted");
    }
}
