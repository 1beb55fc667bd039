//! Remote policies: asks another process over gRPC, within bounds of time, number and size. Whatever goes wrong there is
//! the policy's error.
//!
//! Must not know: which binding a policy belongs to, what its answer leads to.

mod circuit;
mod convert;
mod evaluator;
mod fault;

pub use fault::code_name;

use crate::policy::Verdict;
use crate::policy::remote::Call;
use evaluator::Evaluator;
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, UnitWeighter};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Bounds of remote policies. Each is per address, but for the number of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemoteOptions {
    /// The most addresses whose connection is kept; beyond it, one that was not used lately is let go, with what was
    /// known of its failures. Default: 64.
    pub max_addresses: usize,
    /// The most calls under way; others wait for a place, within their time. Default: 128.
    pub max_calls: usize,
    /// How long connecting may take. Default: 5 seconds.
    pub connect_timeout: Duration,
    /// A connection with a call under way on which nothing came for this long is tried with a ping. Default: 30 seconds;
    /// many servers take more frequent ones for an attack.
    pub keepalive: Duration,
    /// A ping that is not answered for this long ends the connection. Default: 10 seconds.
    pub keepalive_timeout: Duration,
    /// The largest answer, in bytes. Default: 1 MiB.
    pub max_answer: usize,
    /// After so many failures in a row the circuit opens: calls error at once. Default: 5.
    pub failures: usize,
    /// How long it stays open until one call is let through as a probe. Default: 10 seconds.
    pub open_for: Duration,
}

impl Default for RemoteOptions {
    fn default() -> Self {
        Self {
            max_addresses: 64,
            max_calls: 128,
            connect_timeout: Duration::from_secs(5),
            keepalive: Duration::from_secs(30),
            keepalive_timeout: Duration::from_secs(10),
            max_answer: 1 << 20,
            failures: 5,
            open_for: Duration::from_secs(10),
        }
    }
}

/// The evaluators of all addresses.
pub(super) struct Remote {
    options: RemoteOptions,
    /// A cache, since addresses come and go with the configuration and nobody says when one is not needed any more.
    evaluators: Cache<Arc<str>, Arc<Evaluator>>,
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Default for Remote {
    fn default() -> Self {
        Self::new(RemoteOptions::default())
    }
}

impl Remote {
    pub(super) fn new(options: RemoteOptions) -> Self {
        let most = options.max_addresses.max(1);
        // One shard: the bound is for all addresses together, and they are few.
        let kept = OptionsBuilder::new()
            .shards(1)
            .estimated_items_capacity(most)
            .weight_capacity(most as u64)
            .build();
        let evaluators = match kept {
            Ok(kept) => Cache::with_options(
                kept,
                UnitWeighter,
                DefaultHashBuilder::default(),
                DefaultLifecycle::default(),
            ),
            Err(_) => Cache::new(most),
        };
        Self { options, evaluators }
    }

    /// How many circuits are open.
    pub(super) fn circuits_open(&self) -> u64 {
        self.evaluators.iter().filter(|(_, evaluator)| evaluator.is_open()).count() as u64
    }

    /// Asks, and ends at the deadline by itself. Dropping the future cancels the call.
    pub(super) async fn ask(&self, call: Call, deadline: Instant) -> Verdict {
        let found = self
            .evaluators
            .get_or_insert_with(&call.address, || Evaluator::new(&call.address, &self.options).map(Arc::new));
        match found {
            Ok(evaluator) => evaluator.ask(call, deadline).await,
            Err(text) => Verdict::error(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn addresses_are_kept_up_to_a_bound() {
        let remote = Remote::new(RemoteOptions { max_addresses: 4, ..RemoteOptions::default() });
        let keep = |number: usize| {
            let address: Arc<str> = format!("unix:/run/{number}.sock").into();
            let made = || Evaluator::new(&address, &remote.options).map(Arc::new);
            remote.evaluators.get_or_insert_with(&address, made).unwrap()
        };
        let first: Vec<_> = (0..4).map(keep).collect();
        assert!(first.iter().enumerate().all(|(number, one)| Arc::ptr_eq(one, &keep(number))));
        for number in 4..40 {
            keep(number);
        }
        assert_eq!(remote.evaluators.len(), 4);
    }
}
