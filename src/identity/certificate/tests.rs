//! Tests of certificates' names.

use super::*;
use crate::identity::tests::{Request, new, reason, somebody};
use crate::identity::{Identified, Identifier};

async fn ask(identifier: &Identifier, principal: &str) -> Identified {
    Request { principal: Some(principal), ..Request::default() }.ask(identifier).await
}

async fn username(settings: &str, principal: &str) -> Option<String> {
    match ask(&new(settings).unwrap(), principal).await {
        Identified::Somebody(identity) => Some(identity.subject.username.unwrap()),
        Identified::Refused { reason: Reason::PrincipalNotAllowed, .. } => None,
        other => panic!("{other:?}"),
    }
}

#[test]
fn names_are_read_as_the_standards_write_them() {
    let spiffe = |id, trust_domain, path| Some(Principal::Spiffe { id, trust_domain, path });
    let id = "spiffe://example.org/ns/prod/sa/A-b_c.d";
    assert_eq!(read(id), spiffe(id, "example.org", "/ns/prod/sa/A-b_c.d"));
    assert_eq!(read("spiffe://x_1"), spiffe("spiffe://x_1", "x_1", ""));
    assert_eq!(read("A.Example.org"), Some(Principal::Dns("a.example.org".into())));
    assert_eq!(read("localhost"), Some(Principal::Dns("localhost".into())));
    assert!(read(&format!("spiffe://{}/a", "x".repeat(255))).is_some());
    assert!(read(&format!("spiffe://x/{}", "a".repeat(2037))).is_some());
    for wrong in [
        "spiffe://",
        "spiffe:///a",
        "spiffe://Example.org/a",
        "SPIFFE://example.org/a",
        "spiffe:/example.org/a",
        "spiffe://example.org/",
        "spiffe://example.org/a/",
        "spiffe://example.org//a",
        "spiffe://example.org/a//b",
        "spiffe://example.org/./a",
        "spiffe://example.org/a/../b",
        "spiffe://example.org/a/..",
        "spiffe://example.org/a%2fb",
        "spiffe://example.org/a?b",
        "spiffe://example.org/a#b",
        "spiffe://example.org/a b",
        "spiffe://example.org/ä",
        "spiffe://example.org:443/a",
        "spiffe://user@example.org/a",
        "spiffe://exämple.org/a",
        "spiffe://example.org/a\n",
        "spiffe://example.org/a,spiffe://example.org/b",
        " spiffe://example.org/a",
        "https://example.org/a",
        "CN=ada,O=Example",
        "ada@example.org",
        "*.example.org",
        "example.org.",
        ".example.org",
        "a..b",
        "-a.org",
        "a-.org",
        "a_b.org",
        "10.0.0.1",
        "1",
        "::1",
        "ädä.org",
        "a.org,b.org",
        "a.org\0",
    ] {
        assert_eq!(read(wrong), None, "{wrong}");
    }
    assert_eq!(read(&format!("spiffe://{}/a", "x".repeat(256))), None);
    assert_eq!(read(&format!("spiffe://x/{}", "a".repeat(2038))), None);
    assert_eq!(read(&format!("{}.org", "a".repeat(64))), None);
    assert_eq!(read(&"a.".repeat(127)), None);
}

#[tokio::test]
async fn only_names_that_are_let_in_are_somebody() {
    let settings = "[certificate]\ntrust_domains = [\"example.org\"]\ndns_suffixes = [\"svc.example.org\"]";
    for name in ["spiffe://example.org/a", "spiffe://example.org", "svc.example.org", "a.b.svc.example.org"] {
        assert_eq!(username(settings, name).await.as_deref(), Some(name));
    }
    assert_eq!(username(settings, "A.svc.Example.org").await.as_deref(), Some("a.svc.example.org"));
    for name in [
        "spiffe://example.com/a",
        "spiffe://a.example.org/a",
        "spiffe://example.org.evil.com/a",
        "example.org",
        "evilsvc.example.org",
        "svc.example.org.evil.com",
    ] {
        assert_eq!(username(settings, name).await, None, "{name}");
    }
    let identifier = new(settings).unwrap();
    assert_eq!(reason(ask(&identifier, "CN=ada").await), Reason::PrincipalMalformed);
    // No certificate.
    assert_eq!(ask(&identifier, "").await, Identified::Nobody);
    assert_eq!(Request::default().ask(&identifier).await, Identified::Nobody);
    // SPIFFE ids only.
    let spiffe = "[certificate]\ntrust_domains = [\"example.org\"]";
    assert_eq!(username(spiffe, "example.org").await, None);
}

#[tokio::test]
async fn names_become_what_the_template_and_the_map_say() {
    let spiffe = |template: &str| {
        format!("[certificate]\ntrust_domains = [\"example.org\"]\ntemplate = \"{template}\"")
    };
    let id = "spiffe://example.org/ns/prod/sa/web";
    for (template, becomes) in [
        ("{id}", id),
        ("{path}", "ns/prod/sa/web"),
        ("sa-{last}", "sa-web"),
        ("{last}@{trust_domain}!", "web@example.org!"),
    ] {
        assert_eq!(username(&spiffe(template), id).await.as_deref(), Some(becomes));
    }
    // What is not there is not left out.
    for template in ["{path}", "{last}"] {
        assert_eq!(username(&spiffe(template), "spiffe://example.org").await, None);
    }
    let dns = "[certificate]\ndns_suffixes = [\"example.org\"]\ntemplate = \"{first}\"";
    assert_eq!(username(dns, "web.prod.example.org").await.as_deref(), Some("web"));
    let map = r#"
        [certificate]
        subject = "user_id"
        map = {"spiffe://other.org/a" = "7", "b.example.com" = "8"}
    "#;
    let map = new(map).unwrap();
    for (name, becomes) in [("spiffe://other.org/a", "7"), ("B.example.com", "8")] {
        let found = somebody(ask(&map, name).await);
        assert_eq!((found.subject.user_id.as_deref(), found.subject.username), (Some(becomes), None));
        assert_eq!((found.source, found.expires), (Source::Certificate, None));
    }
    for name in ["spiffe://other.org/b", "a.b.example.com", "example.com"] {
        assert_eq!(reason(ask(&map, name).await), Reason::PrincipalNotAllowed);
    }
    let long = format!("spiffe://example.org/{}", "a".repeat(1500));
    assert_eq!(reason(ask(&new(&spiffe("{id}")).unwrap(), &long).await), Reason::PrincipalMalformed);
}
