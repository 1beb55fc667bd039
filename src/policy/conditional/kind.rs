//! The kinds of value, and how what is found or written becomes one of a kind.
//!
//! Must not know: where a value comes from.

use super::time;
use crate::model::{Group, Id, Timestamp, Value};
use smallvec::SmallVec;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use unicase::UniCase;

/// The kind of a variable's value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    String,
    Number,
    Boolean,
    Datetime,
    Ip,
    /// One of some texts; of any text when there are none.
    Enum(&'static [&'static str]),
    /// The key of an object of this model, as text.
    Model(&'static str),
    List(&'static Kind),
    /// Not known before it is there; has to be cast.
    Any,
}

impl Kind {
    /// What a variable of an unknown kind can be cast to.
    pub(super) const CASTS: [(&'static str, Self); 5] = [
        ("string", Self::String),
        ("number", Self::Number),
        ("boolean", Self::Boolean),
        ("datetime", Self::Datetime),
        ("ip", Self::Ip),
    ];

    /// Whether values of the other kind can be compared with values of this one.
    pub(super) fn accepts(self, other: Self) -> bool {
        match (self, other) {
            (Self::String | Self::Enum(_), Self::String | Self::Enum(_)) => true,
            (Self::List(item), Self::List(other)) => item.accepts(*other),
            _ => self == other,
        }
    }

    /// What to write for a value of this kind.
    pub(super) fn example(self) -> String {
        match self {
            Self::String => "write a text".to_owned(),
            Self::Number => "write a number".to_owned(),
            Self::Boolean => "write true or false".to_owned(),
            Self::Datetime => "write it like 2026-01-31T12:00:00Z".to_owned(),
            Self::Ip => "write it like 192.0.2.7".to_owned(),
            Self::Enum(choices) if !choices.is_empty() => format!("write one of {}", choices.join(", ")),
            Self::Enum(_) => "write a text".to_owned(),
            Self::Model(model) => format!("write the id of a {model}"),
            Self::List(_) => "write a list".to_owned(),
            Self::Any => "write a value".to_owned(),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::String => "string",
            Self::Number => "number",
            Self::Boolean => "boolean",
            Self::Datetime => "datetime",
            Self::Ip => "ip",
            Self::Enum(_) => "enum",
            Self::Model(_) => "model",
            Self::List(_) => "list",
            Self::Any => "any",
        })
    }
}

/// A value as it was found.
#[derive(Clone, Copy, Debug)]
pub(super) enum Raw<'a> {
    Text(&'a str),
    Bool(bool),
    Moment(Timestamp),
    Address(IpAddr),
    Id(&'a Id),
    /// Groups, and whether they are direct.
    Groups(&'a [(Arc<Group>, bool)]),
    Free(&'a Value),
    /// What a path with `*` gathers: from each item of the list, what stands at the rest of the path.
    Gathered(&'a [Value], &'a [Box<str>]),
}

/// A value of a kind.
#[derive(Clone, Debug)]
pub(super) enum Held<'a> {
    One(Scalar<'a>),
    Many(Items<'a>),
    /// Of the kind that is not known.
    Any(Raw<'a>),
}

/// A single value.
#[derive(Clone, Debug)]
pub(super) enum Scalar<'a> {
    Text(&'a str),
    /// Text that had to be made.
    Made(SmallVec<[u8; 32]>),
    Id(&'a Id),
    /// A group: the same as its id and as its name.
    Group(&'a Group),
    Number(f64),
    Bool(bool),
    Moment(Timestamp),
    Address(IpAddr),
}

/// Several values, all of them of the kind that they are to be.
#[derive(Clone, Copy, Debug)]
pub(super) enum Items<'a> {
    Constants(&'a [Constant]),
    /// Groups, and whether they are direct.
    Groups(&'a [(Arc<Group>, bool)]),
    Values(&'a [Value], &'a [Box<str>], Kind),
}

/// A value that the program writes.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Constant {
    Text(Box<str>),
    Number(f64),
    Bool(bool),
    Moment(Timestamp),
    Address(IpAddr),
}

impl<'a> Held<'a> {
    /// The value as one of this kind; nothing when it cannot be.
    pub(super) fn of(raw: Raw<'a>, kind: Kind) -> Option<Self> {
        match kind {
            Kind::Any => Some(Self::Any(raw)),
            Kind::List(item) => {
                let items = match raw {
                    Raw::Groups(groups) => Items::Groups(groups),
                    Raw::Gathered(list, rest) => Items::Values(list, rest, *item),
                    Raw::Free(Value::List(list)) => Items::Values(list, &[], *item),
                    _ => return None,
                };
                items.visit(&mut |_| ()).then_some(Self::Many(items))
            }
            _ => Scalar::of(raw, kind).map(Self::One),
        }
    }

    /// The value as `set` stores it.
    pub(super) fn value(&self) -> Value {
        match self {
            Self::One(scalar) => scalar.value(),
            Self::Many(items) => {
                let mut list = Vec::new();
                items.visit(&mut |scalar| list.push(scalar.value()));
                Value::List(list)
            }
            Self::Any(Raw::Free(value)) => (*value).clone(),
            Self::Any(Raw::Gathered(list, rest)) => {
                let mut found = Vec::new();
                gather(list, rest, &mut |value| found.push(value.clone()));
                Value::List(found)
            }
            Self::Any(_) => Value::Null,
        }
    }
}

impl<'a> Scalar<'a> {
    fn of(raw: Raw<'a>, kind: Kind) -> Option<Self> {
        match (raw, kind) {
            (Raw::Free(Value::String(text)), _) => Self::of_text(text, kind),
            (Raw::Text(text), _) => Self::of_text(text, kind),
            (Raw::Free(Value::Number(number)), _) => Self::of_number(*number, kind),
            (Raw::Free(Value::Bool(truth)), Kind::Boolean) => Some(Self::Bool(*truth)),
            (Raw::Bool(truth), Kind::Boolean) => Some(Self::Bool(truth)),
            (Raw::Moment(moment), Kind::Datetime) => Some(Self::Moment(moment)),
            (Raw::Address(address), Kind::Ip) => Some(Self::Address(address)),
            (Raw::Id(id), Kind::Model(_) | Kind::String) => Some(Self::Id(id)),
            // An object stands for its key.
            (Raw::Free(object @ Value::Map(_)), Kind::Model(_)) => {
                let key = object.get("pk").or_else(|| object.get("id"))?;
                if matches!(key, Value::Map(_)) { None } else { Self::of(Raw::Free(key), kind) }
            }
            _ => None,
        }
    }

    fn of_text(text: &'a str, kind: Kind) -> Option<Self> {
        match kind {
            Kind::String | Kind::Model(_) => Some(Self::Text(text)),
            Kind::Enum(choices) => {
                (choices.is_empty() || choices.contains(&text)).then_some(Self::Text(text))
            }
            // The infinite and what is not a number compare in ways that nobody means.
            Kind::Number => {
                text.trim().parse().ok().filter(|number: &f64| number.is_finite()).map(Self::Number)
            }
            Kind::Boolean if text.eq_ignore_ascii_case("true") || text == "1" => Some(Self::Bool(true)),
            Kind::Boolean if text.eq_ignore_ascii_case("false") || text == "0" => Some(Self::Bool(false)),
            Kind::Datetime => time::moment(text).map(Self::Moment),
            Kind::Ip => text.parse().ok().map(Self::Address),
            Kind::Boolean | Kind::List(_) | Kind::Any => None,
        }
    }

    fn of_number(number: f64, kind: Kind) -> Option<Self> {
        match kind {
            Kind::String | Kind::Model(_) => Some(Self::made(&number)),
            Kind::Number => Some(Self::Number(number)),
            Kind::Boolean if number == 0.0 => Some(Self::Bool(false)),
            Kind::Boolean if number == 1.0 => Some(Self::Bool(true)),
            _ => None,
        }
    }

    fn made(content: &dyn fmt::Display) -> Self {
        struct Bytes(SmallVec<[u8; 32]>);
        impl fmt::Write for Bytes {
            fn write_str(&mut self, text: &str) -> fmt::Result {
                self.0.extend_from_slice(text.as_bytes());
                Ok(())
            }
        }
        let mut bytes = Bytes(SmallVec::new());
        // Writing into memory does not fail.
        let _ = fmt::write(&mut bytes, format_args!("{content}"));
        Self::Made(bytes.0)
    }

    /// The text, if it is one.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Made(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }

    /// Whether the two are the same; `fold`: but for upper and lower case.
    pub(super) fn is(&self, other: &Self, fold: bool) -> bool {
        match (self, other) {
            (Self::Group(a), Self::Group(b)) => a.id == b.id,
            (Self::Group(group), other) | (other, Self::Group(group)) => {
                Self::Id(&group.id).is(other, fold) || Self::Text(&group.name).is(other, fold)
            }
            (Self::Number(a), Self::Number(b)) => a == b,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Moment(a), Self::Moment(b)) => a == b,
            (Self::Address(a), Self::Address(b)) => a == b,
            (Self::Id(a), Self::Id(b)) if !fold => a == b,
            (Self::Id(id), text) | (text, Self::Id(id)) => match text.text() {
                Some(text) if !fold => id.is(text),
                _ => Self::made(id).is(text, fold),
            },
            _ => match (self.text(), other.text()) {
                (Some(a), Some(b)) if fold => is_folded(a, b),
                (Some(a), Some(b)) => a == b,
                _ => false,
            },
        }
    }

    fn value(&self) -> Value {
        match self {
            Self::Number(number) => Value::Number(*number),
            Self::Bool(truth) => Value::Bool(*truth),
            Self::Moment(moment) => Value::String(time::text(*moment).into()),
            Self::Address(address) => Value::String(address.to_string().into()),
            Self::Id(id) => Value::String(id.to_string().into()),
            Self::Group(group) => Value::String(group.id.to_string().into()),
            Self::Text(_) | Self::Made(_) => Value::String(self.text().unwrap_or_default().into()),
        }
    }
}

impl<'a> Items<'a> {
    /// Visits each; false when one is not of the kind that it should be, which [`Held::of`] has made sure of.
    pub(super) fn visit(&self, visit: &mut dyn FnMut(&Scalar<'a>)) -> bool {
        let mut fits = true;
        match *self {
            Self::Constants(constants) => constants.iter().for_each(|constant| visit(&constant.scalar())),
            Self::Groups(groups) => groups.iter().for_each(|(group, _)| visit(&Scalar::Group(group))),
            Self::Values(list, rest, kind) => {
                gather(list, rest, &mut |value| match Scalar::of(Raw::Free(value), kind) {
                    Some(scalar) => visit(&scalar),
                    None => fits = false,
                })
            }
        }
        fits
    }

    pub(super) fn count(&self) -> usize {
        let mut count = 0;
        self.visit(&mut |_| count += 1);
        count
    }

    pub(super) fn has(&self, wanted: &Scalar<'_>, fold: bool) -> bool {
        let mut has = false;
        self.visit(&mut |scalar| has = has || scalar.is(wanted, fold));
        has
    }
}

/// Visits what stands at the path in each item. An item that has nothing there, or null, is left out.
fn gather<'a>(list: &'a [Value], path: &[Box<str>], visit: &mut dyn FnMut(&'a Value)) {
    for item in list {
        let mut found = Some(item);
        let mut rest = path;
        while let (Some(value), Some((step, behind))) = (found, rest.split_first()) {
            rest = behind;
            if &**step == "*" {
                if let Value::List(inner) = value {
                    gather(inner, behind, visit);
                }
                found = None;
            } else {
                found = value.get(step);
            }
        }
        if let Some(value) = found.filter(|value| **value != Value::Null) {
            visit(value);
        }
    }
}

/// What stands at the path. `*`, where it has a meaning, goes through the items of a list.
pub(super) fn dig<'a>(root: &'a Value, path: &'a [Box<str>], star: bool) -> Option<Raw<'a>> {
    let (mut value, mut rest) = (root, path);
    while let Some((step, behind)) = rest.split_first() {
        match value {
            Value::List(list) if star && &**step == "*" => return Some(Raw::Gathered(list, behind)),
            _ => value = value.get(step)?,
        }
        rest = behind;
    }
    (*value != Value::Null).then_some(Raw::Free(value))
}

impl Constant {
    /// What is written, as one of this kind; nothing when it cannot be.
    pub(super) fn of(value: &Value, kind: Kind) -> Option<Self> {
        Some(match Scalar::of(Raw::Free(value), kind)? {
            Scalar::Number(number) => Self::Number(number),
            Scalar::Bool(truth) => Self::Bool(truth),
            Scalar::Moment(moment) => Self::Moment(moment),
            Scalar::Address(address) => Self::Address(address),
            text => Self::Text(text.text()?.into()),
        })
    }

    pub(super) fn scalar(&self) -> Scalar<'_> {
        match self {
            Self::Text(text) => Scalar::Text(text),
            Self::Number(number) => Scalar::Number(*number),
            Self::Bool(truth) => Scalar::Bool(*truth),
            Self::Moment(moment) => Scalar::Moment(*moment),
            Self::Address(address) => Scalar::Address(*address),
        }
    }
}

/// Whether two texts are the same but for upper and lower case.
fn is_folded(a: &str, b: &str) -> bool {
    if a.is_ascii() && b.is_ascii() {
        return a.eq_ignore_ascii_case(b);
    }
    UniCase::unicode(a) == UniCase::unicode(b)
}

/// The text without regard to upper and lower case, as bytes. Only what is long or not ASCII is allocated.
pub(super) fn folded(text: &str) -> SmallVec<[u8; 128]> {
    if text.is_ascii() {
        let mut bytes = SmallVec::from_slice(text.as_bytes());
        bytes.make_ascii_lowercase();
        return bytes;
    }
    UniCase::unicode(text).to_folded_case().into_bytes().into()
}
