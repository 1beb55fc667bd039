//! A real Envoy on one of the configurations of `deploy/envoy`, with other ports and paths.
//!
//! Must not know: what is asked of it.

use super::client::get;
use super::sidecar::{Running, until};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// A configuration as it is shipped.
pub(crate) fn shipped(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Puts one text in the place of another, which has to be there.
#[track_caller]
pub(crate) fn put(text: &str, old: &str, new: &str) -> String {
    assert!(text.contains(old), "`{old}` is not in the configuration");
    text.replace(old, new)
}

/// A configuration in the making.
#[derive(Clone, Debug)]
pub(crate) struct Config(String);

impl Config {
    /// The shipped one, for this socket of bindery and this port of the application. Envoy takes free ports.
    pub(crate) fn new(name: &str, socket: &Path, upstream: u16) -> Self {
        let text = shipped(&format!("envoy/{name}"));
        let text = put(&text, "port_value: 8080}", "port_value: 0}");
        let text = put(&text, "port_value: 9901}", "port_value: 0}");
        let text = put(&text, "port_value: 3000}", &format!("port_value: {upstream}}}"));
        Self(put(&text, "/run/bindery/bindery.sock", socket.to_str().unwrap()))
    }

    /// Puts one text in the place of another.
    #[track_caller]
    pub(crate) fn put(&self, old: &str, new: &str) -> Self {
        Self(put(&self.0, old, new))
    }

    /// With the second bindery that the file has as a comment.
    pub(crate) fn with_second(&self, socket: &Path) -> Self {
        self.put("# - endpoint: ", "- endpoint: ").put("/run/bindery/second.sock", socket.to_str().unwrap())
    }

    /// With the TLS that the file has as a comment.
    pub(crate) fn with_tls(&self, directory: &Path) -> Self {
        let (before, rest) = self.0.split_once("      # TLS, for an edge:\n").expect("TLS as a comment");
        let (block, after) = rest.split_once("\n  clusters:").unwrap();
        let block: Vec<_> = block.lines().map(|line| line.replacen("# ", "", 1)).collect();
        let here = format!("{}/", directory.display());
        Self(format!("{before}{}\n\n  clusters:{after}", block.join("\n"))).put("/etc/envoy/", &here)
    }

    /// Changed in ways that text is too weak for.
    pub(crate) fn edit(&self, change: impl FnOnce(&mut Value)) -> Self {
        let mut tree: Value = serde_saphyr::from_str(&self.0).unwrap();
        change(&mut tree);
        Self(tree.to_string())
    }

    /// Takes the early removal of identity headers away, so that bindery has to do it.
    pub(crate) fn without_early_removal(&self) -> Self {
        self.edit(|tree| {
            let manager = manager(tree);
            assert!(manager.as_object_mut().unwrap().remove("early_header_mutation_extensions").is_some());
            let options = manager["common_http_protocol_options"].as_object_mut().unwrap();
            assert!(options.remove("headers_with_underscores_action").is_some());
        })
    }

    pub(crate) fn text(&self) -> &str {
        &self.0
    }
}

/// The connection manager of a configuration.
pub(crate) fn manager(tree: &mut Value) -> &mut Value {
    &mut tree["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
}

/// One of its HTTP filters.
pub(crate) fn filter<'a>(tree: &'a mut Value, name: &str) -> &'a mut Value {
    let filters = manager(tree)["http_filters"].as_array_mut().unwrap();
    let name = format!("envoy.filters.http.{name}");
    let found = filters.iter_mut().find(|filter| filter["name"] == name.as_str());
    &mut found.unwrap_or_else(|| panic!("no {name}"))["typed_config"]
}

/// A running Envoy.
pub(crate) struct Envoy {
    /// Where its first listener is.
    pub(crate) port: u16,
    /// Where each is, by its name.
    pub(crate) ports: BTreeMap<String, u16>,
    admin: u16,
    directory: TempDir,
    _process: Running,
}

impl Envoy {
    /// Starts it and waits until it listens.
    pub(crate) async fn start(program: &Path, config: &Config) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (file, admin) = (directory.path().join("envoy.yaml"), directory.path().join("admin"));
        fs::write(&file, config.text()).unwrap();
        let out = |name: &str| Stdio::from(fs::File::create(directory.path().join(name)).unwrap());
        // Without hot restarts it shares nothing with any other Envoy of this machine.
        let process = Command::new(program)
            .args(["--disable-hot-restart", "--concurrency", "1", "--log-level", "error", "-c"])
            .arg(&file)
            .arg("--admin-address-path")
            .arg(&admin)
            .stdin(Stdio::null())
            .stdout(out("access"))
            .stderr(out("log"))
            .spawn()
            .unwrap();
        let mut process = Running(process);
        let admin = until("Envoy says where its admin interface is", || {
            if let Some(status) = process.0.try_wait().unwrap() {
                let said = fs::read_to_string(directory.path().join("log")).unwrap();
                panic!("Envoy ended with {status}: {said}");
            }
            fs::read_to_string(&admin).ok()?.trim().rsplit_once(':')?.1.parse().ok()
        });
        let mut envoy = Self { port: 0, ports: BTreeMap::new(), admin, directory, _process: process };
        envoy.until("Envoy is ready", async |envoy| envoy.ask("/ready").await.contains("LIVE")).await;
        let listeners: Value = serde_json::from_str(&envoy.ask("/listeners?format=json").await).unwrap();
        for listener in listeners["listener_statuses"].as_array().unwrap() {
            let port = &listener["local_address"]["socket_address"]["port_value"];
            let port = port.as_u64().unwrap().try_into().unwrap();
            envoy.port = if envoy.port == 0 { port } else { envoy.port };
            envoy.ports.insert(listener["name"].as_str().unwrap().to_owned(), port);
        }
        envoy
    }

    /// Waits until something is true of it.
    pub(crate) async fn until(&self, what: &str, is: impl AsyncFn(&Self) -> bool) {
        let start = std::time::Instant::now();
        while !is(self).await {
            assert!(start.elapsed() < std::time::Duration::from_secs(60), "{what}: {}", self.log());
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }

    /// What its admin interface says.
    async fn ask(&self, path: &str) -> String {
        get("admin", path).send(self.admin).await.body
    }

    /// A counter, such as `http.ingress.ext_authz.ok`; 0 when there is none yet.
    pub(crate) async fn counter(&self, name: &str) -> u64 {
        let stats: Value = serde_json::from_str(&self.ask("/stats?format=json").await).unwrap();
        let found = stats["stats"].as_array().unwrap().iter().find(|stat| stat["name"] == name);
        found.and_then(|stat| stat["value"].as_u64()).unwrap_or(0)
    }

    /// Everything that it has counted of its requests for decisions, for whoever looks for what went wrong.
    pub(crate) async fn counted(&self) -> String {
        let stats = self.ask("/stats").await;
        let is_one = |line: &&str| {
            (line.contains("ext_authz") || line.contains("cluster.bindery")) && !line.ends_with(": 0")
        };
        stats.lines().filter(is_one).collect::<Vec<_>>().join("\n")
    }

    /// How many binderies it takes for healthy.
    pub(crate) async fn healthy(&self) -> u64 {
        self.counter("cluster.bindery.membership_healthy").await
    }

    /// What it logged about the requests so far; it has to have logged as many as this.
    pub(crate) fn accesses(&self, count: usize) -> Vec<Value> {
        until("the access log is written", || {
            let text = fs::read_to_string(self.directory.path().join("access")).unwrap();
            let lines: Vec<_> = text.split_inclusive('\n').filter(|line| line.ends_with('\n')).collect();
            (lines.len() >= count)
                .then(|| lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect())
        })
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap()
    }
}

/// Has Envoy look at a configuration without running it; its complaints.
pub(crate) fn validate(program: &Path, config: &Config) -> Result<(), String> {
    let directory = tempfile::tempdir().unwrap();
    let file: PathBuf = directory.path().join("envoy.yaml");
    fs::write(&file, config.text()).unwrap();
    let looked = Command::new(program)
        .args(["--mode", "validate", "--disable-hot-restart", "--log-level", "warning", "-c"])
        .arg(&file)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&looked.stderr).into_owned();
    match looked.status.success() && said.is_empty() {
        true => Ok(()),
        false => Err(said),
    }
}
