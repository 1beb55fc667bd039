//! Plain values on the wire: a flat list of what they are made of.
//!
//! What a worker sends is not to be trusted: a program may have taken it over. Read as a tree that reads itself, a frame
//! of eight million opening brackets would overflow the stack of the server, and as many empty texts would take hundreds
//! of megabytes. A flat list is read in a loop that counts.

use crate::model::Value;
use crate::policy::python::{MAX_DEPTH, MAX_VALUES};
use serde::de::{Error as _, SeqAccess, Visitor};
use serde::ser::SerializeSeq as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

/// A value that is written flat.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Plain(pub(super) Value);

/// What a value is made of. Behind a list stand its items, behind a map, in turns, its keys as texts and its values.
#[derive(Serialize, Deserialize)]
enum Part<S> {
    Null,
    Bool(bool),
    Number(f64),
    String(S),
    List(usize),
    Map(usize),
}

impl Serialize for Plain {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut parts = Vec::new();
        flatten(&self.0, &mut parts);
        let mut list = serializer.serialize_seq(Some(parts.len()))?;
        for part in &parts {
            list.serialize_element(part)?;
        }
        list.end()
    }
}

fn flatten<'a>(value: &'a Value, parts: &mut Vec<Part<&'a str>>) {
    parts.push(match value {
        Value::Null => Part::Null,
        Value::Bool(value) => Part::Bool(*value),
        Value::Number(value) => Part::Number(*value),
        Value::String(text) => Part::String(text),
        Value::List(items) => {
            parts.push(Part::List(items.len()));
            return items.iter().for_each(|item| flatten(item, parts));
        }
        Value::Map(map) => {
            parts.push(Part::Map(map.len()));
            return map.iter().for_each(|(key, value)| {
                parts.push(Part::String(key));
                flatten(value, parts);
            });
        }
    });
}

impl<'de> Deserialize<'de> for Plain {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Reader).map(Self)
    }
}

struct Reader;

/// A list or map that is being read, and how much of it is still to come.
enum Open {
    List(Vec<Value>, usize),
    Map(BTreeMap<Box<str>, Value>, usize, Box<str>),
}

impl<'de> Visitor<'de> for Reader {
    type Value = Value;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "a value of at most {MAX_VALUES} parts, nested at most {MAX_DEPTH} deep")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Value, A::Error> {
        let mut open: Vec<Open> = Vec::new();
        // A key is a part, too.
        for _ in 0..2 * MAX_VALUES {
            let mut part = next(&mut parts)?;
            if let (Some(Open::Map(_, _, key)), Part::String(text)) = (open.last_mut(), &mut part) {
                *key = std::mem::take(text);
                part = next(&mut parts)?;
            } else if matches!(open.last(), Some(Open::Map(..))) {
                return Err(A::Error::custom("a key is missing"));
            }
            let mut value = match part {
                Part::Null => Value::Null,
                Part::Bool(value) => Value::Bool(value),
                Part::Number(value) => Value::Number(value),
                Part::String(text) => Value::String(text),
                Part::List(0) => Value::List(Vec::new()),
                Part::Map(0) => Value::Map(BTreeMap::new()),
                Part::List(_) | Part::Map(_) if open.len() > MAX_DEPTH => {
                    return Err(A::Error::custom("nested too deep"));
                }
                Part::List(count) => {
                    open.push(Open::List(Vec::new(), count));
                    continue;
                }
                Part::Map(count) => {
                    open.push(Open::Map(BTreeMap::new(), count, Box::default()));
                    continue;
                }
            };
            // It may be the last of the list around it, which may be the last of the one around that.
            loop {
                let Some(mut around) = open.pop() else { return Ok(value) };
                let left = match &mut around {
                    Open::List(items, left) => {
                        items.push(value);
                        left
                    }
                    Open::Map(map, left, key) => {
                        map.insert(std::mem::take(key), value);
                        left
                    }
                };
                *left -= 1;
                if *left > 0 {
                    open.push(around);
                    break;
                }
                value = match around {
                    Open::List(items, _) => Value::List(items),
                    Open::Map(map, ..) => Value::Map(map),
                };
            }
        }
        Err(A::Error::custom("too many parts"))
    }
}

fn next<'de, A: SeqAccess<'de>>(parts: &mut A) -> Result<Part<Box<str>>, A::Error> {
    parts.next_element()?.ok_or_else(|| A::Error::custom("a part is missing"))
}

/// Reads a list of at most so many.
pub(super) fn few<'de, const MOST: usize, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    struct Few<const MOST: usize, T>(PhantomData<T>);
    impl<'de, const MOST: usize, T: Deserialize<'de>> Visitor<'de> for Few<MOST, T> {
        type Value = Vec<T>;

        fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(out, "at most {MOST} items")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<T>, A::Error> {
            let mut list = Vec::new();
            while let Some(item) = items.next_element()? {
                if list.len() >= MOST {
                    return Err(A::Error::custom("too many items"));
                }
                list.push(item);
            }
            Ok(list)
        }
    }
    deserializer.deserialize_seq(Few::<MOST, T>(PhantomData))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(value: Value) -> Vec<u8> {
        postcard::to_stdvec(&Plain(value)).unwrap()
    }

    fn read(bytes: &[u8]) -> Option<Value> {
        postcard::from_bytes::<Plain>(bytes).ok().map(|plain| plain.0)
    }

    fn nested(depth: usize) -> Value {
        (0..depth).fold(Value::Bool(true), |inner, _| Value::List(vec![inner]))
    }

    #[test]
    fn what_is_written_is_read() {
        let text = |text: &str| Value::String(text.into());
        let map = [("a", text("b")), ("", Value::List(vec![])), ("c", nested(3)), ("d", Value::Null)];
        let map = Value::Map(map.into_iter().map(|(key, value)| (key.into(), value)).collect());
        let list = Value::List(vec![map.clone(), Value::Number(-0.5), Value::Map(BTreeMap::new()), map]);
        for value in [Value::Null, text(""), list, nested(MAX_DEPTH)] {
            assert_eq!(read(&bytes(value.clone())), Some(value));
        }
    }

    #[test]
    fn what_is_cut_off_too_deep_or_too_much_is_not_read() {
        let whole = bytes(Value::List(vec![nested(2), Value::String("text".into())]));
        for end in 0..whole.len() {
            assert_eq!(read(&whole[..end]), None, "{end}");
        }
        assert_eq!(read(&bytes(nested(MAX_DEPTH + 2))), None);
        // Eight million opening brackets, and as many nulls.
        let list = postcard::to_stdvec(&Part::<Box<str>>::List(1)).unwrap();
        let parts = 4 << 20;
        for part in [list.as_slice(), &[0]] {
            let mut frame = postcard::to_stdvec(&parts).unwrap();
            frame.extend(part.repeat(parts));
            assert_eq!(read(&frame), if part == [0] { Some(Value::Null) } else { None });
        }
        let nulls = Value::List(vec![Value::Null; 2 * MAX_VALUES]);
        assert_eq!(read(&bytes(nulls)), None);
    }
}
