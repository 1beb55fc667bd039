//! Bodies in the commonest shapes, lowered when they are loaded to conditions that are evaluated here: bounded, in place, and
//! without the interpreter.
//!
//! The interpreter is the reference. A body is lowered only if every construct in it is known here; and where a value turns
//! up that is not (an error that Python words, an object with ways of its own, a text in other letters), the evaluation
//! stops and the interpreter runs the body from its beginning, which loses nothing since no lowered body changes anything.
//! `tests/lowered.rs` holds both to the same answer. Must not know: the interpreter.

mod call;
mod expression;
mod node;
mod run;
mod scene;
mod statement;
mod value;

use super::needs::Needs;
use super::outcome::Outcome;
use crate::model::Value;
use crate::policy::{Input, Verdict};
use node::{Sort, Step};
use ruff_python_ast::Stmt;
use value::V;

/// A body that is evaluated here.
#[derive(Debug)]
pub(super) struct Lowered {
    steps: Box<[Step]>,
    locals: usize,
    needs: Needs,
}

/// Why a body is not lowered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotLowered {
    /// The line within the body, from 1.
    pub line: usize,
    /// What stands there that the interpreter has to see to.
    pub what: Box<str>,
}

/// Why an evaluation ends early.
#[derive(Debug)]
enum Stop {
    /// Only the interpreter knows.
    Unsure,
    /// The body raises an error of this text.
    Raised(Box<str>),
}

/// Only the interpreter knows.
struct Unsure;

impl From<Unsure> for Stop {
    fn from(_: Unsure) -> Self {
        Self::Unsure
    }
}

impl Lowered {
    /// Lowers the body of a function. `source` is the text that was parsed, whose first line is none of the body's.
    pub(super) fn new(source: &str, body: &[Stmt], needs: Needs) -> Result<Self, NotLowered> {
        let (steps, locals) = statement::lower(source, body)?;
        Ok(Self { steps, locals, needs })
    }

    /// What the body says, if that is sure to be what the interpreter would say.
    pub(super) fn evaluate(&self, input: &Input<'_>) -> Option<Verdict> {
        self.run(input, |verdict, _| Some(verdict))
    }

    /// As [`Lowered::evaluate`], with the value that the body returns.
    pub(super) fn outcome(&self, input: &Input<'_>) -> Option<Outcome> {
        self.run(input, |verdict, value| Some(Outcome { raw: plain(value)?, verdict }))
    }

    fn run<T>(&self, input: &Input<'_>, then: impl FnOnce(Verdict, V<'_>) -> Option<T>) -> Option<T> {
        let scene = scene::Scene::new(input, self.needs);
        let mut run = run::Run::new(&scene, self.locals);
        match run.body(&self.steps).and_then(|value| Ok((value.is_truthy()?, value))) {
            Ok((passing, value)) => {
                let messages = std::mem::take(&mut run.messages);
                then(Verdict { messages, ..Verdict::of(passing) }, value)
            }
            // Messages that were given before are lost, as in authentik.
            Err(Stop::Raised(text)) => then(Verdict::error(text), V::None),
            Err(Stop::Unsure) => None,
        }
    }
}

/// A value as others see it; nothing where it takes the interpreter to tell.
#[expect(clippy::cast_precision_loss, reason = "numbers are doubles, as in JSON")]
fn plain(value: V<'_>) -> Option<Value> {
    Some(match value {
        V::None => Value::Null,
        V::Bool(value) => Value::Bool(value),
        V::Int(value) => Value::Number(value as f64),
        V::Float(value) => Value::Number(value),
        V::Text(text) => Value::String(text.into()),
        V::Items([], Sort::List) => Value::List(Vec::new()),
        // Objects of the scope have no plain form.
        V::User | V::Request | V::Http | V::Target(_) | V::Event(_) | V::Address(_) => Value::Null,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use crate::model::{Context, Timestamp};
    use crate::policy::python::Program;
    use crate::policy::tests::{ALICE, Nowhere};
    use crate::policy::{Calls, Evaluation, Input, Verdict};

    /// What a body says natively; nothing where the interpreter is asked.
    fn natively(source: &str) -> Option<Verdict> {
        let (context, calls) = (Context::at(Timestamp::new(0, 0)), Calls::default());
        let (groups, world) = (&Nowhere, &Nowhere);
        let input = Input { person: ALICE, context: &context, target: None, groups, world, calls: &calls };
        match Program::new("p", source).evaluate(&input) {
            Evaluation::Done(verdict) => Some(verdict),
            Evaluation::Deferred(_) => None,
        }
    }

    #[test]
    fn common_bodies_are_answered_here() {
        for (source, passing) in [
            ("return True", true),
            ("return request.user.username == 'alice'", true),
            ("return request.user.username in ['bob', 'carol']", false),
            ("return ip_address('10.1.2.3') in ip_network('10.0.0.0/8')", true),
            ("return regex_match(request.user.username, '^al')", true),
            ("return not request.context.get('risk')", true),
            ("if request.user.username.startswith('b'):\n    return True\nreturn False", false),
            (
                "for name in ['bob', 'alice']:\n    if name == request.user.username:\n        return True\nreturn False",
                true,
            ),
        ] {
            assert_eq!(natively(source), Some(Verdict::of(passing)), "{source}");
        }
    }

    #[test]
    fn messages_come_with_the_answer_and_errors_with_their_text() {
        let verdict = natively("ak_message('not you')\nreturn False").unwrap();
        assert_eq!((verdict.messages.len(), verdict.result), (1, Ok(false)));
        let verdict = natively("return request.context['risk'] > 3").unwrap();
        assert!(verdict.result.unwrap_err().contains("risk"));
    }

    #[test]
    fn what_only_the_interpreter_knows_is_left_to_it() {
        for source in [
            "return len({1, 2}) == 2",
            "return sum(range(3)) == 3",
            "x = [1]\nx.append(2)\nreturn len(x) == 2",
            "try:\n    return 1 / 0\nexcept ZeroDivisionError:\n    return True",
            // Beyond the bound on steps.
            &format!(
                "for a in [{0}]:\n    for b in [{0}]:\n        if a == b + 1:\n            return True\nreturn False",
                "1, ".repeat(200)
            ),
        ] {
            assert_eq!(natively(source), None, "{source}");
        }
    }

    #[test]
    fn why_a_body_is_not_lowered_names_the_line() {
        let why = |source: &str| {
            Program::new("p", source).not_lowered().map(|why| (why.line, why.what.to_string()))
        };
        assert_eq!(why("return True"), None);
        let (line, what) = why("x = 1\ntry:\n    return x\nexcept Exception:\n    return False").unwrap();
        assert_eq!(line, 2, "{what}");
    }
}
