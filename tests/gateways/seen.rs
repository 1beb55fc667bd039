//! What others see of a request: a trace that begins in Envoy and goes on in bindery, at a real collector; and metrics, in a
//! real Prometheus.

use super::bindery::Place;
use super::client::get;
use super::envoy::{Config, Envoy, manager};
use super::sidecar::{Running, until};
use super::tools::{found, free_port};
use super::upstream::Upstream;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use tempfile::TempDir;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CLIENT: &str = "00f067aa0ba902b7";

/// A collector that writes what it is sent.
struct Collector {
    port: u16,
    directory: TempDir,
    _process: Running,
}

/// A span as the collector writes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Span {
    trace: String,
    parent: String,
    id: String,
    name: String,
    service: String,
    attributes: Vec<String>,
}

impl Collector {
    fn start(program: &Path) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (grpc, http) = (free_port(), free_port());
        let out = fs::File::create(directory.path().join("spans")).unwrap();
        let process = Command::new(program)
            .args(["start", "--exporter", "blackhole", "--debug-log", "traces"])
            .args(["--debug-log-verbosity", "detailed"])
            .args(["--otlp-grpc-endpoint", &format!("127.0.0.1:{grpc}")])
            .args(["--otlp-http-endpoint", &format!("127.0.0.1:{http}")])
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let process = Running(process);
        until("the collector listens", || std::net::TcpStream::connect(("127.0.0.1", grpc)).ok());
        Self { port: grpc, directory, _process: process }
    }

    fn spans(&self) -> Vec<Span> {
        let text = fs::read_to_string(self.directory.path().join("spans")).unwrap();
        let (mut spans, mut service) = (Vec::<Span>::new(), String::new());
        for line in text.lines() {
            let line = line.trim();
            let pair = line.split_once(':').map(|(name, value)| (name.trim(), value.trim()));
            if line.starts_with("ResourceSpans #") {
                service.clear();
            } else if let Some(name) = line.strip_prefix("-> service.name: Str(") {
                name.trim_end_matches(')').clone_into(&mut service);
            } else if line.starts_with("Span #") {
                spans.push(Span { service: service.clone(), ..Span::default() });
            } else if let Some(span) = spans.last_mut() {
                match pair {
                    Some(("Trace ID", value)) => value.clone_into(&mut span.trace),
                    Some(("Parent ID", value)) => value.clone_into(&mut span.parent),
                    Some(("ID", value)) => value.clone_into(&mut span.id),
                    Some(("Name", value)) => value.clone_into(&mut span.name),
                    _ => span.attributes.extend(line.strip_prefix("-> ").map(str::to_owned)),
                }
            }
        }
        spans
    }
}

/// Envoy with a tracer.
fn traced(config: &Config, port: u16) -> Config {
    config.edit(|tree| {
        manager(tree)["tracing"] = json!({
            "provider": {
                "name": "envoy.tracers.opentelemetry",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig",
                    "grpc_service": {"envoy_grpc": {"cluster_name": "otlp"}, "timeout": "1s"},
                    "service_name": "envoy",
                },
            },
        });
        let address = json!({"socket_address": {"address": "127.0.0.1", "port_value": port}});
        let options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
        let otlp = json!({
            "name": "otlp",
            "type": "STATIC",
            "connect_timeout": "1s",
            "typed_extension_protocol_options": {
                options: {
                    "@type": format!("type.googleapis.com/{options}"),
                    "explicit_http_config": {"http2_protocol_options": {}},
                },
            },
            "load_assignment": {
                "cluster_name": "otlp",
                "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
            },
        });
        tree["static_resources"]["clusters"].as_array_mut().unwrap().push(otlp);
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trace_that_begins_in_envoy_goes_on_in_bindery() {
    let (envoy, rotel) = (found!("envoy"), found!("rotel"));
    let collector = Collector::start(&rotel);
    let place = Place::new();
    let endpoint = format!("http://127.0.0.1:{}", collector.port);
    // Nothing by chance: what is traced is what whoever asks says.
    let more = ["--otlp-endpoint", &endpoint, "--trace-ratio", "0"];
    let _bindery = place.start_on(&place.settings(), &more);
    let upstream = Upstream::start();
    let config = traced(&Config::new("static.yaml", &place.socket(), upstream.port), collector.port);
    let envoy = Envoy::start(&envoy, &config).await;
    let token = place.issuer.token("pat");
    for (flags, trace) in [("01", TRACE), ("00", "0af7651916cd43dd8448eb211c80319c")] {
        let parent = format!("00-{trace}-{CLIENT}-{flags}");
        let request = get("grafana.example.com", "/d/1").token(&token).with("traceparent", &parent);
        assert_eq!(request.send(envoy.port).await.status, 200);
    }
    let (door, target) = until("all spans are here", || {
        let spans = collector.spans();
        let ours: Vec<Span> = spans.iter().filter(|span| span.service == "bindery").cloned().collect();
        let door = ours.iter().find(|span| span.name.ends_with("Authorization/Check"))?.clone();
        let target = ours.iter().find(|span| span.parent == door.id)?.clone();
        spans.iter().any(|span| span.id == door.parent).then_some((door, target))
    });
    let spans = collector.spans();
    let of = |id: &str| spans.iter().find(|span| span.id == id).cloned().unwrap_or_default();
    // The client's span, Envoy's for the request, Envoy's for asking bindery, bindery's for the question, its target's.
    assert_eq!(door.trace, TRACE);
    let asking = of(&door.parent);
    assert_eq!((asking.service.as_str(), asking.trace.as_str()), ("envoy", TRACE), "{asking:?}");
    let ingress = of(&asking.parent);
    assert_eq!((ingress.service.as_str(), ingress.parent.as_str()), ("envoy", CLIENT), "{ingress:?}");
    assert_eq!(target.name, "application Grafana");
    for expected in [
        "rpc.system: Str(grpc)",
        "bindery.decision: Str(allow)",
        "bindery.target.name: Str(Grafana)",
        "rpc.grpc.status_code: Int(0)",
    ] {
        assert!(door.attributes.iter().any(|it| it == expected), "{expected}: {door:?}");
    }
    let personal = door.attributes.iter().any(|it| it.contains("pat"));
    assert!(!personal, "nobody is named: {door:?}");
    assert!(
        spans.iter().all(|span| span.service != "bindery" || span.trace == TRACE),
        "what is not sampled is not sent"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prometheus_reads_the_metrics() {
    let prometheus = found!("prometheus");
    let place = Place::new();
    let (admin, port) = (free_port(), free_port());
    let _bindery = place.start_on(&place.settings(), &["--admin-listen", &format!("127.0.0.1:{admin}")]);
    let config = format!(
        "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\nscrape_configs:\n- job_name: bindery\n  static_configs:\n  - \
         targets: ['127.0.0.1:{admin}']\n"
    );
    fs::write(place.path("prometheus.yml"), config).unwrap();
    let process = Command::new(prometheus)
        .arg(format!("--config.file={}", place.path("prometheus.yml").display()))
        .arg(format!("--storage.tsdb.path={}", place.path("tsdb").display()))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let _process = Running(process);
    until("Prometheus listens", || std::net::TcpStream::connect(("127.0.0.1", port)).ok());
    let start = std::time::Instant::now();
    // The server was asked for its first answer when it was started.
    let query = "/api/v1/query?query=sum(bindery_decisions_total%7Bdoor=%22check%22%7D)";
    loop {
        let body = get("prometheus", query).send(port).await.body;
        let answer: Value = serde_json::from_str(&body).unwrap_or_default();
        let value = answer["data"]["result"][0]["value"][1].as_str().and_then(|it| it.parse::<f64>().ok());
        if value.is_some_and(|value| value >= 1.0) {
            break;
        }
        assert!(start.elapsed().as_secs() < 60, "{body}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}
