//! One case about a flow: planned, walked, and compared.
//!
//! Must not know: where the case came from, how a report is written.

use super::case::{Deviation, Explained, list};
use crate::api::ask::Failure;
use crate::api::flow::{LIFETIME, Tokens, next_on, plan_on};
use crate::cli::output::one_line;
use crate::evaluators::Evaluators;
use crate::model::Timestamp;
use crate::proto::v1;
use crate::store::Snapshot;
use prost_types::Struct;
use prost_types::value::Kind;

/// Runs a case about a flow; nothing when all is as expected.
pub(super) async fn run(
    snapshot: &Snapshot,
    evaluators: &Evaluators,
    mut request: v1::PlanFlowRequest,
    steps: Vec<v1::TestStep>,
    expected: &v1::Expectation,
    now: Timestamp,
) -> Option<Deviation> {
    let alone = |text: String| Some(Deviation { text, explanation: None });
    let tokens = match Tokens::random(LIFETIME) {
        Ok(tokens) => tokens,
        Err(what) => return alone(what),
    };
    // The sentences are part of what a failure shows.
    request.explain = v1::ExplainLevel::Full.into();
    let planned = plan_on(snapshot, evaluators, &tokens, request.clone(), now).await;
    if let Some(text) = plan_deviation(expected, !steps.is_empty(), &planned) {
        return Some(Deviation {
            text,
            explanation: planned.ok().map(|plan| Explained::Plan(Box::new(plan))),
        });
    }
    let (Ok(planned), false) = (planned, steps.is_empty()) else { return None };
    let v1::PlanFlowRequest { mut subject, context, explain, .. } = request;
    let mut context = context.unwrap_or_default();
    keep(&mut context, planned.context);
    let (mut token, mut finished) = (planned.token, false);
    for (index, step) in steps.into_iter().enumerate() {
        let number = index + 1;
        if finished {
            return alone(format!("step {number}: the flow is finished already"));
        }
        let v1::TestStep { set, subject: from_now_on, expect } = step;
        subject = from_now_on.or(subject);
        merge(context.values.get_or_insert_default(), set.unwrap_or_default());
        let request = v1::NextStageRequest {
            form: Some(v1::next_stage_request::Form::Token(std::mem::take(&mut token))),
            subject: subject.clone(),
            context: Some(context.clone()),
            explain,
            min_revision: 0,
        };
        let response = match next_on(snapshot, evaluators, &tokens, request, now).await {
            Ok(response) => response,
            Err(failure) => return alone(format!("step {number}: got the error `{}`", failure.message)),
        };
        if let Some(text) = step_deviation(&expect.unwrap_or_default(), &response) {
            let explanation = Some(Explained::Step(Box::new(response)));
            return Some(Deviation { text: format!("step {number}: {text}"), explanation });
        }
        keep(&mut context, response.context);
        (token, finished) = (response.token, response.finished);
    }
    None
}

/// Hands on what policies changed.
fn keep(context: &mut v1::Context, changed: Option<Struct>) {
    if changed.is_some() {
        context.values = changed;
    }
}

fn merge(values: &mut Struct, set: Struct) {
    for (key, value) in set.fields {
        if matches!(value.kind, None | Some(Kind::NullValue(_))) {
            values.fields.remove(&key);
        } else {
            values.fields.insert(key, value);
        }
    }
}

fn outcome_word(outcome: v1::PlanOutcome) -> &'static str {
    match outcome {
        v1::PlanOutcome::Planned => "planned",
        v1::PlanOutcome::NotApplicable => "not applicable",
        v1::PlanOutcome::Empty => "empty",
        v1::PlanOutcome::Unspecified => "no outcome",
    }
}

/// What is not as expected of planning; `walked`: steps follow.
fn plan_deviation(
    expected: &v1::Expectation,
    walked: bool,
    planned: &Result<v1::PlanFlowResponse, Failure>,
) -> Option<String> {
    let plan = match planned {
        Err(failure) if failure.message.contains(&expected.error) && !expected.error.is_empty() => {
            return None;
        }
        Err(failure) => {
            let wanted = match expected.error.as_str() {
                "" => "a plan".to_owned(),
                part => format!("an error with `{part}`"),
            };
            return Some(format!("expected {wanted}, got the error `{}`", failure.message));
        }
        Ok(plan) => plan,
    };
    let got = outcome_word(plan.outcome());
    if !expected.error.is_empty() {
        return Some(format!("expected an error with `{}`, got {got}", expected.error));
    }
    let mut parts = Vec::new();
    let implied = walked || expected.stages.is_some();
    let wanted = match expected.outcome() {
        v1::PlanOutcome::Unspecified if implied => v1::PlanOutcome::Planned,
        outcome => outcome,
    };
    if wanted != v1::PlanOutcome::Unspecified && wanted != plan.outcome() {
        parts.push(format!("expected {}, got {got}", outcome_word(wanted)));
    } else if let Some(stages) = &expected.stages {
        let found = plan.plan.iter().flat_map(|plan| &plan.stages).map(|it| it.stage.clone());
        compare("stages", &stages.names, &found.collect::<Vec<_>>(), &mut parts);
    }
    if let Some(messages) = &expected.messages {
        compare("messages", &messages.texts, &plan.messages, &mut parts);
    }
    (!parts.is_empty()).then(|| parts.join("; "))
}

/// What is not as expected of a step.
fn step_deviation(expected: &v1::ExpectedStep, response: &v1::NextStageResponse) -> Option<String> {
    let mut parts = Vec::new();
    let shown = |name: Option<&str>| {
        name.map_or_else(|| "the end".to_owned(), |name| format!("stage `{}`", one_line(name)))
    };
    let wanted = (!expected.finished).then_some(expected.stage.as_str());
    let found = response.stage.as_ref().map(|stage| stage.stage.as_str());
    if wanted != found {
        parts.push(format!("expected {}, got {}", shown(wanted), shown(found)));
    }
    if let Some(dropped) = &expected.dropped {
        let found = response.dropped.iter().map(|it| it.stage.clone().unwrap_or_default().stage);
        compare("dropped stages", &dropped.names, &found.collect::<Vec<_>>(), &mut parts);
    }
    if let Some(messages) = &expected.messages {
        compare("messages", &messages.texts, &response.messages, &mut parts);
    }
    (!parts.is_empty()).then(|| parts.join("; "))
}

fn compare(what: &str, wanted: &[String], found: &[String], parts: &mut Vec<String>) {
    if wanted != found {
        parts.push(format!("expected the {what} {}, got {}", list(wanted), list(found)));
    }
}
