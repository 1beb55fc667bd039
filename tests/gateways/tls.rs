//! TLS in front of Envoy: hosts of certificates and requests, client certificates, addresses to come back to.
//!
//! Needs `openssl` to make certificates and `curl` to use them.

use super::bindery::Place;
use super::envoy::{Config, Envoy, filter};
use super::tools::found;
use super::upstream::Upstream;
use serde_json::{Value, json};
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

/// A key and a certificate for a name, `DNS:...` or `URI:...`, as files `NAME.key` and `NAME.crt`.
fn certificate(directory: &Path, file: &str, name: &str) {
    let path = |end: &str| directory.join(format!("{file}.{end}"));
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "2",
        ])
        .args(["-subj", "/O=bindery tests", "-addext", &format!("subjectAltName={name}"), "-keyout"])
        .arg(path("key"))
        .arg("-out")
        .arg(path("crt"))
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

/// Whether these programs are there.
fn are_there(programs: &[&str]) -> bool {
    for program in programs {
        if Command::new(program).arg("version").output().is_err() {
            writeln!(std::io::stderr(), "SKIPPED: TLS in front of Envoy: there is no {program}").unwrap();
            return false;
        }
    }
    true
}

struct Tls {
    place: Place,
    envoy: Envoy,
    upstream: Upstream,
}

impl Tls {
    /// Asks for a page of a host; TLS is set up for `sni`. Status, body and where it leads.
    fn ask(&self, sni: &str, more: &[&str]) -> (u16, String, String) {
        let asked = Command::new("curl")
            .args(["-sk", "--noproxy", "*", "-w", "\n%{http_code} %{redirect_url}", "--connect-to"])
            .arg(format!("{sni}:443:127.0.0.1:{}", self.envoy.port))
            .args(more)
            .arg(format!("https://{sni}/d/1"))
            .output()
            .unwrap();
        assert!(asked.status.success(), "{asked:?}");
        let out = String::from_utf8(asked.stdout).unwrap();
        let (body, rest) = out.rsplit_once('\n').unwrap();
        let (status, location) = rest.split_once(' ').unwrap();
        (status.parse().unwrap(), body.to_owned(), location.to_owned())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hosts_and_certificates_of_tls_count() {
    let program = found!("envoy");
    if !are_there(&["openssl", "curl"]) {
        return;
    }
    let place = Place::new();
    let settings = place.settings().replace(
        "[forward_auth]",
        "[ext_authz.identity.certificate]\ntrust_domains = [\"example.com\"]\ntemplate = \"{last}\"\n\n[forward_auth]",
    );
    let bindery = place.start_on(&settings, &[]);
    let directory = tempfile::tempdir().unwrap();
    let here = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    for (file, name) in [
        ("tls", "DNS:*.example.com"),
        ("ada", "URI:spiffe://example.com/people/ada"),
        ("eve", "URI:spiffe://example.com/people/eve"),
        ("foreign", "URI:spiffe://example.org/people/ada"),
    ] {
        certificate(directory.path(), file, name);
    }
    // Each client's certificate is its own authority.
    let authorities: Vec<_> = ["ada", "eve", "foreign"]
        .map(|file| std::fs::read_to_string(here(&format!("{file}.crt"))).unwrap())
        .into();
    std::fs::write(here("clients.crt"), authorities.concat()).unwrap();
    let upstream = Upstream::start();
    let config = Config::new("static.yaml", &place.socket(), upstream.port).with_tls(directory.path());
    let config = config.edit(|tree| {
        let listener = &mut tree["static_resources"]["listeners"][0];
        let context =
            &mut listener["filter_chains"][0]["transport_socket"]["typed_config"]["common_tls_context"];
        context["validation_context"] = json!({"trusted_ca": {"filename": here("clients.crt")}});
        assert_eq!(filter(tree, "ext_authz")["include_tls_session"], true);
    });
    let envoy = Envoy::start(&program, &config).await;
    let tls = Tls { place, envoy, upstream };
    let grafana = "grafana.example.com";
    let token = format!("Authorization: Bearer {}", tls.place.issuer.token("ada"));

    let (status, body, _) = tls.ask(grafana, &["-H", &token]);
    assert_eq!(status, 200, "{body}");
    let (status, _, location) = tls.ask(grafana, &["-H", "Accept: text/html"]);
    let back = "https://auth.example.com/start?rd=https%3A%2F%2Fgrafana.example.com%2Fd%2F1";
    assert_eq!((status, location.as_str()), (302, back));

    // A certificate for many hosts is no leave to reach one through another.
    for version in ["--http1.1", "--http2"] {
        let (status, body, _) = tls.ask(grafana, &[version, "-H", "Host: wiki.example.com", "-H", &token]);
        assert_eq!(status, 421, "{body}");
        let (status, body, _) =
            tls.ask(grafana, &[version, "-H", "Host: grafana.example.com:443", "-H", &token]);
        assert_eq!(status, 200, "{body}");
    }

    // A client's certificate says who it is.
    let with = |file: &str| {
        tls.ask(grafana, &["--cert", &here(&format!("{file}.crt")), "--key", &here(&format!("{file}.key"))])
    };
    let (status, body, _) = with("ada");
    assert_eq!(status, 200, "{body}");
    let seen: Value = serde_json::from_str(&body).unwrap();
    assert!(seen["headers"].as_array().unwrap().contains(&json!(["x-authentik-username", "ada"])), "{seen}");
    assert_eq!(with("eve").0, 403);
    let arrived = tls.upstream.arrived();
    let (status, body, _) = with("foreign");
    assert_eq!((status, tls.upstream.arrived()), (401, arrived), "{body}");
    drop(bindery);
}
