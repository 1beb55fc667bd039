//! Questions and answers as messages.

use super::*;
use crate::model::{GroupRef, Id, Mode, Timestamp};
use std::sync::Arc;

const HOURS: &str = "hours";

fn map(key: &str, value: &str) -> Value {
    Value::Map([(key.into(), Value::String(value.into()))].into())
}

fn scene() -> Scene {
    Scene {
        context: Context::at(Timestamp::new(7, 9)),
        anonymous: false,
        id: "17".into(),
        username: "ada".into(),
        name: "Ada".into(),
        email: "ada@example.com".into(),
        attributes: map("desk", "4"),
        user: None,
        is_superuser: true,
        groups: Vec::new(),
        target: None,
    }
}

fn group(id: &str, name: &str) -> Arc<Group> {
    Arc::new(Group {
        id: Id::new(id),
        name: name.into(),
        parents: vec![GroupRef::Name("all".into())],
        is_superuser: false,
        attributes: Value::Null,
    })
}

#[test]
fn somebody_unknown_is_what_the_caller_says() {
    let message = request(HOURS, Scene { groups: vec![(group("", "staff"), true)], ..scene() });
    assert_eq!(message.policy, "hours");
    let subject = message.subject.unwrap();
    assert_eq!((subject.user_id.as_str(), subject.username.as_str()), ("17", "ada"));
    assert!(subject.is_superuser && subject.directory.is_none());
    assert_eq!(subject.groups.len(), 1);
    assert_eq!((subject.groups[0].name.as_str(), subject.groups[0].direct), ("staff", true));
    assert_eq!(subject.attributes, Some(to_struct(map("desk", "4"))));
    let time = Some(prost_types::Timestamp { seconds: 7, nanos: 9 });
    assert_eq!((message.time, message.context.unwrap().time), (time, time));
    assert_eq!((message.target, message.target_name.as_str()), (None, ""));
}

#[test]
fn somebody_known_comes_with_the_directorys_entry_and_no_secret() {
    let authenticator = |kind: &str, confirmed| Authenticator { kind: kind.into(), confirmed };
    let user = User {
        id: Id::new("1"),
        username: "ada".into(),
        name: "Ada".into(),
        email: "ada@example.com".into(),
        is_active: true,
        groups: Vec::new(),
        attributes: Value::Null,
        kind: "internal".into(),
        path: "users".into(),
        password_change_date: Some(Timestamp::new(1, 0)),
        date_joined: None,
        last_login: None,
        has_usable_password: Some(true),
        authenticators: vec![authenticator("totp", true), authenticator("webauthn", false)],
        logins: Vec::new(),
        password_history: vec!["pbkdf2_sha256$1$salt$hash".into()],
    };
    let message = request(HOURS, Scene { user: Some(user), id: "".into(), ..scene() });
    assert!(!format!("{message:?}").contains("pbkdf2"), "{message:?}");
    let subject = message.subject.unwrap();
    assert_eq!(subject.user_id, "1");
    let entry = subject.directory.unwrap();
    assert_eq!((entry.r#type.as_str(), entry.path.as_str(), entry.is_active), ("internal", "users", true));
    assert_eq!(entry.authenticators, ["totp"]);
    assert_eq!(entry.password_change_date.unwrap().seconds, 1);
}

#[test]
fn the_whole_context_is_sent() {
    let context = Context {
        client_ip: Some([192, 0, 2, 1].into()),
        http: Some(HttpRequest {
            host: "wiki".into(),
            headers: [("a".to_owned(), "b".to_owned())].into(),
            body: Box::from(*b"x=1"),
            remote_address: Some([192, 0, 2, 2].into()),
            ..HttpRequest::default()
        }),
        event: Some(Event { action: "login".into(), context: map("a", "b"), ..Event::default() }),
        values: map("is_sso", "yes"),
        reputation: Some(vec![ReputationScore {
            id: Id::new("r"),
            ip: "192.0.2.1".into(),
            identifier: "ada".into(),
            score: -3,
            expires: None,
        }]),
        ..Context::at(Timestamp::new(7, 0))
    };
    let message = request(HOURS, Scene { context, ..scene() }).context.unwrap();
    assert_eq!(message.client_ip, "192.0.2.1");
    let http = message.http.unwrap();
    assert_eq!(
        (http.host.as_str(), http.remote_address.as_str(), &*http.body),
        ("wiki", "192.0.2.2", &b"x=1"[..])
    );
    assert_eq!(http.headers.len(), 1);
    assert_eq!(message.event.unwrap().action, "login");
    assert_eq!(message.values, Some(to_struct(map("is_sso", "yes"))));
    assert_eq!(message.reputation.unwrap().scores[0].score, -3);
}

#[test]
fn targets_are_called_by_their_unique_name() {
    use v1::target_ref::Target as T;
    let target = Target {
        id: Id::new("5"),
        key: Some("wiki".into()),
        name: Some("The wiki".into()),
        mode: Mode::Any,
        empty_result: None,
        detail: TargetDetail::Application(None),
    };
    let message = request(HOURS, Scene { target: Some(target.clone()), ..scene() });
    assert_eq!(message.target_name, "The wiki");
    assert_eq!(message.target.unwrap().target, Some(T::Application("wiki".into())));
    let nameless = Target { key: None, name: None, ..target };
    let message = request(HOURS, Scene { target: Some(nameless), ..scene() });
    assert_eq!(message.target_name, "5");
    assert_eq!(message.target.unwrap().target, Some(T::Application("5".into())));
}

#[test]
fn an_answer_that_says_nothing_fails() {
    let verdict = verdict(v1::EvaluatePolicyResponse::default(), "unix:/a", HOURS, true).unwrap();
    assert_eq!(verdict, Verdict::of(false));
}

#[test]
fn an_error_of_the_policy_drowns_the_rest() {
    let answer = v1::EvaluatePolicyResponse {
        passing: true,
        messages: vec!["welcome".into()],
        error: Some(String::new()),
        ..Default::default()
    };
    let verdict = verdict(answer, "unix:/a", HOURS, true).unwrap();
    assert_eq!(verdict, Verdict::error("`unix:/a` could not decide policy `hours`: it does not say why"));
}

#[test]
fn a_context_that_nests_too_deep_is_refused() {
    let deep = (0..40).fold(map("a", "b"), |inner, _| Value::Map([("a".into(), inner)].into()));
    let answer = v1::EvaluatePolicyResponse { context: Some(to_struct(deep)), ..Default::default() };
    assert!(verdict(answer.clone(), "unix:/a", HOURS, true).unwrap_err().starts_with("context: is nested"));
    assert!(verdict(answer, "unix:/a", HOURS, false).is_ok());
}
