//! The server's telemetry, as the settings want it.
//!
//! Must not know: what is told.

use crate::config::{LogTo, LogWhenFull, TelemetrySettings};
use crate::telemetry::decision_log::{
    Collector, DecisionLog, File, Include, Masks, Options, Out, Stdout, WhenFull,
};
use crate::telemetry::otlp::{self, Otlp};
use crate::telemetry::trace::Traces;
use crate::telemetry::{Metrics, Telemetry};
use crate::tls::files;
use std::path::Path;
use std::sync::Arc;

/// Opens what is written to. Needs a runtime.
pub(super) fn telemetry(settings: &TelemetrySettings) -> Result<Arc<Telemetry>, String> {
    let metrics = Arc::new(Metrics::new());
    let otlp = collector(settings)?;
    let traces = otlp
        .as_ref()
        .map(|otlp| Traces::new(otlp, settings.trace_ratio, settings.personal_data, Arc::clone(&metrics)));
    if let (Some(otlp), Some(every)) = (&otlp, settings.otlp_metrics) {
        tokio::spawn(otlp::metrics::send(otlp.clone(), Arc::clone(&metrics), every));
    }
    let log = log(settings, otlp, &metrics)?;
    Ok(Arc::new(Telemetry { traces: traces.transpose()?, log, metrics }))
}

fn read(setting: &str, path: &Path) -> Result<Vec<u8>, String> {
    files::read(path).map_err(|what| format!("{setting}: {what}"))
}

fn collector(settings: &TelemetrySettings) -> Result<Option<Otlp>, String> {
    let Some(endpoint) = &settings.otlp_endpoint else { return Ok(None) };
    let authorities = settings.otlp_authorities.as_deref();
    let authorities = authorities.map(|path| read("otlp-authorities", path)).transpose()?;
    let headers = settings.otlp_headers.as_deref();
    let headers = headers.map(|path| read("otlp-headers-file", path)).transpose()?.unwrap_or_default();
    let headers = String::from_utf8_lossy(&headers);
    Otlp::new(endpoint, authorities.as_deref(), &headers, &settings.service_name).map(Some)
}

fn log(
    settings: &TelemetrySettings,
    otlp: Option<Otlp>,
    metrics: &Arc<Metrics>,
) -> Result<Option<Arc<DecisionLog>>, String> {
    let log = &settings.decision_log;
    let out: Box<dyn Out> = match (&log.to, otlp) {
        (LogTo::None, _) | (LogTo::Otlp, None) => return Ok(None),
        (LogTo::Stdout, _) => Box::new(Stdout),
        (LogTo::Otlp, Some(otlp)) => {
            Box::new(Collector::new(otlp, tokio::runtime::Handle::current(), Arc::clone(metrics)))
        }
        (LogTo::File(path), _) => Box::new(File::open(path, log.max_bytes, log.keep)?),
    };
    let includes = |word: &str| log.include.iter().any(|it| it == word);
    let options = Options {
        sample_allows: log.sample_allows,
        include: Include {
            username: includes("username"),
            client_ip: includes("client_ip"),
            http: includes("http"),
            context: includes("context"),
        },
        masks: Masks::new(&log.mask)?,
        queue: log.queue,
        when_full: match log.when_full {
            LogWhenFull::DropOldest => WhenFull::DropOldest,
            LogWhenFull::DropNewest => WhenFull::DropNewest,
            LogWhenFull::Block => WhenFull::Block(log.block),
        },
    };
    DecisionLog::start(options, out, Arc::clone(metrics)).map(Some)
}
