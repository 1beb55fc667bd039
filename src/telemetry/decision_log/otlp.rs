//! The decision log to a collector, as log records.
//!
//! Must not know: what lines say.

use super::writer::Out;
use crate::telemetry::labels::{SendResult, Signal};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::otlp::{Otlp, TIMEOUT, logs};
use std::io;
use std::sync::Arc;
use tokio::runtime::Handle;

/// A collector.
#[derive(Debug)]
pub struct Collector {
    otlp: Otlp,
    runtime: Handle,
    metrics: Arc<Metrics>,
}

impl Collector {
    /// Sends to this one, with the help of that runtime.
    pub const fn new(otlp: Otlp, runtime: Handle, metrics: Arc<Metrics>) -> Self {
        Self { otlp, runtime, metrics }
    }
}

impl Out for Collector {
    fn write(&mut self, lines: &[u8], done: &mut usize) -> io::Result<()> {
        let text = String::from_utf8_lossy(lines);
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let sending = async { tokio::time::timeout(TIMEOUT, logs::send(&self.otlp, lines)).await };
        let sent = match self.runtime.block_on(sending) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(status)) => Err(io::Error::other(status.message().to_owned())),
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        };
        let result = if sent.is_ok() { SendResult::Sent } else { SendResult::Failed };
        self.metrics.exported(Signal::Logs, result);
        if sent.is_ok() {
            *done = text.len();
        }
        sent
    }
}
