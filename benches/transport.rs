//! Decisions a second over gRPC, beside a service that does nothing with messages of the same sizes, in one run.
//!
//! Both services run in this process, each on a runtime and a unix socket of its own, driven in turns by the same
//! client, so that what disturbs one disturbs the other. The do-nothing service answers with one fixed response.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a program for people; one that cannot be set up has nothing to measure"
)]

use bindery::api::decision::DecisionApi;
use bindery::proto::v1;
use bindery::proto::v1::decision_service_client::DecisionServiceClient;
use bindery::proto::v1::decision_service_server::{DecisionService, DecisionServiceServer};
use bindery::store::{Settings, Store};
use bindery::sync::apply::{Update, apply};
use futures_util::stream::{FuturesUnordered, StreamExt};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::UnixListener;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Request, Response, Status, Streaming};
use v1::resource::Resource as R;

#[cfg(not(target_env = "msvc"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const CONNECTIONS: usize = 4;
const IN_FLIGHT: usize = 32;
const BATCH: usize = 100;
const ROUND: Duration = Duration::from_secs(2);
const ROUNDS: usize = 5;

/// Answers everything with the same response.
struct Nothing;

fn fixed() -> v1::CheckResponse {
    v1::CheckResponse { decision: v1::Decision::Allow.into(), revision: 1, ..Default::default() }
}

#[tonic::async_trait]
impl DecisionService for Nothing {
    async fn check(&self, _: Request<v1::CheckRequest>) -> Result<Response<v1::CheckResponse>, Status> {
        Ok(Response::new(fixed()))
    }

    async fn check_batch(
        &self,
        request: Request<v1::CheckBatchRequest>,
    ) -> Result<Response<v1::CheckBatchResponse>, Status> {
        let result =
            || v1::CheckBatchResult { result: Some(v1::check_batch_result::Result::Response(fixed())) };
        let results = request.get_ref().checks.iter().map(|_| result()).collect();
        Ok(Response::new(v1::CheckBatchResponse { results, revision: 1 }))
    }

    type CheckStreamStream =
        std::pin::Pin<Box<dyn futures_util::Stream<Item = Result<v1::CheckStreamResponse, Status>> + Send>>;

    async fn check_stream(
        &self,
        request: Request<Streaming<v1::CheckStreamRequest>>,
    ) -> Result<Response<Self::CheckStreamStream>, Status> {
        let answer = |message: Result<v1::CheckStreamRequest, Status>| {
            let result = Some(v1::check_stream_response::Result::Response(fixed()));
            Ok(v1::CheckStreamResponse { id: message?.id, result })
        };
        Ok(Response::new(Box::pin(request.into_inner().map(answer))))
    }
}

/// 1,000 applications with five group bindings each, the fifth of which lets the user in.
fn store() -> Arc<Store> {
    let group = |name: &str| v1::GroupRef { name: name.into(), ..Default::default() };
    let user = v1::User { username: "alice".into(), groups: vec![group("staff")], ..Default::default() };
    let mut resources = vec![R::User(user)];
    for application in 0..1_000 {
        let slug = format!("app-{application}");
        resources.push(R::Application(v1::Application { slug: slug.clone(), ..Default::default() }));
        for order in 0..5 {
            let name = if order == 4 { "staff".to_owned() } else { format!("other-{order}") };
            let target =
                Some(v1::TargetRef { target: Some(v1::target_ref::Target::Application(slug.clone())) });
            let group = Some(group(&name));
            resources.push(R::PolicyBinding(v1::PolicyBinding {
                target,
                group,
                order,
                ..Default::default()
            }));
        }
    }
    let resources = resources.into_iter().map(|resource| v1::Resource { resource: Some(resource) }).collect();
    let store = Store::new(Settings::default());
    apply(&store, Update::Replace(resources)).expect("a valid configuration");
    Arc::new(store)
}

fn question(number: usize) -> v1::CheckRequest {
    let slug = format!("app-{}", number % 1_000);
    v1::CheckRequest {
        target: Some(v1::TargetRef { target: Some(v1::target_ref::Target::Application(slug)) }),
        subject: Some(v1::Subject { username: "alice".into(), ..Default::default() }),
        context: Some(v1::Context { client_ip: "192.0.2.7".into(), ..Default::default() }.into()),
        ..Default::default()
    }
}

fn serve<S: DecisionService>(service: S, socket: &Path) {
    let listener = std::os::unix::net::UnixListener::bind(socket).expect("a free socket");
    listener.set_nonblocking(true).expect("a socket that does not block");
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async move {
            let incoming = UnixListenerStream::new(UnixListener::from_std(listener).expect("a listener"));
            let server = Server::builder().add_service(DecisionServiceServer::new(service));
            server.serve_with_incoming(incoming).await.expect("a server");
        });
    });
}

async fn connect(socket: &Path) -> Vec<DecisionServiceClient<Channel>> {
    let mut clients = Vec::new();
    for _ in 0..CONNECTIONS {
        let address = format!("unix:{}", socket.display());
        let channel =
            Endpoint::from_shared(address).expect("an address").connect().await.expect("a connection");
        clients.push(DecisionServiceClient::new(channel));
    }
    clients
}

/// Runs `IN_FLIGHT` workers for one round and returns decisions a second and the latencies of the calls.
async fn round<F, W>(clients: &[DecisionServiceClient<Channel>], work: W) -> (f64, Vec<Duration>)
where
    W: Fn(DecisionServiceClient<Channel>, usize) -> F,
    F: Future<Output = usize>,
{
    let start = Instant::now();
    let worker = |index: usize| {
        let (client, work) = (clients.iter().cycle().nth(index).expect("a connection").clone(), &work);
        async move {
            let (mut decisions, mut latencies, mut number) = (0, Vec::new(), index);
            while start.elapsed() < ROUND {
                let begin = Instant::now();
                decisions += work(client.clone(), number).await;
                latencies.push(begin.elapsed());
                number += IN_FLIGHT;
            }
            (decisions, latencies)
        }
    };
    let mut workers: FuturesUnordered<_> = (0..IN_FLIGHT).map(worker).collect();
    let (mut decisions, mut latencies) = (0, Vec::new());
    while let Some((count, mut more)) = workers.next().await {
        decisions += count;
        latencies.append(&mut more);
    }
    latencies.sort_unstable();
    (decisions as f64 / start.elapsed().as_secs_f64(), latencies)
}

async fn unary(clients: &[DecisionServiceClient<Channel>]) -> (f64, Vec<Duration>) {
    let work = |mut client: DecisionServiceClient<Channel>, number| async move {
        let response = client.check(question(number)).await.expect("an answer").into_inner();
        assert_eq!(response.decision, i32::from(v1::Decision::Allow));
        1
    };
    round(clients, work).await
}

async fn batch(clients: &[DecisionServiceClient<Channel>]) -> (f64, Vec<Duration>) {
    let work = |mut client: DecisionServiceClient<Channel>, number| async move {
        let checks = (0..BATCH).map(|offset| question(number + offset)).collect();
        client
            .check_batch(v1::CheckBatchRequest { checks })
            .await
            .expect("answers")
            .into_inner()
            .results
            .len()
    };
    round(clients, work).await
}

/// One stream a connection, with a window of questions under way.
async fn streamed(clients: &[DecisionServiceClient<Channel>]) -> (f64, Vec<Duration>) {
    const WINDOW: u64 = 128;
    let start = Instant::now();
    let one = |mut client: DecisionServiceClient<Channel>| async move {
        let (sender, questions) = tokio::sync::mpsc::channel(2 * WINDOW as usize);
        let ask = |id: u64| v1::CheckStreamRequest { id, check: Some(question(id as usize)) };
        for id in 0..WINDOW {
            sender.send(ask(id)).await.expect("an open stream");
        }
        let questions = tokio_stream::wrappers::ReceiverStream::new(questions);
        let mut answers = client.check_stream(questions).await.expect("a stream").into_inner();
        let mut answered = 0;
        while let Some(answer) = answers.next().await {
            answer.expect("an answer");
            answered += 1;
            if start.elapsed() >= ROUND {
                break;
            }
            sender.send(ask(WINDOW + answered)).await.expect("an open stream");
        }
        answered
    };
    let mut streams: FuturesUnordered<_> = clients.iter().cloned().map(one).collect();
    let mut decisions = 0;
    while let Some(count) = streams.next().await {
        decisions += count;
    }
    (decisions as f64 / start.elapsed().as_secs_f64(), Vec::new())
}

/// What was measured of one service.
#[derive(Default)]
struct Side {
    rates: Vec<f64>,
    latencies: Vec<Duration>,
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// p50 and p99; nothing for streams, where questions overlap.
fn percentiles(latencies: &[Duration]) -> String {
    if latencies.is_empty() {
        return "-".to_owned();
    }
    format!("{:.0} / {:.0}", percentile(latencies, 0.5), percentile(latencies, 0.99))
}

fn percentile(latencies: &[Duration], part: f64) -> f64 {
    let index = ((latencies.len().saturating_sub(1)) as f64 * part) as usize;
    latencies.get(index).map_or(f64::NAN, |latency| latency.as_secs_f64() * 1e6)
}

fn main() {
    let directory = tempfile::tempdir().expect("a directory");
    let (ours, nothing) = (directory.path().join("bindery.sock"), directory.path().join("nothing.sock"));
    serve(DecisionApi::new(store(), Arc::default()), &ours);
    serve(Nothing, &nothing);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let (ours, nothing) = (connect(&ours).await, connect(&nothing).await);
        println!(
            "unix socket, {CONNECTIONS} connections, {IN_FLIGHT} in flight (streams: 1 a connection, window 128), \
             client and server on one thread each, {ROUNDS} rounds of {ROUND:?} in turns, medians"
        );
        let mut table: Vec<(&str, Side, Side)> = Vec::new();
        for shape in ["unary", "batch of 100", "streamed"] {
            let (mut own, mut other) = (Side::default(), Side::default());
            for turn in 0..=ROUNDS {
                for (side, clients) in [(&mut own, &ours), (&mut other, &nothing)] {
                    let (rate, latencies) = match shape {
                        "unary" => unary(clients).await,
                        "batch of 100" => batch(clients).await,
                        _ => streamed(clients).await,
                    };
                    // The first turn warms up.
                    if turn > 0 {
                        side.rates.push(rate);
                        side.latencies.extend(latencies);
                    }
                }
            }
            own.latencies.sort_unstable();
            other.latencies.sort_unstable();
            table.push((shape, own, other));
        }
        println!("| shape | bindery /s | do-nothing /s | ratio | times unary | bindery p50/p99 us | do-nothing p50/p99 us |");
        println!("| --- | --- | --- | --- | --- | --- | --- |");
        let mut unary = None;
        for (shape, own, other) in table {
            let ratio = median(own.rates.iter().zip(&other.rates).map(|(a, b)| a / b).collect());
            let (a, b) = (median(own.rates), median(other.rates));
            let times = a / *unary.get_or_insert(a);
            println!(
                "| {shape} | {a:.0} | {b:.0} | {:.1} % | {times:.1} | {} | {} |",
                ratio * 100.0,
                percentiles(&own.latencies),
                percentiles(&other.latencies)
            );
        }
    });
}
