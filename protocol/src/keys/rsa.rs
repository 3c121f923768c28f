//! An RSA public key, as users of dialect 0.6 have on smart cards.
//! It is never made and never signs here.

use std::fmt::{self, Debug};
use std::sync::Arc;

use pkcs8::EncodePublicKey;
use pkcs8::der::Decode;
use pkcs8::spki::SubjectPublicKeyInfoRef;
use rsa::pkcs1::RsaPublicKeyRef;
use rsa::pkcs1v15::{Signature, VerifyingKey};
use rsa::signature::Verifier;
use sha2::Sha512;

use super::{Fingerprint, KeyError, user};

/// An RSA public key of 2048 to 8192 bits. Cloning it is cheap.
#[derive(Clone)]
pub struct RsaKey(Arc<Inner>);

struct Inner {
    key: VerifyingKey<Sha512>,
    /// SubjectPublicKeyInfo in its one DER form, whatever the form it was read from.
    der: Vec<u8>,
    bits: usize,
}

impl RsaKey {
    pub(super) fn from_info(info: &SubjectPublicKeyInfoRef<'_>) -> Result<Self, KeyError> {
        let bits = modulus_bits(info).ok_or(KeyError::malformed(NO_RSA))?;
        if !BITS.contains(&bits) {
            return Err(KeyError::RsaSize { bits });
        }
        let key = rsa::RsaPublicKey::try_from(info.clone());
        let key = key.map_err(|_| KeyError::malformed(NO_RSA))?;
        let der = key.to_public_key_der();
        let der = der.map_err(|_| KeyError::malformed(NO_RSA))?.into_vec();
        let key = VerifyingKey::new(key);
        Ok(Self(Arc::new(Inner { key, der, bits })))
    }

    /// The size of the modulus, in bits.
    #[must_use]
    pub fn bits(&self) -> usize {
        self.0.bits
    }

    /// SubjectPublicKeyInfo in PEM form.
    #[must_use]
    pub fn to_pem(&self) -> String {
        user::to_pem(&self.0.der)
    }

    /// Whether `signature` is this key's PKCS#1 v1.5 signature over SHA-512 of `message` (RFC 8017,
    /// section 8.2). It must be as long as the modulus.
    #[must_use]
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        signature.len() == self.0.bits.div_ceil(8)
            && Signature::try_from(signature)
                .is_ok_and(|signature| self.0.key.verify(message, &signature).is_ok())
    }

    /// The name under which people compare the key.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.0.der)
    }
}

impl PartialEq for RsaKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.der == other.0.der
    }
}

impl Eq for RsaKey {}

impl Debug for RsaKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RsaKey({})", self.fingerprint())
    }
}

/// The size, before the `rsa` crate judges it by limits of its own.
fn modulus_bits(info: &SubjectPublicKeyInfoRef<'_>) -> Option<usize> {
    let key = RsaPublicKeyRef::from_der(info.subject_public_key.as_bytes()?).ok()?;
    let modulus = key.modulus.as_bytes();
    let idle = modulus.first()?.leading_zeros();
    Some(modulus.len() * 8 - idle as usize)
}

/// What is accepted: NIST's minimum, and what one check may cost the server.
const BITS: std::ops::RangeInclusive<usize> = 2048..=8192;
const NO_RSA: &str = "it holds no proper RSA numbers";
