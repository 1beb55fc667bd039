//! The Decision service.
//!
//! Must not know: how a question is decided.

use super::ask::{Attempt, Failure, attempt, finish, now};
use super::convert;
use super::status::{ON_DEMAND, error, status};
use crate::evaluators::Evaluators;
use crate::model::{Subject, TargetRef};
use crate::proto::v1;
use crate::proto::v1::decision_service_server::{DecisionService, DecisionServiceServer};
use crate::store::{OnDemand, Snapshot, Store, Wanted};
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
}

impl DecisionApi {
    /// Answers from this store, with these evaluators for policies that need something outside of it.
    pub fn new(store: Arc<Store>, evaluators: Arc<Evaluators>) -> Self {
        Self { store, evaluators, patience: Duration::from_secs(5), demand: None }
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
    fn has_to_wait(&self, request: &v1::CheckRequest) -> bool {
        let snapshot = self.store.load();
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
    ) -> Result<v1::CheckResponse, Failure> {
        self.fetch(&request).await?;
        let snapshot = self.snapshot(request.min_revision, patience).await;
        match attempt(&snapshot, request, now())? {
            Attempt::Answered(response) => Ok(*response),
            Attempt::Pending(pending) => Box::pin(finish(&snapshot, &self.evaluators, *pending)).await,
        }
    }

    /// As a service for a server, with its limits.
    pub fn into_service(self) -> DecisionServiceServer<Self> {
        DecisionServiceServer::new(self).max_decoding_message_size(MAX_MESSAGE)
    }
}

#[tonic::async_trait]
impl DecisionService for DecisionApi {
    async fn check(&self, request: Request<v1::CheckRequest>) -> Result<Response<v1::CheckResponse>, Status> {
        if self.has_to_wait(request.get_ref()) {
            let patience = self.patience(request.metadata());
            return Box::pin(self.answer(request.into_inner(), patience))
                .await
                .map(Response::new)
                .map_err(status);
        }
        let snapshot = self.store.load();
        match attempt(&snapshot, request.into_inner(), now()).map_err(status)? {
            Attempt::Answered(response) => Ok(Response::new(*response)),
            // Boxed, so that the many calls that wait for nothing do not carry the room for waiting.
            Attempt::Pending(pending) => Box::pin(finish(&snapshot, &self.evaluators, *pending))
                .await
                .map(Response::new)
                .map_err(status),
        }
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
        let waiting = FuturesUnordered::new();
        for (index, check) in checks.into_iter().enumerate() {
            let result = match fetched.next().unwrap_or(Ok(())).and_then(|()| attempt(&snapshot, check, now))
            {
                Ok(Attempt::Answered(response)) => Some(Ok(*response)),
                Ok(Attempt::Pending(pending)) => {
                    let (snapshot, evaluators) = (&snapshot, &self.evaluators);
                    waiting.push(async move { (index, finish(snapshot, evaluators, *pending).await) });
                    None
                }
                Err(failure) => Some(Err(failure)),
            };
            results.push(v1::CheckBatchResult { result: result.map(batch_result) });
        }
        // The questions that wait do so side by side.
        let mut waiting = waiting;
        while let Some((index, result)) = waiting.next().await {
            if let Some(slot) = results.get_mut(index) {
                slot.result = Some(batch_result(result));
            }
        }
        drop(waiting);
        Ok(Response::new(v1::CheckBatchResponse { results, revision }))
    }

    type CheckStreamStream = Answers;

    async fn check_stream(
        &self,
        request: Request<Streaming<v1::CheckStreamRequest>>,
    ) -> Result<Response<Answers>, Status> {
        let questions = request.into_inner();
        let (api, waiting) = (self.clone(), FuturesUnordered::new());
        Ok(Response::new(Answers { api, questions, ended: false, waiting }))
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
        if self.api.has_to_wait(&check) {
            let api = self.api.clone();
            self.waiting.push(Box::pin(async move {
                let patience = api.patience;
                stream_result(id, api.answer(check, patience).await)
            }));
            return None;
        }
        let snapshot = self.api.store.load();
        match attempt(&snapshot, check, now()) {
            Ok(Attempt::Answered(response)) => Some(stream_result(id, Ok(*response))),
            Ok(Attempt::Pending(pending)) => {
                let evaluators = Arc::clone(&self.api.evaluators);
                let late = async move { stream_result(id, finish(&snapshot, &evaluators, *pending).await) };
                self.waiting.push(Box::pin(late));
                None
            }
            Err(failure) => Some(stream_result(id, Err(failure))),
        }
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
