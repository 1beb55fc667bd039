//! Flow plans: which stages somebody goes through, and stepping such a plan, after "Flow plans" in the semantics.
//!
//! A plan is data that the caller holds; stepping it looks at today's bindings. Must not know: sessions, transport.

mod road;
mod summary;

pub use summary::{describe_dropped, describe_plan, describe_stage, describe_step};

use super::engine::{Answered, SetResult, Waiting};
use super::lean::is_met;
use super::{BoundTarget, Member, TargetKey, Ticks, View};
use crate::model::{
    Context, DeniedAction, Explain, FlowAuthentication, Id, InvalidResponseAction, Reason, Stage,
    TargetReport, Value,
};
use road::Road;
use std::sync::Arc;

/// A flow as planning needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowLayout {
    /// Its id.
    pub id: Id,
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
    /// The stage.
    pub stage: Arc<Stage>,
    /// Its position.
    pub order: i32,
    /// Evaluate when the flow is planned.
    pub evaluate_on_plan: bool,
    /// Evaluate right before the stage is shown.
    pub re_evaluate_policies: bool,
    /// What happens when an answer to the stage is not valid.
    pub invalid_response_action: InvalidResponseAction,
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

impl Travellers<'_> {
    /// Whom bindings look at.
    pub fn subject(&self) -> &Member<'_> {
        self.pending.unwrap_or(self.requesting)
    }
}

/// What is left of a plan: a stage that is to come, as the caller hands it back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanEntry {
    /// Its flow-stage binding.
    pub binding: Id,
    /// Whether it is evaluated again right before it is shown: the setting at the time of planning.
    pub re_evaluate: bool,
}

impl From<&PlacedStage> for PlanEntry {
    fn from(placed: &PlacedStage) -> Self {
        Self { binding: placed.binding.clone(), re_evaluate: placed.re_evaluate_policies }
    }
}

/// What came of planning.
#[derive(Clone, Debug, PartialEq)]
pub enum Planned {
    /// The answer.
    Answered(Box<PlanAnswer>),
    /// These policies have to be waited for first.
    Waiting(Vec<Waiting>),
}

/// An answer to a plan.
#[derive(Clone, Debug, PartialEq)]
pub struct PlanAnswer {
    /// The plan, or why there is none.
    pub outcome: PlanOutcome,
    /// Messages of the flow's own policies.
    pub messages: Vec<Box<str>>,
    /// The flow's own bindings, where the question asked for it.
    pub report: Option<TargetReport>,
    /// What became of each stage, where the question asked for it.
    pub stages: Vec<StageReport>,
    /// The plan's context as policies left it; absent when they changed nothing.
    pub changed_context: Option<Value>,
}

/// A plan, or why there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlanOutcome {
    /// The stages, in order.
    Planned(Vec<PlacedStage>),
    /// No stage is left, and the caller does not allow that.
    Empty,
    /// The flow is not for them.
    NotApplicable {
        /// Why: its authentication requirement or its bindings.
        reason: Reason,
        /// What they see.
        denied_action: DeniedAction,
    },
}

/// What became of a stage at planning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StageOutcome {
    /// It is in the plan.
    In,
    /// It is not.
    Out,
    /// It is in the plan, and evaluated right before it is shown.
    Later,
}

/// Explains a stage at planning.
#[derive(Clone, Debug, PartialEq)]
pub struct StageReport {
    /// The stage.
    pub placed: PlacedStage,
    /// What became of it.
    pub outcome: StageOutcome,
    /// Messages of its policies, where it was evaluated.
    pub messages: Vec<Box<str>>,
    /// Its bindings, where it was evaluated.
    pub report: Option<TargetReport>,
}

/// What came of a step.
#[derive(Clone, Debug, PartialEq)]
pub enum Stepped {
    /// The answer.
    Answered(Box<StepAnswer>),
    /// These policies have to be waited for first.
    Waiting(Vec<Waiting>),
}

/// An answer to a step.
#[derive(Clone, Debug, PartialEq)]
pub struct StepAnswer {
    /// The stage to show; nothing when the plan is finished.
    pub next: Option<NextStage>,
    /// The stages before it, all of which were dropped, in order.
    pub dropped: Vec<Dropped>,
    /// Messages of the stages that were evaluated, dropped ones among them.
    pub messages: Vec<Box<str>>,
    /// The plan's context as policies left it; absent when they changed nothing.
    pub changed_context: Option<Value>,
}

/// The stage to show.
#[derive(Clone, Debug, PartialEq)]
pub struct NextStage {
    /// Its index in the plan.
    pub index: usize,
    /// The stage as the flow has it today.
    pub placed: PlacedStage,
    /// Its bindings, where they were evaluated and the question asked for it.
    pub report: Option<TargetReport>,
}

/// A stage that was dropped.
#[derive(Clone, Debug, PartialEq)]
pub struct Dropped {
    /// Its index in the plan.
    pub index: usize,
    /// The stage; absent when it has left the flow since the plan was made.
    pub placed: Option<PlacedStage>,
    /// Messages of its policies.
    pub messages: Vec<Box<str>>,
    /// Its bindings, where the question asked for it.
    pub report: Option<TargetReport>,
}

/// The fixed parts of planning or stepping.
pub struct Journey<'a, V> {
    /// One revision.
    pub view: &'a V,
    /// The flow.
    pub flow: TargetKey,
    /// Who goes through it.
    pub travellers: Travellers<'a>,
    /// What is known; its values are the plan's context.
    pub context: &'a Context,
    /// What policies said that an earlier call had to wait for.
    pub answered: &'a [Answered],
    /// How much to explain.
    pub explain: Explain,
    /// Measures bindings for a full explanation.
    pub ticks: Option<Ticks<'a>>,
}

/// A binding set that was evaluated.
struct Evaluated {
    passing: bool,
    reason: Reason,
    messages: Vec<Box<str>>,
    report: Option<TargetReport>,
}

impl<'a, V: FlowView> Journey<'a, V> {
    /// Plans the flow; nothing when there is no such flow.
    pub fn plan(&self, allow_empty: bool) -> Option<Planned> {
        let layout = self.view.flow(self.flow)?;
        let mut road = Road::new(self, &layout.id);
        let answer = |outcome, own: Evaluated, stages, road: Road<'_, V>| {
            let (messages, report) = (own.messages, own.report);
            let changed_context = road.changed();
            Planned::Answered(Box::new(PlanAnswer { outcome, messages, report, stages, changed_context }))
        };
        let refusal = |reason| PlanOutcome::NotApplicable { reason, denied_action: layout.denied_action };
        if !is_met(layout.authentication, self.travellers.requesting, self.context) {
            let flow = self.view.target(self.flow)?;
            let reason = Reason::Authentication(layout.authentication);
            let own = self.outcome(flow, SetResult::default(), reason);
            return Some(answer(refusal(reason), own, Vec::new(), road));
        }
        let own = match self.evaluate(self.flow, &mut road)? {
            Ok(own) => own,
            Err(waiting) => return Some(Planned::Waiting(waiting)),
        };
        if !own.passing {
            return Some(answer(refusal(own.reason), own, Vec::new(), road));
        }
        let (mut stages, mut reports) = (Vec::with_capacity(layout.stages.len()), Vec::new());
        for placed in layout.stages {
            let mut outcome =
                if placed.re_evaluate_policies { StageOutcome::Later } else { StageOutcome::In };
            let (mut messages, mut report) = (Vec::new(), None);
            if placed.evaluate_on_plan {
                match self.evaluate(placed.key, &mut road)? {
                    Err(waiting) => return Some(Planned::Waiting(waiting)),
                    Ok(result) => {
                        outcome = if result.passing { StageOutcome::In } else { StageOutcome::Out };
                        (messages, report) = (result.messages, result.report);
                    }
                }
            }
            if self.explain != Explain::None {
                reports.push(StageReport { placed: placed.clone(), outcome, messages, report });
            }
            if outcome != StageOutcome::Out {
                road.join(&placed);
                stages.push(placed);
            }
        }
        let outcome =
            if stages.is_empty() && !allow_empty { PlanOutcome::Empty } else { PlanOutcome::Planned(stages) };
        Some(answer(outcome, own, reports, road))
    }

    /// The next stage of a plan under today's bindings; nothing when the flow is gone. A stage that has left the flow
    /// since is dropped.
    pub fn next(&self, plan: &[PlanEntry]) -> Option<Stepped> {
        let layout = self.view.flow(self.flow)?;
        let mut road = Road::new(self, &layout.id);
        let today = |entry: &PlanEntry| layout.stages.iter().find(|placed| placed.binding == entry.binding);
        // Policies see all that is left, the stage that they decide on first.
        plan.iter().filter_map(today).for_each(|placed| road.join(placed));
        let (mut dropped, mut messages, mut next) = (Vec::new(), Vec::new(), None);
        for (index, entry) in plan.iter().enumerate() {
            let Some(placed) = today(entry) else {
                dropped.push(Dropped { index, placed: None, messages: Vec::new(), report: None });
                continue;
            };
            let mut report = None;
            if entry.re_evaluate {
                let result = match self.evaluate(placed.key, &mut road)? {
                    Ok(result) => result,
                    Err(waiting) => return Some(Stepped::Waiting(waiting)),
                };
                messages.extend(result.messages.iter().cloned());
                if !result.passing {
                    road.leave();
                    let (placed, report) = (Some(placed.clone()), result.report);
                    dropped.push(Dropped { index, placed, messages: result.messages, report });
                    continue;
                }
                report = result.report;
            }
            next = Some(NextStage { index, placed: placed.clone(), report });
            break;
        }
        let changed_context = road.changed();
        Some(Stepped::Answered(Box::new(StepAnswer { next, dropped, messages, changed_context })))
    }

    /// Evaluates one binding set in full, since all its messages are shown. Nothing when its target is gone.
    fn evaluate(&self, key: TargetKey, road: &mut Road<'_, V>) -> Option<Result<Evaluated, Vec<Waiting>>> {
        let target = self.view.target(key)?;
        let mut result = road.evaluate(target, key != self.flow);
        if !result.waiting.is_empty() {
            return Some(Err(result.waiting));
        }
        road.take(&mut result);
        let reason = if result.counted == 0 { Reason::NoBindings } else { Reason::Bindings };
        Some(Ok(self.outcome(target, result, reason)))
    }

    fn outcome(&self, target: &BoundTarget, mut result: SetResult, reason: Reason) -> Evaluated {
        let messages = std::mem::take(&mut result.messages);
        let report = (self.explain != Explain::None).then(|| target.report(&mut result, reason));
        Evaluated { passing: result.passing, reason, messages, report }
    }
}
