//! Files of certificates, keys and tokens.
//!
//! Must not know: whose they are.

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

/// The largest file that is read, in bytes.
const MAX_BYTES: u64 = 1 << 20;

/// What is in this file, if that is not too much.
///
/// # Errors
/// When it cannot be read, or is too long.
pub fn read(path: &Path) -> Result<Vec<u8>, String> {
    let shown = path.display();
    let mut text = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut text))
        .map_err(|error| format!("the file `{shown}` cannot be read: {error}"))?;
    if text.len() as u64 > MAX_BYTES {
        return Err(format!(
            "`{shown}` has more than {MAX_BYTES} bytes; name a file of certificates, keys or tokens"
        ));
    }
    Ok(text)
}

/// The certificates in this file, and no others.
pub(super) fn roots(path: &Path) -> Result<RootCertStore, String> {
    let shown = path.display();
    let text = read(path)?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&text) {
        let added = certificate.map_err(|error| format!("`{shown}` is no PEM file of certificates: {error}"));
        roots.add(added?).map_err(|error| format!("a certificate in `{shown}` cannot be used: {error}"))?;
    }
    if roots.is_empty() {
        return Err(format!("`{shown}` holds no certificate; name a PEM file with at least one"));
    }
    Ok(roots)
}
