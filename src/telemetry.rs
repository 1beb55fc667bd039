//! How the server is seen from outside: logs and metrics.
//!
//! Must not know: what is decided, where questions come in. It stands far to the left, so that everything that works may
//! tell of its work.

pub mod decision_log;
pub mod labels;
mod logs;
pub mod metrics;
pub mod otlp;
pub mod stripes;

pub use logs::{Level, start};
pub use metrics::Metrics;
