//! What the certificate of somebody who connected says of them. That it is good was found out by TLS.
//!
//! Must not know: what somebody may do.

use rustls::pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// The names in a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerNames {
    /// The SPIFFE id: the one URI that stands in it, if that is one. A certificate with several URIs has none, as the
    /// X.509-SVID standard says (section 2).
    pub spiffe: Option<String>,
    /// DNS names, in lower case; where there are no alternative names at all, the common name.
    pub names: Vec<String>,
    /// When it is no longer good, in seconds since 1970.
    pub expires: i64,
}

fn parse<'a>(certificate: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, String> {
    X509Certificate::from_der(certificate)
        .map(|(_, parsed)| parsed)
        .map_err(|error| format!("the certificate cannot be read: {error}"))
}

/// When a certificate is no longer good, in seconds since 1970.
///
/// # Errors
/// When it cannot be read.
pub(super) fn expiry(certificate: &CertificateDer<'_>) -> Result<i64, String> {
    Ok(parse(certificate)?.validity().not_after.timestamp())
}

/// The names in this certificate.
///
/// # Errors
/// When it cannot be read.
pub fn names(certificate: &CertificateDer<'_>) -> Result<PeerNames, String> {
    let parsed = parse(certificate)?;
    let alternatives = parsed
        .subject_alternative_name()
        .map_err(|error| format!("the certificate's alternative names cannot be read: {error}"))?;
    let (mut uris, mut names) = (Vec::new(), Vec::new());
    match alternatives {
        Some(alternatives) => {
            for name in &alternatives.value.general_names {
                match name {
                    GeneralName::URI(uri) => uris.push(*uri),
                    GeneralName::DNSName(name) => names.push(name.to_ascii_lowercase()),
                    _ => {}
                }
            }
        }
        None => {
            let common = parsed.subject().iter_common_name().next();
            names.extend(common.and_then(|name| name.as_str().ok()).map(str::to_ascii_lowercase));
        }
    }
    let spiffe = match uris.as_slice() {
        [only] if only.starts_with("spiffe://") => Some((*only).to_owned()),
        _ => None,
    };
    Ok(PeerNames { spiffe, names, expires: parsed.validity().not_after.timestamp() })
}
