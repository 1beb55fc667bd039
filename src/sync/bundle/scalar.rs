//! Scalars of a YAML tree as the JSON mapping of a field: texts, numbers, enum values, durations, moments.
//!
//! Must not know: where in a file it is; the walk says that.

use super::super::yaml::{Content, Node, Scalar};
use super::shown;
use crate::proto;
use prost_reflect::{EnumDescriptor, Kind};
use serde_json::Value as Json;

/// Whole numbers up to here are kept exactly by free data, whose numbers are floating point.
const EXACT: i64 = 1 << 53;

/// The value of a scalar field.
///
/// # Errors
/// What is wrong and what to do.
pub(super) fn value(node: &Node, kind: &Kind) -> Result<Json, String> {
    let Some(scalar) = node.scalar() else { return Err(expected(node, &name(kind))) };
    match (kind, &scalar) {
        (Kind::String, Scalar::Text(text)) => Ok(Json::from(*text)),
        // Base64; whether it is, the message's own reader finds out.
        (Kind::Bytes, Scalar::Text(text)) => Ok(Json::from(*text)),
        (Kind::Bool, Scalar::Bool(truth)) => Ok(Json::from(*truth)),
        (Kind::Enum(members), scalar) => member(node, members, scalar),
        (Kind::Double | Kind::Float, scalar) => real(node, scalar),
        (Kind::String | Kind::Bytes | Kind::Bool | Kind::Message(_), _) => Err(expected(node, &name(kind))),
        (kind, scalar) => whole(node, scalar, range(kind)),
    }
}

/// A scalar in free data.
///
/// # Errors
/// What is wrong and what to do.
pub(super) fn free(node: &Node) -> Result<Json, String> {
    match node.scalar() {
        Some(Scalar::Bool(truth)) => Ok(Json::from(truth)),
        Some(Scalar::Int(number)) if (-EXACT..=EXACT).contains(&number) => Ok(Json::from(number)),
        Some(Scalar::Int(number)) => {
            Err(format!("{number} is too large to be kept exactly here; put it in quotes, as a text"))
        }
        Some(Scalar::Float(number)) if number.is_finite() => Ok(Json::from(number)),
        Some(Scalar::Float(_)) => Err(infinite(node)),
        Some(Scalar::Text(text)) => Ok(Json::from(text)),
        Some(Scalar::Null) | None => Ok(Json::Null),
    }
}

/// A moment.
///
/// # Errors
/// What is wrong and what to do.
pub(super) fn timestamp(node: &Node) -> Result<Json, String> {
    let Some(text) = node.text() else { return Err(expected(node, "a moment like `2030-12-31T23:59:59Z`")) };
    let json = Json::from(text);
    match proto::from_json::<prost_types::Timestamp>("google.protobuf.Timestamp", json.clone()) {
        Ok(_) => Ok(json),
        Err(_) => Err(format!("`{}` is no moment; write it like `2030-12-31T23:59:59Z`", shown(text))),
    }
}

/// A duration: seconds with an `s`, or as a number.
///
/// # Errors
/// What is wrong and what to do.
pub(super) fn duration(node: &Node) -> Result<Json, String> {
    let Some(text) = node.text() else { return Err(expected(node, "a duration like `30s`")) };
    let seconds = match node.scalar() {
        Some(Scalar::Int(number)) => format!("{number}s"),
        Some(Scalar::Float(number)) if number.is_finite() => format!("{number:.9}s"),
        _ => text.to_owned(),
    };
    let json = Json::from(seconds);
    match proto::from_json::<prost_types::Duration>("google.protobuf.Duration", json.clone()) {
        Ok(_) => Ok(json),
        Err(_) => Err(format!("`{}` is no duration; write seconds, like `30s` or `0.5s`", shown(text))),
    }
}

/// Says that something else is written than what is expected.
pub(super) fn expected(node: &Node, expected: &str) -> String {
    let remedy = match (node.scalar(), &node.content) {
        (Some(Scalar::Bool(_) | Scalar::Int(_) | Scalar::Float(_)), _) if expected == "a text" => {
            "; put it in quotes"
        }
        (Some(Scalar::Null), _) if expected == "a text" => "; write `\"\"` for an empty one",
        (Some(Scalar::Text("true" | "false")), _) if expected == "true or false" => "; leave out the quotes",
        (_, Content::Mapping(_)) if expected == "a list" => "; begin each item with `- `",
        (Some(Scalar::Text(_)), _) if expected == "a list" => {
            "; write each item on a line that begins with `- `"
        }
        _ => "",
    };
    format!("expected {expected}, found {}{remedy}", node.describe())
}

/// What a field of this kind is called in a sentence.
fn name(kind: &Kind) -> String {
    match kind {
        Kind::String | Kind::Bytes => "a text".to_owned(),
        Kind::Bool => "true or false".to_owned(),
        Kind::Double | Kind::Float => "a number".to_owned(),
        Kind::Enum(members) => choices(members),
        _ => "a whole number".to_owned(),
    }
}

fn real(node: &Node, scalar: &Scalar<'_>) -> Result<Json, String> {
    let number = match scalar {
        // The cast is exact up to 2^53, and beyond that rounds as every reader of JSON does.
        Scalar::Int(number) => Some(*number as f64),
        Scalar::Float(number) => Some(*number),
        // The JSON mapping takes numbers in quotes.
        Scalar::Text(text) => text.parse().ok(),
        Scalar::Null | Scalar::Bool(_) => None,
    };
    match number {
        Some(number) if number.is_finite() => Ok(Json::from(number)),
        Some(_) => Err(infinite(node)),
        None => Err(expected(node, "a number")),
    }
}

fn infinite(node: &Node) -> String {
    format!(
        "`{}` is not a finite number; write one, or leave the field out",
        shown(node.text().unwrap_or_default())
    )
}

fn whole(node: &Node, scalar: &Scalar<'_>, (least, most): (i128, i128)) -> Result<Json, String> {
    let text = node.text().unwrap_or_default();
    let number = match scalar {
        Scalar::Int(number) => Some(i128::from(*number)),
        // Beyond 64 bits with a sign, or in quotes, both of which the JSON mapping takes.
        Scalar::Float(_) | Scalar::Text(_) => text.parse().ok(),
        Scalar::Null | Scalar::Bool(_) => None,
    };
    let number = match (number, scalar) {
        (Some(number), _) => number,
        (None, Scalar::Float(number)) if number.fract() == 0.0 && number.abs() < EXACT as f64 => {
            *number as i128
        }
        (None, Scalar::Float(number)) if number.is_finite() && number.fract() != 0.0 => {
            return Err(format!("`{}` is not a whole number; write one", shown(text)));
        }
        (None, Scalar::Float(_)) => i128::MAX,
        (None, _) => return Err(expected(node, "a whole number")),
    };
    if !(least..=most).contains(&number) {
        return Err(format!(
            "`{}` is out of range; write a whole number from {least} to {most}",
            shown(text)
        ));
    }
    // One of the two fits, since the ranges are those of at most 64 bits.
    Ok(i64::try_from(number)
        .map(Json::from)
        .or_else(|_| u64::try_from(number).map(Json::from))
        .unwrap_or_default())
}

/// Least and greatest number of a kind.
fn range(kind: &Kind) -> (i128, i128) {
    match kind {
        Kind::Uint32 | Kind::Fixed32 => (0, u32::MAX.into()),
        Kind::Uint64 | Kind::Fixed64 => (0, u64::MAX.into()),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => (i32::MIN.into(), i32::MAX.into()),
        _ => (i64::MIN.into(), i64::MAX.into()),
    }
}

/// An enum's value: by its full name, without the prefix and in any case, or by number.
fn member(node: &Node, members: &EnumDescriptor, scalar: &Scalar<'_>) -> Result<Json, String> {
    let prefix = prefix(members);
    let found = match scalar {
        Scalar::Int(number) => i32::try_from(*number).ok().and_then(|number| members.get_value(number)),
        Scalar::Null | Scalar::Float(_) => None,
        // `off` and the like are what is written here, whatever they may mean elsewhere.
        Scalar::Bool(_) | Scalar::Text(_) => {
            let text = node.text().unwrap_or_default();
            members.values().find(|member| {
                member.name().eq_ignore_ascii_case(text)
                    || member
                        .name()
                        .strip_prefix(&prefix)
                        .is_some_and(|short| short.eq_ignore_ascii_case(text))
            })
        }
    };
    match (found, scalar) {
        (Some(member), _) => Ok(Json::from(member.name())),
        (None, Scalar::Null) => Err(expected(node, &choices(members))),
        (None, _) => {
            let text = shown(node.text().unwrap_or_default());
            Err(format!("`{text}` is not one of its values; write {}", choices(members)))
        }
    }
}

/// The values of an enum that may be written, in their short form: `any` or `all`.
fn choices(members: &EnumDescriptor) -> String {
    let prefix = prefix(members);
    let names: Vec<String> = members
        .values()
        .filter(|member| member.number() != 0)
        .map(|member| format!("`{}`", short(member.name(), &prefix)))
        .collect();
    match names.split_last() {
        Some((last, before)) if !before.is_empty() => format!("{} or {last}", before.join(", ")),
        _ => names.concat(),
    }
}

/// A member's name in its short form: `any` for `POLICY_ENGINE_MODE_ANY`.
pub(super) fn short_name(members: &EnumDescriptor, name: &str) -> String {
    short(name, &prefix(members))
}

fn short(name: &str, prefix: &str) -> String {
    name.strip_prefix(prefix).unwrap_or(name).to_ascii_lowercase()
}

/// What all members share: `POLICY_ENGINE_MODE_`, since the member 0 is always called `..._UNSPECIFIED`.
fn prefix(members: &EnumDescriptor) -> String {
    members.default_value().name().strip_suffix("UNSPECIFIED").unwrap_or_default().to_owned()
}
