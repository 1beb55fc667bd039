//! What is told of questions: metrics, the decision log, traces. Whatever is switched off costs a look at a switch.
//!
//! Must not know: how a question is decided, how it came in.

use super::ask::Failure;
use super::convert;
use super::status::reason_of;
use crate::decision::{TargetKey, View as _};
use crate::model::{Deciding, Question, Subject, TargetKind, TargetRef, TargetReport};
use crate::proto::v1;
use crate::store::Snapshot;
use crate::telemetry::Telemetry;
use crate::telemetry::decision_log::{Blocked, Outcome, Record};
use crate::telemetry::labels::{Answer, Door, Label as _, PolicyLabel};
use crate::telemetry::trace::{Call, Facts, Trace};
use std::time::{Duration, Instant, SystemTime};
use tonic::metadata::MetadataMap;

/// An answer, with what is known of how it came about.
#[derive(Debug)]
pub struct Reply {
    /// The answer.
    pub response: v1::CheckResponse,
    /// What else is known.
    pub(super) noted: Noted,
}

/// What is known of how an answer came about.
#[derive(Debug)]
pub(super) struct Noted {
    pub(super) kind: TargetKind,
    pub(super) deciding: Option<Deciding>,
    pub(super) policy_errors: Vec<&'static str>,
    /// Kept where [`Watch::record`] says so, with the directory's id of whoever it is about.
    pub(super) question: Option<(Box<Question>, Option<String>)>,
    /// Kept where [`Watch::report`] says so.
    pub(super) report: Option<Box<TargetReport>>,
}

/// What has to be kept of a question.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Watch {
    /// The question itself, for the decision log.
    pub(super) record: bool,
    /// What became of every binding, for a trace.
    pub(super) report: bool,
}

/// Who asks for what.
#[derive(Debug, Default)]
pub(super) struct About {
    pub(super) target: Option<TargetRef>,
    pub(super) subject: Subject,
}

/// One question on its way.
#[derive(Debug)]
pub(super) struct Noting {
    door: Door,
    start: Instant,
    /// Who asks for what, as far as it is known before it is decided; only for the decision log.
    about: Option<Box<About>>,
    pub(super) trace: Option<Box<Trace>>,
}

/// What came of a question, for those that tell of it.
pub(super) struct Told<'a> {
    /// Whether it is an allow; nothing: there is no answer.
    pub(super) answer: Option<Answer>,
    /// The door's id of the decision; empty: it has none.
    pub(super) decision_id: &'a str,
    /// Why, where a door says so by itself.
    pub(super) reason: Option<&'static str>,
    pub(super) failure: Option<&'a Failure>,
    pub(super) response: Option<&'a v1::CheckResponse>,
    pub(super) noted: Option<Noted>,
    /// The kind of the target, where it was found and nothing was decided on it.
    pub(super) kind: Option<TargetKind>,
    pub(super) snapshot: Option<&'a Snapshot>,
}

impl<'a> Told<'a> {
    /// What came of a question without more than that.
    pub(super) fn of(result: &'a Result<v1::CheckResponse, Failure>, noted: Option<Noted>) -> Self {
        let response = result.as_ref().ok();
        let answer = response.map(|response| match response.decision() {
            v1::Decision::Allow => Answer::Allow,
            _ => Answer::Deny,
        });
        let failure = result.as_ref().err();
        Self { answer, decision_id: "", reason: None, failure, response, noted, kind: None, snapshot: None }
    }
}

/// The span of a call over gRPC, if it is to be traced.
pub(super) fn traced(telemetry: &Telemetry, call: Call, metadata: &MetadataMap) -> Option<Box<Trace>> {
    let traces = telemetry.traces.as_ref()?;
    traces.begin(call, |name| metadata.get(name).and_then(|value| value.to_str().ok()))
}

impl Noting {
    /// A question comes in at this door.
    pub(super) fn begin(telemetry: &Telemetry, door: Door, request: Option<&v1::CheckRequest>) -> Self {
        let about = telemetry.log.is_some().then_some(request).flatten().and_then(convert::about);
        let about = about.map(|(target, subject)| Box::new(About { target: Some(target), subject }));
        Self { door, start: Instant::now(), about, trace: None }
    }

    /// As part of a trace.
    #[must_use]
    pub(super) fn with(mut self, trace: Option<Box<Trace>>) -> Self {
        self.trace = trace;
        self
    }

    /// What was learned of it on the way.
    pub(super) fn learn(&mut self, about: About) {
        self.about = Some(Box::new(about));
    }

    /// What has to be kept of it.
    pub(super) fn watch(&self, telemetry: &Telemetry) -> Watch {
        Watch { record: telemetry.log.is_some(), report: self.trace.is_some() }
    }

    /// It has come to its end. What comes back has to be awaited before the answer goes out.
    pub(super) fn end(self, telemetry: &Telemetry, told: Told<'_>) -> Option<Blocked> {
        let took = self.start.elapsed();
        let kind = told.noted.as_ref().map(|noted| noted.kind).or(told.kind);
        match (told.answer, told.failure) {
            (Some(answer), _) => telemetry.metrics.decided(self.door, kind, answer, took),
            (None, Some(failure)) => telemetry.metrics.undecided(self.door, reason_of(failure), took),
            (None, None) => {}
        }
        if let Some(noted) = &told.noted {
            for kind in &noted.policy_errors {
                telemetry.metrics.policy_errored(PolicyLabel::named(kind));
            }
        }
        if self.trace.is_none() && telemetry.log.is_none() {
            return None;
        }
        self.tell(telemetry, told, took)
    }

    /// The decision log and the trace.
    #[inline(never)]
    fn tell(mut self, telemetry: &Telemetry, told: Told<'_>, took: Duration) -> Option<Blocked> {
        let trace_id = self.trace.as_ref().map(|trace| trace.id());
        if let Some(trace) = self.trace.take() {
            self.trace_end(*trace, &told);
        }
        let log = telemetry.log.as_ref()?;
        let outcome = told.answer.map_or(Outcome::Error, Outcome::Answered);
        if !log.wants(outcome) {
            return None;
        }
        let (question, user) = match told.noted {
            Some(Noted { question: Some((question, user)), deciding, .. }) => {
                (Some((question, deciding)), user)
            }
            _ => (None, None),
        };
        let (target, subject) = match (&question, self.about) {
            (Some((question, _)), _) => (Some(question.target.clone()), Some(question.subject.clone())),
            (None, Some(about)) => (about.target, Some(about.subject)),
            (None, None) => (None, None),
        };
        let deciding_binding = question.as_ref().and_then(|(_, deciding)| {
            let deciding = (*deciding)?;
            let target = told.snapshot?.target(TargetKey(deciding.target))?;
            target.rows().get(deciding.row).map(|row| row.id)
        });
        let known = user.is_some();
        let subject = subject.unwrap_or_default();
        let messages = match (told.response, told.failure) {
            (Some(response), _) => response.messages.clone(),
            (None, Some(failure)) => vec![failure.message.clone()],
            (None, None) => Vec::new(),
        };
        let version = told.snapshot.map(Snapshot::version).unwrap_or_default();
        let record = Record {
            time: SystemTime::now(),
            decision_id: told.decision_id.to_owned(),
            trace_id,
            door: self.door,
            revision: told.response.map_or(version.revision, |response| response.revision),
            epoch: version.epoch,
            stale: told.response.is_some_and(|response| response.stale),
            target,
            subject_id: user.or_else(|| subject.user_id.as_deref().map(str::to_owned)),
            known,
            anonymous: subject.anonymous,
            username: subject.username.map(Into::into),
            outcome,
            reason: told.reason.or_else(|| told.failure.map(|failure| reason_of(failure).word())),
            deciding_binding,
            messages,
            took,
            question: question.map(|(question, _)| question).filter(|_| log.holds_questions()),
        };
        log.push(record)
    }

    fn trace_end(&self, trace: Trace, told: &Told<'_>) {
        let noted = told.noted.as_ref();
        let report = noted.and_then(|noted| noted.report.as_deref());
        let named = |target: &TargetRef| (target.kind().name(), target.name().into_owned());
        let target = report.map(|report| (report.kind.name(), report.name.to_string()));
        let target = target.or_else(|| self.about.as_ref()?.target.as_ref().map(named));
        let question = noted.and_then(|noted| noted.question.as_ref());
        let is_grpc = !matches!(self.door, Door::ForwardAuth | Door::Authzen);
        let code = match (is_grpc, told.failure) {
            (true, failure) => failure.map_or(0, |failure| i64::from(i32::from(failure.code))),
            (false, Some(failure)) => i64::from(super::status::http(failure.code)),
            (false, None) => 200,
        };
        let revision = told.response.map(|response| response.revision);
        trace.end(
            is_grpc,
            &Facts {
                target,
                revision: revision.or(told.snapshot.map(Snapshot::revision)).unwrap_or_default(),
                decision: told.answer.map_or("error", Answer::word),
                decision_id: told.decision_id,
                code,
                error: told.failure.map(|failure| reason_of(failure).word()),
                username: question.and_then(|(question, _)| question.subject.username.as_deref()),
                report,
            },
        );
    }
}

/// Waits for room in the decision log, where that is the rule.
pub(super) async fn room(blocked: Option<Blocked>) {
    if let Some(blocked) = blocked {
        Box::pin(blocked.wait()).await;
    }
}
