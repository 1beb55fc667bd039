//! Values while a program runs. They borrow from the question and from the program wherever they can: reading data
//! copies nothing.
//!
//! Must not know: operations.

use super::meter::{Meter, Spent};
use super::names::Kind;
use super::node::Literal;
use crate::model::Value;
use chrono::{DateTime, TimeDelta, Utc};
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::rc::Rc;

/// A value.
#[derive(Clone, Debug)]
pub(super) enum Val<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Double(f64),
    String(Text<'a>),
    Timestamp(DateTime<Utc>),
    Duration(TimeDelta),
    List(List<'a>),
    Map(Map<'a>),
}

/// Text.
#[derive(Clone, Debug)]
pub(super) enum Text<'a> {
    /// Of the question or of the program.
    Given(&'a str),
    /// Made by the program.
    Made(Rc<str>),
}

/// A list.
#[derive(Clone, Debug)]
pub(super) enum List<'a> {
    Given(&'a [Value]),
    Made(Rc<[Val<'a>]>),
}

/// A map.
#[derive(Clone, Debug)]
pub(super) enum Map<'a> {
    /// Without entries.
    Empty,
    Given(&'a BTreeMap<Box<str>, Value>),
    Headers(&'a BTreeMap<String, String>),
    Made(Rc<BTreeMap<Key<'a>, Val<'a>>>),
}

/// A key of a map that the program made.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key<'a> {
    Bool(bool),
    Int(i64),
    String(Text<'a>),
}

impl Text<'_> {
    pub(super) fn as_str(&self) -> &str {
        match self {
            Self::Given(text) => text,
            Self::Made(text) => text,
        }
    }
}

impl PartialEq for Text<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Text<'_> {}

impl PartialOrd for Text<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Text<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl<'a> Val<'a> {
    /// Text of the question or of the program.
    pub(super) const fn given(text: &'a str) -> Self {
        Self::String(Text::Given(text))
    }

    /// Text that is made now, and paid for.
    pub(super) fn made(text: &str, meter: &Meter) -> Result<Self, Spent> {
        meter.make(text.len())?;
        Ok(Self::String(Text::Made(text.into())))
    }

    /// Data, as it came with the question.
    pub(super) fn data(value: &'a Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(*value),
            Value::Number(number) => Self::Double(*number),
            Value::String(text) => Self::given(text),
            Value::List(list) => Self::List(List::Given(list)),
            Value::Map(map) => Self::Map(Map::Given(map)),
        }
    }

    /// A constant.
    pub(super) fn literal(literal: &'a Literal) -> Self {
        match literal {
            Literal::Null => Self::Null,
            Literal::Bool(value) => Self::Bool(*value),
            Literal::Int(number) => Self::Int(*number),
            Literal::Double(number) => Self::Double(*number),
            Literal::String(text) => Self::given(text),
            Literal::Timestamp(moment) => Self::Timestamp(*moment),
            Literal::Duration(span) => Self::Duration(*span),
        }
    }

    pub(super) const fn kind(&self) -> Kind {
        match self {
            Self::Null => Kind::Null,
            Self::Bool(_) => Kind::Bool,
            Self::Int(_) => Kind::Int,
            Self::Double(_) => Kind::Double,
            Self::String(_) => Kind::String,
            Self::Timestamp(_) => Kind::Timestamp,
            Self::Duration(_) => Kind::Duration,
            Self::List(_) => Kind::List,
            Self::Map(_) => Kind::Map,
        }
    }

    /// Whether both are the same. Numbers count by what they are worth; values of other kinds are never the same.
    pub(super) fn equals(&self, other: &Val<'_>, meter: &Meter) -> Result<bool, Spent> {
        meter.steps(1)?;
        Ok(match (self, other) {
            (Self::Null, Val::Null) => true,
            (Self::Bool(a), Val::Bool(b)) => a == b,
            (Self::Int(a), Val::Int(b)) => a == b,
            (Self::Double(a), Val::Double(b)) => a == b,
            (Self::Int(a), Val::Double(b)) => int_with_double(*a, *b) == Some(Ordering::Equal),
            (Self::Double(a), Val::Int(b)) => int_with_double(*b, *a) == Some(Ordering::Equal),
            (Self::String(a), Val::String(b)) => {
                let (a, b) = (a.as_str(), b.as_str());
                if a.len() == b.len() {
                    meter.look(a.len())?;
                }
                a == b
            }
            (Self::Timestamp(a), Val::Timestamp(b)) => a == b,
            (Self::Duration(a), Val::Duration(b)) => a == b,
            (Self::List(a), Val::List(b)) => a.equals(b, meter)?,
            (Self::Map(a), Val::Map(b)) => a.equals(b, meter)?,
            _ => false,
        })
    }

    /// How two values are ordered; nothing for those that have no order. A number that is none comes neither before
    /// nor behind another.
    pub(super) fn compare(&self, other: &Self, meter: &Meter) -> Result<Option<Option<Ordering>>, Spent> {
        Ok(Some(match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => Some(a.cmp(b)),
            (Self::Int(a), Self::Int(b)) => Some(a.cmp(b)),
            (Self::Double(a), Self::Double(b)) => a.partial_cmp(b),
            (Self::Int(a), Self::Double(b)) => int_with_double(*a, *b),
            (Self::Double(a), Self::Int(b)) => int_with_double(*b, *a).map(Ordering::reverse),
            (Self::String(a), Self::String(b)) => {
                meter.look(a.as_str().len().min(b.as_str().len()))?;
                Some(a.cmp(b))
            }
            (Self::Timestamp(a), Self::Timestamp(b)) => Some(a.cmp(b)),
            (Self::Duration(a), Self::Duration(b)) => Some(a.cmp(b)),
            _ => return Ok(None),
        }))
    }
}

/// Compares by what both are worth, without rounding either.
fn int_with_double(int: i64, double: f64) -> Option<Ordering> {
    const TOO_LARGE: f64 = 9_223_372_036_854_775_808.0;
    if double.is_nan() {
        return None;
    }
    if double >= TOO_LARGE {
        return Some(Ordering::Less);
    }
    if double < -TOO_LARGE {
        return Some(Ordering::Greater);
    }
    let whole = double.trunc();
    Some(int.cmp(&(whole as i64)).then_with(|| 0.0_f64.total_cmp(&(double - whole + 0.0))))
}

impl<'a> List<'a> {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Given(list) => list.len(),
            Self::Made(list) => list.len(),
        }
    }

    pub(super) fn get(&self, index: usize) -> Option<Val<'a>> {
        match self {
            Self::Given(list) => list.get(index).map(Val::data),
            Self::Made(list) => list.get(index).cloned(),
        }
    }

    pub(super) fn contains(&self, value: &Val<'_>, meter: &Meter) -> Result<bool, Spent> {
        for index in 0..self.len() {
            if let Some(element) = self.get(index)
                && element.equals(value, meter)?
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn equals(&self, other: &List<'_>, meter: &Meter) -> Result<bool, Spent> {
        if self.len() != other.len() {
            return Ok(false);
        }
        for index in 0..self.len() {
            if let (Some(a), Some(b)) = (self.get(index), other.get(index))
                && !a.equals(&b, meter)?
            {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl<'a> Map<'a> {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Empty => 0,
            Self::Given(map) => map.len(),
            Self::Headers(map) => map.len(),
            Self::Made(map) => map.len(),
        }
    }

    /// The value of a key.
    pub(super) fn get(&self, key: &Key<'_>, meter: &Meter) -> Result<Option<Val<'a>>, Spent> {
        // The key is compared with one of every level of the tree.
        let text = match key {
            Key::String(text) => Some(text.as_str()),
            Key::Bool(_) | Key::Int(_) => None,
        };
        meter.steps(1)?;
        meter.look(text.map_or(0, str::len).saturating_mul(16))?;
        Ok(match (self, text) {
            (Self::Given(map), Some(text)) => map.get(text).map(Val::data),
            (Self::Headers(map), Some(text)) => map.get(text).map(|text| Val::given(text)),
            (Self::Made(map), _) => map.get(key).cloned(),
            (Self::Empty | Self::Given(_) | Self::Headers(_), _) => None,
        })
    }

    /// The key at a place in the order of keys, with the iterator that a loop keeps.
    pub(super) fn keys(&self) -> Keys<'a> {
        match self {
            Self::Empty => Keys::Made(Vec::new().into_iter()),
            Self::Given(map) => Keys::Given(map.keys()),
            Self::Headers(map) => Keys::Headers(map.keys()),
            Self::Made(map) => Keys::Made(map.keys().cloned().collect::<Vec<_>>().into_iter()),
        }
    }

    fn equals(&self, other: &Map<'_>, meter: &Meter) -> Result<bool, Spent> {
        if self.len() != other.len() {
            return Ok(false);
        }
        for key in self.keys() {
            let (mine, others) = (self.get(&key, meter)?, other.get(&key, meter)?);
            match (mine, others) {
                (Some(mine), Some(others)) if mine.equals(&others, meter)? => {}
                _ => return Ok(false),
            }
        }
        Ok(true)
    }
}

/// The keys of a map, in order.
pub(super) enum Keys<'a> {
    Given(std::collections::btree_map::Keys<'a, Box<str>, Value>),
    Headers(std::collections::btree_map::Keys<'a, String, String>),
    Made(std::vec::IntoIter<Key<'a>>),
}

impl<'a> Iterator for Keys<'a> {
    type Item = Key<'a>;

    fn next(&mut self) -> Option<Key<'a>> {
        match self {
            Self::Given(keys) => keys.next().map(|key| Key::String(Text::Given(key))),
            Self::Headers(keys) => keys.next().map(|key| Key::String(Text::Given(key))),
            Self::Made(keys) => keys.next(),
        }
    }
}

impl<'a> Key<'a> {
    /// A value as a key. Whole numbers count by what they are worth.
    pub(super) fn new(value: &Val<'a>) -> Option<Self> {
        match value {
            Val::Bool(value) => Some(Self::Bool(*value)),
            Val::Int(number) => Some(Self::Int(*number)),
            Val::Double(number) => whole(*number).map(Self::Int),
            Val::String(text) => Some(Self::String(text.clone())),
            _ => None,
        }
    }

    pub(super) fn value(self) -> Val<'a> {
        match self {
            Self::Bool(value) => Val::Bool(value),
            Self::Int(number) => Val::Int(number),
            Self::String(text) => Val::String(text),
        }
    }
}

/// A number without a fraction that an integer can hold.
pub(super) fn whole(number: f64) -> Option<i64> {
    let int = number as i64;
    (int_with_double(int, number) == Some(Ordering::Equal)).then_some(int)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_compare_by_what_they_are_worth() {
        for (int, double, order) in [
            (1, 1.0, Some(Ordering::Equal)),
            (1, 1.5, Some(Ordering::Less)),
            (-1, -1.5, Some(Ordering::Greater)),
            (0, -0.0, Some(Ordering::Equal)),
            (0, -0.5, Some(Ordering::Greater)),
            (i64::MAX, 9_223_372_036_854_775_808.0, Some(Ordering::Less)),
            (i64::MAX - 1, 9_223_372_036_854_774_784.0, Some(Ordering::Greater)),
            (i64::MIN, -9_223_372_036_854_775_808.0, Some(Ordering::Equal)),
            (i64::MIN, f64::NEG_INFINITY, Some(Ordering::Greater)),
            (0, f64::NAN, None),
        ] {
            assert_eq!(int_with_double(int, double), order, "{int} {double}");
        }
        assert_eq!((whole(2.0), whole(2.5), whole(1e300)), (Some(2), None, None));
    }
}
