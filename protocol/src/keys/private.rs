//! An Ed448 private key (RFC 8032) and its PKCS#8 form (RFC 5958, RFC 8410).
//! How it is encrypted in a file is in `seal`.

use std::fmt::{self, Debug};

use ed448_goldilocks::{SecretKey, SigningKey};
use pkcs8::der::asn1::OctetStringRef;
use pkcs8::der::{Decode, Encode};
use pkcs8::{AlgorithmIdentifierRef, LineEnding, PrivateKeyInfoRef, SecretDocument};
use zeroize::Zeroizing;

use super::pem::Block;
use super::{KeyError, PublicKey, algorithm, seal};

/// The private half of an Ed448 pair, of a server or a user. Erased when dropped, and never shown.
pub struct PrivateKey(SigningKey);

impl PrivateKey {
    /// A new key, from the random source of the system.
    ///
    /// # Errors
    /// [`KeyError::Random`] where the system has no random numbers to give.
    pub fn generate() -> Result<Self, KeyError> {
        let mut raw = Zeroizing::new([0; RAW_BYTES]);
        getrandom::fill(raw.as_mut()).map_err(|_| KeyError::Random)?;
        Ok(Self::from_raw(&raw))
    }

    /// The key of these bytes, any of which make one.
    #[must_use]
    pub fn from_raw(raw: &[u8; RAW_BYTES]) -> Self {
        let mut seed = Zeroizing::new(SecretKey::default());
        seed.copy_from_slice(raw);
        Self(SigningKey::from(&*seed))
    }

    /// Reads PKCS#8 in PEM form, of version 1 or 2, plain or encrypted. A password that a plain key
    /// does not need is not looked at.
    ///
    /// # Errors
    /// What was found instead, or why the key cannot be opened: see [`KeyError`].
    pub fn from_pem(pem: &[u8], password: Option<&[u8]>) -> Result<Self, KeyError> {
        let block = Block::find(pem).map_err(|error| match error {
            KeyError::NotPem => algorithm::no_block(pem, algorithm::WANT_ED448),
            other => other,
        })?;
        match block.label {
            LABEL => Self::from_der(&block.decode()?),
            seal::LABEL => Self::from_sealed(&block.decode()?, password),
            "PUBLIC KEY" => Err(KeyError::PublicGiven),
            other => Err(algorithm::other_block(other, algorithm::WANT_ED448)),
        }
    }

    fn from_sealed(der: &[u8], password: Option<&[u8]>) -> Result<Self, KeyError> {
        let password = password.ok_or(KeyError::NeedsPassword)?;
        let opened = seal::open(der, password)?;
        Self::from_der(&opened).map_err(|error| match error {
            // A wrong password leaves rubbish, which by chance may pass for padded text.
            KeyError::Malformed { .. } => KeyError::WrongPassword,
            other => other,
        })
    }

    fn from_der(der: &[u8]) -> Result<Self, KeyError> {
        let info = PrivateKeyInfoRef::from_der(der)
            .map_err(|_| KeyError::malformed("it is not PKCS#8"))?;
        if info.algorithm.oid != algorithm::ED448 {
            return Err(algorithm::other(info.algorithm.oid, algorithm::WANT_ED448));
        }
        let inner = <&OctetStringRef>::from_der(info.private_key.as_bytes()).map(|o| o.as_bytes());
        let raw = inner.ok().and_then(|bytes| bytes.try_into().ok());
        let key = Self::from_raw(raw.ok_or(KeyError::malformed("it does not hold 57 bytes"))?);
        let stated = info.public_key.map(|public| public.raw_bytes().to_vec());
        match stated.is_none_or(|public| public == key.public().to_raw()) {
            true => Ok(key),
            false => Err(KeyError::malformed("its halves are not of one pair")),
        }
    }

    /// PKCS#8 in PEM form, not encrypted: version 1, since neither Python's `cryptography` nor OpenSSL
    /// 3.0 reads version 2.
    ///
    /// # Errors
    /// None in practice: the encoder's own are passed on.
    pub fn to_pem(&self) -> Result<Zeroizing<String>, KeyError> {
        self.with_info(|info| to_text(LABEL, &SecretDocument::encode_msg(info).ok()?))
            .ok_or(KeyError::malformed("it cannot be written"))
    }

    /// PKCS#8 in PEM form, encrypted as every version of Python's `cryptography` reads it: PBES2 with
    /// AES-256-CBC under 600,000 rounds of PBKDF2-HMAC-SHA256.
    ///
    /// # Errors
    /// [`KeyError::Random`] where the system has no random numbers to give.
    pub fn to_encrypted_pem(&self, password: &[u8]) -> Result<Zeroizing<String>, KeyError> {
        let parameters = seal::parameters()?;
        self.with_info(|info| {
            let sealed = info.encrypt_with_params(parameters, password).ok()?;
            to_text(seal::LABEL, &sealed)
        })
        .ok_or(KeyError::malformed("it cannot be written"))
    }

    fn with_info<T>(&self, act: impl FnOnce(&PrivateKeyInfoRef<'_>) -> Option<T>) -> Option<T> {
        let algorithm = AlgorithmIdentifierRef {
            oid: algorithm::ED448,
            parameters: None,
        };
        let raw = OctetStringRef::new(self.0.as_bytes()).ok()?;
        let inner = Zeroizing::new(raw.to_der().ok()?);
        act(&PrivateKeyInfoRef::new(
            algorithm,
            OctetStringRef::new(&inner).ok()?,
        ))
    }

    /// The other half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey::of(self.0.verifying_key())
    }

    /// The plain Ed448 signature of `message` (RFC 8032, no context, not prehashed).
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; 114] {
        self.0.sign_raw(message).to_bytes()
    }
}

impl Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(hidden)")
    }
}

fn to_text(label: &'static str, document: &SecretDocument) -> Option<Zeroizing<String>> {
    document.to_pem(label, LineEnding::LF).ok()
}

const LABEL: &str = "PRIVATE KEY";
const RAW_BYTES: usize = 57;
