//! JSON of a request as free data: bounded in depth, and every name at most once in its object, since two readers of a
//! name that is there twice may see two things.
//!
//! Must not know: what the data means.

use crate::model::Value;
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use std::collections::BTreeMap;
use std::fmt;

/// How deep a request may be nested.
pub(super) const MAX_DEPTH: usize = 64;

/// Reads a body.
///
/// # Errors
/// When it is not JSON, too deep, or names something twice; with the place.
pub(super) fn read(body: &[u8]) -> Result<Value, String> {
    if body.is_empty() {
        return Err("the body is empty; send a JSON object".to_owned());
    }
    serde_json::from_slice::<Document>(body)
        .map(|document| document.0)
        .map_err(|error| format!("the body is no JSON that is taken: {error}"))
}

struct Document(Value);

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Data { depth: 0 }.deserialize(deserializer).map(Self)
    }
}

/// A value at this depth.
#[derive(Clone, Copy)]
struct Data {
    depth: usize,
}

impl Data {
    fn inside<E: Error>(self) -> Result<Self, E> {
        match self.depth < MAX_DEPTH {
            true => Ok(Self { depth: self.depth + 1 }),
            false => Err(E::custom(format_args!("nested deeper than {MAX_DEPTH} levels"))),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Data {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Data {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "numbers of free data are doubles, as in the JSON mapping"
    )]
    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value as f64))
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "numbers of free data are doubles, as in the JSON mapping"
    )]
    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value as f64))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Number(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.into()))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let inside = self.inside()?;
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(inside)? {
            list.push(item);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let inside = self.inside()?;
        let mut map = BTreeMap::new();
        while let Some(name) = entries.next_key::<Box<str>>()? {
            let value = entries.next_value_seed(inside)?;
            if map.contains_key(&name) {
                return Err(A::Error::custom(format_args!("the name `{name}` is there twice in one object")));
            }
            map.insert(name, value);
        }
        Ok(Value::Map(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_read_as_it_is() {
        let value =
            read(br#" {"a": [null, true, -1, 1.5, 18446744073709551615, "\u00e4"], "b": {}} "#).unwrap();
        let Value::Map(map) = &value else { panic!() };
        let list = vec![
            Value::Null,
            Value::Bool(true),
            Value::Number(-1.0),
            Value::Number(1.5),
            Value::Number(18_446_744_073_709_551_615.0),
            Value::String("ä".into()),
        ];
        assert_eq!(map["a"], Value::List(list));
        assert_eq!(map["b"], Value::Map(BTreeMap::new()));
    }

    #[test]
    fn what_is_ambiguous_or_too_much_is_refused() {
        let deep = |depth: usize| [b"[".repeat(depth), b"]".repeat(depth)].concat();
        assert!(read(&deep(MAX_DEPTH)).is_ok());
        let error = read(&deep(MAX_DEPTH + 1)).unwrap_err();
        assert!(error.contains("nested deeper than 64 levels at line 1"), "{error}");
        assert!(read(&deep(200_000)).unwrap_err().contains("nested deeper"));
        for (text, part) in [
            ("", "the body is empty"),
            ("{", "EOF"),
            ("{} {}", "trailing"),
            ("{\"a\": 1, \"\\u0061\": 2}", "the name `a` is there twice in one object at line 1"),
            ("[1e999]", "number out of range"),
            ("\"\\ud800\"", "surrogate"),
            ("NaN", "expected value"),
        ] {
            let error = read(text.as_bytes()).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
        assert!(read(b"\"\xff\"").is_err());
    }
}
