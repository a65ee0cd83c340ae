//! The value of a JSON text, to compare two texts by value. Numbers are compared as decimals of any size, since two different large
//! numbers can be equal as floats.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

/// The value of a text. Recurses once for each level of nesting, so check the depth first.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// A number: its sign, its digits without zeros at either end, and the power of ten of the last digit.
    Number {
        negative: bool,
        digits: String,
        exponent: i64,
    },
    Text(String),
    List(Vec<Self>),
    /// Sorted by key. Two members with the same key stay in their order.
    Object(Vec<(String, Self)>),
    /// `true`, `false`, `null`, and anything whose value cannot be determined: a number whose exponent is too large to handle, a
    /// string that is not valid Unicode. Compared as text.
    Literal(String),
}

impl Value {
    /// Adds it to a hash. Each part begins with its kind and its length, so different values add different bytes.
    pub(super) fn hash(&self, hash: &mut Sha256) {
        let mut part = |kind: &[u8], bytes: &[u8]| {
            hash.update(kind);
            hash.update((bytes.len() as u64).to_be_bytes());
            hash.update(bytes);
        };
        match self {
            Self::Number { negative, digits, exponent } => {
                part(if *negative { b"-" } else { b"+" }, digits.as_bytes());
                hash.update(exponent.to_be_bytes());
            }
            Self::Text(text) => part(b"s", text.as_bytes()),
            Self::Literal(text) => part(b"l", text.as_bytes()),
            Self::List(entries) => {
                hash.update(b"[");
                hash.update((entries.len() as u64).to_be_bytes());
                for entry in entries {
                    entry.hash(hash);
                }
            }
            Self::Object(members) => {
                hash.update(b"{");
                hash.update((members.len() as u64).to_be_bytes());
                for (key, value) in members {
                    Self::Text(key.clone()).hash(hash);
                    value.hash(hash);
                }
            }
        }
    }
}

/// The value of `text`.
pub(super) fn of(text: &RawValue) -> Value {
    let json = text.get();
    let read = match json.as_bytes().first() {
        Some(b'{') => serde_json::from_str::<Members<'_>>(json).ok().map(|Members(members)| {
            let mut members: Vec<_> = members.into_iter().map(|(key, value)| (key, of(value))).collect();
            members.sort_by(|(one, _), (other, _)| one.cmp(other));
            Value::Object(members)
        }),
        Some(b'[') => serde_json::from_str::<Vec<&RawValue>>(json)
            .ok()
            .map(|entries| Value::List(entries.into_iter().map(of).collect())),
        Some(b'"') => serde_json::from_str(json).ok().map(Value::Text),
        Some(b'-' | b'0'..=b'9') => number(json),
        _ => None,
    };
    read.unwrap_or_else(|| Value::Literal(json.to_owned()))
}

/// A JSON number; `None` if its exponent is too large to handle.
fn number(text: &str) -> Option<Value> {
    let (negative, text) = text.strip_prefix('-').map_or((false, text), |text| (true, text));
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = format!("{whole}{fraction}");
    let digits = all.trim_end_matches('0');
    if digits.is_empty() {
        return Some(Value::Number { negative: false, digits: String::new(), exponent: 0 });
    }
    let zeros = i64::try_from(all.len() - digits.len()).ok()?;
    let exponent: i64 = exponent.parse().ok()?;
    let exponent = exponent.checked_sub(i64::try_from(fraction.len()).ok()?)?.checked_add(zeros)?;
    Some(Value::Number { negative, digits: digits.trim_start_matches('0').to_owned(), exponent })
}

/// An object's members in their order, each value as its text.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(object: D) -> Result<Self, D::Error> {
        struct AsTheyCome;
        impl<'de> Visitor<'de> for AsTheyCome {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        object.deserialize_map(AsTheyCome)
    }
}

#[cfg(test)]
mod tests {
    use crate::Json;

    fn same(one: &str, other: &str) -> bool {
        Json::parse(one).unwrap().same_value(&Json::parse(other).unwrap())
    }

    #[test]
    fn equal_values_compare_equal_whatever_their_format() {
        for (one, other) in [
            (r#"{"a": 1, "b": [1.0, {"c": null, "d": "A"}]}"#, r#"{"b":[1,{"d":"\u0041","c":null}],"a":10e-1}"#),
            ("100", "1e2"),
            ("1.10", "1.1"),
            ("0.001", "1E-3"),
            ("-0.0", "0"),
            ("0e99", "0"),
            (r#""\/""#, r#""/""#),
            ("[ ]", "[]"),
        ] {
            assert!(same(one, other) && same(other, one), "{one} {other}");
        }
    }

    #[test]
    fn different_values_compare_different() {
        for (one, other) in [
            ("12345678901234567890123", "12345678901234567890124"),
            ("1", "-1"),
            ("1", "10"),
            ("0.1", "0.01"),
            ("1", "\"1\""),
            ("[1,2]", "[2,1]"),
            ("null", "false"),
            (r#"{"a":1}"#, r#"{"a":1,"b":1}"#),
            (r#"{"a":1,"a":2}"#, r#"{"a":2,"a":1}"#),
            (r#"{"a":1,"a":2}"#, r#"{"a":2}"#),
            ("{}", "[]"),
            ("1e99999999999999999999", "1e99999999999999999998"),
        ] {
            assert!(!same(one, other) && !same(other, one), "{one} {other}");
        }
    }

    #[test]
    fn comparing_very_deep_json_does_not_exhaust_the_stack() {
        let deep = |space: &str| format!("{}{space}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(same(&deep(""), &deep("")));
        assert!(!same(&deep(""), &deep(" ")));
        assert!(!same(&deep(""), "[]") && !same("[]", &deep("")));
    }
}
