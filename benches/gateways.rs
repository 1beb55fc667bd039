//! Requests a second through Envoy: with bindery, with a service that does nothing, and without any service.
//!
//! One Envoy (one worker) on the shipped configuration, with a listener for each, which answers by itself, so that only the
//! gateway and the service beside it are measured. The service that does nothing runs in this process, on a runtime like
//! bindery's and a unix socket of its own, and gives bindery's own answer to such a request again and again. All are
//! driven in turns by the same client, which keeps connections open and sends the next request when the last was
//! answered. Needs BINDERY_ENVOY (`.ci/gateways install`).

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a program for people; what cannot be set up has nothing to measure"
)]

#[path = "../tests/gateways"]
#[expect(dead_code, reason = "shared with the tests, which need more of it")]
mod gateways {
    pub(crate) mod bindery;
    pub(crate) mod client;
    pub(crate) mod envoy;
    #[path = "../support/sidecar.rs"]
    pub(crate) mod sidecar;
    pub(crate) mod tokens;
}

use envoy_types::ext_authz::v3::pb::{Authorization, AuthorizationServer, CheckRequest, CheckResponse};
use envoy_types::pb::envoy::service::auth::v3::AttributeContext;
use envoy_types::pb::envoy::service::auth::v3::attribute_context::{HttpRequest, Peer, Request as Asked};
use envoy_types::pb::envoy::service::auth::v3::authorization_client::AuthorizationClient;
use gateways::bindery::Place;
use gateways::envoy::{Config, Envoy, filter, manager};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixListener};
use tokio_stream::wrappers::UnixListenerStream;
use tonic::transport::{Endpoint, Server};
use tonic::{Request, Response, Status};

#[cfg(not(target_env = "msvc"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const MANY: usize = 32;
const ROUND: Duration = Duration::from_secs(1);
const ROUNDS: usize = 15;
const HOST: &str = "grafana.example.com";

/// Gives the same answer to everybody.
struct Nothing(CheckResponse);

#[tonic::async_trait]
impl Authorization for Nothing {
    async fn check(&self, _: Request<CheckRequest>) -> Result<Response<CheckResponse>, Status> {
        Ok(Response::new(self.0.clone()))
    }
}

fn serve_nothing(socket: &Path, answer: CheckResponse) {
    let listener = std::os::unix::net::UnixListener::bind(socket).unwrap();
    listener.set_nonblocking(true).unwrap();
    std::thread::spawn(move || {
        // As bindery's own.
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let incoming = UnixListenerStream::new(UnixListener::from_std(listener).unwrap());
            let server = Server::builder().add_service(AuthorizationServer::new(Nothing(answer)));
            server.serve_with_incoming(incoming).await.unwrap();
        });
    });
}

/// What bindery itself says to such a request.
async fn answer(socket: &Path, token: &str) -> CheckResponse {
    let address = format!("unix:{}", socket.display());
    let channel = Endpoint::from_shared(address).unwrap().connect().await.unwrap();
    let headers = [(":path", "/d/1"), ("authorization", &format!("Bearer {token}"))];
    let http = HttpRequest {
        method: "GET".into(),
        scheme: "http".into(),
        host: HOST.into(),
        path: "/d/1".into(),
        headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        ..Default::default()
    };
    let attributes = AttributeContext {
        source: Some(Peer::default()),
        request: Some(Asked { http: Some(http), ..Default::default() }),
        context_extensions: [("bindery.target".to_owned(), "application/grafana".to_owned())].into(),
        ..Default::default()
    };
    let request = CheckRequest { attributes: Some(attributes) };
    let answer = AuthorizationClient::new(channel).check(request).await.unwrap().into_inner();
    assert_eq!(answer.status.as_ref().map(|status| status.code), Some(0), "bindery says no: {answer:?}");
    answer
}

/// The shipped configuration with one listener for each of these, all of which Envoy answers itself.
fn configure(config: &Config, nothing: &Path) -> Config {
    config.without_early_removal().edit(|tree| {
        for host in manager(tree)["route_config"]["virtual_hosts"].as_array_mut().unwrap() {
            for route in host["routes"].as_array_mut().unwrap() {
                route.as_object_mut().unwrap().remove("route");
                route["direct_response"] = json!({"status": 200, "body": {"inline_string": "hello"}});
            }
        }
        let all = tree["static_resources"].clone();
        let named = |name: &str| {
            let mut one = all["listeners"][0].clone();
            one["name"] = name.into();
            one
        };
        let mut listeners = vec![named("bindery")];
        // The same functions find their way in a tree of one listener.
        let mut with_nothing = json!({"static_resources": {"listeners": [named("nothing")]}});
        filter(&mut with_nothing, "ext_authz")["grpc_service"]["envoy_grpc"]["cluster_name"] =
            "nothing".into();
        listeners.push(with_nothing["static_resources"]["listeners"][0].clone());
        let mut alone = json!({"static_resources": {"listeners": [named("alone")]}});
        let kept = |filter: &Value| filter["name"] == "envoy.filters.http.router";
        manager(&mut alone)["http_filters"].as_array_mut().unwrap().retain(kept);
        for host in manager(&mut alone)["route_config"]["virtual_hosts"].as_array_mut().unwrap() {
            host.as_object_mut().unwrap().remove("typed_per_filter_config");
            for route in host["routes"].as_array_mut().unwrap() {
                route.as_object_mut().unwrap().remove("typed_per_filter_config");
            }
        }
        listeners.push(alone["static_resources"]["listeners"][0].clone());
        tree["static_resources"]["listeners"] = listeners.into();
        let mut cluster = all["clusters"][0].clone();
        cluster["name"] = "nothing".into();
        // It has no health to ask for.
        cluster.as_object_mut().unwrap().remove("health_checks");
        cluster["load_assignment"] = json!({"cluster_name": "nothing", "endpoints": [{"lb_endpoints": [
            {"endpoint": {"address": {"pipe": {"path": nothing}}}}]}]});
        tree["static_resources"]["clusters"].as_array_mut().unwrap().push(cluster);
    })
}

/// Sends one request again and again until the time is over; how long each took.
async fn client(port: u16, request: &[u8], until: Instant) -> Vec<Duration> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let (mut times, mut answer) = (Vec::new(), vec![0; 4096]);
    loop {
        let start = Instant::now();
        if start >= until {
            return times;
        }
        stream.write_all(request).await.unwrap();
        let mut size = 0;
        while !answer[..size].ends_with(b"\r\n\r\nhello") {
            let read = stream.read(&mut answer[size..]).await.unwrap();
            assert!(read > 0, "{}", String::from_utf8_lossy(&answer[..size]));
            size += read;
        }
        times.push(start.elapsed());
        assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer[..size]));
    }
}

/// One round: requests a second, and how long each took.
async fn round(port: u16, request: &[u8], clients: usize) -> (f64, Vec<Duration>) {
    let start = Instant::now();
    let until = start + ROUND;
    let all = (0..clients).map(|_| client(port, request, until));
    let times: Vec<Duration> = futures_util::future::join_all(all).await.concat();
    (times.len() as f64 / start.elapsed().as_secs_f64(), times)
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// What a request has that says who is asking.
fn request(header: &str) -> Vec<u8> {
    format!(
        "GET /d/1?from=now HTTP/1.1\r\nHost: {HOST}\r\nUser-Agent: bench\r\nAccept: */*\r\n{header}\r\n\r\n"
    )
    .into_bytes()
}

async fn run(program: &Path) {
    let place = Place::new();
    let settings =
        format!("{}\n[ext_authz.identity.headers]\ntrusted_peers = [\"127.0.0.1/32\"]\n", place.settings());
    let _bindery = place.start_on(&settings, &[]);
    let token = place.issuer.token("ada");
    let nothing = place.path("nothing.sock");
    serve_nothing(&nothing, answer(&place.socket(), &token).await);
    let config = configure(&Config::new("static.yaml", &place.socket(), 1), &nothing);
    let envoy = Envoy::start(program, &config).await;
    let (vouched, with_token) =
        (request("X-Authentik-Username: ada"), request(&format!("Authorization: Bearer {token}")));
    let cases = [
        ("no ext_authz", "alone", &vouched),
        ("a service that does nothing", "nothing", &vouched),
        ("bindery, identity in headers", "bindery", &vouched),
        ("a service that does nothing, token", "nothing", &with_token),
        ("bindery, token verified", "bindery", &with_token),
    ];
    for clients in [1, MANY] {
        let mut rates = vec![Vec::new(); cases.len()];
        let mut times = vec![Vec::new(); cases.len()];
        for number in 0..=ROUNDS {
            for (index, (_, listener, request)) in cases.iter().enumerate() {
                let (rate, took) = round(envoy.ports[*listener], request, clients).await;
                // The first round warms up.
                if number > 0 {
                    rates[index].push(rate);
                    times[index].extend(took);
                }
            }
        }
        println!("\n{clients} connection(s), {ROUNDS} rounds of {ROUND:?} each in turns, medians");
        for (index, (name, ..)) in cases.iter().enumerate() {
            times[index].sort_unstable();
            let at = |share: f64| times[index][(times[index].len() as f64 * share) as usize];
            println!(
                "{name:36} {:8.0}/s   p50 {:8.1?}   p99 {:8.1?}",
                median(&rates[index]),
                at(0.5),
                at(0.99),
            );
        }
        // Compared within each round, so that what disturbed one disturbed the other.
        for (bindery, nothing, what) in [(2, 1, "identity in headers"), (4, 3, "token verified")] {
            let shares: Vec<_> = rates[bindery].iter().zip(&rates[nothing]).map(|(a, b)| a / b).collect();
            println!("{what}: {:.1} % of the service that does nothing", median(&shares) * 100.0);
        }
    }
}

fn main() {
    let Some(program) = std::env::var_os("BINDERY_ENVOY").map(PathBuf::from) else {
        println!("BINDERY_ENVOY is not set: run `.ci/gateways install` and source the file that it names");
        return;
    };
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(run(&program));
}
