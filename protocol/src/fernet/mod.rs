//! One Fernet token, sealed and opened: <https://github.com/fernet/spec/blob/master/Spec.md>.
//! What tokens mean, and how old they may be, is not decided here.

mod lanes;
mod mac;
mod text;

use std::{fmt, sync::Arc};

use aes::{
    Aes128Dec, Aes128Enc, Block,
    cipher::{
        BlockCipherDecBackend, BlockCipherDecClosure, BlockCipherDecrypt, BlockSizeUser, KeyInit,
        consts::U16,
    },
};
use base64_simd::URL_SAFE;
use bytes::Bytes;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

pub use self::{
    lanes::LANES,
    text::{Shelf, Text},
};
use self::{lanes::Window, mac::MacKey};
use crate::{limits, refusal::Refusal};

/// The key of a session: 16 bytes that sign and 16 that encrypt, expanded once. Clones share it; the
/// last one erases it.
#[derive(Clone)]
pub struct FernetKey(Arc<Expanded>);

struct Expanded {
    sign: MacKey,
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
        let half = |from: usize| -> Zeroizing<[u8; 16]> {
            Zeroizing::new(std::array::from_fn(|i| {
                key.get(from + i).copied().unwrap_or_default()
            }))
        };
        let encrypt = half(16);
        Self(Arc::new(Expanded {
            sign: MacKey::new(&half(0)),
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
        self.seal_each(&[Piece { head, data }], now, &[], out)
    }

    /// Appends a token for each piece, with `joint` between them. Eight pieces of one length take half the
    /// time that they take one by one.
    ///
    /// # Errors
    /// [`Refusal::RandomMissing`] where the system gives no vectors.
    pub fn seal_each(
        &self,
        pieces: &[Piece<'_>],
        now: u64,
        joint: &[u8],
        out: &mut Sealed,
    ) -> Result<(), Refusal> {
        let mut ivs = [Iv::default(); LANES];
        for (place, pieces) in pieces.chunks(LANES).enumerate() {
            let ivs = ivs.get_mut(..pieces.len()).unwrap_or_default();
            getrandom::fill(ivs.as_flattened_mut()).map_err(|_| Refusal::RandomMissing)?;
            if place > 0 {
                out.text.extend_from_slice(joint);
            }
            self.seal_each_with(pieces, now, ivs, joint, out);
        }
        Ok(())
    }

    /// As [`seal`](Self::seal) with a given vector, which must never be used twice: for test vectors.
    pub fn seal_with(&self, head: &[u8], data: &[u8], now: u64, iv: &Iv, out: &mut Sealed) {
        let pieces = [Piece { head, data }];
        self.seal_each_with(&pieces, now, std::slice::from_ref(iv), &[], out);
    }

    /// As [`seal_each`](Self::seal_each) with a given vector for each piece, which must never be used twice.
    pub(crate) fn seal_each_with(
        &self,
        pieces: &[Piece<'_>],
        now: u64,
        ivs: &[Iv],
        joint: &[u8],
        out: &mut Sealed,
    ) {
        lanes::seal(&self.0, pieces, ivs, now, joint, out);
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
        if !bool::from(self.0.sign.sign(signed).ct_eq(&mac)) {
            return Err(Refusal::TokenForged);
        }
        let body = raw
            .get_mut(HEADER..HEADER + length)
            .ok_or(Refusal::TokenMalformed)?;
        let plain = decrypt(&self.0.decrypt, &iv, body)?;
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

/// Decrypts in place what was proved; gives the length of the plaintext.
fn decrypt(cipher: &Aes128Dec, iv: &Iv, body: &mut [u8]) -> Result<usize, Refusal> {
    let (blocks, _) = body.as_chunks_mut();
    cipher.decrypt_with_backend(Unchaining { iv: *iv, blocks });
    let padding = body.last().copied().map(usize::from).unwrap_or_default();
    let plain = body
        .len()
        .checked_sub(padding)
        .filter(|_| (1..=16).contains(&padding));
    let (plain, end) = plain
        .and_then(|plain| body.split_at_checked(plain))
        .ok_or(Refusal::TokenMalformed)?;
    if end.iter().any(|byte| usize::from(*byte) != padding) {
        return Err(Refusal::TokenMalformed);
    }
    Ok(plain.len())
}

/// CBC backwards, eight blocks at a time: they do not wait for each other. Run by the cipher where its
/// instructions can be used without asking each time.
struct Unchaining<'a> {
    iv: Iv,
    blocks: &'a mut [[u8; 16]],
}

impl BlockSizeUser for Unchaining<'_> {
    type BlockSize = U16;
}

impl BlockCipherDecClosure for Unchaining<'_> {
    #[inline(always)]
    fn call<B: BlockCipherDecBackend<BlockSize = U16>>(self, backend: &B) {
        let mut before = u128::from_ne_bytes(self.iv);
        let (eights, rest) = self.blocks.as_chunks_mut::<8>();
        for blocks in eights {
            let mut plain: [Block; 8] = blocks.map(Block::from);
            for block in &mut plain {
                backend.decrypt_block(block.into());
            }
            for (block, plain) in blocks.iter_mut().zip(plain) {
                before = unchain(block, plain, before);
            }
        }
        for block in rest {
            let mut plain = Block::from(*block);
            backend.decrypt_block((&mut plain).into());
            before = unchain(block, plain, before);
        }
    }
}

/// Puts the plaintext where the ciphertext was; gives the ciphertext, which the next needs.
#[inline(always)]
fn unchain(block: &mut [u8; 16], plain: Block, before: u128) -> u128 {
    let sealed = u128::from_ne_bytes(*block);
    *block = (u128::from_ne_bytes(plain.into()) ^ before).to_ne_bytes();
    sealed
}

/// What one token is to hold: `head` and then `data`.
#[derive(Clone, Copy)]
pub struct Piece<'a> {
    /// What goes before the data: best short, since it is copied.
    pub head: &'a [u8],
    /// The data.
    pub data: &'a [u8],
}

impl fmt::Debug for Piece<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Piece({} bytes)", self.head.len() + self.data.len())
    }
}

/// Where sealed tokens gather, with the room that making them takes. Used again, it takes no memory anew.
#[derive(Debug, Default)]
pub struct Sealed {
    /// The tokens as they travel.
    pub text: Text,
    windows: Vec<Window>,
}

impl Sealed {
    /// Nothing yet; the memory of long texts comes from a shelf, and goes there.
    pub fn on(shelf: &Shelf) -> Self {
        Self {
            text: Text::on(shelf),
            ..Self::default()
        }
    }
}

const VERSION: u8 = 0x80;
const HEADER: usize = 1 + 8 + 16;

#[cfg(test)]
mod tests {
    use aes::cipher::BlockCipherEncrypt;

    use super::*;

    fn key() -> FernetKey {
        FernetKey::from_bytes(&std::array::from_fn(|i| i as u8))
    }

    fn seal(data: &[u8]) -> Vec<u8> {
        let mut out = Sealed::default();
        key().seal(&[], data, 1_700_000_000, &mut out).unwrap();
        out.text.to_vec()
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
    fn tokens_sealed_side_by_side_are_those_sealed_one_by_one() {
        let all: Vec<u8> = (0..40_000).map(|i| (i / 251 + i) as u8).collect();
        let lengths = [
            0, 15, 16, 50, 51, 63, 64, 3000, 3047, 3072, 3100, 9216, 9999, 20_000, 7,
        ];
        for count in 1..=lengths.len() {
            for head in [0, 6, 13, 54, 64, 200] {
                let lengths = lengths.iter().cycle().skip(count).take(count);
                let pieces: Vec<Piece<'_>> = lengths
                    .map(|length| Piece {
                        head: &all[7..7 + head],
                        data: &all[..*length],
                    })
                    .collect();
                let ivs: Vec<Iv> = (0..count).map(|i| [i as u8; 16]).collect();
                let (mut together, mut alone) = (Sealed::default(), Sealed::default());
                key().seal_each_with(&pieces, 7, &ivs, b"--", &mut together);
                for (piece, iv) in pieces.iter().zip(&ivs) {
                    if !alone.text.is_empty() {
                        alone.text.extend_from_slice(b"--");
                    }
                    key().seal_with(piece.head, piece.data, 7, iv, &mut alone);
                }
                assert_eq!(
                    *together.text, *alone.text,
                    "{count} tokens with heads of {head}"
                );
            }
        }
    }

    #[test]
    fn a_padding_that_is_none_is_refused_though_it_is_proved() {
        for (end, sound) in [
            ([1; 2], true),
            ([2; 2], true),
            ([0; 2], false),
            ([17; 2], false),
            ([1, 3], false),
        ] {
            let mut plain = Block::default();
            plain[14..].copy_from_slice(&end);
            let mut raw = [[VERSION].as_slice(), &[0; 8], &[0; 16]].concat();
            key().0.encrypt.encrypt_block(&mut plain);
            raw.extend_from_slice(&plain);
            raw.extend_from_slice(&key().0.sign.sign(&raw));
            let token = URL_SAFE.encode_to_string(raw);
            assert_eq!(key().open(token.as_bytes()).is_ok(), sound, "{end:?}");
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
