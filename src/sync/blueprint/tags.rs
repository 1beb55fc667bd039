//! authentik's YAML tags: what they stand for.
//!
//! Must not know: which entry a value belongs to.

use super::super::yaml::{Content, Node, Scalar};
use super::world::{Stage, World};
use serde_json::Value as Json;

/// A value of a blueprint.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    List(Vec<Value>),
    Map(Vec<(String, Value)>),
    /// An object of this or another file.
    Object(usize),
    /// What a `!Find` did not find: counts as null, but remembers what was looked for.
    Missing {
        what: String,
        field: String,
        value: String,
    },
}

/// What a value may look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// Nothing yet, and no problem is told: it will be looked at again.
    Quiet,
    /// Objects whose entries stand before, as conditions do.
    Settled,
    /// Objects of every file.
    Everything,
}

impl Value {
    pub(super) fn is_truthy(&self) -> bool {
        match self {
            Self::Null | Self::Missing { .. } => false,
            Self::Bool(truth) => *truth,
            Self::Int(number) => *number != 0,
            Self::Float(number) => *number != 0.0,
            Self::Text(text) => !text.is_empty(),
            Self::List(items) => !items.is_empty(),
            Self::Map(entries) => !entries.is_empty(),
            Self::Object(_) => true,
        }
    }

    /// As a text, for comparisons and formatting.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Null | Self::Missing { .. } => "None".to_owned(),
            Self::Bool(true) => "True".to_owned(),
            Self::Bool(false) => "False".to_owned(),
            Self::Int(number) => number.to_string(),
            Self::Float(number) => number.to_string(),
            Self::Text(text) => text.clone(),
            other => other.to_json().to_string(),
        }
    }

    pub(super) fn loosely_equals(&self, other: &Self) -> bool {
        self == other
            || matches!((self, other), (Self::Int(_), Self::Text(_)) | (Self::Text(_), Self::Int(_)))
                && self.describe() == other.describe()
    }

    pub(super) fn to_json(&self) -> Json {
        match self {
            Self::Null | Self::Missing { .. } => Json::Null,
            Self::Bool(truth) => Json::from(*truth),
            Self::Int(number) => Json::from(*number),
            Self::Float(number) => Json::from(*number),
            Self::Text(text) => Json::from(text.as_str()),
            Self::List(items) => items.iter().map(Self::to_json).collect(),
            Self::Map(entries) => {
                Json::Object(entries.iter().map(|(name, value)| (name.clone(), value.to_json())).collect())
            }
            Self::Object(index) => Json::from(format!("object {index}")),
        }
    }

    pub(super) fn from_json(json: &Json) -> Self {
        match json {
            Json::Null => Self::Null,
            Json::Bool(truth) => Self::Bool(*truth),
            Json::Number(number) => {
                number.as_i64().map_or_else(|| Self::Float(number.as_f64().unwrap_or_default()), Self::Int)
            }
            Json::String(text) => Self::Text(text.clone()),
            Json::Array(items) => Self::List(items.iter().map(Self::from_json).collect()),
            Json::Object(entries) => Self::Map(
                entries.iter().map(|(name, value)| (name.clone(), Self::from_json(value))).collect(),
            ),
        }
    }
}

/// What `!Enumerate` is at, innermost last.
type Loops = Vec<(Value, Value)>;

/// Evaluates a node of a file.
pub(super) fn evaluate(world: &mut World<'_>, file: usize, node: &Node, scope: Scope) -> Value {
    Evaluation { world, file, scope, loops: Vec::new() }.value(node)
}

struct Evaluation<'w, 'a> {
    world: &'w mut World<'a>,
    file: usize,
    scope: Scope,
    loops: Loops,
}

impl Evaluation<'_, '_> {
    fn problem(&mut self, line: usize, message: String) -> Value {
        if self.scope != Scope::Quiet
            && let Some(name) = self.world.files.get(self.file).map(|file| file.name.clone())
        {
            self.world.problem(&name, line, message);
        }
        Value::Null
    }

    fn value(&mut self, node: &Node) -> Value {
        if self.world.budget == 0 {
            return Value::Null;
        }
        self.world.budget -= 1;
        if self.world.budget == 0 {
            self.scope = Scope::Everything;
            return self.problem(
                node.line,
                "the tags of all files produce too many values; enumerate less".to_owned(),
            );
        }
        match node.tag.as_deref() {
            None | Some("!!str") => self.plain(node),
            Some(tag) => self.tagged(tag, node),
        }
    }

    fn plain(&mut self, node: &Node) -> Value {
        match &node.content {
            Content::Sequence(items) => Value::List(items.iter().map(|item| self.value(item)).collect()),
            Content::Mapping(entries) => Value::Map(
                entries
                    .iter()
                    .map(|(key, value)| (key.text().unwrap_or_default().to_owned(), self.value(value)))
                    .collect(),
            ),
            Content::Scalar { .. } => match node.scalar() {
                None | Some(Scalar::Null) => Value::Null,
                Some(Scalar::Bool(truth)) => Value::Bool(truth),
                Some(Scalar::Int(number)) => Value::Int(number),
                Some(Scalar::Float(number)) => Value::Float(number),
                Some(Scalar::Text(text)) => Value::Text(text.to_owned()),
            },
        }
    }

    fn tagged(&mut self, tag: &str, node: &Node) -> Value {
        match tag {
            "!KeyOf" => self.key_of(node),
            "!Find" | "!FindObject" => self.find(tag, node),
            "!Context" => self.with_default(tag, node, |this, name| this.context(name)),
            "!Env" => {
                self.with_default(tag, node, |this, name| (this.world.options.env)(name).map(Value::Text))
            }
            "!File" => {
                self.with_default(tag, node, |this, name| (this.world.options.file)(name).map(Value::Text))
            }
            "!Format" => self.format(node),
            "!If" => self.choose(node),
            "!Condition" => self.condition(node),
            "!Enumerate" => self.enumerate(node),
            "!Index" => self.of_loop(tag, node, |(index, _)| index.clone()),
            "!Value" => self.of_loop(tag, node, |(_, value)| value.clone()),
            "!AtIndex" => self.at_index(node),
            "!ParseJSON" => self.parse_json(node),
            other => self.problem(
                node.line,
                format!("the tag `{other}` is not known; use authentik's tags, such as !KeyOf or !Find"),
            ),
        }
    }

    /// The arguments of a tag: the items of its list, or its one scalar.
    fn arguments<'n>(&mut self, tag: &str, node: &'n Node, least: usize) -> Option<&'n [Node]> {
        match &node.content {
            Content::Sequence(items) if items.len() >= least => Some(items),
            _ => {
                self.problem(
                    node.line,
                    format!("{tag} needs a list of at least {least} values; write {tag} [...]"),
                );
                None
            }
        }
    }

    fn key_of(&mut self, node: &Node) -> Value {
        let id = node.text().unwrap_or_default();
        match self.world.files.get(self.file).and_then(|file| file.ids.get(id)) {
            Some(index) => Value::Object(self.world.resolve(*index)),
            None => self.problem(
                node.line,
                format!(
                    "!KeyOf `{id}`: no entry of this file has that id; add one, or use !Find for another file"
                ),
            ),
        }
    }

    fn find(&mut self, tag: &str, node: &Node) -> Value {
        let Some([model, wanted @ ..]) = self.arguments(tag, node, 2) else { return Value::Null };
        let model = self.value(model).describe().to_lowercase();
        let mut pairs = Vec::new();
        for pair in wanted {
            let Content::Sequence(items) = &pair.content else {
                return self.problem(
                    pair.line,
                    format!("{tag} needs pairs of field and value; write [field, value]"),
                );
            };
            let [field, value] = items.as_slice() else {
                return self.problem(
                    pair.line,
                    format!("{tag} needs pairs of field and value; write [field, value]"),
                );
            };
            pairs.push((self.value(field).describe(), self.value(value)));
        }
        if self.scope == Scope::Quiet {
            return Value::Null;
        }
        let settled_only = self.scope == Scope::Settled;
        let world = &*self.world;
        let matches = |object: &super::world::Object| {
            let there = match object.stage {
                Stage::Present => true,
                Stage::Expected => !settled_only,
                Stage::Same(_) | Stage::Absent => false,
            };
            there
                && object.model == model
                && pairs.iter().all(|(field, value)| looked_up(world, object, field, value))
        };
        if let Some(index) = world.objects.iter().position(matches) {
            return Value::Object(index);
        }
        let text = |(field, value): &(String, Value)| format!("{field} `{}`", value.describe());
        let what = format!("{model} with {}", pairs.iter().map(text).collect::<Vec<_>>().join(" and "));
        let (field, value) = pairs.first().map(|(f, v)| (f.clone(), v.describe())).unwrap_or_default();
        Value::Missing { what, field, value }
    }

    fn context(&mut self, name: &str) -> Option<Value> {
        if let Some(json) = self.world.options.context.get(name) {
            return Some(Value::from_json(json));
        }
        let node = self.world.files.get(self.file)?.context.as_ref()?.get(name)?.clone();
        // A context value may have tags, but not look at the context again without end.
        Some(if node.tag.as_deref() == Some("!Context") { Value::Null } else { self.value(&node) })
    }

    /// A tag over a name, or over a name and a default.
    fn with_default(
        &mut self,
        tag: &str,
        node: &Node,
        look: impl FnOnce(&mut Self, &str) -> Option<Value>,
    ) -> Value {
        let (name, default) = match &node.content {
            Content::Sequence(items) => match items.as_slice() {
                [name] => (name, None),
                [name, default] => (name, Some(default)),
                _ => return self.problem(node.line, format!("{tag} takes a name, or [name, default]")),
            },
            _ => (node, None),
        };
        let name = name.text().unwrap_or_default().to_owned();
        match (look(self, &name), default) {
            (Some(value), _) => value,
            (None, Some(default)) => self.value(default),
            (None, None) => Value::Null,
        }
    }

    /// Percent formatting with %s, %d and %%.
    fn format(&mut self, node: &Node) -> Value {
        let Some([pattern, rest @ ..]) = self.arguments("!Format", node, 1) else { return Value::Null };
        let pattern = self.value(pattern).describe();
        let values: Vec<String> = rest.iter().map(|item| self.value(item).describe()).collect();
        let mut values = values.into_iter();
        let mut out = String::new();
        let mut letters = pattern.chars();
        while let Some(letter) = letters.next() {
            if letter != '%' {
                out.push(letter);
                continue;
            }
            match letters.next() {
                Some('%') => out.push('%'),
                Some('s' | 'd') => match values.next() {
                    Some(value) => out.push_str(&value),
                    None => {
                        return self
                            .problem(node.line, "!Format has fewer values than places; add some".to_owned());
                    }
                },
                other => {
                    let text = format!("!Format knows %s, %d and %%, not `%{}`", other.unwrap_or(' '));
                    return self.problem(node.line, text);
                }
            }
            if out.len() > 1 << 16 {
                return self.problem(
                    node.line,
                    "!Format gives a text of more than 65536 bytes; shorten it".to_owned(),
                );
            }
        }
        Value::Text(out)
    }

    fn choose(&mut self, node: &Node) -> Value {
        let Some(items) = self.arguments("!If", node, 1) else { return Value::Null };
        let items = items.to_vec();
        match items.as_slice() {
            [condition] => Value::Bool(self.value(condition).is_truthy()),
            [condition, yes] => {
                if self.value(condition).is_truthy() {
                    self.value(yes)
                } else {
                    Value::Null
                }
            }
            [condition, yes, no, ..] => {
                if self.value(condition).is_truthy() {
                    self.value(yes)
                } else {
                    self.value(no)
                }
            }
            [] => Value::Null,
        }
    }

    fn condition(&mut self, node: &Node) -> Value {
        let Some([operator, rest @ ..]) = self.arguments("!Condition", node, 2) else { return Value::Null };
        let operator = operator.text().unwrap_or_default().to_uppercase();
        let truths: Vec<bool> = rest.iter().map(|item| self.value(item).is_truthy()).collect();
        let (all, any) = (truths.iter().all(|truth| *truth), truths.iter().any(|truth| *truth));
        let odd = truths.iter().filter(|truth| **truth).count() % 2 == 1;
        Value::Bool(match operator.as_str() {
            "AND" => all,
            "NAND" => !all,
            "OR" => any,
            "NOR" => !any,
            "XOR" => odd,
            "XNOR" => !odd,
            other => {
                let text =
                    format!("!Condition `{other}` is not allowed; write AND, NAND, OR, NOR, XOR or XNOR");
                return self.problem(node.line, text);
            }
        })
    }

    fn enumerate(&mut self, node: &Node) -> Value {
        let Some([over, kind, template]) = self.arguments("!Enumerate", node, 3) else { return Value::Null };
        let pairs: Vec<(Value, Value)> = match self.value(over) {
            Value::List(items) => {
                items.into_iter().zip(0..).map(|(item, index)| (Value::Int(index), item)).collect()
            }
            Value::Map(entries) => {
                entries.into_iter().map(|(name, value)| (Value::Text(name), value)).collect()
            }
            Value::Null | Value::Missing { .. } => Vec::new(),
            _ => return self.problem(over.line, "!Enumerate goes over a list or a mapping".to_owned()),
        };
        let as_map = kind.text() == Some("MAP");
        let mut items = Vec::new();
        for pair in pairs {
            self.loops.push(pair);
            items.push(self.value(template));
            self.loops.pop();
        }
        if !as_map {
            return Value::List(items);
        }
        let mut entries = Vec::new();
        for item in items {
            match item {
                Value::List(mut pair) if pair.len() == 2 => {
                    let value = pair.pop().unwrap_or(Value::Null);
                    entries.push((pair.pop().unwrap_or(Value::Null).describe(), value));
                }
                _ => {
                    return self.problem(
                        template.line,
                        "!Enumerate to MAP needs a template of [name, value]".to_owned(),
                    );
                }
            }
        }
        Value::Map(entries)
    }

    fn of_loop(&mut self, tag: &str, node: &Node, part: impl FnOnce(&(Value, Value)) -> Value) -> Value {
        let depth = node.text().and_then(|text| text.parse::<usize>().ok());
        let place = depth.and_then(|depth| self.loops.len().checked_sub(depth + 1));
        match place.and_then(|place| self.loops.get(place)) {
            Some(pair) => part(pair),
            None => {
                self.problem(node.line, format!("{tag} names no !Enumerate around it; 0 is the innermost"))
            }
        }
    }

    fn at_index(&mut self, node: &Node) -> Value {
        let Some([collection, key, rest @ ..]) = self.arguments("!AtIndex", node, 2) else {
            return Value::Null;
        };
        let (collection, key) = (self.value(collection), self.value(key));
        let found = match (&collection, &key) {
            (Value::List(items), Value::Int(index)) => {
                usize::try_from(*index).ok().and_then(|i| items.get(i)).cloned()
            }
            (Value::Map(entries), key) => {
                let name = key.describe();
                entries.iter().find(|(candidate, _)| *candidate == name).map(|(_, value)| value.clone())
            }
            (Value::Object(index), key) => {
                let object = self.world.objects.get(self.world.resolve(*index));
                object.and_then(|object| object.field(&key.describe())).cloned()
            }
            _ => None,
        };
        match (found, rest) {
            (Some(value), _) => value,
            (None, [default, ..]) => self.value(default),
            (None, []) if self.scope == Scope::Quiet => Value::Null,
            (None, []) => self.problem(
                node.line,
                format!("!AtIndex finds nothing at `{}`; correct it, or give a default", key.describe()),
            ),
        }
    }

    fn parse_json(&mut self, node: &Node) -> Value {
        let text = node.text().unwrap_or_default();
        match serde_json::from_str::<Json>(text) {
            Ok(json) => Value::from_json(&json),
            Err(error) => self.problem(node.line, format!("!ParseJSON: not valid JSON: {error}")),
        }
    }
}

/// Whether an object's field is the value, by the look-ups that blueprints use.
fn looked_up(world: &World<'_>, object: &super::world::Object, field: &str, value: &Value) -> bool {
    let (name, lookup) = field.split_once("__").unwrap_or((field, "exact"));
    let name = if name == "uuid" { "pk" } else { name };
    let Some(own) = object.field(name) else { return matches!(value, Value::Null) && lookup == "exact" };
    match (lookup, value) {
        ("iexact", value) => own.describe().to_lowercase() == value.describe().to_lowercase(),
        ("in", Value::List(values)) => values.iter().any(|value| world.equal(own, value)),
        ("exact", value) => world.equal(own, value),
        _ => false,
    }
}
