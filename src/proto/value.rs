//! Free data, moments and durations between protobuf's well-known types and the model.
//!
//! Must not know: which message they stand in.

use crate::model::{Timestamp, Value};
use chrono::{DateTime, SecondsFormat, Utc};
use prost_types::value::Kind;

/// How deep free data may be nested. Each level is three nested messages, of which the decoder takes at most 100; this
/// leaves room for the messages around the data.
pub const MAX_DEPTH: usize = 31;
/// How many values free data may have in all.
pub const MAX_VALUES: usize = 100_000;

/// Free data from its message.
///
/// # Errors
/// When it is nested deeper than [`MAX_DEPTH`] or has more than [`MAX_VALUES`] values.
pub fn from_struct(data: prost_types::Struct) -> Result<Value, String> {
    let mut left = MAX_VALUES;
    map(data, 1, &mut left)
}

fn map(data: prost_types::Struct, depth: usize, left: &mut usize) -> Result<Value, String> {
    let entry = |(key, data): (String, prost_types::Value)| Ok((key.into(), value(data, depth + 1, left)?));
    data.fields.into_iter().map(entry).collect::<Result<_, String>>().map(Value::Map)
}

fn value(data: prost_types::Value, depth: usize, left: &mut usize) -> Result<Value, String> {
    if depth > MAX_DEPTH {
        return Err(format!("is nested deeper than {MAX_DEPTH} levels; flatten it"));
    }
    *left = left.checked_sub(1).ok_or_else(|| format!("has more than {MAX_VALUES} values; send less"))?;
    Ok(match data.kind {
        None | Some(Kind::NullValue(_)) => Value::Null,
        Some(Kind::BoolValue(truth)) => Value::Bool(truth),
        Some(Kind::NumberValue(number)) => Value::Number(number),
        Some(Kind::StringValue(text)) => Value::String(text.into()),
        Some(Kind::ListValue(list)) => {
            let items = list.values.into_iter().map(|item| value(item, depth + 1, left));
            Value::List(items.collect::<Result<_, _>>()?)
        }
        Some(Kind::StructValue(data)) => map(data, depth, left)?,
    })
}

/// 1678-01-01T00:00:00Z.
const FIRST: i64 = -9_214_560_000;
/// 2261-12-31T23:59:59Z.
const LAST: i64 = 9_214_646_399;

/// The message of free values; anything but a map is a map without entries.
pub fn to_struct(values: Value) -> prost_types::Struct {
    let Value::Map(entries) = values else { return prost_types::Struct::default() };
    prost_types::Struct {
        fields: entries.into_iter().map(|(key, value)| (key.into(), to_value(value))).collect(),
    }
}

/// The moment as RFC 3339 has it, in UTC; nothing for one that no calendar has.
pub fn rfc3339(moment: Timestamp) -> Option<String> {
    let nanoseconds = u32::try_from(moment.subsecond_nanoseconds()).ok()?;
    let moment = DateTime::<Utc>::from_timestamp(moment.seconds(), nanoseconds)?;
    Some(moment.to_rfc3339_opts(SecondsFormat::AutoSi, true))
}

/// The value as JSON, for people and machines; a whole number without a point.
pub fn to_json(value: &Value) -> serde_json::Value {
    use serde_json::Value as Json;
    match value {
        Value::Null => Json::Null,
        Value::Bool(value) => Json::Bool(*value),
        #[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
        Value::Number(number) if number.fract() == 0.0 && number.abs() < 9_007_199_254_740_992.0 => {
            Json::from(*number as i64)
        }
        Value::Number(number) => Json::from(*number),
        Value::String(text) => Json::String(text.to_string()),
        Value::List(list) => list.iter().map(to_json).collect(),
        Value::Map(map) => map.iter().map(|(key, value)| (key.to_string(), to_json(value))).collect(),
    }
}

fn to_value(value: Value) -> prost_types::Value {
    use prost_types::value::Kind;
    let kind = match value {
        Value::Null => Kind::NullValue(0),
        Value::Bool(value) => Kind::BoolValue(value),
        Value::Number(number) => Kind::NumberValue(number),
        Value::String(text) => Kind::StringValue(text.into()),
        Value::List(list) => {
            Kind::ListValue(prost_types::ListValue { values: list.into_iter().map(to_value).collect() })
        }
        map @ Value::Map(_) => Kind::StructValue(to_struct(map)),
    };
    prost_types::Value { kind: Some(kind) }
}

/// A moment from its message; nothing outside of the years 1678 to 2261.
pub fn moment(moment: &prost_types::Timestamp) -> Option<Timestamp> {
    let valid = (FIRST..=LAST).contains(&moment.seconds) && (0..1_000_000_000).contains(&moment.nanos);
    valid.then(|| Timestamp::new(moment.seconds, moment.nanos))
}

/// The message of a moment.
pub const fn to_timestamp(moment: Timestamp) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds: moment.seconds(), nanos: moment.subsecond_nanoseconds() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_taken_within_their_years_and_no_others() {
        let at = |seconds, nanos| moment(&prost_types::Timestamp { seconds, nanos });
        for seconds in [FIRST, -1, 0, LAST] {
            assert_eq!(at(seconds, 5), Some(Timestamp::new(seconds, 5)), "{seconds}");
        }
        for (seconds, nanos) in
            [(i64::MIN, 0), (FIRST - 1, 0), (LAST + 1, 0), (i64::MAX, 0), (0, -1), (0, 1_000_000_000)]
        {
            assert_eq!(at(seconds, nanos), None, "{seconds} s {nanos} ns");
        }
    }
}
