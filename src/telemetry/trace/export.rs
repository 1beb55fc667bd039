//! Spans on their way to a collector: in batches, bounded, and counted when they are dropped.
//!
//! Must not know: what spans are about.

use crate::telemetry::labels::{SendResult, Signal};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::otlp::{Otlp, TIMEOUT};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _, WithTonicConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider, Span, SpanData,
    SpanExporter as Exporter, SpanProcessor,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// How many spans may wait, those being sent included.
const QUEUE: usize = 8_192;
/// How many are sent at a time.
const BATCH: usize = 512;
/// How often.
const EVERY: Duration = Duration::from_secs(1);

/// What makes spans for this collector.
pub(super) fn provider(otlp: &Otlp, metrics: Arc<Metrics>) -> Result<SdkTracerProvider, String> {
    let exporter = SpanExporter::builder()
        .with_tonic()
        .with_channel(otlp.channel())
        .with_metadata(otlp.headers())
        .with_timeout(TIMEOUT)
        .build()
        .map_err(|error| format!("otlp-endpoint: spans cannot be sent: {error}"))?;
    let waiting = Arc::<AtomicUsize>::default();
    let exporter = Counted { exporter, waiting: Arc::clone(&waiting), metrics: Arc::clone(&metrics) };
    let config = BatchConfigBuilder::default()
        // Room for more than is ever let in, so that what is dropped is dropped here, and counted.
        .with_max_queue_size(QUEUE + BATCH)
        .with_max_export_batch_size(BATCH)
        .with_scheduled_delay(EVERY)
        .build();
    let batches = BatchSpanProcessor::builder(exporter).with_batch_config(config).build();
    let about = otlp.about().map(|(name, value)| KeyValue::new(name, value));
    Ok(SdkTracerProvider::builder()
        .with_resource(Resource::builder_empty().with_attributes(about).build())
        // Whether a question is traced is settled before it has a span.
        .with_sampler(Sampler::AlwaysOn)
        .with_span_processor(Bounded { batches, waiting, metrics })
        .build())
}

/// Lets no more spans in than may wait.
#[derive(Debug)]
struct Bounded {
    batches: BatchSpanProcessor,
    waiting: Arc<AtomicUsize>,
    metrics: Arc<Metrics>,
}

impl SpanProcessor for Bounded {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.batches.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= QUEUE {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            self.metrics.spans_dropped(1);
            return;
        }
        self.batches.on_end(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.batches.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.batches.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.batches.set_resource(resource);
    }
}

/// Counts what is sent, and what is not.
#[derive(Debug)]
struct Counted {
    exporter: SpanExporter,
    waiting: Arc<AtomicUsize>,
    metrics: Arc<Metrics>,
}

impl Exporter for Counted {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let count = batch.len();
        let sent = self.exporter.export(batch).await;
        self.waiting.fetch_sub(count, Ordering::Relaxed);
        let result = if sent.is_ok() { SendResult::Sent } else { SendResult::Failed };
        self.metrics.exported(Signal::Traces, result);
        if sent.is_err() {
            self.metrics.spans_dropped(count as u64);
        }
        sent
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}
