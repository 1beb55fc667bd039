//! The form of a token: three parts in base64url, of which the first says how it is signed. Whatever is not
//! understood in full is refused before any key is touched.
//!
//! Must not know: keys, claims.

use super::super::json::Object;
use super::super::settings::Algorithm;
use super::super::{Reason, Trouble, refused};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use serde_json::Value as Json;

/// The longest token, in bytes.
pub(super) const MAX_TOKEN: usize = 16 * 1024;
/// The longest name of a key, in bytes.
const MAX_KID: usize = 256;

/// What the first part says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) algorithm: Algorithm,
    /// The key that it is signed with.
    pub(super) kid: Option<String>,
}

/// The types that tokens may have.
#[derive(Clone, Debug)]
pub(super) struct Types {
    names: Vec<String>,
    /// Whether a token may do without.
    none: bool,
}

impl Types {
    pub(super) fn new(names: Option<&[String]>) -> Result<Self, String> {
        let Some(names) = names else {
            return Ok(Self { names: vec!["jwt".to_owned(), "at+jwt".to_owned()], none: true });
        };
        if names.is_empty() || names.iter().any(|name| name.trim().is_empty()) {
            return Err(
                "identity.jwt.types: is empty, or an entry is; name a type such as at+jwt, or leave it out"
                    .into(),
            );
        }
        Ok(Self { names: names.iter().map(|name| plain_type(name)).collect(), none: false })
    }

    fn allow(&self, name: Option<&str>) -> bool {
        name.map_or(self.none, |name| self.names.contains(&plain_type(name)))
    }
}

/// Types are media types: case does not matter, and `application/` may be left out.
fn plain_type(name: &str) -> String {
    let name = name.to_ascii_lowercase();
    name.strip_prefix("application/").map_or_else(|| name.clone(), str::to_owned)
}

fn malformed(what: &str) -> Trouble {
    refused(Reason::TokenMalformed, format!("the token is malformed: {what}"))
}

/// Whether it is a token that may be looked at: short enough, and of the signs that tokens consist of.
pub(super) fn within_bounds(token: &str) -> Result<(), Trouble> {
    if token.is_empty() {
        return Err(malformed("it is empty"));
    }
    if token.len() > MAX_TOKEN {
        return Err(malformed("it has more than 16384 bytes"));
    }
    let sign = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if !token.bytes().all(sign) {
        return Err(malformed("it has a sign that no token has"));
    }
    Ok(())
}

/// How a token within bounds is signed, if it may be signed so.
pub(super) fn read(token: &str, allowed: &[Algorithm], types: &Types) -> Result<Head, Trouble> {
    let mut parts = token.split('.');
    let (Some(head), Some(_), Some(signature), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(malformed("it does not consist of three parts; encrypted tokens are not read"));
    };
    let bytes = BASE64.decode(head).map_err(|_| malformed("its first part is no base64url"))?;
    let Object(head) = serde_json::from_slice(&bytes)
        .map_err(|_| malformed("its first part is no JSON object, or says something twice"))?;
    // Each of these changes what the rest means, or asks that it be understood.
    for name in ["crit", "zip", "enc", "cty", "b64"] {
        if head.contains_key(name) {
            return Err(malformed(&format!("its header has `{name}`, which is not supported")));
        }
    }
    let text = |name: &str| match head.get(name) {
        None => Ok(None),
        Some(Json::String(text)) => Ok(Some(text.as_str())),
        Some(_) => Err(malformed(&format!("`{name}` in its header is no text"))),
    };
    let algorithm =
        text("alg")?.ok_or_else(|| malformed("its header does not say how it is signed (`alg`)"))?;
    let algorithm = allowed.iter().copied().find(|own| own.as_str() == algorithm).ok_or_else(|| {
        refused(Reason::TokenAlgorithm, "the token is signed in a way (`alg`) that is none of `algorithms`")
    })?;
    if !types.allow(text("typ")?) {
        return Err(refused(Reason::TokenType, "the token is of another type (`typ`) than is taken"));
    }
    let kid = text("kid")?.map(str::to_owned);
    if kid.as_ref().is_some_and(|kid| kid.len() > MAX_KID) {
        return Err(malformed("the name of its key (`kid`) has more than 256 bytes"));
    }
    if signature.is_empty() {
        return Err(refused(Reason::TokenSignature, "the token has no signature"));
    }
    Ok(Head { algorithm, kid })
}
