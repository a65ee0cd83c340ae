//! How values of the domain are written.
//!
//! The domain's types do not define formats. Here, each has a form: a struct that names every member as it is stored
//! (in `outcome` and `parts`), or its text.

use std::fmt::Display;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// A value with a written form. As a member: `#[serde(with = "written")]`.
pub trait Written: Sized {
    /// Writes it.
    ///
    /// # Errors
    ///
    /// Those of the serializer.
    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error>;

    /// Reads it.
    ///
    /// # Errors
    ///
    /// Those of the deserializer, and an error if the written value is not valid.
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error>;
}

/// Writes a member.
///
/// # Errors
///
/// See [`Written::write`].
pub fn serialize<T: Written, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    value.write(serializer)
}

/// Reads a member.
///
/// # Errors
///
/// See [`Written::read`].
pub fn deserialize<'de, T: Written, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    T::read(deserializer)
}

/// Wraps a value, so that serde writes and reads it in its written form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct As<T>(pub T);

impl<T: Written> Serialize for As<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.write(serializer)
    }
}

impl<'de, T: Written> Deserialize<'de> for As<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::read(deserializer).map(Self)
    }
}

/// The same, borrowed.
pub(crate) struct AsRef<'a, T>(pub(crate) &'a T);

impl<T: Written> Serialize for AsRef<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.write(serializer)
    }
}

impl<T: Written> Written for Option<T> {
    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.as_ref().map(AsRef).serialize(serializer)
    }

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::<As<T>>::deserialize(deserializer)?.map(|value| value.0))
    }
}

impl<T: Written> Written for Vec<T> {
    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter().map(AsRef))
    }

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Vec::<As<T>>::deserialize(deserializer)?.into_iter().map(|value| value.0).collect())
    }
}

impl<T: Written> Written for Box<T> {
    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (**self).write(serializer)
    }

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::read(deserializer).map(Self::new)
    }
}

/// Writes a value as its text.
pub(crate) fn as_text<S: Serializer>(value: &impl Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

/// Reads a value from its text.
pub(crate) fn from_text<'de, D: Deserializer<'de>, T, E: Display>(
    deserializer: D,
    parse: impl Fn(String) -> Result<T, E>,
) -> Result<T, D::Error> {
    parse(String::deserialize(deserializer)?).map_err(D::Error::custom)
}

/// Types whose written form is a struct or an enum that is declared with serde's `remote`.
macro_rules! in_form {
    ($($value:ty => $form:ty),+ $(,)?) => { $(
        impl $crate::written::Written for $value {
            fn write<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                <$form>::serialize(self, serializer)
            }

            fn read<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                <$form>::deserialize(deserializer)
            }
        }
    )+ };
}
pub(crate) use in_form;
