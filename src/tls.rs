//! TLS on both sides: fetching something from a server over http or https (one client for all who do, with bounds, and
//! without ever following a redirect), listening, and who has connected.
//!
//! Must not know: what is fetched or served.

pub mod client;
pub mod files;
pub mod peer;
pub mod server;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, LengthLimitError, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use std::error::Error;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Connections that are not used are closed after this long.
const IDLE: Duration = Duration::from_secs(60);
/// How many connections wait for the next question.
const MAX_IDLE: usize = 8;

/// Fetches from one server, whose URL said whether that is over TLS.
#[derive(Clone)]
pub struct Client {
    inner: HyperClient<HttpsConnector<HttpConnector>, Empty<Bytes>>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Client")
    }
}

/// Why nothing was fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The server cannot be reached, or does not speak HTTP; with all causes.
    Unreachable(String),
    /// It answers with a redirect, which is not followed.
    Redirect,
    /// It answers with another status than 200.
    Status(u16),
    /// It answers with more bytes than are taken.
    TooLong,
}

/// Reads a URL that something is to be fetched from. `example` is one that is right.
///
/// # Errors
/// When it is no http or https URL, or has a user or password in it; with what to do.
pub fn parse_url(url: &str, example: &str) -> Result<http::Uri, String> {
    // What stands before an @ may be a password, also in a URL that is otherwise wrong.
    let shown = if url.contains('@') { "the URL".to_owned() } else { format!("`{url}`") };
    let wrong = |what: &str| format!("{shown} {what}; write it like {example}");
    let uri: http::Uri = url.parse().map_err(|error| wrong(&format!("is not a URL ({error})")))?;
    let Some(authority) = uri.authority() else { return Err(wrong("has no host")) };
    if authority.as_str().contains('@') {
        return Err("a URL with a user or password is not supported; leave them out".to_owned());
    }
    match uri.scheme_str() {
        Some("http" | "https") => Ok(uri),
        _ => Err(wrong("begins neither with http:// nor with https://")),
    }
}

impl Client {
    /// For the server of this URL. Servers are trusted that the system trusts, or whose certificates lead to one in
    /// the file `authorities` (PEM).
    ///
    /// # Errors
    /// When there is nobody to trust.
    pub fn new(uri: &http::Uri, authorities: Option<&Path>) -> Result<Self, String> {
        let connector = if uri.scheme_str() == Some("https") {
            let roots = authorities.map_or_else(system_roots, files::roots)?;
            HttpsConnectorBuilder::new().with_tls_config(config(roots)?).https_only()
        } else {
            // Never used for TLS, so there is nobody to trust.
            let nobody = config(rustls::RootCertStore::empty())?;
            HttpsConnectorBuilder::new().with_tls_config(nobody).https_or_http()
        };
        let inner = HyperClient::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(MAX_IDLE)
            .build(connector.enable_http1().build());
        Ok(Self { inner })
    }

    /// What the server answers, if that is at most `most` bytes. It is waited for as long as the caller waits.
    ///
    /// # Errors
    /// When it answers otherwise, or not at all.
    pub async fn get(&self, request: http::request::Builder, most: usize) -> Result<Bytes, Failure> {
        let failed = |error: &dyn Error| Failure::Unreachable(causes(error));
        let request = request
            .header(http::header::USER_AGENT, concat!("bindery/", env!("CARGO_PKG_VERSION")))
            .body(Empty::new())
            .map_err(|error| failed(&error))?;
        let response = self.inner.request(request).await.map_err(|error| failed(&error))?;
        let status = response.status();
        if status.is_redirection() {
            return Err(Failure::Redirect);
        }
        if status != http::StatusCode::OK {
            return Err(Failure::Status(status.as_u16()));
        }
        let body = Limited::new(response.into_body(), most).collect().await;
        body.map(|body| body.to_bytes())
            .map_err(|error| if error.is::<LengthLimitError>() { Failure::TooLong } else { failed(&*error) })
    }
}

/// What the system trusts.
fn system_roots() -> Result<rustls::RootCertStore, String> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = rustls::RootCertStore::empty();
    let (taken, _) = roots.add_parsable_certificates(found.certs);
    if taken == 0 {
        return Err(
            "there are no certificates to trust; install the system's, or use http in a network of your own"
                .to_owned(),
        );
    }
    Ok(roots)
}

fn config(roots: rustls::RootCertStore) -> Result<rustls::ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions =
        rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let versions = versions.map_err(self::versions)?;
    Ok(versions.with_root_certificates(roots).with_no_client_auth())
}

/// There are no versions of TLS that can be spoken.
fn versions(error: rustls::Error) -> String {
    format!("TLS cannot be used: {error}")
}

/// An error with what caused it: the outer one alone says little.
pub fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject as _;
    use std::io::Read as _;

    /// Answers one request over TLS, as `localhost`; whether a client cared to ask.
    fn serve(listener: std::net::TcpListener) -> std::thread::JoinHandle<bool> {
        use rustls::pki_types::PrivateKeyDer;
        let pem = include_bytes!("../tests/support/tls/server.pem");
        let key = include_bytes!("../tests/support/tls/server.key");
        let chain = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>().unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, PrivateKeyDer::from_pem_slice(key).unwrap())
            .unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut connection = rustls::ServerConnection::new(Arc::new(config)).unwrap();
            let mut stream = rustls::Stream::new(&mut connection, &mut stream);
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                match stream.read(&mut byte) {
                    Ok(1) => request.extend(byte),
                    _ => return false,
                }
            }
            let answer = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 4\r\n\r\nkeys";
            std::io::Write::write_all(&mut stream, answer).unwrap();
            true
        })
    }

    #[tokio::test]
    async fn a_server_is_trusted_by_the_file_and_by_its_name() {
        let authorities = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/tls/ca.pem"));
        for (host, authorities, right) in [
            ("localhost", Some(authorities), true),
            ("127.0.0.1", Some(authorities), false),
            // No system has ever heard of it.
            ("localhost", None, false),
        ] {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let url = format!("https://{host}:{}/", listener.local_addr().unwrap().port());
            let uri = parse_url(&url, "").unwrap();
            // A machine without certificates trusts nobody either.
            let Ok(client) = Client::new(&uri, authorities) else { continue };
            let server = serve(listener);
            let got = client.get(http::Request::get(uri), 4).await;
            if right {
                assert_eq!(got, Ok(Bytes::from_static(b"keys")));
            } else {
                assert!(
                    matches!(&got, Err(Failure::Unreachable(why)) if why.contains("certificate")),
                    "{got:?}"
                );
            }
            assert_eq!(server.join().unwrap(), right);
        }
    }

    #[test]
    fn certificates_are_read_from_a_file_or_told_to_be_none() {
        let directory = tempfile::tempdir().unwrap();
        let uri: http::Uri = "https://localhost/".parse().unwrap();
        let path = directory.path().join("ca.pem");
        let error = Client::new(&uri, Some(&path)).unwrap_err();
        assert!(error.contains("cannot be read"), "{error}");
        let bad = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let long = "#".repeat((1 << 20) + 1);
        for (text, part) in [
            ("", "holds no certificate"),
            ("-----BEGIN CERTIFICATE-----\nAAAA", "no PEM file"),
            (bad, "cannot be used"),
            (&long, "more than 1048576 bytes"),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = Client::new(&uri, Some(&path)).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
