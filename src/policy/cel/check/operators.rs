//! The check of operators.
//!
//! Must not know: functions.

use super::{Check, Result, Typed, join};
use crate::policy::cel::names::{Field, Kind, Type};
use crate::policy::cel::node::{Binary, Literal, Node, Op};
use cel::common::ast::{CallExpr, Expr, IdedExpr, LiteralValue, operators};

const BINARIES: &[(&str, Binary)] = &[
    (operators::ADD, Binary::Add),
    (operators::SUBSTRACT, Binary::Subtract),
    (operators::MULTIPLY, Binary::Multiply),
    (operators::DIVIDE, Binary::Divide),
    (operators::MODULO, Binary::Modulo),
    (operators::EQUALS, Binary::Equal),
    (operators::NOT_EQUALS, Binary::NotEqual),
    (operators::LESS, Binary::Less),
    (operators::LESS_EQUALS, Binary::LessEqual),
    (operators::GREATER, Binary::Greater),
    (operators::GREATER_EQUALS, Binary::GreaterEqual),
    (operators::IN, Binary::In),
];

impl Check<'_> {
    /// The operator that a call stands for; nothing for a call of a function.
    pub(super) fn operator(&mut self, expr: &IdedExpr, call: &CallExpr) -> Result<Option<Typed>> {
        if call.target.is_some() {
            return Ok(None);
        }
        let (op, kind) = match (call.func_name.as_str(), call.args.as_slice()) {
            (operators::LOGICAL_AND, [left, right]) => {
                let left = self.condition(left)?;
                (Op::And(Box::new(left), Box::new(self.condition(right)?)), Type::Bool)
            }
            (operators::LOGICAL_OR, [left, right]) => {
                let left = self.condition(left)?;
                (Op::Or(Box::new(left), Box::new(self.condition(right)?)), Type::Bool)
            }
            (operators::LOGICAL_NOT, [operand]) => (Op::Not(Box::new(self.condition(operand)?)), Type::Bool),
            (operators::NEGATE, [operand]) => {
                let (node, kind) = self.node(operand)?;
                if !matches!(kind.kind(), Kind::Int | Kind::Double | Kind::Dyn) {
                    let text = format!("`-` needs a number, and this is {}; leave it out", kind.kind());
                    return self.refuse(operand, text);
                }
                (Op::Negate(Box::new(node)), kind)
            }
            (operators::CONDITIONAL, [condition, then, otherwise]) => {
                let condition = self.condition(condition)?;
                let (then, a) = self.node(then)?;
                let (otherwise, b) = self.node(otherwise)?;
                (Op::Conditional(Box::new([condition, then, otherwise])), join(a, b))
            }
            (operators::INDEX, [operand, index]) => self.index(expr, operand, index)?,
            (name, [left, right]) => match BINARIES.iter().find(|(known, _)| *known == name) {
                Some((_, binary)) => self.binary(expr, *binary, left, right)?,
                None => return Ok(None),
            },
            _ => return Ok(None),
        };
        Ok(Some((self.make(expr, op), kind)))
    }

    fn index(&mut self, expr: &IdedExpr, operand: &IdedExpr, index: &IdedExpr) -> Result<(Op, Type)> {
        let (operand, container) = self.node(operand)?;
        let (index_node, index_kind) = self.node(index)?;
        let (fits, element, wanted) = match container {
            Type::List(element) => {
                let fits = matches!(index_kind.kind(), Kind::Int | Kind::Double | Kind::Dyn);
                (fits, *element, "a whole number")
            }
            Type::Map(value) => {
                let fits = !matches!(
                    index_kind.kind(),
                    Kind::Null | Kind::List | Kind::Map | Kind::Timestamp | Kind::Duration
                );
                (fits, *value, "a key")
            }
            Type::Dyn => (true, Type::Dyn, ""),
            other => {
                let text = format!(
                    "`[...]` needs a list or a map before it, and this is {}; leave it out",
                    other.kind()
                );
                return self.refuse(expr, text);
            }
        };
        if !fits {
            let text =
                format!("{wanted} is needed here, and this is {}; write another one", index_kind.kind());
            return self.refuse(index, text);
        }
        Ok((Op::Index(Box::new(operand), Box::new(index_node)), element))
    }

    fn binary(
        &mut self,
        expr: &IdedExpr,
        binary: Binary,
        left: &IdedExpr,
        right: &IdedExpr,
    ) -> Result<(Op, Type)> {
        if binary == Binary::In
            && let Some(done) = self.constants(left, right)?
        {
            return Ok(done);
        }
        let (left, a) = self.node(left)?;
        let (right, b) = self.node(right)?;
        let kind = match binary {
            Binary::In => return self.membership(expr, (left, a), (right, b)),
            Binary::Equal | Binary::NotEqual => {
                let with_null = a == Type::Null || b == Type::Null;
                (with_null || a.kind().fits(b.kind())).then_some(Type::Bool)
            }
            Binary::Less | Binary::LessEqual | Binary::Greater | Binary::GreaterEqual => {
                let orders = |kind| !matches!(kind, Kind::Null | Kind::List | Kind::Map);
                (orders(a.kind()) && orders(b.kind()) && a.kind().fits(b.kind())).then_some(Type::Bool)
            }
            _ => calculated(binary, &a, &b),
        };
        let Some(kind) = kind else {
            let (a, b) = (a.kind(), b.kind());
            let remedy = match (a, b) {
                (Kind::Int, Kind::Double) | (Kind::Double, Kind::Int) => {
                    "write whole numbers as `1.0`, or convert with `double(...)`"
                }
                (Kind::String, _) | (_, Kind::String) => {
                    "convert the other one with `string(...)`, or compare the same kinds"
                }
                _ => "use values that go together",
            };
            let text = format!("`{}` does not go with {a} and {b}; {remedy}", binary.sign());
            return self.refuse(expr, text);
        };
        Ok((Op::Binary(binary, Box::new(left), Box::new(right)), kind))
    }

    fn membership(&self, expr: &IdedExpr, left: Typed, right: Typed) -> Result<(Op, Type)> {
        let ((left, a), (right, b)) = (left, right);
        let fits = match &b {
            Type::List(element) => {
                a == Type::Null || **element == Type::Null || a.kind().fits(element.kind())
            }
            Type::Map(_) => {
                !matches!(a.kind(), Kind::Null | Kind::List | Kind::Map | Kind::Timestamp | Kind::Duration)
            }
            Type::Dyn => true,
            other => {
                let text = format!(
                    "`in` needs a list or a map on its right, and this is {}; for a part of a text, use `contains(...)`",
                    other.kind()
                );
                return self.refuse(expr, text);
            }
        };
        if !fits {
            let text = format!("a value of type {} is never in this; look for what can be there", a.kind());
            return self.refuse(expr, text);
        }
        Ok(match right.op {
            Op::Field(Field::SubjectGroups) => (Op::HasGroup(Box::new(left)), Type::Bool),
            _ => (Op::Binary(Binary::In, Box::new(left), Box::new(right)), Type::Bool),
        })
    }

    /// `x in ["a", "b"]`.
    fn constants(&mut self, left: &IdedExpr, right: &IdedExpr) -> Result<Option<(Op, Type)>> {
        let Expr::List(list) = &right.expr else { return Ok(None) };
        let scalar = |expr: &IdedExpr| match &expr.expr {
            Expr::Literal(literal) => !matches!(literal, LiteralValue::UInt(_) | LiteralValue::Bytes(_)),
            _ => false,
        };
        if !list.elements.iter().all(scalar) {
            return Ok(None);
        }
        let (left_node, a) = self.node(left)?;
        let mut constants: Vec<Literal> = Vec::with_capacity(list.elements.len());
        let mut fits = a == Type::Null || list.elements.is_empty();
        for element in &list.elements {
            let (Node { op: Op::Literal(literal), .. }, b) = self.node(element)? else { return Ok(None) };
            fits = fits || b == Type::Null || a.kind().fits(b.kind());
            constants.push(literal);
        }
        if !fits {
            let text = format!("a value of type {} is never in this; look for what can be there", a.kind());
            return self.refuse(right, text);
        }
        Ok(Some((Op::InConstants(Box::new(left_node), constants.into()), Type::Bool)))
    }
}

/// The type of what an operator makes; nothing when it does not go with these two.
fn calculated(binary: Binary, a: &Type, b: &Type) -> Option<Type> {
    use Binary::{Add, Divide, Modulo, Multiply, Subtract};
    Some(match (binary, a, b) {
        (_, Type::Dyn, other) | (_, other, Type::Dyn) => {
            let possible: &[Kind] = match binary {
                Add => &[Kind::Int, Kind::Double, Kind::String, Kind::List, Kind::Timestamp, Kind::Duration],
                Subtract => &[Kind::Int, Kind::Double, Kind::Timestamp, Kind::Duration],
                Modulo => &[Kind::Int],
                _ => &[Kind::Int, Kind::Double],
            };
            let one = other.kind();
            return (one == Kind::Dyn || possible.contains(&one)).then_some(Type::Dyn);
        }
        (Add | Subtract | Multiply | Divide | Modulo, Type::Int, Type::Int) => Type::Int,
        (Add | Subtract | Multiply | Divide, Type::Double, Type::Double) => Type::Double,
        (Add, Type::String, Type::String) => Type::String,
        (Add, Type::List(a), Type::List(b)) => Type::list(join((**a).clone(), (**b).clone())),
        (Add, Type::Timestamp, Type::Duration) | (Add, Type::Duration, Type::Timestamp) => Type::Timestamp,
        (Subtract, Type::Timestamp, Type::Duration) => Type::Timestamp,
        (Subtract, Type::Timestamp, Type::Timestamp) => Type::Duration,
        (Add | Subtract, Type::Duration, Type::Duration) => Type::Duration,
        _ => return None,
    })
}
