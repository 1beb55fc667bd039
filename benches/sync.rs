//! What keeping many sidecars up to date costs: from a push to its enforcement by size, a whole snapshot in time and
//! memory, questions while one arrives, a start from the last-good file, and one hub with a thousand followers.
//! `cargo bench --bench sync -- push snapshot start fan-out SIZE…` runs only the parts that are named, and takes other sizes
//! than 1,000, 100,000 and 1,000,000 bindings.

#![expect(clippy::expect_used, reason = "a benchmark that cannot be set up has nothing to measure")]
#![expect(clippy::print_stdout, reason = "a program for people that prints what it measured")]

use bindery::model::Version;
use bindery::proto::v1;
use bindery::proto::v1::decision_service_client::DecisionServiceClient;
use bindery::proto::v1::sync_service_client::SyncServiceClient;
use bindery::store::{Settings, Store};
use bindery::sync::follow::{FollowOptions, Network, endpoint, follow};
use bindery::sync::ledger::Ledger;
use bindery::sync::protocol::{CHUNK, MAX_MESSAGE, node, version};
use bindery::sync::service::{SyncApi, SyncOptions};
use bindery::sync::sink::Nobody;
use bindery::tls::client::Credentials;
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
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Bindings of one target.
const EACH: usize = 5;
/// Changes that are measured.
const CHANGES: u64 = 2_000;
/// Followers of one hub.
const FOLLOWERS: usize = 1_000;
/// Questions a second, while a snapshot arrives.
const RATE: u32 = 1_000;
/// Changes that go to all followers.
const FANNED: u64 = 50;
/// Starts that are measured for each size.
const STARTS: usize = 9;
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

/// A server that has its sockets, and perhaps a last-good file, in this directory.
fn spawn(directory: &Path, last_good: bool) -> Child {
    let path = |name: &str| directory.join(name);
    let mut command = Command::new(env!("CARGO_BIN_EXE_bindery"));
    command.args(["serve", "--listen", "none", "--log-level", "error", "--socket"]);
    command.arg(path("q")).arg("--sync-socket").arg(path("s"));
    if last_good {
        command.arg("--last-good").arg(path("last"));
    }
    command.spawn().expect("a process")
}

impl Sidecar {
    fn start(last_good: bool) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let child = spawn(directory.path(), last_good);
        let started = Self { child, directory };
        while !started.path("s").exists() || !started.path("q").exists() {
            std::thread::sleep(Duration::from_millis(5));
        }
        started
    }

    /// A hub with a configuration of a thousand bindings to come.
    fn hub() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let child = Command::new(env!("CARGO_BIN_EXE_bindery"))
            .args(["hub", "--log-level", "error", "--max-followers", "100000", "--sync-socket"])
            .arg(directory.path().join("s"))
            .spawn()
            .expect("a process");
        let started = Self { child, directory };
        while !started.path("s").exists() {
            std::thread::sleep(Duration::from_millis(5));
        }
        started
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.directory.path().join(name)
    }

    /// The time that the process had on processors.
    fn processor_time(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("a process");
        let after_name = stat.rsplit(')').next().expect("fields");
        let ticks: u64 = after_name
            .split_whitespace()
            .skip(11)
            .take(2)
            .map(|it| it.parse::<u64>().expect("a number"))
            .sum();
        // As every Linux counts them.
        Duration::from_millis(ticks * 10)
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

/// A question about an application.
fn request(number: usize) -> v1::CheckRequest {
    let target = v1::target_ref::Target::Application(format!("application-{number}"));
    v1::CheckRequest {
        target: Some(v1::TargetRef { target: Some(target) }),
        subject: Some(v1::Subject { username: "ada".into(), ..Default::default() }),
        ..Default::default()
    }
}

/// Asks at a steady rate until `stop`, and gives how long each took, from when it was due.
async fn questions(address: String, applications: usize, stop: watch::Receiver<bool>) -> Vec<Duration> {
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
            let number = number as usize % applications.min(1_000);
            client.check(request(number)).await.expect("an answer");
            due.elapsed()
        });
    }
    asked.join_all().await
}

fn whole(runtime: &Runtime, size: usize) {
    let sidecar = Sidecar::start(false);
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
        let asking = tokio::spawn(questions(sidecar.address("q"), size.div_ceil(EACH), stopped));
        tokio::time::sleep(Duration::from_secs(5)).await;
        stop.send_replace(true);
        let mut quiet = asking.await.expect("answers");
        let (stop, stopped) = watch::channel(false);
        let asking = tokio::spawn(questions(sidecar.address("q"), size.div_ceil(EACH), stopped));
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

/// From the last-good file of a server that was killed to its first answer.
fn starts(runtime: &Runtime, sizes: &[usize]) {
    println!("\n## A start from the last-good file, after kill -9\n");
    println!("| bindings | file | first answer after: median of {STARTS} | longest |");
    println!("| --- | --- | --- | --- |");
    for size in sizes {
        let mut sidecar = Sidecar::start(true);
        let mut times = Vec::new();
        let resources = world(*size);
        runtime.block_on(async {
            Push::connect(&sidecar.address("s")).await.snapshot(&resources, 1).await;
        });
        for _ in 0..STARTS {
            sidecar.child.kill().expect("a process");
            sidecar.child.wait().expect("a process");
            std::fs::remove_file(sidecar.path("q")).expect("a socket");
            let start = Instant::now();
            sidecar.child = spawn(sidecar.directory.path(), true);
            runtime.block_on(async {
                let endpoint = endpoint(&sidecar.address("q")).expect("an address");
                loop {
                    if let Ok(channel) = endpoint.connect().await
                        && DecisionServiceClient::new(channel).check(request(0)).await.is_ok()
                    {
                        break;
                    }
                    tokio::time::sleep(Duration::from_micros(500)).await;
                }
            });
            times.push(start.elapsed());
        }
        let file = std::fs::metadata(sidecar.path("last")).expect("a file").len();
        println!(
            "| {size} | {:.1} MiB | {} | {} |",
            file as f64 / f64::from(1 << 20),
            at(&mut times, 0.5),
            at(&mut times, 1.0)
        );
    }
}

fn fan_out(runtime: &Runtime) {
    println!(
        "\n## One hub in a process of its own, {FOLLOWERS} followers in this one, one changed binding among 1,000\n"
    );
    let hub = Sidecar::hub();
    let address = hub.address("s");
    runtime.block_on(async {
        let mut push = Push::connect(&address).await;
        push.snapshot(&world(1_000), 1).await;
        let (alone, start) = (hub.memory("VmRSS:"), Instant::now());
        let stores: Vec<Arc<Store>> = (0..FOLLOWERS)
            .map(|number| {
                let store = Arc::new(Store::new(Settings::default()));
                let follower = Arc::new(Ledger::new(Arc::clone(&store)));
                let options = FollowOptions::new(vec![address.clone()], format!("follower-{number}"));
                let network =
                    Network { connect_timeout: Duration::from_secs(60), credentials: Credentials::default() };
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
        let each = hub.memory("VmRSS:").saturating_sub(alone) as f64 / FOLLOWERS as f64 / 1_024.0;
        println!("| memory of the hub for each | {each:.0} KiB |");
        let (mut single, mut last) = (Vec::new(), Vec::new());
        let before = hub.processor_time();
        for revision in 2..FANNED + 2 {
            let start = Instant::now();
            let waiting: Vec<_> = stores
                .iter()
                .map(|store| {
                    let store = Arc::clone(store);
                    tokio::spawn(async move {
                        store.reach(revision, Duration::from_secs(30)).await;
                        start.elapsed()
                    })
                })
                .collect();
            push.change(7, revision).await;
            let mut all = Vec::new();
            for one in waiting {
                all.push(one.await.expect("a time"));
            }
            last.extend(all.iter().max().copied());
            single.extend(all);
        }
        let spent = (hub.processor_time() - before).as_secs_f64() * 1e6 / (FANNED as f64 * FOLLOWERS as f64);
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
        println!("| processor time of the hub for each change and follower | {spent:.1} us |");
    });
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let sizes: Vec<usize> = arguments.iter().filter_map(|it| it.parse().ok()).collect();
    let sizes = if sizes.is_empty() { vec![1_000, 100_000, 1_000_000] } else { sizes };
    let parts = ["push", "snapshot", "start", "fan-out"];
    let named = arguments.iter().any(|it| parts.contains(&it.as_str()));
    let wanted = |part: &str| !named || arguments.iter().any(|it| it == part);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    if wanted("push") {
        by_size(&runtime, &sizes);
    }
    if wanted("snapshot") {
        whole(&runtime, sizes.last().copied().unwrap_or(1_000));
    }
    if wanted("start") {
        starts(&runtime, &sizes);
    }
    if wanted("fan-out") {
        fan_out(&runtime);
    }
}
