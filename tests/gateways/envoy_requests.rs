//! Requests through Envoy, one by one: who gets through, what arrives at the application, what others get to see.

use super::bindery::{Bindery, Place};
use super::client::{Connection, Request, get};
use super::envoy::{Config, Envoy, filter, manager};
use super::tools::found;
use super::upstream::Upstream;
use serde_json::{Value, json};
use std::path::Path;

const GRAFANA: &str = "grafana.example.com";
const WIKI: &str = "wiki.example.com";

/// Envoy with bindery and an application.
struct Stage {
    place: Place,
    bindery: Option<Bindery>,
    upstream: Upstream,
    envoy: Envoy,
}

impl Stage {
    async fn set(program: &Path, change: impl FnOnce(Config) -> Config) -> Self {
        let place = Place::new();
        let settings = place.settings();
        Self::set_on(program, place, &settings, change).await
    }

    async fn set_on(
        program: &Path,
        place: Place,
        settings: &str,
        change: impl FnOnce(Config) -> Config,
    ) -> Self {
        let bindery = Some(place.start_on(settings, &[]));
        let upstream = Upstream::start();
        let config = change(Config::new("static.yaml", &place.socket(), upstream.port));
        let envoy = Envoy::start(program, &config).await;
        Self { place, bindery, upstream, envoy }
    }

    /// A request of somebody.
    fn of(&self, username: &str, host: &str, path: &str) -> Request {
        get(host, path).token(&self.place.issuer.token(username))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_gets_through_and_the_application_learns_who_it_is() {
    let stage = Stage::set(&found!("envoy"), |config| config).await;
    let reply = stage.of("pat", GRAFANA, "/d/1?from=now").send(stage.envoy.port).await;
    let seen = reply.seen();
    assert_eq!((seen.method.as_str(), seen.target.as_str()), ("GET", "/d/1?from=now"));
    for (header, value) in [
        ("username", "pat"),
        ("groups", "platform"),
        ("email", "pat@example.com"),
        ("name", "Pat Example"),
        ("uid", "u-pat"),
    ] {
        assert_eq!(seen.all(&format!("x-authentik-{header}")), [value], "{seen:?}");
    }
    assert_eq!(reply.header("x-bindery-reason"), None, "clients learn nothing more when they get through");
    let access = &stage.envoy.accesses(1)[0];
    assert_eq!(access["decision"], "allow", "{access}");
    assert_eq!(access["reason"], "allowed", "{access}");
    assert_eq!(access["target"], "application/grafana", "{access}");
    assert_eq!((&access["path"], &access["status"]), (&json!("/d/1"), &json!(200)), "{access}");
    assert!(access["decision_id"].as_str().is_some_and(|id| id.len() > 8), "{access}");
    assert!(access["revision"].as_f64().is_some_and(|revision| revision >= 1.0), "{access}");
    assert_eq!(stage.envoy.counter("http.ingress.ext_authz.invalid").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_not_gets_a_page_that_they_can_read() {
    let stage = Stage::set(&found!("envoy"), |config| config).await;
    for (accept, kind) in [
        ("text/html,application/xhtml+xml,*/*;q=0.8", "text/html; charset=utf-8"),
        ("application/json", "application/problem+json"),
        ("*/*", "text/plain; charset=utf-8"),
    ] {
        let reply = stage.of("eve", GRAFANA, "/").with("Accept", accept).send(stage.envoy.port).await;
        assert_eq!((reply.status, reply.header("content-type")), (403, Some(kind)), "{reply:?}");
        assert_eq!(reply.header("x-bindery-reason"), Some("denied"), "{reply:?}");
        let access = stage.envoy.accesses(1).pop().unwrap();
        assert!(!reply.body.is_empty() && !reply.body.contains("eve"), "{reply:?}");
        assert_eq!((&access["decision"], &access["status"]), (&json!("deny"), &json!(403)), "{access}");
    }
    let denied =
        stage.of("eve", GRAFANA, "/").with("Accept", "application/json").send(stage.envoy.port).await;
    let problem: Value = serde_json::from_str(&denied.body).unwrap();
    let access = stage.envoy.accesses(4).pop().unwrap();
    assert_eq!(access["decision_id"], denied.header("x-bindery-decision-id").unwrap(), "{access}");
    assert_eq!(problem["request_id"], access["request_id"], "{problem} {access}");
    assert_eq!(stage.upstream.arrived(), 0);
    assert_eq!(stage.envoy.counter("http.ingress.ext_authz.denied").await, 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_switched_off_or_not_believed_is_kept_out() {
    let stage = Stage::set(&found!("envoy"), |config| config).await;
    let off = stage.of("lou", GRAFANA, "/").send(stage.envoy.port).await;
    assert_eq!((off.status, off.header("x-bindery-reason")), (403, Some("inactive_user")), "{off:?}");
    let issuer = &stage.place.issuer;
    let mut old = issuer.claims("ada");
    old["exp"] = json!(1);
    let mut foreign = issuer.claims("ada");
    foreign["aud"] = json!("another application");
    let good = issuer.token("ada");
    let tampered = format!("{}.{}.{}", &good[..20], &good[21..40], &good[41..]);
    for token in [issuer.sign(&old), issuer.sign(&foreign), tampered, "x".into(), String::new()] {
        let reply = get(GRAFANA, "/").token(&token).send(stage.envoy.port).await;
        assert_eq!(reply.status, 401, "{token}: {reply:?}");
        assert!(!format!("{reply:?}").contains("another application"), "{reply:?}");
    }
    // The cookie is as good as the header.
    let reply =
        get(GRAFANA, "/").with("Cookie", &format!("a=b; gateway_token={good}")).send(stage.envoy.port).await;
    assert_eq!(reply.seen().all("x-authentik-username"), ["ada"]);
    assert_eq!(stage.upstream.arrived(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_in_particular_is_sent_to_sign_in_and_back_to_where_they_wanted() {
    let stage = Stage::set(&found!("envoy"), |config| config).await;
    let browser = |host: &str, path: &str| get(host, path).with("Accept", "text/html");
    let reply =
        browser(GRAFANA, "/d/1?a=b&c=%20d").with("X-Forwarded-Proto", "https").send(stage.envoy.port).await;
    assert_eq!(reply.status, 302, "{reply:?}");
    let location = reply.header("location").unwrap();
    let (page, back) = location.split_once("?rd=").unwrap();
    assert_eq!(page, "https://auth.example.com/start");
    assert!(back.ends_with("%3A%2F%2Fgrafana.example.com%2Fd%2F1%3Fa%3Db%26c%3D%2520d"), "{location}");
    assert_eq!(reply.header("cache-control"), Some("no-store"), "{reply:?}");
    // A program gets no page, and what was sent would be lost.
    let program = get(GRAFANA, "/").with("Accept", "application/json").send(stage.envoy.port).await;
    assert_eq!((program.status, program.header("location")), (401, None), "{program:?}");
    assert!(program.header("www-authenticate").is_some(), "{program:?}");
    let form = browser(GRAFANA, "/").method("POST").body(b"a=b".to_vec()).send(stage.envoy.port).await;
    assert_eq!(form.status, 401, "{form:?}");
    // Nobody is sent on to a host that the operator did not name. Here, its name leads to no route at all.
    for host in ["evil.example.org", "grafana.example.com.evil.example.org"] {
        let reply = browser(host, "/").send(stage.envoy.port).await;
        assert_eq!((reply.status, reply.header("x-bindery-reason")), (403, Some("no_route")), "{reply:?}");
        assert_eq!(reply.header("location"), None, "{reply:?}");
    }
    let user_info = browser("grafana.example.com@evil.example.org", "/").send(stage.envoy.port).await;
    assert!(matches!(user_info.status, 400 | 403), "{user_info:?}");
    assert_eq!(stage.upstream.arrived(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_page_to_sign_in_everybody_gets_401() {
    let program = found!("envoy");
    let place = Place::new();
    let lines = place.settings();
    let settings: Vec<_> = lines.lines().filter(|line| !line.starts_with("sign_in_url")).collect();
    let stage = Stage::set_on(&program, place, &settings.join("\n"), |config| config).await;
    let reply = get(GRAFANA, "/").with("Accept", "text/html").send(stage.envoy.port).await;
    assert_eq!((reply.status, reply.header("location")), (401, None), "{reply:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_target_comes_from_envoy_or_else_from_the_routes() {
    let stage = Stage::set(&found!("envoy"), |config| config).await;
    let mut wanted = Vec::new();
    for (who, host, path, status, target, route) in [
        // Named beside the route of Envoy.
        ("ada", GRAFANA, "/", 200, "application/grafana", ""),
        ("ada", GRAFANA, "/admin", 403, "application/grafana-admin", ""),
        ("ada", GRAFANA, "/admin/users", 403, "application/grafana-admin", ""),
        ("ada", GRAFANA, "/administrators", 200, "application/grafana", ""),
        ("pat", GRAFANA, "/admin/users", 200, "application/grafana-admin", ""),
        ("ada", "grafana.example.com:8443", "/", 200, "application/grafana", ""),
        // From the routes of the configuration.
        ("eve", WIKI, "/", 200, "application/wiki", "wiki.example.com/"),
        ("eve", "WIKI.example.com:443", "/page", 200, "application/wiki", "wiki.example.com/"),
        ("eve", WIKI, "/public/page", 200, "application/brochure", "wiki.example.com/public#GET,HEAD"),
        ("eve", WIKI, "/publicity", 200, "application/wiki", "wiki.example.com/"),
        ("eve", "elsewhere.example.com", "/", 403, "", ""),
    ] {
        let reply = stage.of(who, host, path).send(stage.envoy.port).await;
        assert_eq!(reply.status, status, "{who} {host}{path}: {reply:?}");
        wanted.push((target, route));
    }
    let accesses = stage.envoy.accesses(wanted.len());
    let text = |access: &Value, name: &str| access[name].as_str().unwrap_or("-").to_owned();
    let told: Vec<_> =
        accesses.iter().map(|access| (text(access, "target"), text(access, "route"))).collect();
    assert_eq!(told, wanted.iter().map(|(a, b)| (a.to_string(), b.to_string())).collect::<Vec<_>>());
    assert_eq!(accesses.last().unwrap()["reason"], "no_route");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_for_everybody_needs_no_token() {
    let stage = Stage::set(&found!("envoy"), |config| config).await;
    let reply = get(WIKI, "/public/page").send(stage.envoy.port).await;
    assert_eq!(reply.seen().names_with("authentik"), Vec::<&str>::new());
    assert_eq!(get(WIKI, "/page").send(stage.envoy.port).await.status, 401);
    // The route is for reading only.
    let written = get(WIKI, "/public/page").method("DELETE").send(stage.envoy.port).await;
    assert_eq!(written.status, 401, "{written:?}");
    assert_eq!(stage.upstream.arrived(), 1);
}

/// Every way of writing these headers that some application takes for the same.
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
        ("x!authentik*username", "akadmin8"),
        ("X-authentik-groups", "authentik Admins"),
        ("X-Authentik-Groups", "platform"),
        ("x_authentik_groups", "platform"),
        ("X.AUTHENTIK.GROUPS", "platform"),
        ("X-authentik-email", "root@example.com"),
        ("x-authentik-name", "Root"),
        ("X-Authentik-Uid", "u-pat"),
        ("x_authentik_uid", "u-pat"),
        ("X-authentik-entitlements", "admin"),
        ("X-authentik-jwt", "e30.e30."),
        ("X-Authentik-Meta-App", "grafana"),
        ("x.authentik_meta-outpost", "mine"),
        ("X-authentik-anything-else", "1"),
    ] {
        request = request.with(name, value);
    }
    request
}

/// Nothing of what a client says of itself arrives, on whatever path and with whatever is left of Envoy's own removal.
async fn nothing_spoofed_arrives(stage: &Stage) {
    let port = stage.envoy.port;
    let seen = spoofed(stage.of("ada", GRAFANA, "/")).send(port).await.seen();
    let mut names = seen.names_with("authentik");
    names.sort_unstable();
    let known = [
        "x-authentik-email",
        "x-authentik-groups",
        "x-authentik-name",
        "x-authentik-uid",
        "x-authentik-username",
    ];
    assert_eq!(names, known, "{seen:?}");
    assert_eq!(seen.all("x-authentik-username"), ["ada"]);
    assert_eq!(seen.all("x-authentik-uid"), ["u-ada"]);
    assert!(!seen.all("x-authentik-groups").concat().contains("platform"), "{seen:?}");
    // Of somebody who has no e-mail address, none is told.
    let seen = spoofed(get(WIKI, "/public/page")).send(port).await.seen();
    assert_eq!(seen.names_with("authentik"), Vec::<&str>::new(), "{seen:?}");
    // It does not make anybody somebody, either.
    let arrived = stage.upstream.arrived();
    assert_eq!(spoofed(get(GRAFANA, "/")).send(port).await.status, 401);
    assert_eq!(spoofed(stage.of("eve", GRAFANA, "/")).send(port).await.status, 403);
    assert_eq!(spoofed(stage.of("ada", GRAFANA, "/admin")).send(port).await.status, 403);
    assert_eq!(stage.upstream.arrived(), arrived);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spoofed_headers_are_removed_by_envoy_and_bindery() {
    let stage = Stage::set(&found!("envoy"), |config| config).await;
    nothing_spoofed_arrives(&stage).await;
    let skipped = spoofed(get(GRAFANA, "/api/health")).send(stage.envoy.port).await;
    assert_eq!(skipped.seen().names_with("authentik"), Vec::<&str>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spoofed_headers_are_removed_by_bindery_alone() {
    let program = found!("envoy");
    let stage = Stage::set(&program, |config| config.without_early_removal()).await;
    nothing_spoofed_arrives(&stage).await;
    // The older form of headers, in which duplicates are merged.
    let stage = Stage::set(&program, |config| {
        config
            .without_early_removal()
            .edit(|tree| filter(tree, "ext_authz")["encode_raw_headers"] = false.into())
    })
    .await;
    nothing_spoofed_arrives(&stage).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_that_envoy_verified_are_taken_from_its_metadata() {
    let program = found!("envoy");
    let place = Place::new();
    // Nothing but Envoy's word: a token that bindery would verify itself is not even looked at.
    let settings = put_metadata(&place.settings());
    let _bindery = place.start_on(&settings, &[]);
    let upstream = Upstream::start();
    let config = Config::new("jwt.yaml", &place.socket(), upstream.port)
        .put("/etc/envoy/jwks.json", place.keys().to_str().unwrap());
    let envoy = Envoy::start(&program, &config).await;
    let of = |username: &str| get(GRAFANA, "/").token(&place.issuer.token(username));
    let seen = of("ada").send(envoy.port).await.seen();
    assert_eq!(seen.all("x-authentik-username"), ["ada"]);
    assert_eq!(seen.all("authorization"), Vec::<&str>::new(), "the application gets the token");
    assert_eq!(of("eve").send(envoy.port).await.status, 403);
    let nobody = get(GRAFANA, "/").send(envoy.port).await;
    assert_eq!(
        (nobody.status, nobody.header("x-bindery-reason")),
        (401, Some("not_signed_in")),
        "{nobody:?}"
    );
    let mut old = place.issuer.claims("ada");
    old["exp"] = json!(1);
    let old = get(GRAFANA, "/").token(&place.issuer.sign(&old)).send(envoy.port).await;
    assert_eq!((old.status, old.header("x-bindery-reason")), (401, None), "Envoy refuses it itself: {old:?}");
    assert_eq!(upstream.arrived(), 1);
    // Without the filter, nobody can bring claims along.
    let without = config.edit(|tree| {
        let filters = manager(tree)["http_filters"].as_array_mut().unwrap();
        assert_eq!(filters.remove(0)["name"], "envoy.filters.http.jwt_authn");
    });
    let envoy = Envoy::start(&program, &without).await;
    assert_eq!(of("ada").send(envoy.port).await.status, 401);
}

/// The settings with Envoy's metadata in the place of tokens.
fn put_metadata(settings: &str) -> String {
    let (before, rest) = settings.split_once("[ext_authz.identity.jwt]").unwrap();
    let (_, after) = rest.split_once("[forward_auth]").unwrap();
    format!(
        "{before}[ext_authz.identity.metadata]\nissuers = [\"https://auth.example.com/application/o/gateway/\"]\n\n[forward_auth]{after}"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_websocket_is_decided_about_once() {
    let stage = Stage::set(&found!("envoy"), |config| config).await;
    let upgrade = |request: Request| {
        request
            .with("Connection", "Upgrade")
            .with("Upgrade", "websocket")
            .with("Sec-WebSocket-Version", "13")
            .with("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
    };
    let mut connection = Connection::open(stage.envoy.port).await;
    let reply = connection.send(&upgrade(stage.of("ada", GRAFANA, "/live"))).await;
    assert_eq!(reply.status, 101, "{reply:?}");
    for text in ["one", "two", "three"] {
        connection.write(text.as_bytes()).await;
        assert_eq!(connection.exactly(text.len()).await, text.as_bytes());
    }
    assert_eq!(stage.envoy.counter("http.ingress.ext_authz.ok").await, 1);
    assert_eq!(stage.upstream.arrived(), 1);
    let denied = upgrade(stage.of("eve", GRAFANA, "/live")).send(stage.envoy.port).await;
    assert_eq!(denied.status, 403, "{denied:?}");
    let nobody = upgrade(get(GRAFANA, "/live")).send(stage.envoy.port).await;
    assert_eq!(nobody.status, 401, "{nobody:?}");
    assert_eq!(stage.upstream.arrived(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_headers_are_read_or_refused() {
    let stage = Stage::set(&found!("envoy"), |config| config).await;
    let cookie = "c=".to_owned() + &"x".repeat(40_000);
    let seen = stage.of("ada", GRAFANA, "/").with("Cookie", &cookie).send(stage.envoy.port).await.seen();
    assert_eq!(seen.all("cookie"), [cookie.as_str()]);
    assert_eq!(
        stage.of("eve", GRAFANA, "/").with("Cookie", &cookie).send(stage.envoy.port).await.status,
        403
    );
    // As many headers as Envoy takes.
    let many =
        (0..80).fold(stage.of("ada", GRAFANA, "/"), |request, n| request.with(&format!("X-N-{n}"), "1"));
    assert_eq!(many.send(stage.envoy.port).await.seen().names_with("x-n-").len(), 80);
    let arrived = stage.upstream.arrived();
    let too_large =
        stage.of("ada", GRAFANA, "/").with("Cookie", &"x".repeat(70_000)).send(stage.envoy.port).await;
    assert_eq!((too_large.status, stage.upstream.arrived()), (431, arrived), "{too_large:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_is_too_large_to_be_seen_whole_is_not_decided_about() {
    let program = found!("envoy");
    let with_body = |partial: bool| {
        move |config: Config| {
            config.edit(|tree| {
                filter(tree, "ext_authz")["with_request_body"] =
                    json!({"max_request_bytes": 1024, "allow_partial_message": partial, "pack_as_bytes": true});
            })
        }
    };
    let send = async |stage: &Stage, size: usize| {
        stage.of("ada", GRAFANA, "/").method("POST").body(vec![b'x'; size]).send(stage.envoy.port).await
    };
    let stage = Stage::set(&program, with_body(false)).await;
    assert_eq!(send(&stage, 1000).await.seen().body, 1000);
    assert_eq!(send(&stage, 2000).await.status, 413, "Envoy refuses it before it asks");
    assert_eq!(stage.envoy.counter("http.ingress.ext_authz.ok").await, 1);
    let stage = Stage::set(&program, with_body(true)).await;
    assert_eq!(send(&stage, 1000).await.seen().body, 1000);
    let cut = send(&stage, 2000).await;
    assert_eq!((cut.status, cut.header("x-bindery-reason")), (413, Some("cut_body")), "{cut:?}");
    assert_eq!(stage.upstream.arrived(), 1);
    // As it is shipped, bodies stay with Envoy, and may be of any size.
    let stage = Stage::set(&program, |config| config).await;
    assert_eq!(send(&stage, 200_000).await.seen().body, 200_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ambiguous_paths_are_refused_also_where_envoy_does_not_look() {
    let stage = Stage::set(&found!("envoy"), |config| {
        config.edit(|tree| {
            for setting in ["normalize_path", "merge_slashes"] {
                manager(tree)[setting] = false.into();
            }
            manager(tree)["path_with_escaped_slashes_action"] = "KEEP_UNCHANGED".into();
        })
    })
    .await;
    for path in [
        "/a/../admin",
        "/./admin",
        "//admin",
        "/a/%2e%2e/admin",
        "/a%2f..%2fadmin",
        "/%2fadmin",
        "/a%5c..%5cadmin",
        "/a\\..\\admin",
        "/admin;x=1",
        "/%00admin",
        "/%c0%ae%c0%ae/admin",
        "/%zz",
    ] {
        let reply = stage.of("ada", GRAFANA, path).send(stage.envoy.port).await;
        assert_eq!(reply.status, 400, "{path}: {reply:?}");
    }
    assert_eq!(stage.upstream.arrived(), 0);
    assert_eq!(stage.of("ada", GRAFANA, "/a%20b?x=../..//%2f;").send(stage.envoy.port).await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_2_is_decided_about_alike() {
    use http_body_util::{BodyExt as _, Empty};
    use hyper_util::rt::{TokioExecutor, TokioIo};
    let stage = Stage::set(&found!("envoy"), |config| config).await;
    let stream = tokio::net::TcpStream::connect(("127.0.0.1", stage.envoy.port)).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let ada = stage.place.issuer.token("ada");
    let request = |token: &str, path: &str, cookies: &[&str]| {
        let mut request = http::Request::get(format!("http://{GRAFANA}{path}"))
            .header("x-authentik-username", "akadmin")
            .header("x-authentik-username", "akadmin2")
            .header("x_authentik_username", "akadmin3");
        if !token.is_empty() {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        for cookie in cookies {
            request = request.header("cookie", *cookie);
        }
        request.body(Empty::<bytes::Bytes>::new()).unwrap()
    };
    let body =
        sender.send_request(request(&ada, "/", &[])).await.unwrap().into_body().collect().await.unwrap();
    let seen: super::client::Seen = serde_json::from_slice(&body.to_bytes()).unwrap();
    assert_eq!(seen.all("x-authentik-username"), ["ada"]);
    let token_cookie = format!("gateway_token={ada}");
    // HTTP/2 may send each cookie in a header of its own.
    for (token, path, cookies, status) in [
        (ada.as_str(), "/admin", vec![], 403),
        ("", "/", vec![], 401),
        ("", "/", vec!["a=b", token_cookie.as_str(), "c=d"], 200),
        (stage.place.issuer.token("eve").as_str(), "/", vec![], 403),
    ] {
        let reply = sender.send_request(request(token, path, &cookies)).await.unwrap();
        assert_eq!(reply.status().as_u16(), status, "{path}");
    }
    assert_eq!(stage.upstream.arrived(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bindery_that_is_gone_means_no() {
    let mut stage = Stage::set(&found!("envoy"), |config| config).await;
    let bindery = stage.bindery.take().unwrap();
    let ask = async || stage.of("ada", GRAFANA, "/").send(stage.envoy.port).await;
    assert_eq!(ask().await.status, 200);
    bindery.kill();
    for _ in 0..20 {
        let reply = ask().await;
        assert_eq!(reply.status, 503, "{reply:?}");
    }
    assert_eq!(get(WIKI, "/public/page").send(stage.envoy.port).await.status, 503);
    assert_eq!(
        get(GRAFANA, "/api/health").send(stage.envoy.port).await.status,
        200,
        "this one needs no answer"
    );
    assert_eq!(stage.upstream.arrived(), 2);
    assert!(stage.envoy.counter("http.ingress.ext_authz.error").await >= 21);
    // Another one at the same socket is found without anybody telling Envoy.
    let _successor = stage.place.start();
    stage.envoy.until("a new bindery is asked", async |_| ask().await.status == 200).await;
}

/// Settings whose tokens cannot be verified for now: nobody serves their keys.
fn without_keys(settings: &str) -> String {
    let is_keys = |line: &&str| !line.starts_with("jwks_file");
    let lines: Vec<_> = settings.lines().filter(is_keys).collect();
    // Nobody listens at the port for discarding.
    lines.join("\n").replace("issuers =", "jwks_url = \"http://127.0.0.1:9/keys\"\nissuers =")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_decided_is_an_error_in_either_form() {
    let program = found!("envoy");
    for form in ["status", "response"] {
        let place = Place::new();
        let settings = without_keys(&place.settings())
            .replace("[ext_authz]", &format!("[ext_authz]\non_error = {form:?}"));
        let stage = Stage::set_on(&program, place, &settings, |config| config).await;
        let reply =
            stage.of("ada", GRAFANA, "/").with("Accept", "application/json").send(stage.envoy.port).await;
        assert_eq!((reply.status, stage.upstream.arrived()), (503, 0), "{form}: {reply:?}");
        assert_eq!(stage.envoy.counter("http.ingress.ext_authz.error").await, 1, "{form}");
        assert_eq!(stage.envoy.counter("http.ingress.ext_authz.denied").await, 0, "{form}");
        let page = reply.header("x-bindery-reason");
        assert_eq!(page, (form == "response").then_some("undecided"), "{reply:?}");
        // Whoever brings no token is nobody, and that can be decided.
        assert_eq!(get(GRAFANA, "/").send(stage.envoy.port).await.status, 401);
        assert_eq!(get(WIKI, "/public/").send(stage.envoy.port).await.status, 200);
        // Where the gateway is open, it is open for these.
        let config = Config::new("open.yaml", &stage.place.socket(), stage.upstream.port);
        let open = Envoy::start(&program, &config).await;
        let seen = stage.of("ada", GRAFANA, "/").send(open.port).await.seen();
        assert_eq!(seen.all("x-envoy-auth-failure-mode-allowed"), ["true"], "{form}");
        assert_eq!(seen.names_with("authentik"), Vec::<&str>::new(), "{form}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_open_mode_lets_through_undecided_and_says_so() {
    let program = found!("envoy");
    let place = Place::new();
    let bindery = place.start();
    let upstream = Upstream::start();
    let envoy = Envoy::start(&program, &Config::new("open.yaml", &place.socket(), upstream.port)).await;
    let of = |username: &str, path: &str| {
        spoofed(get(GRAFANA, path).token(&place.issuer.token(username)))
            .with("X-Envoy-Auth-Failure-Mode-Allowed", "true")
            .with("x_envoy_auth_failure_mode_allowed", "true")
    };
    // As long as there is an answer, it counts.
    let seen = of("ada", "/").send(envoy.port).await.seen();
    assert_eq!(seen.all("x-authentik-username"), ["ada"]);
    assert_eq!(seen.all("x-envoy-auth-failure-mode-allowed"), Vec::<&str>::new());
    assert_eq!(of("eve", "/").send(envoy.port).await.status, 403);
    bindery.kill();
    let seen = of("eve", "/").send(envoy.port).await.seen();
    assert_eq!(seen.all("x-envoy-auth-failure-mode-allowed"), ["true"]);
    assert_eq!(seen.names_with("authentik"), Vec::<&str>::new(), "{seen:?}");
    // What has a backstop of its own stays closed.
    let admin = of("pat", "/admin").send(envoy.port).await;
    assert_eq!((admin.status, upstream.arrived()), (403, 2), "{admin:?}");
    let access = envoy.accesses(4);
    let undecided: Vec<_> = access.iter().map(|access| access["undecided"].as_str().unwrap_or("-")).collect();
    assert_eq!(undecided, ["-", "-", "true", "true"]);
    assert!(envoy.counter("http.ingress.ext_authz.failure_mode_allowed").await >= 2);
}
