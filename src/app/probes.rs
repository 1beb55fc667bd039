//! What metrics read of a running server: nothing is kept for them alone.
//!
//! Must not know: how metrics are written.

use super::admin::Health;
use crate::evaluators::Evaluators;
use crate::store::Store;
use crate::telemetry::Metrics;
use crate::telemetry::labels::Entry;
use crate::telemetry::metrics::Configuration;
use std::sync::Arc;
use tokio::sync::watch;

/// Lets metrics read the configuration, the hot set, workers and circuits. `stopping` turns true at shutdown.
pub(super) fn add(
    metrics: &Metrics,
    store: Arc<Store>,
    evaluators: Arc<Evaluators>,
    stopping: watch::Receiver<bool>,
) {
    metrics.probe(move |readings| {
        let (snapshot, hot) = (store.load(), store.hot_stats());
        let (age, counts) = (snapshot.freshness().age(), snapshot.counts());
        let entries = [
            (Entry::Targets, counts.targets),
            (Entry::Bindings, counts.bindings),
            (Entry::Policies, counts.policies),
            (Entry::Users, counts.users),
            (Entry::Groups, counts.groups),
            (Entry::Routes, counts.routes),
        ];
        readings.configuration = Some(Configuration {
            revision: snapshot.revision(),
            age: age.age,
            stale: age.stale,
            ready: Health::of(&store, *stopping.borrow()) != Health::NotReady,
            entries: entries.map(|(entry, count)| (entry, count as u64)).into(),
        });
        readings.hot_sets = Some((hot.len as u64, hot.hits, hot.compiled));
        readings.python_workers = evaluators.python_workers();
        readings.circuits_open = Some(evaluators.circuits_open());
    });
}
