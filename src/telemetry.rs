//! How the server is seen from outside: logs, metrics, traces and the decision log.
//!
//! Must not know: what is decided, where questions come in. It stands far to the left, so that everything that works may
//! tell of its work.

pub mod decision_log;
pub mod labels;
mod logs;
pub mod metrics;
pub mod otlp;
pub mod stripes;
pub mod trace;

pub use logs::{Level, start};
pub use metrics::Metrics;

use decision_log::DecisionLog;
use std::sync::Arc;
use std::time::Duration;
use trace::Traces;

/// What a server tells of its work. The default counts, and neither logs decisions nor traces them.
#[derive(Debug, Default)]
pub struct Telemetry {
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// The decision log, where there is one.
    pub log: Option<Arc<DecisionLog>>,
    /// Traces, where there is a collector.
    pub traces: Option<Traces>,
}

impl Telemetry {
    /// Writes and sends what is waiting, for so long at most with each. Blocks.
    pub fn close(&self, patience: Duration) {
        if let Some(log) = &self.log {
            log.close(patience);
        }
        if let Some(traces) = &self.traces {
            traces.close(patience);
        }
    }
}
