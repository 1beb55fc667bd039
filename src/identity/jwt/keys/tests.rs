//! Tests of key sets.

use super::*;
use crate::identity::forge::Signer;
use crate::identity::tests::{rsa, rsa_as};
use serde_json::json;

const ALL: &[Algorithm] = &[
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::PS256,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

fn read(keys: &[Json]) -> KeySet {
    KeySet::read(json!({ "keys": keys }).to_string().as_bytes(), ALL).unwrap()
}

fn with(jwk: &Json, name: &str, value: Json) -> Json {
    let mut jwk = jwk.clone();
    jwk.as_object_mut().unwrap().insert(name.into(), value);
    jwk
}

fn without(jwk: &Json, name: &str) -> Json {
    let mut jwk = jwk.clone();
    jwk.as_object_mut().unwrap().remove(name).unwrap();
    jwk
}

/// How many keys could have signed such a token.
fn fitting(set: &KeySet, algorithm: Algorithm, kid: Option<&str>) -> usize {
    set.fitting(&Head { algorithm, kid: kid.map(str::to_owned) }).count()
}

#[test]
fn a_key_verifies_what_it_is_for_and_nothing_else() {
    let ec = Signer::generate("ec", Algorithm::ES256).unwrap().jwk().unwrap();
    let large = Signer::generate("ec", Algorithm::ES384).unwrap().jwk().unwrap();
    let ed = Signer::generate("ed", Algorithm::EdDSA).unwrap().jwk().unwrap();
    let set = read(&[rsa().jwk().unwrap(), ec.clone(), large, ed, without(&ec, "kid")]);
    assert_eq!((set.len(), &set.left_out[..]), (5, &[][..]));
    assert_eq!(fitting(&set, Algorithm::RS256, Some("rsa-1")), 1);
    assert_eq!(fitting(&set, Algorithm::RS256, None), 1);
    assert_eq!(fitting(&set, Algorithm::ES256, Some("ec")), 1);
    assert_eq!(fitting(&set, Algorithm::ES384, Some("ec")), 1);
    assert_eq!(fitting(&set, Algorithm::ES256, None), 2);
    assert_eq!(fitting(&set, Algorithm::EdDSA, Some("ed")), 1);
    // `alg` says RS256 only, and HS256 is never in a set.
    for (algorithm, kid) in [
        (Algorithm::RS384, "rsa-1"),
        (Algorithm::PS256, "rsa-1"),
        (Algorithm::HS256, "rsa-1"),
        (Algorithm::ES256, "rsa-1"),
        (Algorithm::RS256, "ec"),
        (Algorithm::RS256, "RSA-1"),
        (Algorithm::RS256, "rsa-1 "),
        (Algorithm::RS256, ""),
        (Algorithm::ES256, ""),
    ] {
        assert_eq!(fitting(&set, algorithm, Some(kid)), 0, "{algorithm:?} {kid}");
    }
    // Without `alg`, all that RSA can do and is allowed.
    let set = read(&[without(&rsa().jwk().unwrap(), "alg")]);
    for (algorithm, count) in [
        (Algorithm::RS256, 1),
        (Algorithm::RS384, 1),
        (Algorithm::PS256, 1),
        (Algorithm::RS512, 0),
        (Algorithm::ES256, 0),
    ] {
        assert_eq!(fitting(&set, algorithm, Some("rsa-1")), count, "{algorithm:?}");
    }
}

#[test]
fn keys_that_are_not_for_it_are_left_out_and_told() {
    let rsa = rsa_as("a", Algorithm::RS256).jwk().unwrap();
    let ec = Signer::generate("b", Algorithm::ES256).unwrap().jwk().unwrap();
    let number = |bytes: usize, first: u8| BASE64.encode([vec![first], vec![0xff; bytes - 1]].concat());
    for (jwk, why) in [
        (with(&rsa, "use", json!("enc")), "not for signatures"),
        (with(&rsa, "use", json!("SIG")), "not for signatures"),
        (with(&rsa, "key_ops", json!(["sign"])), "not for signatures"),
        (with(&rsa, "key_ops", json!([])), "not for signatures"),
        (with(&rsa, "alg", json!("RSA-OAEP-256")), "for none of `algorithms`"),
        (with(&rsa, "alg", json!("HS256")), "for none of `algorithms`"),
        (with(&rsa, "alg", json!("none")), "for none of `algorithms`"),
        (with(&rsa, "alg", json!("ES256")), "for none of `algorithms`"),
        (with(&rsa, "n", json!(number(128, 0xff))), "it has 1024 bits"),
        (with(&rsa, "n", json!(number(256, 0x7f))), "it has 2047 bits"),
        (with(&rsa, "n", json!(number(1025, 0x01))), "it has 8193 bits"),
        (with(&rsa, "n", json!("")), "it has 0 bits"),
        (with(&rsa, "n", json!("A+/=")), "no base64url"),
        (with(&rsa, "e", json!("AQ")), "exponent"),
        (with(&rsa, "e", json!("AAE")), "exponent"),
        (with(&rsa, "e", json!("AQAA")), "exponent"),
        (with(&rsa, "e", json!("")), "exponent"),
        (with(&rsa, "e", json!("AQAAAAE")), "exponent"),
        (without(&rsa, "e"), "missing"),
        (with(&rsa, "kty", json!("oct")), "a secret"),
        (with(&rsa, "kty", json!("rsa")), "not supported"),
        (with(&rsa, "kid", json!(1)), "no JSON web key"),
        (json!("key"), "no JSON web key"),
        (json!(null), "no JSON web key"),
        (with(&ec, "crv", json!("P-521")), "not supported"),
        (with(&ec, "crv", json!("P-384")), "too short or too long"),
        (with(&ec, "x", json!("AAAA")), "too short or too long"),
        (without(&ec, "y"), "missing"),
        (json!({"kty": "OKP", "crv": "X25519", "x": number(32, 1)}), "not supported"),
        (json!({"kty": "OKP", "crv": "Ed25519", "x": number(31, 1)}), "too short"),
    ] {
        let set = read(&[jwk.clone(), ec.clone()]);
        assert_eq!(set.len(), 1, "{jwk}");
        let [told] = &set.left_out[..] else { panic!("{:?}", set.left_out) };
        assert!(told.starts_with("key 1: ") && told.contains(why), "{told}");
    }
    for jwk in [
        with(&rsa, "n", json!(number(256, 0x80))),
        with(&rsa, "n", json!(number(257, 0x00))),
        with(&rsa, "n", json!(number(1024, 0xff))),
        with(&rsa, "e", json!("Aw")),
        with(&rsa, "use", Json::Null),
        with(&rsa, "key_ops", json!(["verify"])),
        with(&rsa, "x5c", json!([1, 2])),
        with(&rsa, "x5u", json!("https://attacker.example")),
    ] {
        assert_eq!(read(&[jwk]).len(), 1);
    }
}

#[test]
fn sets_have_bounds() {
    let jwk = rsa().jwk().unwrap();
    assert_eq!(read(&vec![jwk.clone(); MAX_KEYS]).len(), MAX_KEYS);
    let many = json!({"keys": vec![jwk; MAX_KEYS + 1]}).to_string();
    assert!(KeySet::read(many.as_bytes(), ALL).unwrap_err().contains("65 keys"));
    for text in ["", "{", "[1]", "\"keys\"", r#"{"keys": {}}"#, r#"{"keys": [}"#, &"[".repeat(10_000)] {
        let error = KeySet::read(text.as_bytes(), ALL).unwrap_err();
        assert!(error.contains("no JSON web key set"), "{error}");
    }
    assert_eq!(KeySet::read(b"{}", ALL).unwrap().len(), 0);
}
