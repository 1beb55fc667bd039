//! What hostile policies cost others: a thousand checks a second of static bindings, typed policies and an honest
//! expression, alone and while four sorts of hostile expressions are asked without end.
//!
//! Latency counts from the moment at which a check was due, so that one that had to wait for another shows it.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot be set up has nothing to measure")]
#![expect(clippy::print_stdout, reason = "a benchmark prints what it measured")]

#[path = "../tests/hostile/children.rs"]
#[expect(dead_code, reason = "shared with a test, which needs more of it")]
mod children;

use bindery::api::ask::check;
use bindery::evaluators::Evaluators;
use bindery::evaluators::python::{Isolation, PythonOptions};
use bindery::model::Timestamp;
use bindery::proto::v1;
use bindery::store::{Settings, Store};
use bindery::sync::apply::{Update, apply};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use v1::policy::Kind;
use v1::resource::Resource as R;
use v1::target_ref::Target as T;

#[cfg(not(target_env = "msvc"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Checks a second.
const RATE: u32 = 1_000;
/// How long each of the two is measured, after what is not.
const SECONDS: u32 = 12;
const WARM_UP: u32 = 2;

/// What is asked, in turns: half of all has no program in it.
const MIX: [&str; 4] = ["static", "honest", "typed", "honest"];

const HONEST: &str = "if not ak_is_group_member(request.user, name='staff'):\n    ak_message('staff only')\n    return \
                      False\nreturn request.user.email.endswith('@example.com') and regex_match(request.user.username, '^a')";

const HOSTILE: [(&str, &str); 4] = [
    ("endless loop", "while True:\n    try:\n        pass\n    except:\n        pass"),
    ("memory", "a = ['x']\nwhile True:\n    a = a + [str(len(a)) * 100]"),
    ("pattern", "while True:\n    regex_match('a' * 5000 + 'b', r'(a*)*\\1$')"),
    (
        "calls and depth",
        "def a(n):\n    return [a(n + 1)] if n < 300 else ak_call_policy('endless loop')\na(0)\nreturn False",
    ),
];

fn resource(resource: R) -> v1::Resource {
    v1::Resource { resource: Some(resource) }
}

fn application(slug: &str) -> v1::Resource {
    resource(R::Application(v1::Application { slug: slug.into(), ..Default::default() }))
}

fn target(slug: &str) -> Option<v1::TargetRef> {
    Some(v1::TargetRef { target: Some(T::Application(slug.into())) })
}

fn with_policy(slug: &str, kind: Kind) -> [v1::Resource; 3] {
    let policy = v1::Policy { name: slug.into(), kind: Some(kind), ..Default::default() };
    let binding = v1::PolicyBinding { target: target(slug), policy: slug.into(), ..Default::default() };
    [application(slug), resource(R::Policy(policy)), resource(R::PolicyBinding(binding))]
}

fn expression(slug: &str, source: &str) -> [v1::Resource; 3] {
    with_policy(slug, Kind::Expression(v1::ExpressionPolicy { source: source.into(), ..Default::default() }))
}

fn store() -> Store {
    let staff = || v1::GroupRef { name: "staff".into(), ..Default::default() };
    let user = v1::User {
        username: "ada".into(),
        email: "ada@example.com".into(),
        groups: vec![staff()],
        password_change_date: Some(prost_types::Timestamp { seconds: 1_780_000_000, nanos: 0 }),
        ..Default::default()
    };
    let group = v1::Group { name: "staff".into(), ..Default::default() };
    let binding = v1::PolicyBinding { target: target("static"), group: Some(staff()), ..Default::default() };
    let mut resources = vec![
        resource(R::User(user)),
        resource(R::Group(group)),
        application("static"),
        resource(R::PolicyBinding(binding)),
    ];
    let expiry = v1::PasswordExpiryPolicy { days: 90, ..Default::default() };
    resources.extend(with_policy("typed", Kind::PasswordExpiry(expiry)));
    resources.extend(expression("honest", HONEST));
    for (name, source) in HOSTILE {
        resources
            .extend(expression(&name.replace(' ', "-"), &source.replace("endless loop", "endless-loop")));
    }
    let store = Store::new(Settings::default());
    apply(&store, Update::Replace(resources)).unwrap();
    store
}

struct Server {
    store: Store,
    evaluators: Evaluators,
}

impl Server {
    async fn ask(&self, slug: &str) -> v1::Decision {
        let subject = v1::Subject { username: "ada".into(), ..Default::default() };
        let request = v1::CheckRequest { target: target(slug), subject: Some(subject), ..Default::default() };
        check(&self.store, &self.evaluators, request, Timestamp::new(1_780_315_200, 0))
            .await
            .unwrap()
            .decision()
    }
}

/// Asks at a steady rate, and gives how long each took in microseconds, by what was asked.
async fn measure(server: &Arc<Server>) -> Vec<(&'static str, Vec<u128>)> {
    let start = tokio::time::Instant::now();
    let every = Duration::from_secs(1) / RATE;
    let mut asked = JoinSet::new();
    for (index, slug) in (0..RATE * (WARM_UP + SECONDS)).zip(MIX.into_iter().cycle()) {
        let due = start + every * index;
        tokio::time::sleep_until(due).await;
        let server = Arc::clone(server);
        asked.spawn(async move {
            let decision = server.ask(slug).await;
            assert_eq!(decision, v1::Decision::Allow, "{slug}");
            (index, slug, due.elapsed().as_micros())
        });
    }
    let mut times: Vec<(&str, Vec<u128>)> = vec![("static", vec![]), ("typed", vec![]), ("honest", vec![])];
    while let Some(one) = asked.join_next().await {
        let (index, slug, time) = one.unwrap();
        if index >= RATE * WARM_UP {
            times.iter_mut().filter(|(name, _)| *name == slug).for_each(|(_, times)| times.push(time));
        }
    }
    times
}

fn rows(case: &str, times: Vec<(&'static str, Vec<u128>)>) {
    for (name, mut times) in times {
        times.sort_unstable();
        let at = |part: f64| {
            times.get((times.len() as f64 * part) as usize).or(times.last()).copied().unwrap_or(0)
        };
        println!("| {case} | {name} | {} | {} | {} | {} |", times.len(), at(0.5), at(0.99), at(1.0));
    }
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let options = PythonOptions::new(Isolation::Process(env!("CARGO_BIN_EXE_bindery").into()));
    let server =
        Arc::new(Server { store: store(), evaluators: Evaluators::default().with_python(options.clone()) });
    let watch = children::Watch::start();
    runtime.block_on(async {
        println!("{} workers of {} MiB, limit {:?}", options.workers, options.memory >> 20, options.limit);
        println!("| case | asked | checks | p50, µs | p99, µs | longest, µs |\n| --- | --- | --- | --- | --- | --- |");
        rows("alone", measure(&server).await);
        let mut siege = JoinSet::new();
        let started = Instant::now();
        let ended = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        for (name, _) in HOSTILE {
            for _ in 0..2 {
                let (server, ended) = (Arc::clone(&server), Arc::clone(&ended));
                siege.spawn(async move {
                    loop {
                        assert_eq!(server.ask(&name.replace(' ', "-")).await, v1::Decision::Deny);
                        ended.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    }
                });
            }
        }
        rows("beside hostile policies", measure(&server).await);
        let count = ended.load(std::sync::atomic::Ordering::Relaxed);
        println!("{count} hostile questions ended in {:.1} s", started.elapsed().as_secs_f64());
        siege.shutdown().await;
    });
    println!("the largest worker took {} MiB", watch.highest() >> 20);
}
