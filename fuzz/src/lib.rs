//! What the targets share: how one input is cut into several, and keys that both sides of a target know,
//! so that the fuzzer gets past the lock. Properties are in `targets/`.

use base64_simd::URL_SAFE;
use hmac::{Hmac, KeyInit, Mac};
use remo_protocol::fernet::{FernetKey, Iv, Sealed};
use sha2::Sha256;

/// The clock of every target, as in `tests/vectors/remo_serv.json`.
pub const NOW: u64 = 1_700_000_000;

/// The bytes of the key that everything is sealed with: the one of the vectors' log-in.
pub const KEY: [u8; 32] = [
    0x23, 0x14, 0xf8, 0x0c, 0x34, 0x9c, 0x8a, 0xad, 0x18, 0xe7, 0x80, 0x68, 0x6a, 0xb3, 0xe5, 0x89,
    0x1a, 0xa9, 0x3a, 0x95, 0xba, 0x7f, 0x97, 0xec, 0xd1, 0xef, 0xfb, 0x2a, 0xec, 0x6a, 0x3f, 0xca,
];

/// The key itself.
pub fn key() -> FernetKey {
    FernetKey::from_bytes(&KEY)
}

/// A token that holds `plain`. Its vector follows from `salt`: the same input must do the same again.
pub fn token(plain: &[u8], at: u64, salt: u64) -> Vec<u8> {
    let mut iv = Iv::default();
    iv[..8].copy_from_slice(&salt.to_be_bytes());
    let mut out = Sealed::default();
    key().seal_with(&[], plain, at, &iv, &mut out);
    out.text.to_vec()
}

/// A token of any bytes whose HMAC is right all the same.
pub fn proved(signed: &[u8]) -> Vec<u8> {
    let mac = <Hmac<Sha256> as KeyInit>::new_from_slice(&KEY[..16]).expect("any length is good");
    let mac = mac.chain_update(signed).finalize().into_bytes();
    URL_SAFE
        .encode_to_string([signed, &mac].concat())
        .into_bytes()
}

/// An input that is read piece by piece; after its end it gives zeros and nothing.
pub struct Input<'a>(pub &'a [u8]);

impl<'a> Input<'a> {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn byte(&mut self) -> u8 {
        let Some((&byte, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        byte
    }

    pub fn number(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    /// A piece that says its own length, in two bytes.
    pub fn piece(&mut self) -> &'a [u8] {
        let length = usize::from(self.number()).min(self.0.len());
        let (piece, rest) = self.0.split_at(length);
        self.0 = rest;
        piece
    }

    /// Up to `most` pieces.
    pub fn pieces(&mut self, most: usize) -> Vec<&'a [u8]> {
        let mut pieces = Vec::new();
        while !self.is_empty() && pieces.len() < most {
            pieces.push(self.piece());
        }
        pieces
    }

    pub fn rest(self) -> &'a [u8] {
        self.0
    }
}
