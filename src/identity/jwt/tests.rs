//! Tests of tokens: right ones, forged ones, and what changes beneath them.

use super::*;
use crate::identity::forge::{Known, Signer, forgeries};
use crate::identity::tests::{
    AUDIENCE, ISSUER, NOW, Request, at, claims, jwks, reason, rsa, rsa_as, somebody, token, with,
};
use crate::identity::{Identified, Identifier, JwtSettings, Settings};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value as Json, json};
use std::time::Instant;

/// Takes tokens of these keys, from a file in the directory.
struct World {
    directory: tempfile::TempDir,
    identifier: Identifier,
}

impl World {
    fn new(signers: &[&Signer], change: impl FnOnce(&mut JwtSettings)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("jwks.json");
        std::fs::write(&path, jwks(signers)).unwrap();
        let mut jwt = JwtSettings {
            jwks_file: Some(path),
            issuers: vec![ISSUER.to_owned()],
            audiences: vec![AUDIENCE.to_owned()],
            ..JwtSettings::default()
        };
        change(&mut jwt);
        let identifier = Identifier::new(&Settings { jwt: Some(jwt), ..Settings::default() }).unwrap();
        Self { directory, identifier }
    }

    async fn ask_at(&self, token: &str, seconds: i64) -> Identified {
        let bearer = format!("Bearer {token}");
        Request::of(&[("authorization", &bearer)]).ask_at(&self.identifier, at(seconds)).await
    }

    async fn ask(&self, token: &str) -> Identified {
        self.ask_at(token, 0).await
    }

    /// How many tokens are kept.
    fn kept(&self) -> usize {
        self.identifier.jwt.as_ref().unwrap().kept.len()
    }
}

fn secret() -> Vec<u8> {
    vec![b's'; 40]
}

/// One that takes tokens with a secret.
fn with_secret() -> (World, Signer) {
    let world = World::new(&[], |jwt| {
        let path = jwt.jwks_file.take().unwrap().with_file_name("secret");
        std::fs::write(&path, [&secret()[..], b"\n"].concat()).unwrap();
        jwt.secret_file = Some(path);
        jwt.algorithms = vec![Algorithm::HS256];
    });
    (world, Signer::secret("any", &secret()))
}

#[tokio::test]
async fn tokens_of_every_algorithm_are_taken() {
    use Algorithm::{ES256, ES384, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512};
    for algorithm in [RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA] {
        let signer = match algorithm {
            ES256 | ES384 | EdDSA => Signer::generate("key", algorithm).unwrap(),
            _ => rsa_as("key", algorithm),
        };
        let world = World::new(&[&signer], |jwt| jwt.algorithms = vec![algorithm]);
        let found = somebody(world.ask(&token(&signer, &claims())).await);
        assert_eq!((found.source, found.expires), (Source::Jwt, Some(at(3660))));
        assert_eq!(found.subject.username.as_deref(), Some("ada"));
        // And not where they are not allowed.
        let other = if algorithm == RS256 { ES256 } else { RS256 };
        let signers = [&rsa_as("key", RS256), &Signer::generate("key", ES256).unwrap(), &signer];
        let world = World::new(&signers, |jwt| jwt.algorithms = vec![other]);
        assert_eq!(reason(world.ask(&token(&signer, &claims())).await), Reason::TokenAlgorithm);
    }
    let (world, signer) = with_secret();
    somebody(world.ask(&token(&signer, &claims())).await);
    assert_eq!(reason(world.ask(&token(&rsa(), &claims())).await), Reason::TokenAlgorithm);
    let other = Signer::secret("any", &[b't'; 40]);
    assert_eq!(reason(world.ask(&token(&other, &claims())).await), Reason::TokenSignature);
}

#[tokio::test]
async fn no_forgery_is_anybody() {
    let (secret_world, secret_signer) = with_secret();
    let mut worlds = vec![(secret_world, secret_signer)];
    for signer in [
        rsa(),
        Signer::generate("ec-1", Algorithm::ES256).unwrap(),
        Signer::generate("ec-2", Algorithm::ES384).unwrap(),
        Signer::generate("ed-1", Algorithm::EdDSA).unwrap(),
    ] {
        let algorithms = vec![Algorithm::RS256, Algorithm::ES256, Algorithm::ES384, Algorithm::EdDSA];
        worlds.push((World::new(&[&signer], |jwt| jwt.algorithms = algorithms), signer));
    }
    for (world, signer) in &worlds {
        let known = Known::all(signer, claims(), "preferred_username", NOW);
        // It would be taken if it was not changed, and is even known.
        somebody(world.ask(known.token.as_ref().unwrap()).await);
        let forgeries = forgeries(&known).unwrap();
        assert!(forgeries.len() > 120, "{}", forgeries.len());
        for forgery in &forgeries {
            // A secret is no public key: what depends on the kind of key is refused for another reason.
            let any_reason = signer.algorithm() == Algorithm::HS256;
            let found = world.ask(&forgery.token).await;
            assert!(matches!(found, Identified::Refused { .. }), "{signer:?} {forgery:?}: {found:?}");
            let found = reason(found);
            assert!(any_reason || forgery.reasons.contains(&found), "{signer:?} {forgery:?}: {found}");
        }
        assert_eq!(world.kept(), 1);
        let mut names: Vec<&str> = forgeries.iter().map(|forgery| forgery.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), forgeries.len());
    }
}

#[tokio::test]
async fn what_is_not_known_is_not_needed_to_forge() {
    let world = World::new(&[&rsa()], |_| {});
    let known = Known {
        claims: claims(),
        username: "preferred_username",
        now: NOW,
        jwk: None,
        issuer: None,
        token: None,
    };
    let forgeries = forgeries(&known).unwrap();
    assert!(forgeries.len() > 50, "{}", forgeries.len());
    for forgery in &forgeries {
        reason(world.ask(&forgery.token).await);
        assert!(!format!("{forgery:?}").contains("eyJ"));
    }
}

#[tokio::test]
async fn a_changed_token_is_nobody() {
    let signers = [rsa(), Signer::generate("ec-1", Algorithm::ES256).unwrap()];
    let worlds: Vec<(World, Vec<u8>)> = signers
        .iter()
        .map(|signer| (World::new(&[signer], |_| {}), token(signer, &claims()).into_bytes()))
        .collect();
    for (world, token) in &worlds {
        somebody(world.ask(std::str::from_utf8(token).unwrap()).await);
    }
    // At a place in the token: another byte, a further byte, none, an end, the byte after it, a part of the other
    // token.
    let change = (
        0..worlds.len(),
        any::<prop::sample::Index>(),
        0..6_usize,
        any::<u8>(),
        any::<prop::sample::Index>(),
    );
    let runtime = tokio::runtime::Handle::current();
    let check = move || {
        let mut runner =
            TestRunner::new(Config { cases: 2000, failure_persistence: None, ..Config::default() });
        runner.run(&change, |(which, place, kind, byte, other)| {
            let (world, token) = &worlds[which];
            let mut changed = token.clone();
            let place = place.index(token.len());
            match kind {
                0 => changed[place] = byte,
                1 => changed.insert(place, byte),
                2 => drop(changed.remove(place)),
                3 => changed.truncate(place),
                4 => changed.swap(place, (place + 1) % token.len()),
                _ => {
                    let theirs = &worlds[1 - which].1;
                    changed.truncate(place);
                    changed.extend(&theirs[other.index(theirs.len())..]);
                }
            }
            prop_assume!(changed != *token);
            let value = [b"Bearer ", &changed[..]].concat();
            let request = Request { headers: vec![("authorization", &value)], ..Request::default() };
            let found = runtime.block_on(request.ask(&world.identifier));
            // A changed token may be cut to nothing, but never be somebody's.
            prop_assert!(matches!(found, Identified::Refused { .. }), "{found:?}");
            Ok(())
        })
    };
    tokio::task::spawn_blocking(check).await.unwrap().unwrap();
}

#[tokio::test]
async fn headers_of_tokens_are_read_strictly_and_extras_are_not_followed() {
    let world = World::new(&[&rsa()], |_| {});
    let signed = |header: Json| rsa().token(&header.to_string(), &Json::Object(claims()).to_string());
    for extra in [
        json!({}),
        json!({"typ": "jwt"}),
        json!({"typ": "at+JWT"}),
        json!({"typ": "application/at+jwt"}),
        json!({"kid": "rsa-1"}),
        // Signed by the right key, these are only words.
        json!({"jku": "https://attacker.example", "x5t": "x", "x5u": "file:///etc/passwd", "x5c": ["x"]}),
        json!({"unknown": {"a": [1]}}),
    ] {
        let mut header = json!({"alg": "RS256"});
        header.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        somebody(world.ask(&signed(header)).await);
    }
    let typed = World::new(&[&rsa()], |jwt| jwt.types = Some(vec!["at+jwt".to_owned()]));
    somebody(typed.ask(&signed(json!({"alg": "RS256", "typ": "application/AT+jwt"}))).await);
    for typ in [Json::Null, json!("JWT"), json!(""), json!("application/application/at+jwt")] {
        let mut header = json!({"alg": "RS256", "typ": typ});
        if header["typ"].is_null() {
            header = json!({"alg": "RS256"});
        }
        assert_eq!(reason(typed.ask(&signed(header)).await), Reason::TokenType);
    }
    // The longest token, and one byte more.
    let mut claims = claims();
    let length = |claims: &serde_json::Map<String, Json>| token(&rsa(), claims).len();
    claims.insert("x".into(), "".into());
    let room = (compact::MAX_TOKEN - length(&claims)) / 4 * 3;
    let fitting: Vec<usize> = (room - 4..room + 8).collect();
    let mut seen = (false, false);
    for letters in fitting {
        claims.insert("x".into(), "x".repeat(letters).into());
        let token = token(&rsa(), &claims);
        if token.len() <= compact::MAX_TOKEN {
            somebody(world.ask(&token).await);
            seen.0 = true;
        } else {
            assert_eq!(reason(world.ask(&token).await), Reason::TokenMalformed);
            seen.1 = true;
        }
    }
    assert_eq!(seen, (true, true));
}

#[tokio::test]
async fn tokens_without_the_name_of_a_key_try_a_few() {
    let signers: Vec<Signer> =
        (0..5).map(|kid| Signer::generate(&kid.to_string(), Algorithm::ES256).unwrap()).collect();
    let nameless = |signer: &Signer| signer.token(r#"{"alg":"ES256"}"#, &Json::Object(claims()).to_string());
    let four: Vec<&Signer> = signers[..4].iter().collect();
    let world = World::new(&four, |_| {});
    for signer in &four {
        somebody(world.ask(&nameless(signer)).await);
    }
    assert_eq!(reason(world.ask(&nameless(&signers[4])).await), Reason::TokenSignature);
    let five: Vec<&Signer> = signers.iter().collect();
    let world = World::new(&five, |_| {});
    assert_eq!(reason(world.ask(&nameless(&signers[0])).await), Reason::TokenKeyUnknown);
    somebody(world.ask(&token(&signers[4], &claims())).await);
    // The name of one key, the signature of another.
    let swapped = signers[0].token(r#"{"alg":"ES256","kid":"1"}"#, &Json::Object(claims()).to_string());
    assert_eq!(reason(world.ask(&swapped).await), Reason::TokenSignature);
}

#[tokio::test]
async fn a_token_that_is_known_still_ends() {
    let world = World::new(&[&rsa()], |_| {});
    let mut claims = with("exp", NOW + 100);
    claims.insert("nbf".into(), json!(NOW));
    let token = token(&rsa(), &claims);
    let first = somebody(world.ask(&token).await);
    assert_eq!(world.kept(), 1);
    assert_eq!(somebody(world.ask_at(&token, 159).await), first);
    assert_eq!(reason(world.ask_at(&token, 160).await), Reason::TokenExpired);
    assert_eq!(reason(world.ask_at(&token, -61).await), Reason::TokenNotYetValid);
    // What is refused is not kept.
    let other = World::new(&[&rsa()], |jwt| jwt.audiences = vec!["other".to_owned()]);
    for _ in 0..2 {
        assert_eq!(reason(other.ask(&token).await), Reason::TokenAudience);
    }
    assert_eq!(other.kept(), 0);
}

#[tokio::test]
async fn what_old_keys_have_verified_does_not_come_back() {
    let set = || KeySet::read(jwks(&[&rsa()]).as_bytes(), &[Algorithm::RS256]).unwrap();
    let (old, new, kept, token) = (set(), set(), Kept::new(), kept::fingerprint("token"));
    let world = World::new(&[&rsa()], |_| {});
    let identity = somebody(world.ask(&super::super::tests::token(&rsa(), &claims())).await);
    let terms = Terms::new("", &[], &[], 0).unwrap();
    let verified = Verified { lifetime: terms.check(&claims()).unwrap(), identity };
    assert!(kept.get(&token, &new).is_none());
    // Somebody who began with the old keys is late.
    kept.put(token, &old, 5, verified.clone());
    assert!(kept.get(&token, &new).is_none());
    kept.put(token, &new, 5, verified);
    assert!(kept.get(&token, &new).is_some() && kept.get(&token, &old).is_none());
}

#[test]
fn what_a_header_asks_for_is_refused_before_any_key_is_touched() {
    let types = Types::new(None).unwrap();
    for name in ["crit", "zip", "enc", "cty", "b64"] {
        let mut header = json!({"alg": "RS256"});
        header.as_object_mut().unwrap().insert(name.into(), Json::Null);
        let token = rsa().token(&header.to_string(), "{}");
        let Err(Trouble::Refused(reason, detail)) = compact::read(&token, &[Algorithm::RS256], &types) else {
            panic!("{name}")
        };
        assert_eq!(reason, Reason::TokenMalformed);
        assert!(detail.contains(&format!("its header has `{name}`")), "{detail}");
    }
}

#[tokio::test]
async fn what_is_kept_has_a_bound() {
    let (world, signer) = with_secret();
    let groups: Vec<String> = (0..500).map(|number| format!("group-{number}")).collect();
    for number in 0..3000 {
        let mut claims = with("groups", groups.clone());
        claims.insert("jti".into(), number.into());
        somebody(world.ask(&token(&signer, &claims)).await);
    }
    let kept = world.kept();
    assert!((500..1500).contains(&kept), "{kept}");
}

#[tokio::test]
async fn keys_in_a_file_are_replaced_and_bad_ones_are_not_taken() {
    let (old, new) = (rsa(), Signer::generate("ec-1", Algorithm::ES256).unwrap());
    let world = World::new(&[&old], |_| {});
    let path = world.directory.path().join("jwks.json");
    let (by_old, by_new) = (token(&old, &claims()), token(&new, &claims()));
    somebody(world.ask(&by_old).await);
    assert_eq!(reason(world.ask(&by_new).await), Reason::TokenKeyUnknown);
    for broken in
        ["", "{}", "{\"keys\": []}", "{\"keys\": [{\"kty\": \"oct\", \"k\": \"AAAA\"}]}", "nonsense"]
    {
        std::fs::write(&path, broken).unwrap();
        let [Err(error)] = &world.identifier.reload()[..] else { panic!() };
        assert!(error.starts_with("identity.jwt.jwks_file: `"), "{error}");
        somebody(world.ask(&by_old).await);
    }
    std::fs::remove_file(&path).unwrap();
    assert!(world.identifier.reload()[0].is_err());
    std::fs::write(&path, jwks(&[&old, &new])).unwrap();
    let [Ok(said)] = &world.identifier.reload()[..] else { panic!() };
    assert!(said.ends_with("has 2 keys"), "{said}");
    somebody(world.ask(&by_old).await);
    somebody(world.ask(&by_new).await);
    // A key that is gone verifies nothing, also not what it has verified before.
    std::fs::write(&path, jwks(&[&new])).unwrap();
    assert!(world.identifier.reload()[0].is_ok());
    assert_eq!(reason(world.ask(&by_old).await), Reason::TokenKeyUnknown);
    assert_eq!(world.kept(), 0);
    somebody(world.ask(&by_new).await);

    let (world, signer) = with_secret();
    let right = token(&signer, &claims());
    somebody(world.ask(&right).await);
    std::fs::write(world.directory.path().join("secret"), [b'n'; 32]).unwrap();
    assert!(world.identifier.reload()[0].is_ok());
    assert_eq!(reason(world.ask(&right).await), Reason::TokenSignature);
}

#[tokio::test]
async fn tokens_are_found_in_cookies_as_well() {
    let world = World::new(&[&rsa()], |jwt| jwt.cookies = vec!["session".to_owned()]);
    let right = token(&rsa(), &claims());
    let (cookie, bearer) = (format!("a=b; session={right}"), format!("Bearer {right}"));
    let found = Request::of(&[("cookie", &cookie)]).ask(&world.identifier).await;
    assert_eq!(somebody(found).subject.username.as_deref(), Some("ada"));
    let both = Request::of(&[("cookie", &cookie), ("authorization", &bearer)]);
    assert_eq!(reason(both.ask(&world.identifier).await), Reason::SeveralTokens);
    let quoted = format!("session=\"{right}\"");
    let quoted = Request::of(&[("cookie", &quoted)]).ask(&world.identifier).await;
    assert_eq!(reason(quoted), Reason::TokenMalformed);
    let basic = Request::of(&[("authorization", "Basic dTpw"), ("cookie", "b=c")]);
    assert_eq!(basic.ask(&world.identifier).await, Identified::Nobody);
    for empty in ["Bearer", "Bearer "] {
        let empty = Request::of(&[("authorization", empty)]).ask(&world.identifier).await;
        assert_eq!(reason(empty), Reason::TokenMalformed);
    }
}

/// Not a test, but a measurement: `cargo test --release --lib time_of_identify -- --ignored --nocapture`.
#[tokio::test]
#[ignore = "a measurement, to be run with --release"]
async fn time_of_identify() {
    const ROUNDS: i64 = 5000;
    let (secret_world, secret_signer) = with_secret();
    let mut worlds = vec![(secret_world, secret_signer)];
    for signer in [
        rsa(),
        Signer::generate("k", Algorithm::ES256).unwrap(),
        Signer::generate("k", Algorithm::EdDSA).unwrap(),
    ] {
        worlds.push((World::new(&[&signer], |jwt| jwt.algorithms = vec![signer.algorithm()]), signer));
    }
    for (world, signer) in &worlds {
        let right: Vec<String> =
            (0..ROUNDS).map(|number| format!("Bearer {}", token(signer, &with("jti", number)))).collect();
        for round in ["first", "again"] {
            let start = Instant::now();
            for bearer in &right {
                let headers: Headers<'_> = [("authorization", bearer.as_bytes())].into_iter().collect();
                let evidence = crate::identity::Evidence {
                    headers: &headers,
                    claims: None,
                    peer: crate::identity::Peer::default(),
                    principal: None,
                };
                let found = world.identifier.identify(&evidence, at(0)).await;
                assert!(matches!(found, Identified::Somebody(_)));
            }
            let each = start.elapsed() / u32::try_from(ROUNDS).unwrap();
            println!(
                "{:?} {round}: {each:?} for a token of {} bytes",
                signer.algorithm(),
                right[0].len() - 7
            );
        }
    }
}
