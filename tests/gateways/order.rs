//! The processes of a pod, without containers: the same programs on the same files as in `deploy/kubernetes/overlays/sidecar` and
//! `deploy/compose.yaml`, started and ended in the order of native sidecars.

use super::bindery::Place;
use super::client::get;
use super::envoy::{Config, Envoy, put};
use super::envoy_load::{Load, patient};
use super::sidecar::{Running, until};
use super::tools::{found, free_port};
use std::path::Path;
use std::process::{Command, Stdio};
use tonic::transport::Endpoint;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

/// What the probe of the manifests sees.
async fn probe(admin: u16) -> ServingStatus {
    let endpoint = Endpoint::from_shared(format!("http://127.0.0.1:{admin}")).unwrap();
    let Ok(channel) = endpoint.connect().await else { return ServingStatus::Unknown };
    let service = "bindery.v1.DecisionService".to_owned();
    let answer = HealthClient::new(channel).check(HealthCheckRequest { service }).await;
    answer.map_or(ServingStatus::Unknown, |answer| answer.into_inner().status())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_starts_and_ends_without_a_failure() {
    let program = found!("envoy");
    let place = Place::new();
    let settings = put(&place.settings(), "shutdown_delay_seconds = 0", "shutdown_delay_seconds = 2");
    let (admin, port) = (free_port(), free_port());
    let admin_listen = format!("127.0.0.1:{admin}");

    // First bindery, until its startup probe succeeds; then Envoy, until it is ready; then the application.
    let mut bindery = place.start_on(&settings, &["--admin-listen", &admin_listen, "--drain-seconds", "10"]);
    assert_eq!(probe(admin).await, ServingStatus::Serving);
    let config = Config::new("sidecar.yaml", &place.socket(), port);
    let config = config.put("port_value: 9902}", "port_value: 0}").put("0.0.0.0", "127.0.0.1");
    let envoy = Envoy::start(&program, &patient(config)).await;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/application/application.py");
    let application = |check: &[&str]| {
        let mut command = Command::new("python3");
        command.arg("-B").arg(&script).args(check).env("PORT", port.to_string());
        command.stdin(Stdio::null()).stderr(Stdio::null());
        command
    };
    let running = Running(application(&[]).spawn().unwrap());
    until("the application is there", || application(&["check"]).status().unwrap().success().then_some(()));
    let ingress = envoy.ports["ingress"];
    let request = get("grafana.example.com", "/d/1").token(&place.issuer.token("pat"));
    let mut load = Load::start(4, ingress, &request, |reply| {
        assert_eq!(reply.status, 200, "{reply:?}");
        assert!(reply.body.contains("x-authentik-username: pat"), "{reply:?}");
    });
    load.go_on(200).await;

    // The application's preStop waits until nobody sends anything any more; then Envoy ends, and bindery last: whatever was
    // still asked was still answered.
    assert!(load.end().await >= 200);
    drop(running);
    let denied = get("grafana.example.com", "/admin").token(&place.issuer.token("ada")).send(ingress).await;
    assert_eq!(denied.status, 403, "bindery still answers what Envoy asks: {denied:?}");
    drop(envoy);
    bindery.terminate();
    let start = std::time::Instant::now();
    let mut seen = Vec::new();
    while !bindery.has_ended() {
        let status = probe(admin).await;
        if seen.last() != Some(&status) {
            seen.push(status);
        }
        assert!(start.elapsed().as_secs() < 60, "it does not end: {seen:?}");
    }
    assert!(seen.contains(&ServingStatus::NotServing), "its probe said so beforehand: {seen:?}");
}
