//! JSON web tokens that are verified here: found in a header or cookie, checked against the issuer's keys, read.
//!
//! Must not know: what other evidence there is.

mod compact;
mod kept;
mod keys;
mod place;
mod remote;
mod verifier;

use super::claims::{Lifetime, Mapping, Terms};
use super::evidence::Headers;
use super::json::Object;
use super::settings::{Algorithm, JwtSettings};
use super::{Identity, Reason, Source, Trouble, refused};
use crate::model::Timestamp;
use compact::{Head, Types};
use jsonwebtoken::errors::ErrorKind;
use kept::Kept;
use keys::{Key, KeyFile, KeySet};
use place::Place;
use remote::{Pace, Remote};
use std::fmt;
use std::sync::Arc;

/// How many keys are tried on a token that does not name its key.
const MAX_TRIED: usize = 4;

pub(super) struct Jwt {
    place: Place,
    algorithms: Vec<Algorithm>,
    types: Types,
    keys: Keys,
    terms: Terms,
    mapping: Mapping,
    kept: Kept,
}

/// Where keys come from.
enum Keys {
    File(KeyFile),
    Remote(Remote),
}

impl fmt::Debug for Jwt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jwt")
            .field("place", &self.place)
            .field("algorithms", &self.algorithms)
            .finish_non_exhaustive()
    }
}

/// A token that was verified.
#[derive(Clone)]
struct Verified {
    lifetime: Lifetime,
    identity: Identity,
}

impl Jwt {
    pub(super) fn new(settings: &JwtSettings, mapping: Mapping) -> Result<Self, String> {
        verifier::install();
        let expected = |name: &str, one: &str, list: &[String], any: bool| match (list.is_empty(), any) {
            (true, false) => Err(format!(
                "identity.jwt.{name}: there is none, so tokens that were made for others would count; name at least one, \
                 or set any_{one}"
            )),
            (false, true) => {
                Err(format!("identity.jwt.any_{one}: is set, and {name} are as well; leave out one of them"))
            }
            _ => Ok(()),
        };
        expected("issuers", "issuer", &settings.issuers, settings.any_issuer)?;
        expected("audiences", "audience", &settings.audiences, settings.any_audience)?;
        Ok(Self {
            place: Place::new(settings)?,
            algorithms: settings.algorithms.clone(),
            types: Types::new(settings.types.as_deref())?,
            keys: Keys::new(settings)?,
            terms: Terms::new(
                "identity.jwt",
                &settings.issuers,
                &settings.audiences,
                settings.leeway_seconds,
            )?,
            mapping,
            kept: Kept::new(),
        })
    }

    pub(super) async fn prepare(&self, now: Timestamp) -> Result<(), String> {
        self.keys.current(now).await.map(|_| ())
    }

    pub(super) fn reload(&self) -> Option<Result<String, String>> {
        match &self.keys {
            Keys::File(file) => Some(file.reload()),
            Keys::Remote(_) => None,
        }
    }

    pub(super) async fn identify(
        &self,
        headers: &Headers<'_>,
        now: Timestamp,
    ) -> Result<Option<Identity>, Trouble> {
        let Some(token) = self.place.find(headers)? else { return Ok(None) };
        compact::within_bounds(token)?;
        let keys = match self.keys.at_hand(now) {
            Some(keys) => keys,
            None => {
                // What is no token is refused also while there are no keys, and waits for none.
                compact::read(token, &self.algorithms, &self.types)?;
                self.keys.current(now).await.map_err(Trouble::Unavailable)?
            }
        };
        let known = kept::fingerprint(token);
        if let Some(verified) = self.kept.get(&known, &keys) {
            verified.lifetime.check(now)?;
            return Ok(Some(verified.identity));
        }
        let head = compact::read(token, &self.algorithms, &self.types)?;
        let keys = self.with_key(keys, &head, now).await?;
        let Object(claims) = verify(token, &head, &keys)?;
        let lifetime = self.terms.check(&claims)?;
        lifetime.check(now)?;
        let subject = self.mapping.subject(&claims)?;
        let identity = Identity { subject, source: Source::Jwt, expires: Some(lifetime.until()) };
        self.kept.put(known, &keys, token.len(), Verified { lifetime, identity: identity.clone() });
        Ok(Some(identity))
    }

    /// Keys with one that fits the token; a key that is not known may be new, so they are fetched anew if that may
    /// be.
    async fn with_key(&self, keys: Arc<KeySet>, head: &Head, now: Timestamp) -> Result<Arc<KeySet>, Trouble> {
        if keys.fitting(head).next().is_some() {
            return Ok(keys);
        }
        if let Keys::Remote(remote) = &self.keys {
            let newer = remote.newer(now).await;
            if let Some(newer) = newer.filter(|newer| newer.fitting(head).next().is_some()) {
                return Ok(newer);
            }
        }
        Err(refused(
            Reason::TokenKeyUnknown,
            "no key is known that the token could be signed with (`kid`, `alg`); the issuer may sign with another one \
             than it publishes",
        ))
    }
}

impl Keys {
    fn new(settings: &JwtSettings) -> Result<Self, String> {
        let JwtSettings { algorithms, jwks_file, jwks_url, jwks_ca_file, secret_file, .. } = settings;
        if algorithms.is_empty() {
            return Err("identity.jwt.algorithms: is empty, so no token counts; name at least one".into());
        }
        let symmetric = algorithms.contains(&Algorithm::HS256);
        if symmetric && algorithms.iter().any(|it| *it != Algorithm::HS256) {
            return Err("identity.jwt.algorithms: HS256 stands beside others, so a public key could be taken for a secret; \
                        leave out HS256 or the others"
                .into());
        }
        if jwks_ca_file.is_some() && jwks_url.is_none() {
            return Err(
                "identity.jwt.jwks_ca_file: there is no jwks_url that it could be for; leave it out".into()
            );
        }
        match (jwks_file, jwks_url, secret_file) {
            (None, None, Some(path)) if symmetric => KeyFile::secret(path.clone()).map(Self::File),
            (_, _, None) if symmetric => {
                Err("identity.jwt.secret_file: HS256 needs a secret; name its file".into())
            }
            (_, _, Some(_)) if symmetric => {
                Err("identity.jwt: HS256 has a secret, and no public keys; leave out jwks_file and jwks_url"
                    .into())
            }
            (_, _, Some(_)) => Err(
                "identity.jwt.secret_file: is used by HS256 only, which is not in algorithms; leave it out"
                    .into(),
            ),
            (Some(path), None, None) => KeyFile::jwks(path.clone(), algorithms.clone()).map(Self::File),
            (None, Some(url), None) => {
                let pace = Pace::new(settings)?;
                Remote::new(url, jwks_ca_file.as_deref(), pace, algorithms.clone()).map(Self::Remote)
            }
            (Some(_), Some(_), None) => {
                Err("identity.jwt: jwks_file and jwks_url are both set; leave out one of them".into())
            }
            (None, None, None) => {
                Err("identity.jwt: there are no keys to verify tokens with; set jwks_url or jwks_file".into())
            }
        }
    }

    /// The keys to verify with, if there are any without waiting.
    fn at_hand(&self, now: Timestamp) -> Option<Arc<KeySet>> {
        match self {
            Self::File(file) => Some(file.keys()),
            Self::Remote(remote) => remote.at_hand(now),
        }
    }

    async fn current(&self, now: Timestamp) -> Result<Arc<KeySet>, String> {
        match self {
            Self::File(file) => Ok(file.keys()),
            Self::Remote(remote) => remote.current(now).await,
        }
    }
}

/// The claims of a token whose signature is that of one of the keys that fit it.
fn verify(token: &str, head: &Head, keys: &KeySet) -> Result<Object, Trouble> {
    let unsigned = || refused(Reason::TokenSignature, "the token's signature is not that of the key");
    // Several only where the token does not name its key.
    if keys.fitting(head).nth(MAX_TRIED).is_some() {
        let what =
            "the token names no key (`kid`), and too many could have signed it; have the issuer name it";
        return Err(refused(Reason::TokenKeyUnknown, what));
    }
    for key in keys.fitting(head) {
        match read_signed(token, head, key) {
            Err(Trouble::Refused(Reason::TokenSignature, _)) => {}
            other => return other,
        }
    }
    Err(unsigned())
}

/// The claims, if the token is signed with this key. What they say is checked elsewhere: here it is not known what
/// time it is.
fn read_signed(token: &str, head: &Head, key: &Key) -> Result<Object, Trouble> {
    let mut rules = jsonwebtoken::Validation::new(verifier::name(head.algorithm));
    rules.required_spec_claims.clear();
    (rules.validate_exp, rules.validate_nbf, rules.validate_aud) = (false, false, false);
    match jsonwebtoken::decode::<Object>(token, &key.key, &rules) {
        Ok(data) => Ok(data.claims),
        Err(error) => Err(match error.kind() {
            ErrorKind::InvalidSignature => {
                refused(Reason::TokenSignature, "the token's signature is not that of the key")
            }
            // The signature was right by then.
            ErrorKind::Json(error) => {
                // Its own words could repeat what the claims say.
                let what = if error.is_data() {
                    "its claims are no object, or are nested too deep, or one is there twice"
                } else {
                    "its claims are no JSON, or a moment among them is no number"
                };
                refused(Reason::TokenMalformed, format!("the token is malformed: {what}"))
            }
            ErrorKind::InvalidAlgorithm | ErrorKind::InvalidKeyFormat => {
                refused(Reason::TokenAlgorithm, "the token is signed in another way than its key allows")
            }
            _ => refused(Reason::TokenMalformed, "the token is malformed: a part of it cannot be decoded"),
        }),
    }
}

#[cfg(test)]
mod tests;
