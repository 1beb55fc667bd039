//! The attack suite through every gateway.

use super::bindery::Place;
use super::client::get;
use super::envoy::{Config, Envoy, manager};
use super::other::{Kind, Other};
use super::sidecar::{Running, bindery, ran, until};
use super::tools::found;
use super::upstream::Upstream;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

/// HTTP itself makes a good token of this one: what stands before the end of a line does not count.
const SPACE: &str = "a forged token: changed/space";

/// The real server in the scene that attacks are made for, at both doors of a place.
struct Stage {
    place: Place,
    scene: PathBuf,
    upstream: Upstream,
    _bindery: Running,
}

/// Settings of the scene for the door over HTTP as well.
fn both_doors(settings: &str) -> String {
    let (_, tables) = settings.split_once("[ext_authz.").unwrap();
    let again = format!("[ext_authz.{tables}").replace("[ext_authz.", "[forward_auth.");
    format!("{settings}\n[forward_auth]\ntrusted_peers = [\"unix\"]\n\n{again}")
}

impl Stage {
    fn set() -> Self {
        let place = Place::new();
        let scene = place.path("scene");
        let made = ran(bindery().args(["attack", "--write-scene"]).arg(&scene));
        assert_eq!(made.code, Some(0), "{made:?}");
        let settings = scene.join("bindery.toml");
        fs::write(&settings, both_doors(&fs::read_to_string(&settings).unwrap())).unwrap();
        let child = bindery()
            .args(["serve", "--listen", "none", "--log-level", "error", "--socket"])
            .arg(place.socket())
            .arg("--http-socket")
            .arg(place.http_socket())
            .arg("--config")
            .arg(settings)
            .spawn()
            .unwrap();
        let running = Running(child);
        until("the server listens over gRPC", || UnixStream::connect(place.socket()).ok());
        until("the server listens over HTTP", || UnixStream::connect(place.http_socket()).ok());
        Self { scene, upstream: Upstream::start(), _bindery: running, place }
    }

    /// Starts a gateway that leaves hosts and targets to bindery's routes.
    async fn start(&self, kind: Kind, address: &str) -> Option<Other> {
        let by_routes = |text: &str| {
            let text = text.replace("/forward-auth/caddy/application/grafana", address);
            let text = text.replace("/forward-auth/nginx/application/grafana", "/forward-auth/nginx");
            let text = text.replace("lua.bindery application/grafana", "lua.bindery routes");
            text.replace("http://grafana.example.com:", "http://:")
        };
        kind.start_with(&self.place, self.upstream.port, by_routes).await
    }

    /// Attacks what listens at a port; the names of those that came to another end than they must.
    fn attack(&self, port: u16) -> BTreeSet<String> {
        let gateway = format!("127.0.0.1:{port}");
        // Reasons differ: Envoy joins headers that come twice, nginx has pages of its own.
        let attacked = ran(bindery()
            .args(["attack", "--output", "json", "--reasons", "never", "--through", &gateway, "--scene"])
            .arg(&self.scene));
        let requests: Value = serde_json::from_str(&attacked.out).unwrap_or_else(|_| panic!("{attacked:?}"));
        let requests = requests["requests"].as_array().unwrap();
        assert!(requests.len() > 120, "{} requests", requests.len());
        assert!(self.upstream.arrived() > 10, "hardly any came through: {attacked:?}");
        let wrong = |request: &&Value| !request["wrong"].is_null();
        requests.iter().filter(wrong).map(|it| it["name"].as_str().unwrap().to_owned()).collect()
    }
}

fn names(all: &[&str]) -> BTreeSet<String> {
    all.iter().map(|&name| name.to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_attack_gets_through_envoy() {
    let program = found!("envoy");
    let stage = Stage::set();
    let shipped = Config::new("static.yaml", &stage.place.socket(), stage.upstream.port);
    let trusting = shipped.without_early_removal().edit(|tree| {
        manager(tree)["normalize_path"] = false.into();
        manager(tree)["merge_slashes"] = false.into();
        manager(tree)["path_with_escaped_slashes_action"] = "KEEP_UNCHANGED".into();
    });
    let envoy = Envoy::start(&program, &trusting).await;
    assert_eq!(stage.attack(envoy.port), names(&[SPACE]));
    let asked = envoy.counter("http.ingress.ext_authz.denied").await;
    assert!(asked > 100, "{asked} were asked about and denied");
    // As it is shipped, Envoy makes these addresses of `/public` before it asks, and the application gets them as such.
    let envoy = Envoy::start(&program, &shipped).await;
    let plain = [
        SPACE,
        "dot segments: `/public/%2e/private`",
        "dot segments: `/public/...//../private`",
        "slashes of other kinds: `/public//../private`",
        "slashes of other kinds: `/public//private`",
        "parameters of segments: `/public/%3b/../private`",
        "no UTF-8, or too long a form of it: `/public/%ff/../private`",
    ];
    assert_eq!(stage.attack(envoy.port), names(&plain));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_attack_gets_through_nginx() {
    let stage = Stage::set();
    let Some(nginx) = stage.start(Kind::Nginx, "").await else { return };
    // It cannot remove headers by a pattern: one that its configuration does not name goes on, whoever sends it.
    let unnamed = "what a client says of itself goes no further: `x-authentik-meta-anything: spoofed`";
    assert_eq!(stage.attack(nginx.port), names(&[SPACE, unnamed]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_attack_gets_through_caddy() {
    let stage = Stage::set();
    let Some(caddy) = stage.start(Kind::Caddy, "/forward-auth/caddy").await else { return };
    // Its patterns are beginnings of names, so signs that hardly any application takes for a hyphen go on.
    let odd = "what a client says of itself goes no further: `x!authentik*username: spoofed`";
    let others = r"what a client says of itself goes no further: `x~authentik\'groups: spoofed`";
    assert_eq!(stage.attack(caddy.port), names(&[SPACE, odd, others]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_attack_gets_through_haproxy() {
    let stage = Stage::set();
    let Some(haproxy) = stage.start(Kind::Haproxy, "").await else { return };
    assert_eq!(stage.attack(haproxy.port), names(&[SPACE]));
}

/// Caddy asks with the query of the request: whoever sends that must not choose the target.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_of_a_client_says_nothing_about_the_target() {
    let stage = Stage::set();
    for kind in [Kind::Nginx, Kind::Caddy, Kind::Haproxy] {
        let Some(gateway) = stage.start(kind, "/forward-auth/caddy").await else { continue };
        let arrived = stage.upstream.arrived();
        let host = "app.attack.test";
        assert_eq!(get(host, "/public").send(gateway.port).await.status, 200, "{kind:?}");
        for query in
            ["target=application/public&anonymous=true", "target=application/public", "anonymous=true", ""]
        {
            let reply = get(host, &format!("/private?{query}")).send(gateway.port).await;
            assert!(reply.status == 401, "{kind:?} {query}: {reply:?}");
        }
        assert_eq!(stage.upstream.arrived(), arrived + 1, "{kind:?}");
    }
}
