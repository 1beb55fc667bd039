//! From the parser's tree to a program: resolves names, and refuses what cannot work whatever the question is.
//!
//! The check is honest rather than clever: where a type depends on data it is `dyn`, and only the evaluation can tell.
//! Must not know: how a program is evaluated.

mod calls;
mod operators;

use super::names::{Kind, Name, Record, TOP, Type};
use super::node::{Literal, Node, Op};
use super::parse::{Parsed, Places};
use cel::common::ast::{EntryExpr, Expr, IdedExpr, LiteralValue, SelectExpr};

/// How deep operations may lie in each other.
const MAX_DEPTH: usize = 100;

/// Why a source is refused, and where, in characters.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) at: u32,
    pub(super) text: String,
}

type Result<T> = std::result::Result<T, Refusal>;

/// A node and what is known of its value.
type Typed = (Node, Type);

/// Checks a tree whose value has to be true or false.
pub(super) fn check(parsed: &Parsed) -> Result<Node> {
    let mut check = Check { places: &parsed.places, locals: Vec::new(), depth: 0 };
    let (node, kind) = check.node(&parsed.root)?;
    match kind.kind() {
        Kind::Bool | Kind::Dyn => Ok(node),
        other => Err(Refusal {
            at: node.at,
            text: format!(
                "the expression is {other}, and it has to be true or false; compare it with something"
            ),
        }),
    }
}

struct Check<'a> {
    places: &'a Places,
    /// The loops around, by the name of their element, from the outside.
    locals: Vec<(String, Type)>,
    depth: usize,
}

impl Check<'_> {
    fn refuse<T>(&self, expr: &IdedExpr, text: impl Into<String>) -> Result<T> {
        Err(Refusal { at: self.places.of(expr.id), text: text.into() })
    }

    fn make(&self, expr: &IdedExpr, op: Op) -> Node {
        Node { at: self.places.of(expr.id), op }
    }

    fn node(&mut self, expr: &IdedExpr) -> Result<Typed> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            let text = format!(
                "operations lie more than {MAX_DEPTH} deep in each other; write lists, or split the expression into several policies"
            );
            return self.refuse(expr, text);
        }
        let made = self.inner(expr);
        self.depth -= 1;
        made
    }

    fn inner(&mut self, expr: &IdedExpr) -> Result<Typed> {
        match &expr.expr {
            Expr::Literal(literal) => self.literal(expr, literal),
            Expr::Ident(name) => {
                if let Some(depth) = self.locals.iter().rposition(|(local, _)| local == name)
                    && let Some((_, element)) = self.locals.get(depth)
                {
                    return Ok((self.make(expr, Op::Local(depth)), element.clone()));
                }
                match self.name(expr)? {
                    Some(name) => self.named(expr, name),
                    None => {
                        let names = TOP
                            .iter()
                            .map(|(name, _)| *name)
                            .chain(self.locals.iter().map(|(name, _)| name.as_str()));
                        let text = format!("`{name}` is not known; {}", choose(name, names));
                        self.refuse(expr, text)
                    }
                }
            }
            Expr::Select(select) => match self.name(expr)? {
                Some(name) => self.named(expr, name),
                None => {
                    let (operand, kind) = self.map_operand(expr, select)?;
                    let op = Op::Select(Box::new(operand), select.field.as_str().into());
                    Ok((self.make(expr, op), kind))
                }
            },
            Expr::Call(call) => self.call(expr, call),
            Expr::List(list) => {
                let mut elements = Vec::with_capacity(list.elements.len());
                let mut kind: Option<Type> = None;
                for element in &list.elements {
                    let (node, element) = self.node(element)?;
                    elements.push(node);
                    kind = Some(kind.map_or(element.clone(), |kind| join(kind, element)));
                }
                let kind = Type::list(kind.unwrap_or(Type::Dyn));
                Ok((self.make(expr, Op::List(elements.into())), kind))
            }
            Expr::Map(map) => {
                let mut entries = Vec::with_capacity(map.entries.len());
                let mut kind: Option<Type> = None;
                for entry in &map.entries {
                    let EntryExpr::MapEntry(entry) = &entry.expr else {
                        return self.refuse(expr, "a map has keys and values, as in `{\"a\": 1}`");
                    };
                    let (key, key_kind) = self.node(&entry.key)?;
                    if !matches!(key_kind.kind(), Kind::Bool | Kind::Int | Kind::String | Kind::Dyn) {
                        let text = format!(
                            "a key cannot be {}; use text, whole numbers, true or false",
                            key_kind.kind()
                        );
                        return self.refuse(&entry.key, text);
                    }
                    let (value, value_kind) = self.node(&entry.value)?;
                    entries.push((key, value));
                    kind = Some(kind.map_or(value_kind.clone(), |kind| join(kind, value_kind)));
                }
                let kind = Type::map(kind.unwrap_or(Type::Dyn));
                Ok((self.make(expr, Op::Map(entries.into())), kind))
            }
            Expr::Struct(record) => {
                let text = format!(
                    "there are no messages such as `{}`; write a map, as in `{{\"a\": 1}}`",
                    record.type_name
                );
                self.refuse(expr, text)
            }
            Expr::Comprehension(_) | Expr::Unspecified => {
                self.refuse(expr, "this cannot be evaluated; write it in another way")
            }
        }
    }

    fn literal(&self, expr: &IdedExpr, literal: &LiteralValue) -> Result<Typed> {
        let (literal, kind) = match literal {
            LiteralValue::Null => (Literal::Null, Type::Null),
            LiteralValue::Boolean(value) => (Literal::Bool(*value.inner()), Type::Bool),
            LiteralValue::Int(value) => (Literal::Int(*value.inner()), Type::Int),
            LiteralValue::Double(value) => (Literal::Double(*value.inner()), Type::Double),
            LiteralValue::String(value) => (Literal::String(value.inner().into()), Type::String),
            LiteralValue::UInt(_) => {
                return self.refuse(expr, "unsigned numbers are not offered; leave out the `u`");
            }
            LiteralValue::Bytes(_) => {
                return self.refuse(expr, "bytes are not offered; leave out the `b` to write text");
            }
        };
        Ok((self.make(expr, Op::Literal(literal)), kind))
    }

    /// What a path of names stands for; nothing for what is not one of the names in scope.
    fn name(&self, expr: &IdedExpr) -> Result<Option<Name>> {
        match &expr.expr {
            Expr::Ident(name) if self.locals.iter().all(|(local, _)| local != name) => {
                Ok(TOP.iter().find(|(known, _)| known == name).map(|(_, name)| *name))
            }
            Expr::Select(select) => match self.name(&select.operand)? {
                Some(Name::Record(record)) => self.field(expr, record, &select.field).map(Some),
                _ => Ok(None),
            },
            _ => Ok(None),
        }
    }

    fn field(&self, expr: &IdedExpr, record: Record, field: &str) -> Result<Name> {
        match record.fields().iter().find(|(known, _)| *known == field) {
            Some((_, name)) => Ok(*name),
            None => {
                let fields = record.fields().iter().map(|(name, _)| *name);
                let text = format!("`{}` has no field `{field}`; {}", record.path(), choose(field, fields));
                self.refuse(expr, text)
            }
        }
    }

    fn named(&self, expr: &IdedExpr, name: Name) -> Result<Typed> {
        match name {
            Name::Field(field) => Ok((self.make(expr, Op::Field(field)), field.value_type())),
            Name::Record(record) => {
                let fields: Vec<_> = record.fields().iter().map(|(name, _)| *name).collect();
                let text = format!(
                    "`{}` is no value by itself; write one of its fields: {}",
                    record.path(),
                    fields.join(", ")
                );
                self.refuse(expr, text)
            }
        }
    }

    /// The operand of `a.b`, and the type of its values.
    fn map_operand(&mut self, expr: &IdedExpr, select: &SelectExpr) -> Result<Typed> {
        let (operand, kind) = self.node(&select.operand)?;
        let kind = match kind {
            Type::Map(value) => *value,
            Type::Dyn => Type::Dyn,
            other => {
                let text =
                    format!("a value of type {} has no field `{}`; leave it out", other.kind(), select.field);
                return self.refuse(expr, text);
            }
        };
        Ok((operand, kind))
    }

    /// A condition: true, false, or not known before it is evaluated.
    fn condition(&mut self, expr: &IdedExpr) -> Result<Node> {
        let (node, kind) = self.node(expr)?;
        match kind.kind() {
            Kind::Bool | Kind::Dyn => Ok(node),
            other => {
                let text =
                    format!("true or false is needed here, and this is {other}; compare it with something");
                self.refuse(expr, text)
            }
        }
    }
}

/// A type for values of both.
fn join(a: Type, b: Type) -> Type {
    if a == b { a } else { Type::Dyn }
}

/// What could have been meant: the nearest name, or all of them.
fn choose<'a>(wrong: &str, names: impl Iterator<Item = &'a str> + Clone) -> String {
    const MAX_DISTANCE: usize = 2;
    let near = names
        .clone()
        .map(|name| (strsim::damerau_levenshtein(name, &wrong.to_lowercase()), name))
        .filter(|(distance, _)| *distance <= MAX_DISTANCE)
        .min();
    match near {
        Some((_, name)) => format!("did you mean `{name}`?"),
        None => format!("what there is: {}", names.collect::<Vec<_>>().join(", ")),
    }
}
