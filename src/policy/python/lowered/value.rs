//! Values of a body that is evaluated natively: borrowed from the question wherever they can be.
//!
//! What two values make together is said only where it is sure to be what the interpreter makes of them. Must not know: what
//! is evaluated.

use super::node::{Comparison, Const, Sort};
use super::{Stop, Unsure};
use crate::model::{Event, EventUser, Group, Target, Value};
use crate::policy::python::input::whole;
use ipnet::IpNet;
use std::borrow::Cow;
use std::cmp::Ordering;
use std::net::IpAddr;

/// The longest text that is made, in bytes; what would be longer is the interpreter's, which counts memory.
const MAX_TEXT: usize = 64 << 10;
/// Beyond it, doubles have gaps, and a whole number is compared with one digit by digit.
pub(super) const MAX_WHOLE: i64 = 1 << 53;

/// A value.
#[derive(Clone, Debug)]
pub(super) enum V<'a> {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Cow<'a, str>),
    /// A list or map of the question: never anything else.
    Data(&'a Value),
    /// A list, tuple or set of the source.
    Items(&'a [Const], Sort),
    /// A dictionary of the source.
    Map(&'a [(Box<str>, Const)]),
    /// The user whom it is about.
    User,
    Request,
    Context,
    Http,
    Headers,
    Cookies,
    /// The fields of the query, or of the form when true.
    Fields(bool),
    Address(IpAddr),
    Network(IpNet),
    /// Groups of the user, the direct ones only when true.
    Groups(bool),
    Group(&'a Group),
    Target(&'a Target),
    Event(&'a Event),
    EventUser(&'a EventUser),
    /// An object that a caller gave as a map, by its class.
    Thing(&'static str, &'a Value),
    /// A flow plan.
    Plan(&'a Value),
    /// So many objects, of which nothing else is known.
    Many(usize),
    /// A match of a pattern.
    Matched,
}

impl<'a> From<&'a str> for V<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl<'a> From<String> for V<'a> {
    fn from(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }
}

impl<'a> From<&'a Value> for V<'a> {
    fn from(value: &'a Value) -> Self {
        match value {
            Value::Null => Self::None,
            Value::Bool(value) => Self::Bool(*value),
            Value::Number(value) => whole(*value).map_or(Self::Float(*value), Self::Int),
            Value::String(text) => Self::from(&**text),
            Value::List(_) | Value::Map(_) => Self::Data(value),
        }
    }
}

impl<'a> From<&'a Const> for V<'a> {
    fn from(value: &'a Const) -> Self {
        match value {
            Const::None => Self::None,
            Const::Bool(value) => Self::Bool(*value),
            Const::Int(value) => Self::Int(*value),
            Const::Float(value) => Self::Float(*value),
            Const::Text(text) => Self::from(&**text),
            Const::Items(items, sort) => Self::Items(items, *sort),
            Const::Map(entries) => Self::Map(entries),
        }
    }
}

/// A number as Python has it, where truth values are some.
#[derive(Clone, Copy)]
enum Numeric {
    Whole(i64),
    Other(f64),
}

impl Numeric {
    fn compare(self, other: Self) -> Option<Ordering> {
        let exact = |whole: i64| {
            #[expect(clippy::cast_precision_loss, reason = "the range is checked")]
            (whole.abs() <= MAX_WHOLE).then_some(whole as f64)
        };
        match (self, other) {
            (Self::Whole(left), Self::Whole(right)) => Some(left.cmp(&right)),
            (Self::Other(left), Self::Other(right)) => left.partial_cmp(&right),
            (Self::Whole(left), Self::Other(right)) => exact(left)?.partial_cmp(&right),
            (Self::Other(left), Self::Whole(right)) => left.partial_cmp(&exact(right)?),
        }
    }
}

impl<'a> V<'a> {
    const fn numeric(&self) -> Option<Numeric> {
        match self {
            Self::Bool(value) => Some(Numeric::Whole(*value as i64)),
            Self::Int(value) => Some(Numeric::Whole(*value)),
            Self::Float(value) => Some(Numeric::Other(*value)),
            _ => None,
        }
    }

    /// The text that it is.
    pub(super) fn text(&self) -> Result<&str, Stop> {
        match self {
            Self::Text(text) => Ok(text),
            _ => Err(Unsure.into()),
        }
    }

    /// What Python takes for its truth.
    pub(super) fn is_truthy(&self) -> Result<bool, Stop> {
        Ok(match self {
            Self::None => false,
            Self::Bool(value) => *value,
            Self::Int(value) => *value != 0,
            Self::Float(value) => *value != 0.0,
            Self::Text(text) => !text.is_empty(),
            Self::Data(value) => value.is_truthy(),
            Self::Items(items, _) => !items.is_empty(),
            Self::Map(entries) => !entries.is_empty(),
            Self::Many(count) => *count > 0,
            Self::User
            | Self::Request
            | Self::Http
            | Self::Headers
            | Self::Address(_)
            | Self::Network(_)
            | Self::Group(_)
            | Self::Target(_)
            | Self::Event(_)
            | Self::Thing(..)
            | Self::Plan(_)
            | Self::EventUser(_)
            | Self::Matched => true,
            Self::Context | Self::Cookies | Self::Fields(_) | Self::Groups(_) => return Err(Unsure.into()),
        })
    }

    /// Whether both are equal.
    pub(super) fn equals(&self, other: &V<'_>) -> Result<bool, Stop> {
        if let (Some(left), Some(right)) = (self.numeric(), other.numeric()) {
            return left.compare(right).map(|order| order == Ordering::Equal).ok_or_else(|| Unsure.into());
        }
        Ok(match (self, other) {
            (V::None, V::None) | (V::User, V::User) => true,
            (V::Text(left), V::Text(right)) => left == right,
            (V::Address(left), V::Address(right)) => left == right,
            (V::Network(left), V::Network(right)) => left == right,
            // Plain values are equal to none of another kind, and to no object.
            (left, right) if left.is_plain() && right.is_known() || right.is_plain() && left.is_known() => {
                false
            }
            _ => return Err(Unsure.into()),
        })
    }

    const fn is_plain(&self) -> bool {
        matches!(self, Self::None | Self::Bool(_) | Self::Int(_) | Self::Float(_) | Self::Text(_))
    }

    /// Whether it compares with plain values as other objects do: as something else.
    const fn is_known(&self) -> bool {
        self.is_plain()
            || matches!(
                self,
                Self::Data(_)
                    | Self::Items(..)
                    | Self::Map(_)
                    | Self::User
                    | Self::Http
                    | Self::Address(_)
                    | Self::Network(_)
                    | Self::Target(_)
                    | Self::Event(_)
                    | Self::Thing(..)
            )
    }

    fn order(&self, other: &V<'_>) -> Result<Ordering, Stop> {
        let order = match (self.numeric(), other.numeric(), self, other) {
            (Some(left), Some(right), ..) => left.compare(right),
            (_, _, V::Text(left), V::Text(right)) => Some(left.as_bytes().cmp(right.as_bytes())),
            (_, _, V::Address(IpAddr::V4(left)), V::Address(IpAddr::V4(right))) => Some(left.cmp(right)),
            (_, _, V::Address(IpAddr::V6(left)), V::Address(IpAddr::V6(right))) => Some(left.cmp(right)),
            _ => None,
        };
        order.ok_or_else(|| Unsure.into())
    }

    fn is(&self, other: &V<'_>) -> Result<bool, Stop> {
        Ok(match (self, other) {
            (V::None, V::None)
            | (V::User, V::User)
            | (V::Context, V::Context)
            | (V::Http, V::Http)
            | (V::Request, V::Request) => true,
            (V::Bool(left), V::Bool(right)) => left == right,
            // There is one of each, and everything else is something else.
            (V::None | V::Bool(_), _) | (_, V::None | V::Bool(_)) => false,
            _ => return Err(Unsure.into()),
        })
    }

    /// Whether it is among the elements of a list, tuple or set.
    fn among<'b>(&self, elements: impl Iterator<Item = V<'b>>) -> Result<bool, Stop> {
        for element in elements {
            if self.equals(&element)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether it is a key of a map.
    fn is_key(&self, has: impl FnOnce(&str) -> bool) -> Result<bool, Stop> {
        match self {
            Self::Text(text) => Ok(has(text)),
            Self::None | Self::Bool(_) | Self::Int(_) | Self::Float(_) => Ok(false),
            _ => Err(Unsure.into()),
        }
    }

    /// Whether it is in what the question has nothing to do with.
    pub(super) fn is_in(&self, hay: &V<'_>) -> Result<bool, Stop> {
        match hay {
            V::Text(text) => Ok(text.contains(self.text()?)),
            V::Items(items, Sort::Set) if !self.is_plain() && !items.is_empty() => Err(Unsure.into()),
            V::Items(items, _) => self.among(items.iter().map(V::from)),
            V::Data(Value::List(list)) => self.among(list.iter().map(V::from)),
            V::Data(Value::Map(map)) => self.is_key(|key| map.contains_key(key)),
            V::Map(entries) => self.is_key(|key| entries.iter().any(|(own, _)| **own == *key)),
            V::Network(network) => match self {
                V::Address(address) => Ok(network.contains(address)),
                _ => Err(Unsure.into()),
            },
            _ => Err(Unsure.into()),
        }
    }

    /// Compares two values, other than by `in`.
    pub(super) fn compare(&self, comparison: Comparison, other: &V<'_>) -> Result<bool, Stop> {
        match comparison {
            Comparison::Equal => self.equals(other),
            Comparison::Unequal => self.equals(other).map(|equal| !equal),
            Comparison::Less => self.order(other).map(Ordering::is_lt),
            Comparison::AtMost => self.order(other).map(Ordering::is_le),
            Comparison::More => self.order(other).map(Ordering::is_gt),
            Comparison::AtLeast => self.order(other).map(Ordering::is_ge),
            Comparison::Is => self.is(other),
            Comparison::IsNot => self.is(other).map(|same| !same),
            Comparison::In | Comparison::NotIn => Err(Unsure.into()),
        }
    }

    /// `self + other`
    pub(super) fn plus(self, other: &V<'_>) -> Result<Self, Stop> {
        match (self, other) {
            (V::Int(left), V::Int(right)) if left.abs().max(right.abs()) <= MAX_WHOLE => {
                Ok(V::Int(left + right))
            }
            (V::Text(left), V::Text(right)) if left.len() + right.len() <= MAX_TEXT => {
                let mut text = match left {
                    Cow::Owned(text) => text,
                    Cow::Borrowed(left) => {
                        let mut text = String::with_capacity(left.len() + right.len());
                        text.push_str(left);
                        text
                    }
                };
                text.push_str(right);
                Ok(V::from(text))
            }
            _ => Err(Unsure.into()),
        }
    }

    /// How many elements or letters it has.
    pub(super) fn length(&self) -> Result<usize, Stop> {
        Ok(match self {
            Self::Text(text) => text.chars().count(),
            Self::Data(Value::List(list)) => list.len(),
            Self::Data(Value::Map(map)) => map.len(),
            // A set keeps one of those that are equal.
            Self::Items(items, Sort::List | Sort::Tuple) => items.len(),
            Self::Many(count) => *count,
            _ => return Err(Unsure.into()),
        })
    }

    /// The element at a place; from the end where that is negative.
    pub(super) fn at(&self, index: i64) -> Result<V<'a>, Stop> {
        let place = |length: usize| {
            let length = i64::try_from(length).ok()?;
            usize::try_from(if index < 0 { index + length } else { index }).ok()
        };
        let found = match self {
            Self::Data(Value::List(list)) => place(list.len()).and_then(|at| list.get(at)).map(V::from),
            Self::Items(items, Sort::List | Sort::Tuple) => {
                place(items.len()).and_then(|at| items.get(at)).map(V::from)
            }
            _ => None,
        };
        found.ok_or_else(|| Unsure.into())
    }
}

/// Adds a text to one that is being made, if that does not become too long.
pub(super) fn push(onto: &mut String, text: &str) -> Result<(), Stop> {
    if onto.len() + text.len() > MAX_TEXT {
        return Err(Unsure.into());
    }
    onto.push_str(text);
    Ok(())
}
