//! Evaluates a compiled program.
//!
//! Must not know: how programs are written.

use super::kind::Held;
use super::operator::{self, Against, Operator, flips, holds};
use super::program::{Action, Combine, Comparison, Node, Operand, Setter, Source};
use crate::model::{Group, MissingBehavior, Timestamp, Value};
use crate::policy::plan::into_map;
use crate::policy::{Called, Changes, Deferred, Evaluation, Input, Verdict, keep_in_plan};
use regex::Regex;
use std::cell::OnceCell;
use std::sync::Arc;

/// What a program sees, with what it changed so far.
pub(super) struct Scene<'a> {
    pub(super) input: Input<'a>,
    values: Option<Value>,
    attributes: Option<Value>,
    /// What was looked up of the address, at most once.
    city: OnceCell<Option<Value>>,
    network: OnceCell<Option<Value>>,
    groups: OnceCell<Vec<(Arc<Group>, bool)>>,
}

impl Scene<'_> {
    /// The context's free values.
    pub(super) fn values(&self) -> &Value {
        self.values.as_ref().unwrap_or(&self.input.context.values)
    }

    /// The subject's attributes.
    pub(super) fn attributes(&self) -> &Value {
        self.attributes.as_ref().unwrap_or(self.input.person.attributes)
    }

    /// Where the client is: what the context says, else what is known of its address.
    pub(super) fn city(&self) -> Option<&Value> {
        self.values().get("geoip").or_else(|| {
            let find = || self.input.context.client_ip.and_then(|it| self.input.world.city(it));
            self.city.get_or_init(find).as_ref()
        })
    }

    /// The subject's groups, inherited ones too.
    pub(super) fn groups(&self) -> &[(Arc<Group>, bool)] {
        self.groups.get_or_init(|| self.input.groups.all())
    }

    /// The client's autonomous system, likewise.
    pub(super) fn network(&self) -> Option<&Value> {
        self.values().get("asn").or_else(|| {
            let find = || self.input.context.client_ip.and_then(|it| self.input.world.asn(it));
            self.network.get_or_init(find).as_ref()
        })
    }

    /// Whether a flow is under way, whose context may be changed.
    fn is_flow(&self) -> bool {
        use crate::model::TargetKind::{Flow, FlowStageBinding};
        let planned = self.values().get("flow_plan").is_some_and(|plan| *plan != Value::Null);
        planned || self.input.target.is_some_and(|target| matches!(target.kind(), Flow | FlowStageBinding))
    }
}

/// Why a program ends before its last action.
enum Halt<'p> {
    /// A condition does not hold, or the program stops.
    Stop {
        passing: bool,
        message: Option<&'p str>,
    },
    /// A value is missing, and that fails the policy.
    Missing,
    Error(Box<str>),
    Deferred(Deferred),
}

/// One evaluation.
struct Run<'a> {
    scene: Scene<'a>,
    missing: MissingBehavior,
    /// Of the policies that it referred to and that failed.
    messages: Vec<Box<str>>,
    valid_until: Option<Timestamp>,
}

/// Evaluates the actions in order.
pub(super) fn run(
    actions: &[Action],
    missing: MissingBehavior,
    failure_message: Option<&str>,
    input: &Input<'_>,
) -> Evaluation {
    let (city, network, groups) = (OnceCell::new(), OnceCell::new(), OnceCell::new());
    let scene = Scene { input: *input, values: None, attributes: None, city, network, groups };
    let mut run = Run { scene, missing, messages: Vec::new(), valid_until: None };
    let (result, messages) = match run.actions(actions) {
        Ok(()) => (Ok(true), Vec::new()),
        Err(Halt::Stop { passing: true, message }) => {
            (Ok(true), message.map(Into::into).into_iter().collect())
        }
        Err(Halt::Stop { passing: false, message }) => {
            let mut messages = std::mem::take(&mut run.messages);
            messages.extend(message.map(Into::into));
            (Ok(false), messages)
        }
        Err(Halt::Missing) => (Ok(false), Vec::new()),
        Err(Halt::Error(text)) => (Err(text), Vec::new()),
        Err(Halt::Deferred(deferred)) => return Evaluation::Deferred(deferred),
    };
    let messages = match failure_message {
        Some(text) if result == Ok(false) => vec![text.into()],
        _ => messages,
    };
    let Scene { values, attributes, .. } = run.scene;
    let changed = values.is_some() || attributes.is_some();
    let changes = changed.then(|| Box::new(Changes { values, attributes }));
    Evaluation::Done(Verdict { result, messages, valid_until: run.valid_until, changes })
}

impl Run<'_> {
    fn actions<'p>(&mut self, actions: &'p [Action]) -> Result<(), Halt<'p>> {
        for action in actions {
            match action {
                Action::Condition(condition) => {
                    if !self.node(condition)? {
                        return Err(Halt::Stop { passing: false, message: None });
                    }
                }
                Action::If { condition, then, otherwise } => {
                    let branch = if self.node(condition)? { then } else { otherwise };
                    self.actions(branch)?;
                }
                Action::Set { target, value } => self.set(target, value)?,
                Action::Stop { passing, message } => {
                    return Err(Halt::Stop { passing: *passing, message: message.as_deref() });
                }
            }
        }
        Ok(())
    }

    /// Messages from inside a condition that holds are dropped: they are not why the policy fails.
    fn node<'p>(&mut self, node: &'p Node) -> Result<bool, Halt<'p>> {
        let before = self.messages.len();
        let holds = match node {
            Node::Compare(comparison) => self.compare(comparison)?,
            Node::Group(combine, children) => self.group(*combine, children)?,
            Node::Policy(name) => self.policy(name)?,
        };
        if holds {
            self.messages.truncate(before);
        }
        Ok(holds)
    }

    fn group<'p>(&mut self, combine: Combine, children: &'p [Node]) -> Result<bool, Halt<'p>> {
        for child in children {
            match (combine, self.node(child)?) {
                (Combine::All, false) | (Combine::None, true) => return Ok(false),
                (Combine::Any, true) => return Ok(true),
                _ => {}
            }
        }
        Ok(combine != Combine::Any)
    }

    fn compare<'p>(&mut self, comparison: &'p Comparison) -> Result<bool, Halt<'p>> {
        let Comparison { variable, operator, operand, case_sensitive, negate } = comparison;
        let found = variable.read(&self.scene).map_err(Halt::Error)?;
        if operator.is_presence() {
            return Ok(found.is_some() == (*operator == Operator::IsSet));
        }
        let Some(value) = found else { return self.missing() };
        let pattern;
        let against = match operand {
            Operand::Nothing => Against::Nothing,
            Operand::Pattern(url) if *operator == Operator::IsUrl => {
                let holds = is_url(&value, url);
                return Ok(holds != *negate);
            }
            Operand::One(constant) => Against::One(constant.scalar()),
            Operand::Many(constants) => Against::Many(super::kind::Items::Constants(constants)),
            Operand::Pattern(pattern) => Against::Pattern(pattern),
            Operand::Networks(networks) => Against::Networks(networks),
            Operand::Span(span) => Against::Span(*span),
            Operand::Variable(other) => match other.read(&self.scene).map_err(Halt::Error)? {
                None => return self.missing(),
                Some(Held::One(text)) if *operator == Operator::Matches => {
                    pattern = compile(text.text().unwrap_or_default(), *case_sensitive, other.variable.key)?;
                    Against::Pattern(&pattern)
                }
                Some(Held::Many(items)) if *operator == Operator::Between && items.count() != 2 => {
                    let key = other.variable.key;
                    let text = format!("the value of `{key}` is not two bounds; give it a list of two");
                    return Err(Halt::Error(text.into()));
                }
                Some(Held::One(scalar)) => Against::One(scalar),
                Some(Held::Many(items)) => Against::Many(items),
                Some(Held::Any(_)) => Against::Nothing,
            },
        };
        let now = self.scene.input.context.now;
        let holds = holds(*operator, &value, &against, !case_sensitive, now);
        let flips = flips(&value, &against, now);
        self.until(flips);
        Ok(holds != *negate)
    }

    /// A comparison with a missing value, before negation is applied: negation does not make a pass of it.
    fn missing<'p>(&self) -> Result<bool, Halt<'p>> {
        match self.missing {
            MissingBehavior::Fail => Err(Halt::Missing),
            MissingBehavior::False => Ok(false),
        }
    }

    fn until(&mut self, moment: Option<Timestamp>) {
        self.valid_until = match (self.valid_until, moment) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
    }

    fn policy<'p>(&mut self, name: &str) -> Result<bool, Halt<'p>> {
        let called = self.call(name);
        let verdict = match called {
            Called::Missing => {
                let text =
                    format!("it refers to the policy `{name}`, which there is not; add it or name another");
                return Err(Halt::Error(text.into()));
            }
            Called::Deferred(deferred) => return Err(Halt::Deferred(deferred)),
            Called::Done(verdict) => verdict,
        };
        self.until(verdict.valid_until);
        if let Some(changes) = verdict.changes {
            let Changes { values, attributes } = *changes;
            self.scene.values = values.or(self.scene.values.take());
            self.scene.attributes = attributes.or(self.scene.attributes.take());
        }
        let passing = verdict.result.map_err(Halt::Error)?;
        if !passing {
            self.messages.extend(verdict.messages);
        }
        Ok(passing)
    }

    /// The called policy sees what this one changed.
    fn call(&self, name: &str) -> Called {
        let mut input = self.scene.input;
        input.person.attributes = self.scene.attributes();
        match &self.scene.values {
            None => input.call(name),
            Some(values) => {
                let mut context = input.context.clone();
                context.values.clone_from(values);
                Input { context: &context, ..input }.call(name)
            }
        }
    }

    fn set<'p>(&mut self, target: &Setter, source: &Source) -> Result<(), Halt<'p>> {
        let value = match source {
            Source::Literal(value) => value.clone(),
            Source::Variable(variable) => match variable.read(&self.scene).map_err(Halt::Error)? {
                Some(held) => held.value(),
                // Nothing to set is no change.
                None => return self.missing().map(|_| ()),
            },
        };
        if !self.scene.is_flow() {
            let text = "values can only be set while a flow is under way; bind the policy to a flow or a \
                        flow-stage binding, or give the context a `flow_plan`";
            return Err(Halt::Error(text.into()));
        }
        let before = self.scene.values.take().unwrap_or_else(|| self.scene.input.context.values.clone());
        let mut values = into_map(before.clone());
        match target {
            Setter::Context(key) => values.insert(key.clone(), value),
            Setter::PromptData(key) => {
                let mut data = into_map(values.remove("prompt_data").unwrap_or_default());
                data.insert(key.clone(), value);
                values.insert("prompt_data".into(), Value::Map(data))
            }
        };
        let mut values = Value::Map(values);
        keep_in_plan(&before, &mut values);
        self.scene.values = Some(values);
        Ok(())
    }
}

fn is_url(value: &Held<'_>, url: &Regex) -> bool {
    match value {
        Held::One(text) => text.text().is_some_and(|text| operator::is_url(text, url)),
        _ => false,
    }
}

fn compile<'p>(text: &str, case_sensitive: bool, key: &str) -> Result<Regex, Halt<'p>> {
    operator::pattern(text, case_sensitive)
        .map_err(|error| Halt::Error(format!("the value of `{key}` {error}").into()))
}
