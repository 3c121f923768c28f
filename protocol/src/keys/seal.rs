//! Encrypted private keys (PBES2, RFC 8018): opened in all the forms that OpenSSL and Python write with
//! PBES2, made in one. What comes out is not interpreted here.

use pkcs8::EncryptedPrivateKeyInfoRef;
use pkcs8::der::asn1::{AnyRef, OctetStringRef};
use pkcs8::der::{self, Decode, Reader, SliceReader};
use pkcs8::pkcs5::{EncryptionScheme, Error, pbes2};
use pkcs8::spki::AlgorithmIdentifierRef;
use zeroize::Zeroizing;

use super::KeyError;

/// The label of its PEM block.
pub(super) const LABEL: &str = "ENCRYPTED PRIVATE KEY";

/// What is under the encryption. A wrong password is found out here, or by what it leaves.
pub(super) fn open(der: &[u8], password: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let iv_bytes = iv_length(der).map_err(|_| KeyError::UnknownEncryption)?;
    // The decoder takes the first 8 bytes of a DES vector unseen, and panics where there are fewer.
    if iv_bytes < SHORTEST_IV {
        return Err(KeyError::malformed("its encryption lacks a start vector"));
    }
    let info =
        EncryptedPrivateKeyInfoRef::from_der(der).map_err(|_| KeyError::UnknownEncryption)?;
    decrypt(&info.encryption_algorithm, password, info.encrypted_data)
}

fn decrypt(
    scheme: &EncryptionScheme,
    password: &[u8],
    sealed: &OctetStringRef,
) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    match scheme.decrypt(password, sealed.as_bytes()) {
        Ok(plain) => Ok(Zeroizing::new(plain)),
        Err(Error::DecryptFailed) => Err(KeyError::WrongPassword),
        Err(_) => Err(KeyError::UnknownEncryption),
    }
}

/// Bytes of the start vector: the parameter of the second algorithm of PBES2's parameters.
fn iv_length(der: &[u8]) -> der::Result<usize> {
    let mut reader = SliceReader::new(der)?;
    reader.sequence(|outer| {
        let scheme = AlgorithmIdentifierRef::decode(outer)?;
        let _sealed = AnyRef::decode(outer)?;
        stated(scheme)?.sequence(|parameters| {
            let _derivation = AlgorithmIdentifierRef::decode(parameters)?;
            let cipher = AlgorithmIdentifierRef::decode(parameters)?;
            Ok(stated(cipher)?
                .decode_as::<&OctetStringRef>()?
                .as_bytes()
                .len())
        })
    })
}

fn stated(algorithm: AlgorithmIdentifierRef<'_>) -> der::Result<AnyRef<'_>> {
    algorithm.parameters.ok_or(der::ErrorKind::Failed.into())
}

/// New parameters, with a salt and a start vector of their own.
pub(super) fn parameters() -> Result<pbes2::Parameters, KeyError> {
    let mut salt = [0; 16];
    let mut vector = [0; 16];
    getrandom::fill(&mut salt).map_err(|_| KeyError::Random)?;
    getrandom::fill(&mut vector).map_err(|_| KeyError::Random)?;
    pbes2::Parameters::generate_pbkdf2_sha256_aes256cbc(ROUNDS, &salt, vector)
        .map_err(|_| KeyError::UnknownEncryption)
}

/// Rounds of PBKDF2 for new keys.
const ROUNDS: u32 = 600_000;
/// Of DES, in bytes.
const SHORTEST_IV: usize = 8;
