//! Turns the JSON of a program into a typed tree, or says where it is wrong.
//!
//! Must not know: how the tree is evaluated.

use super::address;
use super::kind::{Constant, Kind};
use super::operator::{self, Operator, Shape};
use super::program::{Action, Combine, Comparison, Node, Operand, Setter, Source};
use super::read::{Object, Place, advice, describe, shorten};
use super::time;
use super::variable::{Param, Reference, VARIABLES, Variable};
use crate::model::Value;

/// The version of the schema.
const VERSION: f64 = 2.0;
/// How deep actions and conditions may be nested.
const MAX_DEPTH: usize = 10;
/// How many actions and conditions there may be.
const MAX_NODES: usize = 200;
/// How many values a list may have.
const MAX_ITEMS: usize = 10_000;
/// How many keys a path may have.
const MAX_STEPS: usize = 32;
/// The longest key, path or message, in bytes.
const MAX_TEXT: usize = 4_096;
/// Where authentik's e-mail stage looks for another address.
const EMAIL_OVERRIDE: &str = "email";

/// The actions of a program. The error begins with the path of what is wrong.
pub(super) fn compile(program: &Value) -> Result<Box<[Action]>, String> {
    let root = Place::ROOT;
    if *program == Value::Null {
        return Err("missing; write a program with its `version` and its `actions`".to_owned());
    }
    let object = Object::new(program, &root)?;
    let version = root.field("version");
    match object.need("version")? {
        Value::Number(number) if *number == VERSION => {}
        other => return Err(version.wrong(format!("{} is not supported; write 2", describe(other)))),
    }
    object.only(&["version", "actions"])?;
    let actions = root.field("actions");
    let list = object.list("actions")?;
    if list.is_empty() {
        return Err(actions.wrong("empty; add at least one action"));
    }
    Compiler { nodes: 0 }.actions(list, &actions, 1)
}

struct Compiler {
    nodes: usize,
}

impl Compiler {
    fn count(&mut self, place: &Place<'_>, depth: usize) -> Result<(), String> {
        self.nodes += 1;
        if depth > MAX_DEPTH {
            return Err(place.wrong(format!("nested deeper than {MAX_DEPTH} levels; flatten it")));
        }
        if self.nodes > MAX_NODES {
            let message = format!("the program has more than {MAX_NODES} actions and conditions; split it");
            return Err(place.wrong(message));
        }
        Ok(())
    }

    fn actions(&mut self, list: &[Value], place: &Place<'_>, depth: usize) -> Result<Box<[Action]>, String> {
        let mut actions = Vec::new();
        for (index, action) in list.iter().enumerate() {
            actions.extend(self.action(action, &place.item(index), depth)?);
        }
        Ok(actions.into())
    }

    /// Nothing for an action that is not enabled, which has to be right all the same.
    fn action(&mut self, value: &Value, place: &Place<'_>, depth: usize) -> Result<Option<Action>, String> {
        self.count(place, depth)?;
        let object = Object::new(value, place)?;
        let kind = object.word("type", &["condition", "if", "set", "stop"])?;
        let condition = place.field("condition");
        let action = match kind {
            "condition" => {
                object.only(&["type", "enabled", "condition"])?;
                Action::Condition(self.node(object.need("condition")?, &condition, depth + 1)?)
            }
            "if" => {
                object.only(&["type", "enabled", "condition", "then_actions", "else_actions"])?;
                let (then, otherwise) = (place.field("then_actions"), place.field("else_actions"));
                Action::If {
                    condition: self.node(object.need("condition")?, &condition, depth + 1)?,
                    then: self.actions(object.list("then_actions")?, &then, depth + 1)?,
                    otherwise: self.actions(object.list("else_actions")?, &otherwise, depth + 1)?,
                }
            }
            "set" => {
                object.only(&["type", "enabled", "target", "value"])?;
                set(&object, place)?
            }
            _ => {
                object.only(&["type", "enabled", "result", "message"])?;
                let message = object.text("message")?.filter(|text| !text.is_empty());
                bounded(message.unwrap_or_default(), &place.field("message"))?;
                let passing = object.word("result", &["pass", "fail"])? == "pass";
                Action::Stop { passing, message: message.map(Into::into) }
            }
        };
        Ok(object.truth("enabled", true)?.then_some(action))
    }

    fn node(&mut self, value: &Value, place: &Place<'_>, depth: usize) -> Result<Node, String> {
        self.count(place, depth)?;
        let object = Object::new(value, place)?;
        match object.word("type", &["compare", "group", "policy"])? {
            "compare" => comparison(&object, place).map(Box::new).map(Node::Compare),
            "group" => {
                object.only(&["type", "op", "children"])?;
                let combine = match object.word("op", &["all", "any", "none"])? {
                    "all" => Combine::All,
                    "any" => Combine::Any,
                    _ => Combine::None,
                };
                let children = place.field("children");
                let list = object.list("children")?;
                if list.is_empty() {
                    return Err(children.wrong("empty; a group has at least one condition"));
                }
                let nodes = list.iter().enumerate();
                let nodes = nodes.map(|(index, node)| self.node(node, &children.item(index), depth + 1));
                Ok(Node::Group(combine, nodes.collect::<Result<_, _>>()?))
            }
            _ => {
                object.only(&["type", "policy"])?;
                let policy = object.need_text("policy")?;
                let field = place.field("policy");
                if policy.is_empty() {
                    return Err(field.wrong("empty; name a policy by its id or name"));
                }
                bounded(policy, &field)?;
                Ok(Node::Policy(policy.into()))
            }
        }
    }
}

fn comparison(object: &Object<'_, '_>, place: &Place<'_>) -> Result<Comparison, String> {
    object.only(&["type", "variable", "operator", "value", "options"])?;
    let variable = reference(object.need("variable")?, &place.field("variable"))?;
    let (name, field) = (object.need_text("operator")?, place.field("operator"));
    let kind = variable.kind;
    let found = Operator::ALL.iter().find(|(other, _)| *other == name).map(|(_, operator)| *operator);
    if kind == Kind::Any && found.is_none_or(|operator| !operator.is_presence()) {
        return Err(uncast(&variable, &place.field("variable")));
    }
    let Some(operator) = found.filter(|operator| operator.takes(kind)) else {
        let others: Vec<&str> =
            Operator::ALL.iter().filter(|(_, other)| other.takes(kind)).map(|(name, _)| *name).collect();
        let (name, others) = (shorten(name), others.join(", "));
        return Err(
            field.wrong(format!("`{name}` is no operator for values of kind {kind}; use one of {others}"))
        );
    };
    let (mut case_sensitive, mut negate) = (true, false);
    if let Some(options) = object.get("options") {
        let place = place.field("options");
        let options = Object::new(options, &place)?.only(&["case_sensitive", "negate"])?;
        case_sensitive = options.truth("case_sensitive", true)?;
        negate = options.truth("negate", false)?;
        if negate && !operator.can_negate() {
            let message = format!("`{name}` cannot be negated; use the operator that says the opposite");
            return Err(place.field("negate").wrong(message));
        }
    }
    let value = object.get("value");
    let operand = operand(value, &place.field("value"), operator, name, kind, case_sensitive)?;
    Ok(Comparison { variable, operator, operand, case_sensitive, negate })
}

/// The value of an operand as it is written.
enum Written<'a> {
    Literal(&'a Value),
    Variable(Reference),
}

fn written<'a>(value: &'a Value, place: &Place<'_>) -> Result<Written<'a>, String> {
    let object = Object::new(value, place)?;
    match object.word("type", &["literal", "variable"])? {
        "literal" => {
            object.only(&["type", "value"])?;
            // A null is a value here, if rarely one that fits.
            Ok(Written::Literal(object.get("value").unwrap_or(&Value::Null)))
        }
        _ => {
            object.only(&["type", "variable"])?;
            reference(object.need("variable")?, &place.field("variable")).map(Written::Variable)
        }
    }
}

fn operand(
    value: Option<&Value>,
    place: &Place<'_>,
    operator: Operator,
    name: &str,
    kind: Kind,
    case_sensitive: bool,
) -> Result<Operand, String> {
    let shape = operator.shape();
    let Some(value) = value else {
        return match (shape, operator) {
            (Shape::Nothing, Operator::IsUrl) => {
                operator::url().map(Box::new).map(Operand::Pattern).map_err(|error| place.wrong(error))
            }
            (Shape::Nothing, _) => Ok(Operand::Nothing),
            _ => Err(place.wrong(format!("missing; `{name}` needs one to compare with"))),
        };
    };
    if shape == Shape::Nothing {
        return Err(place.wrong(format!("`{name}` compares with nothing; leave the value out")));
    }
    let item = match kind {
        Kind::List(item) => *item,
        kind => kind,
    };
    match written(value, place)? {
        Written::Literal(value) => literal(value, &place.field("value"), shape, item, case_sensitive),
        Written::Variable(reference) => {
            let place = place.field("variable");
            if reference.kind == Kind::Any {
                return Err(uncast(&reference, &place));
            }
            let (fits, wanted) = match shape {
                Shape::Same | Shape::Item => (item.accepts(reference.kind), item.to_string()),
                Shape::ListOfSame | Shape::ListOfItem | Shape::Range => {
                    let fits = matches!(reference.kind, Kind::List(other) if item.accepts(*other));
                    (fits, format!("list of {item}"))
                }
                Shape::Number => (reference.kind == Kind::Number, Kind::Number.to_string()),
                Shape::Pattern => (Kind::String.accepts(reference.kind), Kind::String.to_string()),
                Shape::Span | Shape::Networks | Shape::Nothing => (false, "literal".to_owned()),
            };
            if !fits {
                let key = reference.variable.key;
                let message = format!(
                    "`{key}` is of kind {}, and `{name}` needs a {wanted} here; name another",
                    reference.kind
                );
                return Err(place.wrong(message));
            }
            Ok(Operand::Variable(reference))
        }
    }
}

fn literal(
    value: &Value,
    place: &Place<'_>,
    shape: Shape,
    item: Kind,
    case_sensitive: bool,
) -> Result<Operand, String> {
    let text = || match value {
        Value::String(text) => Ok(&**text),
        other => Err(place.wrong(format!("{} where a text belongs; write one", describe(other)))),
    };
    match shape {
        Shape::Nothing => Ok(Operand::Nothing),
        Shape::Same | Shape::Item => constant(value, place, item).map(Operand::One),
        Shape::Number => constant(value, place, Kind::Number).map(Operand::One),
        Shape::ListOfSame | Shape::ListOfItem | Shape::Range => {
            let list = items(value, place)?.iter().enumerate();
            let list = list.map(|(index, value)| constant(value, &place.item(index), item));
            let list: Box<[Constant]> = list.collect::<Result<_, _>>()?;
            if shape == Shape::Range && list.len() != 2 {
                let message = format!("has {} values; write two, the lower and the upper bound", list.len());
                return Err(place.wrong(message));
            }
            Ok(Operand::Many(list))
        }
        Shape::Pattern => {
            let text = text()?;
            let pattern = operator::pattern(text, case_sensitive);
            let wrong = |error| place.wrong(format!("`{}` {error}", shorten(text)));
            pattern.map(Box::new).map(Operand::Pattern).map_err(wrong)
        }
        Shape::Span => {
            let text = text()?;
            time::span(text).map(Operand::Span).ok_or_else(|| {
                place.wrong(format!(
                    "`{}` is not a duration; write it like hours=1;minutes=30, in weeks, days, hours, minutes, \
                     seconds, milliseconds or microseconds",
                    shorten(text)
                ))
            })
        }
        Shape::Networks => {
            let list = items(value, place)?.iter().enumerate();
            let list = list.map(|(index, value)| {
                value.as_str().and_then(address::network).ok_or_else(|| {
                    let message = format!("{} is not a network; write it like 10.0.0.0/8", describe(value));
                    place.item(index).wrong(message)
                })
            });
            Ok(Operand::Networks(list.collect::<Result<_, _>>()?))
        }
    }
}

fn items<'a>(value: &'a Value, place: &Place<'_>) -> Result<&'a [Value], String> {
    match value {
        Value::List(list) if list.len() > MAX_ITEMS => {
            Err(place.wrong(format!("has {} values; at most {MAX_ITEMS} are allowed", list.len())))
        }
        Value::List(list) => Ok(list),
        other => Err(place.wrong(format!("{} where a list belongs; write one", describe(other)))),
    }
}

fn constant(value: &Value, place: &Place<'_>, kind: Kind) -> Result<Constant, String> {
    Constant::of(value, kind)
        .ok_or_else(|| place.wrong(format!("{} is not of kind {kind}; {}", describe(value), kind.example())))
}

fn uncast(reference: &Reference, place: &Place<'_>) -> String {
    let casts = Kind::CASTS.map(|(name, _)| name).join(", ");
    let key = reference.variable.key;
    place.wrong(format!("`{key}` has no fixed kind; set `cast` to one of {casts}"))
}

fn reference(value: &Value, place: &Place<'_>) -> Result<Reference, String> {
    let object = Object::new(value, place)?.only(&["key", "param", "cast"])?;
    let key = object.need_text("key")?;
    let Some(variable) = Variable::named(key) else {
        let names: Vec<&str> = VARIABLES.iter().map(|variable| variable.key).collect();
        let message = format!("`{}` is not a variable; {}", shorten(key), advice(key, &names));
        return Err(place.field("key").wrong(message));
    };
    let param = parameter(&object, place, key, variable.param)?;
    let cast = object.get("cast").map(|_| object.word("cast", &Kind::CASTS.map(|(name, _)| name)));
    let cast = cast.transpose()?;
    let known = param.and_then(|param| variable.known_param(param));
    let kind = match (variable.kind, cast) {
        (Kind::Any, Some(cast)) => {
            Kind::CASTS.iter().find(|(name, _)| *name == cast).map_or(Kind::Any, |(_, kind)| *kind)
        }
        (Kind::Any, None) => known.unwrap_or(Kind::Any),
        (kind, None) => kind,
        (kind, Some(_)) => {
            let message = format!("`{key}` is always of kind {kind}; leave the cast out");
            return Err(place.field("cast").wrong(message));
        }
    };
    let path: Vec<Box<str>> = match (variable.param, param) {
        (Param::Path, Some(param)) => param.split('.').map(Into::into).collect(),
        (_, param) => param.into_iter().map(Into::into).collect(),
    };
    if path.len() > MAX_STEPS {
        let message = format!("has {} keys; at most {MAX_STEPS} are allowed", path.len());
        return Err(place.field("param").wrong(message));
    }
    Ok(Reference { variable, path: path.into(), kind })
}

fn parameter<'a>(
    object: &Object<'a, '_>,
    place: &Place<'_>,
    key: &str,
    param: Param,
) -> Result<Option<&'a str>, String> {
    let found = object.text("param")?.filter(|text| !text.is_empty());
    let place = place.field("param");
    bounded(found.unwrap_or_default(), &place)?;
    match (param, found) {
        (Param::Nothing, Some(_)) => Err(place.wrong(format!("`{key}` takes no parameter; leave it out"))),
        (Param::Key, None) => Err(place.wrong(format!("missing; `{key}` needs the key of a value"))),
        (Param::Path, None) => Err(place.wrong(format!("missing; `{key}` needs a path such as `a.b`"))),
        _ => Ok(found),
    }
}

fn set(object: &Object<'_, '_>, place: &Place<'_>) -> Result<Action, String> {
    let at = place.field("target");
    let target = Object::new(object.need("target")?, &at)?.only(&["key", "param"])?;
    let key = target.word("key", &["plan.context", "prompt_data", "plan.email_override"])?;
    let param = if key == "plan.email_override" { Param::Nothing } else { Param::Key };
    let param = parameter(&target, &at, key, param)?;
    let wanted = if param.is_none() { Kind::String } else { Kind::Any };
    let target = match param {
        Some(param) if key == "prompt_data" => Setter::PromptData(param.into()),
        param => Setter::Context(param.unwrap_or(EMAIL_OVERRIDE).into()),
    };
    let place = place.field("value");
    let value = match written(object.need("value")?, &place)? {
        Written::Literal(value) if wanted == Kind::Any => Source::Literal(value.clone()),
        Written::Literal(value) => {
            let text = constant(value, &place.field("value"), wanted)?;
            Source::Literal(Value::String(text.scalar().text().unwrap_or_default().into()))
        }
        Written::Variable(reference) if wanted != Kind::Any && !wanted.accepts(reference.kind) => {
            let (found, name) = (reference.kind, reference.variable.key);
            let message =
                format!("`{name}` is of kind {found} and `{key}` of kind {wanted}; cast it or name another");
            return Err(place.field("variable").wrong(message));
        }
        Written::Variable(reference) => Source::Variable(reference),
    };
    Ok(Action::Set { target, value })
}

fn bounded(text: &str, place: &Place<'_>) -> Result<(), String> {
    if text.len() > MAX_TEXT {
        return Err(place.wrong(format!("has {} bytes; at most {MAX_TEXT} are allowed", text.len())));
    }
    Ok(())
}
