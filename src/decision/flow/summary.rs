//! The sentences that say what became of a flow and its stages.
//!
//! Must not know: how that came about.

use super::{Dropped, NextStage, PlanAnswer, PlanOutcome, StageOutcome, StageReport, StepAnswer, Travellers};
use crate::decision::summary::because;
use crate::model::{Reason, TargetReport};

/// One sentence about a plan; `flow` is what people call the flow.
pub fn describe_plan(answer: &PlanAnswer, flow: &str, travellers: &Travellers<'_>) -> String {
    let who = travellers.subject().display_name();
    match &answer.outcome {
        PlanOutcome::Planned(stages) => {
            let (count, all) = (stages.len(), answer.stages.len());
            let again = stages.iter().filter(|placed| placed.re_evaluate_policies).count();
            let which = match again {
                0 => String::new(),
                1 if count == 1 => ", which is looked at again right before it is shown".to_owned(),
                1 => ", one of which is looked at again right before it is shown".to_owned(),
                2 if count == 2 => {
                    ", both of which are looked at again right before they are shown".to_owned()
                }
                _ if again == count => {
                    ", all of which are looked at again right before they are shown".to_owned()
                }
                many => format!(", {many} of which are looked at again right before they are shown"),
            };
            let part = match (count, all) {
                (1, 1) => "the only stage".to_owned(),
                (2, 2) => "both stages".to_owned(),
                _ if count == all => format!("all {all} stages"),
                _ => format!("{count} of the {all} stages"),
            };
            format!("{who} goes through {part} of flow `{flow}`{which}")
        }
        PlanOutcome::Empty => {
            format!("none of the {} stages of flow `{flow}` is for {who}", answer.stages.len())
        }
        PlanOutcome::NotApplicable { reason: Reason::Authentication(demand), .. } => {
            let who = travellers.requesting.display_name();
            format!("flow `{flow}` is not for {who}: the flow {}", demand.demand())
        }
        PlanOutcome::NotApplicable { .. } => {
            format!("flow `{flow}` is not for {who}{}", since(answer.report.as_ref()))
        }
    }
}

/// One sentence about a stage at planning.
pub fn describe_stage(report: &StageReport) -> String {
    let placed = &report.placed;
    match report.outcome {
        StageOutcome::Later => "its bindings are looked at right before it is shown".to_owned(),
        StageOutcome::Out => format!("it is left out{}", since(report.report.as_ref())),
        StageOutcome::In if !placed.evaluate_on_plan => "its bindings are never looked at".to_owned(),
        StageOutcome::In => {
            let again = if placed.re_evaluate_policies {
                "; its bindings must pass once more right before it is shown"
            } else {
                ""
            };
            format!("it is in{}{again}", since(report.report.as_ref()))
        }
    }
}

/// One sentence about a stage that was dropped.
pub fn describe_dropped(dropped: &Dropped) -> String {
    match &dropped.placed {
        None => "it has left the flow since the plan was made".to_owned(),
        Some(_) => format!("it is dropped{}", since(dropped.report.as_ref())),
    }
}

/// One sentence about a step.
pub fn describe_step(answer: &StepAnswer) -> String {
    let dropped = match answer.dropped.len() {
        0 => String::new(),
        1 => ", after one that was dropped".to_owned(),
        many => format!(", after {many} that were dropped"),
    };
    match &answer.next {
        None if answer.dropped.is_empty() => "no stage is left, so the flow is finished".to_owned(),
        None => "all stages that were left are dropped, so the flow is finished".to_owned(),
        Some(NextStage { placed, report, .. }) => {
            format!("stage `{}` is next{dropped}{}", placed.stage.name, since(report.as_ref()))
        }
    }
}

fn since(report: Option<&TargetReport>) -> String {
    report.map_or_else(String::new, |report| format!(": {}", because(report)))
}
