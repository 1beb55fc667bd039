//! The gateways that ask over HTTP: nginx, Caddy and HAProxy, on the configurations of `deploy`, with other ports and paths.
//!
//! Must not know: what is asked of them.

use super::bindery::Place;
use super::client::get;
use super::envoy::{put, shipped};
use super::sidecar::Running;
use super::tools;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// Which one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Nginx,
    Caddy,
    Haproxy,
}

/// A running one.
pub(crate) struct Other {
    pub(crate) port: u16,
    directory: TempDir,
    kind: Kind,
    process: Running,
}

impl Drop for Other {
    fn drop(&mut self) {
        // One that is killed leaves its workers behind. The others are one process, which goes with this.
        if self.kind == Kind::Nginx {
            let id = rustix::process::Pid::from_child(&self.process.0);
            let _gone = rustix::process::kill_process(id, rustix::process::Signal::TERM);
            let start = std::time::Instant::now();
            while matches!(self.process.0.try_wait(), Ok(None)) && start.elapsed().as_secs() < 60 {
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
        }
    }
}

impl Kind {
    /// Its name, in `deploy` and in what it is found by.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Caddy => "caddy",
            Self::Haproxy => "haproxy",
        }
    }

    /// Writes its configuration; the arguments to run it with.
    fn configure(
        self,
        directory: &Path,
        place: &Place,
        port: u16,
        upstream: u16,
        change: impl Fn(&str) -> String,
    ) -> Vec<String> {
        let here = |name: &str| directory.join(name).to_str().unwrap().to_owned();
        let application = |text: &str| put(text, "127.0.0.1:3000", &format!("127.0.0.1:{upstream}"));
        let asked = |text: &str| put(text, "/run/bindery/http.sock", place.http_socket().to_str().unwrap());
        let listening = format!(":{port}");
        match self {
            Self::Nginx => {
                let text = application(&asked(&change(&shipped("nginx/nginx.conf"))));
                let text = put(&text, "/run/nginx.pid", &here("pid"));
                fs::write(here("nginx.conf"), put(&text, ":8080", &listening)).unwrap();
                // Workers of another user than the tests' would not get at the socket.
                let mut more = format!("daemon off; error_log {};", here("errors"));
                if rustix::process::getuid().is_root() {
                    more.push_str(" user root;");
                }
                ["-e", &here("errors"), "-p", &here(""), "-c", &here("nginx.conf"), "-g", &more]
                    .map(str::to_owned)
                    .to_vec()
            }
            Self::Caddy => {
                let text = application(&asked(&change(&shipped("caddy/Caddyfile"))));
                fs::write(here("Caddyfile"), put(&text, ":8080", &listening)).unwrap();
                ["run", "--adapter", "caddyfile", "--config", &here("Caddyfile")].map(str::to_owned).to_vec()
            }
            Self::Haproxy => {
                fs::write(here("bindery.lua"), asked(&change(&shipped("haproxy/bindery.lua")))).unwrap();
                let text = application(&change(&shipped("haproxy/haproxy.cfg")));
                let text = put(&text, "/etc/haproxy/bindery.lua", &here("bindery.lua"));
                fs::write(here("haproxy.cfg"), put(&text, ":8080", &listening)).unwrap();
                ["-db", "-f", &here("haproxy.cfg")].map(str::to_owned).to_vec()
            }
        }
    }

    /// Starts it and waits until it listens. Nothing where it is not installed.
    pub(crate) async fn start(self, place: &Place, upstream: u16) -> Option<Other> {
        self.start_with(place, upstream, str::to_owned).await
    }

    /// As [`Kind::start`], on configurations that were changed.
    pub(crate) async fn start_with(
        self,
        place: &Place,
        upstream: u16,
        change: impl Fn(&str) -> String,
    ) -> Option<Other> {
        let program = tools::program(self.name())?;
        // A port that is free now may be taken by the time that it is listened on: then with another one.
        for _ in 0..20 {
            let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let port = free.local_addr().unwrap().port();
            drop(free);
            let directory = tempfile::tempdir().unwrap();
            let arguments = self.configure(directory.path(), place, port, upstream, &change);
            let out = |name: &str| Stdio::from(fs::File::create(directory.path().join(name)).unwrap());
            let process = Command::new(&program)
                .args(arguments)
                .env("HOME", directory.path())
                .stdin(Stdio::null())
                .stdout(out("out"))
                .stderr(out("log"))
                .spawn()
                .unwrap();
            let mut process = Running(process);
            loop {
                if process.0.try_wait().unwrap().is_some() {
                    let said = Self::said(directory.path());
                    assert!(said.to_lowercase().contains("address already in use"), "{self:?}: {said}");
                    break;
                }
                if self.answers(port).await {
                    return Some(Other { port, directory, kind: self, process });
                }
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        }
        panic!("{self:?} found no port");
    }

    /// Whether it is this one that listens: none of them passes this on.
    async fn answers(self, port: u16) -> bool {
        if tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.is_err() {
            return false;
        }
        get("grafana.example.com", "/is-it-there").send(port).await.status != 200
    }

    fn said(directory: &Path) -> String {
        let read = |name: &str| fs::read_to_string(directory.join(name)).unwrap_or_default();
        ["out", "log", "errors"].map(read).concat()
    }
}

impl Other {
    /// What it has logged so far.
    pub(crate) fn log(&self) -> String {
        Kind::said(self.directory.path())
    }
}
