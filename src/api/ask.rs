//! One question from message to answer: what every front door and the command line call.
//!
//! Must not know: how a question came in.

use super::convert;
use crate::decision::{Answered, Outcome, Waiting, decide};
use crate::model::{Explain, Question, Timestamp};
use crate::policy::{Deferred, Verdict};
use crate::proto::v1;
use crate::store::{Snapshot, Store};
use futures_util::stream::{FuturesUnordered, StreamExt};
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant, SystemTime};
use tonic::Code;

/// Why a question could not be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The gRPC status code.
    pub code: Code,
    /// The field at fault; empty: none.
    pub field: String,
    /// What is wrong and what to do.
    pub message: String,
}

impl Failure {
    /// The question is not complete or not allowed.
    pub(super) fn argument(field: &str, message: &str) -> Self {
        Self { code: Code::InvalidArgument, field: field.to_owned(), message: format!("{field}: {message}") }
    }
}

/// A question that waits for policies.
#[derive(Debug)]
pub struct Pending {
    question: Question,
    answered: Vec<Answered>,
    waiting: Vec<Waiting>,
}

/// What came of a first try.
#[derive(Debug)]
pub enum Attempt {
    /// The answer.
    Answered(Box<v1::CheckResponse>),
    /// The policies to wait for, with [`finish`].
    Pending(Box<Pending>),
}

/// The moment that it is.
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let nanoseconds = i32::try_from(since.subsec_nanos()).unwrap_or_default();
    Timestamp::new(i64::try_from(since.as_secs()).unwrap_or(i64::MAX), nanoseconds)
}

/// Answers a question on the revision in force, decided for `now` unless the question names a moment. Waits for
/// policies that take time, each at most for its binding's timeout.
///
/// # Errors
/// When the question is not complete or its target is not there; a denial is an answer.
pub async fn check(
    store: &Store,
    request: v1::CheckRequest,
    now: Timestamp,
) -> Result<v1::CheckResponse, Failure> {
    check_on(&store.load(), request, now).await
}

/// As [`check`], on this revision.
///
/// # Errors
/// As [`check`].
pub async fn check_on(
    snapshot: &Snapshot,
    request: v1::CheckRequest,
    now: Timestamp,
) -> Result<v1::CheckResponse, Failure> {
    match attempt(snapshot, request, now)? {
        Attempt::Answered(response) => Ok(*response),
        Attempt::Pending(pending) => Box::pin(finish(snapshot, *pending)).await,
    }
}

/// Answers a question at once, if no policy has to be waited for. Most have none.
///
/// # Errors
/// As [`check`].
pub fn attempt(snapshot: &Snapshot, request: v1::CheckRequest, now: Timestamp) -> Result<Attempt, Failure> {
    let revision = snapshot.revision();
    if revision == 0 {
        let message = "there is no configuration yet; try again once one is loaded".to_owned();
        return Err(Failure { code: Code::Unavailable, field: String::new(), message });
    }
    let least = request.min_revision;
    if revision < least {
        let message =
            format!("revision {revision} is in force, and at least {least} is asked for; try again later");
        return Err(Failure { code: Code::FailedPrecondition, field: "min_revision".to_owned(), message });
    }
    let from_event = request.subject.is_none();
    let mut question = convert::question(request, now)?;
    if from_event && snapshot.member(&question.subject).user.is_none() {
        // Nobody vouches for the user of an event whom the directory does not know.
        question.subject.anonymous = true;
    }
    step(snapshot, question, Vec::new())
}

fn step(snapshot: &Snapshot, question: Question, answered: Vec<Answered>) -> Result<Attempt, Failure> {
    // Only a full explanation measures its bindings; reading the clock is not free.
    let start = (question.explain == Explain::Full).then(Instant::now);
    let ticks = || start.map_or(0, |start| u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX));
    let member = snapshot.member(&question.subject);
    match decide(snapshot, &question, &member, &answered, Some(&ticks)) {
        Ok(Outcome::Decided(answer)) => {
            let summary =
                if question.explain == Explain::None { String::new() } else { answer.summary(&member) };
            Ok(Attempt::Answered(Box::new(convert::response(answer, summary, snapshot.revision()))))
        }
        Ok(Outcome::Waiting(waiting)) => {
            drop(member);
            Ok(Attempt::Pending(Box::new(Pending { question, answered, waiting })))
        }
        Err(unresolved) => {
            use crate::decision::Unresolved;
            let code = match unresolved {
                Unresolved::NotFound(_) => Code::NotFound,
                Unresolved::OtherApplication { .. } => Code::InvalidArgument,
            };
            Err(Failure { code, field: "target".to_owned(), message: format!("target: {unresolved}") })
        }
    }
}

/// Waits for what a question waits for, until it has its answer. A question leans on at most one other target, so
/// this takes few rounds.
///
/// # Errors
/// As [`check`].
pub async fn finish(snapshot: &Snapshot, pending: Pending) -> Result<v1::CheckResponse, Failure> {
    let Pending { mut question, mut answered, mut waiting } = pending;
    loop {
        let mut running: FuturesUnordered<_> = waiting.into_iter().map(settle).collect();
        while let Some(one) = running.next().await {
            answered.push(one);
        }
        match step(snapshot, question, answered)? {
            Attempt::Answered(response) => return Ok(*response),
            Attempt::Pending(next) => Pending { question, answered, waiting } = *next,
        }
    }
}

/// Sees one deferred policy through, at most for its timeout.
async fn settle(waiting: Waiting) -> Answered {
    let Waiting { target, row, deferred, timeout } = waiting;
    let work = async {
        match deferred {
            Deferred::Wait { min, max, verdict } => {
                tokio::time::sleep(between(min, max)).await;
                verdict
            }
        }
    };
    let verdict = tokio::time::timeout(timeout, work).await.unwrap_or_else(|_| {
        Verdict::error(format!(
            "timed out after {timeout:?}; raise the binding's timeout, or make the policy faster"
        ))
    });
    Answered { target, row, verdict }
}

/// Some span between the two. The hasher of a fresh map state is random, which is random enough for a wait.
fn between(min: Duration, max: Duration) -> Duration {
    let span = max.saturating_sub(min);
    let part = RandomState::new().hash_one(0_u8) as f64 / u64::MAX as f64;
    min + span.mul_f64(part.clamp(0.0, 1.0))
}
