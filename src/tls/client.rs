//! Connections to other servers over gRPC: with TLS where the address says https, and with what shows who calls.
//!
//! Files are read for each connection, so that replaced ones count from the next on. Must not know: what is called.

use super::{causes, files};
use std::path::PathBuf;
use std::time::Duration;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Request, Status};

/// Whom to trust, and what shows who calls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Credentials {
    /// Authorities of servers, PEM. Absent: those that the system trusts.
    pub authorities: Option<PathBuf>,
    /// The caller's certificate, PEM.
    pub certificate: Option<PathBuf>,
    /// Its key, PEM.
    pub key: Option<PathBuf>,
    /// File whose first line is the caller's token.
    pub token_file: Option<PathBuf>,
    /// The name in the server's certificate. Absent: the host of its address.
    pub server_name: Option<String>,
}

/// A server, and how to reach it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// `http://HOST:PORT`, `https://HOST:PORT` or `unix:///PATH`.
    pub address: String,
    /// Whom to trust, and what shows who calls.
    pub credentials: Credentials,
}

/// A connection whose calls carry the caller's token, if there is one.
pub type Link = InterceptedService<Channel, Token>;

/// Puts a token into calls.
#[derive(Clone, Default)]
pub struct Token(Option<MetadataValue<Ascii>>);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() { "Token(..)" } else { "Token" })
    }
}

impl Interceptor for Token {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = &self.0 {
            request.metadata_mut().insert("authorization", token.clone());
        }
        Ok(request)
    }
}

/// A channel without a token.
pub fn bare(channel: Channel) -> Link {
    InterceptedService::new(channel, Token::default())
}

impl Credentials {
    /// Checks what can be checked without files.
    ///
    /// # Errors
    /// When there is half of a certificate; names what is missing.
    pub fn check(&self) -> Result<(), String> {
        match (&self.certificate, &self.key) {
            (Some(_), None) => Err("key: missing, though there is a certificate; name it as well".to_owned()),
            (None, Some(_)) => Err("certificate: missing, though there is a key; name it as well".to_owned()),
            _ => Ok(()),
        }
    }

    /// Connects, within this time.
    ///
    /// # Errors
    /// When a file cannot be used, or nobody is there who is trusted.
    pub async fn connect(&self, endpoint: Endpoint, within: Duration) -> Result<Link, String> {
        let (endpoint, token) = (self.secure(endpoint)?, self.token()?);
        let connected = tokio::time::timeout(within, endpoint.connect_timeout(within).connect()).await;
        let channel = connected
            .map_err(|_| format!("no connection within {within:?}"))?
            .map_err(|error| causes(&error))?;
        Ok(InterceptedService::new(channel, token))
    }

    /// With TLS, if the address says https.
    ///
    /// # Errors
    /// When a file cannot be used.
    pub fn secure(&self, endpoint: Endpoint) -> Result<Endpoint, String> {
        self.check()?;
        if endpoint.uri().scheme_str() != Some("https") {
            return Ok(endpoint);
        }
        let mut tls = match &self.authorities {
            Some(path) => {
                // Looked at here, since the transport would say less of what is wrong.
                files::roots(path).map_err(|what| format!("authorities: {what}"))?;
                ClientTlsConfig::new().ca_certificate(Certificate::from_pem(files::read(path)?))
            }
            None => ClientTlsConfig::new().with_native_roots(),
        };
        if let (Some(certificate), Some(key)) = (&self.certificate, &self.key) {
            let certificate = files::read(certificate).map_err(|what| format!("certificate: {what}"))?;
            let key = files::read(key).map_err(|what| format!("key: {what}"))?;
            tls = tls.identity(Identity::from_pem(certificate, key));
        }
        if let Some(name) = &self.server_name {
            tls = tls.domain_name(name);
        }
        endpoint.tls_config(tls).map_err(|error| causes(&error))
    }

    /// The token, if there is one.
    ///
    /// # Errors
    /// When its file holds none.
    pub fn token(&self) -> Result<Token, String> {
        let Some(path) = &self.token_file else { return Ok(Token::default()) };
        let wrong = |what: &str| format!("token_file: `{}` {what}", path.display());
        let text = files::read(path).map_err(|what| format!("token_file: {what}"))?;
        let first = text.split(|byte| *byte == b'\n').next().unwrap_or_default().trim_ascii();
        let first = std::str::from_utf8(first).ok().filter(|token| !token.is_empty());
        let first =
            first.ok_or_else(|| wrong("does not begin with a token; write one into its first line"))?;
        let mut token: MetadataValue<Ascii> = format!("Bearer {first}")
            .parse()
            .map_err(|_| wrong("begins with something that is no token; write one into its first line"))?;
        token.set_sensitive(true);
        Ok(Token(Some(token)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_and_tokens_are_not_shown() {
        let path = |text: &str| Some(PathBuf::from(text));
        for (credentials, part) in [
            (Credentials { certificate: path("c"), ..Credentials::default() }, "key: missing"),
            (Credentials { key: path("k"), ..Credentials::default() }, "certificate: missing"),
            (
                Credentials { authorities: path("/no/such"), ..Credentials::default() },
                "authorities: the file",
            ),
        ] {
            let error = credentials.secure(Endpoint::from_static("https://localhost")).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        let credentials =
            Credentials { token_file: path(file.path().to_str().unwrap()), ..Default::default() };
        assert!(credentials.token().unwrap_err().contains("does not begin with a token"));
        std::fs::write(file.path(), "secret-secret\nother").unwrap();
        let mut token = credentials.token().unwrap();
        assert!(!format!("{token:?}").contains("secret"), "{token:?}");
        let request = token.call(Request::new(())).unwrap();
        assert_eq!(request.metadata().get("authorization").unwrap(), "Bearer secret-secret");
    }
}
