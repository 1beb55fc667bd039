//! Headers in which a trusted gateway says who it is, as authentik's proxy writes them. From everybody else they
//! count for nothing, not even as bad evidence: clients may send what they like.
//!
//! Must not know: how it is told who the peer is.

use super::evidence::{Headers, Peer};
use super::settings::HeaderSettings;
use super::text::{self, MAX_LIST, MAX_NAME};
use super::{Identity, Reason, Source, Trouble, refused};
use crate::model::{Subject, Value};
use ipnet::IpNet;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// The longest value of a header with a list, in bytes.
const MAX_VALUE: usize = 64 * 1024;
/// What stands between the names of a list.
const SEPARATOR: char = '|';

#[derive(Debug)]
pub(super) struct Vouched {
    unix: bool,
    networks: Vec<IpNet>,
    names: Names,
    uid_identifies: bool,
}

/// The names of the headers, in lower case.
#[derive(Debug)]
struct Names {
    username: String,
    groups: String,
    entitlements: String,
    email: String,
    name: String,
    uid: String,
}

impl Names {
    fn all(&self) -> [&str; 6] {
        [&self.username, &self.groups, &self.entitlements, &self.email, &self.name, &self.uid]
    }
}

/// A name as servers behind gateways may read it: `_`, `.` and all other signs as `-`.
fn folded(name: &str) -> Cow<'_, str> {
    let odd = |sign: char| sign != '-' && !sign.is_ascii_alphanumeric();
    if name.contains(odd) { Cow::Owned(name.replace(odd, "-")) } else { Cow::Borrowed(name) }
}

impl Vouched {
    pub(super) fn new(settings: &HeaderSettings) -> Result<Self, String> {
        let HeaderSettings { trusted_peers, prefix, uid_identifies } = settings;
        if trusted_peers.is_empty() {
            return Err("identity.headers.trusted_peers: is empty, so no header counts; name the gateway's network or unix"
                .into());
        }
        let mut networks = Vec::new();
        for peer in trusted_peers.iter().filter(|peer| *peer != "unix") {
            let wrong = |what: &str| {
                format!(
                    "identity.headers.trusted_peers: `{peer}` {what}; write a network such as 127.0.0.1/32, or unix"
                )
            };
            let network = match (peer.parse::<IpNet>(), peer.parse::<IpAddr>()) {
                (Ok(network), _) => network,
                (_, Ok(address)) => address.into(),
                _ => return Err(wrong("is no network")),
            };
            if network.prefix_len() == 0 {
                return Err(wrong("is everybody, so that every client could say who it is"));
            }
            networks.push(network);
        }
        let prefix = prefix.to_ascii_lowercase();
        let sign = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        if prefix.len() > 128 || !prefix.bytes().all(sign) || !prefix.ends_with('-') {
            return Err(format!(
                "identity.headers.prefix: `{prefix}` is no beginning of a header's name; write it like x-authentik-"
            ));
        }
        let name = |rest: &str| format!("{prefix}{rest}");
        Ok(Self {
            unix: trusted_peers.iter().any(|peer| peer == "unix"),
            networks,
            names: Names {
                username: name("username"),
                groups: name("groups"),
                entitlements: name("entitlements"),
                email: name("email"),
                name: name("name"),
                uid: name("uid"),
            },
            uid_identifies: *uid_identifies,
        })
    }

    fn trusts(&self, peer: Peer) -> bool {
        let address = peer.address.map(|address| address.to_canonical());
        (peer.unix && self.unix)
            || address.is_some_and(|address| self.networks.iter().any(|network| network.contains(&address)))
    }

    pub(super) fn identify(&self, headers: &Headers<'_>, peer: Peer) -> Result<Option<Identity>, Trouble> {
        if !self.trusts(peer) {
            return Ok(None);
        }
        let ours = self.names.all();
        let mut other_spelling =
            headers.names().filter(|name| ours.contains(&folded(name).as_ref()) && !ours.contains(name));
        if other_spelling.next().is_some() {
            return Err(refused(
                Reason::HeaderAmbiguous,
                "a header that says who is asking is there in another spelling, such as with `_` or `.`; have the gateway remove it",
            ));
        }
        let names = &self.names;
        let username = one(&names.username, certain(headers, &names.username)?)?;
        let uid = one(&names.uid, certain(headers, &names.uid)?)?;
        let email = one(&names.email, text(headers, &names.email)?)?;
        let name = one(&names.name, text(headers, &names.name)?)?;
        let (groups, entitlements) = (list(headers, &names.groups)?, list(headers, &names.entitlements)?);
        let known = username.is_some() || (self.uid_identifies && uid.is_some());
        if !known {
            let something = uid.is_some()
                || email.is_some()
                || name.is_some()
                || !groups.is_empty()
                || !entitlements.is_empty();
            if something {
                return Err(refused(
                    Reason::HeaderMalformed,
                    format!(
                        "there are headers about somebody, and none that says who it is (`{}`)",
                        names.username
                    ),
                ));
            }
            return Ok(None);
        }
        let mut attributes = BTreeMap::new();
        let mut user_id = None;
        match uid {
            Some(uid) if self.uid_identifies => user_id = Some(uid.into()),
            Some(uid) => {
                attributes.insert("uid".into(), Value::String(uid.into()));
            }
            None => {}
        }
        if !entitlements.is_empty() {
            let all = entitlements.into_iter().map(|name| Value::String(name.into())).collect();
            attributes.insert("entitlements".into(), Value::List(all));
        }
        let subject = Subject {
            user_id,
            username: username.map(Into::into),
            email: email.map(Into::into),
            name: name.map(Into::into),
            group_names: groups,
            attributes: Value::Map(attributes),
            ..Subject::default()
        };
        Ok(Some(Identity { subject, source: Source::Headers, expires: None }))
    }
}

/// The text of a header that is there once; nothing when it is not there, or empty.
fn text<'a>(headers: &Headers<'a>, name: &str) -> Result<Option<&'a str>, Trouble> {
    let mut values = headers.all(name);
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(refused(
            Reason::HeaderAmbiguous,
            format!("the header `{name}` is there more than once; have the gateway replace it"),
        ));
    }
    let wrong = |what: &str| refused(Reason::HeaderMalformed, format!("the header `{name}` {what}"));
    if value.len() > MAX_VALUE {
        return Err(wrong("has more than 65536 bytes"));
    }
    let text = std::str::from_utf8(value).map_err(|_| wrong("is no UTF-8"))?.trim_matches([' ', '\t']);
    if text.chars().any(char::is_control) {
        return Err(wrong("has control characters"));
    }
    Ok(Some(text).filter(|text| !text.is_empty()))
}

/// The same, for what somebody may do something by: no comma where it may stand between two headers.
fn certain<'a>(headers: &Headers<'a>, name: &str) -> Result<Option<&'a str>, Trouble> {
    let found = text(headers, name)?;
    if headers.are_joined() && found.is_some_and(|text| text.contains(',')) {
        return Err(refused(
            Reason::HeaderAmbiguous,
            format!(
                "the header `{name}` has a comma, which may stand between two of that name; have the gateway send them apart"
            ),
        ));
    }
    Ok(found)
}

fn one<'a>(name: &str, found: Option<&'a str>) -> Result<Option<&'a str>, Trouble> {
    if found.is_some_and(|text| text.len() > MAX_NAME) {
        return Err(refused(
            Reason::HeaderMalformed,
            format!("the header `{name}` has more than 1024 bytes"),
        ));
    }
    Ok(found)
}

fn list(headers: &Headers<'_>, name: &str) -> Result<Vec<String>, Trouble> {
    let Some(found) = certain(headers, name)? else { return Ok(Vec::new()) };
    let wrong = |what: &str| refused(Reason::HeaderMalformed, format!("the header `{name}` {what}"));
    if found.split(SEPARATOR).count() > MAX_LIST {
        return Err(wrong("has more than 1000 entries"));
    }
    let entry = |entry: &str| match text::fault(entry) {
        Some(what) => Err(wrong(&format!("has an entry that {what}"))),
        None => Ok(entry.to_owned()),
    };
    found.split(SEPARATOR).map(entry).collect()
}

#[cfg(test)]
mod tests;
