//! Free data, moments and durations between protobuf's well-known types and the model.
//!
//! Must not know: which message they stand in.

use crate::model::{Timestamp, Value};
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

/// A moment from its message; nothing when it is out of range.
pub fn moment(moment: &prost_types::Timestamp) -> Option<Timestamp> {
    const YEARS: i64 = 290 * 365 * 24 * 60 * 60;
    let valid = moment.seconds.abs() < YEARS && (0..1_000_000_000).contains(&moment.nanos);
    valid.then(|| Timestamp::new(moment.seconds, moment.nanos))
}

/// The message of a moment.
pub const fn to_timestamp(moment: Timestamp) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds: moment.seconds(), nanos: moment.subsecond_nanoseconds() }
}
