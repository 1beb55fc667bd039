//! What is counted is what is scraped, in a form that scrapers read.

use super::*;
use std::collections::{HashMap, HashSet};
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::Arc;

/// Everything that there is, with something in each.
pub(crate) fn full() -> Metrics {
    let metrics = Metrics::new();
    metrics.decided(Door::Check, Some(TargetKind::Application), Answer::Allow, Duration::from_micros(3));
    metrics.undecided(Door::Batch, ErrorReason::UnknownTarget, Duration::from_secs(20));
    metrics.gateway_answered(GatewayDoor::ExtAuthz, GatewayReason::named("no_route"));
    metrics.policy_evaluated(Outside::Remote, PolicyResult::Timeout, Duration::from_millis(30));
    metrics.hub_connected(true);
    metrics.certificate_expires(Listener::Grpc, 1_800_000_000);
    metrics.connection_opened(Listener::Http);
    metrics.probe(|readings| {
        readings.python_workers = Some((1, 2));
        readings.circuits_open = Some(0);
        readings.hot_sets = Some((5, 6, 7));
        readings.decision_log_queue = Some(8);
        readings.configuration = Some(Configuration {
            revision: 42,
            age: Some(Duration::from_millis(1_500)),
            stale: true,
            ready: true,
            entries: vec![(crate::telemetry::labels::Entry::Users, 9)],
        });
    });
    metrics
}

/// A checker of form: every line is a comment or a sample of the family that was announced last, no sample comes twice,
/// buckets grow and end in the count.
fn well_formed(text: &str) -> HashMap<String, f64> {
    let mut samples = HashMap::new();
    let (mut family, mut kind, mut families) = (String::new(), String::new(), HashSet::new());
    let mut last_bucket: Option<(String, f64)> = None;
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            family = rest.split(' ').next().unwrap().to_owned();
            assert!(rest.ends_with('.'), "{line}");
            assert!(families.insert(family.clone()), "{family} comes twice");
            continue;
        }
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, what) = rest.split_once(' ').unwrap();
            assert_eq!(name, family);
            kind = what.to_owned();
            continue;
        }
        let (series, value) = line.rsplit_once(' ').unwrap();
        let value: f64 = value.parse().unwrap();
        let name = series.split('{').next().unwrap();
        match kind.as_str() {
            "counter" => assert!(name == family && name.ends_with("_total"), "{line}"),
            "gauge" => assert_eq!(name, family, "{line}"),
            "histogram" => {
                let part = name.strip_prefix(&family).unwrap();
                assert!(["_bucket", "_sum", "_count"].contains(&part), "{line}");
                if part == "_bucket" {
                    let of = series.rsplit_once("le=").unwrap().0.to_owned();
                    if let Some((last, count)) = &last_bucket
                        && *last == of
                    {
                        assert!(*count <= value, "{line}");
                    }
                    last_bucket = Some((of, value));
                }
            }
            other => panic!("{other}: {line}"),
        }
        assert!(samples.insert(series.to_owned(), value).is_none(), "{series} comes twice");
    }
    samples
}

#[test]
fn what_is_counted_is_what_is_scraped() {
    let text = full().text(Format::Prometheus).unwrap();
    let samples = well_formed(&text);
    for (series, value) in [
        (r#"bindery_decisions_total{door="check",kind="application",outcome="allow"}"#, 1.0),
        (r#"bindery_decisions_total{door="authzen",kind="none",outcome="deny"}"#, 0.0),
        (r#"bindery_decision_errors_total{door="batch",reason="unknown_target"}"#, 1.0),
        (r#"bindery_decision_duration_seconds_bucket{door="check",le="2e-06"}"#, 0.0),
        (r#"bindery_decision_duration_seconds_bucket{door="check",le="5e-06"}"#, 1.0),
        (r#"bindery_decision_duration_seconds_bucket{door="batch",le="10"}"#, 0.0),
        (r#"bindery_decision_duration_seconds_bucket{door="batch",le="+Inf"}"#, 1.0),
        (r#"bindery_decision_duration_seconds_count{door="batch"}"#, 1.0),
        (r#"bindery_decision_duration_seconds_sum{door="batch"}"#, 20.0),
        (r#"bindery_gateway_answers_total{door="ext_authz",reason="no_route"}"#, 1.0),
        (r#"bindery_policy_evaluations_total{kind="remote",result="timeout"}"#, 1.0),
        (r#"bindery_certificate_expiry_timestamp_seconds{listener="grpc"}"#, 1_800_000_000.0),
        (r#"bindery_connections{listener="http"}"#, 1.0),
        (r#"bindery_python_workers{state="busy"}"#, 2.0),
        (r#"bindery_configuration_entries{kind="users"}"#, 9.0),
        ("bindery_configuration_age_seconds", 1.5),
        ("bindery_hot_set_misses_total", 7.0),
        (concat!(r#"bindery_build_info{version=""#, env!("CARGO_PKG_VERSION"), r#""}"#), 1.0),
    ] {
        let found = samples.get(series);
        assert_eq!(found, Some(&value), "{series} in\n{text}");
    }
    assert!(samples.keys().all(|it| !it.contains(r#"listener="grpc""#) || !it.contains("sync")));
}

#[test]
fn the_process_tells_of_itself() {
    if !cfg!(target_os = "linux") {
        return;
    }
    let samples = well_formed(&Metrics::new().text(Format::Prometheus).unwrap());
    let value = |name: &str| *samples.get(name).unwrap_or_else(|| panic!("{name} in {samples:?}"));
    assert!(value("process_resident_memory_bytes") > 1e6);
    assert!(value("process_open_fds") >= 3.0 && value("process_max_fds") >= value("process_open_fds"));
    assert!(value("process_start_time_seconds") > 1e9 && value("process_cpu_seconds_total") >= 0.0);
}

#[test]
fn what_nobody_reads_is_left_out() {
    let text = Metrics::new().text(Format::Prometheus).unwrap();
    for name in ["bindery_hot_sets", "bindery_hub_connected", "bindery_certificate_expiry"] {
        assert!(!text.contains(name), "{name}");
    }
}

#[test]
fn open_metrics_end_as_they_must_and_say_the_same() {
    let metrics = full();
    let text = metrics.text(Format::OpenMetrics).unwrap();
    assert!(text.ends_with("# EOF\n") && text.contains("# UNIT bindery_decision_duration_seconds seconds"));
    // How bounds are written differs, and their place among the labels.
    let series = |text: &str| {
        let mut series = HashMap::<String, usize>::new();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            *series.entry(line.split(['{', ' ']).next().unwrap().to_owned()).or_default() += 1;
        }
        series
    };
    assert_eq!(series(&text), series(&metrics.text(Format::Prometheus).unwrap()));
    let asks = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
    assert_eq!(Format::accepted(Some(asks)), Format::OpenMetrics);
    assert_eq!(Format::accepted(Some("*/*")), Format::Prometheus);
}

#[test]
fn the_tool_of_prometheus_finds_nothing_wrong() {
    let tool = std::env::var("BINDERY_PROMTOOL").unwrap_or_else(|_| "promtool".to_owned());
    let child = Command::new(&tool)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut child) = child else {
        eprintln!("SKIPPED: `{tool}` is not there; install Prometheus or set BINDERY_PROMTOOL");
        return;
    };
    let text = full().text(Format::Prometheus).unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let out = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned();
    assert!(out.status.success() && said.trim().is_empty(), "{said}");
}

#[test]
fn many_threads_count_without_losing_any() {
    let metrics = Arc::new(Metrics::new());
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..1_000 {
                    metrics.decided(Door::Stream, None, Answer::Deny, Duration::from_micros(1));
                }
            });
        }
    });
    assert_eq!(metrics.decisions.get((Door::Stream, None, Answer::Deny)), 8_000);
    assert_eq!(metrics.durations.count((Door::Stream,)), 8_000);
}

#[test]
fn the_table_in_the_documentation_names_every_metric() {
    let documentation = include_str!("../../../docs/metrics.md");
    let kind = |kind| match kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Histogram => "histogram",
    };
    let mut there: Vec<(String, String, String)> = Vec::new();
    for family in full().collect() {
        let sample = family.samples.first();
        let labels = sample.map(|sample| sample.labels.iter().map(|(name, _)| *name).collect::<Vec<_>>());
        let labels = labels.unwrap_or_default().join(", ");
        there.push((family.about.name.to_owned(), kind(family.about.kind).to_owned(), labels));
    }
    let mut told: Vec<(String, String, String)> = Vec::new();
    for line in documentation.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        told.push((cells[0].trim_matches('`').to_owned(), cells[1].to_owned(), cells[3].to_owned()));
    }
    there.sort();
    told.sort();
    assert_eq!(told, there);
}
