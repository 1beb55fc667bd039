//! What a store that holds only a part can be asked for.
//!
//! Must not know: how the rest is fetched.

use crate::model::{Subject, TargetRef};
use std::fmt;
use std::pin::Pin;

/// Whether what a question is about is here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// It is here, or known not to exist.
    Here,
    /// It was asked for; this is what to wait for.
    Coming(u64),
    /// There is no room for more.
    NoRoom,
}

/// Fetches what questions are about. An unknown user must not be taken at a token's word, nor an unknown target for one
/// that does not exist, while it is merely not here yet.
pub trait OnDemand: fmt::Debug + Send + Sync {
    /// Whether this is here; if not, it is asked for.
    fn wanted(&self, target: &TargetRef, subject: &Subject) -> Wanted;

    /// Resolves when what was asked for is here, or it takes too long: then it is false.
    fn arrival(&self, subscription: u64) -> Pin<Box<dyn Future<Output = bool> + Send + '_>>;
}
