//! One question from message to answer: what every front door and the command line call.
//!
//! Must not know: how a question came in.

use crate::model::Timestamp;
use crate::proto::v1;
use crate::store::{Snapshot, Store};

/// Why a question could not be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The gRPC status code.
    pub code: tonic::Code,
    /// The field at fault; empty: none.
    pub field: String,
    /// What is wrong and what to do.
    pub message: String,
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
    _snapshot: &Snapshot,
    _request: v1::CheckRequest,
    _now: Timestamp,
) -> Result<v1::CheckResponse, Failure> {
    Err(Failure { code: tonic::Code::Unavailable, field: String::new(), message: String::new() })
}
