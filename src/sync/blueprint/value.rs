//! What a blueprint's fields evaluate to: JSON, and references to objects.
//!
//! Must not know: tags, models.

use std::collections::BTreeMap;
use std::sync::Arc;

/// An object of the world, by its place there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct ObjectId(pub(super) usize);

/// An evaluated value.
#[derive(Clone, Debug)]
pub(super) enum Value {
    /// JSON's null.
    Null,
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Another number.
    Float(f64),
    /// Text.
    Text(Arc<str>),
    /// A list.
    List(Vec<Self>),
    /// Keys and values.
    Map(BTreeMap<String, Self>),
    /// A reference.
    Object(ObjectId),
    /// A reference that leads nowhere. To tags it is null; it remembers why, for the message.
    Missing(Arc<Missing>),
}

/// Why a reference leads nowhere.
#[derive(Clone, Debug)]
pub(super) enum Missing {
    /// Nothing matched.
    Sought {
        /// The model that was looked for.
        model: String,
        /// Fields, with their lookups, and the values.
        pairs: Vec<(String, Value)>,
    },
    /// The entry of this `id` is left out by its conditions.
    LeftOut(String),
    /// What was referred to is wrong itself, which was said already.
    Broken,
}

impl Missing {
    /// The model, and the one field with its text, when nothing else was asked for. With a second condition the text
    /// alone would name an object that may have been looked at and did not match.
    pub(super) fn sought(&self) -> Option<(&str, &str, String)> {
        let Self::Sought { model, pairs } = self else { return None };
        let [(field, value @ (Value::Text(_) | Value::Int(_)))] = pairs.as_slice() else { return None };
        let text = value.plain().filter(|text| !text.is_empty())?;
        Some((model, field, text))
    }

    /// What is not there and what to do, for a message.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Sought { model, pairs } => {
                let pairs: Vec<_> = pairs
                    .iter()
                    .map(|(field, value)| match value.plain() {
                        Some(text) => format!("{field} `{text}`"),
                        None => format!("{field} ({})", value.describe()),
                    })
                    .collect();
                format!(
                    "no {model} with {} was found; add the file that has it, or correct the lookup",
                    pairs.join(" and ")
                )
            }
            Self::LeftOut(id) => {
                format!("the entry `{id}` is left out by its conditions; give this one the same conditions")
            }
            Self::Broken => "what it refers to is wrong itself; correct that first".to_owned(),
        }
    }
}

impl Value {
    /// A text.
    pub(super) fn text(text: impl Into<Arc<str>>) -> Self {
        Self::Text(text.into())
    }

    /// Null, or a reference that leads nowhere.
    pub(super) const fn is_null(&self) -> bool {
        matches!(self, Self::Null | Self::Missing(_))
    }

    /// Truthy as in Python.
    pub(super) fn is_truthy(&self) -> bool {
        match self {
            Self::Null | Self::Missing(_) => false,
            Self::Bool(truth) => *truth,
            Self::Int(number) => *number != 0,
            Self::Float(number) => *number != 0.0,
            Self::Text(text) => !text.is_empty(),
            Self::List(items) => !items.is_empty(),
            Self::Map(entries) => !entries.is_empty(),
            Self::Object(_) => true,
        }
    }

    /// How many values it is made of; long texts count more.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Text(text) => 1 + text.len() / 32,
            Self::List(items) => 1 + items.iter().map(Self::size).sum::<usize>(),
            Self::Map(entries) => {
                1 + entries.iter().map(|(key, value)| 1 + key.len() / 32 + value.size()).sum::<usize>()
            }
            _ => 1,
        }
    }

    /// How deeply lists and mappings stand in it.
    pub(super) fn depth(&self) -> usize {
        match self {
            Self::List(items) => 1 + items.iter().map(Self::depth).max().unwrap_or(0),
            Self::Map(entries) => 1 + entries.values().map(Self::depth).max().unwrap_or(0),
            _ => 0,
        }
    }

    /// What it is, for a message.
    pub(super) const fn describe(&self) -> &'static str {
        match self {
            Self::Null | Self::Missing(_) => "null",
            Self::Bool(_) => "true or false",
            Self::Int(_) | Self::Float(_) => "a number",
            Self::Text(_) => "text",
            Self::List(_) => "a list",
            Self::Map(_) => "a mapping",
            Self::Object(_) => "a reference",
        }
    }

    /// A scalar as text, as Python writes it.
    pub(super) fn plain(&self) -> Option<String> {
        match self {
            Self::Null | Self::Missing(_) => Some("None".to_owned()),
            Self::Bool(truth) => Some(if *truth { "True" } else { "False" }.to_owned()),
            Self::Int(number) => Some(number.to_string()),
            Self::Float(number) => Some(format!("{number:?}")),
            Self::Text(text) => Some(text.to_string()),
            Self::List(_) | Self::Map(_) | Self::Object(_) => None,
        }
    }
}

impl From<serde_json::Value> for Value {
    fn from(json: serde_json::Value) -> Self {
        use serde_json::Value as Json;
        match json {
            Json::Null => Self::Null,
            Json::Bool(truth) => Self::Bool(truth),
            Json::Number(number) => match number.as_i64() {
                Some(whole) => Self::Int(whole),
                None => Self::Float(number.as_f64().unwrap_or(f64::NAN)),
            },
            Json::String(text) => Self::text(text),
            Json::Array(items) => Self::List(items.into_iter().map(Into::into).collect()),
            Json::Object(entries) => {
                Self::Map(entries.into_iter().map(|(key, value)| (key, value.into())).collect())
            }
        }
    }
}
