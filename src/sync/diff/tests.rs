//! Differences: fields, targets that open, what is the same in another spelling.

use super::*;
use crate::store::{Settings, Store};
use crate::sync::apply::{Sent, Update, apply, apply_sent};
use v1::resource::Resource as R;

fn resource(resource: R) -> v1::Resource {
    v1::Resource { resource: Some(resource) }
}

fn application(slug: &str, empty_result: Option<bool>) -> v1::Resource {
    resource(R::Application(v1::Application { slug: slug.into(), empty_result, ..Default::default() }))
}

fn binding(slug: &str, enabled: Option<bool>) -> v1::Resource {
    let target = Some(v1::TargetRef { target: Some(v1::target_ref::Target::Application(slug.into())) });
    let group = Some(v1::GroupRef { name: "staff".into(), ..Default::default() });
    resource(R::PolicyBinding(v1::PolicyBinding { target, group, enabled, ..Default::default() }))
}

fn user(attribute: &str, history: &str) -> v1::Resource {
    let fields = [("floor".to_owned(), prost_types::Value::from(attribute))];
    let attributes = Some(prost_types::Struct { fields: fields.into_iter().collect() });
    let password_history = vec![history.into()];
    resource(R::User(v1::User { username: "ada".into(), attributes, password_history, ..Default::default() }))
}

fn snapshot(resources: Vec<v1::Resource>) -> std::sync::Arc<Snapshot> {
    let store = Store::new(Settings::default());
    apply(&store, Update::Replace(resources)).unwrap();
    store.load()
}

fn difference(old: Vec<v1::Resource>, new: Vec<v1::Resource>) -> Diff {
    between(&snapshot(old), &snapshot(new))
}

#[test]
fn fields_are_named_by_their_paths_and_secrets_are_not_shown() {
    let diff = difference(vec![user("3", "pbkdf2$1")], vec![user("4", "pbkdf2$2")]);
    let fields = diff.entries.first().unwrap().fields();
    let text = |text: &str| Some(Value::from(text));
    let field = |path: &str, old, new| Field { path: path.to_owned(), old, new };
    assert_eq!(
        fields,
        [
            field("attributes.floor", text("3"), text("4")),
            field("password_history", text("(not shown)"), text("(not shown)")),
        ]
    );
    assert_eq!(diff.counts(), (0, 1, 0));
}

#[test]
fn what_is_only_spelled_differently_is_the_same() {
    let store = Store::new(Settings::default());
    let spelled = [application("a", None), binding("a", Some(true))];
    let upserts = spelled.iter().map(|it| it.encode_to_vec().into()).collect();
    apply_sent(&store, Sent { upserts, ..Sent::default() }).unwrap();
    let plain = snapshot(vec![application("a", None), binding("a", None)]);
    assert_ne!(store.load().digest(), plain.digest());
    assert!(between(&store.load(), &plain).is_empty());
}

#[test]
fn targets_that_open_are_found() {
    let bound = || vec![application("a", None), binding("a", None)];
    let closed = || vec![application("a", Some(false)), binding("a", None)];
    for (what, old, new, expected) in [
        ("its last binding goes", bound(), vec![application("a", None)], Some(false)),
        ("it is disabled", bound(), vec![application("a", None), binding("a", Some(false))], Some(false)),
        ("it arrives", vec![], vec![application("a", None)], Some(true)),
        ("it arrives bound", vec![], bound(), None),
        ("it arrives closed", vec![], vec![application("a", Some(false))], None),
        ("its last binding goes, and it is closed then", closed(), vec![application("a", Some(false))], None),
        (
            "it is opened itself",
            vec![application("a", Some(false))],
            vec![application("a", None)],
            Some(false),
        ),
        ("it was open", vec![application("a", None)], vec![application("a", Some(true))], None),
        ("it goes", bound(), vec![], None),
        (
            "it moves",
            bound(),
            vec![application("a", None), application("b", None), binding("b", None)],
            Some(false),
        ),
    ] {
        let diff = difference(old, new);
        let found: Vec<_> = diff.opened.iter().map(|it| it.arrives).collect();
        assert_eq!(found, Vec::from_iter(expected), "{what}");
    }
}

#[test]
fn much_is_more_than_a_tenth() {
    let users = |count: usize| {
        let user = |number: usize| v1::User { username: format!("{number}"), ..Default::default() };
        (0..count).map(|number| resource(R::User(user(number)))).collect::<Vec<_>>()
    };
    assert!(!difference(users(10), users(9)).removes_much());
    assert!(difference(users(10), users(8)).removes_much());
    assert!(!difference(users(0), users(8)).removes_much());
}

#[test]
fn what_a_change_is_told_to_be_is_the_same_as_what_is_found() {
    let store = Store::new(Settings::default());
    apply(&store, Update::Replace(vec![application("a", None), binding("a", None), user("3", "x")])).unwrap();
    let old = store.load();
    let upserts = vec![binding("a", Some(false)), user("4", "x")];
    let (_, difference) =
        crate::sync::apply::apply_recorded(&store, Update::Delta { upserts, removals: vec![] }).unwrap();
    let found = told(&old, &store.load(), &difference);
    assert_eq!(found, between(&old, &store.load()));
    assert_eq!((found.counts(), found.opened.len()), ((0, 2, 0), 1));
}
