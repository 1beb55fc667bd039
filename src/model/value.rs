//! Free-form data, as context and attributes carry it, and moments in time.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A JSON-like value.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum Value {
    /// No value.
    #[default]
    Null,
    /// True or false.
    Bool(bool),
    /// A number. Whole numbers beyond 2^53 lose digits, as in JSON.
    Number(f64),
    /// Text.
    String(Box<str>),
    /// A list.
    List(Vec<Value>),
    /// A map with text keys.
    Map(BTreeMap<Box<str>, Value>),
}

impl Value {
    /// The entry `key` of a map; nothing for a missing key or another kind of value.
    pub fn get(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Map(map) => map.get(key),
            _ => None,
        }
    }

    /// The text, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// Python's idea of truth, which authentik's rules are written in: null, false, zero and the empty are false.
    pub fn is_truthy(&self) -> bool {
        match self {
            Self::Null => false,
            Self::Bool(value) => *value,
            Self::Number(number) => *number != 0.0,
            Self::String(text) => !text.is_empty(),
            Self::List(list) => !list.is_empty(),
            Self::Map(map) => !map.is_empty(),
        }
    }
}

/// A moment: nanoseconds since 1970-01-01T00:00:00Z. Covers the years 1677 to 2262.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The last moment that there is.
    pub const MAX: Self = Self(i64::MAX);

    /// This many seconds after 1970, and nanoseconds (0 to 999,999,999) on top; moments out of range become the
    /// nearest one in range.
    pub const fn new(seconds: i64, nanoseconds: i32) -> Self {
        Self(seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds as i64))
    }

    /// Whole seconds since 1970, rounded down.
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(1_000_000_000)
    }

    /// Nanoseconds on top of [`Timestamp::seconds`].
    pub const fn subsecond_nanoseconds(self) -> i32 {
        self.0.rem_euclid(1_000_000_000) as i32
    }

    /// This moment and so many seconds more.
    #[must_use]
    pub const fn plus_seconds(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds.saturating_mul(1_000_000_000)))
    }

    /// Nanoseconds from `earlier` to this moment; negative when it is later.
    pub const fn nanoseconds_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn truth_is_pythons() {
        let map = |entries: &[(&str, Value)]| {
            Value::Map(entries.iter().map(|(key, value)| (Box::from(*key), value.clone())).collect())
        };
        for value in [
            Value::Bool(true),
            Value::Number(-1.0),
            Value::String("x".into()),
            Value::List(vec![Value::Null]),
            map(&[("a", Value::Null)]),
        ] {
            assert!(value.is_truthy(), "{value:?}");
        }
        for value in [
            Value::Null,
            Value::Bool(false),
            Value::Number(0.0),
            Value::String("".into()),
            Value::List(vec![]),
            map(&[]),
        ] {
            assert!(!value.is_truthy(), "{value:?}");
        }
    }

    #[test]
    fn moments_before_1970_split_downwards() {
        let moment = Timestamp::new(-1, 250_000_000);
        assert_eq!((moment.seconds(), moment.subsecond_nanoseconds()), (-1, 250_000_000));
        assert_eq!(Timestamp::new(i64::MAX, 0), Timestamp(i64::MAX));
    }
}
