//! Who may call what: whether a connection, or the token of a call, is on the list of a service.
//!
//! What a connection shows (a certificate, a user of this system) is looked at once; tokens are looked at with each call.
//! Must not know: what a service does.

use crate::config::{AccessSettings, CallerSettings};
use crate::telemetry::labels::{Access as Service, CallerRefusal, Label as _};
use crate::tls::files;
use crate::tls::peer::PeerNames;
use arc_swap::ArcSwap;
use sha2::{Digest as _, Sha256};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use subtle::ConstantTimeEq as _;

/// The shortest token: what is shorter can be guessed.
const MIN_TOKEN: usize = 16;

/// Who is at the other end of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Over what.
    pub transport: Transport,
    /// The names in the certificate, if there was one.
    pub certificate: Option<PeerNames>,
}

/// What a connection runs over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// TCP, with the other end's address.
    Tcp(SocketAddr),
    /// A unix socket, with the user of this system, if it tells.
    Unix(Option<u32>),
}

impl Caller {
    /// Whether it runs on this machine.
    pub fn is_local(&self) -> bool {
        match self.transport {
            Transport::Tcp(address) => address.ip().to_canonical().is_loopback(),
            Transport::Unix(_) => true,
        }
    }
}

/// Why somebody may not call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Nothing was shown that could be on the list.
    NoCredential,
    /// A token that is not on the list.
    UnknownToken,
    /// Who it is, is known, and is not on the list.
    NotListed,
}

impl Refused {
    /// For those who count.
    pub const fn label(self) -> CallerRefusal {
        match self {
            Self::NoCredential => CallerRefusal::NoCredential,
            Self::UnknownToken | Self::NotListed => CallerRefusal::UnknownCredential,
        }
    }
}

/// Who may call one service.
#[derive(Debug)]
struct List {
    spiffe: Vec<String>,
    names: Vec<String>,
    uids: Vec<u32>,
    tokens: Option<Tokens>,
}

/// Tokens as their digests, so that no token lies in memory for long, and comparing takes the same time for all.
#[derive(Debug)]
struct Tokens {
    path: PathBuf,
    digests: ArcSwap<Vec<[u8; 32]>>,
}

/// Who may call what.
#[derive(Debug, Default)]
pub struct Access {
    lists: [Option<List>; 7],
}

/// What a connection may call without a token.
#[derive(Clone, Copy, Debug)]
pub struct Standing {
    open: [bool; 7],
    /// Whether the connection showed something of its own.
    known: bool,
}

impl Access {
    /// Reads the files of tokens.
    ///
    /// # Errors
    /// Names the setting and the file that cannot be used.
    pub fn open(settings: &AccessSettings) -> Result<Self, String> {
        let mut access = Self::default();
        for (name, callers) in settings.tables() {
            let list = List::open(name, callers)?;
            let place = Service::ALL.iter().position(|service| service.word() == name);
            if let Some(place) = place.and_then(|place| access.lists.get_mut(place)) {
                *place = Some(list);
            }
        }
        Ok(access)
    }

    /// Reads the files of tokens anew; what came of each. Where one cannot be used, the tokens in use stay.
    pub fn reload(&self) -> Vec<Result<(), String>> {
        let one = |tokens: &Tokens| {
            tokens.digests.store(Arc::new(read(&tokens.path)?));
            Ok(())
        };
        self.tokens().map(one).collect()
    }

    fn tokens(&self) -> impl Iterator<Item = &Tokens> {
        self.lists.iter().flatten().filter_map(|list| list.tokens.as_ref())
    }

    fn list(&self, service: Service) -> Option<&List> {
        self.lists.get(service.index())?.as_ref()
    }

    /// Whether callers of this service are told apart at all.
    pub fn is_listed(&self, service: Service) -> bool {
        self.list(service).is_some()
    }

    /// What a caller may do by what its connection shows.
    pub fn standing(&self, caller: &Caller) -> Standing {
        let open = std::array::from_fn(|at| {
            self.lists.get(at).is_none_or(|list| list.as_ref().is_none_or(|it| it.holds(caller)))
        });
        let known = caller.certificate.is_some() || matches!(caller.transport, Transport::Unix(Some(_)));
        Standing { open, known }
    }

    /// Whether a call may be made: by a connection of this standing, with this token if it came with one.
    ///
    /// # Errors
    /// Why it may not.
    pub fn check(&self, service: Service, standing: Standing, token: Option<&[u8]>) -> Result<(), Refused> {
        if standing.may(service) {
            return Ok(());
        }
        let tokens = self.list(service).and_then(|list| list.tokens.as_ref());
        match (token, tokens) {
            (Some(token), Some(tokens)) if tokens.hold(token) => Ok(()),
            _ if standing.known => Err(Refused::NotListed),
            (Some(_), _) => Err(Refused::UnknownToken),
            (None, _) => Err(Refused::NoCredential),
        }
    }
}

impl Standing {
    /// Whether no token is needed.
    pub fn may(&self, service: Service) -> bool {
        self.open.get(service.index()).copied().unwrap_or(false)
    }
}

impl List {
    fn open(service: &str, callers: &CallerSettings) -> Result<Self, String> {
        let tokens = callers.token_file.as_ref().map(|path| {
            let digests = read(path).map_err(|what| format!("access.{service}.token_file: {what}"))?;
            Ok::<_, String>(Tokens { path: path.clone(), digests: ArcSwap::from_pointee(digests) })
        });
        Ok(Self {
            spiffe: callers.spiffe.clone(),
            names: callers.names.iter().map(|name| name.to_ascii_lowercase()).collect(),
            uids: callers.uids.clone(),
            tokens: tokens.transpose()?,
        })
    }

    fn holds(&self, caller: &Caller) -> bool {
        let by_user = matches!(caller.transport, Transport::Unix(Some(uid)) if self.uids.contains(&uid));
        by_user || caller.certificate.as_ref().is_some_and(|names| self.holds_certificate(names))
    }

    fn holds_certificate(&self, certificate: &PeerNames) -> bool {
        let below = |listed: &String, id: &str| match listed.strip_suffix('*') {
            // With the slash before the star: `spiffe://a/b/*` is neither `spiffe://a/b` nor `spiffe://a/bc`.
            Some(above) => id.strip_prefix(above).is_some_and(|rest| !rest.is_empty()),
            None => listed == id,
        };
        let by_spiffe =
            certificate.spiffe.as_deref().is_some_and(|id| self.spiffe.iter().any(|it| below(it, id)));
        by_spiffe || certificate.names.iter().any(|name| self.names.contains(name))
    }
}

impl Tokens {
    fn hold(&self, token: &[u8]) -> bool {
        let digest: [u8; 32] = Sha256::digest(token).into();
        let digests = self.digests.load();
        // All of them, whichever it is.
        digests.iter().fold(subtle::Choice::from(0), |found, known| found | known.ct_eq(&digest)).into()
    }
}

/// The digests of the tokens in a file: one a line; empty lines and those that begin with `#` are none.
fn read(path: &Path) -> Result<Vec<[u8; 32]>, String> {
    let shown = path.display();
    let text =
        String::from_utf8(files::read(path)?).map_err(|_| format!("`{shown}` is no text; write tokens"))?;
    let mut digests = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let token = line.trim();
        if token.is_empty() || token.starts_with('#') {
            continue;
        }
        // What it says instead is never told.
        if token.len() < MIN_TOKEN || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            let line = number + 1;
            return Err(format!(
                "`{shown}` line {line}: a token has at least {MIN_TOKEN} signs without spaces; make one by chance, as \
                 `openssl rand -hex 32` does"
            ));
        }
        digests.push(Sha256::digest(token.as_bytes()).into());
    }
    if digests.is_empty() {
        return Err(format!("`{shown}` holds no token; write one a line"));
    }
    Ok(digests)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "0123456789abcdef";

    fn certificate(spiffe: Option<&str>, names: &[&str]) -> Caller {
        let transport = Transport::Tcp("192.0.2.1:1".parse().unwrap());
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        let names = PeerNames { spiffe: spiffe.map(str::to_owned), names, expires: 0 };
        Caller { transport, certificate: Some(names) }
    }

    fn plain(transport: Transport) -> Caller {
        Caller { transport, certificate: None }
    }

    fn access(text: &str) -> Access {
        Access::open(&toml::from_str(text).unwrap()).unwrap()
    }

    #[test]
    fn a_service_without_a_list_is_open() {
        let access = access("[publish]\nuids = [7]");
        let nobody = plain(Transport::Tcp("192.0.2.1:1".parse().unwrap()));
        let standing = access.standing(&nobody);
        for service in Service::ALL.iter().copied() {
            let listed = service == Service::Publish;
            assert_eq!(access.check(service, standing, None).is_ok(), !listed, "{service:?}");
            assert_eq!(access.is_listed(service), listed);
        }
        assert_eq!(access.check(Service::Publish, standing, None), Err(Refused::NoCredential));
    }

    #[test]
    fn certificates_and_users_are_on_the_list_or_not() {
        let access = access(
            "[follow]\nspiffe = ['spiffe://a/one', 'spiffe://a/ns/*']\nnames = ['Side.example']\nuids = [7]",
        );
        let may = |caller: Caller| access.check(Service::Follow, access.standing(&caller), None);
        for right in [
            certificate(Some("spiffe://a/one"), &[]),
            certificate(Some("spiffe://a/ns/x"), &[]),
            certificate(None, &["other", "side.example"]),
            plain(Transport::Unix(Some(7))),
        ] {
            assert_eq!(may(right.clone()), Ok(()), "{right:?}");
        }
        for wrong in [
            certificate(Some("spiffe://a/one/more"), &[]),
            certificate(Some("spiffe://a/ns"), &[]),
            certificate(Some("spiffe://a/ns/"), &[]),
            certificate(Some("spiffe://a/nsx"), &[]),
            certificate(Some("spiffe://b/one"), &["side.example.org"]),
            plain(Transport::Unix(Some(8))),
        ] {
            assert_eq!(may(wrong.clone()), Err(Refused::NotListed), "{wrong:?}");
        }
        assert_eq!(may(plain(Transport::Unix(None))), Err(Refused::NoCredential));
    }

    #[test]
    fn tokens_count_until_they_are_replaced() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), format!("# ours\n\n{TOKEN}\n  other-token-other  \n")).unwrap();
        let access = access(&format!("[admin]\ntoken_file = {:?}", file.path()));
        let standing = access.standing(&plain(Transport::Tcp("192.0.2.1:1".parse().unwrap())));
        let may = |token: Option<&str>| access.check(Service::Admin, standing, token.map(str::as_bytes));
        assert_eq!((may(Some(TOKEN)), may(Some("other-token-other"))), (Ok(()), Ok(())));
        assert_eq!(may(Some("# ours")), Err(Refused::UnknownToken));
        assert_eq!((may(Some("")), may(None)), (Err(Refused::UnknownToken), Err(Refused::NoCredential)));
        std::fs::write(file.path(), "fedcba9876543210").unwrap();
        assert!(access.reload().iter().all(Result::is_ok));
        assert_eq!((may(Some("fedcba9876543210")), may(Some(TOKEN))), (Ok(()), Err(Refused::UnknownToken)));
        std::fs::write(file.path(), "short").unwrap();
        let error = access.reload().remove(0).unwrap_err();
        assert!(error.contains("line 1: a token has at least 16") && !error.contains("short"), "{error}");
        assert_eq!(may(Some("fedcba9876543210")), Ok(()), "what was read before stays");
        std::fs::write(file.path(), "# none").unwrap();
        assert!(access.reload().remove(0).unwrap_err().contains("holds no token"));
        assert!(!format!("{access:?}").contains("fedcba"), "tokens are not shown");
    }
}
