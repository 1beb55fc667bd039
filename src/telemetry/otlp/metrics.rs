//! Metrics to a collector, every so often.
//!
//! Must not know: which metrics there are.

use super::{Otlp, TIMEOUT, attribute, scope};
use crate::telemetry::labels::{SendResult, Signal};
use crate::telemetry::metrics::{BOUNDS, Family, Kind, Metrics, Sample, Unit, Value};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_client::MetricsServiceClient;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics,
    ScopeMetrics, Sum,
};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::time::{MissedTickBehavior, interval, timeout};

/// Sends all metrics again and again, for as long as this is awaited. What could not be sent is not sent later: counters
/// go on, so the next time tells all.
pub async fn send(otlp: Otlp, metrics: Arc<Metrics>, every: Duration) -> std::convert::Infallible {
    let start = SystemTime::now();
    let mut turns = interval(every);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut client = MetricsServiceClient::with_interceptor(otlp.channel(), otlp.interceptor());
    let mut failed = false;
    loop {
        turns.tick().await;
        let request = request(&otlp, &metrics.collect(), start, SystemTime::now());
        let sent = timeout(TIMEOUT, client.export(request)).await;
        let problem = match sent {
            Ok(Ok(_)) => None,
            Ok(Err(status)) => Some(status.message().to_owned()),
            Err(_) => Some(format!("no answer within {TIMEOUT:?}")),
        };
        metrics
            .exported(Signal::Metrics, if problem.is_none() { SendResult::Sent } else { SendResult::Failed });
        match &problem {
            Some(error) if !failed => tracing::warn!(error, "metrics cannot be sent over OTLP; trying again"),
            None if failed => tracing::info!("metrics are sent over OTLP again"),
            _ => {}
        }
        failed = problem.is_some();
    }
}

fn nanoseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

fn request(
    otlp: &Otlp,
    families: &[Family],
    start: SystemTime,
    now: SystemTime,
) -> ExportMetricsServiceRequest {
    let times = (nanoseconds(start), nanoseconds(now));
    let families = families.iter().filter(|family| !family.samples.is_empty());
    let metrics = families.map(|family| metric(family, times)).collect();
    let scope_metrics = vec![ScopeMetrics { scope: Some(scope()), metrics, ..Default::default() }];
    let resource = Some(otlp.resource());
    let resource_metrics = vec![ResourceMetrics { resource, scope_metrics, ..Default::default() }];
    ExportMetricsServiceRequest { resource_metrics }
}

fn metric(family: &Family, times: (u64, u64)) -> Metric {
    let about = family.about;
    let temporality = AggregationTemporality::Cumulative.into();
    let points = || family.samples.iter().filter_map(|sample| number(sample, times)).collect();
    let data = match about.kind {
        Kind::Counter => {
            Data::Sum(Sum { data_points: points(), aggregation_temporality: temporality, is_monotonic: true })
        }
        Kind::Gauge => Data::Gauge(Gauge { data_points: points() }),
        Kind::Histogram => Data::Histogram(Histogram {
            data_points: family.samples.iter().filter_map(|sample| distribution(sample, times)).collect(),
            aggregation_temporality: temporality,
        }),
    };
    let unit = match about.unit {
        Unit::None => "1",
        Unit::Seconds => "s",
        Unit::Bytes => "By",
    };
    Metric {
        name: about.name.to_owned(),
        description: about.help.to_owned(),
        unit: unit.to_owned(),
        data: Some(data),
        ..Default::default()
    }
}

fn number(sample: &Sample, (start, now): (u64, u64)) -> Option<NumberDataPoint> {
    let value = match sample.value {
        Value::Count(count) => Number::AsInt(i64::try_from(count).unwrap_or(i64::MAX)),
        Value::Number(number) => Number::AsDouble(number),
        Value::Distribution { .. } => return None,
    };
    Some(NumberDataPoint {
        attributes: sample.labels.iter().map(|(name, word)| attribute(name, word.as_ref())).collect(),
        start_time_unix_nano: start,
        time_unix_nano: now,
        value: Some(value),
        ..Default::default()
    })
}

fn distribution(sample: &Sample, (start, now): (u64, u64)) -> Option<HistogramDataPoint> {
    let Value::Distribution { buckets, sum } = &sample.value else { return None };
    Some(HistogramDataPoint {
        attributes: sample.labels.iter().map(|(name, word)| attribute(name, word.as_ref())).collect(),
        start_time_unix_nano: start,
        time_unix_nano: now,
        count: buckets.iter().sum(),
        sum: Some(*sum),
        bucket_counts: buckets.clone(),
        explicit_bounds: BOUNDS.iter().map(|bound| *bound as f64 / 1e6).collect(),
        ..Default::default()
    })
}
