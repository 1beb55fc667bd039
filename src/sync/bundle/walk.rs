//! Walks a YAML tree along the description of a message: checks names and types with their lines, all in one go, and
//! gives the JSON mapping, of which the message is then made by its own reader.
//!
//! Must not know: which message it is.

use super::super::origin::{FileProblem, Origin};
use super::super::yaml::{Content, Node, Scalar};
use crate::proto;
use crate::proto::value::MAX_DEPTH;
use prost::Message;
use prost_reflect::{EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value as Json};
use std::collections::HashMap;
use std::sync::Arc;

/// Reads one message.
///
/// # Errors
/// Everything that is wrong with it.
pub fn message<M: Message + Default>(
    node: &Node,
    name: &str,
    file: &Arc<str>,
) -> Result<M, Vec<FileProblem>> {
    let mut walker = Walker::new(file);
    let Some(description) = proto::describe(name) else {
        return Err(walker.failed(node.line, "the schema is not available"));
    };
    let json = walker.message(node, &description, "");
    match json {
        Some(json) if walker.problems.is_empty() => {
            proto::from_json(name, json).map_err(|error| walker.failed(node.line, &error))
        }
        _ => Err(walker.problems),
    }
}

/// A walk through one file.
pub(super) struct Walker<'a> {
    file: &'a Arc<str>,
    pub(super) problems: Vec<FileProblem>,
}

impl<'a> Walker<'a> {
    pub(super) const fn new(file: &'a Arc<str>) -> Self {
        Self { file, problems: Vec::new() }
    }

    pub(super) fn problem(&mut self, line: usize, message: String) {
        self.problems.push(FileProblem { origin: Origin { file: Arc::clone(self.file), line }, message });
    }

    pub(super) fn failed(mut self, line: usize, message: &str) -> Vec<FileProblem> {
        self.problem(line, message.to_owned());
        self.problems
    }

    /// Notes that something else is written than what is expected at a place.
    pub(super) fn wrong_type(&mut self, node: &Node, place: &str, expected: &str) {
        let message = match &node.tag {
            Some(tag) => format!(
                "{place}: the tag `{tag}` has no meaning in a bundle; if this is an authentik blueprint, give it as one"
            ),
            None => {
                format!("{place}: expected {expected}, found {}{}", node.describe(), hint(node, expected))
            }
        };
        self.problem(node.line, message);
    }

    /// The entries of a mapping with the fields that they are; what is null is as if it were not there.
    pub(super) fn fields<'n>(
        &mut self,
        node: &'n Node,
        description: &MessageDescriptor,
        path: &str,
    ) -> Vec<(FieldDescriptor, &'n Node)> {
        let Content::Mapping(entries) = &node.content else { return Vec::new() };
        let mut found: Vec<(FieldDescriptor, &Node)> = Vec::with_capacity(entries.len());
        let mut chosen: HashMap<String, String> = HashMap::new();
        for (key, value) in entries {
            let Some(name) = key.text() else {
                self.wrong_type(key, &place(path, "key"), "the name of a field");
                continue;
            };
            let field =
                description.get_field_by_name(name).or_else(|| description.get_field_by_json_name(name));
            let Some(field) = field else {
                self.problem(key.line, format!("{}: {}", place(path, name), unknown(name, description)));
                continue;
            };
            if value.tag.is_none() && value.scalar() == Some(Scalar::Null) {
                continue;
            }
            // Both spellings of one field, snake_case and lowerCamelCase.
            if found.iter().any(|(other, _)| *other == field) {
                self.problem(
                    key.line,
                    format!("{}: stands twice, in two spellings; remove one", place(path, name)),
                );
                continue;
            }
            if let Some(oneof) = field.containing_oneof().filter(|oneof| !oneof.is_synthetic())
                && let Some(other) = chosen.insert(oneof.name().to_owned(), field.name().to_owned())
            {
                let message =
                    format!("{}: `{other}` is set already; set only one of them", place(path, name));
                self.problem(key.line, message);
                continue;
            }
            found.push((field, value));
        }
        found
    }

    pub(super) fn message(
        &mut self,
        node: &Node,
        description: &MessageDescriptor,
        path: &str,
    ) -> Option<Json> {
        let short_form = match (description.name(), &node.content) {
            _ if node.tag.is_some() => None,
            ("DummyMessages" | "ExpectedMessages", Content::Sequence(_)) => Some("texts"),
            ("RacEndpointRef", Content::Scalar { .. }) => Some("id"),
            _ => None,
        };
        if let Some(field) = short_form.and_then(|name| description.get_field_by_name(name)) {
            let value = self.value(node, &field, path)?;
            return Some(Json::Object([(field.name().to_owned(), value)].into_iter().collect()));
        }
        match description.full_name() {
            "google.protobuf.Struct" => {
                if node.tag.is_none() && matches!(node.content, Content::Mapping(_)) {
                    return self.data(node, path, 1);
                }
                self.wrong_type(node, &place(path, ""), "a mapping");
                return None;
            }
            "google.protobuf.Value" => return self.data(node, path, 1),
            "google.protobuf.Timestamp" => return self.timestamp(node, path),
            "google.protobuf.Duration" => return self.duration(node, path),
            _ => {}
        }
        if node.tag.is_some() || !matches!(node.content, Content::Mapping(_)) {
            self.wrong_type(node, &place(path, ""), "a mapping");
            return None;
        }
        let before = self.problems.len();
        let mut object = Map::new();
        for (field, value) in self.fields(node, description, path) {
            let path = place(path, field.name());
            if let Some(json) = self.field(value, &field, &path) {
                object.insert(field.name().to_owned(), json);
            }
        }
        (self.problems.len() == before).then_some(Json::Object(object))
    }

    /// A field with all its values.
    fn field(&mut self, node: &Node, field: &FieldDescriptor, path: &str) -> Option<Json> {
        if field.is_map() {
            let Content::Mapping(entries) = &node.content else {
                self.wrong_type(node, path, "a mapping");
                return None;
            };
            let Kind::Message(entry) = field.kind() else { return None };
            let kind = entry.map_entry_value_field();
            let mut object = Map::new();
            for (key, value) in entries {
                let name = key.text().unwrap_or_default().to_owned();
                let value = self.value(value, &kind, &place(path, &name))?;
                object.insert(name, value);
            }
            return Some(Json::Object(object));
        }
        if !field.is_list() {
            return self.value(node, field, path);
        }
        self.list(node, field, path)
    }

    fn list(&mut self, node: &Node, field: &FieldDescriptor, path: &str) -> Option<Json> {
        let Content::Sequence(items) = &node.content else {
            self.wrong_type(node, path, "a list");
            return None;
        };
        let before = self.problems.len();
        let values: Vec<Json> = items
            .iter()
            .enumerate()
            .filter_map(|(index, item)| self.single(item, field, &format!("{path}[{index}]")))
            .collect();
        (self.problems.len() == before).then_some(Json::Array(values))
    }

    /// One value of a field, or all of them for a list.
    pub(super) fn value(&mut self, node: &Node, field: &FieldDescriptor, path: &str) -> Option<Json> {
        if field.is_list() { self.list(node, field, path) } else { self.single(node, field, path) }
    }

    fn single(&mut self, node: &Node, field: &FieldDescriptor, path: &str) -> Option<Json> {
        let kind = field.kind();
        if let Kind::Message(description) = &kind {
            return self.message(node, description, path);
        }
        let scalar = if node.tag.as_deref().is_none_or(|tag| tag == "!!str") { node.scalar() } else { None };
        let (expected, json) = match (&kind, scalar) {
            (Kind::String, Some(Scalar::Text(text))) => return Some(Json::from(text)),
            (Kind::Bool, Some(Scalar::Bool(truth))) => return Some(Json::from(truth)),
            (Kind::Double | Kind::Float, Some(Scalar::Float(number))) => return Some(Json::from(number)),
            (Kind::Double | Kind::Float, Some(Scalar::Int(number))) => return Some(Json::from(number)),
            (Kind::Enum(members), Some(scalar)) => return self.member(node, members, &scalar, path),
            (Kind::String, _) => ("a text", None),
            (Kind::Bool, _) => ("true or false", None),
            (Kind::Double | Kind::Float, _) => ("a number", None),
            (Kind::Enum(_), _) => ("one of its names", None),
            (_, Some(Scalar::Int(number))) => ("a whole number", Some(number)),
            // The JSON mapping writes 64-bit numbers as texts.
            (_, Some(Scalar::Text(text))) => ("a whole number", text.parse().ok()),
            _ => ("a whole number", None),
        };
        let Some(number) = json else {
            self.wrong_type(node, path, expected);
            return None;
        };
        let (least, most) = match kind {
            Kind::Uint32 | Kind::Fixed32 => (0, i64::from(u32::MAX)),
            Kind::Uint64 | Kind::Fixed64 => (0, i64::MAX),
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => (i64::from(i32::MIN), i64::from(i32::MAX)),
            _ => (i64::MIN, i64::MAX),
        };
        if (least..=most).contains(&number) {
            return Some(Json::from(number));
        }
        self.problem(node.line, format!("{path}: {number} is out of range; it must be {least} to {most}"));
        None
    }

    /// A member of an enumeration: by its full name, or without the prefix, in any case.
    fn member(
        &mut self,
        node: &Node,
        members: &EnumDescriptor,
        scalar: &Scalar<'_>,
        path: &str,
    ) -> Option<Json> {
        // `none` and `off` are texts here, whatever they may mean elsewhere.
        let text = match scalar {
            Scalar::Int(_) | Scalar::Float(_) | Scalar::Null => "",
            _ => node.text().unwrap_or_default(),
        };
        let found = members.values().find(|member| {
            let name = member.name();
            name == text || short_name(members, name).eq_ignore_ascii_case(text)
        });
        if let Some(member) = found {
            return Some(Json::from(member.name()));
        }
        let names: Vec<String> = members
            .values()
            .filter(|member| member.number() != 0)
            .map(|member| short_name(members, member.name()).to_ascii_lowercase())
            .collect();
        let written = node.text().unwrap_or_default();
        self.problem(
            node.line,
            format!("{path}: `{written}` is not allowed; write one of {}", names.join(", ")),
        );
        None
    }

    fn timestamp(&mut self, node: &Node, path: &str) -> Option<Json> {
        let text = node.text().filter(|_| node.tag.is_none()).unwrap_or_default();
        match text.parse::<prost_types::Timestamp>() {
            Ok(moment) => Some(Json::from(moment.to_string())),
            Err(_) => {
                let message = format!("{path}: `{text}` is no moment; write it like 2030-12-31T23:59:59Z");
                self.problem(node.line, message);
                None
            }
        }
    }

    fn duration(&mut self, node: &Node, path: &str) -> Option<Json> {
        let text = node.text().filter(|_| node.tag.is_none()).unwrap_or_default();
        let seconds = text.strip_suffix('s').unwrap_or(text);
        match format!("{seconds}s").parse::<prost_types::Duration>() {
            Ok(duration) => Some(Json::from(duration.to_string())),
            Err(_) => {
                self.problem(
                    node.line,
                    format!("{path}: `{text}` is no duration; write seconds, like 30s or 0.5s"),
                );
                None
            }
        }
    }

    /// Free data.
    fn data(&mut self, node: &Node, path: &str, depth: usize) -> Option<Json> {
        if depth > MAX_DEPTH {
            self.problem(node.line, format!("{path}: is nested deeper than {MAX_DEPTH} levels; flatten it"));
            return None;
        }
        if node.tag.as_deref().is_some_and(|tag| tag != "!!str") {
            self.wrong_type(node, path, "free data");
            return None;
        }
        Some(match &node.content {
            Content::Scalar { .. } => match node.scalar()? {
                Scalar::Null => Json::Null,
                Scalar::Bool(truth) => Json::from(truth),
                Scalar::Int(number) => Json::from(number),
                Scalar::Float(number) => Json::from(number),
                Scalar::Text(text) => Json::from(text),
            },
            Content::Sequence(items) => {
                let items = items
                    .iter()
                    .enumerate()
                    .map(|(index, item)| self.data(item, &format!("{path}[{index}]"), depth + 1));
                Json::Array(items.collect::<Option<_>>()?)
            }
            Content::Mapping(entries) => {
                let mut object = Map::new();
                for (key, value) in entries {
                    let Some(name) = key.text() else {
                        self.wrong_type(key, &place(path, "key"), "a text");
                        return None;
                    };
                    object.insert(name.to_owned(), self.data(value, &place(path, name), depth + 1)?);
                }
                Json::Object(object)
            }
        })
    }
}

fn place(path: &str, name: &str) -> String {
    match (path, name) {
        (path, "") if path.is_empty() => "the document".to_owned(),
        (path, "") => path.to_owned(),
        ("", name) => name.to_owned(),
        (path, name) => format!("{path}.{name}"),
    }
}

/// What to do about a value of another type, where there is something simple.
fn hint(node: &Node, expected: &str) -> &'static str {
    match node.scalar() {
        Some(Scalar::Bool(_) | Scalar::Int(_) | Scalar::Float(_)) if expected == "a text" => {
            "; put it in quotes"
        }
        Some(Scalar::Text(_)) if expected == "true or false" || expected.ends_with("number") => {
            "; write it without quotes"
        }
        _ => "",
    }
}

fn unknown(name: &str, description: &MessageDescriptor) -> String {
    let names: Vec<String> = description.fields().map(|field| field.name().to_owned()).collect();
    let nearest = names
        .iter()
        .map(|candidate| (strsim::damerau_levenshtein(candidate, name), candidate))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len() / 4);
    match nearest {
        Some((_, nearest)) => format!("there is no such field; did you mean `{nearest}`?"),
        None => format!("there is no such field; the fields are {}", names.join(", ")),
    }
}

/// A member's name without the prefix that all members share: `ANY` for `POLICY_ENGINE_MODE_ANY`.
pub(super) fn short_name<'n>(members: &EnumDescriptor, name: &'n str) -> &'n str {
    let mut prefix = String::new();
    for (index, letter) in members.name().chars().enumerate() {
        if index > 0 && letter.is_ascii_uppercase() {
            prefix.push('_');
        }
        prefix.push(letter.to_ascii_uppercase());
    }
    name.strip_prefix(prefix.as_str()).and_then(|rest| rest.strip_prefix('_')).unwrap_or(name)
}
