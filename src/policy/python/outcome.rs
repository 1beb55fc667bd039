//! What a script said, read.

use super::input::value_of;
use crate::model::Value;
use crate::policy::{Changes, Verdict};
use monty_types::MontyObject as Object;
use std::borrow::Cow;

/// The most messages that count, and the longest of them in bytes; what is beyond is cut.
pub const MAX_MESSAGES: usize = 100;
const MAX_MESSAGE: usize = 4 * 1024;

/// What came of a script.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// What the policy says.
    pub verdict: Verdict,
    /// The very value that the body returned, where it is plain data.
    pub raw: Value,
}

impl Outcome {
    /// Of something that is no program: whether it passes is all that there is.
    pub fn of(verdict: Verdict) -> Self {
        let raw = verdict.result.as_ref().map_or(Value::Null, |passing| Value::Bool(*passing));
        Self { verdict, raw }
    }
}

/// Reads what a script gave: result, messages, context and attributes.
pub fn verdict(result: Object) -> Outcome {
    let broken = || Outcome {
        verdict: Verdict::error("the interpreter gave no result; please report this as a mistake of bindery"),
        raw: Value::Null,
    };
    let Object::Tuple(parts) = result else { return broken() };
    let Ok([out, messages, context, attributes]) = <[Object; 4]>::try_from(parts) else { return broken() };
    let Object::List(out) = out else { return broken() };
    let Ok([ran, said, raw]) = <[Object; 3]>::try_from(out) else { return broken() };
    let plain = |object: &Object| match object {
        Object::Dict(_) => value_of(object).map(Some),
        _ => Ok(None),
    };
    let (values, attributes, plain_raw) = match (plain(&context), plain(&attributes), value_of(&raw)) {
        (Ok(values), Ok(attributes), Ok(plain_raw)) => (values, attributes, plain_raw),
        (Err(much), ..) | (_, Err(much), _) | (.., Err(much)) => {
            return Outcome { verdict: Verdict::error(much.to_string()), raw: Value::Null };
        }
    };
    let changes =
        (values.is_some() || attributes.is_some()).then(|| Box::new(Changes { values, attributes }));
    match (ran, said) {
        (Object::Bool(true), Object::Bool(passing)) => {
            let messages = match messages {
                Object::List(messages) => messages.iter().take(MAX_MESSAGES).map(text).collect(),
                _ => Vec::new(),
            };
            Outcome { verdict: Verdict { messages, changes, ..Verdict::of(passing) }, raw: plain_raw }
        }
        // Messages given before an error are lost; what was changed is not. The text may be empty, as in authentik.
        (Object::Bool(false), Object::String(text)) => {
            let text = cut(&text);
            Outcome { verdict: Verdict { changes, ..Verdict::error(text) }, raw: Value::Null }
        }
        _ => broken(),
    }
}

fn text(message: &Object) -> Box<str> {
    match message {
        Object::String(text) => cut(text),
        other => cut(&other.to_string()),
    }
}

/// A message, or the text of an error, of which so much counts.
pub(super) fn message(text: Cow<'_, str>) -> Box<str> {
    if text.len() <= MAX_MESSAGE { text.into() } else { cut(&text) }
}

fn cut(text: &str) -> Box<str> {
    let end = (0..=MAX_MESSAGE.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text.get(..end).unwrap_or_default().into()
}
