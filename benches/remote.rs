//! What a remote policy costs: a question with one, over a unix socket to an evaluator that answers at once, beside the
//! same question with a local policy. The evaluator runs in this process, on a runtime of its own.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a program for people; one that cannot be set up has nothing to measure"
)]

use bindery::api::ask::{check, now};
use bindery::evaluators::Evaluators;
use bindery::proto::v1;
use bindery::proto::v1::policy_evaluator_server::{PolicyEvaluator, PolicyEvaluatorServer};
use bindery::store::{Settings, Store};
use bindery::sync::apply::{Update, apply};
use futures_util::stream::{FuturesUnordered, StreamExt};
use std::time::{Duration, Instant};
use tokio::net::UnixListener;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status};
use v1::resource::Resource as R;
use v1::target_ref::Target as T;

#[cfg(not(target_env = "msvc"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const WARM_UP: usize = 2_000;
const ROUND: Duration = Duration::from_secs(3);
const IN_FLIGHT: usize = 64;

struct Passes;

#[tonic::async_trait]
impl PolicyEvaluator for Passes {
    async fn evaluate(
        &self,
        _: Request<v1::EvaluatePolicyRequest>,
    ) -> Result<Response<v1::EvaluatePolicyResponse>, Status> {
        Ok(Response::new(v1::EvaluatePolicyResponse { passing: true, ..Default::default() }))
    }
}

fn store(kind: v1::policy::Kind) -> Store {
    let group = |name: &str| v1::GroupRef { name: name.into(), ..Default::default() };
    let resources = [
        R::Group(v1::Group { name: "staff".into(), ..Default::default() }),
        R::User(v1::User { username: "alice".into(), groups: vec![group("staff")], ..Default::default() }),
        R::Application(v1::Application { slug: "wiki".into(), ..Default::default() }),
        R::Policy(v1::Policy { name: "p".into(), kind: Some(kind), ..Default::default() }),
        R::PolicyBinding(v1::PolicyBinding {
            target: Some(v1::TargetRef { target: Some(T::Application("wiki".into())) }),
            policy: "p".into(),
            ..Default::default()
        }),
    ];
    let resources = resources.into_iter().map(|it| v1::Resource { resource: Some(it) }).collect();
    let store = Store::new(Settings::default());
    apply(&store, Update::Replace(resources)).expect("a valid configuration");
    store
}

fn question() -> v1::CheckRequest {
    v1::CheckRequest {
        target: Some(v1::TargetRef { target: Some(T::Application("wiki".into())) }),
        subject: Some(v1::Subject { username: "alice".into(), ..Default::default() }),
        ..Default::default()
    }
}

async fn ask(store: &Store, evaluators: &Evaluators) {
    let answer = check(store, evaluators, question(), now()).await.expect("an answer");
    assert_eq!(answer.decision(), v1::Decision::Allow, "{:?}", answer.messages);
}

/// One after the other: the times that single questions take.
async fn alone(store: &Store, evaluators: &Evaluators) -> String {
    for _ in 0..WARM_UP {
        ask(store, evaluators).await;
    }
    let (begun, mut times) = (Instant::now(), Vec::new());
    while begun.elapsed() < ROUND {
        let start = Instant::now();
        ask(store, evaluators).await;
        times.push(start.elapsed());
    }
    times.sort_unstable();
    let at = |part: usize| times.get(times.len() * part / 1_000).copied().unwrap_or_default();
    format!("half below {:?}, 99 % below {:?}, 99.9 % below {:?}", at(500), at(990), at(999))
}

/// Many at a time: how many a second.
async fn together(store: &Store, evaluators: &Evaluators) -> f64 {
    let (begun, mut count) = (Instant::now(), 0_u32);
    let mut asking: FuturesUnordered<_> = (0..IN_FLIGHT).map(|_| ask(store, evaluators)).collect();
    while begun.elapsed() < ROUND {
        asking.next().await;
        count += 1;
        asking.push(ask(store, evaluators));
    }
    f64::from(count) / begun.elapsed().as_secs_f64()
}

fn main() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("s");
    let runtime = || tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let (serving, asking) = (runtime().expect("a runtime"), runtime().expect("a runtime"));
    let listener = serving.block_on(async { UnixListener::bind(&path) }).expect("a socket");
    serving.spawn(
        Server::builder()
            .add_service(PolicyEvaluatorServer::new(Passes))
            .serve_with_incoming(UnixListenerStream::new(listener)),
    );
    let remote = v1::RemotePolicy { address: format!("unix:{}", path.display()), ..Default::default() };
    let remote = store(v1::policy::Kind::Remote(remote));
    let local = store(v1::policy::Kind::Dummy(v1::DummyPolicy { result: true, ..Default::default() }));
    let evaluators = Evaluators::default();
    asking.block_on(async {
        println!("local policy:  {}", alone(&local, &evaluators).await);
        println!("remote policy: {}", alone(&remote, &evaluators).await);
        let rate = together(&remote, &evaluators).await;
        println!("remote policy, {IN_FLIGHT} questions at a time: {rate:.0} a second");
    });
}
