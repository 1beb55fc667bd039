//! `match` as a chain of `if`, which the interpreter has: patterns of values, names and alternatives, with their guards.
//! Patterns that look into lists, mappings and classes stay as they are, so such a statement is refused.

use super::Reading;
use ruff_python_ast::token::TokenKind;
use ruff_python_ast::{MatchCase, Pattern, Singleton, StmtMatch};
use ruff_text_size::{Ranged, TextRange, TextSize};

impl Reading<'_> {
    /// The statement keeps its lines and blocks: `match x:` holds the subject, each `case` becomes a condition on it.
    pub(super) fn matching(&mut self, statement: &StmtMatch) {
        // One inside another has a subject of its own.
        let subject = format!("_subject{}", usize::from(statement.range.start()));
        let mut conditions = Vec::with_capacity(statement.cases.len());
        for case in &statement.cases {
            match self.condition(&case.pattern, &subject) {
                Some(condition) => conditions.push(condition),
                None => return,
            }
        }
        let word = TextRange::at(statement.start(), TextSize::of("match"));
        self.replace(word, format!("if [{subject} := ("));
        self.insert(self.before_colon(statement.subject.end()), ")]");
        for (index, (case, condition)) in statement.cases.iter().zip(conditions).enumerate() {
            let word = if index == 0 { "if" } else { "elif" };
            let MatchCase { pattern, guard, .. } = case;
            match guard {
                None => {
                    let head = TextRange::new(case.start(), self.before_colon(pattern.end()));
                    self.replace(head, format!("{word} {condition}"));
                }
                Some(guard) => {
                    let between = TextRange::new(pattern.end(), guard.start());
                    let ifs = self.tokens_in(between).iter().find(|token| token.kind() == TokenKind::If);
                    let head = TextRange::new(case.start(), ifs.map_or(guard.start(), Ranged::end));
                    self.replace(head, format!("{word} {condition} and ("));
                    self.insert(self.before_colon(guard.end()), ")");
                }
            }
        }
    }

    /// Where the next colon stands: brackets around what came before it may close first.
    fn before_colon(&self, at: TextSize) -> TextSize {
        let from = self.tokens.partition_point(|token| token.start() < at);
        let rest = self.tokens.get(from..).unwrap_or_default();
        rest.iter().find(|token| token.kind() == TokenKind::Colon).map_or(at, Ranged::start)
    }

    /// When a pattern fits; nothing for one that is not understood.
    fn condition(&self, pattern: &Pattern, subject: &str) -> Option<String> {
        Some(match pattern {
            Pattern::MatchValue(value) => format!("{subject} == ({})", self.text(value.value.range())),
            Pattern::MatchSingleton(value) => {
                let value = match value.value {
                    Singleton::None => "None",
                    Singleton::True => "True",
                    Singleton::False => "False",
                };
                format!("{subject} is {value}")
            }
            Pattern::MatchOr(either) => {
                let each: Option<Vec<_>> =
                    either.patterns.iter().map(|pattern| self.condition(pattern, subject)).collect();
                format!("({})", each?.join(" or "))
            }
            Pattern::MatchAs(bound) => {
                let inner = match &bound.pattern {
                    Some(pattern) => self.condition(pattern, subject)?,
                    None => "True".to_owned(),
                };
                match &bound.name {
                    // A list of one is true whatever it holds.
                    Some(name) => format!("({inner} and [{name} := {subject}])"),
                    None => inner,
                }
            }
            _ => return None,
        })
    }
}
