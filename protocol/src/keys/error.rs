//! All that can be wrong with a key, and what to do about it.
//! The name of the file is added by whoever read one.

use thiserror::Error;

/// Why bytes are not the key that was asked for. The texts hold nothing secret.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KeyError {
    /// More bytes than any key has.
    #[error("larger than 64 KiB, which no key is (give a PEM file)")]
    TooLarge,
    /// There is no PEM block.
    #[error("not a key in PEM form (it has no line '-----BEGIN ...')")]
    NotPem,
    /// A private key where a public one belongs.
    #[error(
        "this is a private key (keep it, and give the public one, as build-key-pair wrote it to PREFIX.pem)"
    )]
    PrivateGiven,
    /// A public key where a private one belongs.
    #[error(
        "this is a public key (give the private one, as build-key-pair wrote it to PREFIX_key.pem)"
    )]
    PublicGiven,
    /// The private key is encrypted, and there is no password.
    #[error("the key is encrypted (give its password)")]
    NeedsPassword,
    /// The password does not open the private key.
    #[error("wrong password")]
    WrongPassword,
    /// A key or another thing, but not of a kind that serves here.
    #[error("this is {found}, not {wanted}")]
    OtherKind {
        /// What was given, with its article.
        found: String,
        /// What serves here, and where it comes from.
        wanted: &'static str,
    },
    /// An RSA key that is too weak, or so strong that checking a signature would cost too much.
    #[error("this is an RSA key of {bits} bits (2048 to 8192 are accepted)")]
    RsaSize {
        /// The size of its modulus.
        bits: usize,
    },
    /// The private key is encrypted in a way that is not read here.
    #[error(
        "the key is encrypted in an outdated or unusual way (encrypt it anew: openssl pkcs8 -topk8 -v2 aes-256-cbc -in OLD -out NEW)"
    )]
    UnknownEncryption,
    /// Damaged, or not written by the rules.
    #[error("damaged key: {what}")]
    Malformed {
        /// Which part.
        what: &'static str,
    },
    /// The system gives no random numbers.
    #[error("the system gives no random numbers")]
    Random,
}

impl KeyError {
    pub(super) fn malformed(what: &'static str) -> Self {
        Self::Malformed { what }
    }
}
