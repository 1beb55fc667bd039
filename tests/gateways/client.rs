//! A browser: writes requests byte for byte as it is told to, so that what no library would send can be sent.
//!
//! Must not know: who listens.

use serde::Deserialize;
use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

/// Longer than anything that is waited for on purpose.
const PATIENCE: Duration = Duration::from_secs(60);

/// A request.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// A request for a path of a host.
pub(crate) fn get(host: &str, target: &str) -> Request {
    Request { method: "GET".into(), target: target.into(), headers: Vec::new(), body: Vec::new() }
        .with("Host", host)
}

impl Request {
    pub(crate) fn method(mut self, method: &str) -> Self {
        method.clone_into(&mut self.method);
        self
    }

    /// One more header, written as it is given.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Whoever this token is for.
    pub(crate) fn token(self, token: &str) -> Self {
        self.with("Authorization", &format!("Bearer {token}"))
    }

    pub(crate) fn body(mut self, body: Vec<u8>) -> Self {
        self.body = body;
        self
    }

    fn bytes(&self) -> Vec<u8> {
        let mut text = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        for (name, value) in &self.headers {
            write!(text, "{name}: {value}\r\n").unwrap();
        }
        if !self.body.is_empty() {
            write!(text, "Content-Length: {}\r\n", self.body.len()).unwrap();
        }
        text.push_str("\r\n");
        [text.as_bytes(), &self.body].concat()
    }

    /// Sends it over a connection of its own.
    pub(crate) async fn send(&self, port: u16) -> Reply {
        Connection::open(port).await.send(self).await
    }
}

/// What came back.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

/// What the application says arrived at it.
#[derive(Debug, Deserialize)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) target: String,
    headers: Vec<(String, String)>,
    pub(crate) body: usize,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// What arrived at the application: this has to be its answer.
    #[track_caller]
    pub(crate) fn seen(&self) -> Seen {
        assert_eq!((self.status, self.header("content-type")), (200, Some("application/json")), "{self:?}");
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl Seen {
    /// All values of the headers whose names are this one, however they are spelt.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let plain = |name: &str| name.to_lowercase().replace(['_', '.'], "-");
        let named = self.headers.iter().filter(|(found, _)| plain(found) == plain(name));
        named.map(|(_, value)| value.as_str()).collect()
    }

    /// The names of all headers that contain this, in any spelling.
    pub(crate) fn names_with(&self, part: &str) -> Vec<&str> {
        self.headers.iter().map(|(name, _)| name.as_str()).filter(|name| name.contains(part)).collect()
    }
}

/// A connection that is used again and again.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: BufReader<TcpStream>,
}

impl Connection {
    pub(crate) async fn open(port: u16) -> Self {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream: BufReader::new(stream) }
    }

    pub(crate) async fn send(&mut self, request: &Request) -> Reply {
        let reply = tokio::time::timeout(PATIENCE, self.exchange(request)).await;
        reply.unwrap_or_else(|_| panic!("no answer to {request:?}"))
    }

    async fn exchange(&mut self, request: &Request) -> Reply {
        // Who refuses a request may close before all of it was written.
        let _refused = self.stream.get_mut().write_all(&request.bytes()).await;
        let first = self.line().await;
        let status = first.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.unwrap_or_else(|| panic!("no answer but `{first}` to {request:?}"));
        let mut headers = Vec::new();
        loop {
            let line = self.line().await;
            let Some((name, value)) = line.split_once(':') else { break };
            headers.push((name.to_owned(), value.trim().to_owned()));
        }
        let mut reply = Reply { status, headers, body: String::new() };
        if status == 101 || request.method == "HEAD" {
            return reply;
        }
        reply.body = self.body(&reply).await;
        reply
    }

    async fn line(&mut self) -> String {
        let mut line = Vec::new();
        self.stream.read_until(b'\n', &mut line).await.unwrap();
        String::from_utf8(line).unwrap().trim_end().to_owned()
    }

    async fn body(&mut self, reply: &Reply) -> String {
        let mut body = Vec::new();
        if reply.header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
            loop {
                let size = usize::from_str_radix(&self.line().await, 16).unwrap();
                body.extend(self.exactly(size).await);
                self.line().await;
                if size == 0 {
                    break;
                }
            }
        } else if let Some(size) = reply.header("content-length") {
            body = self.exactly(size.parse().unwrap()).await;
        } else if !matches!(reply.status, 204 | 304) {
            self.stream.read_to_end(&mut body).await.unwrap();
        }
        String::from_utf8(body).unwrap()
    }

    /// So many bytes, as they come.
    pub(crate) async fn exactly(&mut self, size: usize) -> Vec<u8> {
        let mut bytes = vec![0; size];
        let read = tokio::time::timeout(PATIENCE, self.stream.read_exact(&mut bytes)).await;
        read.expect("bytes in time").unwrap();
        bytes
    }

    /// Bytes after an upgrade.
    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        self.stream.get_mut().write_all(bytes).await.unwrap();
    }
}
