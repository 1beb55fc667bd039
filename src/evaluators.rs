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
    use crate::decision::TargetKey;
    use crate::policy::{Breaches, Reuse, Secret};
    use crate::store::{Settings, Store};

    async fn settle(evaluators: &Evaluators, deferred: Deferred, timeout: Duration) -> Verdict {
        let waiting = Waiting { target: TargetKey(0), row: 0, called: false, deferred, timeout };
        let store = Store::new(Settings::default());
        evaluators.settle(&store.load(), waiting, Instant::now()).await.verdict
    }

    fn breaches() -> Deferred {
        let suffix = Secret::new("D66A63D4BF1747940578EC3D0103530E21D");
        let otherwise = Verdict::of(true);
        Deferred::Breaches(Box::new(Breaches { prefix: "F3BBB".into(), suffix, allowed: 0, otherwise }))
    }

    #[tokio::test]
    async fn without_a_source_of_breaches_the_error_says_what_to_set() {
        let verdict = settle(&Evaluators::default(), breaches(), Duration::from_secs(30)).await;
        let text = verdict.result.unwrap_err();
        assert!(text.contains("--hibp-directory") && text.contains("--hibp-url"), "{text}");
    }

    #[tokio::test]
    async fn a_mirror_that_says_nothing_is_an_error_in_time() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let evaluators = Evaluators::default().with_breaches(BreachSource::mirror(&url).unwrap());
        let verdict = settle(&evaluators, breaches(), Duration::from_millis(20)).await;
        assert!(verdict.result.unwrap_err().contains("timed out after 20ms"));
    }

    #[tokio::test]
    async fn former_passwords_that_take_too_long_are_an_error_in_time_while_others_go_on() {
        let hash = format!("pbkdf2_sha256$20000$salt${}=", "A".repeat(43));
        let reuse = |count| {
            let hashes = vec![hash.as_str().into(); count];
            Deferred::Reuse(Box::new(Reuse { password: Secret::new("a"), hashes }))
        };
        let evaluators = Evaluators::default();
        let slow = settle(&evaluators, reuse(1_000), Duration::from_millis(20));
        let other = settle(&evaluators, reuse(1), Duration::from_secs(60));
        let (slow, other) = tokio::join!(slow, other);
        assert!(slow.result.unwrap_err().contains("timed out"));
        assert_eq!(other, Verdict::of(true));
    }

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
