//! Tests of claims, as the gateway hands them over.

use crate::identity::tests::{NOW, Request, at, claims, new, reason, somebody, with};
use crate::identity::{Identified, Identifier, Identity, Reason};
use crate::model::Value;
use serde_json::{Map, Value as Json, json};

async fn ask(identifier: &Identifier, claims: &Map<String, Json>) -> Identified {
    ask_at(identifier, claims, 0).await
}

async fn ask_at(identifier: &Identifier, claims: &Map<String, Json>, seconds: i64) -> Identified {
    let request = Request { claims: Some(json!({"jwt_payload": claims})), ..Request::default() };
    request.ask_at(identifier, at(seconds)).await
}

async fn identity(settings: &str, claims: &Map<String, Json>) -> Identity {
    somebody(ask(&new(settings).unwrap(), claims).await)
}

fn attribute<'a>(identity: &'a Identity, name: &str) -> Option<&'a Value> {
    identity.subject.attributes.get(name)
}

fn text(text: &str) -> Value {
    Value::String(text.into())
}

#[tokio::test]
async fn authentiks_claims_are_understood_as_they_are() {
    let found = identity("[metadata]", &claims()).await;
    let subject = &found.subject;
    assert_eq!(subject.user_id, None);
    assert_eq!(subject.username.as_deref(), Some("ada"));
    assert_eq!(subject.email.as_deref(), Some("ada@example.com"));
    assert_eq!(subject.name.as_deref(), Some("Ada Lovelace"));
    assert_eq!(subject.group_names, ["engineering", "on call"]);
    assert!(subject.group_ids.is_empty() && !subject.is_superuser && !subject.anonymous);
    let Value::Map(attributes) = &subject.attributes else { panic!() };
    assert_eq!(attributes.keys().map(|it| &**it).collect::<Vec<_>>(), ["entitlements", "sub"]);
    assert_eq!(attribute(&found, "entitlements"), Some(&Value::List(vec![text("editor")])));
}

#[tokio::test]
async fn claims_are_found_where_the_settings_say() {
    let settings = r#"
        [metadata]
        [claims]
        user_id = "sub"
        username = ""
        groups = "realm_access.roles"
        group_ids = 'https://example\.com/ids'
        entitlements = ""
        attributes = ["department", "address.country", "x", "missing"]
    "#;
    let mut claims = claims();
    claims.insert("realm_access".into(), json!({"roles": ["a"]}));
    claims.insert("https://example.com/ids".into(), json!(["1"]));
    claims.insert("department".into(), json!("research"));
    claims.insert("address".into(), json!({"country": "GB", "street": "x"}));
    claims.insert("x".into(), json!([1, true, null, {"deep": 2.5}]));
    let found = identity(settings, &claims).await;
    let subject = &found.subject;
    assert!(subject.user_id.as_ref().is_some_and(|id| id.starts_with("900347")));
    assert_eq!((subject.username.as_deref(), &subject.group_names[..]), (None, &["a".to_owned()][..]));
    assert_eq!(subject.group_ids, ["1"]);
    assert_eq!(attribute(&found, "department"), Some(&text("research")));
    assert_eq!(attribute(&found, "country"), Some(&text("GB")));
    let deep = Value::Map([("deep".into(), Value::Number(2.5))].into());
    let list = vec![Value::Number(1.0), Value::Bool(true), Value::Null, deep];
    assert_eq!(attribute(&found, "x"), Some(&Value::List(list)));
    assert_eq!((attribute(&found, "missing"), attribute(&found, "entitlements")), (None, None));
}

#[tokio::test]
async fn ids_may_be_whole_numbers() {
    let settings = "[metadata]\n[claims]\nuser_id = \"uid\"";
    for (value, id) in
        [(json!(42), "42"), (json!(42.0), "42"), (json!("x"), "x"), (json!(u64::MAX), "18446744073709551615")]
    {
        assert_eq!(identity(settings, &with("uid", value)).await.subject.user_id.as_deref(), Some(id));
    }
    for value in [json!(1.5), json!(-1), json!(1e300), json!([1]), json!(true), json!("\u{7}")] {
        let found = ask(&new(settings).unwrap(), &with("uid", value.clone())).await;
        assert_eq!(reason(found), Reason::TokenClaims, "{value}");
    }
    // Without it, the username says who it is.
    assert_eq!(identity(settings, &with("uid", Json::Null)).await.subject.user_id, None);
}

#[tokio::test]
async fn what_is_no_name_is_refused() {
    let identifier = new("[metadata]\n[claims]\nattributes = [\"x\"]").unwrap();
    let many: Vec<String> = (0..1001).map(|number| number.to_string()).collect();
    let deep = (0..9).fold(json!(1), |inner, _| json!([inner]));
    for (claim, value) in [
        ("preferred_username", json!("")),
        ("preferred_username", json!(["ada"])),
        ("preferred_username", json!({"name": "ada"})),
        ("preferred_username", json!(7)),
        ("preferred_username", json!("ada\n")),
        ("preferred_username", json!("ada\u{85}")),
        ("preferred_username", json!("a".repeat(1025))),
        ("preferred_username", Json::Null),
        ("email", json!(["a@b"])),
        ("name", json!("x\u{0}y")),
        ("sub", json!(1)),
        ("sub", json!("")),
        ("groups", json!("admins")),
        ("groups", json!({"admins": true})),
        ("groups", json!(["a", 1])),
        ("groups", json!(["a", ""])),
        ("groups", json!(["a", "b\r\n"])),
        ("groups", json!(["a".repeat(1025)])),
        ("groups", json!(many)),
        ("entitlements", json!("editor")),
        ("x", deep),
        ("x", json!(vec![0; 2000])),
    ] {
        let found = ask(&identifier, &with(claim, value.clone())).await;
        assert_eq!(reason(found), Reason::TokenClaims, "{claim}: {value}");
    }
    for (claim, value) in [
        ("preferred_username", json!("a".repeat(1024))),
        ("preferred_username", json!("ädä ｘ🦀")),
        ("email", json!("")),
        ("name", json!(" Ada ")),
        ("groups", json!(many[1..])),
        ("groups", Json::Null),
        ("x", json!(vec![0; 1999])),
        ("x", (0..8).fold(json!(1), |inner, _| json!([inner]))),
    ] {
        somebody(ask(&identifier, &with(claim, value)).await);
    }
}

#[tokio::test]
async fn clocks_may_differ_by_the_leeway_and_no_more() {
    let identifier = new("[metadata]\nleeway_seconds = 30").unwrap();
    let until = with("exp", NOW);
    assert_eq!(somebody(ask_at(&identifier, &until, 29).await).expires, Some(at(30)));
    assert_eq!(reason(ask_at(&identifier, &until, 30).await), Reason::TokenExpired);
    for claim in ["nbf", "iat"] {
        let from = with(claim, NOW);
        somebody(ask_at(&identifier, &from, -30).await);
        assert_eq!(reason(ask_at(&identifier, &from, -31).await), Reason::TokenNotYetValid, "{claim}");
    }
    // The later of both counts.
    let mut both = with("nbf", NOW + 100);
    both.insert("iat".into(), json!(0));
    assert_eq!(reason(ask_at(&identifier, &both, 69).await), Reason::TokenNotYetValid);
    somebody(ask_at(&identifier, &both, 70).await);
    // Parts of a second shorten the life of a token.
    let parts = with("exp", NOW as f64 + 0.9);
    assert_eq!(reason(ask_at(&identifier, &parts, 30).await), Reason::TokenExpired);
    let parts = with("nbf", NOW as f64 + 0.1);
    assert_eq!(reason(ask_at(&identifier, &parts, -30).await), Reason::TokenNotYetValid);
    somebody(ask_at(&identifier, &parts, -29).await);

    let none = new("[metadata]\nleeway_seconds = 0").unwrap();
    assert_eq!(reason(ask_at(&none, &until, 0).await), Reason::TokenExpired);
    somebody(ask_at(&none, &until, -1).await);
    // As far as moments reach.
    for far in [json!(1e18), json!(1e308), json!(u64::MAX)] {
        somebody(ask(&none, &with("exp", far)).await);
    }
}

#[tokio::test]
async fn issuers_and_audiences_count_where_they_are_set() {
    let identifier = new("[metadata]\nissuers = [\"i\", \"j\"]\naudiences = [\"a\", \"b\"]").unwrap();
    let from = |iss: Json, aud: Json| {
        let mut claims = with("iss", iss);
        claims.insert("aud".into(), aud);
        claims
    };
    for (iss, aud) in
        [("i", json!("a")), ("j", json!("b")), ("i", json!(["x", "b"])), ("i", json!(["a", "b"]))]
    {
        somebody(ask(&identifier, &from(json!(iss), aud)).await);
    }
    for (iss, aud, wrong) in [
        (json!("k"), json!("a"), Reason::TokenIssuer),
        (json!("I"), json!("a"), Reason::TokenIssuer),
        (json!(["i"]), json!("a"), Reason::TokenIssuer),
        (Json::Null, json!("a"), Reason::TokenIssuer),
        (json!("i"), json!("c"), Reason::TokenAudience),
        (json!("i"), json!("a b"), Reason::TokenAudience),
        (json!("i"), json!([]), Reason::TokenAudience),
        (json!("i"), json!(["a", 1]), Reason::TokenAudience),
        (json!("i"), json!(vec!["a"; 1001]), Reason::TokenAudience),
        (json!("i"), json!({"a": 1}), Reason::TokenAudience),
        (json!("i"), Json::Null, Reason::TokenAudience),
    ] {
        assert_eq!(reason(ask(&identifier, &from(iss, aud)).await), wrong);
    }
}

#[tokio::test]
async fn only_the_payload_that_was_named_counts() {
    let identifier = new("[metadata]\npayload = \"authentik\"").unwrap();
    for (metadata, nobody) in [
        (json!({"jwt_payload": claims()}), true),
        (json!({"authentik": null}), true),
        (json!(null), true),
        (json!([claims()]), true),
        (json!("authentik"), true),
        (Json::Object(claims()), true),
        (json!({"authentik": claims()}), false),
    ] {
        let request = Request { claims: Some(metadata.clone()), ..Request::default() };
        let found = request.ask(&identifier).await;
        assert_eq!(found == Identified::Nobody, nobody, "{metadata}");
    }
    for metadata in [json!({"authentik": []}), json!({"authentik": "ada"}), json!({"authentik": {}})] {
        let request = Request { claims: Some(metadata), ..Request::default() };
        assert_eq!(reason(request.ask(&identifier).await), Reason::TokenClaims);
    }
}
