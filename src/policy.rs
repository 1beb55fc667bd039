//! Policies: each kind is compiled once, when the configuration arrives, and evaluated many times.
//!
//! Must not know: where a policy came from, who asks, the network, clocks. What takes time (a wait, a remote
//! evaluator) is handed back as [`Deferred`], for the caller to see through under the binding's timeout.

mod dummy;
mod event_matcher;
mod password;
mod password_expiry;
mod reputation;

use crate::model::{Context, Policy, PolicyKind, ReputationScore, Timestamp, User, Value};
use std::time::Duration;

/// Who a policy is evaluated for.
#[derive(Clone, Copy, Debug)]
pub struct Person<'a> {
    /// Nobody is signed in; the rest is provisional.
    pub anonymous: bool,
    /// The username; empty: none.
    pub username: &'a str,
    /// The display name; empty: none.
    pub name: &'a str,
    /// The e-mail address; empty: none.
    pub email: &'a str,
    /// Free attributes.
    pub attributes: &'a Value,
    /// The directory's entry, if it has one.
    pub user: Option<&'a User>,
}

/// What a policy may read.
#[derive(Clone, Copy)]
pub struct Input<'a> {
    /// Who it is about.
    pub person: Person<'a>,
    /// What else is known.
    pub context: &'a Context,
    /// The configuration's reputation rows.
    pub reputation: &'a dyn ReputationRows,
}

/// Access to the configuration's reputation rows.
pub trait ReputationRows {
    /// Calls `visit` once for each row of this address or of this name; for every row when both are absent.
    fn visit(&self, ip: Option<&str>, identifier: Option<&str>, visit: &mut dyn FnMut(&ReputationScore));
}

/// What a policy said.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// Pass or fail, or the text of its error.
    pub result: Result<bool, Box<str>>,
    /// Its messages, passing or not. Empty after an error.
    pub messages: Vec<Box<str>>,
    /// The earliest moment at which it could say something else without a change of the configuration.
    pub valid_until: Option<Timestamp>,
}

impl Verdict {
    /// Pass or fail, without a message.
    pub const fn of(passing: bool) -> Self {
        Self { result: Ok(passing), messages: Vec::new(), valid_until: None }
    }

    /// An error with this text.
    pub fn error(text: impl Into<Box<str>>) -> Self {
        Self { result: Err(text.into()), messages: Vec::new(), valid_until: None }
    }

    fn with_message(mut self, text: impl Into<Box<str>>) -> Self {
        self.messages.push(text.into());
        self
    }

    const fn until(mut self, moment: Option<Timestamp>) -> Self {
        self.valid_until = moment;
        self
    }
}

/// A policy's answer, at once or later.
#[derive(Clone, Debug, PartialEq)]
pub enum Evaluation {
    /// The verdict.
    Done(Verdict),
    /// What has to happen first.
    Deferred(Deferred),
}

/// What has to happen before a verdict, outside the core.
#[derive(Clone, Debug, PartialEq)]
pub enum Deferred {
    /// Wait for some time between the two, then take the verdict.
    Wait {
        /// Shortest wait.
        min: Duration,
        /// Longest wait.
        max: Duration,
        /// What to say afterwards.
        verdict: Verdict,
    },
}

/// Why a policy cannot be compiled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompileError {
    /// The field at fault, below the policy.
    pub field: &'static str,
    /// What is wrong and what to do.
    pub message: String,
}

/// A policy that is ready to be evaluated.
#[derive(Debug)]
pub struct Compiled(Kind);

#[derive(Debug)]
enum Kind {
    Dummy(dummy::Dummy),
    EventMatcher(event_matcher::EventMatcher),
    PasswordExpiry(crate::model::PasswordExpiry),
    Password(password::Password),
    Reputation(crate::model::Reputation),
    /// Always errors with this text, so that the binding's failure result decides.
    Broken(Box<str>),
}

impl Compiled {
    /// Compiles a policy. A kind that cannot be evaluated yet compiles to one that errors with a text saying so.
    ///
    /// # Errors
    /// When a field has a value that the kind does not allow.
    pub fn new(policy: &Policy) -> Result<Self, CompileError> {
        let name = &policy.name;
        Ok(Self(match &policy.kind {
            PolicyKind::Dummy(config) => Kind::Dummy(dummy::Dummy::new(config)),
            PolicyKind::EventMatcher(config) => match &config.query {
                Some(_) => Kind::Broken(
                    format!(
                        "policy `{name}` has an event query, which bindery does not evaluate; use its fields"
                    )
                    .into(),
                ),
                None => Kind::EventMatcher(event_matcher::EventMatcher::new(config)),
            },
            PolicyKind::PasswordExpiry(config) => Kind::PasswordExpiry(config.clone()),
            PolicyKind::Password(config) => Kind::Password(password::Password::new(config)?),
            PolicyKind::Reputation(config) => Kind::Reputation(config.clone()),
            PolicyKind::Unsupported(kind) => Kind::Broken(
                format!("policy `{name}` is of kind `{kind}`, which bindery does not know").into(),
            ),
            other => Kind::Broken(
                format!(
                    "policy `{name}` is of kind `{}`, which this version does not evaluate",
                    other.name()
                )
                .into(),
            ),
        }))
    }

    /// What the policy says.
    pub fn evaluate(&self, input: &Input<'_>) -> Evaluation {
        Evaluation::Done(match &self.0 {
            Kind::Dummy(policy) => return policy.evaluate(),
            Kind::EventMatcher(policy) => policy.evaluate(input),
            Kind::PasswordExpiry(config) => password_expiry::evaluate(config, input),
            Kind::Password(policy) => policy.evaluate(input),
            Kind::Reputation(config) => reputation::evaluate(config, input),
            Kind::Broken(text) => Verdict::error(text.clone()),
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::model::Id;

    /// No rows at all.
    pub(crate) struct NoRows;

    impl ReputationRows for NoRows {
        fn visit(&self, _: Option<&str>, _: Option<&str>, _: &mut dyn FnMut(&ReputationScore)) {}
    }

    /// Evaluates a policy that answers at once.
    pub(crate) fn verdict(kind: PolicyKind, person: Person<'_>, context: &Context) -> Verdict {
        let policy = Policy { id: Id::new("p"), name: "p".into(), execution_logging: false, kind };
        match Compiled::new(&policy).unwrap().evaluate(&Input { person, context, reputation: &NoRows }) {
            Evaluation::Done(verdict) => verdict,
            Evaluation::Deferred(deferred) => panic!("{deferred:?}"),
        }
    }

    /// Somebody who is signed in and not in the directory.
    pub(crate) const ALICE: Person<'static> = Person {
        anonymous: false,
        username: "alice",
        name: "Alice Example",
        email: "alice@example.com",
        attributes: &Value::Null,
        user: None,
    };

    #[test]
    fn kinds_to_come_error_and_say_so() {
        let now = Context::at(Timestamp::new(0, 0));
        let kind = PolicyKind::Unsupported("risk".into());
        let text = verdict(kind, ALICE, &now).result.unwrap_err();
        assert_eq!(&*text, "policy `p` is of kind `risk`, which bindery does not know");
        let kind = PolicyKind::UniquePassword(crate::model::UniquePassword {
            password_field: "password".into(),
            num_historical_passwords: 1,
        });
        let text = verdict(kind, ALICE, &now).result.unwrap_err();
        assert_eq!(&*text, "policy `p` is of kind `unique_password`, which this version does not evaluate");
    }
}
