//! Reads a body and writes it anew where the interpreter falls short of Python: the `%` operator, order between
//! addresses and sets, `del` of an item, `match`, look-ups in lists of groups, imports. What it does not know stays as it is.
//!
//! Must not know: what the names of the scope do.

mod lacking;
mod matching;

use super::modules::{Import, advice, import};
use super::needs::Needs;
use ruff_python_ast::token::{Token, TokenKind};
use ruff_python_ast::visitor::{Visitor, walk_expr, walk_stmt};
use ruff_python_ast::{
    CmpOp, Expr, ExprAttribute, ExprCall, ExprContext, ExprSubscript, Operator, Stmt, StmtDelete, StmtImport,
    StmtImportFrom,
};
use ruff_text_size::{Ranged, TextRange, TextSize};
use std::fmt::Write as _;

/// Something in a body that cannot work in a sidecar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The line within the body, from 1.
    pub line: usize,
    /// What it is: a name or a module.
    pub name: Box<str>,
    /// What to do instead.
    pub advice: Box<str>,
}

/// A replacement of a part of the text.
struct Edit {
    range: TextRange,
    text: String,
}

/// What was found in a body.
pub(super) struct Reading<'a> {
    source: &'a str,
    tokens: &'a [Token],
    edits: Vec<Edit>,
    pub(super) needs: Needs,
    pub(super) findings: Vec<Finding>,
    /// Whether it may change the context.
    pub(super) changes: bool,
    /// Whether the body itself is a generator: such a function returns at once, with something that is true.
    pub(super) is_generator: bool,
    depth: usize,
    /// Where the function of the call that is being read begins: it is no attribute that is handed on.
    called: Option<TextRange>,
}

/// Methods of query sets, which a list does not have, or has with another meaning.
const QUERIES: &[&str] = &[
    "all",
    "filter",
    "exclude",
    "get",
    "exists",
    "count",
    "first",
    "last",
    "distinct",
    "iterator",
    "prefetch_related",
    "select_related",
    "only",
    "order_by",
    "values_list",
    "values",
];

/// Methods that change what they are called on.
const MUTATORS: &[&str] = &[
    "update",
    "setdefault",
    "pop",
    "popitem",
    "clear",
    "append",
    "extend",
    "insert",
    "remove",
    "sort",
    "reverse",
    "add",
    "discard",
];

const EXCEPTIONS: &[&str] = &[
    "BaseException",
    "Exception",
    "SystemExit",
    "ArithmeticError",
    "AssertionError",
    "AttributeError",
    "IndexError",
    "KeyError",
    "LookupError",
    "NameError",
    "NotImplementedError",
    "OSError",
    "OverflowError",
    "PermissionError",
    "RuntimeError",
    "StopIteration",
    "TypeError",
    "ValueError",
    "ZeroDivisionError",
];

impl<'a> Reading<'a> {
    /// Reads the statements of a body. `source` and `tokens` are those of the whole that was parsed.
    pub(super) fn new(source: &'a str, tokens: &'a [Token], body: &'a [Stmt]) -> Self {
        let mut reading = Self {
            source,
            tokens,
            edits: Vec::new(),
            needs: Needs::default(),
            findings: Vec::new(),
            changes: false,
            is_generator: false,
            depth: 0,
            called: None,
        };
        for statement in body {
            reading.visit_stmt(statement);
        }
        reading
    }

    /// The source with what was written anew.
    pub(super) fn rewritten(mut self) -> String {
        self.edits.sort_by_key(|edit| (edit.range.start(), edit.range.end()));
        let mut out = String::with_capacity(self.source.len() + self.source.len() / 4);
        let mut at = TextSize::new(0);
        for edit in &self.edits {
            // Two changes of one place cannot be: what overlaps was not understood, and stays as it is.
            if edit.range.start() < at {
                continue;
            }
            out.push_str(self.text(TextRange::new(at, edit.range.start())));
            out.push_str(&edit.text);
            at = edit.range.end();
        }
        out.push_str(self.text(TextRange::new(at, TextSize::of(self.source))));
        out
    }

    fn text(&self, range: TextRange) -> &'a str {
        self.source.get(usize::from(range.start())..usize::from(range.end())).unwrap_or_default()
    }

    fn insert(&mut self, at: TextSize, text: impl Into<String>) {
        self.edits.push(Edit { range: TextRange::empty(at), text: text.into() });
    }

    fn replace(&mut self, range: TextRange, text: impl Into<String>) {
        self.edits.push(Edit { range, text: text.into() });
    }

    /// The tokens that lie in this range.
    fn tokens_in(&self, range: TextRange) -> &'a [Token] {
        let from = self.tokens.partition_point(|token| token.start() < range.start());
        let to = self.tokens.partition_point(|token| token.end() <= range.end());
        self.tokens.get(from..to).unwrap_or_default()
    }

    fn line(&self, at: TextSize) -> usize {
        self.text(TextRange::up_to(at)).bytes().filter(|byte| *byte == b'\n').count()
    }

    fn find(&mut self, at: TextSize, name: &str, advice: &str) {
        let line = self.line(at);
        self.findings.push(Finding { line, name: name.into(), advice: advice.into() });
    }

    /// `left OP right` becomes `function(left , [extra] right)`.
    fn operator(
        &mut self,
        whole: TextRange,
        between: TextRange,
        kinds: &[TokenKind],
        function: &str,
        extra: &str,
    ) {
        let Some(token) = self.tokens_in(between).iter().find(|token| kinds.contains(&token.kind())) else {
            return;
        };
        let range = token.range();
        self.insert(whole.start(), format!("{function}("));
        self.replace(range, format!(", {extra}"));
        self.insert(whole.end(), ")");
    }

    /// `value.method(...)` becomes `function(value, ...)`.
    fn method(&mut self, call: &ExprCall, method: &ExprAttribute, function: &str) {
        let arguments = &call.arguments;
        let between = TextRange::new(method.value.end(), method.attr.start());
        let Some(dot) = self.tokens_in(between).iter().rfind(|token| token.kind() == TokenKind::Dot) else {
            return;
        };
        let dot = dot.start();
        let open = arguments.start() + TextSize::of('(');
        self.insert(call.start(), format!("{function}("));
        self.replace(TextRange::new(dot, open), if arguments.is_empty() { "" } else { ", " });
    }

    fn call(&mut self, call: &'a ExprCall) {
        self.called = Some(call.func.range());
        if self.lacking(call) {
            return;
        }
        let arguments = &call.arguments;
        match &*call.func {
            Expr::Attribute(method) => {
                let name = method.attr.as_str();
                self.changes |= MUTATORS.contains(&name);
                let function = match name {
                    "getlist" => "_getlist".to_owned(),
                    // A dictionary has these two as well, and they take or give something else there.
                    "get" if !arguments.args.is_empty() => return,
                    "values" | "all" | "filter" | "get" | "count" | "first" | "last" | "only"
                        if !self.needs.groups && !self.source.contains("groups") =>
                    {
                        return;
                    }
                    name if QUERIES.contains(&name) && self.source.contains("groups") => {
                        format!("_query_{name}")
                    }
                    _ => return,
                };
                if name == "values" && arguments.is_empty() {
                    return;
                }
                self.method(call, method, &function);
            }
            Expr::Name(name) => {
                let name = name.id.as_str();
                self.changes |= matches!(name, "setattr" | "delattr" | "ak_call_policy");
                if name == "open" {
                    self.find(call.start(), name, advice(name).unwrap_or_default());
                }
                let is_plain = match &*arguments.args {
                    [] => true,
                    [only] => matches!(only, Expr::StringLiteral(_) | Expr::FString(_)),
                    _ => false,
                };
                if EXCEPTIONS.contains(&name) && !is_plain && arguments.keywords.is_empty() {
                    self.insert(arguments.start() + TextSize::of('('), "_error_text(");
                    self.insert(arguments.end() - TextSize::of(')'), ")");
                }
            }
            _ => {}
        }
    }

    /// `a[b]` becomes `function(a, b)`; the opening bracket is the first after `a`.
    fn subscript(&mut self, subscript: &ExprSubscript, function: &str) -> bool {
        let between = TextRange::new(subscript.value.end(), subscript.slice.start());
        let open = self.tokens_in(between).iter().find(|token| token.kind() == TokenKind::Lsqb);
        let Some(open) = open.map(Ranged::range) else { return false };
        let close = TextRange::new(subscript.end() - TextSize::of(']'), subscript.end());
        self.insert(subscript.start(), format!("{function}("));
        self.replace(open, ", ");
        self.replace(close, ")");
        true
    }

    fn delete(&mut self, delete: &StmtDelete) {
        if !delete.targets.iter().all(Expr::is_subscript_expr) {
            return;
        }
        let Some(first) = delete.targets.first() else { return };
        // Brackets around a target stay.
        let tokens = self.tokens_in(TextRange::new(delete.start(), delete.end()));
        let after = tokens.get(1).map_or(first.start(), Ranged::start);
        self.replace(TextRange::new(delete.start(), after), "");
        for pair in delete.targets.windows(2) {
            if let [left, right] = pair {
                let between = self.tokens_in(TextRange::new(left.end(), right.start()));
                if let Some(comma) = between.iter().find(|token| token.kind() == TokenKind::Comma) {
                    self.replace(comma.range(), ";");
                }
            }
        }
        for target in &delete.targets {
            let Expr::Subscript(target) = target else { continue };
            self.subscript(target, "_remove");
            if let Expr::Slice(slice) = &*target.slice {
                let part = |bound: &Option<Box<Expr>>| {
                    bound.as_ref().map_or("None", |bound| self.text(bound.range()))
                };
                let parts = [part(&slice.lower), part(&slice.upper), part(&slice.step)].join(", ");
                self.replace(slice.range(), format!("slice({parts})"));
            }
        }
    }

    fn import(&mut self, statement: &StmtImport) {
        let mut out = String::new();
        let mut changed = false;
        for alias in &statement.names {
            let module = alias.name.as_str();
            if !out.is_empty() {
                out.push_str("; ");
            }
            match (import(module), &alias.asname) {
                (Import::Scope(name), asname) if asname.is_some() || !module.contains('.') => {
                    changed = true;
                    self.count_module(name);
                    let _never_fails =
                        write!(out, "{} = {name}", asname.as_ref().map_or(module, |it| it.as_str()));
                }
                (Import::Refused(text), _) => {
                    changed = true;
                    self.refuse(statement.start(), module, text);
                    let _never_fails = write!(out, "_refuse({module:?})");
                }
                _ => {
                    let _never_fails = write!(out, "import {}", self.text(alias.range()));
                }
            }
        }
        if changed {
            self.replace(statement.range(), out);
        }
    }

    fn import_from(&mut self, statement: &StmtImportFrom) {
        let Some(module) = statement.module.as_ref().map(|module| module.as_str()) else { return };
        let (mut out, mut others) = (Vec::new(), Vec::new());
        for alias in &statement.names {
            let name = alias.name.as_str();
            let bound = alias.asname.as_ref().map_or(name, |it| it.as_str());
            // A name may be a module itself, as in `from django.utils import timezone`.
            if let Import::Scope(scope) = import(&format!("{module}.{name}")) {
                self.count_module(scope);
                out.push(format!("{bound} = {scope}"));
            } else if let Import::Scope(scope) = import(module) {
                self.count_module(scope);
                out.push(format!("{bound} = {scope}.{name}"));
            } else if (module, name) == ("datetime", "UTC") {
                self.needs.moments = true;
                out.push(format!("{bound} = _utc"));
            } else {
                others.push(self.text(alias.range()));
            }
        }
        let is_whole = others.is_empty() || import(module) == Import::Interpreter;
        if !out.is_empty() && is_whole {
            if !others.is_empty() {
                out.push(format!("from {module} import {}", others.join(", ")));
            }
            self.replace(statement.range(), out.join("; "));
        } else if let Import::Refused(text) = import(module) {
            self.refuse(statement.start(), module, text);
            self.replace(statement.range(), format!("_refuse({module:?})"));
        }
    }

    fn refuse(&mut self, at: TextSize, name: &str, advice: &str) {
        self.needs.refused = true;
        self.find(at, name, advice);
    }

    const fn count_module(&mut self, name: &str) {
        // `_ipaddress` belongs to the addresses, `_texts` to the texts, `_zones` to the moments, the rest to the modules.
        match name.as_bytes() {
            b"_ipaddress" => self.needs.ip = true,
            // A value, which needs nothing.
            [b'\'', ..] => {}
            b"_texts" => self.needs.text = true,
            b"_zones" => self.needs.moments = true,
            _ => self.needs.modules = true,
        }
    }
}

impl<'a> Visitor<'a> for Reading<'a> {
    fn visit_stmt(&mut self, statement: &'a Stmt) {
        match statement {
            Stmt::Delete(delete) => {
                self.changes = true;
                self.delete(delete);
            }
            Stmt::Assert(statement) => self.assert(statement),
            Stmt::AugAssign(statement) => self.assign(statement),
            Stmt::Match(statement) => self.matching(statement),
            Stmt::Import(statement) => return self.import(statement),
            Stmt::ImportFrom(statement) => return self.import_from(statement),
            Stmt::FunctionDef(_) | Stmt::ClassDef(_) => {
                self.depth += 1;
                walk_stmt(self, statement);
                self.depth -= 1;
                return;
            }
            _ => {}
        }
        walk_stmt(self, statement);
    }

    fn visit_expr(&mut self, expression: &'a Expr) {
        match expression {
            Expr::Name(name) => {
                self.needs.count(&name.id);
                if let (Some(text), ExprContext::Load) = (advice(&name.id), name.ctx)
                    && &*name.id != "open"
                {
                    self.find(name.start(), &name.id, text);
                }
            }
            Expr::Attribute(attribute) => {
                self.needs.count(&attribute.attr);
                self.changes |= !matches!(attribute.ctx, ExprContext::Load);
                if matches!(attribute.ctx, ExprContext::Load) {
                    self.attribute(attribute, self.called == Some(attribute.range()));
                }
            }
            Expr::Generator(generator) => self.generator(generator),
            Expr::StringLiteral(text) => self.needs.count(text.value.to_str()),
            Expr::Subscript(subscript) => {
                self.changes |= !matches!(subscript.ctx, ExprContext::Load);
                if matches!(subscript.ctx, ExprContext::Load)
                    && self.source.contains("headers")
                    && !matches!(&*subscript.slice, Expr::Slice(_) | Expr::Tuple(_))
                {
                    self.needs.http = true;
                    self.subscript(subscript, "_item");
                }
            }
            Expr::BinOp(operation) => {
                let between = TextRange::new(operation.left.end(), operation.right.start());
                match operation.op {
                    Operator::Mod => {
                        self.needs.format = true;
                        self.operator(operation.range(), between, &[TokenKind::Percent], "_remainder", "");
                    }
                    Operator::BitOr => {
                        self.needs.format = true;
                        self.operator(operation.range(), between, &[TokenKind::Vbar], "_union", "");
                    }
                    _ => {}
                }
            }
            Expr::Compare(compare) => {
                if let ([operator], [right]) = (&*compare.ops, &*compare.comparators)
                    && (["ip_address", "ak_client_ip", "set("].iter().any(|name| self.source.contains(name))
                        || compare.left.is_set_expr()
                        || right.is_set_expr())
                {
                    let between = TextRange::new(compare.left.end(), right.start());
                    let order = match operator {
                        CmpOp::Lt => Some((TokenKind::Less, "'<', ")),
                        CmpOp::LtE => Some((TokenKind::LessEqual, "'<=', ")),
                        CmpOp::Gt => Some((TokenKind::Greater, "'>', ")),
                        CmpOp::GtE => Some((TokenKind::GreaterEqual, "'>=', ")),
                        _ => None,
                    };
                    if let Some((kind, text)) = order {
                        self.needs.format = true;
                        self.operator(compare.range(), between, &[kind], "_order", text);
                    }
                }
            }
            Expr::Call(call) => self.call(call),
            Expr::Lambda(_) => {
                self.depth += 1;
                walk_expr(self, expression);
                self.depth -= 1;
                return;
            }
            Expr::Yield(_) | Expr::YieldFrom(_) => self.is_generator |= self.depth == 0,
            _ => {}
        }
        walk_expr(self, expression);
    }
}
