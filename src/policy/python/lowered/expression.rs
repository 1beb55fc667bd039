//! Lowers expressions other than calls.
//!
//! Must not know: statements.

use super::node::{Comparison, Const, Global, Node, Quantified, Sort};
use super::statement::{Lowering, Lowers};
use super::value::MAX_WHOLE;
use ruff_python_ast::{
    BoolOp, CmpOp, Comprehension, ConversionFlag, Expr, ExprCompare, ExprFString, ExprSubscript, FStringPart,
    InterpolatedStringElement as Part, Number, Operator, UnaryOp,
};

/// Attributes of objects that are read here.
const ATTRIBUTES: &[&str] = &[
    "COOKIES",
    "GET",
    "POST",
    "action",
    "app",
    "attributes",
    "bindings",
    "client_ip",
    "context",
    "debug",
    "designation",
    "email",
    "group",
    "group_uuid",
    "headers",
    "http_request",
    "id",
    "is_active",
    "is_anonymous",
    "is_authenticated",
    "is_global",
    "is_loopback",
    "is_private",
    "is_superuser",
    "method",
    "name",
    "obj",
    "path",
    "path_info",
    "pbm_uuid",
    "pk",
    "policy_engine_mode",
    "scheme",
    "slug",
    "title",
    "user",
    "username",
    "version",
];

/// The value that an expression is wherever it stands.
pub(super) fn constant(expression: &Expr) -> Option<Const> {
    let items = |elements: &[Expr], sort| {
        let items = elements.iter().map(constant).collect::<Option<Box<[_]>>>()?;
        Some(Const::Items(items, sort))
    };
    Some(match expression {
        Expr::NoneLiteral(_) => Const::None,
        Expr::BooleanLiteral(it) => Const::Bool(it.value),
        Expr::StringLiteral(it) => Const::Text(it.value.to_str().into()),
        Expr::NumberLiteral(it) => match &it.value {
            Number::Int(whole) => Const::Int(whole.as_i64().filter(|whole| *whole < MAX_WHOLE)?),
            Number::Float(value) if value.is_finite() => Const::Float(*value),
            _ => return None,
        },
        Expr::UnaryOp(it) if it.op == UnaryOp::USub => match constant(&it.operand)? {
            Const::Int(whole) => Const::Int(-whole),
            Const::Float(value) => Const::Float(-value),
            _ => return None,
        },
        Expr::List(it) => return items(&it.elts, Sort::List),
        Expr::Tuple(it) => return items(&it.elts, Sort::Tuple),
        // What cannot be an element of a set is an error there.
        Expr::Set(it) if it.elts.iter().all(is_plain) => return items(&it.elts, Sort::Set),
        Expr::Dict(it) => {
            let mut entries: Vec<(Box<str>, Const)> = Vec::new();
            for item in &it.items {
                let key: Box<str> = text_of(item.key.as_ref()?)?.into();
                if entries.iter().any(|(own, _)| *own == key) {
                    return None;
                }
                entries.push((key, constant(&item.value)?));
            }
            Const::Map(entries.into())
        }
        Expr::BinOp(it) if it.op == Operator::Mult => {
            /// Longer texts are not made before they are asked for.
            const MOST: usize = 4_096;
            let (text, times) = (text_of(&it.left)?, constant(&it.right)?);
            let Const::Int(times) = times else { return None };
            let times =
                usize::try_from(times).ok().filter(|times| times.saturating_mul(text.len()) <= MOST)?;
            Const::Text(text.repeat(times).into())
        }
        _ => return None,
    })
}

fn is_plain(expression: &Expr) -> bool {
    matches!(
        constant(expression),
        Some(Const::None | Const::Bool(_) | Const::Int(_) | Const::Float(_) | Const::Text(_))
    )
}

/// The text that stands there.
pub(super) fn text_of(expression: &Expr) -> Option<&str> {
    match expression {
        Expr::StringLiteral(text) => Some(text.value.to_str()),
        _ => None,
    }
}

impl<'a> Lowering<'a> {
    /// Lowers an expression.
    pub(super) fn expression(&mut self, expression: &'a Expr) -> Lowers<Node> {
        self.deeper(expression, |lowering| lowering.whole(expression))
    }

    fn whole(&mut self, expression: &'a Expr) -> Lowers<Node> {
        if let Some(value) = constant(expression) {
            return Ok(Node::Const(value));
        }
        Ok(match expression {
            Expr::Name(name) => match (self.local(&name.id), &*name.id) {
                (Some(local), _) => Node::Local(local),
                (None, "request") => Node::Global(Global::Request),
                (None, "context") => Node::Global(Global::Context),
                (None, "http_request") => Node::Global(Global::Http),
                (None, "ak_client_ip") => Node::Global(Global::Address),
                (None, "ak_is_sso_flow") => Node::Global(Global::IsSso),
                (None, other) => return self.refuse(name, &format!("`{other}`")),
            },
            Expr::Named(it) => match &*it.target {
                Expr::Name(name) => match self.local(&name.id) {
                    Some(local) => Node::Bind(local, Box::new(self.expression(&it.value)?)),
                    None => return self.refuse(it, "`:=` within a loop"),
                },
                _ => return self.refuse(it, "`:=`"),
            },
            Expr::Attribute(it) => match &*it.attr {
                "__name__" => match &*it.value {
                    Expr::Call(call)
                        if matches!(&*call.func, Expr::Name(name) if &*name.id == "type")
                            && call.arguments.keywords.is_empty() =>
                    {
                        match &*call.arguments.args {
                            [of] => Node::ClassName(Box::new(self.expression(of)?)),
                            _ => return self.refuse(it, "`type`"),
                        }
                    }
                    _ => return self.refuse(it, "`__name__`"),
                },
                name if ATTRIBUTES.contains(&name) => {
                    Node::Attribute(Box::new(self.expression(&it.value)?), name.into())
                }
                name => return self.refuse(it, &format!("`.{name}`")),
            },
            Expr::Subscript(it) => self.subscript(it)?,
            Expr::UnaryOp(it) if it.op == UnaryOp::Not => Node::Not(Box::new(self.expression(&it.operand)?)),
            Expr::BoolOp(it) => {
                let nodes = self.all(&it.values)?;
                match it.op {
                    BoolOp::And => Node::And(nodes),
                    BoolOp::Or => Node::Or(nodes),
                }
            }
            Expr::If(it) => {
                let condition = self.expression(&it.test)?;
                let then = self.expression(&it.body)?;
                Node::If(Box::new((condition, then, self.expression(&it.orelse)?)))
            }
            Expr::Compare(it) => self.compare(it)?,
            Expr::BinOp(it) if it.op == Operator::Add => {
                let left = self.expression(&it.left)?;
                Node::Add(Box::new((left, self.expression(&it.right)?)))
            }
            Expr::FString(it) => self.format(it)?,
            Expr::Call(it) => self.call(it)?,
            other => return self.refuse(other, kind(other)),
        })
    }

    pub(super) fn all(&mut self, expressions: &'a [Expr]) -> Lowers<Box<[Node]>> {
        expressions.iter().map(|one| self.expression(one)).collect()
    }

    fn subscript(&mut self, it: &'a ExprSubscript) -> Lowers<Node> {
        if let (Expr::Call(call), Some(Const::Int(index))) = (&*it.value, constant(&it.slice))
            && let Some(node) = self.split(call, index)?
        {
            return Ok(node);
        }
        match constant(&it.slice) {
            Some(Const::Text(_) | Const::Int(_)) => {
                let of = self.expression(&it.value)?;
                Ok(Node::Item(Box::new((of, self.expression(&it.slice)?))))
            }
            _ => self.refuse(it, "a key that is no plain text or number"),
        }
    }

    fn compare(&mut self, it: &'a ExprCompare) -> Lowers<Node> {
        let first = self.expression(&it.left)?;
        let mut rest = Vec::new();
        for (operator, right) in it.ops.iter().zip(&it.comparators) {
            let comparison = match operator {
                CmpOp::Eq => Comparison::Equal,
                CmpOp::NotEq => Comparison::Unequal,
                CmpOp::Lt => Comparison::Less,
                CmpOp::LtE => Comparison::AtMost,
                CmpOp::Gt => Comparison::More,
                CmpOp::GtE => Comparison::AtLeast,
                CmpOp::In => Comparison::In,
                CmpOp::NotIn => Comparison::NotIn,
                CmpOp::Is => Comparison::Is,
                CmpOp::IsNot => Comparison::IsNot,
            };
            let elements = match (comparison, right) {
                _ if constant(right).is_some() => None,
                (Comparison::In | Comparison::NotIn, Expr::List(it)) => Some(&it.elts),
                (Comparison::In | Comparison::NotIn, Expr::Tuple(it)) => Some(&it.elts),
                _ => None,
            };
            let right = match elements {
                Some(elements) => Node::Items(self.all(elements)?),
                None => self.expression(right)?,
            };
            rest.push((comparison, right));
        }
        Ok(Node::Compare(Box::new(first), rest.into()))
    }

    fn format(&mut self, it: &'a ExprFString) -> Lowers<Node> {
        let mut parts = Vec::new();
        for part in &it.value {
            match part {
                FStringPart::Literal(text) => parts.push(Node::Const(Const::Text((&**text).into()))),
                FStringPart::FString(text) => {
                    for element in &text.elements {
                        parts.push(self.part(it, element)?);
                    }
                }
            }
        }
        Ok(Node::Format(parts.into()))
    }

    fn part(&mut self, it: &'a ExprFString, part: &'a Part) -> Lowers<Node> {
        match part {
            Part::Literal(text) => Ok(Node::Const(Const::Text((&*text.value).into()))),
            Part::Interpolation(part)
                if part.debug_text.is_none()
                    && part.conversion == ConversionFlag::None
                    && part.format_spec.is_none() =>
            {
                self.expression(&part.expression)
            }
            Part::Interpolation(_) => self.refuse(it, "a format within a text"),
        }
    }

    /// `condition for name in over if conditions`, to be asked for any or all of.
    pub(super) fn quantified(
        &mut self,
        at: &'a Expr,
        condition: &'a Expr,
        generators: &'a [Comprehension],
        (all, eager): (bool, bool),
    ) -> Lowers<Node> {
        let [Comprehension { target: Expr::Name(name), iter, ifs, is_async: false, .. }] = generators else {
            return self.refuse(at, "a loop over more than one name");
        };
        let over = self.expression(iter)?;
        self.with_name(&name.id, name.range.start(), |lowering, local| {
            let conditions = lowering.all(ifs)?;
            let condition = lowering.expression(condition)?;
            Ok(Node::Quantified(Box::new(Quantified { all, eager, local, over, conditions, condition })))
        })
    }
}

/// What people call an expression.
const fn kind(expression: &Expr) -> &'static str {
    match expression {
        Expr::Lambda(_) => "`lambda`",
        Expr::BinOp(_) | Expr::UnaryOp(_) => "an operator",
        Expr::ListComp(_) | Expr::SetComp(_) | Expr::DictComp(_) | Expr::Generator(_) => {
            "a comprehension outside of any() and all()"
        }
        Expr::List(_) | Expr::Tuple(_) | Expr::Set(_) | Expr::Dict(_) => {
            "a collection of values that are not constant"
        }
        Expr::NumberLiteral(_) => "a number of this size",
        Expr::Await(_) => "`await`",
        Expr::Starred(_) => "`*`",
        _ => "an expression of this kind",
    }
}
