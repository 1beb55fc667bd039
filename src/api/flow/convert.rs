//! Plans and steps from messages to the model, and answers back. Every field of a request is checked here.
//!
//! Must not know: how a flow is planned.

use crate::api::ask::Failure;
use crate::api::convert::{age_message, bounded, explanation, reason};
use crate::decision::flow::{
    PlacedStage, PlanAnswer, PlanEntry, PlanOutcome, StageOutcome, StageReport, StepAnswer, describe_dropped,
    describe_stage,
};
use crate::model::{DeniedAction, Id, InvalidResponseAction, TargetReport, Timestamp};
use crate::proto::{v1, value};
use crate::store::Age;

/// The most stages of a plan that a caller hands in.
pub const MAX_STAGES: usize = 1_000;

/// What is left of a plan that a caller hands in as a message.
pub(super) fn entries(plan: &v1::FlowPlan) -> Result<Vec<PlanEntry>, Failure> {
    let count = plan.stages.len();
    if count > MAX_STAGES {
        let message = format!("has {count} stages; at most {MAX_STAGES} are allowed");
        return Err(Failure::argument("plan.stages", &message));
    }
    let entry = |(index, stage): (usize, &v1::PlannedStage)| {
        let field = |name: &str| format!("plan.stages[{index}].{name}");
        if stage.binding_id.is_empty() {
            return Err(Failure::argument(
                &field("binding_id"),
                "missing; hand the plan back as it was given",
            ));
        }
        bounded(&field("binding_id"), &stage.binding_id)?;
        let re_evaluate = match v1::StageMarker::try_from(stage.marker) {
            Ok(v1::StageMarker::Unspecified | v1::StageMarker::Plain) => false,
            Ok(v1::StageMarker::ReEvaluate) => true,
            Err(_) => {
                let message = format!("{} is none of its values; see the schema for these", stage.marker);
                return Err(Failure::argument(&field("marker"), &message));
            }
        };
        Ok(PlanEntry { binding: Id::new(&stage.binding_id), re_evaluate })
    };
    plan.stages.iter().enumerate().map(entry).collect()
}

/// A stage of a plan; `again`: it is evaluated right before it is shown.
fn stage(placed: &PlacedStage, again: bool) -> v1::PlannedStage {
    let action = match placed.invalid_response_action {
        InvalidResponseAction::Retry => v1::InvalidResponseAction::Retry,
        InvalidResponseAction::Restart => v1::InvalidResponseAction::Restart,
        InvalidResponseAction::RestartWithContext => v1::InvalidResponseAction::RestartWithContext,
    };
    let marker = if again { v1::StageMarker::ReEvaluate } else { v1::StageMarker::Plain };
    v1::PlannedStage {
        binding_id: placed.binding.to_string(),
        stage: placed.stage.name.to_string(),
        stage_id: placed.stage.id.to_string(),
        kind: placed.stage.kind.to_string(),
        order: placed.order,
        marker: marker.into(),
        invalid_response_action: action.into(),
    }
}

fn planned(placed: &PlacedStage) -> v1::PlannedStage {
    stage(placed, placed.re_evaluate_policies)
}

/// What an answer stands on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ground {
    pub(super) revision: u64,
    pub(super) age: Age,
    pub(super) now: Timestamp,
}

/// The message of a plan, without its token.
pub(super) fn plan_response(
    answer: PlanAnswer,
    flow: &Id,
    summary: String,
    ground: Ground,
) -> v1::PlanFlowResponse {
    let Ground { revision, age, now } = ground;
    let mut response = v1::PlanFlowResponse {
        messages: texts(answer.messages),
        revision,
        stale: age.stale,
        age: age_message(age),
        context: answer.changed_context.map(value::to_struct),
        flow: answer.report.map(explanation),
        stages: answer.stages.into_iter().map(stage_explanation).collect(),
        summary,
        ..Default::default()
    };
    match answer.outcome {
        PlanOutcome::Planned(stages) => {
            response.set_outcome(v1::PlanOutcome::Planned);
            response.plan = Some(v1::FlowPlan {
                flow: flow.to_string(),
                stages: stages.iter().map(planned).collect(),
                revision,
                planned_at: Some(value::to_timestamp(now)),
            });
        }
        PlanOutcome::Empty => response.set_outcome(v1::PlanOutcome::Empty),
        PlanOutcome::NotApplicable { reason: why, denied_action } => {
            response.set_outcome(v1::PlanOutcome::NotApplicable);
            response.set_reason(reason(why));
            response.set_denied_action(match denied_action {
                DeniedAction::MessageContinue => v1::FlowDeniedAction::MessageContinue,
                DeniedAction::Message => v1::FlowDeniedAction::Message,
                DeniedAction::Continue => v1::FlowDeniedAction::Continue,
            });
        }
    }
    response
}

fn stage_explanation(report: StageReport) -> v1::StageExplanation {
    let outcome = match report.outcome {
        StageOutcome::In => v1::StageOutcome::In,
        StageOutcome::Out => v1::StageOutcome::Out,
        StageOutcome::Later => v1::StageOutcome::Later,
    };
    v1::StageExplanation {
        stage: Some(planned(&report.placed)),
        outcome: outcome.into(),
        summary: describe_stage(&report),
        explanation: report.report.map(explanation),
        messages: texts(report.messages),
    }
}

/// The message of a step on `plan`, without its token; `explained`: sentences are wanted.
pub(super) fn step_response(
    answer: StepAnswer,
    plan: v1::FlowPlan,
    summary: String,
    explained: bool,
    ground: Ground,
) -> v1::NextStageResponse {
    let Ground { revision, age, .. } = ground;
    let v1::FlowPlan { flow, mut stages, revision: made_from, planned_at } = plan;
    let again = |index: usize| stages.get(index).is_some_and(|it| it.marker() == v1::StageMarker::ReEvaluate);
    let next = answer.next.as_ref().map(|next| (next.index, stage(&next.placed, again(next.index))));
    let report = answer.next.and_then(|next| next.report);
    let dropped = answer.dropped.into_iter().map(|dropped| {
        let reason =
            if dropped.placed.is_some() { v1::DropReason::Bindings } else { v1::DropReason::Vanished };
        let summary = if explained { describe_dropped(&dropped) } else { String::new() };
        let as_planned = || stages.get(dropped.index).cloned().unwrap_or_default();
        v1::DroppedStage {
            stage: Some(
                dropped.placed.as_ref().map_or_else(as_planned, |it| stage(it, again(dropped.index))),
            ),
            reason: reason.into(),
            messages: texts(dropped.messages),
            explanation: dropped.report.map(explanation),
            summary,
        }
    });
    let dropped = dropped.collect();
    let done = next.as_ref().map_or(stages.len(), |(index, _)| index + 1);
    stages.drain(..done.min(stages.len()));
    v1::NextStageResponse {
        finished: next.is_none(),
        stage: next.map(|(_, stage)| stage),
        dropped,
        messages: texts(answer.messages),
        plan: Some(v1::FlowPlan { flow, stages, revision: made_from, planned_at }),
        token: String::new(),
        revision,
        stale: age.stale,
        age: age_message(age),
        context: answer.changed_context.map(value::to_struct),
        explanation: report.map(|report: TargetReport| explanation(report)),
        summary,
    }
}

fn texts(messages: Vec<Box<str>>) -> Vec<String> {
    messages.into_iter().map(Into::into).collect()
}
