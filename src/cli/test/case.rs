//! One decision case: asked, compared, and asked again for the explanation when it failed.
//!
//! Must not know: where the case came from, how a report is written.

use super::flow;
use crate::api::ask::{Failure, check_on};
use crate::cli::output::{one_line, tree};
use crate::evaluators::Evaluators;
use crate::model::Timestamp;
use crate::proto::v1;
use crate::store::Snapshot;
use crate::sync::origin::Origin;
use std::time::{Duration, Instant};

/// What came of a case.
#[derive(Clone, Debug)]
pub(super) struct CaseResult {
    /// Its name.
    pub(super) name: String,
    /// Where it is written.
    pub(super) origin: Origin,
    /// How long it took.
    pub(super) took: Duration,
    /// Absent: it passed.
    pub(super) failure: Option<Deviation>,
}

/// How a case failed.
#[derive(Clone, Debug)]
pub(super) struct Deviation {
    /// What was expected and what came.
    pub(super) text: String,
    /// Why it came so; absent when the question could not be answered.
    pub(super) explanation: Option<Explained>,
}

/// Why something came as it did.
#[derive(Clone, Debug)]
pub(super) enum Explained {
    /// An answer.
    Answer(Box<v1::Explanation>),
    /// A plan.
    Plan(Box<v1::PlanFlowResponse>),
    /// A step through one.
    Step(Box<v1::NextStageResponse>),
}

/// Runs a case; `now` counts where it names no moment.
pub(super) async fn run(
    snapshot: &Snapshot,
    evaluators: &Evaluators,
    case: v1::TestCase,
    origin: Origin,
    now: Timestamp,
) -> CaseResult {
    let start = Instant::now();
    let expected = case.expect.unwrap_or_default();
    if let Some(plan) = case.plan {
        let failure = flow::run(snapshot, evaluators, plan, case.steps, &expected, now).await;
        return CaseResult { name: case.name, origin, took: start.elapsed(), failure };
    }
    let mut request = case.check.unwrap_or_default();
    // All messages are only there when nothing is left out.
    request.full_evaluation |= expected.messages.is_some();
    let answer = check_on(snapshot, evaluators, request.clone(), now).await;
    let took = start.elapsed();
    let failure = match deviation(&expected, &answer) {
        None => None,
        Some(text) => {
            request.explain = v1::ExplainLevel::Full.into();
            let again = check_on(snapshot, evaluators, request, now).await;
            let explanation = again.ok().and_then(|response| response.explanation);
            Some(Deviation { text, explanation: explanation.map(|it| Explained::Answer(Box::new(it))) })
        }
    };
    CaseResult { name: case.name, origin, took, failure }
}

/// What is not as expected; nothing when all is.
fn deviation(expected: &v1::Expectation, answer: &Result<v1::CheckResponse, Failure>) -> Option<String> {
    let decides = expected.decision() != v1::Decision::Unspecified || expected.messages.is_some();
    if !decides && expected.error.is_empty() {
        return Some("expects nothing; write a decision, messages or an error".to_owned());
    }
    let response = match answer {
        Ok(response) => response,
        Err(failure) if !expected.error.is_empty() && !decides => {
            let same = failure.message.contains(&expected.error);
            return (!same).then(|| {
                format!("expected an error with `{}`, got the error `{}`", expected.error, failure.message)
            });
        }
        Err(failure) => {
            return Some(format!("expected {}, got the error `{}`", wanted(expected), failure.message));
        }
    };
    let got = tree::word(response.decision());
    if !expected.error.is_empty() {
        return Some(format!("expected an error with `{}`, got {got}", expected.error));
    }
    let mut parts = Vec::new();
    if !matches!(expected.decision(), v1::Decision::Unspecified) && expected.decision != response.decision {
        parts.push(format!("expected {}, got {got}", tree::word(expected.decision())));
    }
    if let Some(messages) = expected.messages.as_ref().filter(|messages| messages.texts != response.messages)
    {
        let (wanted, got) = (list(&messages.texts), list(&response.messages));
        parts.push(format!("expected the messages {wanted}, got {got}"));
    }
    (!parts.is_empty()).then(|| parts.join("; "))
}

fn wanted(expected: &v1::Expectation) -> String {
    match (expected.decision(), &expected.messages) {
        (v1::Decision::Unspecified, Some(messages)) => format!("the messages {}", list(&messages.texts)),
        (decision, _) => tree::word(decision).to_owned(),
    }
}

pub(super) fn list(texts: &[String]) -> String {
    let texts: Vec<_> = texts.iter().map(|text| one_line(text)).collect();
    format!("[{}]", texts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(decision: v1::Decision, messages: &[&str]) -> Result<v1::CheckResponse, Failure> {
        let messages = messages.iter().map(|text| (*text).to_owned()).collect();
        Ok(v1::CheckResponse { decision: decision.into(), messages, ..Default::default() })
    }

    fn failed() -> Result<v1::CheckResponse, Failure> {
        Err(Failure { code: tonic::Code::NotFound, field: "target".into(), message: "no such target".into() })
    }

    fn expect(decision: v1::Decision, messages: Option<&[&str]>, error: &str) -> v1::Expectation {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        v1::Expectation {
            decision: decision.into(),
            messages: messages.map(|given| v1::ExpectedMessages { texts: texts(given) }),
            error: error.into(),
            ..Default::default()
        }
    }

    #[test]
    fn what_is_expected_is_compared_and_nothing_else() {
        use v1::Decision::{Allow, Deny, Unspecified};
        let allow = || answered(Allow, &["a", "b"]);
        for (expected, answer, deviates) in [
            (expect(Allow, None, ""), allow(), None),
            (expect(Allow, Some(&["a", "b"]), ""), allow(), None),
            (expect(Unspecified, Some(&["a", "b"]), ""), allow(), None),
            (expect(Unspecified, None, "such"), failed(), None),
            (expect(Deny, None, ""), allow(), Some("expected deny, got allow")),
            (expect(Allow, Some(&["b"]), ""), allow(), Some("expected the messages [b], got [a, b]")),
            (expect(Allow, Some(&[]), ""), allow(), Some("expected the messages [], got [a, b]")),
            (expect(Unspecified, None, "x"), allow(), Some("expected an error with `x`, got allow")),
            (
                expect(Unspecified, None, "x"),
                failed(),
                Some("expected an error with `x`, got the error `no such target`"),
            ),
            (expect(Deny, None, ""), failed(), Some("expected deny, got the error `no such target`")),
            (
                expect(Unspecified, None, ""),
                allow(),
                Some("expects nothing; write a decision, messages or an error"),
            ),
        ] {
            assert_eq!(deviation(&expected, &answer).as_deref(), deviates);
        }
    }
}
