//! The real server beside a gateway, on the settings and the configuration of `deploy/bindery`.

use super::envoy::{put, shipped};
use super::sidecar::{Running, bindery, ran, until};
use super::tokens::Issuer;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tempfile::TempDir;

/// A place for sockets and files, and whoever signs people in.
pub(crate) struct Place {
    pub(crate) issuer: Issuer,
    directory: TempDir,
}

/// A running server.
pub(crate) struct Bindery {
    process: Running,
}

impl Place {
    pub(crate) fn new() -> Self {
        let place = Self { issuer: Issuer::new(), directory: tempfile::tempdir().unwrap() };
        fs::write(place.keys(), place.issuer.keys()).unwrap();
        fs::write(place.path("company.yaml"), shipped("bindery/company.yaml")).unwrap();
        place
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Where gateways ask over gRPC.
    pub(crate) fn socket(&self) -> PathBuf {
        self.path("bindery.sock")
    }

    /// Where they ask over HTTP.
    pub(crate) fn http_socket(&self) -> PathBuf {
        self.path("http.sock")
    }

    pub(crate) fn keys(&self) -> PathBuf {
        self.path("jwks.json")
    }

    /// The shipped settings, for this place.
    pub(crate) fn settings(&self) -> String {
        let text = shipped("bindery/bindery.toml");
        let here = |name: &str| self.path(name).to_str().unwrap().to_owned();
        let text = put(&text, "/etc/bindery/company.yaml", &here("company.yaml"));
        let text = put(&text, "/etc/bindery/jwks.json", &here("jwks.json"));
        let text = put(&text, "shutdown_delay_seconds = 5", "shutdown_delay_seconds = 0");
        put(&text, "/run/bindery/", &format!("{}/", self.directory.path().display()))
    }

    /// Starts the server on the shipped settings.
    pub(crate) fn start(&self) -> Bindery {
        self.start_on(&self.settings(), &[])
    }

    /// Starts a server on these settings, and waits until it answers.
    pub(crate) fn start_on(&self, settings: &str, more: &[&str]) -> Bindery {
        let file = tempfile::Builder::new().suffix(".toml").tempfile_in(self.directory.path()).unwrap();
        fs::write(file.path(), settings).unwrap();
        let child = bindery()
            .args(["serve", "--log-level", "error", "--config"])
            .arg(file.path())
            .args(more)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut process = Running(child);
        let socket =
            |line: &str| line.strip_prefix("socket = \"").map(|it| it.trim_end_matches('"').to_owned());
        let socket = settings.lines().find_map(socket).unwrap();
        let address = format!("unix:{socket}");
        until("the server answers", || {
            assert!(process.0.try_wait().unwrap().is_none(), "the server does not start");
            let asked =
                ran(bindery().args(["check", "application/wiki", "--user", "eve", "--server", &address]));
            // Where nothing has been pushed yet, it is enough that it listens.
            (asked.code != Some(2) || asked.err.contains("no configuration")).then_some(())
        });
        Bindery { process }
    }

    /// Brings a server to a configuration over its socket for publishers.
    pub(crate) fn push(&self, socket: &Path, text: &str) {
        let file = tempfile::Builder::new().suffix(".yaml").tempfile_in(self.directory.path()).unwrap();
        fs::write(file.path(), text).unwrap();
        let to = format!("unix:{}", socket.display());
        let pushed = ran(bindery().arg("push").arg(file.path()).args(["--to", &to, "--yes"]));
        assert_eq!(pushed.code, Some(0), "{pushed:?}");
    }
}

impl Bindery {
    /// Ends it at once, as if it had crashed.
    pub(crate) fn kill(mut self) {
        self.process.0.kill().unwrap();
        self.process.0.wait().unwrap();
    }

    /// Asks it to end.
    pub(crate) fn terminate(&self) {
        let id = rustix::process::Pid::from_child(&self.process.0);
        rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
    }

    /// Whether it has ended; how has to be well.
    pub(crate) fn has_ended(&mut self) -> bool {
        let ended = self.process.0.try_wait().unwrap();
        assert!(ended.is_none_or(|status| status.success()), "{ended:?}");
        ended.is_some()
    }
}
