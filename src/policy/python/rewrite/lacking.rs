//! Small things that the interpreter lacks: operators that assign, messages of assertions, generators that are asked for
//! one item, methods of types, some of `datetime`.

use super::Reading;
use ruff_python_ast::token::TokenKind;
use ruff_python_ast::{Expr, ExprAttribute, ExprCall, ExprGenerator, Operator, StmtAssert, StmtAugAssign};
use ruff_text_size::{Ranged, TextRange, TextSize};

/// Methods of types that are called through the type, such as `str.lower` as a key to sort by.
const METHODS: &[&str] = &[
    "capitalize",
    "casefold",
    "endswith",
    "get",
    "isdigit",
    "join",
    "lower",
    "lstrip",
    "replace",
    "rstrip",
    "split",
    "startswith",
    "strip",
    "title",
    "upper",
];
/// Methods of one value that are handed on without being called, such as `names.get`. Few, since an attribute of
/// something else may be called the same.
const BOUND: &[&str] = &["append", "endswith", "get", "lower", "startswith", "strip", "upper"];
/// Methods of `datetime` that the scope makes up for.
const MOMENTS: &[&str] = &["astimezone", "combine", "fromtimestamp", "isocalendar", "now", "utcoffset"];

impl Reading<'_> {
    /// `x %= y` and `x |= y` on a name.
    pub(super) fn assign(&mut self, statement: &StmtAugAssign) {
        let (kind, function) = match statement.op {
            Operator::Mod => (TokenKind::PercentEqual, "_remainder"),
            Operator::BitOr => (TokenKind::VbarEqual, "_join"),
            _ => return,
        };
        let Expr::Name(name) = &*statement.target else { return };
        let between = TextRange::new(statement.target.end(), statement.value.start());
        let Some(token) = self.tokens_in(between).iter().find(|token| token.kind() == kind) else { return };
        let range = token.range();
        self.needs.format = true;
        self.replace(range, format!("= {function}({}, (", name.id));
        self.insert(statement.end(), "))");
    }

    /// `assert x, y`: the interpreter adds a line of the source to the text.
    pub(super) fn assert(&mut self, statement: &StmtAssert) {
        let Some(message) = &statement.msg else { return };
        let between = TextRange::new(statement.test.end(), message.start());
        let Some(comma) = self.tokens_in(between).iter().find(|token| token.kind() == TokenKind::Comma)
        else {
            return;
        };
        let comma = comma.range();
        self.replace(TextRange::at(statement.start(), TextSize::of("assert")), "_assert((");
        self.replace(comma, "), lambda: (");
        self.insert(statement.end(), "))");
    }

    /// A generator is a list here. One that stands alone is handed on as an iterator, so that `next` works on it.
    pub(super) fn generator(&mut self, generator: &ExprGenerator) {
        if generator.parenthesized {
            self.insert(generator.start(), "iter(");
            self.insert(generator.end(), ")");
        }
    }

    /// Calls whose function the interpreter lacks. Tells whether it was one.
    pub(super) fn lacking(&mut self, call: &ExprCall) -> bool {
        let arguments = &call.arguments;
        match &*call.func {
            Expr::Name(name) if &*name.id == "next" => {
                if let Some(Expr::Generator(only)) = arguments.args.first()
                    && !only.parenthesized
                {
                    self.insert(arguments.start() + TextSize::of('('), "iter(");
                    self.insert(arguments.end() - TextSize::of(')'), ")");
                }
                true
            }
            // `now()` of no zone is the interpreter's, and of Django's `timezone` the scope's.
            // One of the policy's own is another function.
            Expr::Name(name) if &*name.id == "sum" && !self.source.contains("def sum(") => {
                self.needs.format = true;
                self.replace(name.range(), "_sum");
                true
            }
            Expr::Attribute(method)
                if MOMENTS.contains(&&*method.attr) && !(&*method.attr == "now" && arguments.is_empty()) =>
            {
                self.needs.moments = true;
                let name =
                    if &*method.attr == "now" { "_now_in".into() } else { format!("_{}", method.attr) };
                self.method(call, method, &name);
                true
            }
            _ => false,
        }
    }

    /// A method that is handed on, or called through its type, and `datetime.UTC`.
    pub(super) fn attribute(&mut self, attribute: &ExprAttribute, is_called: bool) {
        let (name, value) = (&*attribute.attr, self.text(attribute.value.range()));
        match &*attribute.value {
            Expr::Name(owner) if name == "UTC" && matches!(&*owner.id, "datetime" | "dt") => {
                self.needs.moments = true;
                self.replace(attribute.range(), "_utc");
            }
            Expr::Name(owner) if matches!(&*owner.id, "str" | "dict") && METHODS.contains(&name) => {
                self.replace(attribute.range(), format!("(lambda _it, *_more: _it.{name}(*_more))"));
            }
            Expr::Name(_) if !is_called && BOUND.contains(&name) => {
                self.replace(attribute.range(), format!("(lambda *_more: {value}.{name}(*_more))"));
            }
            _ => {}
        }
    }
}
