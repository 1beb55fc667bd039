//! One evaluation, and many of one revision.
//!
//! Must not know: HTTP.

use super::Desk;
use super::asked::{Asked, Entities, given, placed};
use super::reply::{Decision, Decisions, Refusal, decided, inactive, undecided};
use crate::api::ask::{Attempt, Failure, Pending, begin, finish, gate, now, prepare};
use crate::api::decision::MAX_BATCH;
use crate::api::note::{Noting, Reply, Told, Watch, room};
use crate::model::{Timestamp, Value};
use crate::proto::v1;
use crate::store::Snapshot;
use crate::telemetry::labels::{Answer, Door};
use crate::telemetry::trace::{Call, FutureExt as _, Trace};
use axum::http::{HeaderMap, StatusCode};
use futures_util::future::join_all;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use prost::Message as _;
use serde_json::Map;
use std::time::Duration;
use tonic::Code;

/// The most that the questions of a call may come to, in bytes of their messages: defaults count for each question.
const MAX_QUESTIONS: usize = 16 << 20;
/// After so many questions others have a turn.
const TURN: usize = 32;

/// When a call with many evaluations ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Semantic {
    ExecuteAll,
    DenyOnFirstDeny,
    PermitOnFirstPermit,
}

/// What came of looking at a question.
enum Look {
    Decided(Decision, Option<Box<Reply>>),
    Pending(Box<Pending>),
}

/// `/access/v1/evaluation`.
pub(super) async fn evaluation(desk: &Desk, body: &Value, headers: &HeaderMap) -> Result<Decision, Refusal> {
    let request = Asked::question(Entities::of(body)).and_then(|asked| asked.request(&desk.settings));
    let answer = match request {
        Ok(request) => {
            // What is not known to be there is not known to be missing either.
            desk.api.fetch(&request).await?;
            let snapshot = desk.api.snapshot(0, Duration::ZERO).await;
            let noting = begin_noting(desk, "/access/v1/evaluation", headers, &request);
            let answer = logged(desk, &snapshot, request, now(), noting).await;
            answer.map_err(|failure| (failure, snapshot.revision()))
        }
        Err(failure) => {
            let snapshot = desk.api.snapshot(0, Duration::ZERO).await;
            if failure.code == Code::NotFound {
                gate(&snapshot, 0)?;
            }
            Err((failure, snapshot.revision()))
        }
    };
    match answer {
        Ok(decision) => Ok(decision),
        Err((failure, revision)) => {
            let failure = placed(failure, &desk.settings, "");
            match failure.code {
                Code::NotFound => Ok(undecided(failure, revision, &desk.ids)),
                _ => Err(failure.into()),
            }
        }
    }
}

/// `/access/v1/evaluations`. Without evaluations it is the same as the other.
pub(super) async fn evaluations(
    desk: &Desk,
    body: &Value,
    headers: &HeaderMap,
) -> Result<Result<Decisions, Decision>, Refusal> {
    let items = match given(body, "evaluations") {
        None => return evaluation(desk, body, headers).await.map(Err),
        Some(Value::List(items)) if items.is_empty() => {
            return evaluation(desk, body, headers).await.map(Err);
        }
        Some(Value::List(items)) => items,
        Some(_) => return Err(Failure::argument("evaluations", "is no list; send one").into()),
    };
    if items.len() > MAX_BATCH {
        let text =
            format!("{} evaluations; at most {MAX_BATCH} are allowed, so send several calls", items.len());
        return Err(Failure::argument("evaluations", &text).into());
    }
    for name in ["subject", "action", "resource", "context"] {
        if given(body, name).is_some_and(|value| !matches!(value, Value::Map(_))) {
            return Err(Failure::argument(name, "is no object; send one").into());
        }
    }
    let semantic = semantic(body)?;
    let mut requests = requests(desk, body, items)?;
    if desk.api.is_partial() {
        let fetch = async |request: &Result<v1::CheckRequest, Failure>| match request {
            Ok(request) => desk.api.fetch(request).await,
            Err(_) => Ok(()),
        };
        let fetched = join_all(requests.iter().map(fetch)).await;
        for (request, fetched) in requests.iter_mut().zip(fetched) {
            if let Err(failure) = fetched {
                *request = Err(failure);
            }
        }
    }
    let (snapshot, now) = (desk.api.snapshot(0, Duration::ZERO).await, now());
    gate(&snapshot, 0)?;
    let evaluations = match semantic {
        Semantic::ExecuteAll => all(desk, &snapshot, requests, now, headers).await,
        semantic => in_turn(desk, &snapshot, requests, (semantic, now), headers).await,
    };
    Ok(Ok(Decisions { evaluations }))
}

fn semantic(body: &Value) -> Result<Semantic, Failure> {
    let field = "options.evaluations_semantic";
    let options = match given(body, "options") {
        None => return Ok(Semantic::ExecuteAll),
        Some(options @ Value::Map(_)) => options,
        Some(_) => return Err(Failure::argument("options", "is no object; send one")),
    };
    match given(options, "evaluations_semantic") {
        None => Ok(Semantic::ExecuteAll),
        Some(semantic) => match semantic.as_str() {
            Some("execute_all") => Ok(Semantic::ExecuteAll),
            Some("deny_on_first_deny") => Ok(Semantic::DenyOnFirstDeny),
            Some("permit_on_first_permit") => Ok(Semantic::PermitOnFirstPermit),
            _ => {
                let text = "is none of execute_all, deny_on_first_deny, permit_on_first_permit";
                Err(Failure::argument(field, text))
            }
        },
    }
}

/// The questions of a call, each with what it leaves to the defaults.
fn requests(
    desk: &Desk,
    body: &Value,
    items: &[Value],
) -> Result<Vec<Result<v1::CheckRequest, Failure>>, Refusal> {
    let mut size = 0;
    let mut requests = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        let request = match item {
            Value::Map(_) => Asked::question(Entities::with_default(item, body))
                .and_then(|asked| asked.request(&desk.settings)),
            _ => Err(Failure::argument("", "is no object; send one")),
        };
        size += request.as_ref().map_or(0, |request| request.encoded_len());
        if size > MAX_QUESTIONS {
            let text = format!(
                "evaluations: with the defaults they come to more than {MAX_QUESTIONS} bytes; send several calls"
            );
            return Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "TOO_MUCH", text));
        }
        requests.push(request.map_err(|failure| at(desk, failure, index)));
    }
    Ok(requests)
}

fn at(desk: &Desk, failure: Failure, index: usize) -> Failure {
    match failure.field.is_empty() {
        true => {
            let field = format!("evaluations[{index}]");
            Failure { message: format!("{field}{}", failure.message), field, code: failure.code }
        }
        false => placed(failure, &desk.settings, &format!("evaluations[{index}].")),
    }
}

/// Every question. Those that wait do so side by side.
async fn all(
    desk: &Desk,
    snapshot: &Snapshot,
    requests: Vec<Result<v1::CheckRequest, Failure>>,
    now: Timestamp,
    headers: &HeaderMap,
) -> Vec<Decision> {
    let mut waiting = FuturesUnordered::new();
    let mut decisions = Vec::with_capacity(requests.len());
    for (index, request) in requests.into_iter().enumerate() {
        if index % TURN == TURN - 1 {
            tokio::task::yield_now().await;
        }
        let request = match request {
            Ok(request) => request,
            Err(failure) => {
                decisions.push(Some(undecided(failure, snapshot.revision(), &desk.ids)));
                continue;
            }
        };
        let noting = begin_noting(desk, "/access/v1/evaluations", headers, &request);
        let looked = look(desk, snapshot, request, now, noting.watch(desk.api.telemetry()));
        if let Ok(Look::Pending(pending)) = looked {
            waiting.push(async move {
                let answer = waited(desk, snapshot, *pending, noting).await;
                let answer = answer.map_err(|failure| at(desk, failure, index));
                let late = |failure| undecided(failure, snapshot.revision(), &desk.ids);
                (index, answer.unwrap_or_else(late))
            });
            decisions.push(None);
            continue;
        }
        let answer = noted(desk, snapshot, looked, noting).await;
        let answer = answer.map_err(|failure| at(desk, failure, index));
        let failed = |failure| undecided(failure, snapshot.revision(), &desk.ids);
        decisions.push(Some(answer.unwrap_or_else(failed)));
    }
    while let Some((index, decision)) = waiting.next().await {
        if let Some(slot) = decisions.get_mut(index) {
            *slot = Some(decision);
        }
    }
    decisions.into_iter().flatten().collect()
}

/// One question after the other, until the first that ends it.
async fn in_turn(
    desk: &Desk,
    snapshot: &Snapshot,
    requests: Vec<Result<v1::CheckRequest, Failure>>,
    (semantic, now): (Semantic, Timestamp),
    headers: &HeaderMap,
) -> Vec<Decision> {
    let mut decisions = Vec::new();
    for (index, request) in requests.into_iter().enumerate() {
        if index % TURN == TURN - 1 {
            tokio::task::yield_now().await;
        }
        let answer = match request {
            Ok(request) => {
                let noting = begin_noting(desk, "/access/v1/evaluations", headers, &request);
                let answer = logged(desk, snapshot, request, now, noting).await;
                answer.map_err(|failure| at(desk, failure, index))
            }
            Err(failure) => Err(failure),
        };
        let decision = answer.unwrap_or_else(|failure| undecided(failure, snapshot.revision(), &desk.ids));
        let ends = decision.decision == (semantic == Semantic::PermitOnFirstPermit);
        decisions.push(decision);
        if ends {
            break;
        }
    }
    decisions
}

/// Decides one question, whatever it waits for.
pub(super) async fn one(
    desk: &Desk,
    snapshot: &Snapshot,
    request: v1::CheckRequest,
    now: Timestamp,
) -> Result<Decision, Failure> {
    match look(desk, snapshot, request, now, Watch::default())? {
        Look::Decided(decision, _) => Ok(decision),
        Look::Pending(pending) => {
            let reply = Box::pin(finish(snapshot, desk.api.evaluators(), *pending)).await?;
            Ok(decided(reply.response, &desk.settings, &desk.ids))
        }
    }
}

fn begin_noting(desk: &Desk, route: &'static str, headers: &HeaderMap, request: &v1::CheckRequest) -> Noting {
    let telemetry = desk.api.telemetry();
    let trace = telemetry.traces.as_ref().and_then(|traces| {
        traces.begin(Call::Http("POST", route), |name| headers.get(name).and_then(|it| it.to_str().ok()))
    });
    Noting::begin(telemetry, Door::Authzen, Some(request)).with(trace)
}

/// As [`one`], and tells of it.
async fn logged(
    desk: &Desk,
    snapshot: &Snapshot,
    request: v1::CheckRequest,
    now: Timestamp,
    noting: Noting,
) -> Result<Decision, Failure> {
    match look(desk, snapshot, request, now, noting.watch(desk.api.telemetry())) {
        Ok(Look::Pending(pending)) => Box::pin(waited(desk, snapshot, *pending, noting)).await,
        looked => noted(desk, snapshot, looked, noting).await,
    }
}

/// Waits for what a question waits for, and tells of it.
async fn waited(
    desk: &Desk,
    snapshot: &Snapshot,
    pending: Pending,
    noting: Noting,
) -> Result<Decision, Failure> {
    let work = finish(snapshot, desk.api.evaluators(), pending);
    let reply = match noting.trace.as_deref().map(Trace::work) {
        Some(context) => work.with_context(context).await,
        None => work.await,
    };
    let looked = reply.map(|reply| {
        let decision = decided(reply.response.clone(), &desk.settings, &desk.ids);
        Look::Decided(decision, Some(Box::new(reply)))
    });
    noted(desk, snapshot, looked, noting).await
}

/// Tells of a question that was looked at.
async fn noted(
    desk: &Desk,
    snapshot: &Snapshot,
    looked: Result<Look, Failure>,
    noting: Noting,
) -> Result<Decision, Failure> {
    let telemetry = desk.api.telemetry();
    let (decision, reply) = match looked {
        Ok(Look::Decided(decision, reply)) => (decision, reply),
        Ok(Look::Pending(_)) => return Err(Failure::argument("", "is waited for elsewhere")),
        Err(failure) => {
            let result = Err(failure);
            let told = Told { snapshot: Some(snapshot), ..Told::of(&result, None) };
            room(noting.end(telemetry, told)).await;
            return result.map(|_: v1::CheckResponse| Decision { decision: false, context: Map::new() });
        }
    };
    let inactive = reply.is_none().then_some("inactive_user");
    let (response, noted) = match reply.map(|reply| *reply) {
        Some(Reply { response, noted }) => (Some(response), Some(noted)),
        None => (None, None),
    };
    let told = Told {
        answer: Some(if decision.decision { Answer::Allow } else { Answer::Deny }),
        decision_id: decision.context.get("id").and_then(|id| id.as_str()).unwrap_or_default(),
        reason: inactive,
        failure: None,
        response: response.as_ref(),
        noted,
        kind: None,
        snapshot: Some(snapshot),
    };
    room(noting.end(telemetry, told)).await;
    Ok(decision)
}

fn look(
    desk: &Desk,
    snapshot: &Snapshot,
    request: v1::CheckRequest,
    now: Timestamp,
    watch: Watch,
) -> Result<Look, Failure> {
    let question = prepare(snapshot, request, now)?;
    // Inactive users are denied before policies are asked.
    if snapshot.member(&question.subject).user.is_some_and(|user| !user.is_active) {
        return Ok(Look::Decided(inactive(snapshot.revision(), &desk.ids), None));
    }
    Ok(match begin(snapshot, question, false, watch)? {
        Attempt::Answered(mut reply) => {
            // A door's answer takes the message over; only what tells of it needs it as well.
            let response = match watch.record {
                true => reply.response.clone(),
                false => {
                    let (revision, decision) = (reply.response.revision, reply.response.decision);
                    let left = v1::CheckResponse { revision, decision, ..Default::default() };
                    std::mem::replace(&mut reply.response, left)
                }
            };
            Look::Decided(decided(response, &desk.settings, &desk.ids), Some(Box::new(reply)))
        }
        Attempt::Pending(pending) => Look::Pending(pending),
    })
}
