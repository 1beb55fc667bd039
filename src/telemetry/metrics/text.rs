//! Samples as text for Prometheus.
//!
//! Must not know: which metrics there are.

use super::family::{BOUNDS, Family, Kind, Sample, Unit, Value};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabel, EncodeLabelSet, LabelSetEncoder};
use prometheus_client::encoding::{MetricEncoder, prometheus_text, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::exemplar::Exemplar;
use prometheus_client::registry::{Registry, Unit as WrittenUnit};
use std::borrow::Cow;
use std::fmt;

/// The forms of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Prometheus's own text format, version 0.0.4, which every scraper reads.
    Prometheus,
    /// OpenMetrics 1.0.0, for those that ask for it.
    OpenMetrics,
}

impl Format {
    /// The form for a scraper that accepts these media types, as its header `Accept` has them.
    pub fn accepted(accept: Option<&str>) -> Self {
        let is_wanted = accept.is_some_and(|accept| accept.contains("application/openmetrics-text"));
        if is_wanted { Self::OpenMetrics } else { Self::Prometheus }
    }

    /// The header `Content-Type` of the answer.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// Writes families; those without a sample are left out.
pub(super) fn write(families: &[Family], format: Format) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    let families = families.iter().filter(|family| !family.samples.is_empty()).cloned().collect();
    registry.register_collector(Box::new(Families(families)));
    let mut text = String::new();
    match format {
        Format::Prometheus => prometheus_text::encode(&mut text, &registry)?,
        Format::OpenMetrics => text::encode(&mut text, &registry)?,
    }
    Ok(text)
}

/// Families on their way out.
#[derive(Debug)]
struct Families(Vec<Family>);

impl Collector for Families {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        self.0.iter().try_for_each(|family| encode(family, &mut encoder))
    }
}

fn encode(family: &Family, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
    let about = family.about;
    // The encoder adds both endings by itself.
    let name = about.name.strip_suffix("_total").unwrap_or(about.name);
    let (name, unit) = match about.unit {
        Unit::None => (name, None),
        Unit::Seconds => (name.strip_suffix("_seconds").unwrap_or(name), Some(WrittenUnit::Seconds)),
        Unit::Bytes => (name.strip_suffix("_bytes").unwrap_or(name), Some(WrittenUnit::Bytes)),
    };
    let kind = match about.kind {
        Kind::Counter => MetricType::Counter,
        Kind::Gauge => MetricType::Gauge,
        Kind::Histogram => MetricType::Histogram,
    };
    let mut metric = encoder.encode_descriptor(name, about.help, unit.as_ref(), kind)?;
    for sample in &family.samples {
        if sample.labels.is_empty() {
            value(sample, about.kind, &mut metric)?;
        } else {
            value(sample, about.kind, &mut metric.encode_family(&Set(&sample.labels))?)?;
        }
    }
    Ok(())
}

fn value(sample: &Sample, kind: Kind, metric: &mut MetricEncoder<'_>) -> Result<(), fmt::Error> {
    const NO_EXEMPLAR: Option<&Exemplar<[(&str, &str); 0], f64>> = None;
    match (&sample.value, kind) {
        (Value::Count(count), _) => metric.encode_counter(count, NO_EXEMPLAR),
        (Value::Number(number), Kind::Counter) => metric.encode_counter(number, NO_EXEMPLAR),
        (Value::Number(number), _) => metric.encode_gauge(number),
        (Value::Distribution { buckets, sum }, _) => {
            let bounds = BOUNDS.iter().map(|bound| *bound as f64 / 1e6).chain([f64::INFINITY]);
            let buckets: Vec<(f64, u64)> = bounds.zip(buckets.iter().copied()).collect();
            let count = buckets.iter().map(|(_, count)| count).sum();
            metric.encode_histogram::<[(&str, &str); 0]>(*sum, count, &buckets, None)
        }
    }
}

/// The labels of a sample.
#[derive(Debug)]
struct Set<'a>(&'a [(&'static str, Cow<'static, str>)]);

impl EncodeLabelSet for Set<'_> {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> Result<(), fmt::Error> {
        self.0.iter().try_for_each(|(name, word)| (*name, word.as_ref()).encode(encoder.encode_label()))
    }
}
