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

/// The certificates in this file, of which there is at least one.
pub(super) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let shown = path.display();
    let text = read(path)?;
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let all = all.map_err(|error| format!("`{shown}` is no PEM file of certificates: {error}"))?;
    if all.is_empty() {
        return Err(format!("`{shown}` holds no certificate; name a PEM file with at least one"));
    }
    Ok(all)
}

/// Who is trusted that is in this file, and nobody else.
pub(super) fn roots(path: &Path) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        let added = roots.add(certificate);
        added.map_err(|error| format!("a certificate in `{}` cannot be used: {error}", path.display()))?;
    }
    Ok(roots)
}
