//! The circuit of one address: after some failures in a row, calls error at once instead of each waiting for its
//! deadline, and now and then one is let through to see whether that is over.
//!
//! Must not know: what a call does.

use super::RemoteOptions;
use super::fault::Fault;
use crate::policy::Verdict;
use chrono::{DateTime, SecondsFormat, Utc};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};
use tower::{ServiceExt as _, service_fn};
use tower_resilience_circuitbreaker::classifier::FnClassifier;
use tower_resilience_circuitbreaker::{
    CircuitBreakerError, CircuitBreakerHandle, CircuitBreakerLayer, CircuitState,
};

type Asked = Result<Verdict, Fault>;
type Counts = FnClassifier<fn(&Asked) -> bool>;

pub(super) struct Circuit {
    address: Box<str>,
    layer: CircuitBreakerLayer<Counts>,
    handle: CircuitBreakerHandle<Counts>,
    open_for: Duration,
    failures: usize,
    /// Written when something fails and when the circuit changes, read when it is open; never held while waiting.
    trouble: Arc<Mutex<Trouble>>,
}

/// What people are told of an open circuit.
#[derive(Default)]
struct Trouble {
    /// When the circuit opened, not counting probes that failed since.
    since: Option<SystemTime>,
    /// The last failure.
    last: Box<str>,
}

impl Circuit {
    pub(super) fn new(address: &str, options: &RemoteOptions) -> Result<Self, String> {
        let trouble = Arc::<Mutex<Trouble>>::default();
        let (seen, name) = (Arc::clone(&trouble), address.to_owned());
        let failures = options.failures.max(1);
        let counts: fn(&Asked) -> bool = |asked| asked.as_ref().is_err_and(|fault| fault.counts);
        let (layer, handle) = CircuitBreakerLayer::builder()
            .consecutive_failures(failures)
            .wait_duration_in_open(options.open_for)
            .permitted_calls_in_half_open(1)
            .on_state_transition(move |from, to| changed(&name, &seen, from, to))
            .failure_classifier(counts)
            .build_with_handle()
            .map_err(|error| format!("the circuit of `{address}` cannot be made: {error}"))?;
        Ok(Self { address: address.into(), layer, handle, open_for: options.open_for, failures, trouble })
    }

    /// Whether it is open.
    pub(super) fn is_open(&self) -> bool {
        self.handle.is_open()
    }

    /// Why a call would be refused; nothing when it would not be.
    pub(super) async fn refusal(&self) -> Option<String> {
        if !self.handle.is_open() {
            return None;
        }
        let metrics = self.handle.metrics().await;
        let left = self.open_for.saturating_sub(metrics.time_since_state_change);
        (metrics.state == CircuitState::Open && !left.is_zero()).then(|| self.text(left))
    }

    /// Makes a call, unless the circuit is open. A call that is dropped half-way counts as none.
    pub(super) async fn through(
        &self,
        call: impl Future<Output = Asked> + Send + 'static,
    ) -> Result<Verdict, String> {
        let service = self.layer.layer_fn(service_fn(|call| call));
        let trouble = Arc::clone(&self.trouble);
        let call = async move {
            let asked = call.await;
            if let Err(Fault { text, counts: true }) = &asked {
                // Before it is counted, so that whoever finds the circuit open finds its reason.
                lock(&trouble).last = text.as_str().into();
            }
            asked
        };
        match service.oneshot(call).await {
            Ok(verdict) => Ok(verdict),
            Err(CircuitBreakerError::Inner(fault)) => Err(fault.text),
            Err(CircuitBreakerError::OpenCircuit) => {
                let since = self.handle.metrics().await.time_since_state_change;
                Err(self.text(self.open_for.saturating_sub(since)))
            }
        }
    }

    fn text(&self, left: Duration) -> String {
        let trouble = lock(&self.trouble);
        let since = trouble.since.map_or_else(
            || "just now".to_owned(),
            |since| DateTime::<Utc>::from(since).to_rfc3339_opts(SecondsFormat::Secs, true),
        );
        let Self { address, failures, .. } = self;
        format!(
            "the circuit to `{address}` is open since {since}, after {failures} failures in a row; the next try is in \
             {} s at most; the last failure: {}",
            left.as_secs() + 1,
            trouble.last
        )
    }
}

fn changed(address: &str, trouble: &Mutex<Trouble>, from: CircuitState, to: CircuitState) {
    match (from, to) {
        (CircuitState::Closed, CircuitState::Open) => {
            let mut trouble = lock(trouble);
            trouble.since = Some(SystemTime::now());
            tracing::warn!(address, last = &*trouble.last, "the circuit to an evaluator opened");
        }
        (_, CircuitState::Closed) => {
            lock(trouble).since = None;
            tracing::info!(address, "the circuit to an evaluator closed: it answers again");
        }
        _ => {}
    }
}

fn lock(trouble: &Mutex<Trouble>) -> MutexGuard<'_, Trouble> {
    // Nothing can be half-written: each field is set whole.
    trouble.lock().unwrap_or_else(PoisonError::into_inner)
}
