//! Lowers statements, and keeps the names of what they bind.
//!
//! Must not know: what an expression becomes.

use super::NotLowered;
use super::expression::{constant, text_of};
use super::node::{Const, Node, Step};
use ruff_python_ast::visitor::{Visitor, walk_expr, walk_stmt};
use ruff_python_ast::{ElifElseClause, Expr, Operator, Stmt, StmtFor, StmtRaise};
use ruff_text_size::{Ranged, TextSize};
use std::collections::HashMap;

/// How deep nodes may nest, so that walking them takes little stack.
const MAX_DEPTH: usize = 40;
/// The most names that a body binds.
const MAX_LOCALS: usize = 32;

/// Names that mean something here. A body that binds one of them means something else.
const RESERVED: &[&str] = &[
    "request",
    "context",
    "http_request",
    "ak_client_ip",
    "ak_is_sso_flow",
    "ak_message",
    "ak_is_group_member",
    "ak_user_has_authenticator",
    "regex_match",
    "ip_address",
    "ip_network",
    "any",
    "all",
    "len",
    "str",
    "bool",
    "type",
    "re",
];

/// Exceptions whose text is that of their only argument.
const EXCEPTIONS: &[&str] = &[
    "Exception",
    "ArithmeticError",
    "AssertionError",
    "AttributeError",
    "LookupError",
    "NameError",
    "NotImplementedError",
    "PermissionError",
    "RuntimeError",
    "TypeError",
    "ValueError",
];

/// Lowers a body in progress.
pub(super) struct Lowering<'a> {
    source: &'a str,
    /// Where the value of a name is kept: the body's own first, then those of loops within expressions.
    names: HashMap<&'a str, usize>,
    locals: usize,
    depth: usize,
    /// Whether `re` was imported by a statement before.
    pub(super) has_re: bool,
}

/// What becomes of something, or why nothing does.
pub(super) type Lowers<T> = Result<T, NotLowered>;

/// The steps of a body, and how many values it keeps.
pub(super) fn lower(source: &str, body: &[Stmt]) -> Lowers<(Box<[Step]>, usize)> {
    let mut lowering = Lowering { source, names: HashMap::new(), locals: 0, depth: 0, has_re: false };
    let mut bound = Bound { names: Vec::new(), within: 0 };
    for statement in body {
        bound.visit_stmt(statement);
    }
    for (name, at) in bound.names {
        if RESERVED.contains(&name) {
            return Err(lowering.refusal(at, &format!("`{name}` with another meaning")));
        }
        if !lowering.names.contains_key(name) {
            let local = lowering.fresh(at)?;
            lowering.names.insert(name, local);
        }
    }
    let steps = lowering.steps(body)?;
    Ok((steps, lowering.locals))
}

/// Finds the names that a body binds.
struct Bound<'a> {
    names: Vec<(&'a str, TextSize)>,
    /// How deep in comprehensions, whose names are their own.
    within: usize,
}

impl<'a> Visitor<'a> for Bound<'a> {
    fn visit_stmt(&mut self, statement: &'a Stmt) {
        walk_stmt(self, statement);
    }

    fn visit_expr(&mut self, expression: &'a Expr) {
        match expression {
            Expr::Name(name) if !name.ctx.is_load() && self.within == 0 => {
                self.names.push((name.id.as_str(), name.start()));
            }
            Expr::Generator(_) | Expr::ListComp(_) | Expr::SetComp(_) | Expr::DictComp(_) => {
                self.within += 1;
                walk_expr(self, expression);
                self.within -= 1;
                return;
            }
            _ => {}
        }
        walk_expr(self, expression);
    }
}

impl<'a> Lowering<'a> {
    pub(super) fn refusal(&self, at: TextSize, what: &str) -> NotLowered {
        let before = self.source.get(..usize::from(at)).unwrap_or_default();
        NotLowered { line: before.bytes().filter(|byte| *byte == b'\n').count(), what: what.into() }
    }

    pub(super) fn refuse<T>(&self, what: &impl Ranged, text: &str) -> Lowers<T> {
        Err(self.refusal(what.start(), text))
    }

    fn fresh(&mut self, at: TextSize) -> Lowers<usize> {
        if self.locals >= MAX_LOCALS {
            return Err(self.refusal(at, "more names than are kept"));
        }
        self.locals += 1;
        Ok(self.locals - 1)
    }

    /// Where the value of a name is kept, if the body binds it.
    pub(super) fn local(&self, name: &str) -> Option<usize> {
        self.names.get(name).copied()
    }

    /// Lowers what sees one more name, which hides another one.
    pub(super) fn with_name<T>(
        &mut self,
        name: &'a str,
        at: TextSize,
        lower: impl FnOnce(&mut Self, usize) -> Lowers<T>,
    ) -> Lowers<T> {
        if RESERVED.contains(&name) {
            return Err(self.refusal(at, &format!("`{name}` with another meaning")));
        }
        let local = self.fresh(at)?;
        let hidden = self.names.insert(name, local);
        let lowered = lower(self, local);
        match hidden {
            Some(hidden) => self.names.insert(name, hidden),
            None => self.names.remove(name),
        };
        lowered
    }

    /// Lowers something that is one deeper.
    pub(super) fn deeper<T>(
        &mut self,
        at: &impl Ranged,
        lower: impl FnOnce(&mut Self) -> Lowers<T>,
    ) -> Lowers<T> {
        if self.depth >= MAX_DEPTH {
            return self.refuse(at, "an expression that nests deep");
        }
        self.depth += 1;
        let lowered = lower(self);
        self.depth -= 1;
        lowered
    }

    fn steps(&mut self, body: &'a [Stmt]) -> Lowers<Box<[Step]>> {
        let mut steps = Vec::new();
        for statement in body {
            steps.extend(self.deeper(statement, |lowering| lowering.statement(statement))?);
        }
        Ok(steps.into())
    }

    fn statement(&mut self, statement: &'a Stmt) -> Lowers<Option<Step>> {
        Ok(Some(match statement {
            Stmt::Pass(_) => return Ok(None),
            Stmt::Return(it) => match &it.value {
                Some(value) => Step::Return(self.expression(value)?),
                None => Step::Return(Node::Const(Const::None)),
            },
            Stmt::Expr(it) => match self.message(&it.value)? {
                Some(step) => step,
                // A text that stands there for itself.
                None if constant(&it.value).is_some() => return Ok(None),
                None => Step::Do(self.expression(&it.value)?),
            },
            Stmt::If(it) => {
                let condition = self.expression(&it.test)?;
                let then = self.steps(&it.body)?;
                Step::If(condition, then, self.clauses(&it.elif_else_clauses)?)
            }
            Stmt::For(it) if !it.is_async => self.each(it)?,
            Stmt::Assign(it) => match it.targets.as_slice() {
                [Expr::Name(name)] => {
                    let value = self.expression(&it.value)?;
                    self.assign(&name.id, name, value)?
                }
                _ => return self.refuse(it, "an assignment to something else than one name"),
            },
            Stmt::AnnAssign(it) => match (&*it.target, &it.value) {
                (Expr::Name(name), Some(value)) => {
                    let value = self.expression(value)?;
                    self.assign(&name.id, name, value)?
                }
                _ => return self.refuse(it, "an annotation"),
            },
            Stmt::AugAssign(it) => match (&*it.target, it.op) {
                (Expr::Name(name), Operator::Add) => {
                    let before = self.local(&name.id).map(Node::Local);
                    let value = self.expression(&it.value)?;
                    match before {
                        Some(before) => self.assign(&name.id, name, Node::Add(Box::new((before, value))))?,
                        None => return self.refuse(it, "an assignment with an operator"),
                    }
                }
                _ => return self.refuse(it, "an assignment with an operator"),
            },
            Stmt::Raise(it) => Step::Raise(self.raise(it)?),
            Stmt::Break(_) => Step::Break,
            Stmt::Continue(_) => Step::Continue,
            // Only where it is sure to come before what uses it.
            Stmt::Import(it) if self.depth == 1 => match it.names.as_slice() {
                [name] if &*name.name == "re" && name.asname.is_none() => {
                    self.has_re = true;
                    return Ok(None);
                }
                _ => return self.refuse(it, "`import`"),
            },
            other => return self.refuse(other, kind(other)),
        }))
    }

    fn assign(&self, name: &str, at: &impl Ranged, value: Node) -> Lowers<Step> {
        match self.local(name) {
            Some(local) => Ok(Step::Assign(local, value)),
            None => self.refuse(at, "an assignment"),
        }
    }

    /// `ak_message(value)`, which gives nothing to go on with.
    fn message(&mut self, expression: &'a Expr) -> Lowers<Option<Step>> {
        let Expr::Call(call) = expression else { return Ok(None) };
        match (&*call.func, &*call.arguments.args, &*call.arguments.keywords) {
            (Expr::Name(name), [value], []) if &*name.id == "ak_message" => {
                Ok(Some(Step::Say(self.expression(value)?)))
            }
            _ => Ok(None),
        }
    }

    fn clauses(&mut self, clauses: &'a [ElifElseClause]) -> Lowers<Box<[Step]>> {
        let Some((first, rest)) = clauses.split_first() else { return Ok(Box::default()) };
        self.deeper(first, |lowering| match &first.test {
            None => lowering.steps(&first.body),
            Some(test) => {
                let condition = lowering.expression(test)?;
                let then = lowering.steps(&first.body)?;
                Ok(Box::from([Step::If(condition, then, lowering.clauses(rest)?)]))
            }
        })
    }

    fn each(&mut self, it: &'a StmtFor) -> Lowers<Step> {
        let Expr::Name(name) = &*it.target else {
            return self.refuse(it, "a loop over more than one name");
        };
        let Some(local) = self.local(&name.id) else { return self.refuse(it, "a loop") };
        let over = self.expression(&it.iter)?;
        let body = self.steps(&it.body)?;
        Ok(Step::For(local, over, body, self.steps(&it.orelse)?))
    }

    fn raise(&mut self, it: &'a StmtRaise) -> Lowers<Node> {
        let refused = "`raise` of something else than one of Python's plain exceptions with a text";
        let known = |expression: &Expr| match expression {
            Expr::Name(name) => EXCEPTIONS.contains(&&*name.id) && self.local(&name.id).is_none(),
            _ => false,
        };
        let none = || Node::Const(Const::Text(Box::default()));
        match (it.exc.as_deref(), &it.cause) {
            (Some(name), None) if known(name) => Ok(none()),
            (Some(Expr::Call(call)), None) if known(&call.func) && call.arguments.keywords.is_empty() => {
                match &*call.arguments.args {
                    [] => Ok(none()),
                    [text] if text_of(text).is_some() => self.expression(text),
                    _ => self.refuse(it, refused),
                }
            }
            _ => self.refuse(it, refused),
        }
    }
}

/// What people call a statement.
const fn kind(statement: &Stmt) -> &'static str {
    match statement {
        Stmt::FunctionDef(_) => "`def`",
        Stmt::ClassDef(_) => "`class`",
        Stmt::Delete(_) => "`del`",
        Stmt::While(_) => "`while`",
        Stmt::With(_) => "`with`",
        Stmt::Match(_) => "`match`",
        Stmt::Try(_) => "`try`",
        Stmt::Assert(_) => "`assert`",
        Stmt::Import(_) | Stmt::ImportFrom(_) => "`import`",
        Stmt::Global(_) => "`global`",
        Stmt::Nonlocal(_) => "`nonlocal`",
        _ => "a statement of this kind",
    }
}
