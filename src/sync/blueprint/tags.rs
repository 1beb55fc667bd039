//! Evaluates YAML with blueprint tags to values, within limits.
//!
//! Must not know: which objects there are (it asks), what a model means.

mod collection;
mod scalar;

use super::value::{Missing, ObjectId, Value};
use crate::sync::yaml::{Content, Node, Scalar};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Every tag that is known.
pub(super) const KNOWN: &[&str] = &[
    "!KeyOf",
    "!Find",
    "!FindObject",
    "!Context",
    "!Env",
    "!File",
    "!Format",
    "!If",
    "!Condition",
    "!Enumerate",
    "!Index",
    "!Value",
    "!AtIndex",
    "!ParseJSON",
];

/// The deepest a value may be, and evaluation may go.
const MAX_DEPTH: usize = 64;
/// The most values that all tags together may produce.
const MAX_PRODUCED: usize = 1_000_000;

/// Whether a tag is known; `!!str` is YAML's own.
pub(super) fn is_known(tag: &str) -> bool {
    tag == "!!str" || KNOWN.contains(&tag)
}

/// Whether a node evaluates the same whatever objects there are.
pub(super) fn is_local(node: &Node) -> bool {
    if matches!(node.tag.as_deref(), Some("!KeyOf" | "!Find" | "!FindObject")) {
        return false;
    }
    match &node.content {
        Content::Scalar { .. } => true,
        Content::Sequence(items) => items.iter().all(is_local),
        Content::Mapping(entries) => entries.iter().all(|(key, value)| is_local(key) && is_local(value)),
    }
}

/// What is wrong, and the line.
#[derive(Debug)]
pub(super) struct Wrong {
    pub(super) line: usize,
    pub(super) message: String,
}

/// One field and how it is compared.
#[derive(Debug)]
pub(super) struct Pair {
    /// The field's name.
    pub(super) field: String,
    /// The comparison.
    pub(super) lookup: Lookup,
    /// The value to compare with.
    pub(super) value: Value,
}

/// How a lookup compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lookup {
    /// Equal.
    Exact,
    /// Equal but for upper and lower case.
    IgnoreCase,
    /// Equal to one of a list.
    In,
}

/// What an evaluation asks of its surroundings.
pub(super) trait Surroundings {
    /// The object of an entry of the same file.
    fn key_of(&mut self, id: &str) -> Result<Value, String>;
    /// The first object that matches.
    fn find(&mut self, model: &str, pairs: &[Pair]) -> Option<ObjectId>;
    /// What an object holds.
    fn serialize(&self, object: ObjectId) -> Value;
    /// A value of the context.
    fn context(&self, key: &str) -> Option<Value>;
    /// A variable of the environment.
    fn env(&self, name: &str) -> Option<String>;
    /// The text of a file.
    fn file(&self, name: &str) -> Option<String>;
}

/// Counts what tags produce over all files.
#[derive(Debug, Default)]
pub(super) struct Budget {
    produced: usize,
}

/// One evaluation.
pub(super) struct Evaluation<'a, S> {
    around: &'a mut S,
    budget: &'a mut Budget,
    depth: usize,
    /// Of every `!Enumerate` around, innermost last: index or key, and value.
    loops: Vec<(Value, Value)>,
}

type Evaluated = Result<Value, Wrong>;

impl<'a, S: Surroundings> Evaluation<'a, S> {
    pub(super) const fn new(around: &'a mut S, budget: &'a mut Budget) -> Self {
        Self { around, budget, depth: 0, loops: Vec::new() }
    }

    /// The value of a node.
    pub(super) fn value(&mut self, node: &Node) -> Evaluated {
        if self.depth >= MAX_DEPTH {
            return Err(wrong(node, format!("nested deeper than {MAX_DEPTH} levels; flatten it")));
        }
        self.depth += 1;
        // What stands in the file is bounded with the file; what a loop makes of it is not.
        let counted = if self.loops.is_empty() { Ok(()) } else { self.charge(node, 1) };
        let value = counted.and_then(|()| match node.tag.as_deref() {
            None | Some("!!str") => self.plain(node),
            Some(tag) => self.tag(tag, node),
        });
        self.depth -= 1;
        value
    }

    fn plain(&mut self, node: &Node) -> Evaluated {
        match &node.content {
            Content::Scalar { text, .. } => {
                if !self.loops.is_empty() {
                    self.charge(node, text.len() / 32)?;
                }
                Ok(match node.scalar() {
                    Some(Scalar::Bool(truth)) => Value::Bool(truth),
                    Some(Scalar::Int(number)) => Value::Int(number),
                    Some(Scalar::Float(number)) => Value::Float(number),
                    Some(Scalar::Text(text)) => Value::text(text),
                    Some(Scalar::Null) | None => Value::Null,
                })
            }
            Content::Sequence(items) => {
                items.iter().map(|item| self.value(item)).collect::<Result<_, _>>().map(Value::List)
            }
            Content::Mapping(entries) => {
                let mut map = BTreeMap::new();
                for (key, value) in entries {
                    let name = self.key(key)?;
                    map.insert(name, self.value(value)?);
                }
                Ok(Value::Map(map))
            }
        }
    }

    /// A key of a mapping, as text.
    fn key(&mut self, node: &Node) -> Result<String, Wrong> {
        if node.tag.is_none()
            && let Some(text) = node.text()
        {
            return Ok(text.to_owned());
        }
        let value = self.value(node)?;
        self.as_key(node, &value)
    }

    fn as_key(&self, node: &Node, value: &Value) -> Result<String, Wrong> {
        value
            .plain()
            .filter(|_| !value.is_null())
            .ok_or_else(|| wrong(node, format!("a key is {}; it must be text", value.describe())))
    }

    fn tag(&mut self, tag: &str, node: &Node) -> Evaluated {
        match tag {
            "!KeyOf" => self.key_of(node),
            "!Find" => self.find(tag, node),
            "!FindObject" => self.find_object(tag, node),
            "!Context" => self.context(node),
            // As authentik reads them: an empty variable is none, and a file's outer white space is not meant.
            "!Env" => self.outside(node, |around, name| around.env(name).filter(|text| !text.is_empty())),
            "!File" => {
                self.outside(node, |around, name| around.file(name).map(|text| text.trim().to_owned()))
            }
            "!ParseJSON" => self.parse_json(node),
            "!Format" => self.format(node),
            "!If" => self.choose(node),
            "!Condition" => self.condition(node),
            "!Enumerate" => self.enumerate(node),
            "!Index" => self.of_loop(node, |(index, _)| index),
            "!Value" => self.of_loop(node, |(_, value)| value),
            "!AtIndex" => self.at_index(node),
            // Noted when the file's outline was read.
            _ => Err(wrong(node, format!("the tag `{tag}` is not known"))),
        }
    }

    /// Counts what was produced, against the limit of all files together.
    fn charge(&mut self, node: &Node, values: usize) -> Result<(), Wrong> {
        self.budget.produced = self.budget.produced.saturating_add(values);
        if self.budget.produced > MAX_PRODUCED {
            return Err(wrong(
                node,
                format!("tags produce more than {MAX_PRODUCED} values; make them fewer"),
            ));
        }
        Ok(())
    }

    /// A value that a tag took from elsewhere.
    fn produced(&mut self, node: &Node, value: Value) -> Evaluated {
        self.charge(node, value.size())?;
        if self.depth + value.depth() > MAX_DEPTH {
            return Err(wrong(node, format!("nested deeper than {MAX_DEPTH} levels; flatten it")));
        }
        Ok(value)
    }

    fn key_of(&mut self, node: &Node) -> Evaluated {
        let Some(id) = node.text() else {
            return Err(wrong(node, "`!KeyOf` takes the id of an entry, such as `!KeyOf flow`"));
        };
        self.around.key_of(id).map_err(|message| wrong(node, message))
    }

    fn find(&mut self, tag: &str, node: &Node) -> Evaluated {
        let usage =
            || format!("`{tag}` takes a model and pairs, such as `{tag} [app.model, [field, value]]`");
        let Some((model, pairs)) = list(node).and_then(<[Node]>::split_first) else {
            return Err(wrong(node, usage()));
        };
        let Value::Text(model) = self.value(model)? else { return Err(wrong(node, usage())) };
        let model = model.to_lowercase();
        if pairs.is_empty() || !model.contains('.') {
            return Err(wrong(node, usage()));
        }
        let pairs: Vec<Pair> = pairs.iter().map(|pair| self.pair(pair)).collect::<Result<_, _>>()?;
        if let Some(object) = self.around.find(&model, &pairs) {
            return Ok(Value::Object(object));
        }
        let pairs = pairs.into_iter().map(|pair| {
            let field = match pair.lookup {
                Lookup::Exact => pair.field,
                Lookup::IgnoreCase => format!("{}__iexact", pair.field),
                Lookup::In => format!("{}__in", pair.field),
            };
            (field, pair.value)
        });
        Ok(Value::Missing(Arc::new(Missing::Sought { model, pairs: pairs.collect() })))
    }

    fn pair(&mut self, node: &Node) -> Result<Pair, Wrong> {
        let Some([field, value]) = list(node) else {
            return Err(wrong(node, "a lookup is a pair, such as `[name, staff]`"));
        };
        let (name, value) = (self.key(field)?, self.value(value)?);
        let (field, lookup) = match name.rsplit_once("__") {
            None => (name.as_str(), Lookup::Exact),
            Some((field, "exact")) => (field, Lookup::Exact),
            Some((field, "iexact")) => (field, Lookup::IgnoreCase),
            Some((field, "in")) => (field, Lookup::In),
            Some(_) => {
                let message = format!("the lookup `{name}` is not known; use the field, __iexact or __in");
                return Err(wrong(field, message));
            }
        };
        if lookup == Lookup::In && !matches!(value, Value::List(_)) {
            return Err(wrong(node, format!("`{name}` takes a list, not {}", value.describe())));
        }
        Ok(Pair { field: field.to_owned(), lookup, value })
    }

    fn find_object(&mut self, tag: &str, node: &Node) -> Evaluated {
        match self.find(tag, node)? {
            Value::Object(object) => {
                let value = self.around.serialize(object);
                self.produced(node, value)
            }
            missing => Ok(missing),
        }
    }
}

/// The items of a list.
fn list(node: &Node) -> Option<&[Node]> {
    match &node.content {
        Content::Sequence(items) => Some(items),
        _ => None,
    }
}

fn wrong(node: &Node, message: impl Into<String>) -> Wrong {
    Wrong { line: node.line, message: message.into() }
}

#[cfg(test)]
mod tests;
