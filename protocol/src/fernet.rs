//! One Fernet token, sealed and opened: <https://github.com/fernet/spec/blob/master/Spec.md>.
//! What tokens mean, and how old they may be, is not decided here.

use std::{fmt, sync::Arc};

use aes::{
    Aes128Dec, Aes128Enc,
    cipher::{BlockModeDecrypt, BlockModeEncrypt, InnerIvInit, KeyInit, block_padding::Pkcs7},
};
use base64_simd::URL_SAFE;
use bytes::Bytes;
use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::{limits, refusal::Refusal};

/// The key of a session: 16 bytes that sign and 16 that encrypt, expanded once. Clones share it; the
/// last one erases it.
#[derive(Clone)]
pub struct FernetKey(Arc<Expanded>);

struct Expanded {
    sign: Hmac<Sha256>,
    encrypt: Aes128Enc,
    decrypt: Aes128Dec,
}

impl fmt::Debug for FernetKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FernetKey(hidden)")
    }
}

/// The initialisation vector of one token.
pub type Iv = [u8; 16];

/// A token whose HMAC was right.
#[derive(Debug)]
pub struct Opened {
    /// When it was sealed, in seconds since 1970 by the sealer's clock.
    pub at: u64,
    /// Its initialisation vector.
    pub iv: Iv,
    /// What it holds.
    pub plain: Bytes,
    /// Its HMAC, by which a token can be recognised.
    pub mac: [u8; 32],
}

impl FernetKey {
    /// Expands the 32 bytes of a key: first the half that signs, then the half that encrypts.
    pub fn from_bytes(key: &[u8; 32]) -> Self {
        let (sign, encrypt) = key.split_at(16);
        let encrypt: &[u8; 16] =
            &std::array::from_fn(|i| encrypt.get(i).copied().unwrap_or_default());
        let encrypt = zeroize::Zeroizing::new(*encrypt);
        let mut block = zeroize::Zeroizing::new([0; 64]);
        for (to, from) in block.iter_mut().zip(sign) {
            *to = *from;
        }
        Self(Arc::new(Expanded {
            // A key shorter than a block is filled with zeros (RFC 2104), as it is here.
            sign: <Hmac<Sha256> as KeyInit>::new((&*block).into()),
            encrypt: Aes128Enc::new((&*encrypt).into()),
            decrypt: Aes128Dec::new((&*encrypt).into()),
        }))
    }

    /// Appends to `out` the token that holds `head` and then `data`, sealed at `now` (seconds since 1970).
    ///
    /// # Errors
    /// [`Refusal::RandomMissing`] where the system gives no vector.
    pub fn seal(
        &self,
        head: &[u8],
        data: &[u8],
        now: u64,
        out: &mut Sealed,
    ) -> Result<(), Refusal> {
        let mut iv = Iv::default();
        getrandom::fill(&mut iv).map_err(|_| Refusal::RandomMissing)?;
        self.seal_with(head, data, now, &iv, out);
        Ok(())
    }

    /// As [`seal`](Self::seal) with a given vector, which must never be used twice: for test vectors.
    pub fn seal_with(&self, head: &[u8], data: &[u8], now: u64, iv: &Iv, out: &mut Sealed) {
        let raw = &mut out.raw;
        raw.clear();
        raw.reserve(limits::FERNET_OVERHEAD + head.len() + data.len() + iv.len());
        raw.push(VERSION);
        raw.extend_from_slice(&now.to_be_bytes());
        raw.extend_from_slice(iv);
        raw.extend_from_slice(head);
        raw.extend_from_slice(data);
        let length = head.len() + data.len();
        let padded = (length / iv.len() + 1) * iv.len();
        raw.resize(HEADER + padded, 0);
        if let Some(body) = raw.get_mut(HEADER..) {
            let cipher = cbc::Encryptor::inner_iv_init(&self.0.encrypt, iv.into());
            // It cannot fail: the buffer was made for the padding.
            let done = cipher.encrypt_padded::<Pkcs7>(body, length);
            debug_assert!(done.is_ok());
        }
        let mac = self.0.sign.clone().chain_update(&*raw).finalize();
        raw.extend_from_slice(&mac.into_bytes());
        // With room for the end of the line, which alone would double what the text takes.
        out.text
            .reserve(URL_SAFE.encoded_length(raw.len()) + b"\r\n".len());
        URL_SAFE.encode_append(&*raw, &mut out.text);
    }

    /// Proves one token and decrypts it. Nothing of it is believed before its HMAC is found right.
    ///
    /// # Errors
    /// [`Refusal::TokenMalformed`], [`Refusal::TokenForged`] or [`Refusal::TokenTooLarge`].
    pub fn open(&self, token: &[u8]) -> Result<Opened, Refusal> {
        if token.len() > limits::LINE {
            return Err(Refusal::TokenTooLarge);
        }
        let mut raw = Vec::new();
        URL_SAFE
            .decode_append(token, &mut raw)
            .map_err(|_| Refusal::TokenMalformed)?;
        let (signed, mac) = raw
            .split_last_chunk::<32>()
            .ok_or(Refusal::TokenMalformed)?;
        let (at, iv, length) = parse(signed)?;
        let mac = *mac;
        let proof = self.0.sign.clone().chain_update(signed);
        proof
            .verify((&mac).into())
            .map_err(|_| Refusal::TokenForged)?;

        let body = raw
            .get_mut(HEADER..HEADER + length)
            .ok_or(Refusal::TokenMalformed)?;
        let cipher = cbc::Decryptor::inner_iv_init(&self.0.decrypt, (&iv).into());
        let plain = cipher
            .decrypt_padded::<Pkcs7>(body)
            .map_err(|_| Refusal::TokenMalformed)?
            .len();
        if plain > limits::TOKEN_PLAIN {
            return Err(Refusal::TokenTooLarge);
        }
        let plain = Bytes::from(raw).slice(HEADER..HEADER + plain);
        Ok(Opened { at, iv, plain, mac })
    }
}

/// Time stamp, vector and length of the encrypted part of what an HMAC was made over.
fn parse(signed: &[u8]) -> Result<(u64, Iv, usize), Refusal> {
    let (&version, rest) = signed.split_first().ok_or(Refusal::TokenMalformed)?;
    let (at, rest) = rest
        .split_first_chunk::<8>()
        .ok_or(Refusal::TokenMalformed)?;
    let (iv, body) = rest
        .split_first_chunk::<16>()
        .ok_or(Refusal::TokenMalformed)?;
    if version != VERSION || body.is_empty() || !body.len().is_multiple_of(iv.len()) {
        return Err(Refusal::TokenMalformed);
    }
    Ok((u64::from_be_bytes(*at), *iv, body.len()))
}

/// Where sealed tokens gather, with the room that making them takes. Used again, it takes no memory anew.
#[derive(Debug, Default)]
pub struct Sealed {
    /// The tokens as they travel.
    pub text: Vec<u8>,
    raw: Vec<u8>,
}

const VERSION: u8 = 0x80;
const HEADER: usize = 1 + 8 + 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> FernetKey {
        FernetKey::from_bytes(&std::array::from_fn(|i| i as u8))
    }

    fn seal(data: &[u8]) -> Vec<u8> {
        let mut out = Sealed::default();
        key().seal(&[], data, 1_700_000_000, &mut out).unwrap();
        out.text
    }

    #[test]
    fn tokens_of_every_length_open_to_what_was_sealed() {
        for length in (0..70).chain([4095, 4096, 65_536, limits::TOKEN_PLAIN]) {
            let data: Vec<u8> = (0..length).map(|i| i as u8).collect();
            let opened = key().open(&seal(&data)).unwrap();
            assert_eq!(opened.plain, data);
            assert_eq!(opened.at, 1_700_000_000);
        }
    }

    #[test]
    fn the_fernet_crate_reads_ours_and_we_read_its() {
        let raw: [u8; 32] = std::array::from_fn(|i| i as u8);
        let other = fernet::Fernet::new(&URL_SAFE.encode_to_string(raw)).unwrap();
        for length in [0, 1, 15, 16, 17, 1000, 65_536] {
            let data = vec![7; length];
            let ours = String::from_utf8(seal(&data)).unwrap();
            assert_eq!(other.decrypt(&ours).unwrap(), data);
            assert_eq!(
                key().open(other.encrypt(&data).as_bytes()).unwrap().plain,
                data
            );
        }
    }

    #[test]
    fn a_token_changed_in_any_character_is_refused() {
        let token = seal(b"attack at dawn");
        for place in 0..token.len() {
            let mut changed = token.clone();
            changed[place] = if changed[place] == b'A' { b'B' } else { b'A' };
            assert!(key().open(&changed).is_err(), "character {place}");
            assert!(key().open(&token[..place]).is_err(), "cut at {place}");
        }
    }

    #[test]
    fn base64_is_read_strictly() {
        let token = seal(b"0123456789");
        let text = String::from_utf8(token).unwrap();
        assert!(key().open(text.replace('=', "").as_bytes()).is_err() || !text.contains('='));
        assert!(key().open(format!("{text}\n").as_bytes()).is_err());
        assert!(
            key()
                .open(text.replace('-', "+").replace('_', "/").as_bytes())
                .is_err()
                || !text.contains(['-', '_'])
        );
    }

    #[test]
    fn a_forged_time_stamp_is_refused_before_it_is_reckoned_with() {
        let mut raw = URL_SAFE.decode_to_vec(seal(b"x")).unwrap();
        raw[1..9].copy_from_slice(&u64::MAX.to_be_bytes());
        let forged = URL_SAFE.encode_to_string(raw);
        assert_eq!(
            key().open(forged.as_bytes()).unwrap_err(),
            Refusal::TokenForged
        );
    }

    #[test]
    fn a_token_over_the_ceiling_is_refused() {
        let large = seal(&vec![0; limits::TOKEN_PLAIN + 1]);
        assert_eq!(key().open(&large).unwrap_err(), Refusal::TokenTooLarge);
        assert_eq!(
            key().open(&vec![b'A'; limits::LINE + 1]).unwrap_err(),
            Refusal::TokenTooLarge
        );
    }
}
