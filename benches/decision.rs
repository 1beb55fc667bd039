//! What a decision costs: by the number of static bindings, by kind of policy, and deriving the next snapshot.
//!
//! Each figure is a whole decision as a front door makes it, from the model's question: taking the snapshot, finding
//! the target, resolving the subject against the directory, evaluating, and giving the answer.

#![expect(clippy::expect_used, reason = "a benchmark that cannot be set up has nothing to measure")]

use bindery::decision::{Outcome, decide};
use bindery::model::{
    Context, Event, Explain, Question, Scope, Subject, TargetKind, TargetRef, Timestamp, Value,
};
use bindery::proto::v1;
use bindery::store::{Settings, Store};
use bindery::sync::apply::{Update, apply};
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use std::collections::BTreeMap;
use std::hint::black_box;
use v1::policy::Kind;
use v1::resource::Resource as R;

fn resource(resource: R) -> v1::Resource {
    v1::Resource { resource: Some(resource) }
}

fn application(slug: &str) -> v1::Resource {
    resource(R::Application(v1::Application { slug: slug.into(), ..Default::default() }))
}

fn bind(slug: &str, order: i32) -> v1::PolicyBinding {
    let target = Some(v1::TargetRef { target: Some(v1::target_ref::Target::Application(slug.into())) });
    v1::PolicyBinding { target, order, ..Default::default() }
}

fn named(name: String) -> v1::GroupRef {
    v1::GroupRef { name, ..Default::default() }
}

fn group_binding(slug: &str, order: i32, group: String) -> v1::Resource {
    resource(R::PolicyBinding(v1::PolicyBinding { group: Some(named(group)), ..bind(slug, order) }))
}

/// Somebody in five groups, each with two ancestors.
fn directory() -> Vec<v1::Resource> {
    let group = |name: String, parents: Vec<String>| {
        let parents = parents.into_iter().map(named).collect();
        resource(R::Group(v1::Group { name, parents, ..Default::default() }))
    };
    let mut resources = Vec::new();
    for index in 0..5 {
        resources.push(group(format!("team-{index}"), vec![format!("unit-{index}")]));
        resources.push(group(format!("unit-{index}"), vec![format!("area-{index}")]));
        resources.push(group(format!("area-{index}"), vec![]));
    }
    let groups = (0..5).map(|index| named(format!("team-{index}"))).collect();
    let changed = Some(prost_types::Timestamp { seconds: 1_760_000_000, nanos: 0 });
    let user = v1::User {
        username: "alice".into(),
        groups,
        password_change_date: changed,
        last_login: changed,
        ..Default::default()
    };
    resources.push(resource(R::User(user)));
    resources
}

/// One target for each number of bindings; only the last binding passes, so that all are looked at.
fn static_store() -> Store {
    let mut resources = directory();
    for count in [1, 5, 1_000] {
        let slug = format!("app-{count}");
        resources.push(application(&slug));
        for order in 1..count {
            resources.push(group_binding(&slug, order, format!("other-{order}")));
        }
        resources.push(group_binding(&slug, count, "area-4".into()));
    }
    load(resources)
}

fn load(resources: Vec<v1::Resource>) -> Store {
    let store = Store::new(Settings::default());
    apply(&store, Update::Replace(resources)).expect("a valid configuration");
    store
}

fn question(slug: &str) -> Question {
    let map = |entries: Vec<(&str, Value)>| {
        Value::Map(entries.into_iter().map(|(key, value)| (key.into(), value)).collect::<BTreeMap<_, _>>())
    };
    let mut context = Context::at(Timestamp::new(1_760_000_100, 0));
    context.client_ip = Some("192.0.2.7".parse().expect("an address"));
    context.values = map(vec![
        ("prompt_data", map(vec![("password", Value::String("Tr0ub4dor&3".into()))])),
        ("level", Value::Number(4.0)),
        ("word", Value::String("hello".into())),
    ]);
    context.event =
        Some(Event { action: "login_failed".into(), app: "authentik.core".into(), ..Event::default() });
    Question {
        target: TargetRef::Named(TargetKind::Application, slug.into()),
        subject: Subject { username: Some("alice".into()), ..Subject::default() },
        context,
        scope: Scope::WithParents,
        explain: Explain::None,
        full_evaluation: false,
    }
}

fn ask(store: &Store, question: &Question) -> bool {
    let snapshot = store.load();
    let member = snapshot.member(&question.subject);
    match decide(&*snapshot, question, &member, &[], None) {
        Ok(Outcome::Decided(answer)) => answer.decision.is_allow(),
        other => unreachable!("{other:?}"),
    }
}

fn static_bindings(criterion: &mut Criterion) {
    let store = static_store();
    let mut group = criterion.benchmark_group("static");
    for count in [1, 5, 1_000] {
        let question = question(&format!("app-{count}"));
        assert!(ask(&store, &question));
        group.bench_function(format!("{count} bindings"), |bencher| {
            bencher.iter(|| ask(&store, black_box(&question)));
        });
    }
    group.finish();
}

/// A program of so many comparisons, all of which hold: texts, a pattern, a number, an address, a moment, groups.
fn conditional(comparisons: usize) -> v1::ConditionalPolicy {
    let compare = |variable: serde_json::Value, operator: &str, value: serde_json::Value| {
        serde_json::json!({
            "type": "compare", "variable": variable, "operator": operator,
            "value": {"type": "literal", "value": value}
        })
    };
    let key = |key: &str| serde_json::json!({"key": key});
    let field =
        |param: &str, cast: &str| serde_json::json!({"key": "plan.context", "param": param, "cast": cast});
    let kinds = [
        compare(key("user.username"), "eq", "alice".into()),
        compare(key("user.username"), "matches", "^al".into()),
        compare(key("request.client_ip"), "in_network", serde_json::json!(["10.0.0.0/8", "192.0.2.0/24"])),
        compare(key("user.groups"), "has_item", "team-3".into()),
        compare(field("level", "number"), "gte", 3.into()),
        compare(key("event.action"), "in", serde_json::json!(["login", "login_failed"])),
        compare(key("user.type"), "ne", "external".into()),
        compare(field("word", "string"), "starts_with", "he".into()),
        compare(key("user.last_login"), "within_last", "days=1".into()),
        compare(key("user.groups"), "length_gt", 2.into()),
    ];
    let actions: Vec<_> = kinds
        .into_iter()
        .cycle()
        .take(comparisons)
        .map(|condition| serde_json::json!({"type": "condition", "condition": condition}))
        .collect();
    let policy = serde_json::json!({"conditional": {"program": {"version": 2, "actions": actions}}});
    match bindery::proto::from_json::<v1::Policy>("bindery.v1.Policy", policy).map(|policy| policy.kind) {
        Ok(Some(Kind::Conditional(policy))) => policy,
        other => unreachable!("{other:?}"),
    }
}

fn policies(criterion: &mut Criterion) {
    let text = |text: &str| Some(text.to_owned());
    let password = |check_zxcvbn| v1::PasswordPolicy {
        length_min: 8,
        amount_digits: 1,
        check_zxcvbn,
        ..Default::default()
    };
    let matcher = v1::EventMatcherPolicy {
        action: text("login_failed"),
        app: text("authentik.core"),
        ..Default::default()
    };
    let kinds = [
        ("dummy", Kind::Dummy(v1::DummyPolicy { result: true, ..Default::default() })),
        ("event matcher", Kind::EventMatcher(matcher)),
        (
            "password expiry",
            Kind::PasswordExpiry(v1::PasswordExpiryPolicy { days: 30, ..Default::default() }),
        ),
        ("reputation", Kind::Reputation(v1::ReputationPolicy { threshold: Some(-1), ..Default::default() })),
        ("conditional, 1 comparison", Kind::Conditional(conditional(1))),
        ("conditional, 10 comparisons", Kind::Conditional(conditional(10))),
        ("password, static rules", Kind::Password(password(false))),
        ("password, zxcvbn", Kind::Password(password(true))),
    ];
    let mut group = criterion.benchmark_group("policy");
    for (name, kind) in kinds {
        let mut resources = directory();
        resources.push(application("app"));
        let policy = v1::Policy { name: "p".into(), kind: Some(kind), ..Default::default() };
        resources.push(resource(R::Policy(policy)));
        resources
            .push(resource(R::PolicyBinding(v1::PolicyBinding { policy: "p".into(), ..bind("app", 0) })));
        for row in 0..1_000 {
            let (ip, identifier) = (format!("198.51.100.{}", row % 250), format!("user-{row}"));
            let score = v1::ReputationScore { ip, identifier, score: -1, ..Default::default() };
            resources.push(resource(R::ReputationScore(score)));
        }
        let score = v1::ReputationScore {
            ip: "192.0.2.7".into(),
            identifier: "eve".into(),
            score: -3,
            ..Default::default()
        };
        resources.push(resource(R::ReputationScore(score)));
        let store = load(resources);
        let question = question("app");
        let allowed = ask(&store, &question);
        // A comparison that fails would end the program, and hide what the others cost.
        assert!(allowed || !name.starts_with("conditional"));
        group.bench_function(name, |bencher| bencher.iter(|| ask(&store, black_box(&question))));
    }
    group.finish();
}

/// 100,000 targets with 5 bindings each, and one binding that changes.
fn derive(criterion: &mut Criterion) {
    let mut resources = directory();
    for target in 0..100_000 {
        let slug = format!("app-{target}");
        resources.push(application(&slug));
        resources.extend((0..5).map(|order| group_binding(&slug, order, format!("team-{order}"))));
    }
    let store = load(resources);
    let mut generation = 0;
    let mut change = || {
        generation += 1;
        let mut binding = bind(&format!("app-{}", generation * 7 % 100_000), 0);
        binding.id = format!("application/app-{}#0:group/name/team-0", generation * 7 % 100_000);
        binding.group = Some(named("team-0".into()));
        binding.negate = generation / 100_000 % 2 == 0;
        Update::Delta { upserts: vec![resource(R::PolicyBinding(binding))], removals: vec![] }
    };
    criterion.bench_function("derive the next snapshot, 1 of 500,000 bindings changed", |bencher| {
        bencher.iter_batched(
            &mut change,
            |update| apply(&store, update).expect("valid"),
            BatchSize::SmallInput,
        );
    });
}

/// Routes of many hosts, and some of one; the last host is one below a wildcard.
fn routes(count: usize) -> Vec<v1::Resource> {
    let target = || Some(v1::TargetRef { target: Some(v1::target_ref::Target::Application("app".into())) });
    let route = |host: String, path_prefix: String| {
        resource(R::Route(v1::Route { host, path_prefix, target: target(), ..Default::default() }))
    };
    let mut all = vec![application("app"), route(String::new(), "/".into())];
    for index in 0..count / 2 {
        all.push(route(format!("app-{index}.example.com"), "/".into()));
        all.push(route("many.example.com".into(), format!("/api/v1/service-{index}")));
    }
    all.push(route("*.below.example.com".into(), "/api".into()));
    all
}

fn finding_routes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("a route among");
    let stores = [10, 10_000].map(|count| (count, load(routes(count))));
    for (count, store) in &stores {
        let last = count / 2 - 1;
        let cases = [
            ("exact host", format!("app-{last}.example.com"), "/some/page".to_owned()),
            ("deep prefix", "many.example.com".to_owned(), format!("/api/v1/service-{last}/items/7")),
            ("below a wildcard", "a.b.c.below.example.com".to_owned(), "/api/x".to_owned()),
            ("any host", "elsewhere.test".to_owned(), "/a/b/c/d".to_owned()),
        ];
        for (name, host, path) in cases {
            group.bench_function(format!("{count}: {name}"), |bencher| {
                bencher.iter(|| {
                    let snapshot = store.load();
                    let found = snapshot.route(black_box(&host), black_box(&path), black_box("GET"));
                    found.expect("a route").key
                });
            });
        }
    }
    group.finish();
    let (_, store) = &stores[1];
    let mut generation = 0;
    let mut change = || {
        generation += 1;
        let target = v1::TargetRef { target: Some(v1::target_ref::Target::Application("app".into())) };
        let route = v1::Route {
            host: "many.example.com".into(),
            path_prefix: format!("/api/v1/service-{}", generation * 7 % 5_000),
            target: Some(target),
            anonymous: generation / 5_000 % 2 == 0,
            ..Default::default()
        };
        Update::Delta { upserts: vec![resource(R::Route(route))], removals: vec![] }
    };
    criterion.bench_function("derive the next snapshot, 1 of 10,000 routes changed", |bencher| {
        bencher.iter_batched(
            &mut change,
            |update| apply(store, update).expect("valid"),
            BatchSize::SmallInput,
        );
    });
}

criterion_group!(benches, static_bindings, policies, derive, finding_routes);
criterion_main!(benches);
