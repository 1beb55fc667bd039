//! Fields of an object, taken as the types that they must have; everything that is wrong is noted with its line.
//!
//! Must not know: which model the object is of.

use super::super::origin::FileProblem;
use super::super::origin::Origin;
use super::tags::Value;
use super::world::{Object, World};
use serde_json::{Map, Value as Json};
use std::sync::Arc;

/// What a field must be, and how it is written in the schema.
#[derive(Clone, Copy, Debug)]
pub(super) enum Type {
    Text,
    Bool,
    /// A whole number.
    Number,
    /// Free data: a mapping.
    Data,
    /// A member of an enumeration with this prefix.
    Member(&'static str),
    /// Seconds.
    Seconds,
    /// A moment.
    Moment,
    /// A list of texts.
    Texts,
    /// A list of whole numbers.
    Numbers,
}

/// Fields in authentik and in the schema, with what they must be.
pub(super) type Table = &'static [(&'static str, &'static str, Type)];

/// Takes fields of one object into a message's JSON mapping.
pub(super) struct Taker<'w, 'a> {
    pub(super) world: &'w World<'a>,
    pub(super) object: &'w Object,
    pub(super) out: Map<String, Json>,
    pub(super) problems: Vec<FileProblem>,
    pub(super) warnings: Vec<FileProblem>,
}

impl<'w, 'a> Taker<'w, 'a> {
    pub(super) fn new(world: &'w World<'a>, object: &'w Object) -> Self {
        Self { world, object, out: Map::new(), problems: Vec::new(), warnings: Vec::new() }
    }

    fn place(&self, name: &str) -> Origin {
        let line = self.object.placed(name).map_or(self.object.origin.line, |(_, line)| *line);
        Origin { file: Arc::clone(&self.object.origin.file), line }
    }

    pub(super) fn problem(&mut self, name: &str, message: &str) {
        let message = format!("{} `{name}`: {message}", self.object.model);
        self.problems.push(FileProblem { origin: self.place(name), message });
    }

    pub(super) fn warn(&mut self, name: &str, message: &str) {
        let message = format!("{} `{name}`: {message}", self.object.model);
        self.warnings.push(FileProblem { origin: self.place(name), message });
    }

    pub(super) fn set(&mut self, name: &str, value: impl Into<Json>) {
        self.out.insert(name.to_owned(), value.into());
    }

    /// Takes all fields of a table that are there.
    pub(super) fn take(&mut self, table: Table) {
        for (name, field, kind) in table {
            let Some(value) = self.object.field(name).cloned() else { continue };
            match convert(&value, *kind) {
                Some(json) => self.set(field, json),
                None => {
                    let found = value.describe();
                    let found = found.chars().take(80).collect::<String>();
                    self.problem(name, &format!("expected {}, found `{found}`", expectation(*kind)));
                }
            }
        }
    }

    /// A text field.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        match self.object.field(name)? {
            Value::Text(text) => Some(text.clone()),
            Value::Int(number) => Some(number.to_string()),
            _ => None,
        }
    }
}

fn expectation(kind: Type) -> &'static str {
    match kind {
        Type::Text => "a text",
        Type::Bool => "true or false",
        Type::Number => "a whole number",
        Type::Data => "a mapping",
        Type::Member(_) => "one of authentik's values",
        Type::Seconds => "seconds",
        Type::Moment => "a moment like 2030-12-31T23:59:59Z",
        Type::Texts => "a list of texts",
        Type::Numbers => "a list of whole numbers",
    }
}

fn convert(value: &Value, kind: Type) -> Option<Json> {
    match (kind, value) {
        (Type::Text, Value::Text(text)) => Some(Json::from(text.as_str())),
        (Type::Text, Value::Int(number)) => Some(Json::from(number.to_string())),
        (Type::Bool, Value::Bool(truth)) => Some(Json::from(*truth)),
        (Type::Number, Value::Int(number)) => Some(Json::from(*number)),
        (Type::Data, Value::Map(_)) => Some(value.to_json()),
        (Type::Member(prefix), Value::Text(text)) => {
            Some(Json::from(format!("{prefix}_{}", text.to_uppercase())))
        }
        (Type::Seconds, Value::Int(seconds)) => Some(Json::from(format!("{seconds}s"))),
        (Type::Moment, Value::Text(text)) => moment(text).map(Json::from),
        (Type::Texts, Value::List(items)) => {
            let text = |item: &Value| {
                if let Value::Text(text) = item { Some(Json::from(text.as_str())) } else { None }
            };
            items.iter().map(text).collect::<Option<Vec<_>>>().map(Json::from)
        }
        (Type::Numbers, Value::List(items)) => {
            let number =
                |item: &Value| if let Value::Int(number) = item { Some(Json::from(*number)) } else { None };
            items.iter().map(number).collect::<Option<Vec<_>>>().map(Json::from)
        }
        _ => None,
    }
}

/// A moment as authentik writes it: RFC 3339, with a space for the T, or a date.
fn moment(text: &str) -> Option<String> {
    let text = if text.len() == 10 { format!("{text}T00:00:00Z") } else { text.replacen(' ', "T", 1) };
    text.parse::<prost_types::Timestamp>().ok().map(|moment| moment.to_string())
}
