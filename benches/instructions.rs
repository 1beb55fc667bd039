//! What a question costs in instructions, for `.ci/instructions`: one case a run, counted by callgrind inside of
//! [`measured`] alone. Instructions are the same on a busy machine and on a quiet one.
//!
//!     instructions            the names of the cases
//!     instructions CASE N     runs a case N times

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a program for a script; a benchmark that cannot be set up has nothing to measure"
)]

use bindery::api::ask::{Attempt, attempt};
use bindery::model::Timestamp;
use bindery::proto::v1;
use bindery::store::{Settings, Store};
use bindery::sync::apply::{Update, apply};
use prost::Message as _;
use std::hint::black_box;
use v1::policy::Kind;
use v1::resource::Resource as R;

const NOW: Timestamp = Timestamp::new(1_780_315_200, 0);

fn resource(resource: R) -> v1::Resource {
    v1::Resource { resource: Some(resource) }
}

fn application(slug: &str) -> v1::Resource {
    resource(R::Application(v1::Application { slug: slug.into(), ..Default::default() }))
}

fn target(slug: &str) -> Option<v1::TargetRef> {
    Some(v1::TargetRef { target: Some(v1::target_ref::Target::Application(slug.into())) })
}

fn group(name: &str) -> v1::GroupRef {
    v1::GroupRef { name: name.into(), ..Default::default() }
}

fn to_group(slug: &str, name: &str, order: i32) -> v1::Resource {
    let (id, group) = (format!("{slug}/{order}"), Some(group(name)));
    resource(R::PolicyBinding(v1::PolicyBinding {
        id,
        target: target(slug),
        group,
        order,
        ..Default::default()
    }))
}

fn to_policy(slug: &str, kind: Kind) -> [v1::Resource; 3] {
    let policy = v1::Policy { name: slug.into(), kind: Some(kind), ..Default::default() };
    let binding = v1::PolicyBinding {
        id: slug.into(),
        target: target(slug),
        policy: slug.into(),
        ..Default::default()
    };
    [application(slug), resource(R::Policy(policy)), resource(R::PolicyBinding(binding))]
}

/// A thousand users in three groups each, and an application for every case.
fn store() -> Store {
    let user = |number: i32| {
        let groups = ["staff", "team", "unit"].map(group).into();
        let username = if number == 0 { "alice".to_owned() } else { format!("user-{number}") };
        resource(R::User(v1::User { username, groups, ..Default::default() }))
    };
    let mut resources: Vec<v1::Resource> = (0..1_000).map(user).collect();
    resources.extend((0..1_000).map(|number| application(&format!("other-{number}"))));
    for (slug, count) in [("five", 5), ("thousand", 1_000)] {
        resources.push(application(slug));
        resources.extend((1..count).map(|order| to_group(slug, &format!("group-{order}"), order)));
        resources.push(to_group(slug, "staff", count));
    }
    resources.push(application("none"));
    resources.push(to_group("none", "nobody", 0));
    let event = v1::EventMatcherPolicy { action: Some("login".into()), ..Default::default() };
    resources.extend(to_policy("event", Kind::EventMatcher(event)));
    let source = "if context.get('blocked', False):\n    ak_message('you are blocked')\n    return False\n\
                  return request.user.is_active and ak_is_group_member(request.user, name='staff')";
    let lowered = v1::ExpressionPolicy { source: source.to_owned(), ..Default::default() };
    resources.extend(to_policy("expression", Kind::Expression(lowered)));
    let store = Store::new(Settings::default());
    apply(&store, Update::Replace(resources)).expect("a valid configuration");
    store
}

fn question(slug: &str) -> Vec<u8> {
    let request = v1::CheckRequest {
        target: target(slug),
        subject: Some(v1::Subject { username: "alice".into(), ..Default::default() }),
        context: Some(Box::new(v1::Context {
            client_ip: "192.0.2.7".into(),
            event: Some(v1::Event { action: "login".into(), ..Default::default() }),
            ..Default::default()
        })),
        ..Default::default()
    };
    request.encode_to_vec()
}

/// What is counted: from a message's bytes to those of its answer.
#[inline(never)]
fn measured(store: &Store, bytes: &[u8], answer: &mut Vec<u8>) -> bool {
    let request = v1::CheckRequest::decode(bytes).expect("a question");
    let snapshot = store.peek();
    let Ok(Attempt::Answered(reply)) = attempt(&snapshot, request, NOW) else { return false };
    answer.clear();
    reply.response.encode(answer).is_ok()
}

/// What is counted of a change: one binding among those of a thousand applications.
#[inline(never)]
fn measured_change(store: &Store, upserts: Vec<v1::Resource>) {
    black_box(apply(store, Update::Delta { upserts, removals: Vec::new() }).expect("a valid change"));
}

const CASES: [&str; 6] = ["five", "thousand", "none", "event", "expression", "change"];

fn main() {
    let mut words = std::env::args().skip(1).filter(|word| word != "--bench");
    let (Some(case), Some(count)) = (words.next(), words.next()) else {
        println!("{}", CASES.join("\n"));
        return;
    };
    let count: i32 = count.parse().expect("a number of times");
    let store = store();
    if case == "change" {
        for number in 0..count {
            measured_change(&store, vec![to_group("five", &format!("group-{}", number % 7), 1)]);
        }
        return;
    }
    let (bytes, mut answer) = (question(&case), Vec::with_capacity(256));
    for _ in 0..count {
        assert!(measured(&store, black_box(&bytes), &mut answer), "it is answered at once");
    }
    // A case that is decided otherwise than its name says measures something else.
    let decision = v1::CheckResponse::decode(&*answer).expect("an answer").decision();
    assert_eq!(decision == v1::Decision::Allow, case != "none", "{case}");
}
