//! The same requests through nginx, Caddy and HAProxy.

use super::bindery::Place;
use super::client::{Connection, Request, get};
use super::other::Kind;
use super::sidecar::until;
use super::upstream::Upstream;

const GRAFANA: &str = "grafana.example.com";

fn spoofed(request: Request) -> Request {
    let mut request = request;
    for (name, value) in [
        ("X-authentik-username", "akadmin"),
        ("X-AUTHENTIK-USERNAME", "akadmin2"),
        ("x_authentik_username", "akadmin3"),
        ("X.Authentik.Username", "akadmin4"),
        ("x-authentik_username", "akadmin5"),
        ("X_Authentik-Username", "akadmin6"),
        ("x.authentik-username", "akadmin7"),
        ("X-authentik.username", "akadmin8"),
        ("X-authentik-groups", "platform"),
        ("x_authentik_groups", "platform"),
        ("X-Authentik-Uid", "u-pat"),
        ("X-authentik-entitlements", "admin"),
        ("X-authentik-jwt", "e30.e30."),
        // What the gateway itself tells bindery.
        ("X-Forwarded-Method", "OPTIONS"),
        ("X-Forwarded-Host", "wiki.example.com"),
        ("X-Forwarded-Uri", "/public/"),
        ("X-Forwarded-Proto", "gopher"),
        ("X-Original-Method", "OPTIONS"),
        ("X-Original-URL", "https://wiki.example.com/public/"),
        ("X-Original-URI", "/public/"),
    ] {
        request = request.with(name, value);
    }
    request
}

/// All that every one of them has to do.
async fn holds(kind: Kind) {
    let (place, upstream) = (Place::new(), Upstream::start());
    let bindery = place.start();
    let Some(gateway) = kind.start(&place, upstream.port).await else { return };
    let before = upstream.arrived();
    let of = |username: &str, path: &str| get(GRAFANA, path).token(&place.issuer.token(username));

    // Who may: with what the application learns of them, in the place of whatever they say.
    for request in [of("ada", "/d/1?from=now"), spoofed(of("ada", "/d/1?from=now"))] {
        let seen = request.send(gateway.port).await.seen();
        assert_eq!(seen.target, "/d/1?from=now", "{kind:?}: {seen:?}");
        let told: Vec<_> = seen.all("x-authentik-username").into_iter().filter(|it| !it.is_empty()).collect();
        assert_eq!(told, ["ada"], "{kind:?}: {seen:?}");
        assert_eq!(seen.all("x-authentik-uid"), ["u-ada"], "{kind:?}: {seen:?}");
        assert_eq!(seen.all("x-authentik-email"), ["ada@example.com"], "{kind:?}: {seen:?}");
        assert!(seen.all("x-authentik-groups").concat().contains("engineering"), "{kind:?}: {seen:?}");
        assert!(!seen.all("x-authentik-groups").concat().contains("platform"), "{kind:?}: {seen:?}");
        for other in ["x-authentik-jwt", "x-authentik-entitlements"] {
            assert_eq!(seen.all(other).concat(), "", "{kind:?}: {seen:?}");
        }
    }
    let posted = of("ada", "/").method("POST").body(vec![b'x'; 5000]).send(gateway.port).await.seen();
    assert_eq!((posted.method.as_str(), posted.body), ("POST", 5000), "{kind:?}");
    assert_eq!(upstream.arrived(), before + 3);

    // Who may not.
    let denied = spoofed(of("eve", "/")).with("Accept", "application/json").send(gateway.port).await;
    assert_eq!(denied.status, 403, "{kind:?}: {denied:?}");
    if kind == Kind::Nginx {
        // It has pages of its own for them.
        until("the denial is logged", || gateway.log().contains("\"reason\":\"denied\"").then_some(()));
    } else {
        assert_eq!(denied.header("x-bindery-reason"), Some("denied"), "{kind:?}: {denied:?}");
        assert_eq!(denied.header("content-type"), Some("application/problem+json"), "{kind:?}: {denied:?}");
        assert!(denied.body.contains("\"reason\":\"denied\""), "{kind:?}: {denied:?}");
    }
    assert_eq!(of("lou", "/").send(gateway.port).await.status, 403, "{kind:?}: somebody who is switched off");
    for path in ["/a/../b", "/a//b", "/a%2fb", "/a;b", "/a%00b"] {
        let reply = of("ada", path).send(gateway.port).await;
        assert!(matches!(reply.status, 400 | 403), "{kind:?} {path}: {reply:?}");
    }

    // Nobody in particular.
    for request in [get(GRAFANA, "/d/1?a=b"), spoofed(get(GRAFANA, "/d/1?a=b"))] {
        let reply = request.clone().send(gateway.port).await;
        assert_eq!(reply.status, 401, "{kind:?}: {reply:?}");
        let reply = request.with("Accept", "text/html").send(gateway.port).await;
        assert_eq!(reply.status, 302, "{kind:?}: {reply:?}");
        let location = reply.header("location").unwrap();
        let back = "https://auth.example.com/start?rd=http%3A%2F%2Fgrafana.example.com";
        assert!(location.starts_with(back) && location.ends_with("%2Fd%2F1%3Fa%3Db"), "{kind:?}: {location}");
    }
    let bad = get(GRAFANA, "/").token("x").send(gateway.port).await;
    assert_eq!(bad.status, 401, "{kind:?}: {bad:?}");

    // Over one connection, each for itself.
    let mut connection = Connection::open(gateway.port).await;
    for _ in 0..20 {
        assert_eq!(connection.send(&of("ada", "/")).await.seen().all("x-authentik-username"), ["ada"]);
        assert_eq!(connection.send(&of("eve", "/")).await.status, 403, "{kind:?}");
    }
    let arrived = upstream.arrived();
    assert_eq!(arrived, before + 23);

    // An upgraded connection.
    let upgrade = |request: Request| {
        let request = request.with("Connection", "Upgrade").with("Upgrade", "websocket");
        request.with("Sec-WebSocket-Version", "13").with("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
    };
    let mut connection = Connection::open(gateway.port).await;
    let reply = connection.send(&upgrade(of("ada", "/live"))).await;
    assert_eq!(reply.status, 101, "{kind:?}: {reply:?}");
    connection.write(b"hello").await;
    assert_eq!(connection.exactly(5).await, b"hello");
    assert_eq!(upgrade(of("eve", "/live")).send(gateway.port).await.status, 403, "{kind:?}");

    // Without bindery nothing gets through, and with the next one it does again.
    bindery.kill();
    for _ in 0..3 {
        let reply = of("ada", "/").send(gateway.port).await;
        assert_eq!(reply.status, 503, "{kind:?}: {reply:?}");
    }
    assert_eq!(upstream.arrived(), arrived + 1, "{kind:?}");
    let _successor = place.start();
    let start = std::time::Instant::now();
    while of("ada", "/").send(gateway.port).await.status != 200 {
        assert!(start.elapsed().as_secs() < 60, "{kind:?} does not find the next one: {}", gateway.log());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nginx_asks_before_it_lets_through() {
    holds(Kind::Nginx).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn caddy_asks_before_it_lets_through() {
    holds(Kind::Caddy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn haproxy_asks_before_it_lets_through() {
    holds(Kind::Haproxy).await;
}
