//! Reads the JSON of a program, saying of each mistake where it is.
//!
//! Must not know: what the fields mean.

use crate::model::Value;
use std::collections::BTreeMap;
use std::fmt;

/// Where in the program a value stands, such as `actions[0].condition.children[1]`.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    parent: Option<&'a Place<'a>>,
    step: Step<'a>,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Root,
    Field(&'a str),
    Item(usize),
}

impl<'a> Place<'a> {
    /// The whole program.
    pub(super) const ROOT: Place<'static> = Place { parent: None, step: Step::Root };

    pub(super) const fn field(&'a self, name: &'a str) -> Self {
        Self { parent: Some(self), step: Step::Field(name) }
    }

    pub(super) const fn item(&'a self, index: usize) -> Self {
        Self { parent: Some(self), step: Step::Item(index) }
    }

    /// A mistake here.
    pub(super) fn wrong(&self, message: impl fmt::Display) -> String {
        match self.step {
            Step::Root => message.to_string(),
            _ => format!("{self}: {message}"),
        }
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            parent.fmt(f)?;
            if !matches!((parent.step, self.step), (Step::Root, _) | (_, Step::Item(_))) {
                f.write_str(".")?;
            }
        }
        match self.step {
            Step::Root => Ok(()),
            Step::Field(name) => f.write_str(name),
            Step::Item(index) => write!(f, "[{index}]"),
        }
    }
}

/// A mapping of the program whose keys are all known. A null counts as absent.
#[derive(Clone, Copy)]
pub(super) struct Object<'a, 'p> {
    map: &'a BTreeMap<Box<str>, Value>,
    place: &'p Place<'p>,
}

impl<'a, 'p> Object<'a, 'p> {
    /// A mapping, of whatever keys.
    pub(super) fn new(value: &'a Value, place: &'p Place<'p>) -> Result<Self, String> {
        match value {
            Value::Map(map) => Ok(Self { map, place }),
            other => Err(place.wrong(format!("{} where a mapping belongs; write one", describe(other)))),
        }
    }

    /// Refuses every key that is not among these.
    pub(super) fn only(self, known: &[&str]) -> Result<Self, String> {
        match self.map.keys().find(|key| !known.contains(&&***key)) {
            None => Ok(self),
            Some(key) => {
                let advice = advice(key, known);
                Err(self.place.wrong(format!("`{}` is not a field here; {advice}", shorten(key))))
            }
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<&'a Value> {
        self.map.get(name).filter(|value| **value != Value::Null)
    }

    pub(super) fn need(&self, name: &str) -> Result<&'a Value, String> {
        self.get(name).ok_or_else(|| self.place.field(name).wrong("missing; it is required"))
    }

    pub(super) fn text(&self, name: &str) -> Result<Option<&'a str>, String> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => {
                let message = format!("{} where a text belongs; write one", describe(other));
                Err(self.place.field(name).wrong(message))
            }
        }
    }

    pub(super) fn need_text(&self, name: &str) -> Result<&'a str, String> {
        self.need(name)?;
        self.text(name).map(Option::unwrap_or_default)
    }

    pub(super) fn truth(&self, name: &str, default: bool) -> Result<bool, String> {
        match self.get(name) {
            None => Ok(default),
            Some(Value::Bool(truth)) => Ok(*truth),
            Some(other) => {
                let message = format!("{} is neither true nor false; write one of them", describe(other));
                Err(self.place.field(name).wrong(message))
            }
        }
    }

    /// A list; empty when it is absent.
    pub(super) fn list(&self, name: &str) -> Result<&'a [Value], String> {
        match self.get(name) {
            None => Ok(&[]),
            Some(Value::List(list)) => Ok(list),
            Some(other) => {
                let message = format!("{} where a list belongs; write one", describe(other));
                Err(self.place.field(name).wrong(message))
            }
        }
    }

    /// One of some words.
    pub(super) fn word(&self, name: &str, words: &[&'static str]) -> Result<&'static str, String> {
        let found = self.need_text(name)?;
        words.iter().find(|word| **word == found).copied().ok_or_else(|| {
            let message = format!("`{}` is not known; {}", shorten(found), advice(found, words));
            self.place.field(name).wrong(message)
        })
    }
}

/// A value in an error, cut to a length that can be read.
pub(super) fn describe(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(truth) => format!("`{truth}`"),
        Value::Number(number) => format!("`{number}`"),
        Value::String(text) => format!("`{}`", shorten(text)),
        Value::List(_) => "a list".to_owned(),
        Value::Map(_) => "a mapping".to_owned(),
    }
}

/// At most 100 characters, without what would break a line.
pub(super) fn shorten(text: &str) -> String {
    let mut out: String =
        text.chars().map(|sign| if sign.is_control() { ' ' } else { sign }).take(100).collect();
    if text.chars().nth(100).is_some() {
        out.push_str("...");
    }
    out
}

/// What to write instead of a word that is not known.
pub(super) fn advice(word: &str, known: &[&str]) -> String {
    let word = shorten(word);
    let close = known.iter().map(|other| (strsim::jaro_winkler(&word, other), other));
    match close.max_by(|a, b| a.0.total_cmp(&b.0)) {
        Some((likeness, other)) if likeness > 0.85 => format!("did you mean `{other}`?"),
        _ if known.len() > 12 => "docs/conditional.md lists them".to_owned(),
        _ => format!("use {}", known.join(", ")),
    }
}
