//! What keeping many sidecars up to date costs: from a push to its enforcement by size, a whole snapshot in time and
//! memory, questions while one arrives, and one hub with a thousand followers. `cargo bench --bench sync -- SIZE…` takes
//! other sizes than 1,000, 100,000 and 1,000,000 bindings.

#![expect(clippy::expect_used, reason = "a benchmark that cannot be set up has nothing to measure")]
#![expect(clippy::print_stdout, reason = "a program for people that prints what it measured")]

use bindery::model::Version;
use bindery::proto::v1;
use bindery::proto::v1::decision_service_client::DecisionServiceClient;
use bindery::proto::v1::sync_service_client::SyncServiceClient;
use bindery::store::{Settings, Store};
use bindery::sync::apply::Update;
use bindery::sync::follow::{FollowOptions, Network, endpoint, follow};
use bindery::sync::ledger::Ledger;
use bindery::sync::protocol::{CHUNK, MAX_MESSAGE, node, version};
use bindery::sync::service::{SyncApi, SyncOptions};
use bindery::sync::sink::Nobody;
use bytes::Bytes;
use futures_util::StreamExt;
use prost::Message as _;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::{ReceiverStream, UnixListenerStream};
use tonic::Streaming;
use tonic::transport::Channel;
use v1::resource::Resource as R;
use v1::sink_message::Message as Said;
use v1::source_message::Message;

#[cfg(not(target_env = "msvc"))]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Bindings of one target.
const EACH: usize = 5;
/// Changes that are measured.
const CHANGES: u64 = 2_000;
/// Followers of one hub.
const FOLLOWERS: usize = 1_000;
/// Questions a second, while a snapshot arrives.
const RATE: u32 = 1_000;
const EPOCH: u64 = 42;

/// Ids as authentik has them.
fn uuid(number: usize) -> String {
    format!("{:08x}-0000-4000-8000-{:012x}", number.wrapping_mul(2_654_435_761) & 0xffff_ffff, number)
}

fn encoded(resource: R) -> Bytes {
    v1::Resource { resource: Some(resource) }.encode_to_vec().into()
}

fn binding(number: usize, enabled: bool) -> R {
    let target = v1::target_ref::Target::Application(uuid(number / EACH));
    R::PolicyBinding(v1::PolicyBinding {
        id: uuid(100_000_000 + number),
        target: Some(v1::TargetRef { target: Some(target) }),
        group: Some(v1::GroupRef { id: uuid(900_000_000 + number % 1_000), ..Default::default() }),
        order: i32::try_from(number % EACH).unwrap_or_default(),
        enabled: (!enabled).then_some(false),
        ..Default::default()
    })
}

fn application(number: usize) -> R {
    let (id, slug) = (uuid(number), format!("application-{number}"));
    R::Application(v1::Application { id, slug, ..Default::default() })
}

/// A whole configuration of so many bindings.
fn world(bindings: usize) -> Vec<Bytes> {
    let applications = (0..bindings.div_ceil(EACH)).map(|number| encoded(application(number)));
    applications.chain((0..bindings).map(|number| encoded(binding(number, true)))).collect()
}

/// A publisher's stream.
struct Push {
    to: mpsc::Sender<v1::PushRequest>,
    from: Streaming<v1::PushResponse>,
}

impl Push {
    async fn connect(address: &str) -> Self {
        let channel = endpoint(address).expect("an address").connect().await.expect("a connection");
        let mut client = SyncServiceClient::new(channel).max_encoding_message_size(MAX_MESSAGE);
        let (to, messages) = mpsc::channel(64);
        let mut push = {
            let hello = v1::SourceHello { protocol: 1, node: Some(node("bench")), ..Default::default() };
            let hello = v1::SourceMessage { message: Some(Message::Hello(hello)) };
            to.send(v1::PushRequest { message: Some(hello) }).await.expect("room");
            let answer = client.push(ReceiverStream::new(messages)).await.expect("accepted");
            Self { to, from: answer.into_inner() }
        };
        assert!(matches!(push.hear().await, Said::Hello(_)));
        push
    }

    async fn say(&self, message: Message) {
        let message = v1::SourceMessage { message: Some(message) };
        self.to.send(v1::PushRequest { message: Some(message) }).await.expect("a stream");
    }

    async fn hear(&mut self) -> Said {
        loop {
            let message = self.from.next().await.expect("a stream").expect("no error").message;
            match message.and_then(|it| it.message).expect("a message") {
                Said::Heartbeat(_) => {}
                other => return other,
            }
        }
    }

    /// Sends everything, and waits until it is in force.
    async fn snapshot(&mut self, resources: &[Bytes], revision: u64) {
        let at = Some(version(Version { epoch: EPOCH, revision }));
        let count = resources.len() as u64;
        let kind = v1::UpdateKind::Snapshot.into();
        self.say(Message::Begin(v1::Begin { kind, version: at, count, ..Default::default() })).await;
        let (mut chunk, mut size) = (v1::Chunk::default(), 0);
        for resource in resources {
            size += resource.len();
            chunk.upserts.push(resource.clone());
            if size >= CHUNK {
                self.say(Message::Chunk(std::mem::take(&mut chunk))).await;
                size = 0;
            }
        }
        self.say(Message::Chunk(chunk)).await;
        self.say(Message::Commit(v1::Commit { count, digest: None })).await;
        let answer = self.hear().await;
        assert!(matches!(answer, Said::Ack(_)), "{answer:?}");
    }

    async fn change(&self, number: usize, revision: u64) {
        let at = |revision| Some(version(Version { epoch: EPOCH, revision }));
        let upserts = vec![encoded(binding(number, revision.is_multiple_of(2)))];
        let (base, version) = (at(revision - 1), at(revision));
        self.say(Message::Delta(v1::Delta { base, version, upserts, ..Default::default() })).await;
    }
}

fn options(node: &str) -> SyncOptions {
    let (node, heartbeat) = (node.to_owned(), Duration::from_secs(10));
    SyncOptions { node, closed_to_publishers: None, max_followers: 100_000, heartbeat }
}

/// A server of this process, on a thread of its own.
fn serve(ledger: &Arc<Ledger>, path: &Path) -> (String, watch::Sender<bool>) {
    let (stop, stopping) = watch::channel(false);
    let service = SyncApi::new(Arc::clone(ledger), options("hub"), stopping).into_service();
    let listener = std::os::unix::net::UnixListener::bind(path).expect("a socket");
    listener.set_nonblocking(true).expect("a socket");
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async move {
            let incoming = UnixListenerStream::new(tokio::net::UnixListener::from_std(listener).expect("it"));
            let server = tonic::transport::Server::builder().add_service(service);
            server.serve_with_incoming(incoming).await.expect("it serves");
        });
    });
    (format!("unix://{}", path.display()), stop)
}

fn at(times: &mut [Duration], part: f64) -> String {
    times.sort_unstable();
    let index = ((times.len() as f64 * part) as usize).min(times.len().saturating_sub(1));
    let time = times.get(index).copied().unwrap_or_default();
    format!("{:.2} ms", time.as_secs_f64() * 1_000.0)
}

fn by_size(runtime: &Runtime, sizes: &[usize]) {
    println!("\n## From a push to its enforcement, one changed binding\n");
    println!("| bindings | whole snapshot | enforced p50 | p99 | longest | acknowledged p50 | p99 |");
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    for size in sizes {
        let directory = tempfile::tempdir().expect("a directory");
        let ledger = Arc::new(Ledger::new(Arc::new(Store::new(Settings::default()))));
        let (address, _stop) = serve(&ledger, &directory.path().join("s"));
        runtime.block_on(async {
            let mut push = Push::connect(&address).await;
            let resources = world(*size);
            let start = Instant::now();
            push.snapshot(&resources, 1).await;
            let whole = start.elapsed();
            let (mut enforced, mut acknowledged) = (Vec::new(), Vec::new());
            for revision in 2..CHANGES + 2 {
                let number = (revision as usize).wrapping_mul(7_919) % size;
                let start = Instant::now();
                push.change(number, revision).await;
                ledger.store().reach(revision, Duration::from_secs(10)).await;
                enforced.push(start.elapsed());
                assert!(matches!(push.hear().await, Said::Ack(_)));
                acknowledged.push(start.elapsed());
                // As changes come, not as fast as they can.
                tokio::time::sleep(Duration::from_micros(500)).await;
            }
            println!(
                "| {size} | {:.2} s | {} | {} | {} | {} | {} |",
                whole.as_secs_f64(),
                at(&mut enforced, 0.5),
                at(&mut enforced, 0.99),
                at(&mut enforced, 1.0),
                at(&mut acknowledged, 0.5),
                at(&mut acknowledged, 0.99)
            );
        });
    }
}

/// The real server, in a process of its own.
struct Sidecar {
    child: Child,
    directory: tempfile::TempDir,
}

impl Drop for Sidecar {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}

impl Sidecar {
    fn start() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let path = |name: &str| directory.path().join(name);
        let child = Command::new(env!("CARGO_BIN_EXE_bindery"))
            .args(["serve", "--listen", "none", "--log-level", "error", "--socket"])
            .arg(path("q"))
            .arg("--sync-socket")
            .arg(path("s"))
            .spawn()
            .expect("a process");
        while !path("s").exists() || !path("q").exists() {
            std::thread::sleep(Duration::from_millis(5));
        }
        Self { child, directory }
    }

    fn address(&self, name: &str) -> String {
        format!("unix://{}", self.directory.path().join(name).display())
    }

    /// A line of the process's status, in bytes.
    fn memory(&self, line: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("a process");
        let found = status.lines().find_map(|it| it.strip_prefix(line)).expect("a line");
        let kib: u64 = found.trim().trim_end_matches(" kB").trim().parse().expect("a number");
        kib * 1_024
    }
}

/// Asks at a steady rate until `stop`, and gives how long each took, from when it was due.
async fn questions(address: String, stop: watch::Receiver<bool>) -> Vec<Duration> {
    let channel: Channel = endpoint(&address).expect("an address").connect().await.expect("a connection");
    let client = DecisionServiceClient::new(channel);
    let start = tokio::time::Instant::now();
    let mut asked = tokio::task::JoinSet::new();
    for number in 0_u32.. {
        let due = start + Duration::from_secs(1) / RATE * number;
        tokio::time::sleep_until(due).await;
        if *stop.borrow() {
            break;
        }
        let mut client = client.clone();
        asked.spawn(async move {
            let target = v1::target_ref::Target::Application(format!("application-{}", number % 1_000));
            let request = v1::CheckRequest {
                target: Some(v1::TargetRef { target: Some(target) }),
                subject: Some(v1::Subject { username: "ada".into(), ..Default::default() }),
                ..Default::default()
            };
            client.check(request).await.expect("an answer");
            due.elapsed()
        });
    }
    asked.join_all().await
}

fn whole(runtime: &Runtime, size: usize) {
    let sidecar = Sidecar::start();
    let empty = sidecar.memory("VmRSS:");
    let resources = world(size);
    let bytes: u64 = resources.iter().map(|it| it.len() as u64).sum();
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    println!(
        "\n## A whole snapshot of {size} bindings, {:.0} MiB encoded, into a server of its own\n",
        mib(bytes)
    );
    runtime.block_on(async {
        let mut push = Push::connect(&sidecar.address("s")).await;
        let start = Instant::now();
        push.snapshot(&resources, 1).await;
        let first = start.elapsed();
        let (peak, resident) = (sidecar.memory("VmHWM:"), sidecar.memory("VmRSS:"));
        println!("| | |\n| --- | --- |");
        println!("| first snapshot | {:.2} s |", first.as_secs_f64());
        println!("| resident before | {:.0} MiB |", mib(empty));
        println!("| peak | {:.0} MiB, {:.2} x encoded |", mib(peak), peak as f64 / bytes as f64);
        println!(
            "| resident after | {:.0} MiB, {:.2} x encoded |",
            mib(resident),
            resident as f64 / bytes as f64
        );
        let (stop, stopped) = watch::channel(false);
        let asking = tokio::spawn(questions(sidecar.address("q"), stopped));
        tokio::time::sleep(Duration::from_secs(5)).await;
        stop.send_replace(true);
        let mut quiet = asking.await.expect("answers");
        let (stop, stopped) = watch::channel(false);
        let asking = tokio::spawn(questions(sidecar.address("q"), stopped));
        let start = Instant::now();
        push.snapshot(&resources, 2).await;
        let second = start.elapsed();
        stop.send_replace(true);
        let mut busy = asking.await.expect("answers");
        println!("| the same once more, under {RATE} questions a second | {:.2} s |", second.as_secs_f64());
        println!("| peak then | {:.0} MiB |", mib(sidecar.memory("VmHWM:")));
        println!(
            "| questions, quiet: p50, p99, longest | {}, {}, {} |",
            at(&mut quiet, 0.5),
            at(&mut quiet, 0.99),
            at(&mut quiet, 1.0)
        );
        println!(
            "| questions, while it arrives: p50, p99, longest | {}, {}, {} |",
            at(&mut busy, 0.5),
            at(&mut busy, 0.99),
            at(&mut busy, 1.0)
        );
    });
}

fn fan_out(runtime: &Runtime) {
    println!("\n## One hub, {FOLLOWERS} followers of this process, one changed binding among 1,000\n");
    let directory = tempfile::tempdir().expect("a directory");
    let history = Version { epoch: EPOCH, revision: 0 };
    let ledger = Arc::new(Ledger::new(Arc::new(Store::with_history(Settings::default(), history))));
    let resources: Vec<v1::Resource> =
        world(1_000).iter().map(|bytes| v1::Resource::decode(&**bytes).expect("a resource")).collect();
    ledger.update(Update::Replace(resources)).expect("a valid configuration");
    let (address, _stop) = serve(&ledger, &directory.path().join("s"));
    runtime.block_on(async {
        let start = Instant::now();
        let stores: Vec<Arc<Store>> = (0..FOLLOWERS)
            .map(|number| {
                let store = Arc::new(Store::new(Settings::default()));
                let follower = Arc::new(Ledger::new(Arc::clone(&store)));
                let options = FollowOptions::new(vec![address.clone()], format!("follower-{number}"));
                let network = Network { connect_timeout: Duration::from_secs(60) };
                let options = FollowOptions { connect_timeout: Duration::from_secs(60), ..options };
                tokio::spawn(follow(follower, options, network, Nobody));
                store
            })
            .collect();
        for store in &stores {
            store.reach(1, Duration::from_secs(120)).await;
        }
        println!("| | |\n| --- | --- |");
        println!("| all connected and level | {:.2} s |", start.elapsed().as_secs_f64());
        let (mut single, mut last) = (Vec::new(), Vec::new());
        for revision in 2..52_u64 {
            let upserts = vec![v1::Resource { resource: Some(binding(7, revision.is_multiple_of(2))) }];
            let start = Instant::now();
            let waiting = stores.iter().map(|store| {
                let store = Arc::clone(store);
                tokio::spawn(async move {
                    store.reach(revision, Duration::from_secs(30)).await;
                    start.elapsed()
                })
            });
            let waiting: Vec<_> = waiting.collect();
            ledger.update(Update::Delta { upserts, removals: Vec::new() }).expect("valid");
            let mut all = Vec::new();
            for one in waiting {
                all.push(one.await.expect("a time"));
            }
            last.extend(all.iter().max().copied());
            single.extend(all);
        }
        println!(
            "| enforced at one follower: p50, p99 | {}, {} |",
            at(&mut single, 0.5),
            at(&mut single, 0.99)
        );
        println!(
            "| enforced at the last one: p50, longest | {}, {} |",
            at(&mut last, 0.5),
            at(&mut last, 1.0)
        );
    });
}

fn main() {
    let sizes: Vec<usize> = std::env::args().filter_map(|it| it.parse().ok()).collect();
    let sizes = if sizes.is_empty() { vec![1_000, 100_000, 1_000_000] } else { sizes };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    by_size(&runtime, &sizes);
    whole(&runtime, sizes.last().copied().unwrap_or(1_000));
    fan_out(&runtime);
}
