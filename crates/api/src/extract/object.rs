//! The members of a JSON object, read one by one, so that every mistake is found and not only the first.

use std::fmt;

use domain::{Json, pointer_to};
use jiff::Timestamp;
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, MapAccess, Visitor},
};

use crate::{
    answers::{problem::FieldError, time},
    extract::hint,
};

/// How many repeated names are reported.
const REPEATED: usize = 20;

/// Longest pointer into a value of any form, in bytes. One that is longer ends at the last member that fits.
const POINTER: usize = 500;

/// The rule that a member with the wrong name or type violates.
const RULE: &str = "invalid-value";

/// The members of an object that have not been taken yet, and where the object is.
#[derive(Debug, Default)]
pub(crate) struct Members {
    at: String,
    left: Vec<(String, Json)>,
    known: Vec<&'static str>,
}

pub(crate) fn error(pointer: String, detail: impl Into<String>) -> FieldError {
    FieldError { pointer, detail: detail.into(), rule: RULE }
}

impl Members {
    /// The members of the object at a pointer. `None` and an error if it is not an object. If a member is given more than once, adds an
    /// error and keeps the first.
    pub(crate) fn of(json: &Json, at: &str, errors: &mut Vec<FieldError>) -> Option<Self> {
        let Ok(OrderedMembers(all)) = serde_json::from_str(json.text()) else {
            errors.push(error(at.to_owned(), format!("is {}; it must be an object", kind(json))));
            return None;
        };
        let mut found = Self { at: at.to_owned(), ..Self::default() };
        for (name, value) in all {
            if found.left.iter().any(|(seen, _)| *seen == name) {
                errors.push(error(found.pointer(&name), "is given more than once"));
            } else {
                found.left.push((name, value));
            }
        }
        errors.dedup();
        Some(found)
    }

    /// Whether there is nothing left to take.
    pub(crate) fn is_empty(&self) -> bool {
        self.left.is_empty()
    }

    pub(crate) fn pointer(&self, name: &str) -> String {
        format!("{}{}", self.at, pointer_to(name))
    }

    /// Takes a member as it is; `None` if it is absent.
    pub(crate) fn take(&mut self, name: &'static str) -> Option<Json> {
        self.known.push(name);
        let index = self.left.iter().position(|(member, _)| member == name)?;
        Some(self.left.remove(index).1)
    }

    /// Whether a member that was not taken is probably a misspelling of one of these, which have been taken.
    pub(crate) fn misspells(&self, names: &[&str]) -> bool {
        let meant = |(name, _): &(String, Json)| hint::suggestion(name, &self.known);
        self.left.iter().filter_map(meant).any(|meant| names.contains(&meant))
    }

    /// Takes an optional member. `null` is the same as absence.
    pub(crate) fn optional(&mut self, name: &'static str) -> Option<Json> {
        self.take(name).filter(|value| value.text() != "null")
    }

    /// An error that this object lacks a member. Only for objects: if it is not an object, there is already an error for that.
    pub(crate) fn lacks(&self, what: impl fmt::Display) -> FieldError {
        error(self.at.clone(), format!("has no {what}"))
    }

    /// Everything that was not taken, for an object whose members may have any name.
    pub(crate) fn rest(self) -> Vec<(String, Json)> {
        self.left
    }

    /// An error for each member that was not taken.
    pub(crate) fn finish(self, errors: &mut Vec<FieldError>) {
        for (name, _) in &self.left {
            let detail = match hint::suggestion(name, &self.known) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("it has {}", hint::list(&self.known)),
            };
            errors.push(error(self.pointer(name), format!("is not a member of this object; {detail}")));
        }
    }
}

/// Adds an error for each name that an object in this value repeats. Otherwise, the job could see another value than the one that was
/// checked here.
pub(crate) fn check_names(value: &Json, at: &str, errors: &mut Vec<FieldError>) {
    for pointer in value.repeated_names(REPEATED) {
        let mut pointer = format!("{at}{pointer}");
        while pointer.len() > POINTER {
            pointer.truncate(pointer.rfind('/').unwrap_or_default());
        }
        let repeated = error(pointer, "is given more than once");
        if !errors.contains(&repeated) {
            errors.push(repeated);
        }
    }
}

/// Reads a value, or adds an error that says what it must be.
pub(crate) fn read<T: DeserializeOwned>(
    value: &Json,
    at: String,
    must: &str,
    errors: &mut Vec<FieldError>,
) -> Option<T> {
    let read = serde_json::from_str(value.text()).ok();
    if read.is_none() {
        errors.push(error(at, format!("is {}; it must be {must}", kind(value))));
    }
    read
}

/// Reads a whole number that may be 0 but not negative: 0 is what [`whole`] makes of a negative one.
pub(crate) fn not_negative(value: &Json, at: String, errors: &mut Vec<FieldError>) -> Option<u64> {
    let number: Option<serde_json::Number> = serde_json::from_str(value.text()).ok();
    if number.and_then(|number| number.as_f64()).is_some_and(|number| number < 0.0) {
        errors.push(error(at, format!("is {}; it must not be negative", value.text())));
        return None;
    }
    whole(value, at, errors)
}

/// Reads a whole number. `3.0` is one too, as in JSON Schema. If the number is negative or too large, returns the nearest number of this
/// type. That is out of range too, so the check of the limits reports it.
pub(crate) fn whole(value: &Json, at: String, errors: &mut Vec<FieldError>) -> Option<u64> {
    const EXPECTED: &str = "a whole number";
    let number: serde_json::Number = read(value, at.clone(), EXPECTED, errors)?;
    if let Some(number) = number.as_u64() {
        return Some(number);
    }
    let Some(number) = number.as_f64().filter(|number| number.fract() == 0.0) else {
        errors.push(error(at, format!("is {}; it must be {EXPECTED}", value.text())));
        return None;
    };
    Some(if number > 0.0 { format!("{number:.0}").parse().unwrap_or(u64::MAX) } else { 0 })
}

/// Reads a time.
pub(crate) fn time(value: &Json, at: String, errors: &mut Vec<FieldError>) -> Option<Timestamp> {
    const EXPECTED: &str = "an RFC 3339 time such as 2026-03-02T09:00:00Z";
    let text: String = read(value, at.clone(), EXPECTED, errors)?;
    let time = time::read(&text);
    if time.is_none() {
        errors.push(error(at, format!("is \"{}\"; it must be {EXPECTED}", text.escape_debug())));
    }
    time
}

fn kind(json: &Json) -> &'static str {
    match json.text().as_bytes().first() {
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b'"') => "a string",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "a number",
    }
}

/// An object's members in their order, also those with the same name.
struct OrderedMembers(Vec<(String, Json)>);

impl<'de> Deserialize<'de> for OrderedMembers {
    fn deserialize<D: Deserializer<'de>>(object: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = OrderedMembers;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(OrderedMembers(members))
            }
        }
        object.deserialize_map(Object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_may_be_zero_must_not_be_negative() {
        let read = |text: &str| {
            let mut errors = Vec::new();
            let number = not_negative(&Json::parse(text).unwrap(), "/n".to_owned(), &mut errors);
            (number, errors.pop().map(|error| error.detail))
        };
        for (text, number) in [("0", 0), ("-0", 0), ("7.0", 7), ("1e30", u64::MAX)] {
            assert_eq!(read(text), (Some(number), None), "{text}");
        }
        for text in ["-1", "-0.5", "-1e30"] {
            assert_eq!(read(text), (None, Some(format!("is {text}; it must not be negative"))), "{text}");
        }
        assert_eq!(read("1.5"), (None, Some("is 1.5; it must be a whole number".to_owned())));
    }
}
