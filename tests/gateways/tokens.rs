//! Tokens as whoever signs people in would issue them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

/// The issuer that `deploy` has.
const ISSUER: &str = "https://auth.example.com/application/o/gateway/";

/// Whoever signs people in.
pub(crate) struct Issuer {
    key: EcdsaKeyPair,
    random: SystemRandom,
}

fn base64(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl Issuer {
    pub(crate) fn new() -> Self {
        let random = SystemRandom::new();
        let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, key.as_ref(), &random).unwrap();
        Self { key, random }
    }

    /// Its public keys.
    pub(crate) fn keys(&self) -> String {
        // Uncompressed: a byte that says so, then both coordinates.
        let point = self.key.public_key().as_ref();
        let (x, y) = (base64(&point[1..33]), base64(&point[33..65]));
        json!({"keys": [{"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": "one", "x": x, "y": y}]})
            .to_string()
    }

    /// A good token for somebody.
    pub(crate) fn token(&self, username: &str) -> String {
        self.sign(&self.claims(username))
    }

    /// What a good token claims.
    pub(crate) fn claims(&self, username: &str) -> Value {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        json!({"iss": ISSUER, "aud": "gateway", "sub": format!("hash-of-{username}"), "iat": now, "exp": now + 3600,
            "preferred_username": username})
    }

    pub(crate) fn sign(&self, claims: &Value) -> String {
        let header = json!({"alg": "ES256", "typ": "JWT", "kid": "one"});
        let text =
            format!("{}.{}", base64(header.to_string().as_bytes()), base64(claims.to_string().as_bytes()));
        let signature = self.key.sign(&self.random, text.as_bytes()).unwrap();
        format!("{text}.{}", base64(signature.as_ref()))
    }
}
