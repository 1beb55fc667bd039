//! The signatures of tokens, as ring verifies them, for the crate that reads tokens. Here is which algorithm is
//! which, and nothing else.
//!
//! Must not know: which keys and tokens are right.

use super::Algorithm as Ours;
use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{Error, ErrorKind, Result};
use jsonwebtoken::signature;
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind, EncodingKey};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaParameters, RsaPublicKeyComponents,
    UnparsedPublicKey, VerificationAlgorithm,
};

/// It verifies, and does nothing else.
static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: |_, _: &EncodingKey| -> Result<Box<dyn JwtSigner>> { Err(unsupported()) },
    verifier_factory: verifier,
    key_utils: KeyUtils {
        rsa_pub_components_from_private_key: |_| Err(unsupported()),
        rsa_pub_components_from_public_key: |_| Err(unsupported()),
        ec_pub_components_from_private_key: |_, _| Err(unsupported()),
        ed_pub_components_from_private_key: |_, _| Err(unsupported()),
        compute_digest: |_, _| Err(unsupported()),
    },
};

fn unsupported() -> Error {
    ErrorKind::UnsupportedAlgorithm.into()
}

/// Makes it known to the crate that reads tokens, which has one for the whole process. Where there is one already,
/// that one verifies.
pub(super) fn install() {
    let _already = PROVIDER.install_default();
}

/// What that crate calls an algorithm.
pub(super) const fn name(algorithm: Ours) -> Algorithm {
    match algorithm {
        Ours::RS256 => Algorithm::RS256,
        Ours::RS384 => Algorithm::RS384,
        Ours::RS512 => Algorithm::RS512,
        Ours::PS256 => Algorithm::PS256,
        Ours::PS384 => Algorithm::PS384,
        Ours::PS512 => Algorithm::PS512,
        Ours::ES256 => Algorithm::ES256,
        Ours::ES384 => Algorithm::ES384,
        Ours::EdDSA => Algorithm::EdDSA,
        Ours::HS256 => Algorithm::HS256,
    }
}

enum Check {
    Rsa(&'static RsaParameters),
    Other(&'static dyn VerificationAlgorithm),
    Secret(ring::hmac::Algorithm),
}

struct Verifier {
    algorithm: Algorithm,
    check: Check,
    key: DecodingKey,
}

fn verifier(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>> {
    // A key of one kind is never used as another: not a public key as a secret.
    if key.family() != algorithm.family() {
        return Err(ErrorKind::InvalidKeyFormat.into());
    }
    let check = match algorithm {
        Algorithm::RS256 => Check::Rsa(&RSA_PKCS1_2048_8192_SHA256),
        Algorithm::RS384 => Check::Rsa(&RSA_PKCS1_2048_8192_SHA384),
        Algorithm::RS512 => Check::Rsa(&RSA_PKCS1_2048_8192_SHA512),
        Algorithm::PS256 => Check::Rsa(&RSA_PSS_2048_8192_SHA256),
        Algorithm::PS384 => Check::Rsa(&RSA_PSS_2048_8192_SHA384),
        Algorithm::PS512 => Check::Rsa(&RSA_PSS_2048_8192_SHA512),
        Algorithm::ES256 => Check::Other(&ECDSA_P256_SHA256_FIXED),
        Algorithm::ES384 => Check::Other(&ECDSA_P384_SHA384_FIXED),
        Algorithm::EdDSA => Check::Other(&ED25519),
        Algorithm::HS256 => Check::Secret(ring::hmac::HMAC_SHA256),
        _ => return Err(unsupported()),
    };
    Ok(Box::new(Verifier { algorithm: *algorithm, check, key: key.clone() }))
}

impl signature::Verifier<Vec<u8>> for Verifier {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> std::result::Result<(), signature::Error> {
        let wrong = |_| signature::Error::new();
        match (&self.check, self.key.kind()) {
            (Check::Rsa(parameters), DecodingKeyKind::RsaModulusExponent { n, e }) => {
                RsaPublicKeyComponents { n, e }.verify(parameters, message, signature).map_err(wrong)
            }
            (Check::Other(algorithm), DecodingKeyKind::SecretOrDer(key)) => {
                UnparsedPublicKey::new(*algorithm, key).verify(message, signature).map_err(wrong)
            }
            (Check::Secret(algorithm), DecodingKeyKind::SecretOrDer(key)) => {
                let key = ring::hmac::Key::new(*algorithm, key);
                ring::hmac::verify(&key, message, signature).map_err(wrong)
            }
            _ => Err(signature::Error::new()),
        }
    }
}

impl JwtVerifier for Verifier {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}
