//! The body of an answer: `H`, data of two streams, `T`. A server seals it for a number that was taken; a
//! client opens it, and knows by its trailer alone that it was whole.

use bytes::Bytes;

use super::{
    json::{self, Object},
    numbers::Taken,
    request::Number,
    token::{self, Kind, Token, Writer},
};
use crate::{
    fernet::{FernetKey, Sealed},
    refusal::Refusal,
};

/// Seals one answer, token by token.
#[derive(Debug)]
pub struct Sealer {
    writer: Writer,
}

/// Which stream data are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// A file, or standard output.
    Main,
    /// Standard error.
    Second,
}

impl Sealer {
    /// Begins the answer to a request whose number is taken.
    ///
    /// # Errors
    /// [`Refusal::TokenTooLarge`], [`Refusal::RandomMissing`].
    pub fn begin(
        key: FernetKey,
        taken: Taken,
        head: &Object,
        now: u64,
        out: &mut Sealed,
    ) -> Result<Self, Refusal> {
        let writer = Writer::new(key, taken.number());
        let mut sealer = Self { writer };
        sealer.writer.object(Kind::Head, head, now, out)?;
        Ok(sealer)
    }

    /// Appends data of a stream.
    ///
    /// # Errors
    /// [`Refusal::TokenTooLarge`], [`Refusal::NumbersExhausted`], [`Refusal::RandomMissing`].
    pub fn data(
        &mut self,
        stream: Stream,
        data: &[u8],
        now: u64,
        out: &mut Sealed,
    ) -> Result<(), Refusal> {
        let kind = match stream {
            Stream::Main => Kind::Data,
            Stream::Second => Kind::Error,
        };
        self.writer.token(kind, data, now, out)
    }

    /// Appends data of the main stream of any length, in tokens of [`TOKEN_DATA`](crate::limits::TOKEN_DATA) bytes, sealed side by side.
    ///
    /// # Errors
    /// As [`data`](Self::data); what was appended before is not to be sent.
    pub fn bulk(&mut self, data: &[u8], now: u64, out: &mut Sealed) -> Result<(), Refusal> {
        self.writer.bulk(Kind::Data, data, now, out)
    }

    /// Appends so many bytes that mean nothing: to be heard of, or to hide a length.
    ///
    /// # Errors
    /// As [`data`](Self::data).
    pub fn padding(&mut self, length: usize, now: u64, out: &mut Sealed) -> Result<(), Refusal> {
        self.writer.token(Kind::Padding, &vec![0; length], now, out)
    }

    /// Ends the answer with its trailer.
    ///
    /// # Errors
    /// As [`data`](Self::data).
    pub fn finish(mut self, trailer: &Object, now: u64, out: &mut Sealed) -> Result<(), Refusal> {
        self.writer.object(Kind::Trailer, trailer, now, out)
    }
}

/// Opens the answer to one request. Data that it gives are the server's, in their order; that there are
/// no more, only [`finish`](Self::finish) proves.
#[derive(Debug)]
pub struct Opener {
    key: FernetKey,
    request: u64,
    next: u32,
    trailer: Option<Object>,
}

/// What a line of an answer holds.
#[derive(Debug, PartialEq)]
pub enum Part {
    /// What the answer begins with.
    Head(Object),
    /// Data of a stream.
    Data(Stream, Bytes),
    /// Nothing: padding, or the end.
    Nothing,
}

impl Opener {
    /// The answer to the request of this number.
    pub fn new(key: FernetKey, number: &Number) -> Self {
        Self {
            key,
            request: number.value(),
            next: 0,
            trailer: None,
        }
    }

    /// Opens the next line.
    ///
    /// # Errors
    /// What is wrong with the line or its place. After an error nothing more may be asked.
    pub fn open(&mut self, line: &[u8]) -> Result<Part, Refusal> {
        let Token {
            kind,
            request,
            index,
            payload,
        } = token::open(&self.key, line)?;
        if self.trailer.is_some() {
            return Err(Refusal::AfterEnd);
        }
        if request != self.request || index != self.next {
            return Err(Refusal::TokenOutOfStep);
        }
        if (index == 0) != (kind == Kind::Head) {
            return Err(Refusal::OrderWrong);
        }
        self.next = self.next.checked_add(1).ok_or(Refusal::NumbersExhausted)?;
        match kind {
            Kind::Head => json::parse(&payload).map(Part::Head),
            Kind::Data => Ok(Part::Data(Stream::Main, payload)),
            Kind::Error => Ok(Part::Data(Stream::Second, payload)),
            Kind::Padding => Ok(Part::Nothing),
            Kind::Trailer => {
                self.trailer = Some(json::parse(&payload)?);
                Ok(Part::Nothing)
            }
        }
    }

    /// Ends the answer, where it has proved its end; gives its trailer.
    ///
    /// # Errors
    /// [`Refusal::EndMissing`].
    pub fn finish(self) -> Result<Object, Refusal> {
        self.trailer.ok_or(Refusal::EndMissing)
    }
}
