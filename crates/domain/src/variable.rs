//! The names of environment variables that jobs and requests may set.

/// Variables that Longhaul or AWS sets, by prefix. With other values, a worker could not report how its job ended.
const RESERVED: [&str; 6] = ["AWS_", "ECS_", "EXECUTION_", "EXECUTIONS_TABLE", "INPUT_TABLE", "REPORT_"];

/// Why a job or a request must not set a variable of this name, to be said after the name; `None` if it may.
#[must_use]
pub fn wrong(name: &str) -> Option<String> {
    let reserved = RESERVED.iter().any(|prefix| name.starts_with(prefix));
    let reserved = reserved.then(|| "is set by Longhaul or by AWS; choose another name".to_owned());
    wrong_form(name).or(reserved)
}

/// Why no variable can have this name, to be said after the name; `None` if one can.
#[must_use]
pub fn wrong_form(name: &str) -> Option<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let wrong = name.is_empty() || !name.chars().all(plain) || name.starts_with(|c: char| c.is_ascii_digit());
    wrong.then(|| {
        "is not the name of a variable, which has letters, digits and `_`, and does not begin with a digit".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_of_longhaul_and_of_aws_are_reserved() {
        for name in ["DEBUG", "_", "a1", "AWS", "EXECUTION", "MY_AWS_REGION"] {
            assert_eq!(wrong(name), None, "{name}");
        }
        for name in ["", "1A", "A-B", "ä", "A B", "AWS_REGION", "EXECUTION_INPUT", "REPORT_KEY", "INPUT_TABLE"] {
            assert!(wrong(name).is_some(), "{name}");
        }
    }
}
