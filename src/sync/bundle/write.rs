//! Bundles as text, for people.
//!
//! Must not know: where the resources came from.

use super::walk::short_name;
use crate::proto::{self, v1};
use prost_reflect::{Kind, MessageDescriptor};
use serde_json::Value as Json;

/// A bundle as YAML, with the field names of the schema and enum values in their short form.
///
/// # Errors
/// When the data cannot be written, such as a number that is none.
pub fn write_yaml(bundle: &v1::Bundle) -> Result<String, String> {
    serde_saphyr::to_string(&to_json(bundle)?).map_err(|error| error.to_string())
}

/// A bundle as JSON.
///
/// # Errors
/// As [`write_yaml`].
pub fn write_json(bundle: &v1::Bundle) -> Result<String, String> {
    serde_json::to_string_pretty(&to_json(bundle)?).map_err(|error| error.to_string())
}

fn to_json(bundle: &v1::Bundle) -> Result<Json, String> {
    let mut json = proto::to_json("bindery.v1.Bundle", bundle)?;
    if let Some(description) = proto::describe("bindery.v1.Bundle") {
        shorten(&mut json, &description);
    }
    Ok(json)
}

/// Writes enum values in their short form and long numbers as numbers. Free data is left alone.
fn shorten(json: &mut Json, description: &MessageDescriptor) {
    if description.full_name().starts_with("google.protobuf.") {
        return;
    }
    let Json::Object(object) = json else { return };
    for (name, value) in object {
        let Some(field) = description.get_field_by_name(name) else { continue };
        let values: Vec<&mut Json> = match value {
            Json::Array(items) if field.is_list() => items.iter_mut().collect(),
            other => vec![other],
        };
        for value in values {
            match (field.kind(), value) {
                (Kind::Message(inner), value) => shorten(value, &inner),
                (Kind::Enum(members), Json::String(text)) => {
                    *text = short_name(&members, text).to_ascii_lowercase();
                }
                (Kind::Int64 | Kind::Sint64 | Kind::Uint64, value @ Json::String(_)) => {
                    if let Some(number) = value.as_str().and_then(|text| text.parse::<i64>().ok()) {
                        *value = Json::from(number);
                    }
                }
                _ => {}
            }
        }
    }
}
