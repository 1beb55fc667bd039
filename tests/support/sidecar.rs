//! The real server in a process of its own, and the commands that ask it.

use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(60);

/// A running server with a directory of its own.
pub(crate) struct Server {
    pub(crate) directory: TempDir,
    child: Child,
}

/// A process that ends with this.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _gone = self.0.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}

pub(crate) fn bindery() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bindery"));
    command.stdin(Stdio::null());
    command
}

fn start(directory: &Path, more: &[&str]) -> Child {
    let child = bindery()
        .args(["serve", "--listen", "none", "--log-level", "error", "--socket"])
        .arg(directory.join("q"))
        .arg("--sync-socket")
        .arg(directory.join("s"))
        .args(more)
        .spawn()
        .unwrap();
    until("the server listens", || {
        let status = bindery().arg("status").arg(address(directory)).output().unwrap();
        status.stdout.starts_with(b"node").then_some(())
    });
    child
}

pub(crate) fn address(directory: &Path) -> String {
    format!("unix:{}", directory.join("s").display())
}

pub(crate) fn until<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(start.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

impl Server {
    pub(crate) fn new(more: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let child = start(directory.path(), more);
        Self { directory, child }
    }

    pub(crate) fn restart(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.child = start(self.directory.path(), &[]);
    }

    pub(crate) fn address(&self) -> String {
        address(self.directory.path())
    }

    pub(crate) fn file(&self, text: &str) -> PathBuf {
        let path = self.directory.path().join("bundle.yaml");
        fs::write(&path, text).unwrap();
        path
    }

    pub(crate) fn push(&self, text: &str, more: &[&str]) -> Ran {
        let file = self.file(text);
        ran(bindery().arg("push").arg(file).arg("--to").arg(self.address()).args(more))
    }

    pub(crate) fn status(&self) -> (Ran, Value) {
        let status = ran(bindery().arg("status").arg(self.address()).args(["--output", "json"]));
        let json = serde_json::from_str(&status.out).unwrap();
        (status, json)
    }

    /// What `bindery check` says about a target for somebody without any group.
    pub(crate) fn check(&self, target: &str) -> Option<i32> {
        let server = format!("unix:{}", self.directory.path().join("q").display());
        let check = bindery().args(["check", target, "--user", "nobody", "--server", &server]).output();
        check.unwrap().status.code()
    }
}

#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

pub(crate) fn ran(command: &mut Command) -> Ran {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let (out, err) = (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap());
    Ran { code: status.code(), out, err }
}
