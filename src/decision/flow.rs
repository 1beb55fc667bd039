//! Flow plans: which stages somebody goes through, and stepping such a plan, after "Flow plans" in the semantics.
//!
//! A plan is data that the caller holds; stepping it looks at today's bindings. Must not know: sessions, transport.

use super::engine::{Answered, Run, SetResult, Waiting};
use super::lean::is_met;
use super::{Member, TargetKey, View};
use crate::model::{Context, DeniedAction, FlowAuthentication, Id, Reason};

/// A flow as planning needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowLayout {
    /// Who may enter at all.
    pub authentication: FlowAuthentication,
    /// What somebody sees who may not.
    pub denied_action: DeniedAction,
    /// The stages, in order.
    pub stages: Vec<PlacedStage>,
}

/// A stage at its place in a flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlacedStage {
    /// The flow-stage binding, which is a target.
    pub key: TargetKey,
    /// Its id.
    pub binding: Id,
    /// The stage's name.
    pub stage: Box<str>,
    /// Evaluate when the flow is planned.
    pub evaluate_on_plan: bool,
    /// Evaluate right before the stage is shown.
    pub re_evaluate_policies: bool,
}

/// What planning reads of the configuration.
pub trait FlowView: View {
    /// The flow of this key; nothing when there is none.
    fn flow(&self, key: TargetKey) -> Option<FlowLayout>;
}

/// Who goes through a flow.
#[derive(Clone, Copy, Debug)]
pub struct Travellers<'a> {
    /// Who asks: the flow's authentication requirement looks at them.
    pub requesting: &'a Member<'a>,
    /// Whom the flow is about, if the context has somebody: bindings look at them.
    pub pending: Option<&'a Member<'a>>,
}

/// A stage of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanStage {
    /// Its flow-stage binding.
    pub binding: Id,
    /// The stage's name.
    pub stage: Box<str>,
    /// Whether it is evaluated again right before it is shown.
    pub re_evaluate: bool,
}

/// What came of planning.
#[derive(Clone, Debug, PartialEq)]
pub enum Planned {
    /// The stages, in order.
    Plan(Vec<PlanStage>),
    /// No stage is left, and the caller does not allow that.
    Empty,
    /// The flow is not for them.
    NotApplicable {
        /// Why: its authentication requirement or its bindings.
        reason: Reason,
        /// The messages of its policies.
        messages: Vec<Box<str>>,
        /// What they see.
        denied_action: DeniedAction,
    },
    /// These policies have to be waited for first.
    Waiting(Vec<Waiting>),
}

/// What came of a step.
#[derive(Clone, Debug, PartialEq)]
pub enum Stepped {
    /// The next stage, or nothing when the plan is finished.
    Next {
        /// The stage to show, with its index in the plan; those before it were dropped.
        stage: Option<(usize, PlanStage)>,
        /// Messages of the stages that were evaluated, dropped ones among them.
        messages: Vec<Box<str>>,
    },
    /// These policies have to be waited for first.
    Waiting(Vec<Waiting>),
}

/// The fixed parts of planning or stepping.
pub struct Journey<'a, V> {
    /// One revision.
    pub view: &'a V,
    /// The flow.
    pub flow: TargetKey,
    /// Who goes through it.
    pub travellers: Travellers<'a>,
    /// What is known.
    pub context: &'a Context,
    /// What policies said that an earlier call had to wait for.
    pub answered: &'a [Answered],
}

impl<V: FlowView> Journey<'_, V> {
    /// Plans the flow; nothing when there is no such flow.
    pub fn plan(&self, allow_empty: bool) -> Option<Planned> {
        let layout = self.view.flow(self.flow)?;
        let denied_action = layout.denied_action;
        let refuse = |reason, messages| Planned::NotApplicable { reason, messages, denied_action };
        if !is_met(layout.authentication, self.travellers.requesting, self.context) {
            return Some(refuse(Reason::Authentication(layout.authentication), Vec::new()));
        }
        let own = self.evaluate(self.flow)?;
        if !own.waiting.is_empty() {
            return Some(Planned::Waiting(own.waiting));
        }
        if !own.passing {
            let reason = if own.counted == 0 { Reason::NoBindings } else { Reason::Bindings };
            return Some(refuse(reason, own.messages));
        }
        let mut stages = Vec::new();
        for placed in layout.stages {
            if placed.evaluate_on_plan {
                let result = self.evaluate(placed.key)?;
                if !result.waiting.is_empty() {
                    return Some(Planned::Waiting(result.waiting));
                }
                if !result.passing {
                    continue;
                }
            }
            let re_evaluate = placed.re_evaluate_policies;
            stages.push(PlanStage { binding: placed.binding, stage: placed.stage, re_evaluate });
        }
        Some(if stages.is_empty() && !allow_empty { Planned::Empty } else { Planned::Plan(stages) })
    }

    /// The next stage of a plan under today's bindings. A stage that has left the flow since is dropped.
    pub fn next(&self, plan: &[PlanStage]) -> Stepped {
        let layout = self.view.flow(self.flow);
        let today = layout.map(|layout| layout.stages).unwrap_or_default();
        let mut messages = Vec::new();
        for (index, stage) in plan.iter().enumerate() {
            let Some(placed) = today.iter().find(|placed| placed.binding == stage.binding) else { continue };
            if stage.re_evaluate {
                let Some(result) = self.evaluate(placed.key) else { continue };
                if !result.waiting.is_empty() {
                    return Stepped::Waiting(result.waiting);
                }
                messages.extend(result.messages);
                if !result.passing {
                    continue;
                }
            }
            return Stepped::Next { stage: Some((index, stage.clone())), messages };
        }
        Stepped::Next { stage: None, messages }
    }

    /// Evaluates one binding set in full, since all its messages are shown.
    fn evaluate(&self, key: TargetKey) -> Option<SetResult> {
        let set = self.view.binding_set(key)?;
        let member = self.travellers.pending.unwrap_or(self.travellers.requesting);
        let (view, context, answered) = (self.view, self.context, self.answered);
        let run = Run { view, context, member, answered, full: true, report: false, ticks: None };
        Some(run.evaluate(&set))
    }
}
