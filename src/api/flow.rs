//! The Flow service: plans, and steps through them. It keeps nothing between two calls.
//!
//! Must not know: how a flow is planned.

mod convert;
mod pending;
mod token;

pub use convert::MAX_STAGES;
pub use token::{LIFETIME, MAX_TOKEN, MIN_KEY, Tokens};

use super::ask::{Failure, Rounds, gate, now};
use super::convert as questions;
use super::decision::{DecisionApi, MAX_MESSAGE};
use super::note::{About, Noting, Told, room, traced};
use super::status::{TOKEN, status};
use crate::decision::flow::{Journey, PlanEntry, Planned, Stepped, Travellers, describe_plan, describe_step};
use crate::decision::{Answered, TargetKey, View as _};
use crate::evaluators::Evaluators;
use crate::model::{Context, Explain, Id, Subject, Target, TargetKind, TargetRef, Timestamp};
use crate::proto::v1;
use crate::proto::v1::flow_service_server::{FlowService, FlowServiceServer};
use crate::store::Snapshot;
use crate::telemetry::labels::Door;
use crate::telemetry::trace::{Call, FutureExt as _, Trace};
use convert::Ground;
use std::sync::Arc;
use std::time::Instant;
use tonic::{Code, Request, Response, Status};

/// Plans and steps from a store.
#[derive(Clone, Debug)]
pub struct FlowApi {
    desk: DecisionApi,
    tokens: Arc<Tokens>,
}

impl FlowApi {
    /// Answers from what this answers from, and signs with these keys.
    pub const fn new(desk: DecisionApi, tokens: Arc<Tokens>) -> Self {
        Self { desk, tokens }
    }

    /// As a service for a server, with its limits.
    pub fn into_service(self) -> FlowServiceServer<Self> {
        FlowServiceServer::new(self).max_decoding_message_size(MAX_MESSAGE)
    }
}

#[tonic::async_trait]
impl FlowService for FlowApi {
    async fn plan_flow(
        &self,
        request: Request<v1::PlanFlowRequest>,
    ) -> Result<Response<v1::PlanFlowResponse>, Status> {
        let (metadata, _, request) = request.into_parts();
        let patience = self.desk.patience(&metadata);
        let noting = self.noting("PlanFlow", &metadata, &request.flow, request.subject.as_ref());
        let work = async {
            let about = (request.flow.as_str(), request.subject.as_ref(), request.context.as_ref());
            let fetched = self.fetch(about).await;
            let snapshot = self.desk.snapshot(request.min_revision, patience).await;
            let answer = match fetched {
                Ok(()) => {
                    let tokens = &self.tokens;
                    Box::pin(plan_on(&snapshot, self.desk.evaluators(), tokens, request, now())).await
                }
                Err(failure) => Err(failure),
            };
            (snapshot, answer)
        };
        let (snapshot, answer) = in_trace(&noting, work).await;
        let reached = |answer: &v1::PlanFlowResponse| answer.outcome() != v1::PlanOutcome::NotApplicable;
        let told = answer.as_ref().map(|answer| (reached(answer), answer.messages.as_slice()));
        self.note(noting, &snapshot, told).await;
        answer.map(Response::new).map_err(status)
    }

    async fn next_stage(
        &self,
        request: Request<v1::NextStageRequest>,
    ) -> Result<Response<v1::NextStageResponse>, Status> {
        let (metadata, _, request) = request.into_parts();
        let patience = self.desk.patience(&metadata);
        let plan = opened(&self.tokens, &request, now()).map_err(status)?;
        let noting = self.noting("NextStage", &metadata, &plan.flow, request.subject.as_ref());
        let work = async {
            let about = (plan.flow.as_str(), request.subject.as_ref(), request.context.as_ref());
            let fetched = self.fetch(about).await;
            let snapshot = self.desk.snapshot(request.min_revision, patience).await;
            let answer = match fetched {
                Ok(()) => {
                    let tokens = &self.tokens;
                    Box::pin(next_on(&snapshot, self.desk.evaluators(), tokens, request, now())).await
                }
                Err(failure) => Err(failure),
            };
            (snapshot, answer)
        };
        let (snapshot, answer) = in_trace(&noting, work).await;
        let told = answer.as_ref().map(|answer| (true, answer.messages.as_slice()));
        self.note(noting, &snapshot, told).await;
        answer.map(Response::new).map_err(status)
    }
}

/// Runs within the question's trace.
async fn in_trace<T>(noting: &Noting, work: impl Future<Output = T>) -> T {
    match noting.trace.as_deref().map(Trace::work) {
        Some(context) => work.with_context(context).await,
        None => work.await,
    }
}

impl FlowApi {
    fn noting(
        &self,
        method: &'static str,
        metadata: &tonic::metadata::MetadataMap,
        flow: &str,
        subject: Option<&v1::Subject>,
    ) -> Noting {
        let telemetry = self.desk.telemetry();
        let trace = traced(telemetry, Call::Grpc("bindery.v1.FlowService", method), metadata);
        let mut noting = Noting::begin(telemetry, Door::Flow, None).with(trace);
        if telemetry.log.is_some() {
            let subject = subject.cloned().and_then(|it| questions::subject(it).ok()).unwrap_or_default();
            noting.learn(About { target: Some(TargetRef::Named(TargetKind::Flow, flow.into())), subject });
        }
        noting
    }

    /// Tells of a call that has come to its end: whether the flow is for somebody, and what policies said.
    async fn note(&self, noting: Noting, snapshot: &Snapshot, answer: Result<(bool, &[String]), &Failure>) {
        let result = answer.map_err(Failure::clone).map(|(allowed, messages)| v1::CheckResponse {
            decision: if allowed { v1::Decision::Allow } else { v1::Decision::Deny }.into(),
            messages: messages.to_vec(),
            revision: snapshot.revision(),
            stale: snapshot.freshness().age().stale,
            ..Default::default()
        });
        let kind = Some(TargetKind::Flow);
        let told = Told { kind, snapshot: Some(snapshot), ..Told::of(&result, None) };
        room(noting.end(self.desk.telemetry(), told)).await;
    }

    /// Sees to it that the flow and those whom it is about are here, where only a part is held.
    async fn fetch(
        &self,
        (flow, subject, context): (&str, Option<&v1::Subject>, Option<&v1::Context>),
    ) -> Result<(), Failure> {
        use prost_types::value::Kind;
        if !self.desk.is_partial() {
            return Ok(());
        }
        let target = TargetRef::Named(TargetKind::Flow, flow.into());
        let given = |text: &str| (!text.is_empty()).then(|| text.into());
        let asks = subject.map(|subject| Subject {
            user_id: given(&subject.user_id),
            username: given(&subject.username),
            anonymous: subject.anonymous,
            ..Subject::default()
        });
        self.desk.fetch_about(&target, &asks.unwrap_or_default()).await?;
        let values = context.and_then(|context| context.values.as_ref());
        let text = |value: Option<&prost_types::Value>| match value.and_then(|value| value.kind.as_ref()) {
            Some(Kind::StringValue(text)) => given(text),
            Some(Kind::NumberValue(number)) => Some(number.to_string()),
            _ => None,
        };
        let entry = values.and_then(|values| values.fields.get("pending_user"));
        let pending = match entry.and_then(|entry| entry.kind.as_ref()) {
            Some(Kind::StringValue(name)) => Subject { username: given(name), ..Subject::default() },
            Some(Kind::StructValue(map)) => {
                let field = |key: &str| text(map.fields.get(key));
                let user_id = field("pk").or_else(|| field("user_id"));
                Subject { user_id, username: field("username"), ..Subject::default() }
            }
            _ => return Ok(()),
        };
        self.desk.fetch_about(&target, &pending).await
    }
}

/// What both calls have in common, checked.
struct Trip {
    key: TargetKey,
    name: Box<str>,
    subject: Subject,
    pending: Option<Subject>,
    context: Context,
    explain: Explain,
}

impl Trip {
    fn new(
        snapshot: &Snapshot,
        flow: &str,
        subject: Option<v1::Subject>,
        context: Option<v1::Context>,
        explain: i32,
        now: Timestamp,
    ) -> Result<Self, Failure> {
        if flow.is_empty() {
            return Err(Failure::argument("flow", "missing; say which flow, by slug or id"));
        }
        questions::bounded("flow", flow)?;
        let Some(subject) = subject else {
            return Err(Failure::argument("subject", "missing; say who asks, or set anonymous"));
        };
        let subject = questions::subject(subject)?;
        let explain = questions::explain(explain)?;
        let mut context = questions::context(context.unwrap_or_default(), now)?;
        if context.values.get("flow_plan").is_some() {
            let text = "is made by the planner; leave it out";
            return Err(Failure::argument("context.values.flow_plan", text));
        }
        let target = TargetRef::Named(TargetKind::Flow, flow.into());
        let missing = || {
            let message = format!("flow: there is no flow `{flow}` in the configuration");
            Failure { code: Code::NotFound, field: "flow".to_owned(), message }
        };
        let key = snapshot.find(&target).map_err(|_| missing())?;
        super::ask::fresh(snapshot, &target)?;
        let pending = pending::pending_user(snapshot, &mut context.values)?;
        // Its slug: what people see of a flow is a title.
        let slug = |target: &Target| target.key.clone().unwrap_or_else(|| target.id.to_string().into());
        let name = snapshot.target(key).map(|it| slug(&it.target)).unwrap_or_default();
        Ok(Self { key, name, subject, pending, context, explain })
    }

    /// Tries with what policies have said so far.
    fn attempt<T>(
        &self,
        snapshot: &Snapshot,
        answered: &[Answered],
        work: impl FnOnce(&Journey<'_, Snapshot>) -> T,
    ) -> T {
        // Only a full explanation measures its bindings; reading the clock is not free.
        let start = (self.explain == Explain::Full).then(Instant::now);
        let ticks = || start.map_or(0, |it| u64::try_from(it.elapsed().as_nanos()).unwrap_or(u64::MAX));
        let requesting = snapshot.member(&self.subject);
        let pending = self.pending.as_ref().map(|pending| snapshot.member(pending));
        let travellers = Travellers { requesting: &requesting, pending: pending.as_ref() };
        let (flow, context, explain) = (self.key, &self.context, self.explain);
        let ticks = Some(&ticks as &dyn Fn() -> u64);
        work(&Journey { view: snapshot, flow, travellers, context, answered, explain, ticks })
    }

    /// The flow has gone while it was looked at, which cannot be within one revision.
    fn gone(&self) -> Failure {
        let message =
            format!("flow: `{}` cannot be read; please report this as a mistake of bindery", self.name);
        Failure { code: Code::Internal, field: "flow".to_owned(), message }
    }
}

/// Plans a flow on this revision. Waits for policies that take time, each at most for its binding's timeout.
///
/// # Errors
/// When the request is not complete or there is no such flow; that the flow is not for somebody is an answer.
pub async fn plan_on(
    snapshot: &Snapshot,
    evaluators: &Evaluators,
    tokens: &Tokens,
    request: v1::PlanFlowRequest,
    now: Timestamp,
) -> Result<v1::PlanFlowResponse, Failure> {
    gate(snapshot, request.min_revision)?;
    let v1::PlanFlowRequest { flow, subject, context, allow_empty, explain, .. } = request;
    let trip = Trip::new(snapshot, &flow, subject, context, explain, now)?;
    let (mut rounds, mut answered) = (Rounds::default(), Vec::new());
    loop {
        let try_it = |journey: &Journey<'_, Snapshot>| {
            let planned = journey.plan(allow_empty)?;
            let summary = match &planned {
                Planned::Answered(answer) if trip.explain != Explain::None => {
                    describe_plan(answer, &trip.name, &journey.travellers)
                }
                _ => String::new(),
            };
            Some((planned, summary))
        };
        let (planned, summary) = trip.attempt(snapshot, &answered, try_it).ok_or_else(|| trip.gone())?;
        match planned {
            Planned::Waiting(waiting) => {
                rounds.settle(snapshot, evaluators, waiting, &mut answered).await?;
            }
            Planned::Answered(answer) => {
                let id = snapshot.target(trip.key).map_or_else(|| Id::new(&flow), |it| it.target.id.clone());
                let mut response = convert::plan_response(*answer, &id, summary, ground(snapshot, now));
                response.token = response.plan.as_ref().map(|plan| tokens.sign(plan)).unwrap_or_default();
                return Ok(response);
            }
        }
    }
}

/// The next stage of a plan on this revision. Waits as [`plan_on`].
///
/// # Errors
/// When the request is not complete, its token is refused, or the flow is gone.
pub async fn next_on(
    snapshot: &Snapshot,
    evaluators: &Evaluators,
    tokens: &Tokens,
    request: v1::NextStageRequest,
    now: Timestamp,
) -> Result<v1::NextStageResponse, Failure> {
    gate(snapshot, request.min_revision)?;
    let plan = opened(tokens, &request, now)?;
    let entries: Vec<PlanEntry> = convert::entries(&plan)?;
    let v1::NextStageRequest { subject, context, explain, .. } = request;
    let trip = Trip::new(snapshot, &plan.flow, subject, context, explain, now)?;
    let (mut rounds, mut answered) = (Rounds::default(), Vec::new());
    loop {
        let stepped = trip.attempt(snapshot, &answered, |journey| journey.next(&entries));
        match stepped.ok_or_else(|| trip.gone())? {
            Stepped::Waiting(waiting) => {
                rounds.settle(snapshot, evaluators, waiting, &mut answered).await?;
            }
            Stepped::Answered(answer) => {
                let explained = trip.explain != Explain::None;
                let summary = if explained { describe_step(&answer) } else { String::new() };
                let ground = ground(snapshot, now);
                let mut response = convert::step_response(*answer, plan, summary, explained, ground);
                response.token = response.plan.as_ref().map(|plan| tokens.sign(plan)).unwrap_or_default();
                return Ok(response);
            }
        }
    }
}

/// The plan of a request.
fn opened(tokens: &Tokens, request: &v1::NextStageRequest, now: Timestamp) -> Result<v1::FlowPlan, Failure> {
    use v1::next_stage_request::Form;
    match &request.form {
        None => Err(Failure::argument("plan", "missing; hand in the token or the plan that PlanFlow gave")),
        Some(Form::Plan(plan)) if plan.flow.is_empty() => {
            Err(Failure::argument("plan.flow", "missing; hand the plan back as it was given"))
        }
        Some(Form::Plan(plan)) => Ok(plan.clone()),
        Some(Form::Token(token)) => tokens.open(token, now).map_err(|what| Failure::argument(TOKEN, &what)),
    }
}

fn ground(snapshot: &Snapshot, now: Timestamp) -> Ground {
    Ground { revision: snapshot.revision(), age: snapshot.freshness().age(), now }
}
