//! The Decision service.
//!
//! Must not know: how a question is decided.

use super::ask::{Attempt, Failure, Pending, attempt_watched, finish, now};
use super::convert;
use super::note::{Noting, Reply, Told, room, traced};
use super::status::{ON_DEMAND, error, status};
use crate::evaluators::Evaluators;
use crate::model::{Subject, TargetRef};
use crate::proto::v1;
use crate::proto::v1::decision_service_server::{DecisionService, DecisionServiceServer};
use crate::store::{OnDemand, Snapshot, Store, Wanted};
use crate::telemetry::Telemetry;
use crate::telemetry::decision_log::Blocked;
use crate::telemetry::labels::Door;
use crate::telemetry::trace::{Call, FutureExt as _, Trace};
use futures_util::Stream;
use futures_util::future::join_all;
use futures_util::stream::{FuturesUnordered, StreamExt};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tonic::metadata::MetadataMap;
use tonic::{Code, Request, Response, Status, Streaming};

/// The most questions in a batch.
pub const MAX_BATCH: usize = 1_000;
/// The most questions of one stream that wait for policies at a time; then it reads no further.
const MAX_WAITING: usize = 128;
/// The largest message that is taken, in bytes.
pub const MAX_MESSAGE: usize = 4 << 20;

/// Answers questions from a store.
#[derive(Clone, Debug)]
pub struct DecisionApi {
    store: Arc<Store>,
    evaluators: Arc<Evaluators>,
    /// The longest wait for a revision that is asked for.
    patience: Duration,
    /// Set where only what is asked about is held.
    demand: Option<Arc<dyn OnDemand>>,
    telemetry: Arc<Telemetry>,
}

/// The service's name, in traces.
const SERVICE: &str = "bindery.v1.DecisionService";

impl DecisionApi {
    /// Answers from this store, with these evaluators for policies that need something outside of it.
    pub fn new(store: Arc<Store>, evaluators: Arc<Evaluators>) -> Self {
        let (patience, telemetry) = (Duration::from_secs(5), Arc::default());
        Self { store, evaluators, patience, demand: None, telemetry }
    }

    /// Tells of its work here.
    #[must_use]
    pub fn with_telemetry(mut self, telemetry: Arc<Telemetry>) -> Self {
        self.telemetry = telemetry;
        self
    }

    /// Where its work is told.
    pub(super) fn telemetry(&self) -> &Telemetry {
        &self.telemetry
    }

    /// Fetches what questions are about before they are answered.
    #[must_use]
    pub fn with_demand(mut self, demand: Arc<dyn OnDemand>) -> Self {
        self.demand = Some(demand);
        self
    }

    /// Waits for a revision that is asked for at most so long. Default: 5 seconds.
    #[must_use]
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// What is in force, once it is this revision or a newer one, or time is up: then the question says so.
    pub(super) async fn snapshot(&self, revision: u64, patience: Duration) -> Arc<Snapshot> {
        let snapshot = self.store.load();
        if snapshot.revision() >= revision {
            return snapshot;
        }
        Box::pin(self.store.reach(revision, patience)).await
    }

    /// What is in force.
    pub(super) fn load(&self) -> Arc<Snapshot> {
        self.store.load()
    }

    /// How long a call may wait for a revision.
    pub(super) fn patience(&self, metadata: &MetadataMap) -> Duration {
        // The answer that it is not there must come before the caller's time is up.
        super::deadline::of(metadata.as_ref())
            .map_or(self.patience, |left| self.patience.min(left.mul_f64(0.8)))
    }

    /// Sees to it that what a question is about is here, where only a part is held.
    pub(super) async fn fetch(&self, request: &v1::CheckRequest) -> Result<(), Failure> {
        if !self.is_partial() {
            return Ok(());
        }
        let Some((target, subject)) = convert::about(request) else { return Ok(()) };
        self.fetch_about(&target, &subject).await
    }

    /// Whether only what is asked about is held.
    pub(super) const fn is_partial(&self) -> bool {
        self.demand.is_some()
    }

    /// What policies need that is not in memory.
    pub(super) fn evaluators(&self) -> &Evaluators {
        &self.evaluators
    }

    /// Sees to it that this target and this subject are here, where only a part is held.
    pub(super) async fn fetch_about(&self, target: &TargetRef, subject: &Subject) -> Result<(), Failure> {
        let Some(demand) = &self.demand else { return Ok(()) };
        let why = match demand.wanted(target, subject) {
            Wanted::Here => return Ok(()),
            Wanted::Coming(subscription) if demand.arrival(subscription).await => return Ok(()),
            Wanted::Coming(_) => {
                "what the question is about is not held here, and the hub did not send it in time"
            }
            Wanted::NoRoom => "what the question is about is not held here, and there is no room for more",
        };
        let message = format!("{why}; try again");
        Err(Failure { code: Code::Unavailable, field: ON_DEMAND.to_owned(), message })
    }

    /// Whether a question has to wait before it can be looked at.
    fn has_to_wait(&self, snapshot: &Snapshot, request: &v1::CheckRequest) -> bool {
        let absent = |demand: &Arc<dyn OnDemand>| {
            let about = convert::about(request);
            about.is_some_and(|(target, subject)| demand.wanted(&target, &subject) != Wanted::Here)
        };
        (snapshot.revision() < request.min_revision && !snapshot.is_unset())
            || self.demand.as_ref().is_some_and(absent)
    }

    /// Answers a question, whatever it has to wait for.
    async fn answer(
        &self,
        request: v1::CheckRequest,
        patience: Duration,
        noting: Noting,
    ) -> Result<v1::CheckResponse, Failure> {
        let work = async {
            if let Err(failure) = self.fetch(&request).await {
                return (self.store.load(), Err(failure));
            }
            let snapshot = self.snapshot(request.min_revision, patience).await;
            let reply = match attempt_watched(&snapshot, request, now(), noting.watch(&self.telemetry)) {
                Ok(Attempt::Answered(reply)) => Ok(reply),
                Ok(Attempt::Pending(pending)) => {
                    Box::pin(finish(&snapshot, &self.evaluators, *pending)).await
                }
                Err(failure) => Err(failure),
            };
            (snapshot, reply)
        };
        let (snapshot, reply) = match noting.trace.as_deref().map(Trace::work) {
            Some(context) => work.with_context(context).await,
            None => work.await,
        };
        let (result, blocked) = self.noted(noting, &snapshot, reply);
        room(blocked).await;
        result
    }

    /// Waits for what a question waits for.
    async fn finished(
        &self,
        snapshot: &Snapshot,
        pending: Pending,
        noting: Noting,
    ) -> Result<v1::CheckResponse, Failure> {
        let work = finish(snapshot, &self.evaluators, pending);
        let reply = match noting.trace.as_deref().map(Trace::work) {
            Some(context) => work.with_context(context).await,
            None => work.await,
        };
        let (result, blocked) = self.noted(noting, snapshot, reply);
        room(blocked).await;
        result
    }

    /// Tells of a question that has come to its end.
    fn noted(
        &self,
        noting: Noting,
        snapshot: &Snapshot,
        reply: Result<Reply, Failure>,
    ) -> (Result<v1::CheckResponse, Failure>, Option<Blocked>) {
        let (result, noted) = match reply {
            Ok(Reply { response, noted }) => (Ok(response), Some(noted)),
            Err(failure) => (Err(failure), None),
        };
        let told = Told { snapshot: Some(snapshot), ..Told::of(&result, noted) };
        let blocked = noting.end(&self.telemetry, told);
        (result, blocked)
    }

    /// As a service for a server, with its limits.
    pub fn into_service(self) -> DecisionServiceServer<Self> {
        DecisionServiceServer::new(self).max_decoding_message_size(MAX_MESSAGE)
    }
}

#[tonic::async_trait]
impl DecisionService for DecisionApi {
    async fn check(&self, request: Request<v1::CheckRequest>) -> Result<Response<v1::CheckResponse>, Status> {
        let noting = Noting::begin(&self.telemetry, Door::Check, Some(request.get_ref()));
        let noting = noting.with(traced(&self.telemetry, Call::Grpc(SERVICE, "Check"), request.metadata()));
        let snapshot = self.store.peek();
        if self.has_to_wait(&snapshot, request.get_ref()) {
            drop(snapshot);
            let patience = self.patience(request.metadata());
            return Box::pin(self.answer(request.into_inner(), patience, noting))
                .await
                .map(Response::new)
                .map_err(status);
        }
        let watch = noting.watch(&self.telemetry);
        let reply = match attempt_watched(&snapshot, request.into_inner(), now(), watch) {
            Ok(Attempt::Answered(reply)) => Ok(reply),
            // Boxed, so that the many calls that wait for nothing do not carry the room for waiting.
            Ok(Attempt::Pending(pending)) => {
                let snapshot = Arc::clone(&snapshot);
                return Box::pin(self.finished(&snapshot, *pending, noting))
                    .await
                    .map(Response::new)
                    .map_err(status);
            }
            Err(failure) => Err(failure),
        };
        let (result, blocked) = self.noted(noting, &snapshot, reply);
        drop(snapshot);
        room(blocked).await;
        result.map(Response::new).map_err(status)
    }

    async fn check_batch(
        &self,
        request: Request<v1::CheckBatchRequest>,
    ) -> Result<Response<v1::CheckBatchResponse>, Status> {
        let (metadata, _, request) = request.into_parts();
        let checks = request.checks;
        if checks.len() > MAX_BATCH {
            let text = format!(
                "{} questions; at most {MAX_BATCH} are allowed, so send several batches",
                checks.len()
            );
            return Err(status(Failure::argument("checks", &text)));
        }
        let least = checks.iter().map(|check| check.min_revision).max().unwrap_or(0);
        // Side by side; what could not be fetched is told in its place.
        let mut fetched = Vec::new();
        if self.demand.is_some() {
            fetched = join_all(checks.iter().map(|check| self.fetch(check))).await;
        }
        let mut fetched = fetched.into_iter();
        let (snapshot, now) = (self.snapshot(least, self.patience(&metadata)).await, now());
        let revision = snapshot.revision();
        if snapshot.is_unset() {
            let message = "there is no configuration yet; try again once one is loaded".to_owned();
            return Err(status(Failure { code: Code::Unavailable, field: String::new(), message }));
        }
        let mut results = Vec::with_capacity(checks.len());
        let mut full = Vec::new();
        let waiting = FuturesUnordered::new();
        for (index, check) in checks.into_iter().enumerate() {
            let noting = Noting::begin(&self.telemetry, Door::Batch, Some(&check));
            let trace = traced(&self.telemetry, Call::Grpc(SERVICE, "CheckBatch"), &metadata);
            let noting = noting.with(trace);
            let watch = noting.watch(&self.telemetry);
            let attempt = fetched.next().unwrap_or(Ok(()));
            let attempt = attempt.and_then(|()| attempt_watched(&snapshot, check, now, watch));
            let reply = match attempt {
                Ok(Attempt::Answered(reply)) => Ok(reply),
                Ok(Attempt::Pending(pending)) => {
                    let snapshot = &snapshot;
                    waiting.push(async move { (index, self.finished(snapshot, *pending, noting).await) });
                    results.push(v1::CheckBatchResult { result: None });
                    continue;
                }
                Err(failure) => Err(failure),
            };
            let (result, blocked) = self.noted(noting, &snapshot, reply);
            full.extend(blocked);
            results.push(v1::CheckBatchResult { result: Some(batch_result(result)) });
        }
        // The questions that wait do so side by side.
        let mut waiting = waiting;
        while let Some((index, result)) = waiting.next().await {
            if let Some(slot) = results.get_mut(index) {
                slot.result = Some(batch_result(result));
            }
        }
        drop(waiting);
        // Those that wait for room in the decision log do so side by side, too.
        join_all(full.into_iter().map(Blocked::wait)).await;
        Ok(Response::new(v1::CheckBatchResponse { results, revision }))
    }

    type CheckStreamStream = Answers;

    async fn check_stream(
        &self,
        request: Request<Streaming<v1::CheckStreamRequest>>,
    ) -> Result<Response<Answers>, Status> {
        let (metadata, _, questions) = request.into_parts();
        let (api, waiting) = (self.clone(), FuturesUnordered::new());
        Ok(Response::new(Answers { api, metadata, questions, ended: false, waiting }))
    }
}

fn batch_result(result: Result<v1::CheckResponse, Failure>) -> v1::check_batch_result::Result {
    match result {
        Ok(response) => v1::check_batch_result::Result::Response(response),
        Err(failure) => v1::check_batch_result::Result::Error(error(failure)),
    }
}

fn stream_result(id: u64, result: Result<v1::CheckResponse, Failure>) -> v1::CheckStreamResponse {
    let result = match result {
        Ok(response) => v1::check_stream_response::Result::Response(response),
        Err(failure) => v1::check_stream_response::Result::Error(error(failure)),
    };
    v1::CheckStreamResponse { id, result: Some(result) }
}

type Late = Pin<Box<dyn Future<Output = v1::CheckStreamResponse> + Send>>;

/// The answers of one stream. Questions that wait for nothing are answered where they are read, without a task or a
/// channel; the others wait side by side, up to a bound, and are answered when they are ready.
pub struct Answers {
    api: DecisionApi,
    metadata: MetadataMap,
    questions: Streaming<v1::CheckStreamRequest>,
    ended: bool,
    waiting: FuturesUnordered<Late>,
}

impl std::fmt::Debug for Answers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answers").field("waiting", &self.waiting.len()).finish_non_exhaustive()
    }
}

impl Answers {
    /// Answers at once, or puts the question to those that wait.
    fn take(&mut self, message: v1::CheckStreamRequest) -> Option<v1::CheckStreamResponse> {
        let id = message.id;
        let Some(check) = message.check else {
            return Some(stream_result(
                id,
                Err(Failure::argument("check", "missing; send a question with the id")),
            ));
        };
        let telemetry = &self.api.telemetry;
        let noting = Noting::begin(telemetry, Door::Stream, Some(&check));
        let trace = traced(telemetry, Call::Grpc(SERVICE, "CheckStream"), &self.metadata);
        let noting = noting.with(trace);
        let snapshot = self.api.store.peek();
        if self.api.has_to_wait(&snapshot, &check) {
            let api = self.api.clone();
            self.waiting.push(Box::pin(async move {
                let patience = api.patience;
                stream_result(id, api.answer(check, patience, noting).await)
            }));
            return None;
        }
        let reply = match attempt_watched(&snapshot, check, now(), noting.watch(telemetry)) {
            Ok(Attempt::Answered(reply)) => Ok(reply),
            Ok(Attempt::Pending(pending)) => {
                let (api, snapshot) = (self.api.clone(), Arc::clone(&snapshot));
                let late = async move { stream_result(id, api.finished(&snapshot, *pending, noting).await) };
                self.waiting.push(Box::pin(late));
                return None;
            }
            Err(failure) => Err(failure),
        };
        let (result, blocked) = self.api.noted(noting, &snapshot, reply);
        let Some(blocked) = blocked else { return Some(stream_result(id, result)) };
        // Its answer is late, as that of a question that waits for a policy.
        self.waiting.push(Box::pin(async move {
            blocked.wait().await;
            stream_result(id, result)
        }));
        None
    }
}

impl Stream for Answers {
    type Item = Result<v1::CheckStreamResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if let Poll::Ready(Some(answer)) = this.waiting.poll_next_unpin(context) {
            return Poll::Ready(Some(Ok(answer)));
        }
        while !this.ended && this.waiting.len() < MAX_WAITING {
            match this.questions.poll_next_unpin(context) {
                Poll::Pending => break,
                Poll::Ready(None) => this.ended = true,
                Poll::Ready(Some(Err(status))) => {
                    this.ended = true;
                    return Poll::Ready(Some(Err(status)));
                }
                Poll::Ready(Some(Ok(message))) => {
                    if let Some(answer) = this.take(message) {
                        return Poll::Ready(Some(Ok(answer)));
                    }
                }
            }
        }
        // What was put to those that wait in this call has to be polled once, to wake this stream later.
        match this.waiting.poll_next_unpin(context) {
            Poll::Ready(Some(answer)) => Poll::Ready(Some(Ok(answer))),
            Poll::Ready(None) if this.ended => Poll::Ready(None),
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }
}
