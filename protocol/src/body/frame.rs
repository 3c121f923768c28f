//! The frame of a token of dialect 0.6: `begin end request token`, then data. Which frame may follow
//! which is not known here.

use bytes::Bytes;
use sha2::{Digest, Sha384};

use crate::refusal::Refusal;

/// SHA-384 of a path, by which a request's first token is bound to it.
pub type PathHash = [u8; 48];

/// The hash of the path below the application's base, as sent.
pub fn hash_path(path: &str) -> PathHash {
    Sha384::digest(path.as_bytes()).into()
}

/// A token of dialect 0.6, taken apart.
#[derive(Debug, Clone)]
pub struct Frame {
    /// It is the first of its body.
    pub begin: bool,
    /// It is the last of its body.
    pub end: bool,
    /// The number of the request that it belongs to.
    pub request: i16,
    /// Its own number, from 0.
    pub token: i16,
    /// What follows; in a first token with a prefix before the data.
    pub data: Bytes,
}

impl Frame {
    /// Takes a token's plaintext apart.
    ///
    /// # Errors
    /// [`Refusal::FrameMalformed`].
    pub fn parse(plain: &Bytes) -> Result<Self, Refusal> {
        let Some(&[begin, end, r0, r1, t0, t1]) = plain.first_chunk::<LENGTH>() else {
            return Err(Refusal::FrameMalformed);
        };
        Ok(Self {
            begin: mark(begin, b'B')?,
            end: mark(end, b'E')?,
            request: i16::from_be_bytes([r0, r1]),
            token: i16::from_be_bytes([t0, t1]),
            data: plain.slice(LENGTH..),
        })
    }

    /// Takes `length` bytes of prefix off the data.
    pub(crate) fn split_prefix(&mut self, length: usize) -> Result<Bytes, Refusal> {
        if self.data.len() < length {
            return Err(Refusal::FrameMalformed);
        }
        Ok(self.data.split_to(length))
    }

    /// Whether it opens the body of a request to `path`: what tells 0.6 from 0.3.
    pub fn names(&self, path: &PathHash) -> bool {
        self.begin && self.data.starts_with(path)
    }
}

/// The bytes of a frame.
pub(crate) fn write(begin: bool, end: bool, request: u16, token: u16) -> [u8; LENGTH] {
    let [r0, r1] = request.to_be_bytes();
    let [t0, t1] = token.to_be_bytes();
    [
        if begin { b'B' } else { b'.' },
        if end { b'E' } else { b'.' },
        r0,
        r1,
        t0,
        t1,
    ]
}

fn mark(byte: u8, set: u8) -> Result<bool, Refusal> {
    match byte {
        b'.' => Ok(false),
        byte if byte == set => Ok(true),
        _ => Err(Refusal::FrameMalformed),
    }
}

pub(crate) const LENGTH: usize = 6;
