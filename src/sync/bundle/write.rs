//! Bundles as text.
//!
//! Must not know: where the resources came from.

use super::{scalar, short_form};
use crate::proto::{self, v1};
use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value as Json;

/// Whole numbers below this are written without a decimal point; the writer of floating point gives `3.0`.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// A bundle as YAML for people: fields in the order of the schema, enum values and the like in their short form.
///
/// # Errors
/// When a value has no form in the JSON mapping: a moment outside the years 1 to 9999, or a number that is not finite.
pub fn write_yaml(bundle: &v1::Bundle) -> Result<String, String> {
    // A long line stays one line: it is an address or a value, and found by searching for it.
    let options = serde_saphyr::ser_options! { folded_wrap_chars: usize::MAX };
    serde_saphyr::to_string_with_options(&tree(bundle, Style::People)?, options)
        .map_err(|error| error.to_string())
}

/// A bundle as JSON, in the plain protobuf JSON mapping with the field names of the schema, so that every protobuf
/// library reads it.
///
/// # Errors
/// As [`write_yaml`].
pub fn write_json(bundle: &v1::Bundle) -> Result<String, String> {
    serde_json::to_string_pretty(&tree(bundle, Style::Mapping)?).map_err(|error| error.to_string())
}

/// Who reads it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    /// People: short forms.
    People,
    /// Libraries: the JSON mapping as it is.
    Mapping,
}

/// JSON whose mappings keep an order.
enum Tree {
    Leaf(Json),
    List(Vec<Self>),
    Mapping(Vec<(String, Self)>),
}

impl Serialize for Tree {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Leaf(json) => json.serialize(serializer),
            Self::List(items) => serializer.collect_seq(items),
            Self::Mapping(entries) => {
                let mut mapping = serializer.serialize_map(Some(entries.len()))?;
                for (key, value) in entries {
                    mapping.serialize_entry(key, value)?;
                }
                mapping.end()
            }
        }
    }
}

fn tree(bundle: &v1::Bundle, style: Style) -> Result<Tree, String> {
    const NAME: &str = "bindery.v1.Bundle";
    let json = proto::to_json(NAME, bundle)?;
    let description = proto::describe(NAME).ok_or_else(|| format!("the schema has no `{NAME}`"))?;
    Ok(message(json, &description, style))
}

fn message(json: Json, description: &MessageDescriptor, style: Style) -> Tree {
    if description.full_name().starts_with("google.protobuf.") {
        return Tree::Leaf(tidy(json));
    }
    let mut object = match json {
        Json::Object(object) => object,
        other => return Tree::Leaf(other),
    };
    if style == Style::People
        && let Some(short) = short_form(description)
    {
        match object.remove(short.name()) {
            Some(value) if object.is_empty() => return field(value, &short, style),
            Some(value) => drop(object.insert(short.name().to_owned(), value)),
            None if short.is_list() && object.is_empty() => return Tree::List(Vec::new()),
            None => {}
        }
    }
    // Fields come by number, which is how the schema is laid out.
    let entry = |of: FieldDescriptor| {
        object.remove(of.name()).map(|value| (of.name().to_owned(), field(value, &of, style)))
    };
    Tree::Mapping(description.fields().filter_map(entry).collect())
}

fn field(json: Json, of: &FieldDescriptor, style: Style) -> Tree {
    match json {
        Json::Array(items) if of.is_list() => {
            Tree::List(items.into_iter().map(|item| single(item, of, style)).collect())
        }
        Json::Object(entries) if of.is_map() => {
            let Kind::Message(entry) = of.kind() else { return Tree::Leaf(Json::Object(entries)) };
            let value = entry.map_entry_value_field();
            Tree::Mapping(entries.into_iter().map(|(key, item)| (key, single(item, &value, style))).collect())
        }
        other => single(other, of, style),
    }
}

fn single(json: Json, of: &FieldDescriptor, style: Style) -> Tree {
    match (of.kind(), json) {
        (Kind::Message(inner), json) => message(json, &inner, style),
        (Kind::Enum(members), Json::String(name)) if style == Style::People => {
            Tree::Leaf(Json::from(scalar::short_name(&members, &name)))
        }
        // The mapping has numbers of 64 bits as texts, for the sake of JavaScript.
        (Kind::Int64 | Kind::Sint64 | Kind::Sfixed64, Json::String(text)) if style == Style::People => {
            Tree::Leaf(text.parse::<i64>().map_or(Json::String(text), Json::from))
        }
        (Kind::Uint64 | Kind::Fixed64, Json::String(text)) if style == Style::People => {
            Tree::Leaf(text.parse::<u64>().map_or(Json::String(text), Json::from))
        }
        (_, json) => Tree::Leaf(json),
    }
}

/// Free data with its whole numbers written as such.
fn tidy(json: Json) -> Json {
    match json {
        Json::Number(number) => match number.as_f64() {
            // Minus zero would lose its sign.
            Some(value)
                if value.fract() == 0.0
                    && value.abs() < EXACT
                    && !(value == 0.0 && value.is_sign_negative()) =>
            {
                Json::from(value as i64)
            }
            _ => Json::Number(number),
        },
        Json::Array(items) => Json::Array(items.into_iter().map(tidy).collect()),
        Json::Object(entries) => {
            Json::Object(entries.into_iter().map(|(key, value)| (key, tidy(value))).collect())
        }
        other => other,
    }
}
