//! Tokens as attackers make them, each with what is wrong with it, and the keys to make right ones: for tests, and
//! for trying out a server.
//!
//! Must not know: who is attacked.

mod signer;

pub use signer::Signer;

use super::Reason;
use super::settings::Algorithm;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use serde_json::{Map, Value as Json, json};

/// A token that must identify nobody.
#[derive(Clone, PartialEq, Eq)]
pub struct Forgery {
    /// What is tried, such as `none/lower`.
    pub name: String,
    /// The token. It may have signs that no header may have.
    pub token: String,
    /// What it is refused for here, one of these; other servers have other words.
    pub reasons: &'static [Reason],
}

/// Shows what is tried, and no token.
impl std::fmt::Debug for Forgery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)
    }
}

/// What is known of tokens that a server takes.
#[derive(Clone)]
pub struct Known<'a> {
    /// The claims of a token that it would take now: `iss`, `aud`, `exp` and a username at least.
    pub claims: Map<String, Json>,
    /// The claim that names the user.
    pub username: &'a str,
    /// The current time, in seconds since 1970.
    pub now: i64,
    /// The public key that it verifies with, as the issuer publishes it.
    pub jwk: Option<Json>,
    /// The issuer's own key. With it, tokens are tried that are signed as they should be and wrong otherwise.
    pub issuer: Option<&'a Signer>,
    /// A token that it takes. With it, changes of that token are tried.
    pub token: Option<String>,
}

impl<'a> Known<'a> {
    /// Everything, from the issuer's own key and right claims.
    pub fn all(issuer: &'a Signer, claims: Map<String, Json>, username: &'a str, now: i64) -> Self {
        let jwk = issuer.jwk();
        let mut known = Self { claims, username, now, jwk, issuer: Some(issuer), token: None };
        known.token = Some(issuer.token(&known.header().to_string(), &known.claims()));
        known
    }

    /// The header of a right token.
    fn header(&self) -> Json {
        let of_key = |name: &str| self.jwk.as_ref()?.get(name)?.as_str();
        let algorithm = self.issuer.map(|it| it.algorithm().as_str()).or_else(|| of_key("alg"));
        let mut header = json!({"alg": algorithm.unwrap_or("RS256"), "typ": "JWT"});
        if let Some(kid) = self.issuer.map(Signer::kid).or_else(|| of_key("kid")) {
            set(&mut header, "kid", kid.into());
        }
        header
    }

    fn claims(&self) -> String {
        Json::Object(self.claims.clone()).to_string()
    }
}

fn set(object: &mut Json, name: &str, value: Json) {
    if let Some(map) = object.as_object_mut() {
        map.insert(name.to_owned(), value);
    }
}

/// The same object with something else in it; null takes out.
fn with(object: &Json, name: &str, value: Json) -> Json {
    let mut object = object.clone();
    match (object.as_object_mut(), value) {
        (Some(map), Json::Null) => drop(map.remove(name)),
        (_, value) => set(&mut object, name, value),
    }
    object
}

struct Forge<'a> {
    known: &'a Known<'a>,
    /// The header and claims of a right token.
    header: Json,
    claims: Json,
    /// A key that nobody knows.
    own: Signer,
    made: Vec<Forgery>,
}

/// Every forgery that can be made from what is known.
///
/// # Errors
/// When there is no key to forge with, since the system has no random numbers.
pub fn forgeries(known: &Known<'_>) -> Result<Vec<Forgery>, String> {
    let own = Signer::generate("own", Algorithm::ES256)?;
    let (header, claims) = (known.header(), Json::Object(known.claims.clone()));
    let mut forge = Forge { known, header, claims, own, made: Vec::new() };
    forge.unsigned();
    forge.swapped();
    forge.with_own_key();
    forge.with_names_of_keys();
    forge.broken();
    forge.changed();
    if let Some(issuer) = known.issuer {
        forge.with_bad_header(issuer);
        forge.at_other_times(issuer);
        forge.for_others(issuer);
        forge.about_others(issuer);
    }
    Ok(forge.made)
}

const ALGORITHM: &[Reason] = &[Reason::TokenAlgorithm];
const CLAIMS: &[Reason] = &[Reason::TokenClaims];
const CLAIMS_OR_FORM: &[Reason] = &[Reason::TokenClaims, Reason::TokenMalformed];
const KEY: &[Reason] = &[Reason::TokenKeyUnknown];
const KEY_OR_ALGORITHM: &[Reason] = &[Reason::TokenKeyUnknown, Reason::TokenAlgorithm];
const KEY_OR_SIGNATURE: &[Reason] =
    &[Reason::TokenKeyUnknown, Reason::TokenSignature, Reason::TokenAlgorithm];
const MALFORMED: &[Reason] = &[Reason::TokenMalformed];
const SIGNATURE: &[Reason] = &[Reason::TokenSignature];
const SIGNATURE_OR_FORM: &[Reason] = &[Reason::TokenSignature, Reason::TokenMalformed];

impl Forge<'_> {
    fn add(&mut self, name: &str, reasons: &'static [Reason], token: String) {
        self.made.push(Forgery { name: name.to_owned(), token, reasons });
    }

    /// Three parts that nobody has signed.
    fn parts(header: &str, claims: &str, signature: &str) -> String {
        format!("{}.{}.{signature}", BASE64.encode(header), BASE64.encode(claims))
    }

    fn unsigned(&mut self) {
        let claims = self.claims.to_string();
        for (name, algorithm) in
            [("lower", "none"), ("title", "None"), ("upper", "NONE"), ("mixed", "nOnE"), ("space", "none ")]
        {
            let header = with(&self.header, "alg", algorithm.into()).to_string();
            self.add(&format!("none/{name}"), ALGORITHM, Self::parts(&header, &claims, ""));
            self.add(&format!("none/{name}-signed"), ALGORITHM, Self::parts(&header, &claims, "AAAA"));
        }
        for (name, reasons, algorithm) in [
            ("missing", MALFORMED, Json::Null),
            ("empty", ALGORITHM, "".into()),
            ("number", MALFORMED, 0.into()),
            ("list", MALFORMED, json!(["RS256"])),
            ("unknown", ALGORITHM, "XX256".into()),
            ("lower-case", ALGORITHM, "rs256".into()),
        ] {
            let header = with(&self.header, "alg", algorithm).to_string();
            self.add(&format!("alg/{name}"), reasons, Self::parts(&header, &claims, "AAAA"));
        }
    }

    /// The public key as the secret of an HMAC.
    fn swapped(&mut self) {
        let Some(jwk) = &self.known.jwk else { return };
        let (header, claims) =
            (with(&self.header, "alg", "HS256".into()).to_string(), self.claims.to_string());
        for (name, secret) in signer::as_secrets(jwk) {
            let token = Signer::secret("", &secret).token(&header, &claims);
            self.add(&format!("secret/{name}"), ALGORITHM, token);
        }
        for (name, secret) in [("empty", ""), ("secret", "secret")] {
            let token = Signer::secret("", secret.as_bytes()).token(&header, &claims);
            self.add(&format!("secret/{name}"), ALGORITHM, token);
        }
    }

    /// Signed with a key of the attacker's, which the token brings along or says where it is.
    fn with_own_key(&mut self) {
        let own = json!({"alg": "ES256", "typ": "JWT"});
        let (claims, jwk) = (self.claims.to_string(), self.own.jwk().unwrap_or_default());
        let theirs = self.header.get("kid").cloned().unwrap_or_default();
        let jwks = format!("data:application/json,{}", json!({"keys": [jwk]}));
        for (name, extra) in [
            ("plain", json!({})),
            ("jwk", json!({"jwk": jwk})),
            ("jku", json!({"jku": "https://attacker.example/jwks.json"})),
            ("jku-data", json!({"jku": jwks})),
            ("x5u", json!({"x5u": "https://attacker.example/cert.pem"})),
            ("x5c", json!({"x5c": ["MIIB"], "x5t": "AAAA"})),
        ] {
            let mut header = own.clone();
            extra
                .as_object()
                .into_iter()
                .flatten()
                .for_each(|(name, value)| set(&mut header, name, value.clone()));
            for (kid, reasons, value) in [
                ("own", KEY, json!("own")),
                ("none", KEY_OR_SIGNATURE, Json::Null),
                ("theirs", KEY_OR_SIGNATURE, theirs.clone()),
            ] {
                let token = self.own.token(&with(&header, "kid", value).to_string(), &claims);
                self.add(&format!("own-key/{name}/kid-{kid}"), reasons, token);
            }
        }
        // The signature that verifies everything where nobody checks that it is not zero.
        let header = with(&self.header, "alg", "ES256".into()).to_string();
        let zeros = BASE64.encode([0; 64]);
        self.add("own-key/zeros", KEY_OR_SIGNATURE, Self::parts(&header, &claims, &zeros));
    }

    /// Names of keys that are something else where they are looked up carelessly.
    fn with_names_of_keys(&mut self) {
        let claims = self.claims.to_string();
        for (name, reasons, kid) in [
            ("path", KEY, json!("../../../../../../dev/null")),
            ("sql", KEY, json!("x' UNION SELECT 'secret' -- ")),
            ("shell", KEY, json!("key; sleep 5 |")),
            ("url", KEY, json!("https://attacker.example/key")),
            ("nul", KEY, json!("key\u{0}")),
            ("empty", KEY, json!("")),
            ("unicode", KEY, json!("ｋｅｙ\u{202e}")),
            ("huge", MALFORMED, json!("k".repeat(4096))),
            ("number", MALFORMED, json!(1)),
            ("list", MALFORMED, json!(["key"])),
            ("object", MALFORMED, json!({"$ne": null})),
        ] {
            let header = json!({"alg": "ES256", "typ": "JWT", "kid": kid}).to_string();
            self.add(&format!("kid/{name}"), reasons, self.own.token(&header, &claims));
        }
        // With an empty file as the secret.
        let header = json!({"alg": "HS256", "kid": "../../../../../../dev/null"}).to_string();
        self.add("kid/null-secret", ALGORITHM, Signer::secret("", b"").token(&header, &claims));
    }

    /// What is no token at all.
    fn broken(&mut self) {
        let (header, claims) = (self.header.to_string(), self.claims.to_string());
        let twice = format!("{{\"alg\":\"none\",{}", header.trim_start_matches('{'));
        let deep = format!("{{\"alg\":\"RS256\",\"x\":{}{}}}", "[".repeat(5000), "]".repeat(5000));
        let marked = format!("\u{feff}{header}");
        for (name, header) in [
            ("no-json", "alg=RS256"),
            ("list", "[]"),
            ("text", "\"RS256\""),
            ("twice", twice.as_str()),
            ("deep", &deep),
            ("byte-order-mark", &marked),
            ("trailing", "{\"alg\":\"RS256\"}{}"),
            ("empty", ""),
        ] {
            self.add(&format!("header/{name}"), MALFORMED, Self::parts(header, &claims, "AAAA"));
        }
        let part = BASE64.encode(&header);
        let signed = Self::parts(&header, &claims, "AAAA");
        for (name, token) in [
            ("empty", String::new()),
            ("dots", "..".to_owned()),
            ("one-part", part.clone()),
            ("two-parts", format!("{part}.{part}")),
            ("four-parts", format!("{signed}.AAAA")),
            ("encrypted", format!("{part}.AAAA.AAAA.AAAA.AAAA")),
            ("json", json!({"payload": "AAAA", "protected": part, "signature": "AAAA"}).to_string()),
            ("padded", signed.replace('.', "==.")),
            ("percent", signed.replace('.', "%2e")),
            ("unicode", signed.replace('.', "\u{ff0e}")),
            ("huge", format!("{part}.{}.AAAA", "A".repeat(20_000))),
        ] {
            self.add(&format!("form/{name}"), MALFORMED, token);
        }
    }

    /// Changes of a right token.
    fn changed(&mut self) {
        let Some(token) = self.known.token.clone() else { return };
        let mut parts = token.split('.');
        let (Some(head), Some(body), Some(signature)) = (parts.next(), parts.next(), parts.next()) else {
            return;
        };
        let other = with(&self.claims, self.known.username, "akadmin".into());
        let none = with(&self.header, "alg", "none".into()).to_string();
        let half = signature.get(..signature.len() / 2).unwrap_or_default();
        let swapped: String = signature
            .chars()
            .map(|sign| {
                if sign.is_ascii_lowercase() { sign.to_ascii_uppercase() } else { sign.to_ascii_lowercase() }
            })
            .collect();
        for (name, reasons, changed) in [
            ("stripped", SIGNATURE, format!("{head}.{body}.")),
            ("cut", MALFORMED, format!("{head}.{body}")),
            ("half", SIGNATURE_OR_FORM, format!("{head}.{body}.{half}")),
            ("longer", SIGNATURE_OR_FORM, format!("{token}AAAA")),
            ("dot", MALFORMED, format!("{token}.")),
            ("part", MALFORMED, format!("{token}.AAAA")),
            ("space", MALFORMED, format!("{token} ")),
            ("line", MALFORMED, format!("{token}\n")),
            ("nul", MALFORMED, format!("{token}\u{0}")),
            ("padding", MALFORMED, format!("{token}==")),
            ("twice", MALFORMED, format!("{token},{token}")),
            ("two", MALFORMED, format!("{token} {token}")),
            ("quoted", MALFORMED, format!("\"{token}\"")),
            ("case", SIGNATURE_OR_FORM, format!("{head}.{body}.{swapped}")),
            ("other-user", SIGNATURE, format!("{head}.{}.{signature}", BASE64.encode(other.to_string()))),
            ("none", ALGORITHM, format!("{}.{body}.{signature}", BASE64.encode(none))),
            ("other-head", SIGNATURE, {
                let header = with(&self.header, "x", 1.into()).to_string();
                format!("{}.{body}.{signature}", BASE64.encode(header))
            }),
        ] {
            self.add(&format!("changed/{name}"), reasons, changed);
        }
    }

    /// Signed as it should be, with a header that asks for something else.
    fn with_bad_header(&mut self, issuer: &Signer) {
        let claims = self.claims.to_string();
        for (name, reasons, value) in [
            ("crit", MALFORMED, json!(["exp"])),
            ("crit", MALFORMED, json!([])),
            ("crit", MALFORMED, json!("b64")),
            ("zip", MALFORMED, json!("DEF")),
            ("enc", MALFORMED, json!("A128GCM")),
            ("cty", MALFORMED, json!("JWT")),
            ("b64", MALFORMED, json!(false)),
            ("typ", &[Reason::TokenType] as &[Reason], json!("logout+jwt")),
            ("typ", &[Reason::TokenType], json!("dpop+jwt")),
            ("typ", &[Reason::TokenType], json!("secevent+jwt")),
            ("typ", MALFORMED, json!(1)),
            ("alg", KEY_OR_ALGORITHM, json!("PS512")),
            ("alg", KEY_OR_ALGORITHM, json!("EdDSA")),
        ] {
            // That would be as it should be.
            if self.header.get(name) == Some(&value) {
                continue;
            }
            let shown = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let token = issuer.token(&with(&self.header, name, value).to_string(), &claims);
            self.add(&format!("asks/{name}-{shown}"), reasons, token);
        }
    }

    /// Signed as it should be, with other claims.
    fn claiming(&mut self, issuer: &Signer, cases: Vec<(&str, &'static [Reason], &str, Json)>) {
        for (name, reasons, claim, value) in cases {
            let claims = with(&self.claims, claim, value).to_string();
            self.add(name, reasons, issuer.token(&self.header.to_string(), &claims));
        }
    }

    fn at_other_times(&mut self, issuer: &Signer) {
        const EXPIRED: &[Reason] = &[Reason::TokenExpired];
        const EARLY: &[Reason] = &[Reason::TokenNotYetValid];
        let now = self.known.now;
        let cases = vec![
            ("exp/hour", EXPIRED, "exp", json!(now - 3600)),
            ("exp/zero", EXPIRED, "exp", json!(0)),
            ("exp/negative", CLAIMS, "exp", json!(-1)),
            ("exp/text", CLAIMS, "exp", json!("9999999999")),
            ("exp/never", CLAIMS, "exp", json!("never")),
            ("exp/true", CLAIMS, "exp", json!(true)),
            ("exp/list", CLAIMS_OR_FORM, "exp", json!([now + 3600])),
            ("exp/missing", CLAIMS, "exp", Json::Null),
            ("nbf/hour", EARLY, "nbf", json!(now + 3600)),
            ("nbf/text", CLAIMS, "nbf", json!("0")),
            ("iat/hour", EARLY, "iat", json!(now + 3600)),
            ("iat/object", CLAIMS, "iat", json!({})),
        ];
        self.claiming(issuer, cases);
    }

    fn for_others(&mut self, issuer: &Signer) {
        const AUDIENCE: &[Reason] = &[Reason::TokenAudience];
        const ISSUER: &[Reason] = &[Reason::TokenIssuer];
        let text = |name: &str| {
            let value = self.claims.get(name).cloned().unwrap_or_default();
            value.get(0).unwrap_or(&value).as_str().unwrap_or_default().to_owned()
        };
        let (aud, iss) = (text("aud"), text("iss"));
        let shorter: String = aud.chars().skip(1).collect();
        let cases = vec![
            ("aud/other", AUDIENCE, "aud", json!("other")),
            ("aud/others", AUDIENCE, "aud", json!(["other", "another"])),
            ("aud/empty", AUDIENCE, "aud", json!("")),
            ("aud/none", AUDIENCE, "aud", json!([])),
            ("aud/missing", AUDIENCE, "aud", Json::Null),
            ("aud/object", AUDIENCE, "aud", json!({&aud: true})),
            ("aud/mixed", AUDIENCE, "aud", json!([&aud, 1])),
            ("aud/nested", AUDIENCE, "aud", json!([[&aud]])),
            ("aud/upper", AUDIENCE, "aud", json!(aud.to_uppercase())),
            ("aud/shorter", AUDIENCE, "aud", json!(shorter)),
            ("aud/joined", AUDIENCE, "aud", json!(format!("{aud} other"))),
            ("iss/other", ISSUER, "iss", json!("https://attacker.example/")),
            ("iss/missing", ISSUER, "iss", Json::Null),
            ("iss/list", ISSUER, "iss", json!([&iss])),
            ("iss/longer", ISSUER, "iss", json!(format!("{iss}x"))),
            ("iss/upper", ISSUER, "iss", json!(iss.to_uppercase())),
            ("bound/key", &[Reason::TokenBound] as &[Reason], "cnf", json!({"jkt": "AAAA"})),
            ("bound/certificate", &[Reason::TokenBound], "cnf", json!({"x5t#S256": "AAAA"})),
            ("event/logout", &[Reason::TokenType], "events", json!({"backchannel-logout": {}})),
        ];
        self.claiming(issuer, cases);
    }

    fn about_others(&mut self, issuer: &Signer) {
        let user = self.known.username.to_owned();
        let cases = vec![
            ("user/missing", CLAIMS, user.as_str(), Json::Null),
            ("user/empty", CLAIMS, &user, json!("")),
            ("user/number", CLAIMS, &user, json!(1)),
            ("user/list", CLAIMS, &user, json!(["akadmin"])),
            ("user/line", CLAIMS, &user, json!("ada\r\nx-authentik-username: akadmin")),
            ("user/nul", CLAIMS, &user, json!("akadmin\u{0}")),
            ("user/long", CLAIMS, &user, json!("a".repeat(2000))),
        ];
        self.claiming(issuer, cases);
        let header = self.header.to_string();
        let right = self.claims.to_string();
        let twice = format!("{{\"{user}\":\"akadmin\",{}", right.trim_start_matches('{'));
        let nested = json!({"x": (0..40).fold(json!(1), |inner, _| json!([inner]))}).to_string();
        for (name, claims) in [
            ("twice", twice.as_str()),
            ("nested", &nested),
            ("list", "[]"),
            ("text", "\"akadmin\""),
            ("no-json", "preferred_username=akadmin"),
            ("trailing", &format!("{right}{right}")),
            ("empty", ""),
        ] {
            self.add(&format!("claims/{name}"), MALFORMED, issuer.token(&header, claims));
        }
    }
}
