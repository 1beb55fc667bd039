//! The name in a client certificate that the gateway has verified: a SPIFFE id or a DNS name.
//!
//! Must not know: certificates, how the gateway verifies them.

use super::settings::{CertificateSettings, SubjectField};
use super::text;
use super::{Identity, Reason, Source, Trouble, refused};
use crate::model::Subject;
use std::collections::BTreeMap;

/// The longest SPIFFE id, in bytes.
const MAX_SPIFFE: usize = 2048;
/// The longest trust domain, in bytes.
const MAX_TRUST_DOMAIN: usize = 255;
/// The longest DNS name, in bytes.
const MAX_DNS: usize = 253;

#[derive(Debug)]
pub(super) struct Certificate {
    trust_domains: Vec<String>,
    dns_suffixes: Vec<String>,
    subject: SubjectField,
    spiffe: Option<Template>,
    dns: Option<Template>,
    map: BTreeMap<String, String>,
}

/// A certificate's name that is one.
#[derive(Debug, PartialEq, Eq)]
enum Principal<'a> {
    Spiffe { id: &'a str, trust_domain: &'a str, path: &'a str },
    Dns(String),
}

impl Principal<'_> {
    fn id(&self) -> &str {
        match self {
            Self::Spiffe { id, .. } => id,
            Self::Dns(name) => name,
        }
    }
}

/// Reads a name as the standards write it, and in no other way. DNS names come back in lower case.
fn read(name: &str) -> Option<Principal<'_>> {
    if let Some(rest) = name.strip_prefix("spiffe://") {
        let (trust_domain, path) = rest.split_at_checked(rest.find('/').unwrap_or(rest.len()))?;
        let right = name.len() <= MAX_SPIFFE && is_trust_domain(trust_domain) && is_path(path);
        return right.then_some(Principal::Spiffe { id: name, trust_domain, path });
    }
    let name = name.to_ascii_lowercase();
    is_dns(&name).then_some(Principal::Dns(name))
}

fn is_trust_domain(name: &str) -> bool {
    let sign = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-_".contains(&byte);
    !name.is_empty() && name.len() <= MAX_TRUST_DOMAIN && name.bytes().all(sign)
}

/// Empty, or parts that each begin with a slash.
fn is_path(path: &str) -> bool {
    let part = |part: &str| {
        let sign = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        !matches!(part, "" | "." | "..") && part.bytes().all(sign)
    };
    path.is_empty() || path.strip_prefix('/').is_some_and(|parts| parts.split('/').all(part))
}

/// A host name in lower case: no wildcard, no address.
fn is_dns(name: &str) -> bool {
    let label = |label: &str| {
        let sign = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        (1..=63).contains(&label.len())
            && label.bytes().all(sign)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last = name.rsplit('.').next().unwrap_or_default();
    name.len() <= MAX_DNS && name.split('.').all(label) && !last.bytes().all(|byte| byte.is_ascii_digit())
}

/// A text with places in it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Template(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Place(&'static str),
}

impl Template {
    fn read(text: &str) -> Result<Self, String> {
        const PLACES: &[&str] = &["id", "trust_domain", "path", "last", "first"];
        let wrong = |what: String| {
            format!(
                "identity.certificate.template: {what}; write a text with one or more of {{id}}, {{trust_domain}}, {{path}}, {{last}} and {{first}}"
            )
        };
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (name, after) =
                after.split_once('}').ok_or_else(|| wrong(format!("`{text}` has a {{ without a }}")))?;
            let place = PLACES.iter().find(|place| **place == name);
            let place = place.ok_or_else(|| wrong(format!("`{{{name}}}` is nothing that a name has")))?;
            pieces.push(Piece::Text(before.to_owned()));
            pieces.push(Piece::Place(place));
            rest = after;
        }
        if rest.contains('}') {
            return Err(wrong(format!("`{text}` has a }} without a {{")));
        }
        if pieces.is_empty() {
            return Err(wrong(format!("`{text}` has no place in it, so that everybody would be the same")));
        }
        pieces.push(Piece::Text(rest.to_owned()));
        Ok(Self(pieces))
    }

    /// Whether names have all that it asks for.
    fn fits(&self, places: &[&str]) -> bool {
        self.0.iter().all(|piece| !matches!(piece, Piece::Place(name) if !places.contains(name)))
    }

    /// Nothing where the name lacks something that is asked for.
    fn fill(&self, principal: &Principal<'_>) -> Option<String> {
        let mut filled = String::new();
        for piece in &self.0 {
            filled.push_str(match (piece, principal) {
                (Piece::Text(text), _) => text,
                (Piece::Place("id"), principal) => principal.id(),
                (Piece::Place("trust_domain"), Principal::Spiffe { trust_domain, .. }) => trust_domain,
                (Piece::Place("path"), Principal::Spiffe { path, .. }) => path.strip_prefix('/')?,
                (Piece::Place("last"), Principal::Spiffe { path, .. }) => path.rsplit_once('/')?.1,
                (Piece::Place("first"), Principal::Dns(name)) => name.split('.').next()?,
                (Piece::Place(_), _) => return None,
            });
        }
        Some(filled)
    }
}

impl Certificate {
    pub(super) fn new(settings: &CertificateSettings) -> Result<Self, String> {
        let CertificateSettings { trust_domains, dns_suffixes, subject, template, map } = settings;
        if trust_domains.is_empty() && dns_suffixes.is_empty() && map.is_empty() {
            return Err(
                "identity.certificate: no name is let in; set trust_domains, dns_suffixes or map".into()
            );
        }
        if let Some(name) = trust_domains.iter().find(|name| !is_trust_domain(name)) {
            return Err(format!(
                "identity.certificate.trust_domains: `{name}` is no trust domain; write it like example.org, in lower case \
                 and without spiffe://"
            ));
        }
        if let Some(name) = dns_suffixes.iter().find(|name| !is_dns(name)) {
            return Err(format!(
                "identity.certificate.dns_suffixes: `{name}` is no DNS name; write it like svc.example.org, in lower case \
                 and without a dot or * before it"
            ));
        }
        for (name, becomes) in map {
            if read(name).is_none_or(|principal| principal.id() != name) {
                return Err(format!(
                    "identity.certificate.map: `{name}` is neither a SPIFFE id nor a DNS name in lower case; correct it"
                ));
            }
            if let Some(what) = text::fault(becomes) {
                return Err(format!("identity.certificate.map: what `{name}` becomes {what}; correct it"));
            }
        }
        let template = Template::read(template)?;
        let asked = |wanted: bool, places: &[&str], setting: &str, kind: &str| match wanted {
            true if !template.fits(places) => Err(format!(
                "identity.certificate.template: it asks for what a {kind} does not have, and {setting} are let in; \
                 use {{id}}, or leave out {setting}"
            )),
            true => Ok(Some(template.clone())),
            false => Ok(None),
        };
        let spiffe = asked(
            !trust_domains.is_empty(),
            &["id", "trust_domain", "path", "last"],
            "trust_domains",
            "SPIFFE id",
        )?;
        let dns = asked(!dns_suffixes.is_empty(), &["id", "first"], "dns_suffixes", "DNS name")?;
        Ok(Self {
            trust_domains: trust_domains.clone(),
            dns_suffixes: dns_suffixes.clone(),
            subject: *subject,
            spiffe,
            dns,
            map: map.clone(),
        })
    }

    pub(super) fn identify(&self, principal: Option<&str>) -> Result<Option<Identity>, Trouble> {
        let Some(given) = principal.filter(|name| !name.is_empty()) else { return Ok(None) };
        let principal = read(given).ok_or_else(|| {
            refused(
                Reason::PrincipalMalformed,
                "the certificate's name is neither a SPIFFE id nor a DNS name",
            )
        })?;
        let name = match self.map.get(principal.id()) {
            Some(name) => name.clone(),
            None => self.allowed(&principal).ok_or_else(|| {
                let what = "the certificate's name is in none of trust_domains, dns_suffixes and map, or has not what template asks for";
                refused(Reason::PrincipalNotAllowed, what)
            })?,
        };
        if let Some(what) = text::fault(&name) {
            return Err(refused(
                Reason::PrincipalMalformed,
                format!("what the certificate's name becomes {what}"),
            ));
        }
        let name = Some(name);
        let subject = match self.subject {
            SubjectField::Username => Subject { username: name, ..Subject::default() },
            SubjectField::UserId => Subject { user_id: name, ..Subject::default() },
        };
        Ok(Some(Identity { subject, source: Source::Certificate, expires: None }))
    }

    fn allowed(&self, principal: &Principal<'_>) -> Option<String> {
        let template = match principal {
            Principal::Spiffe { trust_domain, .. } => {
                let known = self.trust_domains.iter().any(|own| own == trust_domain);
                self.spiffe.as_ref().filter(|_| known)
            }
            Principal::Dns(name) => {
                let below = |own: &String| {
                    let before = name.strip_suffix(own.as_str());
                    before.is_some_and(|before| before.is_empty() || before.ends_with('.'))
                };
                self.dns.as_ref().filter(|_| self.dns_suffixes.iter().any(below))
            }
        };
        template?.fill(principal)
    }
}

#[cfg(test)]
mod tests;
