//! Settings of who may connect, and how: TLS on listeners, and the callers of each service.
//!
//! Must not know: how it is enforced.

use crate::tls::server::TlsFiles;
use clap::{Args, ValueEnum};
use serde::Deserialize;
use std::path::PathBuf;

/// Whether clients have to bring certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientCertificates {
    /// Who has none cannot connect.
    Required,
    /// Who has none may have a token.
    Optional,
}

/// TLS on listeners over TCP. In the settings file these stand under `[tls]`, without `tls_`, and may stand once more
/// under `[tls.grpc]`, `[tls.http]`, `[tls.sync]` and `[tls.admin]` for one listener.
#[derive(Args, Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[command(next_help_heading = "TLS on listeners")]
pub struct TlsArgs {
    /// Certificate of every listener over TCP, PEM; read again when it is replaced [default: none, no TLS]
    #[arg(long, env = "BINDERY_TLS_CERTIFICATE", value_name = "FILE")]
    #[serde(rename = "certificate")]
    pub tls_certificate: Option<PathBuf>,

    /// Its private key, PEM
    #[arg(long, env = "BINDERY_TLS_KEY", value_name = "FILE")]
    #[serde(rename = "key")]
    pub tls_key: Option<PathBuf>,

    /// Authorities of clients, PEM: who connects has to have a certificate from one of them [default: none]
    #[arg(long, env = "BINDERY_TLS_CLIENT_AUTHORITIES", value_name = "FILE")]
    #[serde(rename = "client_authorities")]
    pub tls_client_authorities: Option<PathBuf>,

    /// Whether clients have to have a certificate where authorities are named [default: required]
    #[arg(long, env = "BINDERY_TLS_CLIENT_CERTIFICATES", value_name = "WHETHER")]
    #[serde(rename = "client_certificates")]
    pub tls_client_certificates: Option<ClientCertificates>,

    /// For gRPC.
    #[arg(skip)]
    pub grpc: ListenerTls,
    /// For HTTP.
    #[arg(skip)]
    pub http: ListenerTls,
    /// For publishers and followers.
    #[arg(skip)]
    pub sync: ListenerTls,
    /// For operators.
    #[arg(skip)]
    pub admin: ListenerTls,
}

/// TLS on one listener; what is not said is as for the others.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ListenerTls {
    /// No TLS here.
    pub off: bool,
    /// Certificate, PEM.
    pub certificate: Option<PathBuf>,
    /// Its key, PEM.
    pub key: Option<PathBuf>,
    /// Authorities of clients, PEM.
    pub client_authorities: Option<PathBuf>,
    /// Whether clients have to have a certificate.
    pub client_certificates: Option<ClientCertificates>,
}

/// TLS on each listener, checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsSettings {
    /// For gRPC.
    pub grpc: Option<TlsFiles>,
    /// For HTTP.
    pub http: Option<TlsFiles>,
    /// For publishers and followers.
    pub sync: Option<TlsFiles>,
    /// For operators.
    pub admin: Option<TlsFiles>,
}

impl TlsArgs {
    /// These over the settings file.
    ///
    /// # Errors
    /// Names the setting that is wrong and what to do.
    pub fn resolve(self, file: Self) -> Result<TlsSettings, String> {
        let all = ListenerTls {
            off: false,
            certificate: self.tls_certificate.or(file.tls_certificate),
            key: self.tls_key.or(file.tls_key),
            client_authorities: self.tls_client_authorities.or(file.tls_client_authorities),
            client_certificates: self.tls_client_certificates.or(file.tls_client_certificates),
        };
        Ok(TlsSettings {
            grpc: file.grpc.over(&all, "grpc")?,
            http: file.http.over(&all, "http")?,
            sync: file.sync.over(&all, "sync")?,
            admin: file.admin.over(&all, "admin")?,
        })
    }
}

impl ListenerTls {
    fn over(self, all: &Self, listener: &str) -> Result<Option<TlsFiles>, String> {
        if self.off {
            return Ok(None);
        }
        let certificate = self.certificate.or_else(|| all.certificate.clone());
        let key = self.key.or_else(|| all.key.clone());
        let client_authorities = self.client_authorities.or_else(|| all.client_authorities.clone());
        let certificates = self.client_certificates.or(all.client_certificates);
        let lacks = |what: &str, has: &str| {
            Err(format!("tls.{what}: missing for {listener}, though there is {has}; set tls.{what} as well"))
        };
        if client_authorities.is_none() && certificates.is_some() {
            return lacks("client_authorities", "client_certificates");
        }
        match (certificate, key) {
            (Some(certificate), Some(key)) => Ok(Some(TlsFiles {
                certificate,
                key,
                client_authorities,
                client_optional: certificates == Some(ClientCertificates::Optional),
            })),
            (None, Some(_)) => lacks("certificate", "a key"),
            (Some(_), None) => lacks("key", "a certificate"),
            (None, None) if client_authorities.is_some() => lacks("certificate", "client_authorities"),
            (None, None) => Ok(None),
        }
    }
}

/// Who may call a service: whoever one of these lets in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CallerSettings {
    /// SPIFFE ids in client certificates; one that ends in `/*` stands for all below it.
    pub spiffe: Vec<String>,
    /// DNS names, or common names, in client certificates.
    pub names: Vec<String>,
    /// Users of this system who connect through a unix socket.
    pub uids: Vec<u32>,
    /// File of bearer tokens, one a line; read again when it is replaced.
    pub token_file: Option<PathBuf>,
}

/// Who may call what. A service without a table here is open to whoever reaches its listener.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AccessSettings {
    /// Decisions and flows over gRPC.
    pub decisions: Option<CallerSettings>,
    /// Envoy's external authorization.
    pub ext_authz: Option<CallerSettings>,
    /// Forward authentication.
    pub forward_auth: Option<CallerSettings>,
    /// AuthZEN.
    pub authzen: Option<CallerSettings>,
    /// Publishing configuration.
    pub publish: Option<CallerSettings>,
    /// Following it.
    pub follow: Option<CallerSettings>,
    /// What operators may change, and see of the settings.
    pub admin: Option<CallerSettings>,
}

impl AccessSettings {
    /// Looks at what can be looked at without files.
    ///
    /// # Errors
    /// Names the entry that is wrong and what to do.
    pub fn check(&self) -> Result<(), String> {
        for (service, callers) in self.tables() {
            let CallerSettings { spiffe, names, uids, token_file } = callers;
            let field = |name: &str| format!("access.{service}.{name}");
            if spiffe.is_empty() && names.is_empty() && uids.is_empty() && token_file.is_none() {
                return Err(format!(
                    "access.{service}: lets nobody in; name spiffe, names, uids or token_file, or leave the table out"
                ));
            }
            let wrong_id = |id: &&String| {
                let body = id.strip_suffix("/*").unwrap_or(id);
                body.contains('*') || body.strip_prefix("spiffe://").is_none_or(str::is_empty)
            };
            if let Some(id) = spiffe.iter().find(wrong_id) {
                let field = field("spiffe");
                return Err(format!(
                    "{field}: `{id}` is no SPIFFE id; write spiffe://DOMAIN/PATH, or spiffe://DOMAIN/PATH/* for all below"
                ));
            }
            if let Some(name) = names.iter().find(|name| name.is_empty() || name.contains('*')) {
                let field = field("names");
                return Err(format!("{field}: `{name}` is no name; write it out, without wildcards"));
            }
        }
        Ok(())
    }

    /// Each table that is there, with its name.
    pub fn tables(&self) -> impl Iterator<Item = (&'static str, &CallerSettings)> {
        [
            ("decisions", &self.decisions),
            ("ext_authz", &self.ext_authz),
            ("forward_auth", &self.forward_auth),
            ("authzen", &self.authzen),
            ("publish", &self.publish),
            ("follow", &self.follow),
            ("admin", &self.admin),
        ]
        .into_iter()
        .filter_map(|(name, table)| Some((name, table.as_ref()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<TlsSettings, String> {
        TlsArgs::default().resolve(toml::from_str(text).unwrap())
    }

    #[test]
    fn listeners_have_what_all_have_and_their_own() {
        let settings = read(
            "certificate = 'c'\nkey = 'k'\nclient_authorities = 'a'\n[admin]\noff = true\n[sync]\ncertificate = 's'\n\
             key = 't'\nclient_certificates = 'optional'\n",
        )
        .unwrap();
        let grpc = settings.grpc.unwrap();
        assert_eq!((grpc.certificate, grpc.client_optional), ("c".into(), false));
        let sync = settings.sync.unwrap();
        assert_eq!((sync.key, sync.client_authorities), ("t".into(), Some("a".into())));
        assert!(sync.client_optional && settings.admin.is_none() && settings.http.is_some());
        assert_eq!(read("").unwrap(), TlsSettings::default());
    }

    #[test]
    fn half_of_it_is_told() {
        for (text, part) in [
            ("certificate = 'c'", "tls.key: missing for grpc, though there is a certificate"),
            ("key = 'c'", "tls.certificate: missing"),
            ("client_authorities = 'c'", "tls.certificate: missing"),
            ("[sync]\nkey = 'c'", "tls.certificate: missing for sync"),
            (
                "certificate = 'c'\nkey = 'k'\nclient_certificates = 'optional'",
                "tls.client_authorities: missing",
            ),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn callers_are_looked_at() {
        for (text, part) in [
            ("[publish]", "access.publish: lets nobody in"),
            ("[follow]\nspiffe = ['https://a']", "access.follow.spiffe: `https://a` is no SPIFFE id"),
            ("[follow]\nspiffe = ['spiffe://a/*/b']", "is no SPIFFE id"),
            ("[follow]\nspiffe = ['spiffe://']", "is no SPIFFE id"),
            ("[admin]\nnames = ['*.example']", "access.admin.names: `*.example` is no name"),
        ] {
            let settings: AccessSettings = toml::from_str(text).unwrap();
            let error = settings.check().unwrap_err();
            assert!(error.contains(part), "{error}");
        }
        let settings: AccessSettings =
            toml::from_str("[authzen]\nuids = [0]\n[ext_authz]\nspiffe = ['spiffe://a/b', 'spiffe://a/*']")
                .unwrap();
        settings.check().unwrap();
        assert_eq!(settings.tables().map(|(name, _)| name).collect::<Vec<_>>(), ["ext_authz", "authzen"]);
    }
}
