//! Keys that tokens are signed with, right ones and forged ones.
//!
//! Must not know: what is signed.

use super::super::settings::Algorithm;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD as BASE64};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
    KeyPair as _, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384,
    RSA_PSS_SHA512, RsaEncoding, RsaKeyPair,
};
use ring::{hmac, rsa::PublicKeyComponents};
use serde_json::{Value as Json, json};
use std::fmt;

/// A key that signs, with its name.
pub struct Signer {
    kid: String,
    algorithm: Algorithm,
    pair: Pair,
}

enum Pair {
    Rsa(Box<RsaKeyPair>, &'static dyn RsaEncoding),
    Ec(Box<EcdsaKeyPair>),
    Ed(Box<Ed25519KeyPair>),
    Secret(hmac::Key),
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer")
            .field("kid", &self.kid)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

impl Signer {
    /// A new key for ES256, ES384 or EdDSA.
    ///
    /// # Errors
    /// For other algorithms, and when the system has no random numbers.
    pub fn generate(kid: &str, algorithm: Algorithm) -> Result<Self, String> {
        Self::generate_with_key(kid, algorithm).map(|(signer, _)| signer)
    }

    /// The same, with the private key (PKCS#8, DER), which whoever keeps it can sign with.
    ///
    /// # Errors
    /// As [`Signer::generate`].
    pub fn generate_with_key(kid: &str, algorithm: Algorithm) -> Result<(Self, Vec<u8>), String> {
        let random = SystemRandom::new();
        let failed = |error: ring::error::Unspecified| format!("no key can be made: {error}");
        let key = match algorithm {
            Algorithm::ES256 => EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random),
            Algorithm::ES384 => EcdsaKeyPair::generate_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, &random),
            Algorithm::EdDSA => Ed25519KeyPair::generate_pkcs8(&random),
            _ => return Err(format!("keys for {} are not made here; bring one", algorithm.as_str())),
        };
        let key = key.map_err(failed)?.as_ref().to_vec();
        Ok((Self::ec(kid, algorithm, &key)?, key))
    }

    /// A key (PKCS#8, DER) for ES256, ES384 or EdDSA.
    ///
    /// # Errors
    /// For other algorithms, and when it is no such key.
    pub fn ec(kid: &str, algorithm: Algorithm, pkcs8: &[u8]) -> Result<Self, String> {
        let random = SystemRandom::new();
        let wrong = |error: ring::error::KeyRejected| format!("it is no key for {}: {error}", algorithm.as_str());
        let ecdsa = |curve| EcdsaKeyPair::from_pkcs8(curve, pkcs8, &random).map(|pair| Pair::Ec(Box::new(pair)));
        let pair = match algorithm {
            Algorithm::ES256 => ecdsa(&ECDSA_P256_SHA256_FIXED_SIGNING),
            Algorithm::ES384 => ecdsa(&ECDSA_P384_SHA384_FIXED_SIGNING),
            Algorithm::EdDSA => Ed25519KeyPair::from_pkcs8(pkcs8).map(|pair| Pair::Ed(Box::new(pair))),
            _ => return Err(format!("{} does not use such a key", algorithm.as_str())),
        };
        let pair = pair.map_err(wrong)?;
        Ok(Self { kid: kid.to_owned(), algorithm, pair })
    }

    /// An RSA key (PKCS#8, DER) for one of the algorithms that use one.
    ///
    /// # Errors
    /// For other algorithms, and when it is no such key.
    pub fn rsa(kid: &str, algorithm: Algorithm, pkcs8: &[u8]) -> Result<Self, String> {
        let encoding: &'static dyn RsaEncoding = match algorithm {
            Algorithm::RS256 => &RSA_PKCS1_SHA256,
            Algorithm::RS384 => &RSA_PKCS1_SHA384,
            Algorithm::RS512 => &RSA_PKCS1_SHA512,
            Algorithm::PS256 => &RSA_PSS_SHA256,
            Algorithm::PS384 => &RSA_PSS_SHA384,
            Algorithm::PS512 => &RSA_PSS_SHA512,
            _ => return Err(format!("{} does not use RSA", algorithm.as_str())),
        };
        let pair = RsaKeyPair::from_pkcs8(pkcs8).map_err(|error| format!("it is no RSA key: {error}"))?;
        Ok(Self { kid: kid.to_owned(), algorithm, pair: Pair::Rsa(Box::new(pair), encoding) })
    }

    /// A secret, for HS256.
    pub fn secret(kid: &str, secret: &[u8]) -> Self {
        let pair = Pair::Secret(hmac::Key::new(hmac::HMAC_SHA256, secret));
        Self { kid: kid.to_owned(), algorithm: Algorithm::HS256, pair }
    }

    /// The key's name.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// How it signs.
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The public key as a JSON web key; a secret has none.
    pub fn jwk(&self) -> Option<Json> {
        let base = |bytes: &[u8]| BASE64.encode(bytes);
        let mut jwk = match &self.pair {
            Pair::Rsa(pair, _) => {
                let public = PublicKeyComponents::<Vec<u8>>::from(pair.public_key());
                json!({"kty": "RSA", "n": base(&public.n), "e": base(&public.e)})
            }
            Pair::Ec(pair) => {
                let point = pair.public_key().as_ref().get(1..)?;
                let (x, y) = point.split_at_checked(point.len() / 2)?;
                let curve = if self.algorithm == Algorithm::ES256 { "P-256" } else { "P-384" };
                json!({"kty": "EC", "crv": curve, "x": base(x), "y": base(y)})
            }
            Pair::Ed(pair) => json!({"kty": "OKP", "crv": "Ed25519", "x": base(pair.public_key().as_ref())}),
            Pair::Secret(_) => return None,
        };
        let own = [("kid", self.kid.as_str()), ("alg", self.algorithm.as_str()), ("use", "sig")];
        jwk.as_object_mut()?.extend(own.map(|(name, value)| (name.to_owned(), value.into())));
        Some(jwk)
    }

    /// The signature of these bytes; nothing if the system has no random numbers.
    pub fn sign(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Rsa(pair, encoding) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(*encoding, &random, bytes, &mut signature).ok()?;
                Some(signature)
            }
            Pair::Ec(pair) => Some(pair.sign(&random, bytes).ok()?.as_ref().to_vec()),
            Pair::Ed(pair) => Some(pair.sign(bytes).as_ref().to_vec()),
            Pair::Secret(key) => Some(hmac::sign(key, bytes).as_ref().to_vec()),
        }
    }

    /// A token with this header and these claims as they are, signed.
    pub fn token(&self, header: &str, claims: &str) -> String {
        let signed = format!("{}.{}", BASE64.encode(header), BASE64.encode(claims));
        let signature = self.sign(signed.as_bytes()).unwrap_or_default();
        format!("{signed}.{}", BASE64.encode(signature))
    }
}

/// The forms of a public RSA key that a careless server could take for a secret: DER and PEM, alone and with its
/// algorithm.
pub(super) fn as_secrets(jwk: &Json) -> Vec<(&'static str, Vec<u8>)> {
    let part = |name: &str| jwk.get(name).and_then(Json::as_str).and_then(|text| BASE64.decode(text).ok());
    let mut all = vec![("jwk", jwk.to_string().into_bytes())];
    if let (Some(n), Some(e)) = (part("n"), part("e")) {
        /// rsaEncryption, without parameters.
        const RSA: &[u8] =
            &[0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];
        let pkcs1 = der(0x30, &[integer(&n), integer(&e)].concat());
        let spki = der(0x30, &[RSA.to_vec(), der(0x03, &[vec![0], pkcs1.clone()].concat())].concat());
        all.push(("modulus", n));
        all.push(("pkcs1-pem", pem("RSA PUBLIC KEY", &pkcs1).into_bytes()));
        all.push(("spki-pem", pem("PUBLIC KEY", &spki).into_bytes()));
        all.push(("spki-pem-stripped", pem("PUBLIC KEY", &spki).trim_end().as_bytes().to_vec()));
        all.push(("spki-der", spki));
    }
    if let (Some(x), Some(y)) = (part("x"), part("y")) {
        all.push(("point", [vec![4], x, y].concat()));
    } else if let Some(x) = part("x") {
        all.push(("point", x));
    }
    all
}

fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let length: Vec<u8> = length.into_iter().skip_while(|byte| *byte == 0).collect();
    let mut all = vec![tag];
    match (content.len(), u8::try_from(length.len())) {
        (short @ ..0x80, _) => all.extend(u8::try_from(short)),
        (_, count) => {
            all.extend(count.map(|count| 0x80 | count));
            all.extend(length);
        }
    }
    all.extend(content);
    all
}

fn integer(bytes: &[u8]) -> Vec<u8> {
    // A number whose first bit is set would be negative.
    let sign = bytes.first().is_some_and(|first| *first >= 0x80).then_some(0);
    der(0x02, &sign.into_iter().chain(bytes.iter().copied()).collect::<Vec<u8>>())
}

fn pem(label: &str, bytes: &[u8]) -> String {
    let text = STANDARD.encode(bytes);
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}
