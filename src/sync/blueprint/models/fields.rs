//! Reads an object's fields by type, gathering everything that is wrong.
//!
//! Must not know: which resource the fields become.

use super::kind::Kind;
use super::{OWN_KEYS, text_of};
use crate::proto::v1;
use crate::sync::blueprint::value::{Missing, ObjectId, Value};
use crate::sync::blueprint::world::{Object, World};
use crate::sync::origin::{FileProblem, Origin};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What is to be said about the objects.
#[derive(Debug, Default)]
pub(super) struct Notes {
    pub(super) problems: Vec<FileProblem>,
    pub(super) warnings: Vec<FileProblem>,
}

/// Where a reference leads.
#[derive(Debug)]
pub(super) enum Reference {
    /// To an object.
    Object(ObjectId),
    /// To a key that no object has.
    Key(String),
    /// Nowhere.
    Missing(Arc<Missing>),
}

/// The fields of one object.
pub(super) struct Fields<'w, 'n> {
    pub(super) world: &'w World,
    pub(super) object: &'w Object,
    pub(super) notes: &'n mut Notes,
}

/// Other names under which a binding may know the key of its target.
const TARGET_KEYS: &[&str] = &["policybindingmodel_ptr", "policybindingmodel_ptr_id"];

impl<'w> Fields<'w, '_> {
    /// The value of a field; nothing for null.
    pub(super) fn value(&self, name: &str) -> Option<&'w Value> {
        self.object.fields.get(name).map(|field| &field.value).filter(|value| !matches!(value, Value::Null))
    }

    /// Where a field was written, or its object.
    pub(super) fn origin(&self, name: &str) -> Origin {
        self.object.fields.get(name).map_or(&self.object.origin, |field| &field.origin).clone()
    }

    /// Notes what is wrong with a field.
    pub(super) fn wrong(&mut self, name: &str, message: impl AsRef<str>) {
        let message = format!("`{name}`: {}", message.as_ref());
        self.notes.problems.push(FileProblem { origin: self.origin(name), message });
    }

    /// Notes something about a field that does no harm.
    pub(super) fn warn(&mut self, name: &str, message: impl AsRef<str>) {
        let message = format!("`{name}`: {}", message.as_ref());
        self.notes.warnings.push(FileProblem { origin: self.origin(name), message });
    }

    /// The value of a field that cannot be null. A tag that gives nothing must not turn into the default unnoticed: it
    /// may stand where somebody is kept out.
    fn given(&mut self, name: &str, wanted: &str) -> Option<&'w Value> {
        let value = self.object.fields.get(name).map(|field| &field.value)?;
        if value.is_null() {
            self.wrong(name, format!("null is not {wanted}; write one, or leave the field out"));
            return None;
        }
        Some(value)
    }

    fn wrong_type(&mut self, name: &str, value: &Value, wanted: &str) {
        let shown = match value {
            Value::Text(text) if text.chars().count() <= 40 => format!("`{text}`"),
            other => other.describe().to_owned(),
        };
        self.wrong(name, format!("{shown} is not {wanted}; correct it"));
    }

    /// A text; a number counts as its text.
    pub(super) fn optional_text(&mut self, name: &str) -> Option<String> {
        match self.value(name)? {
            Value::Missing(_) => None,
            Value::Text(text) => Some(text.to_string()),
            number @ (Value::Int(_) | Value::Float(_)) => number.plain(),
            other => {
                self.wrong_type(name, other, "text");
                None
            }
        }
    }

    /// A text that may be empty.
    pub(super) fn text(&mut self, name: &str) -> String {
        self.optional_text(name).unwrap_or_default()
    }

    /// A text that is needed.
    pub(super) fn name(&mut self, name: &str) -> String {
        let problems = self.notes.problems.len();
        let text = self.text(name);
        if text.is_empty() && self.notes.problems.len() == problems {
            self.wrong(name, "missing; it is required");
        }
        text
    }

    /// True or false, also as text, as the environment has it.
    pub(super) fn boolean(&mut self, name: &str) -> Option<bool> {
        match self.given(name, "true or false")? {
            Value::Bool(truth) => Some(*truth),
            Value::Text(text) if text.eq_ignore_ascii_case("true") || **text == *"1" => Some(true),
            Value::Text(text) if text.eq_ignore_ascii_case("false") || **text == *"0" => Some(false),
            Value::Int(1) => Some(true),
            Value::Int(0) => Some(false),
            other => {
                self.wrong_type(name, other, "true or false");
                None
            }
        }
    }

    /// A whole number of some type, also as text.
    pub(super) fn number<T: TryFrom<i64>>(&mut self, name: &str) -> Option<T> {
        let value = self.given(name, "a whole number")?;
        let number = match value {
            Value::Int(number) => Some(*number),
            Value::Text(text) => text.parse().ok(),
            _ => None,
        };
        let Some(number) = number else {
            self.wrong_type(name, value, "a whole number");
            return None;
        };
        let fitting = T::try_from(number).ok();
        if fitting.is_none() {
            self.wrong(name, format!("{number} is out of range; correct it"));
        }
        fitting
    }

    /// A span in whole seconds.
    pub(super) fn seconds(&mut self, name: &str) -> Option<prost_types::Duration> {
        let seconds = self.number::<u32>(name)?;
        Some(prost_types::Duration { seconds: seconds.into(), nanos: 0 })
    }

    /// A moment, or a day's beginning.
    pub(super) fn moment(&mut self, name: &str) -> Option<prost_types::Timestamp> {
        let value = self.value(name)?;
        let moment = match value {
            Value::Missing(_) => return None,
            Value::Text(text) => text.parse().ok(),
            _ => None,
        };
        if moment.is_none() {
            self.wrong_type(name, value, "a moment such as 2026-06-30T00:00:00Z");
        }
        moment
    }

    /// When the object ends, where it ends at all.
    pub(super) fn expires(&mut self) -> Option<prost_types::Timestamp> {
        let expiring = self.boolean("expiring");
        self.moment("expires").filter(|_| expiring != Some(false))
    }

    /// Free data.
    pub(super) fn data(&mut self, name: &str) -> Option<prost_types::Struct> {
        match self.value(name)? {
            Value::Missing(_) => None,
            Value::Map(entries) => Some(self.struct_of(entries)),
            other => {
                self.wrong_type(name, other, "a mapping");
                None
            }
        }
    }

    /// Free data from entries.
    pub(super) fn struct_of(&self, entries: &BTreeMap<String, Value>) -> prost_types::Struct {
        prost_types::Struct {
            fields: entries.iter().map(|(key, value)| (key.clone(), self.data_of(value))).collect(),
        }
    }

    fn data_of(&self, value: &Value) -> prost_types::Value {
        use prost_types::value::Kind as Data;
        let kind = match value {
            Value::Null | Value::Missing(_) => Data::NullValue(0),
            Value::Bool(truth) => Data::BoolValue(*truth),
            Value::Int(number) => Data::NumberValue(*number as f64),
            Value::Float(number) => Data::NumberValue(*number),
            Value::Text(text) => Data::StringValue(text.to_string()),
            Value::List(items) => Data::ListValue(prost_types::ListValue {
                values: items.iter().map(|item| self.data_of(item)).collect(),
            }),
            Value::Map(entries) => Data::StructValue(self.struct_of(entries)),
            Value::Object(id) => Data::StringValue(super::reference_to(self.world, *id).unwrap_or_default()),
        };
        prost_types::Value { kind: Some(kind) }
    }

    /// The items of a list.
    pub(super) fn list(&mut self, name: &str) -> &'w [Value] {
        match self.value(name) {
            None | Some(Value::Missing(_)) => &[],
            Some(Value::List(items)) => items,
            Some(other) => {
                self.wrong_type(name, other, "a list");
                &[]
            }
        }
    }

    /// One of several words.
    pub(super) fn choice(&mut self, name: &str, choices: &[(&str, i32)]) -> i32 {
        let words: Vec<_> = choices.iter().map(|(word, _)| *word).collect();
        let words = words.join(", ");
        if self.given(name, &format!("one of {words}")).is_none() {
            return 0;
        }
        let Some(text) = self.optional_text(name) else { return 0 };
        if let Some((_, number)) = choices.iter().find(|(word, _)| *word == text) {
            return *number;
        }
        self.wrong(name, format!("`{text}` is not known; write one of {words}"));
        0
    }

    /// How bindings combine.
    pub(super) fn mode(&mut self) -> i32 {
        use v1::PolicyEngineMode::{All, Any};
        self.choice("policy_engine_mode", &[("any", Any.into()), ("all", All.into())])
    }

    /// The id, where the file gives one: the same key that references go by.
    pub(super) fn id(&mut self) -> String {
        let given = OWN_KEYS.iter().find(|name| text_of(self.object, name).is_some());
        self.text(given.unwrap_or(&"pk"))
    }

    /// Where a field leads; nothing when it is not set.
    pub(super) fn reference(&mut self, name: &str, wanted: impl Fn(Kind) -> bool) -> Option<Reference> {
        let value = self.value(name)?;
        self.lead(name, value, wanted)
    }

    /// Where a value of a field leads. Nothing: to nothing, or it is wrong, and then this is noted.
    pub(super) fn lead(
        &mut self,
        name: &str,
        value: &'w Value,
        wanted: impl Fn(Kind) -> bool,
    ) -> Option<Reference> {
        match value {
            Value::Null => None,
            Value::Missing(missing) => Some(Reference::Missing(Arc::clone(missing))),
            Value::Object(id) => Some(Reference::Object(*id)),
            Value::Text(_) | Value::Int(_) => {
                let suits = |object: &Object| object.alive && Kind::of(&object.model).is_some_and(&wanted);
                let found =
                    OWN_KEYS.iter().chain(TARGET_KEYS).find_map(|key| self.world.holding(key, value, suits));
                Some(
                    found
                        .map_or_else(|| Reference::Key(value.plain().unwrap_or_default()), Reference::Object),
                )
            }
            other => {
                self.wrong_type(name, other, "a reference");
                None
            }
        }
    }

    /// An object that this one cannot do without. Nothing: it is not there; this is noted, as a warning where the
    /// object was removed, since authentik then removes this one as well.
    pub(super) fn needed(&mut self, name: &str, wanted: impl Fn(Kind) -> bool + Copy) -> Option<ObjectId> {
        match self.reference(name, wanted) {
            None => {
                if self.value(name).is_none() {
                    self.wrong(name, "missing; it is required");
                }
                None
            }
            Some(Reference::Object(id)) => self.alive(name, id).then_some(id),
            Some(Reference::Key(key)) => {
                self.wrong(name, no_key(&key));
                None
            }
            Some(Reference::Missing(missing)) => {
                self.wrong(name, missing.describe());
                None
            }
        }
    }

    /// Whether an object is there; otherwise what refers to it is left out, which is noted.
    pub(super) fn alive(&mut self, name: &str, id: ObjectId) -> bool {
        let alive = self.world.object(id).is_some_and(|object| object.alive);
        if !alive {
            self.warn(name, "what it refers to is removed by an entry of state absent; left out with it");
        }
        alive
    }

    /// Notes that an object is not of the kind that belongs here.
    pub(super) fn wrong_kind(&mut self, name: &str, id: ObjectId, wanted: &str) {
        let model = self.world.object(id).map_or("", |object| &object.model);
        self.wrong(name, format!("this is of model {model} and not a {wanted}; correct the reference"));
    }
}

/// What to say of a key that no object has.
pub(super) fn no_key(key: &str) -> String {
    format!("no entry with pk `{key}` was found; add the file that has it, or use `!Find` with a name")
}
