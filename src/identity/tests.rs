//! Tests of the sources together, and what the other tests begin with.

use super::*;
use crate::identity::forge::Signer;
use base64::Engine as _;
use serde_json::{Map, Value as Json, json};

/// 2026-06-01T12:00:00Z.
pub(super) const NOW: i64 = 1_780_315_200;
pub(super) const AUDIENCE: &str = "client-of-grafana";
pub(super) const ISSUER: &str = "https://auth.example.com/application/o/grafana/";

pub(super) fn at(seconds: i64) -> Timestamp {
    Timestamp::new(NOW + seconds, 0)
}

/// What authentik says of Ada, for an hour.
pub(super) fn claims() -> Map<String, Json> {
    let claims = json!({
        "iss": ISSUER,
        "sub": "900347b8a29876b45ca6f75722635ecfedf0e931c6022e3a29a8aa13fb5516fb",
        "aud": AUDIENCE,
        "exp": NOW + 3600,
        "iat": NOW - 60,
        "auth_time": NOW - 60,
        "acr": "goauthentik.io/providers/oauth2/default",
        "azp": AUDIENCE,
        "email": "ada@example.com",
        "email_verified": false,
        "name": "Ada Lovelace",
        "given_name": "Ada Lovelace",
        "preferred_username": "ada",
        "nickname": "ada",
        "groups": ["engineering", "on call"],
        "entitlements": ["editor"],
        "roles": ["editor"],
    });
    claims.as_object().unwrap().clone()
}

pub(super) fn with(name: &str, value: impl Into<Json>) -> Map<String, Json> {
    let mut claims = claims();
    claims.insert(name.to_owned(), value.into());
    claims
}

/// An RSA key that is used in these tests and nowhere else.
pub(super) fn rsa_as(kid: &str, algorithm: Algorithm) -> Signer {
    let text: String = include_str!("../../tests/support/rsa-2048.b64").split_whitespace().collect();
    let key = base64::engine::general_purpose::STANDARD.decode(text).unwrap();
    Signer::rsa(kid, algorithm, &key).unwrap()
}

pub(super) fn rsa() -> Signer {
    rsa_as("rsa-1", Algorithm::RS256)
}

pub(super) fn jwks(signers: &[&Signer]) -> String {
    let keys: Vec<Json> = signers.iter().map(|signer| signer.jwk().unwrap()).collect();
    json!({ "keys": keys }).to_string()
}

pub(super) fn token(signer: &Signer, claims: &Map<String, Json>) -> String {
    let header = json!({"alg": signer.algorithm().as_str(), "typ": "JWT", "kid": signer.kid()});
    signer.token(&header.to_string(), &Json::Object(claims.clone()).to_string())
}

pub(super) fn settings(text: &str) -> Settings {
    toml::from_str(text).unwrap()
}

pub(super) fn new(text: &str) -> Result<Identifier, String> {
    Identifier::new(&settings(text))
}

/// Headers, and what else a request brings along.
#[derive(Default)]
pub(super) struct Request<'a> {
    pub(super) headers: Vec<(&'a str, &'a [u8])>,
    pub(super) claims: Option<Json>,
    pub(super) peer: Peer,
    pub(super) principal: Option<&'a str>,
    /// Headers of one name are joined.
    pub(super) joined: bool,
}

impl<'a> Request<'a> {
    pub(super) fn of(headers: &[(&'a str, &'a str)]) -> Self {
        let headers = headers.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
        Self { headers, ..Self::default() }
    }

    pub(super) async fn ask_at(&self, identifier: &Identifier, now: Timestamp) -> Identified {
        let mut headers: Headers<'_> = self.headers.iter().copied().collect();
        if self.joined {
            headers.mark_joined();
        }
        let evidence = Evidence {
            headers: &headers,
            claims: self.claims.as_ref(),
            peer: self.peer,
            principal: self.principal,
        };
        let found = identifier.identify(&evidence, now).await;
        // Whatever comes of it, none of it is shown.
        let shown = format!("{evidence:?} {identifier:?} {found:?}");
        for secret in ["eyJ", "Lovelace", "900347", "on call", "ada@example.com", "editor"] {
            assert!(!shown.contains(secret), "`{secret}` is shown: {shown}");
        }
        found
    }

    pub(super) async fn ask(&self, identifier: &Identifier) -> Identified {
        self.ask_at(identifier, at(0)).await
    }
}

pub(super) fn somebody(found: Identified) -> Identity {
    match found {
        Identified::Somebody(identity) => *identity,
        other => panic!("{other:?}"),
    }
}

pub(super) fn reason(found: Identified) -> Reason {
    match found {
        Identified::Refused { reason, detail, .. } => {
            assert!(!detail.is_empty() && !detail.ends_with('.'), "{detail}");
            reason
        }
        other => panic!("{other:?}"),
    }
}

const LOCAL: Peer = Peer { address: Some(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST)), unix: false };

/// A directory with the key set of `rsa()`, and all four sources.
fn everything() -> (tempfile::TempDir, Identifier) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("jwks.json");
    std::fs::write(&path, jwks(&[&rsa()])).unwrap();
    let identifier = new(&format!(
        r#"
        [metadata]
        [jwt]
        jwks_file = "{}"
        issuers = ["{ISSUER}"]
        audiences = ["{AUDIENCE}"]
        [certificate]
        trust_domains = ["example.org"]
        template = "{{last}}"
        [headers]
        trusted_peers = ["127.0.0.1/32"]
        "#,
        path.display()
    ));
    (directory, identifier.unwrap())
}

#[tokio::test]
async fn nothing_is_trusted_by_default() {
    let identifier = Identifier::new(&Settings::default()).unwrap();
    assert!(identifier.trusts_nothing());
    let bearer = format!("Bearer {}", token(&rsa(), &claims()));
    let mut request = Request::of(&[("Authorization", &bearer), ("X-authentik-username", "ada")]);
    request.claims = Some(json!({"jwt_payload": claims()}));
    request.principal = Some("spiffe://example.org/ada");
    request.peer = LOCAL;
    assert_eq!(request.ask(&identifier).await, Identified::Nobody);
    assert_eq!(identifier.prepare(at(0)).await, Ok(()));
    assert!(Settings::default().key_files().is_empty() && identifier.reload().is_empty());
}

#[tokio::test]
async fn the_strongest_source_says_who_it_is() {
    let (_directory, identifier) = everything();
    assert!(!identifier.trusts_nothing());
    let bearer = format!("Bearer {}", token(&rsa(), &claims()));
    let mut request = Request::default();
    assert_eq!(request.ask(&identifier).await, Identified::Nobody);

    request.headers = vec![("x-authentik-username", b"ada"), ("x-authentik-groups", b"a|b")];
    request.peer = LOCAL;
    let found = somebody(request.ask(&identifier).await);
    assert_eq!((found.source, found.expires), (Source::Headers, None));
    assert_eq!(found.subject.group_names, ["a", "b"]);

    request.principal = Some("spiffe://example.org/people/ada");
    let found = somebody(request.ask(&identifier).await);
    assert_eq!((found.source, found.subject.group_names), (Source::Certificate, vec![]));

    request.headers.push(("authorization", bearer.as_bytes()));
    let found = somebody(request.ask(&identifier).await);
    assert_eq!((found.source, found.expires), (Source::Jwt, Some(at(3660))));
    assert_eq!(found.subject.group_names, ["engineering", "on call"]);

    // What ends first ends it.
    let mut shorter = with("exp", NOW + 60);
    shorter.insert("groups".into(), json!([]));
    request.claims = Some(json!({"jwt_payload": shorter}));
    let found = somebody(request.ask(&identifier).await);
    assert_eq!((found.source, found.expires), (Source::Metadata, Some(at(120))));
    assert!(found.subject.group_names.is_empty());
}

#[tokio::test]
async fn bad_evidence_is_not_replaced_by_other_evidence() {
    let (_directory, identifier) = everything();
    let good = format!("Bearer {}", token(&rsa(), &claims()));
    let old = format!("Bearer {}", token(&rsa(), &with("exp", NOW - 3600)));
    let mut request = Request::of(&[("authorization", &old), ("x-authentik-username", "ada")]);
    request.peer = LOCAL;
    request.principal = Some("spiffe://example.org/ada");
    assert_eq!(reason(request.ask(&identifier).await), Reason::TokenExpired);
    // Nor by stronger evidence.
    request.claims = Some(json!({"jwt_payload": claims()}));
    assert_eq!(reason(request.ask(&identifier).await), Reason::TokenExpired);
    let mut request = Request::of(&[("authorization", &good)]);
    request.claims = Some(json!({"jwt_payload": with("exp", NOW - 3600)}));
    assert_eq!(reason(request.ask(&identifier).await), Reason::TokenExpired);
    request.claims = None;
    request.principal = Some("spiffe://evil.example/ada");
    assert_eq!(reason(request.ask(&identifier).await), Reason::PrincipalNotAllowed);
}

#[tokio::test]
async fn two_people_are_nobody() {
    let (_directory, identifier) = everything();
    let bearer = format!("Bearer {}", token(&rsa(), &claims()));
    let other = Request {
        claims: Some(json!({"jwt_payload": with("preferred_username", "bob")})),
        ..Request::of(&[("authorization", &bearer)])
    };
    let found = other.ask(&identifier).await;
    let Identified::Refused { source, reason, detail } = found else { panic!("{found:?}") };
    assert_eq!((source, reason), (Source::Jwt, Reason::SourcesDisagree));
    assert!(detail.contains("`jwt` does not name the same person as `metadata`"), "{detail}");

    let mut other = Request::of(&[("authorization", &bearer), ("x-authentik-username", "Ada")]);
    other.peer = LOCAL;
    assert_eq!(reason_of(&other, &identifier).await, Reason::SourcesDisagree);
    // From a peer that is not trusted, it is as if the header was not there.
    other.peer = Peer { address: Some("127.0.0.2".parse().unwrap()), unix: true };
    assert_eq!(somebody(other.ask(&identifier).await).source, Source::Jwt);
    other.principal = Some("spiffe://example.org/ns/prod/sa/proxy");
    assert_eq!(reason_of(&other, &identifier).await, Reason::SourcesDisagree);
}

async fn reason_of(request: &Request<'_>, identifier: &Identifier) -> Reason {
    reason(request.ask(identifier).await)
}

#[test]
fn people_are_the_same_only_when_it_is_certain() {
    let subject = |id: Option<&str>, name: Option<&str>| Subject {
        user_id: id.map(Into::into),
        username: name.map(Into::into),
        ..Subject::default()
    };
    for (a, b, same) in [
        ((Some("1"), Some("ada")), (Some("1"), Some("ada")), true),
        ((Some("1"), None), (Some("1"), Some("ada")), true),
        ((Some("1"), Some("ada")), (None, Some("ada")), true),
        ((Some("1"), Some("ada")), (Some("2"), Some("ada")), false),
        ((Some("1"), Some("ada")), (Some("1"), Some("bob")), false),
        ((Some("1"), None), (None, Some("ada")), false),
        ((Some("ada"), None), (None, Some("ada")), false),
        ((None, None), (None, None), false),
    ] {
        assert_eq!(same_person(&subject(a.0, a.1), &subject(b.0, b.1)), same, "{a:?} {b:?}");
    }
}

#[test]
fn reasons_have_names_of_their_own() {
    let names: std::collections::BTreeSet<&str> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
    assert_eq!(names.len(), Reason::ALL.len());
    let plain = |name: &&str| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    assert!(names.iter().all(plain), "{names:?}");
}

/// The settings of a table, as its own complaint about another one names them.
fn names_in<T: serde::de::DeserializeOwned + fmt::Debug>() -> Vec<String> {
    let error = toml::from_str::<T>("unknown = 1").unwrap_err().to_string();
    error.split('`').skip(3).step_by(2).map(str::to_owned).collect()
}

#[test]
fn the_documentation_has_every_setting_and_every_reason_and_its_examples_are_right() {
    let text = include_str!("../../docs/identity.md");
    let names = [
        names_in::<Settings>(),
        names_in::<ClaimSettings>(),
        names_in::<MetadataSettings>(),
        names_in::<JwtSettings>(),
        names_in::<CertificateSettings>(),
        names_in::<HeaderSettings>(),
    ]
    .concat();
    assert!(names.len() > 35, "{names:?}");
    for name in names.iter().map(String::as_str).chain(Reason::ALL.iter().map(|reason| reason.as_str())) {
        assert!(text.contains(&format!("`{name}`")), "`{name}` is not there");
    }
    let examples: Vec<&str> =
        text.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(examples.len() > 4);
    for example in examples {
        let mut door: toml::Table = toml::from_str(example).expect(example);
        let mut door = door.remove("ext_authz").and_then(|door| door.try_into::<toml::Table>().ok()).unwrap();
        let settings: Settings = door.remove("identity").unwrap().try_into().expect(example);
        // What is missing here are the files that it names.
        match Identifier::new(&settings) {
            Ok(identifier) => assert!(!identifier.trusts_nothing()),
            Err(error) => assert!(error.contains("cannot be read: No such file"), "{error}"),
        }
    }
}

#[test]
fn wrong_settings_are_told_with_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| {
        std::fs::write(directory.path().join(name), text).unwrap();
        format!("{}", directory.path().join(name).display())
    };
    let file = put("jwks.json", &jwks(&[&rsa()]));
    let empty = put("empty.json", "{}");
    let broken = put("broken.json", "[1]");
    let weak = put("weak.json", r#"{"keys": [{"kty": "oct", "k": "AAAA"}]}"#);
    let secret = put("secret", &"s".repeat(32));
    let short = put("short", "secret\n");
    let pem = put("pem", &format!("-----BEGIN PUBLIC KEY-----\n{}\n", "A".repeat(64)));
    let long = put("long", &" ".repeat(300_000));
    let jwt = |more: &str| format!("[jwt]\nany_issuer = true\nany_audience = true\n{more}");
    let keyed = |more: &str| jwt(&format!("jwks_file = \"{file}\"\n{more}"));
    let url = |url: &str, more: &str| jwt(&format!("jwks_url = \"{url}\"\n{more}"));
    for (text, part) in [
        ("[claims]\nusername = \"\"".to_owned(), "neither user_id nor username"),
        ("[claims]\nusername = \"a..b\"".to_owned(), "claims.username: `a..b` has an empty part"),
        ("[claims]\ngroups = 'a\\'".to_owned(), "ends with a `\\`"),
        ("[claims]\nattributes = [\"\"]".to_owned(), "an entry is empty"),
        ("[claims]\nattributes = [\"sub\"]".to_owned(), "another attribute `sub`"),
        ("[claims]\nattributes = [\"a.x\", \"b.x\"]".to_owned(), "another attribute `x`"),
        ("[metadata]\npayload = \"\"".to_owned(), "metadata.payload: is empty"),
        ("[metadata]\nleeway_seconds = 301".to_owned(), "metadata.leeway_seconds: 301 is more than 300"),
        ("[metadata]\nissuers = [\"\"]".to_owned(), "metadata.issuers: an entry is empty"),
        (format!("[jwt]\njwks_file = \"{file}\""), "jwt.issuers: there is none"),
        (
            format!("[jwt]\njwks_file = \"{file}\"\nany_issuer = true"),
            "name at least one, or set any_audience",
        ),
        (keyed("issuers = [\"x\"]"), "any_issuer: is set, and issuers are as well"),
        (jwt(""), "there are no keys to verify tokens with"),
        (keyed("jwks_url = \"https://x/\""), "both set"),
        (keyed(&format!("secret_file = \"{secret}\"")), "is used by HS256 only"),
        (keyed("algorithms = []"), "algorithms: is empty"),
        (keyed("algorithms = [\"RS256\", \"HS256\"]"), "HS256 stands beside others"),
        (keyed("algorithms = [\"HS256\"]"), "HS256 needs a secret"),
        (keyed(&format!("algorithms = [\"HS256\"]\nsecret_file = \"{secret}\"")), "and no public keys"),
        (
            jwt(&format!("algorithms = [\"HS256\"]\nsecret_file = \"{short}\"")),
            "the secret has 6 bytes; at least 32",
        ),
        (jwt(&format!("algorithms = [\"HS256\"]\nsecret_file = \"{pem}\"")), "is a key or certificate (PEM)"),
        (keyed("header = \"\"\nprefix = \"Bearer\""), "there is no header that it could be in"),
        (keyed("header = \"\""), "neither a header nor a cookie"),
        (keyed("header = \"x y\""), "jwt.header: `x y` is no name"),
        (keyed("header = \"Cookie\""), "name them in cookies"),
        (keyed("cookies = [\"a=b\"]"), "jwt.cookies: `a=b` is no name"),
        (keyed("types = []"), "jwt.types: is empty"),
        (keyed("leeway_seconds = 1000"), "jwt.leeway_seconds: 1000"),
        (keyed("jwks_ca_file = \"x\""), "there is no jwks_url that it could be for"),
        (jwt("jwks_file = \"/nowhere/x\""), "jwt.jwks_file: `/nowhere/x`: it cannot be read"),
        (jwt(&format!("jwks_file = \"{empty}\"")), "holds no key that can be used"),
        (jwt(&format!("jwks_file = \"{broken}\"")), "is no JSON web key set"),
        (jwt(&format!("jwks_file = \"{weak}\"")), "key 1: it is a secret"),
        (jwt(&format!("jwks_file = \"{long}\"")), "more than 262144 bytes"),
        (url("http://auth.example.com/jwks/", ""), "is not encrypted"),
        (url("http://127.0.0.1.example.com/jwks/", ""), "is not encrypted"),
        (url("http://10.0.0.1/jwks/", ""), "is not encrypted"),
        (url("file:///etc/passwd", ""), "jwt.jwks_url: "),
        (url("https://me:hunter2@auth.example.com/", ""), "user or password"),
        (url("http://localhost/", "jwks_ca_file = \"x\""), "jwks_url is not https"),
        (url("https://localhost/", "jwks_ca_file = \"/nowhere/x\""), "cannot be read"),
        (
            url("http://localhost/", "jwks_max_age_seconds = 0"),
            "jwks_max_age_seconds: 0 is not between 1 and 86400",
        ),
        (url("http://localhost/", "jwks_keep_seconds = 60"), "is less than jwks_max_age_seconds"),
        (url("http://localhost/", "jwks_timeout_ms = 1"), "jwks_timeout_ms: 1 is not between 50"),
        (url("http://localhost/", "jwks_min_interval_seconds = 0"), "jwks_min_interval_seconds: 0"),
        ("[certificate]".to_owned(), "no name is let in"),
        ("[certificate]\ntrust_domains = [\"spiffe://x\"]".to_owned(), "`spiffe://x` is no trust domain"),
        ("[certificate]\ndns_suffixes = [\"*.x.org\"]".to_owned(), "`*.x.org` is no DNS name"),
        (
            "[certificate]\ndns_suffixes = [\"x.org\"]\ntemplate = \"{path}\"".to_owned(),
            "a DNS name does not have",
        ),
        (
            "[certificate]\ntrust_domains = [\"x\"]\ntemplate = \"{first}\"".to_owned(),
            "a SPIFFE id does not have",
        ),
        (
            "[certificate]\ntrust_domains = [\"x\"]\ntemplate = \"all\"".to_owned(),
            "everybody would be the same",
        ),
        ("[certificate]\ntrust_domains = [\"x\"]\ntemplate = \"{name}\"".to_owned(), "`{name}` is nothing"),
        ("[certificate]\ntrust_domains = [\"x\"]\ntemplate = \"{id\"".to_owned(), "a { without a }"),
        ("[certificate]\ntrust_domains = [\"x\"]\ntemplate = \"{id}}\"".to_owned(), "a } without a {"),
        ("[certificate.map]\n\"CN=ada\" = \"ada\"".to_owned(), "`CN=ada` is neither"),
        ("[certificate.map]\n\"Ada.example.org\" = \"ada\"".to_owned(), "in lower case"),
        ("[certificate.map]\n\"ada.example.org\" = \"\"".to_owned(), "becomes is empty"),
        ("[headers]".to_owned(), "trusted_peers: is empty"),
        ("[headers]\ntrusted_peers = [\"gateway\"]".to_owned(), "`gateway` is no network"),
        ("[headers]\ntrusted_peers = [\"0.0.0.0/0\"]".to_owned(), "is everybody"),
        ("[headers]\ntrusted_peers = [\"::/0\"]".to_owned(), "is everybody"),
        (
            "[headers]\ntrusted_peers = [\"unix\"]\nprefix = \"x_\"".to_owned(),
            "no beginning of a header's name",
        ),
        (
            "[headers]\ntrusted_peers = [\"unix\"]\nprefix = \"\"".to_owned(),
            "no beginning of a header's name",
        ),
    ] {
        let error = new(&text).expect_err(&text);
        assert!(error.contains(part), "{text}\n{error}");
        assert!(error.starts_with("identity.") || error.starts_with("identity:"), "{error}");
        assert!(!error.contains("hunter2") && !error.ends_with('.'), "{error}");
    }
    for text in ["[jwt]\nalgorithms = [\"none\"]", "[jwt]\njwks = \"x\"", "[token]", "[claims]\nuser = \"x\""]
    {
        toml::from_str::<Settings>(text).expect_err(text);
    }
}
