//! `docs/gateways.md`: what its commands are said to print is what they print, with the gateways started as it says.

use super::bindery::Place;
use super::envoy::{Config, Envoy};
use super::other::Kind;
use super::tools::found;
use super::upstream::Upstream;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

/// The part of the page under a heading.
fn section(title: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/gateways.md");
    let page = std::fs::read_to_string(path).unwrap();
    let (_, rest) = page.split_once(&format!("\n## {title}\n")).unwrap_or_else(|| panic!("no `{title}`"));
    rest.split("\n## ").next().unwrap().to_owned()
}

/// Commands and what they print.
fn shown(section: &str) -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> = Vec::new();
    for block in section.split("```console\n").skip(1) {
        for line in block.split("```").next().unwrap().lines() {
            match line.strip_prefix("$ ") {
                Some(command) => all.push((command.to_owned(), String::new())),
                None => all.last_mut().unwrap().1.push_str(&format!("{line}\n")),
            }
        }
    }
    all
}

/// Runs the commands of a section against a gateway at this port.
fn prints_what_is_shown(title: &str, place: &Place, port: u16) {
    if Command::new("curl").arg("--version").output().is_err() {
        writeln!(std::io::stderr(), "SKIPPED: the commands for {title}: there is no curl").unwrap();
        return;
    }
    let commands = shown(&section(title));
    assert!(commands.len() >= 4, "{title}: {commands:?}");
    for (command, shown) in commands {
        let ran = Command::new("bash")
            .args(["-c", &command.replace(":8080/", &format!(":{port}/"))])
            .env("ADA", place.issuer.token("ada"))
            .env("EVE", place.issuer.token("eve"))
            .output()
            .unwrap();
        assert_eq!(String::from_utf8(ran.stdout).unwrap(), shown, "{title}: {command}");
    }
}

/// Whether the section starts the gateway on that file.
fn starts(title: &str, command: &str) {
    let (text, file) = (section(title), command.rsplit_once("deploy/").unwrap().1);
    let file = file.split(['"', ' ']).next().unwrap();
    assert!(text.contains(&format!("\n{command}\n")), "{title} does not say `{command}`");
    assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(file).is_file(), "{file}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_shown_for_envoy_is_what_comes_out() {
    let program = found!("envoy");
    starts("Envoy", "envoy -c deploy/envoy/static.yaml");
    let (place, upstream) = (Place::new(), Upstream::start());
    let _bindery = place.start();
    let envoy = Envoy::start(&program, &Config::new("static.yaml", &place.socket(), upstream.port)).await;
    prints_what_is_shown("Envoy", &place, envoy.port);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_shown_for_the_others_is_what_comes_out() {
    for (title, kind, command) in [
        ("nginx", Kind::Nginx, "nginx -c \"$PWD/deploy/nginx/nginx.conf\" -g 'daemon off;'"),
        ("Caddy", Kind::Caddy, "caddy run --adapter caddyfile --config deploy/caddy/Caddyfile"),
        ("HAProxy", Kind::Haproxy, "haproxy -db -f deploy/haproxy/haproxy.cfg"),
    ] {
        starts(title, command);
        let (place, upstream) = (Place::new(), Upstream::start());
        let _bindery = place.start();
        if let Some(gateway) = kind.start(&place, upstream.port).await {
            prints_what_is_shown(title, &place, gateway.port);
        }
    }
}
