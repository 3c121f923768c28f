//! The short name of a public key that people compare.
//! It is the same in every program here, and for both halves of a pair.

use std::fmt::{self, Debug, Display};

use sha2::{Digest, Sha256};

/// SHA-256 of a public key: of the 57 raw bytes of an Ed448 key, of the DER SubjectPublicKeyInfo of an
/// RSA key. Shown as `SHA256:` and 43 characters of unpadded standard base64, as OpenSSH does.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    pub(super) fn of(public: &[u8]) -> Self {
        Self(Sha256::digest(public).into())
    }

    /// The 32 bytes of the hash.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = base64_simd::STANDARD_NO_PAD.encode_to_string(self.0);
        write!(f, "SHA256:{text}")
    }
}

impl Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Display::fmt(self, f)
    }
}
