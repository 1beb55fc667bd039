//! Keys that tokens are verified with: a JSON web key set of public keys, or one secret.
//!
//! Must not know: where a set is fetched from, tokens.

use super::Algorithm;
use super::compact::Head;
use arc_swap::ArcSwap;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use jsonwebtoken::DecodingKey;
use serde::Deserialize;
use serde_json::Value as Json;
use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The largest key set that is read, in bytes.
pub(super) const MAX_BYTES: usize = 256 * 1024;
/// The most keys in one.
const MAX_KEYS: usize = 64;
/// The shortest secret, in bytes.
const MIN_SECRET: usize = 32;
/// The sizes of RSA keys, in bits.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// Keys that are in use together.
pub(super) struct KeySet {
    /// Another one for every set that there has been in this process.
    pub(super) generation: u64,
    keys: Vec<Key>,
    /// Why the others of the set are not used, in words.
    pub(super) left_out: Vec<String>,
}

/// One of them.
pub(super) struct Key {
    /// Its name; nothing when it is the only key there is, and used whatever a token calls it.
    kid: Kid,
    /// What it may verify.
    algorithms: Vec<Algorithm>,
    pub(super) key: DecodingKey,
}

enum Kid {
    Any,
    Only(Option<String>),
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeySet").field("keys", &self.keys.len()).finish_non_exhaustive()
    }
}

fn next_generation() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    LAST.fetch_add(1, Ordering::Relaxed) + 1
}

impl KeySet {
    /// The keys of a JSON web key set that can verify tokens signed in one of these ways.
    pub(super) fn read(bytes: &[u8], allowed: &[Algorithm]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Set {
            // An issuer without keys leaves the list out.
            #[serde(default)]
            keys: Vec<Json>,
        }
        let set: Set = serde_json::from_slice(bytes).map_err(|error| {
            format!("it is no JSON web key set ({error}); it looks like {{\"keys\": [...]}}")
        })?;
        if set.keys.len() > MAX_KEYS {
            return Err(format!("it has {} keys, and at most {MAX_KEYS} are taken", set.keys.len()));
        }
        let (mut keys, mut left_out) = (Vec::new(), Vec::new());
        for (index, json) in set.keys.into_iter().enumerate() {
            match public(json, allowed) {
                Ok(key) => keys.push(key),
                Err(why) => left_out.push(format!("key {}: {why}", index + 1)),
            }
        }
        Ok(Self { generation: next_generation(), keys, left_out })
    }

    /// One secret.
    fn secret(bytes: &[u8]) -> Result<Self, String> {
        let secret = bytes.trim_ascii_end();
        if secret.len() < MIN_SECRET {
            return Err(format!("the secret has {} bytes; at least {MIN_SECRET} are needed", secret.len()));
        }
        if secret.starts_with(b"-----BEGIN") {
            return Err(
                "it is a key or certificate (PEM), and no secret; use jwks_file or jwks_url".to_owned()
            );
        }
        let key = DecodingKey::from_secret(secret).map_err(|error| error.to_string())?;
        let key = Key { kid: Kid::Any, algorithms: vec![Algorithm::HS256], key };
        Ok(Self { generation: next_generation(), keys: vec![key], left_out: Vec::new() })
    }

    /// The keys that a token may be signed with.
    pub(super) fn fitting(&self, head: &Head) -> impl Iterator<Item = &Key> {
        self.keys.iter().filter(|key| {
            let named = match (&key.kid, &head.kid) {
                (Kid::Any, _) | (_, None) => true,
                (Kid::Only(own), Some(_)) => *own == head.kid,
            };
            named && key.algorithms.contains(&head.algorithm)
        })
    }

    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }
}

/// A key of a set, as far as it matters here. What is not named here, such as certificates and addresses, is not
/// looked at.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    r#use: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

fn public(json: Json, allowed: &[Algorithm]) -> Result<Key, String> {
    let jwk: Jwk = serde_json::from_value(json).map_err(|_| "it is no JSON web key".to_owned())?;
    if jwk.r#use.as_deref().is_some_and(|it| it != "sig")
        || jwk.key_ops.as_ref().is_some_and(|ops| !ops.iter().any(|op| op == "verify"))
    {
        return Err("it is not for signatures (`use`, `key_ops`)".to_owned());
    }
    let (key, able): (DecodingKey, &[Algorithm]) = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
        ("RSA", _) => (rsa(jwk.n.as_deref(), jwk.e.as_deref())?, {
            use Algorithm::{PS256, PS384, PS512, RS256, RS384, RS512};
            &[RS256, RS384, RS512, PS256, PS384, PS512]
        }),
        ("EC", Some("P-256")) => (ec(&jwk, 32)?, &[Algorithm::ES256]),
        ("EC", Some("P-384")) => (ec(&jwk, 48)?, &[Algorithm::ES384]),
        ("OKP", Some("Ed25519")) => {
            (DecodingKey::from_ed_der(&exactly(jwk.x.as_deref(), 32)?), &[Algorithm::EdDSA])
        }
        // A secret that is published is none.
        ("oct", _) => return Err("it is a secret, which has no place in a set of public keys".to_owned()),
        _ => return Err("it is of a kind or over a curve that is not supported (`kty`, `crv`)".to_owned()),
    };
    let meant = |algorithm: &Algorithm| jwk.alg.as_ref().is_none_or(|alg| algorithm.as_str() == alg);
    let algorithms: Vec<_> = able.iter().filter(|it| allowed.contains(it) && meant(it)).copied().collect();
    if algorithms.is_empty() {
        return Err("it is for none of `algorithms`".to_owned());
    }
    Ok(Key { kid: Kid::Only(jwk.kid), algorithms, key })
}

fn decoded(text: Option<&str>) -> Result<Vec<u8>, String> {
    let text = text.ok_or("a part of it is missing")?;
    BASE64.decode(text).map_err(|_| "a part of it is no base64url".to_owned())
}

fn exactly(text: Option<&str>, length: usize) -> Result<Vec<u8>, String> {
    let bytes = decoded(text)?;
    if bytes.len() == length { Ok(bytes) } else { Err("a part of it is too short or too long".to_owned()) }
}

fn ec(jwk: &Jwk, length: usize) -> Result<DecodingKey, String> {
    // 4: both coordinates follow.
    let mut point = vec![4];
    point.extend(exactly(jwk.x.as_deref(), length)?);
    point.extend(exactly(jwk.y.as_deref(), length)?);
    Ok(DecodingKey::from_ec_der(&point))
}

fn rsa(n: Option<&str>, e: Option<&str>) -> Result<DecodingKey, String> {
    let number = |text| {
        let bytes = decoded(text)?;
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        Ok::<_, String>(bytes.into_iter().skip(zeros).collect::<Vec<u8>>())
    };
    let (n, e) = (number(n)?, number(e)?);
    let unused = n.first().map_or(0, |byte| byte.leading_zeros() as usize);
    let bits = n.len() * 8 - unused;
    if !RSA_BITS.contains(&bits) {
        return Err(format!(
            "it has {bits} bits; between {} and {} are taken",
            RSA_BITS.start(),
            RSA_BITS.end()
        ));
    }
    let odd = e.last().is_some_and(|byte| byte % 2 == 1);
    if !odd || e == [1] || e.len() > 4 {
        return Err("its exponent is none that is taken".to_owned());
    }
    Ok(DecodingKey::from_rsa_raw_components(&n, &e))
}

/// How the bytes of a file become keys.
type Read = dyn Fn(&[u8]) -> Result<KeySet, String> + Send + Sync;

/// Keys in a file.
pub(super) struct KeyFile {
    path: PathBuf,
    setting: &'static str,
    read: Box<Read>,
    /// Swapped as a whole when the file was replaced.
    keys: ArcSwap<KeySet>,
}

impl KeyFile {
    /// Public keys.
    pub(super) fn jwks(path: PathBuf, allowed: Vec<Algorithm>) -> Result<Self, String> {
        let read = move |bytes: &[u8]| {
            let keys = KeySet::read(bytes, &allowed)?;
            if keys.len() == 0 {
                let why = keys.left_out.join("; ");
                return Err(format!(
                    "it holds no key that can be used{}{why}",
                    if why.is_empty() { "" } else { ": " }
                ));
            }
            Ok(keys)
        };
        Self::open(path, "jwks_file", Box::new(read))
    }

    /// A secret.
    pub(super) fn secret(path: PathBuf) -> Result<Self, String> {
        Self::open(path, "secret_file", Box::new(KeySet::secret))
    }

    fn open(path: PathBuf, setting: &'static str, read: Box<Read>) -> Result<Self, String> {
        let keys = load(&path, setting, &*read)?;
        Ok(Self { path, setting, read, keys: ArcSwap::from_pointee(keys) })
    }

    pub(super) fn keys(&self) -> Arc<KeySet> {
        self.keys.load_full()
    }

    /// Reads the file anew; what it says now in words, or why the former keys stay.
    pub(super) fn reload(&self) -> Result<String, String> {
        let keys = load(&self.path, self.setting, &*self.read)?;
        let said =
            format!("identity.jwt.{}: `{}` has {} keys", self.setting, self.path.display(), keys.len());
        self.keys.store(Arc::new(keys));
        Ok(said)
    }
}

fn load(path: &Path, setting: &str, read: &Read) -> Result<KeySet, String> {
    let wrong = |what: String| format!("identity.jwt.{setting}: `{}`: {what}", path.display());
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes))
        .map_err(|error| wrong(format!("it cannot be read: {error}")))?;
    if bytes.len() > MAX_BYTES {
        return Err(wrong(format!("it has more than {MAX_BYTES} bytes")));
    }
    read(&bytes).map_err(wrong)
}

#[cfg(test)]
mod tests;
