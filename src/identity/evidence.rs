//! What a request brings along that may tell who is asking.
//!
//! Must not know: which of it counts.

use serde_json::Value as Json;
use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;

/// What a request brings along.
#[derive(Clone, Copy)]
pub struct Evidence<'a> {
    /// The request's headers.
    pub headers: &'a Headers<'a>,
    /// What the gateway's own verification of tokens left behind: a mapping from a name in its configuration to the
    /// claims of a token. Only what the gateway itself says; never what a client can set.
    pub claims: Option<&'a Json>,
    /// Who has sent the headers: the gateway that asks over HTTP, or the peer that the gateway names.
    pub peer: Peer,
    /// The client certificate's name, of a certificate that the gateway has verified; empty is none.
    pub principal: Option<&'a str>,
}

/// Shows what there is, and nothing of what it says.
impl fmt::Debug for Evidence<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Evidence")
            .field("headers", self.headers)
            .field("claims", &self.claims.is_some())
            .field("peer", &self.peer)
            .field("principal", &self.principal.is_some())
            .finish()
    }
}

/// Who has sent the headers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Peer {
    /// Its address, if it has one.
    pub address: Option<IpAddr>,
    /// Whether it came through a unix socket.
    pub unix: bool,
}

/// Headers in the order in which they came, several of one name each for itself.
#[derive(Clone, Default)]
pub struct Headers<'a> {
    all: Vec<(Cow<'a, str>, &'a [u8])>,
    joined: bool,
}

impl<'a> Headers<'a> {
    /// None yet.
    pub const fn new() -> Self {
        Self { all: Vec::new(), joined: false }
    }

    /// Tells that whoever hands them over joins several headers of one name by commas, so that one value may be
    /// several.
    pub fn mark_joined(&mut self) {
        self.joined = true;
    }

    /// Whether a comma may stand between two headers of one name.
    pub const fn are_joined(&self) -> bool {
        self.joined
    }

    /// One more. Names are kept in lower case.
    pub fn push(&mut self, name: &'a str, value: &'a [u8]) {
        let name = if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            Cow::Owned(name.to_ascii_lowercase())
        } else {
            Cow::Borrowed(name)
        };
        self.all.push((name, value));
    }

    /// All values of the header with this name, which is in lower case.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.all.iter().filter(move |(own, _)| own == name).map(|(_, value)| *value)
    }

    /// The names, in lower case, each as often as it came.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.all.iter().map(|(name, _)| name.as_ref())
    }
}

impl<'a> FromIterator<(&'a str, &'a [u8])> for Headers<'a> {
    fn from_iter<T: IntoIterator<Item = (&'a str, &'a [u8])>>(pairs: T) -> Self {
        let mut all = Self::new();
        pairs.into_iter().for_each(|(name, value)| all.push(name, value));
        all
    }
}

/// Shows names, and no values.
impl fmt::Debug for Headers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}
