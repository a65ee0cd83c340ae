//! Values that are written as their text, or as their number.

use std::{collections::BTreeMap, convert::Infallible};

use domain::{Attempt, ErrorKind, ExecutionId, Moment, Owner, Pattern, Status, Unknown};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use serde_json::Value;

use crate::written::{Written, as_text, from_text};

/// Types that are written as their text, and how each is read from it.
macro_rules! texts {
    ($($value:ty, $parse:expr);+ $(;)?) => { $(
        impl Written for $value {
            fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                as_text(self, serializer)
            }

            fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                from_text(deserializer, $parse)
            }
        }
    )+ };
}

texts! {
    ExecutionId, Self::try_from;
    Owner, |text| Ok::<_, Infallible>(Self::new(text));
    Pattern, |text| text.parse();
    Status, |text| text.parse();
    ErrorKind, |text| Ok::<_, Infallible>(Self::from(&*text));
    Moment, |text| Ok::<_, Infallible>(Self::from(&*text));
}

impl Written for Attempt {
    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(self.get())
    }

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(u32::deserialize(deserializer)?).ok_or_else(|| D::Error::custom("attempts are counted from 1"))
    }
}

/// Written as its attributes, which a form includes with `flatten`.
impl Written for Unknown {
    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.attributes().serialize(serializer)
    }

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        BTreeMap::<String, Value>::deserialize(deserializer).map(Self::from)
    }
}

/// A name that this version may not know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known<T> {
    /// One that it knows.
    This(T),
    /// One that only a newer version knows.
    Other(String),
}

impl<T: std::fmt::Display + std::str::FromStr> Written for Known<T> {
    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::This(value) => as_text(value, serializer),
            Self::Other(name) => as_text(name, serializer),
        }
    }

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Ok(name.parse().map_or_else(|_| Self::Other(name), Self::This))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::written::As;

    #[track_caller]
    fn is_written<T: Written + Clone + PartialEq + std::fmt::Debug>(value: &T, text: &str) {
        assert_eq!(serde_json::to_string(&As(value.clone())).unwrap(), text);
        assert_eq!(serde_json::from_str::<As<T>>(text).unwrap().0, *value);
    }

    #[test]
    fn names_and_numbers_never_change() {
        let id: ExecutionId = "order_17-A".parse().unwrap();
        is_written(&id, r#""order_17-A""#);
        assert!(serde_json::from_str::<As<ExecutionId>>(r#""order 17""#).is_err());
        is_written(&Owner::new("ada"), r#""ada""#);
        is_written(&Attempt::FIRST.next(), "2");
        assert!(serde_json::from_str::<As<Attempt>>("0").is_err());
        is_written(&Pattern::Sync, r#""sync""#);
        is_written(&Pattern::Callback, r#""callback""#);
        let names = [
            "SCHEDULED",
            "PENDING",
            "RUNNING",
            "CANCELLING",
            "COMPLETED",
            "FAILED",
            "TIMED_OUT",
            "CANCELLED",
            "EXPIRED",
        ];
        for (status, name) in Status::ALL.into_iter().zip(names) {
            is_written(&status, &format!(r#""{name}""#));
        }
    }

    #[test]
    fn a_name_of_a_newer_version_is_kept() {
        is_written(&Known::This(Status::Running), r#""RUNNING""#);
        is_written(&Known::<Status>::Other("QUEUED".into()), r#""QUEUED""#);
        is_written(&ErrorKind::Other("queue-expired".into()), r#""queue-expired""#);
        is_written(&Moment::Other("queued".into()), r#""queued""#);
    }

    #[test]
    fn unknown_attributes_are_written_back_unchanged() {
        let stored = r#"{"future":{"list":[1,null,"a"]},"other":true}"#;
        let unknown: As<Unknown> = serde_json::from_str(stored).unwrap();
        assert_eq!(serde_json::to_string(&unknown).unwrap(), stored);
    }
}
