//! Walks a YAML tree along the description of a message: checks names and types with their lines, all in one go, and
//! gives the JSON mapping, of which the message is then made by its own reader.
//!
//! Must not know: which message it is.

use super::super::origin::{FileProblem, Origin};
use super::super::yaml::{Content, Node, Scalar};
use super::{scalar, short_form, shown};
use crate::proto;
use prost::Message;
use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor, OneofDescriptor};
use serde_json::{Map, Value as Json};
use std::fmt;
use std::sync::Arc;

/// How many problems of one document are told; more are only counted.
pub(in super::super) const MAX_PROBLEMS: usize = 1_000;

/// Lists and mappings inside one another in free data. Decoders of protobuf stop at 100 levels, of which a mapping
/// takes three; this leaves room for what a message is wrapped in on its way.
const FREE_DEPTH: usize = proto::value::MAX_DEPTH;

/// Reads one message, such as a `bindery.v1.TestCase`.
///
/// # Errors
/// Everything that is wrong with it, each with its line and what to do.
pub fn message<M: Message + Default>(
    node: &Node,
    name: &str,
    file: &Arc<str>,
) -> Result<M, Vec<FileProblem>> {
    let mut walker = Walker::new(file);
    let Some(description) = proto::describe(name) else {
        walker.problem(node.line, format!("the schema has no `{name}`; report this"));
        return Err(walker.finish());
    };
    let json = walker.message(node, &description, Path::Root);
    if let Some(json) = json.filter(|_| walker.count == 0) {
        match proto::from_json(name, json) {
            Ok(message) => return Ok(message),
            Err(error) => walker.problem(node.line, format!("{}: {error}", Path::Root)),
        }
    }
    Err(walker.finish())
}

/// Where in a document the walk is; told only when something is wrong there.
#[derive(Clone, Copy)]
pub(super) enum Path<'p> {
    Root,
    Field(&'p Self, &'p str),
    Item(&'p Self, usize),
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => f.write_str("the document"),
            Self::Field(Self::Root, name) => f.write_str(&shown(name)),
            Self::Field(before, name) => write!(f, "{before}.{}", shown(name)),
            Self::Item(before, index) => write!(f, "{before}[{index}]"),
        }
    }
}

/// A walk through one document.
pub(super) struct Walker<'a> {
    file: &'a Arc<str>,
    problems: Vec<FileProblem>,
    /// All problems, also those that are not told.
    pub(super) count: usize,
}

impl<'a> Walker<'a> {
    pub(super) const fn new(file: &'a Arc<str>) -> Self {
        Self { file, problems: Vec::new(), count: 0 }
    }

    pub(super) fn problem(&mut self, line: usize, message: String) {
        self.count += 1;
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(FileProblem { origin: Origin { file: Arc::clone(self.file), line }, message });
        }
    }

    /// What was found wrong, in the order of lines.
    pub(super) fn finish(mut self) -> Vec<FileProblem> {
        let more = self.count - self.problems.len();
        self.problems.sort_by_key(|problem| problem.origin.line);
        if let Some(last) = self.problems.last().filter(|_| more > 0) {
            let message = format!("{more} more problems follow; mend these first");
            self.problems.push(FileProblem { origin: last.origin.clone(), message });
        }
        self.problems
    }

    /// Whether a node has no tag; one that has is a problem. `!!str` only says that a scalar is a text.
    pub(super) fn untagged(&mut self, node: &Node, path: Path<'_>) -> bool {
        let Some(tag) = node.tag.as_deref() else { return true };
        if tag == "!!str" && matches!(node.content, Content::Scalar { .. }) {
            return true;
        }
        self.problem(
            node.line,
            format!(
                "{path}: the tag `{}` has no meaning here; write the value itself, or, if this is an authentik \
                 blueprint, keep it in a file of its own",
                shown(tag)
            ),
        );
        false
    }

    /// The result of reading a scalar, with the place of what is wrong with it.
    fn told(&mut self, line: usize, path: Path<'_>, result: Result<Json, String>) -> Option<Json> {
        result.map_err(|message| self.problem(line, format!("{path}: {message}"))).ok()
    }

    /// The items of a list.
    pub(super) fn items<'n>(&mut self, node: &'n Node, path: Path<'_>) -> &'n [Node] {
        if !self.untagged(node, path) {
            return &[];
        }
        let Content::Sequence(items) = &node.content else {
            self.problem(node.line, format!("{path}: {}", scalar::expected(node, "a list")));
            return &[];
        };
        items
    }

    /// The text of a key; anything else is a problem.
    fn key<'n>(&mut self, key: &'n Node, path: Path<'_>) -> Option<&'n str> {
        if !self.untagged(key, path) {
            return None;
        }
        if let Some(Scalar::Text(text)) = key.scalar() {
            return Some(text);
        }
        let message = match key.text() {
            Some(text) => {
                format!(
                    "{path}: the key `{}` is {}, not a text; put it in quotes",
                    shown(text),
                    key.describe()
                )
            }
            None => format!("{path}: a key is {}, not a text; write a text", key.describe()),
        };
        self.problem(key.line, message);
        None
    }

    /// The entries of a mapping with the fields that they are; what is null is as if it were not there.
    pub(super) fn fields<'n>(
        &mut self,
        node: &'n Node,
        description: &MessageDescriptor,
        path: Path<'_>,
    ) -> Vec<(FieldDescriptor, &'n Node)> {
        let Content::Mapping(entries) = &node.content else { return Vec::new() };
        let mut found: Vec<(FieldDescriptor, &Node)> = Vec::with_capacity(entries.len());
        let mut chosen: Vec<(OneofDescriptor, &str)> = Vec::new();
        for (key, value) in entries {
            let Some(name) = self.key(key, path) else { continue };
            let place = Path::Field(&path, name);
            let field =
                description.get_field_by_name(name).or_else(|| description.get_field_by_json_name(name));
            let Some(field) = field else {
                self.problem(
                    key.line,
                    format!("{place}: there is no such field; {}", instead(name, description)),
                );
                continue;
            };
            if value.tag.is_none() && value.scalar() == Some(Scalar::Null) {
                continue;
            }
            // Both spellings of one field, snake_case and lowerCamelCase.
            if found.iter().any(|(other, _)| *other == field) {
                let message =
                    format!("{place}: stands here already as `{}`; remove one", other_spelling(name, &field));
                self.problem(key.line, message);
                continue;
            }
            if let Some(oneof) = field.containing_oneof().filter(|oneof| !oneof.is_synthetic()) {
                if let Some((_, other)) = chosen.iter().find(|(earlier, _)| *earlier == oneof) {
                    let message = format!("{place}: cannot be set together with `{other}`; remove one");
                    self.problem(key.line, message);
                    continue;
                }
                chosen.push((oneof, name));
            }
            found.push((field, value));
        }
        found
    }

    /// A message. Nothing when it has a problem that leaves nothing of it.
    pub(super) fn message(
        &mut self,
        node: &Node,
        description: &MessageDescriptor,
        path: Path<'_>,
    ) -> Option<Json> {
        if !self.untagged(node, path) {
            return None;
        }
        match description.full_name() {
            "google.protobuf.Struct" if !matches!(node.content, Content::Mapping(_)) => {
                let message = format!("{path}: {}", scalar::expected(node, "a mapping"));
                self.problem(node.line, message);
                return None;
            }
            "google.protobuf.Struct" | "google.protobuf.Value" => return self.free(node, path, 0),
            "google.protobuf.Timestamp" => return self.told(node.line, path, scalar::timestamp(node)),
            "google.protobuf.Duration" => return self.told(node.line, path, scalar::duration(node)),
            _ => {}
        }
        let Content::Mapping(_) = &node.content else {
            let short = short_form(description)
                .filter(|field| field.is_list() == matches!(node.content, Content::Sequence(_)));
            let Some(field) = short else {
                let message = format!("{path}: {}", scalar::expected(node, &mapping(description)));
                self.problem(node.line, message);
                return None;
            };
            let value = self.field(node, &field, path)?;
            return Some(object([(field.name().to_owned(), value)]));
        };
        let mut object = Map::new();
        for (field, value) in self.fields(node, description, path) {
            if let Some(json) = self.field(value, &field, Path::Field(&path, field.name())) {
                object.insert(field.name().to_owned(), json);
            }
        }
        Some(Json::Object(object))
    }

    /// A field with all its values.
    fn field(&mut self, node: &Node, field: &FieldDescriptor, path: Path<'_>) -> Option<Json> {
        if field.is_list() {
            let items = self.items(node, path).iter().enumerate();
            return Some(Json::Array(
                items
                    .filter_map(|(index, item)| self.single(item, field, Path::Item(&path, index)))
                    .collect(),
            ));
        }
        if !field.is_map() {
            return self.single(node, field, path);
        }
        if !self.untagged(node, path) {
            return None;
        }
        let (Content::Mapping(entries), Kind::Message(entry)) = (&node.content, field.kind()) else {
            self.problem(node.line, format!("{path}: {}", scalar::expected(node, "a mapping")));
            return None;
        };
        let kind = entry.map_entry_value_field();
        let mut object = Map::new();
        for (key, value) in entries {
            let Some(name) = self.key(key, path) else { continue };
            if let Some(json) = self.single(value, &kind, Path::Field(&path, name)) {
                object.insert(name.to_owned(), json);
            }
        }
        Some(Json::Object(object))
    }

    /// One value of a field.
    pub(super) fn single(&mut self, node: &Node, field: &FieldDescriptor, path: Path<'_>) -> Option<Json> {
        let kind = field.kind();
        if let Kind::Message(description) = &kind {
            return self.message(node, description, path);
        }
        if !self.untagged(node, path) {
            return None;
        }
        self.told(node.line, path, scalar::value(node, &kind))
    }

    /// Free data.
    fn free(&mut self, node: &Node, path: Path<'_>, depth: usize) -> Option<Json> {
        if !self.untagged(node, path) {
            return None;
        }
        if depth >= FREE_DEPTH && !matches!(node.content, Content::Scalar { .. }) {
            // The path to here is as long as it is deep, and says no more than the line.
            self.problem(
                node.line,
                format!("free data is nested deeper than {FREE_DEPTH} levels; flatten it"),
            );
            return None;
        }
        match &node.content {
            Content::Scalar { .. } => self.told(node.line, path, scalar::free(node)),
            Content::Sequence(items) => {
                let items = items.iter().enumerate();
                let read = |(index, item)| self.free(item, Path::Item(&path, index), depth + 1);
                Some(Json::Array(items.filter_map(read).collect()))
            }
            Content::Mapping(entries) => {
                let mut object = Map::new();
                for (key, value) in entries {
                    let Some(name) = self.key(key, path) else { continue };
                    if let Some(json) = self.free(value, Path::Field(&path, name), depth + 1) {
                        object.insert(name.to_owned(), json);
                    }
                }
                Some(Json::Object(object))
            }
        }
    }
}

/// A JSON object.
pub(super) fn object<const N: usize>(entries: [(String, Json); N]) -> Json {
    Json::Object(entries.into_iter().collect())
}

/// The other spelling of a field's name than the one that is written.
fn other_spelling<'f>(written: &str, field: &'f FieldDescriptor) -> &'f str {
    if written == field.name() { field.json_name() } else { field.name() }
}

/// What a message looks like, with its fields if they are few.
fn mapping(description: &MessageDescriptor) -> String {
    let names: Vec<String> = description.fields().map(|field| format!("`{}`", field.name())).collect();
    match names.split_last() {
        Some((last, [])) => format!("a mapping with {last}"),
        Some((last, before)) if names.len() <= 3 => format!("a mapping with {} or {last}", before.join(", ")),
        _ => "a mapping".to_owned(),
    }
}

/// What could be meant by an unknown field.
fn instead(name: &str, description: &MessageDescriptor) -> String {
    // Comparing costs the product of the lengths, and nobody misspells that many letters.
    let nearest = description
        .fields()
        .filter(|_| name.len() <= 64)
        .map(|field| (strsim::damerau_levenshtein(field.name(), name), field))
        .filter(|(distance, field)| *distance <= 1 + field.name().len() / 4)
        .min_by_key(|(distance, _)| *distance);
    match nearest {
        Some((_, field)) => format!("did you mean `{}`?", field.name()),
        None => {
            let names: Vec<String> =
                description.fields().map(|field| format!("`{}`", field.name())).collect();
            format!("the fields are {}", names.join(", "))
        }
    }
}
