//! One token of remo/2: `kind request index payload`. Which may follow which is for the bodies to say.

use bytes::Bytes;

use super::json::{self, Object};
use crate::{
    fernet::{FernetKey, LANES, Piece, Sealed},
    limits,
    refusal::Refusal,
};

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The JSON object that begins a body.
    Head,
    /// Data of the main stream.
    Data,
    /// Data of the second stream.
    Error,
    /// Padding, to be ignored.
    Padding,
    /// The JSON object that ends a body.
    Trailer,
}

impl Kind {
    fn letter(self) -> u8 {
        match self {
            Self::Head => b'H',
            Self::Data => b'D',
            Self::Error => b'E',
            Self::Padding => b'P',
            Self::Trailer => b'T',
        }
    }

    fn read(letter: u8) -> Option<Self> {
        [
            Self::Head,
            Self::Data,
            Self::Error,
            Self::Padding,
            Self::Trailer,
        ]
        .into_iter()
        .find(|kind| kind.letter() == letter)
    }

    /// Bytes that its payload may have.
    fn ceiling(self) -> usize {
        match self {
            Self::Head | Self::Trailer => limits::REMO2_JSON,
            Self::Data | Self::Error | Self::Padding => limits::REMO2_DATA,
        }
    }
}

/// A token whose HMAC was right, taken apart.
#[derive(Clone, Debug)]
pub struct Token {
    /// What it is.
    pub kind: Kind,
    /// The number of the request that it belongs to.
    pub request: u64,
    /// Its own number in its body, from 0.
    pub index: u32,
    /// What it carries.
    pub payload: Bytes,
}

/// Proves and takes apart one line.
///
/// # Errors
/// What is wrong with the token itself.
pub fn open(key: &FernetKey, line: &[u8]) -> Result<Token, Refusal> {
    let plain = key.open(line)?.plain;
    let (&letter, rest) = plain.split_first().ok_or(Refusal::FrameMalformed)?;
    let (request, rest) = rest
        .split_first_chunk::<8>()
        .ok_or(Refusal::FrameMalformed)?;
    let (index, _) = rest
        .split_first_chunk::<4>()
        .ok_or(Refusal::FrameMalformed)?;
    let kind = Kind::read(letter).ok_or(Refusal::FrameMalformed)?;
    let (request, index) = (u64::from_be_bytes(*request), u32::from_be_bytes(*index));
    let payload = plain.slice(HEADER..);
    if payload.len() > kind.ceiling() {
        return Err(Refusal::TokenTooLarge);
    }
    Ok(Token {
        kind,
        request,
        index,
        payload,
    })
}

/// Appends one line, with its end.
///
/// # Errors
/// [`Refusal::TokenTooLarge`], [`Refusal::RandomMissing`].
pub fn seal(
    key: &FernetKey,
    kind: Kind,
    request: u64,
    index: u32,
    payload: &[u8],
    now: u64,
    out: &mut Sealed,
) -> Result<(), Refusal> {
    if payload.len() > kind.ceiling() {
        return Err(Refusal::TokenTooLarge);
    }
    key.seal(&frame(kind, request, index), payload, now, out)?;
    out.text.extend_from_slice(END_OF_LINE);
    Ok(())
}

fn frame(kind: Kind, request: u64, index: u32) -> [u8; HEADER] {
    let mut head = [0; HEADER];
    let (letter, rest) = head.split_at_mut(1);
    let (number, place) = rest.split_at_mut(8);
    letter.copy_from_slice(&[kind.letter()]);
    number.copy_from_slice(&request.to_be_bytes());
    place.copy_from_slice(&index.to_be_bytes());
    head
}

/// Seals the tokens of one body, in their order.
#[derive(Debug)]
pub(super) struct Writer {
    key: FernetKey,
    request: u64,
    next: u32,
}

impl Writer {
    pub(super) fn new(key: FernetKey, request: u64) -> Self {
        Self {
            key,
            request,
            next: 0,
        }
    }

    /// Appends a head or a trailer.
    pub(super) fn object(
        &mut self,
        kind: Kind,
        object: &Object,
        now: u64,
        out: &mut Sealed,
    ) -> Result<(), Refusal> {
        self.token(kind, &json::write(object), now, out)
    }

    /// Appends the next token.
    pub(super) fn token(
        &mut self,
        kind: Kind,
        payload: &[u8],
        now: u64,
        out: &mut Sealed,
    ) -> Result<(), Refusal> {
        seal(&self.key, kind, self.request, self.next, payload, now, out)?;
        self.next = self.next.checked_add(1).ok_or(Refusal::NumbersExhausted)?;
        Ok(())
    }

    /// Appends tokens of one kind that hold `data`, sealed side by side where they are long.
    pub(super) fn bulk(
        &mut self,
        kind: Kind,
        data: &[u8],
        now: u64,
        out: &mut Sealed,
    ) -> Result<(), Refusal> {
        for batch in data.chunks(LANES * limits::TOKEN_DATA) {
            let data: Vec<&[u8]> = batch.chunks(share(batch.len())).collect();
            let count = u32::try_from(data.len()).unwrap_or(u32::MAX);
            let next = self
                .next
                .checked_add(count)
                .ok_or(Refusal::NumbersExhausted)?;
            let heads = (self.next..next).map(|index| frame(kind, self.request, index));
            let heads: Vec<_> = heads.collect();
            let pieces = heads
                .iter()
                .zip(data)
                .map(|(head, data)| Piece { head, data });
            let pieces: Vec<_> = pieces.collect();
            self.key.seal_each(&pieces, now, END_OF_LINE, out)?;
            out.text.extend_from_slice(END_OF_LINE);
            self.next = next;
        }
        Ok(())
    }
}

/// Bytes of each token of a batch: all lanes go to its end together, where that is not for a few bytes each.
fn share(batch: usize) -> usize {
    batch
        .div_ceil(LANES)
        .next_multiple_of(64)
        .clamp(SHORT, limits::TOKEN_DATA)
}

/// Bytes of data below which a token is not worth what it takes beside them.
const SHORT: usize = 16 * 1024;

const END_OF_LINE: &[u8] = b"\r\n";
const HEADER: usize = 1 + 8 + 4;
