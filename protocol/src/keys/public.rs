//! An Ed448 public key (RFC 8032) and its SubjectPublicKeyInfo form (RFC 8410).
//! Keys of other kinds, which users may have, are in `user` and `rsa`.

use std::fmt::{self, Debug};

use ed448_goldilocks::elliptic_curve::Group;
use ed448_goldilocks::{Signature, VerifyingKey};
use pkcs8::spki::SubjectPublicKeyInfoRef;

use super::user::read_public;
use super::{Fingerprint, KeyError, algorithm, user};

/// The public half of an Ed448 pair, of a server or a user.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    pub(super) fn of(key: VerifyingKey) -> Self {
        Self(key)
    }

    /// The key of these bytes.
    ///
    /// # Errors
    /// [`KeyError::Malformed`] where they are no point of the curve in its one proper form, or one of
    /// the four points under which anybody could sign.
    pub fn from_raw(raw: &[u8; 57]) -> Result<Self, KeyError> {
        let key = VerifyingKey::from_bytes(raw)
            .map_err(|_| KeyError::malformed("it is no point of the curve"))?;
        let point = key.to_edwards();
        if point.to_affine().compress().as_bytes() != raw {
            return Err(KeyError::malformed("it is no point of the curve"));
        }
        match bool::from(point.double().double().is_identity()) {
            true => Err(KeyError::malformed("it is a point of small order")),
            false => Ok(Self(key)),
        }
    }

    /// The 57 bytes of the key.
    #[must_use]
    pub fn to_raw(&self) -> [u8; 57] {
        self.0.to_bytes()
    }

    /// Reads SubjectPublicKeyInfo in PEM form.
    ///
    /// # Errors
    /// What was found instead: see [`KeyError`].
    pub fn from_pem(pem: &[u8]) -> Result<Self, KeyError> {
        read_public(pem, algorithm::WANT_ED448, |info| {
            match info.algorithm.oid == algorithm::ED448 {
                true => Self::from_info(info),
                false => Err(algorithm::other(info.algorithm.oid, algorithm::WANT_ED448)),
            }
        })
    }

    pub(super) fn from_info(info: &SubjectPublicKeyInfoRef<'_>) -> Result<Self, KeyError> {
        let raw = info.subject_public_key.as_bytes();
        let raw = raw.and_then(|bytes| bytes.try_into().ok());
        Self::from_raw(raw.ok_or(KeyError::malformed("it does not hold 57 bytes"))?)
    }

    /// SubjectPublicKeyInfo in PEM form.
    #[must_use]
    pub fn to_pem(&self) -> String {
        // DER of a SubjectPublicKeyInfo around 57 bytes: everything before the key never changes.
        user::to_pem(&[INFO_HEAD, &self.to_raw()].concat())
    }

    /// Whether `signature` is this key's plain Ed448 signature of `message`. What has not 114 bytes is
    /// none.
    #[must_use]
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        Signature::try_from(signature).is_ok_and(|s| self.0.verify_raw(&s, message).is_ok())
    }

    /// The name under which people compare the key.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.to_raw())
    }
}

impl Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.fingerprint())
    }
}

/// `SEQUENCE { SEQUENCE { 1.3.101.113 } BIT STRING ...` (RFC 8410, section 4).
const INFO_HEAD: &[u8] = &[
    0x30, 0x43, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x71, 0x03, 0x3a, 0x00,
];
