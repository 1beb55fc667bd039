//! A whole question: the target and what it leans on, after "Targets that lean on others" in the semantics.
//!
//! Must not know: how a single binding set is evaluated.

use super::engine::{Answered, Run, SetResult, Waiting, earlier};
use super::{BoundTarget, Lean, Member, Ticks, View, summarize};
use crate::model::{
    Answer, Context, Decision, Explain, FlowAuthentication, Question, Reason, Scope, TargetRef, TargetReport,
};
use std::sync::Arc;

/// Why a question has no target.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unresolved {
    /// There is no such target.
    #[error("there is no {} `{}` in the configuration", .0.kind().noun(), .0.name())]
    NotFound(TargetRef),
    /// The endpoint is not one of the application that the question names.
    #[error("the RAC endpoint `{endpoint}` is not one of application `{application}`")]
    OtherApplication {
        /// The endpoint's id.
        endpoint: Box<str>,
        /// The application that the question names.
        application: Box<str>,
    },
}

/// What came of a question.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// The answer.
    Decided(Answer),
    /// These policies have to be waited for; then the question is asked again, with all that was answered.
    Waiting(Vec<Waiting>),
}

/// Decides one question on one revision. `answered` holds what policies said that an earlier call had to wait for;
/// `ticks` measures bindings for a full explanation.
///
/// # Errors
/// When the question's target is not there.
pub fn decide<V: View>(
    view: &V,
    question: &Question,
    member: &Member<'_>,
    answered: &[Answered],
    ticks: Option<Ticks<'_>>,
) -> Result<Outcome, Unresolved> {
    decide_watched(view, question, member, answered, ticks, false)
}

/// As [`decide`]. `watched`: what was evaluated is reported and measured as for a full explanation, whatever the question
/// asks for; nothing more is evaluated for that, and the rest of the answer is the same.
///
/// # Errors
/// As [`decide`].
pub fn decide_watched<V: View>(
    view: &V,
    question: &Question,
    member: &Member<'_>,
    answered: &[Answered],
    ticks: Option<Ticks<'_>>,
    watched: bool,
) -> Result<Outcome, Unresolved> {
    let key = view.find(&question.target)?;
    let gone = || Unresolved::NotFound(question.target.clone());
    let target = view.target(key).ok_or_else(gone)?;
    let full = question.explain == Explain::Full;
    let report = full || watched;
    let run = Run {
        view,
        context: &question.context,
        member,
        answered,
        full: question.full_evaluation || full,
        report,
        ticks: ticks.filter(|_| report),
    };
    let lean = if question.scope == Scope::TargetAlone { Lean::Nothing } else { target.lean };
    let desk = Desk { run, told: watched || question.explain != Explain::None };
    let decided = match lean {
        Lean::Nothing => desk.alone(target),
        Lean::Needs(parent) => desk.needs(target, view.target(parent).ok_or_else(gone)?),
        Lean::Behind(group) => desk.behind(target, view.target(group).ok_or_else(gone)?),
        Lean::Authentication(demand) => {
            if is_met(demand, member, &question.context) {
                desk.alone(target)
            } else {
                desk.part(target, SetResult::default(), Reason::Authentication(demand))
            }
        }
    };
    Ok(match decided {
        Ok(part) => Outcome::Decided(part.answer(member)),
        Err(waiting) => Outcome::Waiting(waiting),
    })
}

impl BoundTarget {
    /// What became of the target; takes the bindings out of the result.
    pub(super) fn report(&self, result: &mut SetResult, reason: Reason) -> TargetReport {
        TargetReport {
            kind: self.target.kind(),
            id: self.target.id.clone(),
            name: self.target.display_name().into(),
            decision: Decision::from_pass(result.passing),
            reason,
            mode: self.mode(),
            bindings: std::mem::take(&mut result.bindings),
            parents: Vec::new(),
        }
    }
}

/// A target's outcome, or what has to be waited for.
type Partial = Result<Part, Vec<Waiting>>;

struct Part {
    result: SetResult,
    report: Option<Box<TargetReport>>,
}

impl Part {
    fn below(mut self, parent: Self) -> Self {
        if let (Some(report), Some(parent)) = (&mut self.report, parent.report) {
            report.parents.push(*parent);
        }
        self.result.policy_errors.extend(parent.result.policy_errors);
        self
    }

    fn answer(self, member: &Member<'_>) -> Answer {
        Answer {
            decision: Decision::from_pass(self.result.passing),
            messages: self.result.messages,
            valid_until: self.result.valid_until,
            report: self.report,
            subject_known: member.user.is_some(),
            changed_context: self.result.changes.and_then(|changes| changes.values),
            deciding: self.result.deciding,
            policy_errors: self.result.policy_errors,
        }
    }
}

/// Evaluates targets, each alone or with what it leans on.
struct Desk<'a, V> {
    run: Run<'a, V>,
    /// Whether what became of the targets is told: most answers are their outcome alone.
    told: bool,
}

impl<V: View> Desk<'_, V> {
    fn part(&self, target: &BoundTarget, mut result: SetResult, reason: Reason) -> Partial {
        if !result.waiting.is_empty() {
            return Err(result.waiting);
        }
        let report = self.told.then(|| Box::new(target.report(&mut result, reason)));
        Ok(Part { result, report })
    }

    fn alone(&self, target: &Arc<BoundTarget>) -> Partial {
        let result = self.run.evaluate(target);
        let reason = if result.counted == 0 { Reason::NoBindings } else { Reason::Bindings };
        self.part(target, result, reason)
    }

    /// The parent must pass first; when it fails, its messages are the answer's.
    fn needs(&self, target: &Arc<BoundTarget>, parent: &Arc<BoundTarget>) -> Partial {
        let parent = self.alone(parent)?;
        if !parent.result.passing {
            let result = SetResult {
                messages: parent.result.messages.clone(),
                valid_until: parent.result.valid_until,
                deciding: parent.result.deciding,
                ..SetResult::default()
            };
            return Ok(self.part(target, result, Reason::ParentFailed)?.below(parent));
        }
        let mut own = self.alone(target)?;
        if own.result.passing {
            own.result.valid_until = earlier(own.result.valid_until, parent.result.valid_until);
        }
        Ok(own.below(parent))
    }

    /// A pass of the access group is a pass; else the device's own bindings decide; without any, the group's failing
    /// result stands. A group without enabled bindings says nothing.
    fn behind(&self, target: &Arc<BoundTarget>, group: &Arc<BoundTarget>) -> Partial {
        let group = self.alone(group)?;
        if group.result.counted == 0 {
            return Ok(self.alone(target)?.below(group));
        }
        // Once all of its bindings have expired, the group says nothing, and the device is asked alone.
        let group_until = earlier(group.result.valid_until, group.result.emptied);
        let stands = |passing, reason| {
            let result = SetResult {
                passing,
                messages: group.result.messages.clone(),
                valid_until: group_until,
                deciding: group.result.deciding,
                ..SetResult::default()
            };
            self.part(target, result, reason)
        };
        if group.result.passing {
            return Ok(stands(true, Reason::AccessGroupPassed)?.below(group));
        }
        let mut own = self.alone(target)?;
        if own.result.counted == 0 {
            return Ok(stands(false, Reason::AccessGroupFailed)?.below(group));
        }
        own.result.valid_until = if own.result.passing {
            // Without bindings of its own, the group's failing result would stand, whatever the device's empty result.
            earlier(own.result.valid_until, own.result.emptied)
        } else {
            earlier(own.result.valid_until, group_until)
        };
        Ok(own.below(group))
    }
}

/// Whether somebody may enter a flow at all. Redirect, outpost and token are known from the context's
/// `is_redirected`, `outpost` and `is_restored`, as authentik's planner names them.
pub(super) fn is_met(demand: FlowAuthentication, member: &Member<'_>, context: &Context) -> bool {
    let given = |key| context.values.get(key).is_some_and(crate::model::Value::is_truthy);
    match demand {
        FlowAuthentication::None => true,
        FlowAuthentication::RequireAuthenticated => !member.anonymous,
        FlowAuthentication::RequireUnauthenticated => member.anonymous,
        FlowAuthentication::RequireSuperuser => !member.anonymous && member.is_superuser,
        FlowAuthentication::RequireRedirect => given("is_redirected"),
        FlowAuthentication::RequireOutpost => given("outpost"),
        FlowAuthentication::RequireToken => given("is_restored"),
    }
}

impl Answer {
    /// One sentence that a help desk can read out; empty when the question asked for no explanation.
    pub fn summary(&self, member: &Member<'_>) -> String {
        self.report.as_deref().map_or_else(String::new, |report| summarize(report, member))
    }
}
