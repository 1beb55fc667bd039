//! Policies: each kind is compiled once, when the configuration arrives, and evaluated many times.
//!
//! Must not know: where a policy came from, who asks, the network, clocks. What takes time (a wait, a remote
//! evaluator) is handed back as [`Deferred`], for the caller to see through under the binding's timeout.

mod cel;
mod conditional;
mod dummy;
mod event_matcher;
mod geoip;
mod password;
mod password_expiry;
pub(crate) mod plan;
pub mod python;
pub mod remote;
mod report;
mod reputation;
mod scene;
mod secret;
mod unique_password;

pub use password::Breaches;
pub use plan::keep_in_plan;
pub use report::Report;
pub use scene::Scene;
pub use secret::Secret;
pub use unique_password::Reuse;

use crate::model::{
    Context, ExpressionLanguage, Group, Policy, PolicyKind, ReputationScore, Target, Timestamp, User, Value,
};
use std::cell::Cell;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// How deep policies may call each other.
pub const MAX_CALL_DEPTH: usize = 10;

/// Who a policy is evaluated for.
#[derive(Clone, Copy, Debug)]
pub struct Person<'a> {
    /// Nobody is signed in; the rest is provisional.
    pub anonymous: bool,
    /// The id that the caller gave somebody whom the directory does not know; empty: none.
    pub id: &'a str,
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
    /// Whether it is a superuser.
    pub is_superuser: bool,
}

/// The groups of somebody.
pub trait Groups {
    /// All of them, inherited ones too, and whether somebody is in them directly. A group that only the caller vouches
    /// for has no more than its id or name.
    fn all(&self) -> Vec<(Arc<Group>, bool)>;

    /// Whether one of them, or of the direct ones only, is such a one.
    fn any(&self, direct: bool, is: &mut dyn FnMut(HeldGroup<'_>) -> bool) -> bool {
        self.all().iter().any(|(group, own)| (*own || !direct) && is(HeldGroup::from(&**group)))
    }
}

/// A group of somebody, as far as look-ups ask for it.
#[derive(Clone, Copy, Debug)]
pub struct HeldGroup<'a> {
    /// Its name; of one that only the caller vouches for, the id or name that it was called by.
    pub name: &'a str,
    /// Whether members are superusers.
    pub is_superuser: bool,
    /// The directory's entry, if it has one.
    pub known: Option<&'a Group>,
}

impl<'a> From<&'a Group> for HeldGroup<'a> {
    fn from(group: &'a Group) -> Self {
        Self { name: &group.name, is_superuser: group.is_superuser, known: Some(group) }
    }
}

/// What a policy may read.
#[derive(Clone, Copy)]
pub struct Input<'a> {
    /// Who it is about.
    pub person: Person<'a>,
    /// What else is known, with what earlier policies of this decision changed.
    pub context: &'a Context,
    /// What is asked about, if it is known.
    pub target: Option<&'a Target>,
    /// The groups of that person.
    pub groups: &'a dyn Groups,
    /// What policies may look up.
    pub world: &'a dyn World,
    /// The policies that this one called.
    pub calls: &'a Calls<'a>,
}

impl Input<'_> {
    /// Evaluates another policy for this one.
    pub fn call(&self, name: &str) -> Called {
        let Some(policy) = self.world.policy(name) else {
            return Called::Missing;
        };
        let depth = self.calls.depth.get();
        if depth >= MAX_CALL_DEPTH {
            let text = format!("policies call each other more than {MAX_CALL_DEPTH} deep; break the loop");
            return Called::Done(Verdict::error(text));
        }
        self.calls.depth.set(depth + 1);
        let evaluation = policy.evaluate(self);
        self.calls.depth.set(depth);
        match evaluation {
            Evaluation::Done(verdict) => Called::Done(verdict),
            // What was called by the called one: that has to be had first.
            Evaluation::Deferred(called @ Deferred::Called(_)) => Called::Deferred(called),
            Evaluation::Deferred(deferred) => {
                let index = self.calls.next.get();
                self.calls.next.set(index + 1);
                match self.calls.verdicts.get(index) {
                    Some(verdict) => Called::Done(verdict.clone()),
                    None => Called::Deferred(Deferred::Called(Box::new(deferred))),
                }
            }
        }
    }
}

/// What came of calling another policy.
#[derive(Clone, Debug, PartialEq)]
pub enum Called {
    /// There is no policy of this name.
    Missing,
    /// What it said.
    Done(Verdict),
    /// Hand this back as the calling policy's own evaluation; it is asked again when the called one has answered.
    Deferred(Deferred),
}

/// What policies said that a policy called and that had to be waited for, in the order of the calls. A policy that is
/// asked again calls the same ones in the same order, since nothing that it reads has changed.
#[derive(Debug, Default)]
pub struct Calls<'a> {
    verdicts: &'a [Verdict],
    next: Cell<usize>,
    depth: Cell<usize>,
}

impl<'a> Calls<'a> {
    /// Calls of which these have been answered.
    pub const fn answered(verdicts: &'a [Verdict]) -> Self {
        Self { verdicts, next: Cell::new(0), depth: Cell::new(0) }
    }
}

/// What policies may look up: one revision of the configuration, and data that lies beside it.
pub trait World {
    /// Calls `visit` once for each reputation row of this address or of this name; for every row when both are absent.
    fn reputation(&self, ip: Option<&str>, identifier: Option<&str>, visit: &mut dyn FnMut(&ReputationScore));

    /// The policy with this name or id.
    fn policy(&self, name: &str) -> Option<Arc<Compiled>>;

    /// Where an address is, as authentik puts it under `geoip` into the context; nothing when it is not known.
    fn city(&self, address: IpAddr) -> Option<Value>;

    /// The autonomous system of an address, as authentik puts it under `asn` into the context; nothing when it is not
    /// known.
    fn asn(&self, address: IpAddr) -> Option<Value>;
}

/// What is known of addresses. Lies beside the configuration and changes without a revision of it.
pub trait Places: std::fmt::Debug + Send + Sync {
    /// As [`World::city`].
    fn city(&self, address: IpAddr) -> Option<Value>;

    /// As [`World::asn`].
    fn asn(&self, address: IpAddr) -> Option<Value>;
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
    /// What it changed for the policies after it in the same decision, errors included.
    pub changes: Option<Box<Changes>>,
}

/// What a policy changed for the policies after it. Nothing of it outlives the decision.
#[derive(Clone, Debug, PartialEq)]
pub struct Changes {
    /// The context's free values, whole.
    pub values: Option<Value>,
    /// The user's attributes, whole.
    pub attributes: Option<Value>,
}

impl Verdict {
    /// Pass or fail, without a message.
    pub const fn of(passing: bool) -> Self {
        Self { result: Ok(passing), messages: Vec::new(), valid_until: None, changes: None }
    }

    /// An error with this text.
    pub fn error(text: impl Into<Box<str>>) -> Self {
        Self { result: Err(text.into()), ..Self::of(false) }
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
    /// Look a password up among those that were breached.
    Breaches(Box<Breaches>),
    /// Compare a password with the hashes of former ones, which takes long on purpose.
    Reuse(Box<Reuse>),
    /// A policy that this one called has to answer first; then this one is asked again, with that answer among its
    /// [`Calls`].
    Called(Box<Deferred>),
    /// Run a program in Python.
    Python(Box<python::Call>),
    /// Ask another process.
    Remote(Box<remote::Call>),
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
    Cel(cel::Cel),
    Conditional(conditional::Conditional),
    Dummy(dummy::Dummy),
    EventMatcher(event_matcher::EventMatcher),
    Geoip(geoip::Geoip),
    PasswordExpiry(crate::model::PasswordExpiry),
    Password(password::Password),
    Reputation(crate::model::Reputation),
    Python(Box<python::Program>),
    Remote(remote::Remote),
    UniquePassword(crate::model::UniquePassword),
    /// Always errors with this text, so that the binding's failure result decides.
    Broken(Box<str>),
}

impl Compiled {
    /// Compiles a policy. One of a kind that is not known compiles to one that errors with a text saying so.
    ///
    /// # Errors
    /// When a field has a value that the kind does not allow.
    pub fn new(policy: &Policy) -> Result<Self, CompileError> {
        let name = &policy.name;
        Ok(Self(match &policy.kind {
            PolicyKind::Conditional(config) => Kind::Conditional(conditional::Conditional::new(config)?),
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
            PolicyKind::Geoip(config) => Kind::Geoip(geoip::Geoip::new(config)?),
            PolicyKind::PasswordExpiry(config) => Kind::PasswordExpiry(config.clone()),
            PolicyKind::Password(config) => Kind::Password(password::Password::new(config)?),
            PolicyKind::Reputation(config) => Kind::Reputation(config.clone()),
            PolicyKind::Expression(config) => match config.language {
                ExpressionLanguage::Python => {
                    Kind::Python(Box::new(python::Program::new(name, &config.source)))
                }
                ExpressionLanguage::Cel => Kind::Cel(cel::Cel::new(&config.source)?),
            },
            PolicyKind::Remote(config) => Kind::Remote(remote::Remote::new(config)?),
            PolicyKind::UniquePassword(config) => Kind::UniquePassword(config.clone()),
            PolicyKind::Unsupported(kind) => Kind::Broken(
                format!("policy `{name}` is of kind `{kind}`, which bindery does not know").into(),
            ),
        }))
    }

    /// The name of its kind, as [`PolicyKind::name`] gives it; one that cannot be evaluated is unsupported.
    pub const fn kind(&self) -> &'static str {
        match &self.0 {
            Kind::Cel(_) | Kind::Python(_) => "expression",
            Kind::Conditional(_) => "conditional",
            Kind::Dummy(_) => "dummy",
            Kind::EventMatcher(_) => "event_matcher",
            Kind::Geoip(_) => "geoip",
            Kind::PasswordExpiry(_) => "password_expiry",
            Kind::Password(_) => "password",
            Kind::Reputation(_) => "reputation",
            Kind::Remote(_) => "remote",
            Kind::UniquePassword(_) => "unique_password",
            Kind::Broken(_) => "unsupported",
        }
    }

    /// Whether it may change the context for the policies after it.
    pub fn changes_context(&self) -> bool {
        match &self.0 {
            Kind::Conditional(policy) => policy.changes_context(),
            Kind::Python(program) => program.changes_context(),
            Kind::Remote(policy) => policy.changes_context(),
            _ => false,
        }
    }

    /// The program, if it is one in Python.
    pub fn python(&self) -> Option<&python::Program> {
        match &self.0 {
            Kind::Python(program) => Some(program),
            _ => None,
        }
    }

    /// As [`Compiled::evaluate`], with the value that an expression in Python returns; of all others, whether they pass.
    ///
    /// # Errors
    /// What has to happen first.
    pub fn valued(&self, input: &Input<'_>) -> Result<python::Outcome, Deferred> {
        if let Kind::Python(program) = &self.0 {
            return program.valued(input);
        }
        match self.evaluate(input) {
            Evaluation::Done(verdict) => Ok(python::Outcome::of(verdict)),
            Evaluation::Deferred(deferred) => Err(deferred),
        }
    }

    /// As [`Compiled::evaluate`], with the steps that it took where steps are counted.
    pub fn evaluate_counted(&self, input: &Input<'_>) -> (Evaluation, Option<u64>) {
        match &self.0 {
            Kind::Cel(policy) => {
                let (verdict, steps) = policy.counted(input);
                (Evaluation::Done(verdict), Some(steps))
            }
            _ => (self.evaluate(input), None),
        }
    }

    /// What the policy says.
    pub fn evaluate(&self, input: &Input<'_>) -> Evaluation {
        Evaluation::Done(match &self.0 {
            Kind::Cel(policy) => policy.evaluate(input),
            Kind::Conditional(policy) => return policy.evaluate(input),
            Kind::Dummy(policy) => return policy.evaluate(),
            Kind::EventMatcher(policy) => policy.evaluate(input),
            Kind::Geoip(policy) => policy.evaluate(input),
            Kind::PasswordExpiry(config) => password_expiry::evaluate(config, input),
            Kind::Password(policy) => return policy.evaluate(input),
            Kind::Reputation(config) => reputation::evaluate(config, input),
            Kind::Python(program) => return program.evaluate(input),
            Kind::Remote(policy) => return policy.evaluate(input),
            Kind::UniquePassword(config) => return unique_password::evaluate(config, input),
            Kind::Broken(text) => Verdict::error(text.clone()),
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::model::Id;

    /// Nothing to look up.
    pub(crate) struct Nowhere;

    impl Groups for Nowhere {
        fn all(&self) -> Vec<(Arc<Group>, bool)> {
            Vec::new()
        }
    }

    impl World for Nowhere {
        fn reputation(&self, _: Option<&str>, _: Option<&str>, _: &mut dyn FnMut(&ReputationScore)) {}

        fn policy(&self, _: &str) -> Option<Arc<Compiled>> {
            None
        }

        fn city(&self, _: IpAddr) -> Option<Value> {
            None
        }

        fn asn(&self, _: IpAddr) -> Option<Value> {
            None
        }
    }

    /// Evaluates a policy with nothing to look up.
    pub(crate) fn evaluation(kind: PolicyKind, person: Person<'_>, context: &Context) -> Evaluation {
        let policy = Policy { id: Id::new("p"), name: "p".into(), execution_logging: false, kind };
        let calls = Calls::default();
        let input = Input { person, context, target: None, groups: &Nowhere, world: &Nowhere, calls: &calls };
        Compiled::new(&policy).unwrap().evaluate(&input)
    }

    /// Evaluates a policy that answers at once.
    pub(crate) fn verdict(kind: PolicyKind, person: Person<'_>, context: &Context) -> Verdict {
        match evaluation(kind, person, context) {
            Evaluation::Done(verdict) => verdict,
            Evaluation::Deferred(deferred) => panic!("{deferred:?}"),
        }
    }

    /// Somebody who is signed in and not in the directory.
    pub(crate) const ALICE: Person<'static> = Person {
        anonymous: false,
        id: "",
        username: "alice",
        name: "Alice Example",
        email: "alice@example.com",
        attributes: &Value::Null,
        user: None,
        is_superuser: false,
    };

    #[test]
    fn kinds_to_come_error_and_say_so() {
        let now = Context::at(Timestamp::new(0, 0));
        let kind = PolicyKind::Unsupported("risk".into());
        let text = verdict(kind, ALICE, &now).result.unwrap_err();
        assert_eq!(&*text, "policy `p` is of kind `risk`, which bindery does not know");
    }
}
