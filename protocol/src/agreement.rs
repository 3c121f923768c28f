//! The transient X448 keys of a log-in (RFC 7748, section 6.2) and the session key made of their secret.
//! Who signed them is not known here.

use std::fmt;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use x448::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

use crate::{fernet::FernetKey, refusal::Refusal};

/// A public X448 key as it travels.
pub type TransientPublic = [u8; 56];

/// A private X448 key that serves one log-in; erased when dropped.
pub struct TransientKey(StaticSecret);

impl fmt::Debug for TransientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TransientKey(hidden)")
    }
}

impl TransientKey {
    /// Draws a key.
    ///
    /// # Errors
    /// [`Refusal::RandomMissing`].
    pub fn generate() -> Result<Self, Refusal> {
        let mut raw = Zeroizing::new([0; 56]);
        getrandom::fill(&mut *raw).map_err(|_| Refusal::RandomMissing)?;
        Ok(Self::from_raw(&raw))
    }

    /// The key of given bytes: for test vectors.
    pub fn from_raw(raw: &[u8; 56]) -> Self {
        Self(StaticSecret::from(*raw))
    }

    /// The public half.
    pub fn public(&self) -> TransientPublic {
        *PublicKey::from(&self.0).as_bytes()
    }

    /// The secret shared with the peer that has the private half of `peer`.
    ///
    /// # Errors
    /// [`Refusal::SecretZero`] where it is all zeros, as the encodings of 0, 1, p-1, p and p+1 make it.
    pub fn agree(self, peer: &TransientPublic) -> Result<Zeroizing<[u8; 56]>, Refusal> {
        // The crate's own check of the key lets p and p+1 through; the result tells for all of them.
        let peer = PublicKey::from_bytes_unchecked(peer).ok_or(Refusal::LoginInvalid)?;
        let secret = Zeroizing::new(*self.0.diffie_hellman(&peer).as_bytes());
        if bool::from(secret.ct_eq(&[0; 56])) {
            Err(Refusal::SecretZero)
        } else {
            Ok(secret)
        }
    }
}

/// The Fernet key of dialects 0.3 and 0.6: one round of the ConcatKDF of NIST SP 800-56C with SHA-256.
pub fn derive(secret: &[u8; 56]) -> FernetKey {
    let mut hash = Sha256::new();
    hash.update(1_u32.to_be_bytes());
    hash.update(secret);
    hash.update(b"remo_serv");
    let key = Zeroizing::new(<[u8; 32]>::from(hash.finalize()));
    FernetKey::from_bytes(&key)
}
