//! What policies need that is not in memory: a wait, other processes, other servers. Each at most for the timeout of its
//! binding; what comes too late, or not at all, is that policy's error and nobody else's.
//!
//! Must not know: who asks, how the answer is used.

mod breaches;
mod passwords;

pub use breaches::BreachSource;

use crate::decision::{Answered, Waiting};
use crate::policy::{Deferred, Verdict};
use crate::store::Snapshot;
use passwords::Passwords;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;
use tokio::time::Instant;

const NO_BREACHES: &str = "there is nowhere to look breached passwords up; set --hibp-directory or --hibp-url, or \
                           switch check_have_i_been_pwned off";

/// Sees deferred policies through. The default has nothing outside to turn to; policies that need something error and
/// say so.
#[derive(Debug, Default)]
pub struct Evaluators {
    breaches: Option<BreachSource>,
    passwords: Passwords,
}

impl Evaluators {
    /// Looks breached passwords up here.
    #[must_use]
    pub fn with_breaches(mut self, source: BreachSource) -> Self {
        self.breaches = Some(source);
        self
    }

    /// Sees one deferred policy through, at most until its timeout after `start`.
    pub async fn settle(&self, _snapshot: &Snapshot, waiting: Waiting, start: Instant) -> Answered {
        let Waiting { target, row, called, deferred, timeout } = waiting;
        let verdict = tokio::time::timeout_at(start + timeout, self.run(deferred)).await;
        let verdict = verdict.unwrap_or_else(|_| {
            Verdict::error(format!(
                "timed out after {timeout:?}; raise the binding's timeout, or make the policy faster"
            ))
        });
        Answered { target, row, called, verdict }
    }

    async fn run(&self, deferred: Deferred) -> Verdict {
        match deferred {
            Deferred::Wait { min, max, verdict } => {
                tokio::time::sleep(between(min, max)).await;
                verdict
            }
            Deferred::Breaches(breaches) => match &self.breaches {
                Some(source) => source.look_up(*breaches).await,
                None => Verdict::error(NO_BREACHES),
            },
            Deferred::Reuse(reuse) => self.passwords.compare(*reuse).await,
            Deferred::Called(deferred) => Box::pin(self.run(*deferred)).await,
        }
    }
}

/// Some span between the two. The hasher of a fresh map state is random, which is random enough for a wait.
fn between(min: Duration, max: Duration) -> Duration {
    let span = max.saturating_sub(min);
    let part = RandomState::new().hash_one(0_u8) as f64 / u64::MAX as f64;
    min + span.mul_f64(part.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_between_its_bounds() {
        let (min, max) = (Duration::from_millis(2), Duration::from_millis(5));
        for _ in 0..1_000 {
            assert!((min..=max).contains(&between(min, max)));
        }
        assert_eq!(between(max, min), max);
        assert_eq!(between(Duration::MAX, Duration::MAX), Duration::MAX);
    }
}
