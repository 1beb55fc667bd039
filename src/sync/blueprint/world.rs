//! The objects of all files: found by their identifiers, put together from every entry about them.
//!
//! Must not know: what a model means.

use super::super::origin::{FileProblem, Origin};
use super::super::yaml::{Content, Node};
use super::Options;
use super::tags::{Scope, Value, evaluate};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// An entry as it was written.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) file: usize,
    pub(super) line: usize,
    pub(super) model: Node,
    pub(super) id: Option<String>,
    pub(super) state: Option<Node>,
    pub(super) conditions: Vec<Node>,
    pub(super) identifiers: Option<Node>,
    pub(super) attrs: Option<Node>,
}

/// A file with its context and the objects that its entries name.
#[derive(Debug)]
pub(super) struct File {
    pub(super) name: Arc<str>,
    pub(super) context: Option<Node>,
    pub(super) ids: HashMap<String, usize>,
}

/// Named values with the line where each was written.
pub(super) type Fields = BTreeMap<String, (Value, usize)>;

/// An object that entries describe. Each entry has one of its own at first; one that turns out to be about an object
/// that is there already leads to that one.
#[derive(Debug)]
pub(super) struct Object {
    pub(super) model: String,
    pub(super) origin: Origin,
    pub(super) identifiers: Fields,
    pub(super) attrs: Fields,
    pub(super) stage: Stage,
}

/// How far an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Its entry has not had its turn.
    Expected,
    /// It is there.
    Present,
    /// Its entry is about this other object.
    Same(usize),
    /// Left out by condition or state.
    Absent,
}

/// Everything that was read.
pub(super) struct World<'a> {
    pub(super) options: &'a Options<'a>,
    pub(super) files: Vec<File>,
    pub(super) entries: Vec<Entry>,
    /// The first ones belong to the entries, index for index.
    pub(super) objects: Vec<Object>,
    pub(super) problems: Vec<FileProblem>,
    /// How many values tags may still produce, over all files.
    pub(super) budget: usize,
}

/// The most values that the tags of all files may produce.
const BUDGET: usize = 2_000_000;

impl<'a> World<'a> {
    pub(super) fn new(options: &'a Options<'a>) -> Self {
        let (files, entries, objects, problems) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        World { options, files, entries, objects, problems, budget: BUDGET }
    }

    pub(super) fn problem(&mut self, file: &Arc<str>, line: usize, message: String) {
        self.problems.push(FileProblem { origin: Origin { file: Arc::clone(file), line }, message });
    }

    pub(super) fn problem_at(&mut self, origin: &Origin, line: usize, message: String) {
        self.problem(&Arc::clone(&origin.file), line, message);
    }

    pub(super) fn add_file(&mut self, name: &Arc<str>, context: Option<Node>) -> usize {
        self.files.push(File { name: Arc::clone(name), context, ids: HashMap::new() });
        self.files.len() - 1
    }

    pub(super) fn add_entry(&mut self, entry: Entry) {
        let index = self.entries.len();
        let Some(file) = self.files.get_mut(entry.file) else { return };
        let name = Arc::clone(&file.name);
        let twice = entry.id.clone().is_some_and(|id| file.ids.insert(id, index).is_some());
        if twice {
            let text = format!(
                "the id `{}` stands twice in this file; rename one",
                entry.id.as_deref().unwrap_or_default()
            );
            self.problem(&name, entry.line, text);
        }
        self.entries.push(entry);
    }

    fn name_of_file(&self, entry: &Entry) -> Arc<str> {
        self.files.get(entry.file).map_or_else(|| Arc::from(""), |file| Arc::clone(&file.name))
    }

    /// Evaluates all entries: first who they are, as far as that can be said without looking at others, then
    /// everything, in the order of the files.
    pub(super) fn settle(&mut self) {
        for index in 0..self.entries.len() {
            let Some(entry) = self.entries.get(index).cloned() else { continue };
            let origin = Origin { file: self.name_of_file(&entry), line: entry.line };
            let model = match self.evaluate(&entry, &entry.model, Scope::Quiet) {
                Value::Text(model) => model.to_lowercase(),
                _ => {
                    self.problem_at(
                        &origin,
                        entry.model.line,
                        "`model` is not a text; write app.model".to_owned(),
                    );
                    String::new()
                }
            };
            let identifiers = self.fields(&entry, entry.identifiers.as_ref(), Scope::Quiet);
            let object = Object { model, origin, identifiers, attrs: Fields::new(), stage: Stage::Expected };
            self.objects.push(object);
        }
        for index in 0..self.entries.len() {
            let Some(entry) = self.entries.get(index).cloned() else { continue };
            self.settle_entry(index, &entry);
        }
    }

    fn settle_entry(&mut self, index: usize, entry: &Entry) {
        let allowed =
            entry.conditions.iter().all(|node| self.evaluate(entry, node, Scope::Settled).is_truthy());
        if !allowed {
            return self.set_stage(index, Stage::Absent);
        }
        let identifiers = self.fields(entry, entry.identifiers.as_ref(), Scope::Everything);
        let state = match &entry.state {
            None => "present".to_owned(),
            Some(node) => match self.evaluate(entry, node, Scope::Everything) {
                Value::Text(state) => state,
                other => other.describe(),
            },
        };
        let Some(model) = self.objects.get(index).map(|object| object.model.clone()) else { return };
        let same = self.find_settled(&model, &identifiers);
        let file = self.name_of_file(entry);
        match (state.as_str(), same) {
            ("absent", Some(other)) => {
                self.set_stage(other, Stage::Absent);
                return self.set_stage(index, Stage::Absent);
            }
            ("absent", None) => return self.set_stage(index, Stage::Absent),
            ("must_created", Some(_)) => {
                self.problem(
                    &file,
                    entry.line,
                    "the object must be new, but an entry before describes it; remove one".to_owned(),
                );
            }
            ("created", Some(other)) => return self.set_stage(index, Stage::Same(other)),
            ("present" | "created" | "must_created", _) => {}
            (other, _) => {
                let text =
                    format!("state `{other}` is not allowed; write present, created, must_created or absent");
                return self.problem(&file, entry.line, text);
            }
        }
        let attrs = self.fields(entry, entry.attrs.as_ref(), Scope::Everything);
        let place = same.unwrap_or(index);
        if place != index {
            self.set_stage(index, Stage::Same(place));
        }
        if let Some(object) = self.objects.get_mut(place) {
            object.identifiers.extend(identifiers);
            object.attrs.extend(attrs);
            object.stage = Stage::Present;
        }
    }

    fn set_stage(&mut self, index: usize, stage: Stage) {
        if let Some(object) = self.objects.get_mut(index) {
            object.stage = stage;
        }
    }

    fn evaluate(&mut self, entry: &Entry, node: &Node, scope: Scope) -> Value {
        evaluate(self, entry.file, node, scope)
    }

    fn fields(&mut self, entry: &Entry, node: Option<&Node>, scope: Scope) -> Fields {
        let Some(node) = node else { return Fields::new() };
        if let (Content::Mapping(entries), None) = (&node.content, &node.tag) {
            let mut fields = Fields::new();
            for (key, value) in entries {
                let name = key.text().unwrap_or_default().to_owned();
                let value = self.evaluate(entry, value, scope);
                fields.insert(name, (value, key.line));
            }
            return fields;
        }
        match self.evaluate(entry, node, scope) {
            Value::Map(entries) => {
                entries.into_iter().map(|(name, value)| (name, (value, node.line))).collect()
            }
            _ => Fields::new(),
        }
    }

    /// The object with these identifiers that is there already.
    fn find_settled(&self, model: &str, identifiers: &Fields) -> Option<usize> {
        if identifiers.is_empty() {
            return None;
        }
        let same = |object: &Object| {
            object.stage == Stage::Present
                && object.model == model
                && identifiers
                    .iter()
                    .all(|(name, (value, _))| object.field(name).is_some_and(|own| self.equal(own, value)))
        };
        self.objects.iter().position(same)
    }

    /// The object that an index leads to in the end.
    pub(super) fn resolve(&self, mut index: usize) -> usize {
        // An entry leads to one that is there, which leads nowhere; the bound is for safety.
        for _ in 0..4 {
            match self.objects.get(index).map(|object| object.stage) {
                Some(Stage::Same(other)) => index = other,
                _ => break,
            }
        }
        index
    }

    /// Whether two values are the same, objects by identity.
    pub(super) fn equal(&self, a: &Value, b: &Value) -> bool {
        match (a, b) {
            (Value::Object(a), Value::Object(b)) => self.resolve(*a) == self.resolve(*b),
            (a, b) => a.loosely_equals(b),
        }
    }
}

impl Object {
    /// A field's value, as an attribute or else as an identifier; nothing for null.
    pub(super) fn field(&self, name: &str) -> Option<&Value> {
        self.placed(name).map(|(value, _)| value)
    }

    /// As [`Object::field`], with the line.
    pub(super) fn placed(&self, name: &str) -> Option<&(Value, usize)> {
        let given = |fields: &'_ Fields| fields.get(name).is_some_and(|(value, _)| *value != Value::Null);
        if given(&self.attrs) {
            self.attrs.get(name)
        } else {
            self.identifiers.get(name).filter(|(value, _)| *value != Value::Null)
        }
    }
}
