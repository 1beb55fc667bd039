//! The settings of identity, as they stand in the settings file. Each source is off unless its table is there.
//!
//! Must not know: what the settings are used for. They are checked where they are used.

use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Who is asking, and what of it may be trusted: the table `identity` of a door.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Which claims say what, for `metadata` and `jwt`.
    pub claims: ClaimSettings,
    /// Claims that the gateway has verified.
    pub metadata: Option<MetadataSettings>,
    /// JSON web tokens that are verified here.
    pub jwt: Option<JwtSettings>,
    /// Client certificates that the gateway has verified.
    pub certificate: Option<CertificateSettings>,
    /// Headers that a trusted gateway has set.
    pub headers: Option<HeaderSettings>,
}

impl Settings {
    /// The files of keys, which are to be watched. When one is replaced, call
    /// [`Identifier::reload`](super::Identifier::reload).
    pub fn key_files(&self) -> Vec<PathBuf> {
        self.jwt.iter().flat_map(|jwt| jwt.jwks_file.iter().chain(&jwt.secret_file)).cloned().collect()
    }
}

/// Which claims say what. A claim inside another one is written with a dot, as in `realm_access.roles`; a dot that is
/// part of a name as `\.`. An empty text: no claim says it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClaimSettings {
    /// The user's id in the directory. Default: none.
    pub user_id: String,
    /// The username. Default: `preferred_username`.
    pub username: String,
    /// The e-mail address, which identifies nobody. Default: `email`.
    pub email: String,
    /// The display name. Default: `name`.
    pub name: String,
    /// Names of groups, a list. Default: `groups`.
    pub groups: String,
    /// Ids of groups, a list. Default: none.
    pub group_ids: String,
    /// Names of entitlements, a list, kept as the attribute `entitlements`. Default: `entitlements`.
    pub entitlements: String,
    /// Claims that are kept as attributes, each under the last part of its name. Default: none; `sub` is always kept.
    pub attributes: Vec<String>,
}

impl Default for ClaimSettings {
    fn default() -> Self {
        Self {
            user_id: String::new(),
            username: "preferred_username".to_owned(),
            email: "email".to_owned(),
            name: "name".to_owned(),
            groups: "groups".to_owned(),
            group_ids: String::new(),
            entitlements: "entitlements".to_owned(),
            attributes: Vec::new(),
        }
    }
}

/// Claims that the gateway has verified.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MetadataSettings {
    /// The name under which the gateway leaves the claims. Default: `jwt_payload`.
    pub payload: String,
    /// The issuers that are expected. Default: any, since the gateway has looked at it.
    pub issuers: Vec<String>,
    /// The audiences of which a token must have one. Default: any, since the gateway has looked at it.
    pub audiences: Vec<String>,
    /// How much clocks may differ, in seconds, 0 to 300. Default: 60.
    pub leeway_seconds: u64,
}

impl Default for MetadataSettings {
    fn default() -> Self {
        Self {
            payload: "jwt_payload".to_owned(),
            issuers: Vec::new(),
            audiences: Vec::new(),
            leeway_seconds: 60,
        }
    }
}

/// How a token may be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
pub enum Algorithm {
    /// RSA, PKCS#1 v1.5, SHA-256.
    RS256,
    /// RSA, PKCS#1 v1.5, SHA-384.
    RS384,
    /// RSA, PKCS#1 v1.5, SHA-512.
    RS512,
    /// RSA, PSS, SHA-256.
    PS256,
    /// RSA, PSS, SHA-384.
    PS384,
    /// RSA, PSS, SHA-512.
    PS512,
    /// ECDSA over P-256, SHA-256.
    ES256,
    /// ECDSA over P-384, SHA-384.
    ES384,
    /// Ed25519.
    EdDSA,
    /// A secret that both sides have, SHA-256. Whoever can verify such a token can make one.
    HS256,
}

impl Algorithm {
    /// Its name, as in a token's `alg`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RS256 => "RS256",
            Self::RS384 => "RS384",
            Self::RS512 => "RS512",
            Self::PS256 => "PS256",
            Self::PS384 => "PS384",
            Self::PS512 => "PS512",
            Self::ES256 => "ES256",
            Self::ES384 => "ES384",
            Self::EdDSA => "EdDSA",
            Self::HS256 => "HS256",
        }
    }
}

/// JSON web tokens that are verified here.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct JwtSettings {
    /// The header that a token is in; empty: none. Default: `authorization`.
    pub header: String,
    /// The word before the token in that header; empty: none. Default: `Bearer` in `authorization`, none in others.
    pub prefix: Option<String>,
    /// Cookies that a token may be in. Default: none.
    pub cookies: Vec<String>,
    /// How tokens may be signed. Default: RS256, ES256, ES384.
    pub algorithms: Vec<Algorithm>,
    /// File with the issuer's public keys (a JSON web key set), read again when it is replaced.
    pub jwks_file: Option<PathBuf>,
    /// Where the issuer publishes its keys: https, or http on this machine.
    pub jwks_url: Option<String>,
    /// File with the certificates (PEM) that the server of `jwks_url` is trusted by. Default: the system's.
    pub jwks_ca_file: Option<PathBuf>,
    /// Keys that are older than this are fetched anew in the background, in seconds, 1 to 86400. Default: 300.
    pub jwks_max_age_seconds: u64,
    /// How long after one fetch the next may begin, whatever the reason, in seconds, 1 to 3600. Default: 10.
    pub jwks_min_interval_seconds: u64,
    /// How long keys are used while they cannot be fetched anew, in seconds, up to 2592000. Default: 86400.
    pub jwks_keep_seconds: u64,
    /// How long a fetch may take, and a request wait for it, in milliseconds, 50 to 30000. Default: 2000.
    pub jwks_timeout_ms: u64,
    /// File with the secret for HS256, at least 32 bytes, read again when it is replaced.
    pub secret_file: Option<PathBuf>,
    /// The issuers that are expected, exactly as in the claim `iss`.
    pub issuers: Vec<String>,
    /// Take tokens of any issuer. Default: false.
    pub any_issuer: bool,
    /// The audiences of which a token must have one.
    pub audiences: Vec<String>,
    /// Take tokens for anybody. Default: false.
    pub any_audience: bool,
    /// The types that a token may have (`typ`), without `application/`. Default: none told, `JWT` and `at+jwt`.
    pub types: Option<Vec<String>>,
    /// How much clocks may differ, in seconds, 0 to 300. Default: 60.
    pub leeway_seconds: u64,
}

impl Default for JwtSettings {
    fn default() -> Self {
        Self {
            header: "authorization".to_owned(),
            prefix: None,
            cookies: Vec::new(),
            algorithms: vec![Algorithm::RS256, Algorithm::ES256, Algorithm::ES384],
            jwks_file: None,
            jwks_url: None,
            jwks_ca_file: None,
            jwks_max_age_seconds: 300,
            jwks_min_interval_seconds: 10,
            jwks_keep_seconds: 86_400,
            jwks_timeout_ms: 2_000,
            secret_file: None,
            issuers: Vec::new(),
            any_issuer: false,
            audiences: Vec::new(),
            any_audience: false,
            types: None,
            leeway_seconds: 60,
        }
    }
}

/// What a certificate's name becomes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SubjectField {
    /// The username.
    #[default]
    Username,
    /// The user's id in the directory.
    UserId,
}

/// Client certificates that the gateway has verified.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CertificateSettings {
    /// The trust domains whose SPIFFE ids are let in. Default: none.
    pub trust_domains: Vec<String>,
    /// The DNS names that are let in, each with all below it. Default: none.
    pub dns_suffixes: Vec<String>,
    /// What the name becomes: `username` or `user_id`. Default: `username`.
    pub subject: SubjectField,
    /// How it is made: a text with `{id}` (the whole name); of a SPIFFE id also `{trust_domain}`, `{path}` (without
    /// the first slash) and `{last}` (the last part of it); of a DNS name `{first}` (up to the first dot). Default:
    /// `{id}`.
    pub template: String,
    /// Names of certificates that are let in by themselves, and what each becomes. Default: none.
    pub map: BTreeMap<String, String>,
}

impl Default for CertificateSettings {
    fn default() -> Self {
        Self {
            trust_domains: Vec::new(),
            dns_suffixes: Vec::new(),
            subject: SubjectField::Username,
            template: "{id}".to_owned(),
            map: BTreeMap::new(),
        }
    }
}

/// Headers that a trusted gateway has set, as authentik's proxy sets them.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HeaderSettings {
    /// Whose headers count: networks, or `unix` for everybody at a unix socket. From others they are ignored.
    pub trusted_peers: Vec<String>,
    /// What the names of the headers begin with: `username`, `groups`, `entitlements`, `email`, `name` and `uid`
    /// follow. Default: `x-authentik-`.
    pub prefix: String,
    /// Whether `uid` is the user's id in the directory, rather than an attribute. Default: false.
    pub uid_identifies: bool,
}

impl Default for HeaderSettings {
    fn default() -> Self {
        Self { trusted_peers: Vec::new(), prefix: "x-authentik-".to_owned(), uid_identifies: false }
    }
}
