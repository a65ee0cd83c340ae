//! The names and ARNs of functions and durable executions.

use crate::{
    identity::{ACCOUNT, REGION},
    lambda::limits::invalid,
    wire::AwsError,
};

/// A function as a request names it: `name`, `name:qualifier`, or a complete or partial ARN with or without a qualifier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target<'a> {
    pub(crate) name: &'a str,
    pub(crate) qualifier: Option<&'a str>,
    pub(crate) account: Option<&'a str>,
    pub(crate) region: Option<&'a str>,
}

/// Longest name of a function, in any form.
const LONGEST: usize = 256;

/// Longest ARN of a durable execution.
const LONGEST_EXECUTION: usize = 1_024;

impl<'a> Target<'a> {
    /// Parses a name. `None` if it is not valid.
    pub(crate) fn read(text: &'a str) -> Option<Self> {
        if !(1..=LONGEST).contains(&text.len()) {
            return None;
        }
        let whole = text.starts_with("arn:");
        let mut parts = text.split(':').peekable();
        if whole {
            let (_, partition, service) = (parts.next()?, parts.next()?, parts.next()?);
            if !partition.starts_with("aws") || service != "lambda" {
                return None;
            }
        }
        let region = parts.next_if(|part| is_region(part));
        let account = parts.next_if(|part| part.len() == 12 && part.bytes().all(|c| c.is_ascii_digit()));
        if whole && (region.is_none() || account.is_none()) {
            return None;
        }
        let mut name = parts.next()?;
        // `function` is a valid name of a function too.
        if name == "function" && parts.peek().is_some() {
            name = parts.next()?;
        }
        let qualifier = parts.next();
        let plain = |text: &str, more: &[u8]| {
            !text.is_empty()
                && text.bytes().all(|c| c.is_ascii_alphanumeric() || b"-_".contains(&c) || more.contains(&c))
        };
        let known = |text: &str| matches!(text, "$LATEST" | "$LATEST.PUBLISHED") || plain(text, b"");
        let fits = plain(name, b".") && qualifier.is_none_or(known) && parts.next().is_none();
        fits.then_some(Self { name, qualifier, account, region })
    }
}

fn is_region(part: &str) -> bool {
    let mut pieces = part.rsplit('-');
    let number = pieces.next().is_some_and(|last| last.len() == 1 && last.bytes().all(|c| c.is_ascii_digit()));
    number && pieces.clone().count() >= 2 && pieces.all(|piece| piece.bytes().all(|c| c.is_ascii_lowercase()))
}

/// The ARN of a function, without a qualifier.
pub(crate) fn function(name: &str) -> String {
    format!("arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}")
}

/// The ARN of a durable execution on one version of a function.
pub(crate) fn execution(function: &str, version: &str, name: &str, id: &str) -> String {
    format!("{}:{version}/durable-execution/{name}/{id}", self::function(function))
}

/// Refuses text that is not a valid ARN of a durable execution.
pub(crate) fn check_execution(arn: &str) -> Result<(), AwsError> {
    let parts = arn.split_once("/durable-execution/");
    let fits = arn.len() <= LONGEST_EXECUTION
        && parts.is_some_and(|(function, execution)| {
            Target::read(function).is_some_and(|target| target.qualifier.is_some() && function.starts_with("arn:"))
                && execution.split('/').count() == 2
        });
    if fits { Ok(()) } else { Err(invalid("Invalid Durable Execution ARN")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_is_named_by_its_name_or_a_whole_or_partial_arn() {
        let arn = "arn:aws:lambda:us-east-1:000000000000:function:job";
        for (text, name, qualifier) in [
            ("job", "job", None),
            ("job:live", "job", Some("live")),
            ("job:$LATEST", "job", Some("$LATEST")),
            ("function:job:1", "job", Some("1")),
            ("000000000000:function:job", "job", None),
            ("function", "function", None),
            (arn, "job", None),
            (&format!("{arn}:7"), "job", Some("7")),
        ] {
            let target = Target::read(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!((target.name, target.qualifier), (name, qualifier), "{text}");
        }
        for wrong in ["", "a b", "job:", "job:a:b:c", "arn:aws:lambda:job", "arn:aws:sqs:us-east-1:000000000000:job"] {
            assert_eq!(Target::read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn an_execution_has_one_arn() {
        assert!(check_execution(&execution("job", "$LATEST", "n", "i")).is_ok());
        for wrong in ["", "x", "arn:aws:lambda:us-east-1:000000000000:function:job:1", "job:1/durable-execution/a/b"] {
            assert!(check_execution(wrong).is_err(), "{wrong}");
        }
    }
}
