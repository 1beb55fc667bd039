//! What a configuration costs in memory: resident set before and after 200,000 targets with 5 static bindings each,
//! cold and once each target was asked about. Linux only: read from `/proc/self/status`.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a program for people that prints what it measured"
)]

use bindery::decision::{Outcome, decide};
use bindery::model::{Context, Explain, Question, Scope, Subject, TargetKind, TargetRef, Timestamp};
use bindery::proto::v1;
use bindery::store::{Settings, Store};
use bindery::sync::apply::{Update, apply};
use v1::resource::Resource as R;

#[cfg(not(target_env = "msvc"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const TARGETS: usize = 200_000;
const BINDINGS: i32 = 5;

fn resident_kib() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").trim().parse().ok()).unwrap_or(0)
}

/// Ids as authentik has them.
fn uuid(number: usize) -> String {
    format!("{:08x}-0000-4000-8000-{:012x}", number.wrapping_mul(2_654_435_761) & 0xffff_ffff, number)
}

fn one_target(target: usize) -> Vec<v1::Resource> {
    let slug = format!("application-{target}");
    let id = uuid(target);
    let mut resources = vec![v1::Resource {
        resource: Some(R::Application(v1::Application { id: id.clone(), slug, ..Default::default() })),
    }];
    resources.extend((0..BINDINGS).map(|order| {
        let group = v1::GroupRef {
            id: uuid(900_000_000 + (target * 5 + order as usize) % 1_000),
            ..Default::default()
        };
        let binding = v1::PolicyBinding {
            id: uuid(100_000_000 + target * 5 + order as usize),
            target: Some(v1::TargetRef { target: Some(v1::target_ref::Target::Application(id.clone())) }),
            group: Some(group),
            order,
            ..Default::default()
        };
        v1::Resource { resource: Some(R::PolicyBinding(binding)) }
    }));
    resources
}

fn main() {
    let store = Store::new(Settings::default());
    let before = resident_kib();
    // In portions, as a stream brings them, so that the messages do not stay resident with the configuration.
    for portion in (0..TARGETS).collect::<Vec<_>>().chunks(1_000) {
        let upserts = portion.iter().flat_map(|target| one_target(*target)).collect();
        apply(&store, Update::Delta { upserts, removals: vec![] }).expect("a valid configuration");
    }
    let cold = resident_kib();
    for target in 0..TARGETS {
        let question = Question {
            target: TargetRef::Named(TargetKind::Application, format!("application-{target}")),
            subject: Subject { username: Some("alice".into()), ..Subject::default() },
            context: Context::at(Timestamp::new(0, 0)),
            scope: Scope::WithParents,
            explain: Explain::None,
            full_evaluation: false,
        };
        let snapshot = store.load();
        let member = snapshot.member(&question.subject);
        assert!(matches!(decide(&*snapshot, &question, &member, &[], None), Ok(Outcome::Decided(_))));
    }
    let hot = resident_kib();
    assert_eq!(store.hot_stats().len, 0, "so few bindings are decided as they are kept");
    let bindings = TARGETS * BINDINGS as usize;
    let report = |name: &str, kib: usize| {
        let bytes = kib.saturating_sub(before) * 1024 / bindings;
        println!("{name:<28} {:>7.1} MiB resident, {bytes:>4} bytes a binding", kib as f64 / 1024.0);
    };
    println!("{TARGETS} targets with {BINDINGS} static bindings each");
    println!("{:<28} {:>7.1} MiB resident", "empty", before as f64 / 1024.0);
    report("configuration", cold);
    report("after a question about each", hot);
}
