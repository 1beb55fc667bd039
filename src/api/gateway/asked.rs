//! A request as a gateway tells it, in the same form whichever gateway it is.
//!
//! Must not know: how a gateway sent it, what is decided.

use crate::identity::Peer;
use crate::model::{TargetRef, Timestamp};
use std::net::IpAddr;

/// The most headers of a request.
pub const MAX_HEADERS: usize = 512;
/// The most bytes that names and values of headers have together.
pub const MAX_HEADER_BYTES: usize = 256 << 10;

/// Headers of a request in the order in which they came, several of one name each for itself.
#[derive(Clone, Default)]
pub struct Headers {
    all: Vec<(String, Vec<u8>)>,
    /// Whether several of one name were joined to one before they came here.
    are_joined: bool,
}

impl Headers {
    /// One more. Names are kept in lower case.
    pub fn push(&mut self, mut name: String, value: Vec<u8>) {
        name.make_ascii_lowercase();
        self.all.push((name, value));
    }

    /// All values of the header with this name, which is in lower case.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.iter().filter(move |(own, _)| *own == name).map(|(_, value)| value)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.all.iter().map(|(name, value)| (name.as_str(), value.as_slice()))
    }

    /// Several of one name were joined to one before they came here.
    pub const fn mark_joined(&mut self) {
        self.are_joined = true;
    }

    /// The same for whoever asks who it is.
    pub fn as_evidence(&self) -> crate::identity::Headers<'_> {
        let mut all: crate::identity::Headers<'_> = self.iter().collect();
        if self.are_joined {
            all.mark_joined();
        }
        all
    }
}

/// A request that a gateway asks about.
#[derive(Default)]
pub struct Asked {
    /// The gateway's id of the request, for logs and pages. Empty: none.
    pub id: String,
    /// When it came in, as the gateway says. Absent: now.
    pub time: Option<Timestamp>,
    /// What is asked over HTTP; absent for a connection (layer 4).
    pub http: Option<AskedHttp>,
    /// Whoever sent it to the gateway.
    pub peer: Peer,
    /// The client's address.
    pub client: Option<IpAddr>,
    /// Who the client's verified certificate says that it is.
    pub principal: Option<String>,
    /// The host that TLS was set up for.
    pub sni: Option<String>,
    /// Claims that the gateway verified itself.
    pub claims: Option<serde_json::Value>,
    /// The target, where the gateway's configuration names it.
    pub target: Option<TargetRef>,
    /// Whether the gateway's configuration says that the anonymous subject may be asked about.
    pub anonymous: bool,
}

impl std::fmt::Debug for Asked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Claims, certificates and addresses are about people.
        f.debug_struct("Asked")
            .field("id", &self.id)
            .field("http", &self.http)
            .field("target", &self.target)
            .field("anonymous", &self.anonymous)
            .finish_non_exhaustive()
    }
}

/// The part of a request that is HTTP's.
#[derive(Default)]
pub struct AskedHttp {
    /// GET, ...
    pub method: String,
    /// http or https. Empty: unknown.
    pub scheme: String,
    /// Host as sent.
    pub host: String,
    /// Path and query, as sent.
    pub target: String,
    /// Its headers.
    pub headers: Headers,
    /// Its body, as far as it was sent along.
    pub body: Vec<u8>,
    /// Whether that is not all of it.
    pub is_cut: bool,
}

impl std::fmt::Debug for AskedHttp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // A query and headers may have secrets.
        let path = self.target.split('?').next();
        f.debug_struct("AskedHttp")
            .field("method", &self.method)
            .field("host", &self.host)
            .field("path", &path)
            .finish_non_exhaustive()
    }
}

impl AskedHttp {
    /// Path and query, each as sent; the query without its question mark.
    pub fn path_and_query(&self) -> (&str, &str) {
        self.target.split_once('?').unwrap_or((&self.target, ""))
    }

    /// The value of a header that may be there once.
    pub fn header<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        let mut values = self.headers.all(name);
        let value = values.next()?;
        if values.next().is_some() { None } else { std::str::from_utf8(value).ok() }
    }
}
