//! Tests of headers of trusted gateways.

use super::*;
use crate::identity::tests::{Request, new, reason, somebody};
use crate::identity::{Identified, Identifier};

fn peer(text: &str) -> Peer {
    match text {
        "unix" => Peer { address: None, unix: true },
        address => Peer { address: Some(address.parse().unwrap()), unix: false },
    }
}

async fn ask(identifier: &Identifier, from: Peer, headers: &[(&str, &str)]) -> Identified {
    Request { peer: from, ..Request::of(headers) }.ask(identifier).await
}

const ADA: &[(&str, &str)] = &[
    ("x-authentik-username", "ada"),
    ("x-authentik-groups", "engineering|on call"),
    ("x-authentik-entitlements", "editor|admin"),
    ("x-authentik-email", "ada@example.com"),
    ("x-authentik-name", "Ada Lovelace"),
    ("x-authentik-uid", "900347b8"),
    ("x-authentik-meta-app", "grafana"),
    ("x-authentik-jwt", "not looked at"),
];

#[tokio::test]
async fn authentiks_headers_are_understood_as_they_are() {
    let identifier = new("[headers]\ntrusted_peers = [\"unix\"]").unwrap();
    let found = somebody(ask(&identifier, peer("unix"), ADA).await);
    let subject = &found.subject;
    assert_eq!((found.source, found.expires), (Source::Headers, None));
    assert_eq!((subject.user_id.as_deref(), subject.username.as_deref()), (None, Some("ada")));
    assert_eq!(subject.email.as_deref(), Some("ada@example.com"));
    assert_eq!(subject.name.as_deref(), Some("Ada Lovelace"));
    assert_eq!(subject.group_names, ["engineering", "on call"]);
    let list = Value::List(vec![Value::String("editor".into()), Value::String("admin".into())]);
    assert_eq!(subject.attributes.get("entitlements"), Some(&list));
    assert_eq!(subject.attributes.get("uid"), Some(&Value::String("900347b8".into())));

    let by_uid =
        new("[headers]\ntrusted_peers = [\"unix\"]\nuid_identifies = true\nprefix = \"X-Who-\"").unwrap();
    let found = somebody(ask(&by_uid, peer("unix"), &[("X-Who-Uid", "7"), ("x-who-name", "  ")]).await);
    assert_eq!((found.subject.user_id.as_deref(), found.subject.username), (Some("7"), None));
    assert_eq!(found.subject.attributes, Value::Map(BTreeMap::new()));
    assert_eq!(ask(&by_uid, peer("unix"), ADA).await, Identified::Nobody);
}

#[tokio::test]
async fn only_trusted_peers_count() {
    let identifier = new("[headers]\ntrusted_peers = [\"10.1.0.0/16\", \"fd00::1\"]").unwrap();
    for from in ["10.1.2.3", "::ffff:10.1.2.3", "fd00::1"] {
        somebody(ask(&identifier, peer(from), ADA).await);
    }
    for from in ["10.2.0.1", "fd00::2", "127.0.0.1", "::ffff:10.2.0.1", "::10.1.2.3", "unix"] {
        assert_eq!(ask(&identifier, peer(from), ADA).await, Identified::Nobody, "{from}");
        // Nor is it bad evidence.
        let bad =
            [("x_authentik_username", "ada"), ("x-authentik-username", "a"), ("x-authentik-username", "b")];
        assert_eq!(ask(&identifier, peer(from), &bad).await, Identified::Nobody, "{from}");
    }
    assert_eq!(ask(&identifier, Peer::default(), ADA).await, Identified::Nobody);
    let unix = new("[headers]\ntrusted_peers = [\"unix\"]").unwrap();
    assert_eq!(ask(&unix, peer("127.0.0.1"), ADA).await, Identified::Nobody);
}

#[tokio::test]
async fn headers_that_could_be_read_in_two_ways_are_refused() {
    let identifier = new("[headers]\ntrusted_peers = [\"unix\"]").unwrap();
    let unix = peer("unix");
    let ambiguous = Reason::HeaderAmbiguous;
    let malformed = Reason::HeaderMalformed;
    let many = vec!["g"; 1001].join("|");
    let user = ("x-authentik-username", "ada");
    for (headers, wrong) in [
        (vec![user, user], ambiguous),
        (vec![user, ("X-Authentik-Username", "bob")], ambiguous),
        (vec![user, ("x_authentik_username", "bob")], ambiguous),
        (vec![user, ("x!authentik*username", "bob")], ambiguous),
        (vec![("x_authentik_username", "bob")], ambiguous),
        (vec![user, ("x.authentik.groups", "admins")], ambiguous),
        (vec![user, ("x-authentik_uid", "1")], ambiguous),
        (vec![user, ("X_AUTHENTIK-EMAIL", "1")], ambiguous),
        (vec![user, ("x-authentik-groups", "a"), ("x-authentik-groups", "")], ambiguous),
        (vec![("x-authentik-groups", "admins")], malformed),
        (vec![("x-authentik-username", ""), ("x-authentik-uid", "1")], malformed),
        (vec![("x-authentik-username", "a\u{0}b")], malformed),
        (vec![("x-authentik-username", "a\nb")], malformed),
        (vec![("x-authentik-username", "a\u{9b}b")], malformed),
        (vec![user, ("x-authentik-groups", "a||b")], malformed),
        (vec![user, ("x-authentik-groups", "a|")], malformed),
        (vec![user, ("x-authentik-groups", &many)], malformed),
    ] {
        assert_eq!(reason(ask(&identifier, unix, &headers).await), wrong, "{headers:?}");
    }
    let long = "x".repeat(1025);
    let longest = "x|".repeat(33_000);
    for (name, value) in [
        ("x-authentik-username", long.as_bytes()),
        ("x-authentik-email", long.as_bytes()),
        ("x-authentik-groups", long.as_bytes()),
        ("x-authentik-groups", longest.as_bytes()),
        ("x-authentik-name", b"\xff\xfe"),
        ("x-authentik-username", b"ada\xc0\x80"),
    ] {
        let mut headers = vec![("x-authentik-uid", &b"1"[..]), (name, value)];
        if name != "x-authentik-username" {
            headers.push(("x-authentik-username", b"ada"));
        }
        let request = Request { headers, peer: unix, ..Request::default() };
        assert_eq!(reason(request.ask(&identifier).await), malformed, "{name}");
    }
}

#[tokio::test]
async fn a_comma_is_doubtful_where_headers_come_joined() {
    let identifier = new("[headers]\ntrusted_peers = [\"unix\"]").unwrap();
    for (name, value, refused) in [
        ("x-authentik-username", "ada,bob", true),
        ("x-authentik-uid", "1,2", true),
        ("x-authentik-groups", "a,z|admins|z", true),
        ("x-authentik-entitlements", "a,b", true),
        ("x-authentik-name", "Lovelace, Ada", false),
        ("x-authentik-email", "a,b", false),
    ] {
        let mut headers = vec![(name, value.as_bytes())];
        if name != "x-authentik-username" {
            headers.push(("x-authentik-username", b"ada"));
        }
        let mut request = Request { headers, peer: peer("unix"), ..Request::default() };
        somebody(request.ask(&identifier).await);
        request.joined = true;
        let found = request.ask(&identifier).await;
        if refused {
            assert_eq!(reason(found), Reason::HeaderAmbiguous, "{name}");
        } else {
            somebody(found);
        }
    }
}

#[tokio::test]
async fn empty_headers_are_nobody() {
    let identifier = new("[headers]\ntrusted_peers = [\"unix\"]").unwrap();
    let empty: Vec<(&str, &str)> = ADA[..6].iter().map(|(name, _)| (*name, "")).collect();
    assert_eq!(ask(&identifier, peer("unix"), &empty).await, Identified::Nobody);
    assert_eq!(ask(&identifier, peer("unix"), &ADA[6..]).await, Identified::Nobody);
    assert_eq!(ask(&identifier, peer("unix"), &[]).await, Identified::Nobody);
    let found = somebody(ask(&identifier, peer("unix"), &[("x-authentik-username", " ädä\t")]).await);
    assert_eq!(found.subject.username.as_deref(), Some("ädä"));
}
