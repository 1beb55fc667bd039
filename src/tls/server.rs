//! Listening with TLS: certificate, key and the authorities of clients from files that are read anew when they are
//! replaced.
//!
//! Must not know: what is served, which clients may do what.

use super::{files, versions};
use arc_swap::ArcSwap;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;

/// Where a listener's TLS comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate and those that lead to its authority, PEM.
    pub certificate: PathBuf,
    /// Its key, PEM.
    pub key: PathBuf,
    /// The authorities of clients, PEM. Absent: clients are not asked for certificates.
    pub client_authorities: Option<PathBuf>,
    /// Whether a client may come without a certificate where authorities are named; one that it does bring counts.
    pub client_optional: bool,
}

impl TlsFiles {
    /// The files to watch.
    pub fn paths(&self) -> impl Iterator<Item = PathBuf> {
        [&self.certificate, &self.key].into_iter().chain(&self.client_authorities).cloned()
    }
}

/// What a listener does for each connection; the files may be replaced meanwhile.
#[derive(Debug)]
pub struct ServerTls {
    files: TlsFiles,
    current: ArcSwap<Current>,
}

#[derive(Debug)]
struct Current {
    config: Arc<rustls::ServerConfig>,
    /// Seconds since 1970 at which the certificate is no longer good.
    expires: i64,
}

impl ServerTls {
    /// Reads these files.
    ///
    /// # Errors
    /// Names the setting and the file that cannot be used.
    pub fn open(files: TlsFiles) -> Result<Self, String> {
        let current = ArcSwap::from_pointee(Current::read(&files)?);
        Ok(Self { files, current })
    }

    /// Reads the files anew. Connections that are open go on as they began.
    ///
    /// # Errors
    /// As [`ServerTls::open`]; what was read before stays in use.
    pub fn reload(&self) -> Result<(), String> {
        self.current.store(Arc::new(Current::read(&self.files)?));
        Ok(())
    }

    /// What takes the next connection.
    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.current.load().config))
    }

    /// When the certificate is no longer good, in seconds since 1970.
    pub fn expires(&self) -> i64 {
        self.current.load().expires
    }
}

impl Current {
    fn read(files: &TlsFiles) -> Result<Self, String> {
        let shown = files.certificate.display();
        let chain = files::certificates(&files.certificate).map_err(|what| format!("certificate: {what}"))?;
        let key = key(&files.key)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(versions)?;
        let builder = match &files.client_authorities {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let roots = files::roots(path).map_err(|what| format!("client_authorities: {what}"))?;
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                let verifier =
                    if files.client_optional { verifier.allow_unauthenticated() } else { verifier };
                let verifier = verifier.build();
                builder.with_client_cert_verifier(
                    verifier.map_err(|error| format!("client_authorities: `{}`: {error}", path.display()))?,
                )
            }
        };
        let leaf = chain.first().ok_or_else(|| format!("certificate: `{shown}` holds none"))?;
        let expires = super::peer::expiry(leaf).map_err(|what| format!("certificate: `{shown}`: {what}"))?;
        let mut config = builder.with_single_cert(chain, key).map_err(|error| {
            format!("certificate, key: `{shown}` and `{}` do not go together: {error}", files.key.display())
        })?;
        // gRPC clients insist on it; those that speak HTTP/1 do not ask.
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        if files.client_authorities.is_some() {
            // A resumed session would carry a certificate on that nobody looked at again.
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        }
        Ok(Self { config: Arc::new(config), expires })
    }
}

fn key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    let text = files::read(path).map_err(|what| format!("key: {what}"))?;
    // Whatever is wrong with it, nothing of it is told.
    PrivateKeyDer::from_pem_slice(&text).map_err(|_| {
        format!("key: `{}` holds no private key in PEM; name the certificate's key", path.display())
    })
}
