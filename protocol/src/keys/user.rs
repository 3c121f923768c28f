//! The public key of a user, of either kind, and the two forms in which databases hold it.
//! The database itself is the server's.

use pkcs8::der::Decode;
use pkcs8::spki::SubjectPublicKeyInfoRef;

use super::pem::Block;
use super::{Fingerprint, KeyError, PublicKey, RsaKey, algorithm};

/// What a user database holds of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly every key is the large one, and few are held at a time"
)]
pub enum UserKey {
    /// Both dialects have these.
    Ed448(PublicKey),
    /// Dialect 0.6 has these, for smart cards.
    Rsa(RsaKey),
}

impl UserKey {
    /// Reads SubjectPublicKeyInfo in PEM form.
    ///
    /// # Errors
    /// What was found instead: see [`KeyError`].
    pub fn from_pem(pem: &[u8]) -> Result<Self, KeyError> {
        read_public(pem, algorithm::WANT_USER, |info| match info.algorithm.oid {
            algorithm::ED448 => PublicKey::from_info(info).map(Self::Ed448),
            algorithm::RSA => RsaKey::from_info(info).map(Self::Rsa),
            other => Err(algorithm::other(other, algorithm::WANT_USER)),
        })
    }

    /// Reads what a database holds: PEM as Python's 0.6 and we write it, or URL-safe base64 of the 57
    /// bytes of an Ed448 key, as Python's 0.3 does.
    ///
    /// # Errors
    /// Why it is neither.
    pub fn from_stored(stored: &[u8]) -> Result<Self, KeyError> {
        let stored = stored.trim_ascii();
        if stored.len() != STORED_0_3_BYTES {
            return Self::from_pem(stored);
        }
        let raw = base64_simd::URL_SAFE.decode_to_vec(stored);
        let raw: Option<[u8; 57]> = raw.ok().and_then(|raw| raw.try_into().ok());
        PublicKey::from_raw(&raw.ok_or(KeyError::NotPem)?).map(Self::Ed448)
    }

    /// SubjectPublicKeyInfo in PEM form, which is also what is stored for Python's 0.6.
    #[must_use]
    pub fn to_pem(&self) -> String {
        match self {
            Self::Ed448(key) => key.to_pem(),
            Self::Rsa(key) => key.to_pem(),
        }
    }

    /// What is stored for Python's 0.3, which has no form for RSA keys.
    #[must_use]
    pub fn to_stored_0_3(&self) -> Option<String> {
        match self {
            Self::Ed448(key) => Some(base64_simd::URL_SAFE.encode_to_string(key.to_raw())),
            Self::Rsa(_) => None,
        }
    }

    /// Whether `signature` is this key's signature of `message`: plain Ed448, or PKCS#1 v1.5 over
    /// SHA-512.
    #[must_use]
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Ed448(key) => key.verify(message, signature),
            Self::Rsa(key) => key.verify(message, signature),
        }
    }

    /// The name under which people compare the key.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        match self {
            Self::Ed448(key) => key.fingerprint(),
            Self::Rsa(key) => key.fingerprint(),
        }
    }

    /// What kind of key it is, for people: `Ed448`, or `RSA` and the bits.
    #[must_use]
    pub fn kind(&self) -> String {
        match self {
            Self::Ed448(_) => "Ed448".to_owned(),
            Self::Rsa(key) => format!("RSA {}", key.bits()),
        }
    }
}

impl From<PublicKey> for UserKey {
    fn from(key: PublicKey) -> Self {
        Self::Ed448(key)
    }
}

/// Hands the SubjectPublicKeyInfo of a PEM text to `read`, or says what was found instead.
pub(super) fn read_public<K>(
    pem: &[u8],
    wanted: &'static str,
    read: impl FnOnce(&SubjectPublicKeyInfoRef<'_>) -> Result<K, KeyError>,
) -> Result<K, KeyError> {
    let block = Block::find(pem).map_err(|error| match error {
        KeyError::NotPem => algorithm::no_block(pem, wanted),
        other => other,
    })?;
    match block.label {
        LABEL => {
            let der = block.decode()?;
            let info = SubjectPublicKeyInfoRef::from_der(&der)
                .map_err(|_| KeyError::malformed("it is not a SubjectPublicKeyInfo"))?;
            read(&info)
        }
        label if label.ends_with("PRIVATE KEY") => Err(KeyError::PrivateGiven),
        label => Err(algorithm::other_block(label, wanted)),
    }
}

/// The PEM text of a SubjectPublicKeyInfo: lines of 64 characters, as Python's `cryptography` writes.
pub(super) fn to_pem(der: &[u8]) -> String {
    let mut text = format!("-----BEGIN {LABEL}-----\n");
    for (at, character) in base64_simd::STANDARD
        .encode_to_string(der)
        .chars()
        .enumerate()
    {
        if at > 0 && at % 64 == 0 {
            text.push('\n');
        }
        text.push(character);
    }
    text + "\n-----END " + LABEL + "-----\n"
}

const LABEL: &str = "PUBLIC KEY";
/// 57 bytes in base64.
const STORED_0_3_BYTES: usize = 76;
