//! The attack suite through Envoy, on the configuration as it is shipped and on one that leaves everything to bindery.

use super::envoy::{Config, Envoy, manager};
use super::sidecar::{Running, bindery, ran, until};
use super::tools::found;
use super::upstream::Upstream;
use serde_json::Value;
use std::collections::BTreeSet;
use std::os::unix::net::UnixStream;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_attack_gets_through_envoy() {
    let program = found!("envoy");
    let directory = tempfile::tempdir().unwrap();
    let (scene, socket) = (directory.path().join("scene"), directory.path().join("q"));
    let made = ran(bindery().args(["attack", "--write-scene"]).arg(&scene));
    assert_eq!(made.code, Some(0), "{made:?}");
    let child = bindery()
        .args(["serve", "--listen", "none", "--log-level", "error", "--socket"])
        .arg(&socket)
        .arg("--config")
        .arg(scene.join("bindery.toml"))
        .spawn()
        .unwrap();
    let _bindery = Running(child);
    until("the server listens", || UnixStream::connect(&socket).ok());
    let upstream = Upstream::start();
    let shipped = Config::new("static.yaml", &socket, upstream.port);
    let trusting = shipped.without_early_removal().edit(|tree| {
        manager(tree)["normalize_path"] = false.into();
        manager(tree)["merge_slashes"] = false.into();
        manager(tree)["path_with_escaped_slashes_action"] = "KEEP_UNCHANGED".into();
    });
    // HTTP itself makes a good token of this one: what stands before the end of a line does not count.
    let space = "a forged token: changed/space";
    // Envoy makes these addresses of `/public` before it asks, and the application gets them as such.
    let plain = [
        "dot segments: `/public/%2e/private`",
        "dot segments: `/public/...//../private`",
        "slashes of other kinds: `/public//../private`",
        "slashes of other kinds: `/public//private`",
        "parameters of segments: `/public/%3b/../private`",
        "no UTF-8, or too long a form of it: `/public/%ff/../private`",
    ];
    for (config, through) in [(trusting, vec![space]), (shipped, [&plain[..], &[space]].concat())] {
        let envoy = Envoy::start(&program, &config).await;
        let gateway = format!("127.0.0.1:{}", envoy.port);
        // Envoy joins headers that come twice, which is another reason for the same end.
        let attacked = ran(bindery()
            .args(["attack", "--output", "json", "--reasons", "never", "--through", &gateway, "--scene"])
            .arg(&scene));
        assert_eq!(attacked.code, Some(1), "{attacked:?}");
        let requests: Value = serde_json::from_str(&attacked.out).unwrap();
        let requests = requests["requests"].as_array().unwrap();
        let wrong = |request: &&Value| !request["wrong"].is_null();
        let names: BTreeSet<_> =
            requests.iter().filter(wrong).map(|it| it["name"].as_str().unwrap()).collect();
        assert_eq!(names, BTreeSet::from_iter(through));
        assert!(requests.len() > 120, "{} requests", requests.len());
        let asked = envoy.counter("http.ingress.ext_authz.denied").await;
        assert!(asked > 100, "{asked} of {} were asked about", requests.len());
    }
}
