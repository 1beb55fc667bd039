//! The check of functions and of loops.
//!
//! Must not know: operators.

use super::{Check, Name, Result, TOP, Typed, choose};
use crate::policy::cel::calendar::{self, Part, Zone};
use crate::policy::cel::functions::{DURATION, NETWORK, TIMESTAMP, read_network};
use crate::policy::cel::names::{Kind, Type};
use crate::policy::cel::node::{Function, Literal, Loop, LoopKind, Op};
use crate::policy::cel::pattern::Pattern;
use cel::common::ast::{CallExpr, Expr, IdedExpr, LiteralValue};

/// How a function is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    /// `f(x)`
    Plain,
    /// `x.f()`
    Method,
    /// Either.
    Both,
}

/// A function: how it is called, what it takes, and what it gives.
struct Signature {
    name: &'static str,
    style: Style,
    /// For each argument, the one before the point first: what it may be.
    arguments: &'static [&'static [Kind]],
    result: Type,
    function: Function,
}

const TEXT: &[Kind] = &[Kind::String];

const fn signature(
    name: &'static str,
    style: Style,
    arguments: &'static [&'static [Kind]],
    result: Type,
    function: Function,
) -> Signature {
    Signature { name, style, arguments, result, function }
}

const FUNCTIONS: &[Signature] = &[
    signature("size", Style::Both, &[&[Kind::String, Kind::List, Kind::Map]], Type::Int, Function::Size),
    signature("contains", Style::Method, &[TEXT, TEXT], Type::Bool, Function::Contains),
    signature("startsWith", Style::Method, &[TEXT, TEXT], Type::Bool, Function::StartsWith),
    signature("endsWith", Style::Method, &[TEXT, TEXT], Type::Bool, Function::EndsWith),
    signature("lowerAscii", Style::Method, &[TEXT], Type::String, Function::LowerAscii),
    signature("upperAscii", Style::Method, &[TEXT], Type::String, Function::UpperAscii),
    signature("in_network", Style::Plain, &[TEXT, TEXT], Type::Bool, Function::InNetwork),
    signature(
        "int",
        Style::Plain,
        &[&[Kind::Int, Kind::Double, Kind::String, Kind::Timestamp]],
        Type::Int,
        Function::Int,
    ),
    signature(
        "double",
        Style::Plain,
        &[&[Kind::Int, Kind::Double, Kind::String]],
        Type::Double,
        Function::Double,
    ),
    signature(
        "string",
        Style::Plain,
        &[&[Kind::String, Kind::Bool, Kind::Int, Kind::Double, Kind::Timestamp, Kind::Duration]],
        Type::String,
        Function::String,
    ),
    signature(
        "timestamp",
        Style::Plain,
        &[&[Kind::String, Kind::Timestamp]],
        Type::Timestamp,
        Function::Timestamp,
    ),
    signature(
        "duration",
        Style::Plain,
        &[&[Kind::String, Kind::Duration]],
        Type::Duration,
        Function::Duration,
    ),
    signature(
        "dyn",
        Style::Plain,
        &[&[
            Kind::Null,
            Kind::Bool,
            Kind::Int,
            Kind::Double,
            Kind::String,
            Kind::Timestamp,
            Kind::Duration,
            Kind::List,
            Kind::Map,
        ]],
        Type::Dyn,
        Function::Dyn,
    ),
];

/// Functions that are checked on their own.
const OWN: &[&str] = &["has", "has_group", "matches", "all", "exists", "exists_one", "map", "filter"];

impl Check<'_> {
    pub(super) fn call(&mut self, expr: &IdedExpr, call: &CallExpr) -> Result<Typed> {
        if let Some(done) = self.operator(expr, call)? {
            return Ok(done);
        }
        let name = call.func_name.as_str();
        if let Some(range) = &call.target {
            match (name, call.args.as_slice()) {
                ("all", [element, body]) => {
                    return self.looping(expr, LoopKind::All, range, element, body, None);
                }
                ("exists", [element, body]) => {
                    return self.looping(expr, LoopKind::Exists, range, element, body, None);
                }
                ("exists_one" | "existsOne", [element, body]) => {
                    return self.looping(expr, LoopKind::ExistsOne, range, element, body, None);
                }
                ("filter", [element, body]) => {
                    return self.looping(expr, LoopKind::Filter, range, element, body, None);
                }
                ("map", [element, body]) => {
                    return self.looping(expr, LoopKind::Map, range, element, body, None);
                }
                ("map", [element, guard, body]) => {
                    return self.looping(expr, LoopKind::Map, range, element, body, Some(guard));
                }
                ("all" | "exists" | "exists_one" | "existsOne" | "filter" | "map", _) => {
                    let text = format!(
                        "`{name}` takes a name for the element and what to do with it, as in `.{name}(x, x != \"\")`"
                    );
                    return self.refuse(expr, text);
                }
                ("matches", [pattern]) => return self.matches(expr, range, pattern),
                _ => {}
            }
        }
        match (name, &call.target, call.args.as_slice()) {
            ("has", None, args) => self.has(expr, args),
            ("matches", None, [text, pattern]) => self.matches(expr, text, pattern),
            ("matches", ..) => self.refuse(expr, "`matches` takes a pattern, as in `.matches(\"^[a-z]+$\")`"),
            ("has_group", None, [group]) => {
                let (group, _) = self.argument(name, group, TEXT)?;
                Ok((self.make(expr, Op::HasGroup(Box::new(group))), Type::Bool))
            }
            ("has_group", ..) => {
                self.refuse(expr, "`has_group` takes the name of a group, as in `has_group(\"admins\")`")
            }
            _ => self.function(expr, call),
        }
    }

    fn function(&mut self, expr: &IdedExpr, call: &CallExpr) -> Result<Typed> {
        let name = call.func_name.as_str();
        let target = call.target.as_deref();
        let arguments: Vec<&IdedExpr> = target.into_iter().chain(&call.args).collect();
        if let Some((_, part)) = Part::ALL.iter().find(|(known, _)| *known == name)
            && target.is_some()
        {
            return self.calendar(expr, name, *part, &arguments);
        }
        let Some(signature) = FUNCTIONS.iter().find(|signature| signature.name == name) else {
            let names = FUNCTIONS.iter().map(|signature| signature.name);
            let names = names.chain(OWN.iter().copied()).chain(Part::ALL.iter().map(|(name, _)| *name));
            return self.refuse(expr, format!("there is no function `{name}`; {}", choose(name, names)));
        };
        let style_fits = match signature.style {
            Style::Plain => target.is_none(),
            Style::Method => target.is_some(),
            Style::Both => true,
        };
        let count = signature.arguments.len();
        if !style_fits || arguments.len() != count {
            let usage = match (signature.style, count) {
                (Style::Method, 1) => format!("x.{name}()"),
                (Style::Method, _) => format!("x.{name}(y)"),
                (_, 1) => format!("{name}(x)"),
                (_, _) => format!("{name}(x, y)"),
            };
            return self.refuse(expr, format!("`{name}` is not called so; write `{usage}`"));
        }
        let mut nodes = Vec::with_capacity(count);
        for (argument, wanted) in arguments.iter().zip(signature.arguments) {
            nodes.push(self.argument(name, argument, wanted)?.0);
        }
        let op = match (signature.function, arguments.as_slice()) {
            (Function::InNetwork, [_, network]) => match text_of(network) {
                Some(text) => {
                    let Some(network_read) = read_network(text) else {
                        return self.refuse(network, format!("`{text}` is not {NETWORK}"));
                    };
                    let Some(address) = nodes.into_iter().next() else { return Err(self.lost(expr)) };
                    Op::InNetwork(Box::new(address), network_read)
                }
                None => Op::Call(signature.function, nodes.into()),
            },
            (Function::Timestamp, [one]) if text_of(one).is_some() => {
                match text_of(one).and_then(calendar::read_moment) {
                    Some(moment) => Op::Literal(Literal::Timestamp(moment)),
                    None => return self.unreadable(one, TIMESTAMP),
                }
            }
            (Function::Duration, [one]) if text_of(one).is_some() => {
                match text_of(one).and_then(calendar::read_span) {
                    Some(span) => Op::Literal(Literal::Duration(span)),
                    None => return self.unreadable(one, DURATION),
                }
            }
            _ => Op::Call(signature.function, nodes.into()),
        };
        Ok((self.make(expr, op), signature.result.clone()))
    }

    /// An argument of one of these kinds. That it may be null is found when it is evaluated.
    fn argument(&mut self, name: &str, expr: &IdedExpr, wanted: &[Kind]) -> Result<Typed> {
        let (node, kind) = self.node(expr)?;
        if kind != Type::Dyn && !wanted.contains(&kind.kind()) {
            let wanted: Vec<_> = wanted.iter().map(|kind| kind.name()).collect();
            let text = format!(
                "`{name}` needs {}, and this is {}; convert it or leave it out",
                wanted.join(" or "),
                kind.kind()
            );
            return self.refuse(expr, text);
        }
        Ok((node, kind))
    }

    fn unreadable<T>(&self, expr: &IdedExpr, wanted: &str) -> Result<T> {
        let text = text_of(expr).unwrap_or_default();
        self.refuse(expr, format!("`{}` is not {wanted}", crate::policy::cel::eval::cut(text)))
    }

    fn lost(&self, expr: &IdedExpr) -> super::Refusal {
        super::Refusal {
            at: self.places.of(expr.id),
            text: "this cannot be evaluated; write it in another way".into(),
        }
    }

    fn calendar(
        &mut self,
        expr: &IdedExpr,
        name: &str,
        part: Part,
        arguments: &[&IdedExpr],
    ) -> Result<Typed> {
        let (operand, zone) = match arguments {
            [operand] => (operand, None),
            [operand, zone] => (operand, Some(zone)),
            _ => {
                return self.refuse(
                    expr,
                    format!("`{name}` takes nothing or a time zone, as in `.{name}(\"Europe/Berlin\")`"),
                );
            }
        };
        let (node, kind) = self.argument(name, operand, part.kinds())?;
        let zone = match zone {
            None => Zone::Utc,
            Some(zone) if kind.kind() == Kind::Duration => {
                return self.refuse(zone, "a duration has no time zone; leave it out");
            }
            Some(zone) => match text_of(zone).and_then(Zone::read) {
                Some(zone) => zone,
                None => {
                    return self.refuse(zone, "a time zone is needed here as a text; write it as in `\"Europe/Berlin\"` or `\"+02:00\"`");
                }
            },
        };
        Ok((self.make(expr, Op::Calendar(part, Box::new(node), zone)), Type::Int))
    }

    fn has(&mut self, expr: &IdedExpr, args: &[IdedExpr]) -> Result<Typed> {
        let [argument] = args else {
            return self.refuse(expr, "`has` takes a field, as in `has(subject.email)`");
        };
        let Expr::Select(select) = &argument.expr else {
            return self.refuse(
                argument,
                "`has` takes a field, as in `has(subject.email)`; for keys with other signs, use `in`",
            );
        };
        let op = match self.name(argument)? {
            Some(Name::Field(field)) => Op::HasField(field),
            Some(Name::Record(record)) => {
                let text = format!("`{}` is always there; ask for one of its fields", record.path());
                return self.refuse(argument, text);
            }
            None => {
                let (operand, _) = self.map_operand(argument, select)?;
                Op::Has(Box::new(operand), select.field.as_str().into())
            }
        };
        Ok((self.make(expr, op), Type::Bool))
    }

    fn matches(&mut self, expr: &IdedExpr, text: &IdedExpr, pattern: &IdedExpr) -> Result<Typed> {
        let (node, _) = self.argument("matches", text, TEXT)?;
        let Some(source) = text_of(pattern) else {
            let text = "the pattern has to be written here as a text, so that it is compiled once and its cost is known";
            return self.refuse(pattern, text);
        };
        match Pattern::new(source) {
            Ok(pattern) => Ok((self.make(expr, Op::Matches(Box::new(node), Box::new(pattern))), Type::Bool)),
            Err(text) => self.refuse(pattern, text),
        }
    }

    fn looping(
        &mut self,
        expr: &IdedExpr,
        kind: LoopKind,
        range: &IdedExpr,
        element: &IdedExpr,
        body: &IdedExpr,
        guard: Option<&IdedExpr>,
    ) -> Result<Typed> {
        let Expr::Ident(name) = &element.expr else {
            return self.refuse(element, "a name for the element is needed here, such as `x`");
        };
        if TOP.iter().any(|(known, _)| known == name) {
            return self.refuse(element, format!("`{name}` has a meaning already; choose another name"));
        }
        let (range_node, range_kind) = self.node(range)?;
        let element_kind = match &range_kind {
            Type::List(element) => (**element).clone(),
            // Keys of data are text; a map that the program makes may have others.
            Type::Map(_) | Type::Dyn => Type::Dyn,
            other => {
                let text =
                    format!("a loop needs a list or a map, and this is {}; leave it out", other.kind());
                return self.refuse(range, text);
            }
        };
        self.locals.push((name.clone(), element_kind.clone()));
        let guard = guard.map(|guard| self.condition(guard)).transpose()?;
        let (body, body_kind) = match kind {
            LoopKind::Map => self.node(body)?,
            _ => (self.condition(body)?, Type::Bool),
        };
        self.locals.pop();
        let result = match kind {
            LoopKind::Map => Type::list(body_kind),
            LoopKind::Filter => Type::list(element_kind),
            _ => Type::Bool,
        };
        let looping = Loop { kind, range: range_node, body, guard };
        Ok((self.make(expr, Op::Loop(Box::new(looping))), result))
    }
}

/// The text that a node is, if it is one.
fn text_of(expr: &IdedExpr) -> Option<&str> {
    match &expr.expr {
        Expr::Literal(LiteralValue::String(text)) => Some(text.inner()),
        _ => None,
    }
}
