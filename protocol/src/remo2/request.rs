//! The body of a request: `H`, data, `T`. A client seals it, a server opens it.

use bytes::Bytes;

use super::{
    json::{self, Object},
    numbers::{Held, Numbers, Taken},
    padding,
    token::{self, Kind, Token, Writer},
};
use crate::{
    fernet::{FernetKey, Sealed},
    limits,
    refusal::Refusal,
};

/// A request whose first token was proved and holds a number.
#[derive(Debug)]
pub struct Opener {
    key: FernetKey,
    held: Held,
    next: u32,
    trailer: Option<Object>,
}

/// A request that was proved whole: its trailer, and the right to answer it.
#[derive(Debug)]
pub struct Whole {
    /// What its `T` holds.
    pub trailer: Object,
    /// Its number, taken for good.
    pub taken: Taken,
}

impl Opener {
    /// Opens the first line, and holds its number. Gives what its `H` holds.
    ///
    /// # Errors
    /// What is wrong with the line or its number.
    pub fn begin(
        key: FernetKey,
        numbers: &Numbers,
        line: &[u8],
    ) -> Result<(Self, Object), Refusal> {
        let Token {
            kind,
            request,
            index,
            payload,
        } = token::open(&key, line)?;
        if (kind, index) != (Kind::Head, 0) {
            return Err(Refusal::OrderWrong);
        }
        let held = numbers.hold(request)?;
        let head = json::parse(&payload)?;
        Ok((
            Self {
                key,
                held,
                next: 1,
                trailer: None,
            },
            head,
        ))
    }

    /// Opens the next line: data of the main stream, or nothing where it only ends or fills the body.
    ///
    /// # Errors
    /// What is wrong with the line or its place. After an error nothing more may be asked.
    pub fn open(&mut self, line: &[u8]) -> Result<Option<Bytes>, Refusal> {
        let Token {
            kind,
            request,
            index,
            payload,
        } = token::open(&self.key, line)?;
        if self.trailer.is_some() {
            return Err(Refusal::AfterEnd);
        }
        if request != self.held.number() || index != self.next {
            return Err(Refusal::TokenOutOfStep);
        }
        self.next = self.next.checked_add(1).ok_or(Refusal::NumbersExhausted)?;
        match kind {
            Kind::Data => Ok(Some(payload)),
            Kind::Padding => Ok(None),
            Kind::Trailer => {
                self.trailer = Some(json::parse(&payload)?);
                Ok(None)
            }
            // A request has no second stream, and one head.
            Kind::Head | Kind::Error => Err(Refusal::OrderWrong),
        }
    }

    /// Its number.
    pub fn number(&self) -> u64 {
        self.held.number()
    }

    /// Ends the body, where it has proved its end, and takes its number.
    ///
    /// # Errors
    /// [`Refusal::EndMissing`]; the number is free again.
    pub fn finish(self) -> Result<Whole, Refusal> {
        let trailer = self.trailer.ok_or(Refusal::EndMissing)?;
        Ok(Whole {
            trailer,
            taken: self.held.take(),
        })
    }
}

/// Counts the numbers of a client's requests: each is given out once.
#[derive(Debug, Default)]
pub struct Counter(u64);

impl Counter {
    /// The number of the next request.
    pub fn draw(&mut self) -> Number {
        self.0 += 1;
        Number(self.0)
    }
}

/// The number of one request of a client. It cannot be copied: two bodies under one number could be
/// spliced into each other.
#[derive(Debug, PartialEq, Eq)]
pub struct Number(u64);

impl Number {
    /// Any number: for test vectors.
    pub fn for_vector(number: u64) -> Self {
        Self(number)
    }

    /// The number.
    pub fn value(&self) -> u64 {
        self.0
    }
}

/// Seals a request, token by token.
#[derive(Debug)]
pub struct Sealer {
    writer: Writer,
    number: Number,
    /// Where the body begins in what it is appended to.
    start: usize,
}

impl Sealer {
    /// Begins a body with its head.
    ///
    /// # Errors
    /// [`Refusal::TokenTooLarge`], [`Refusal::RandomMissing`].
    pub fn begin(
        key: FernetKey,
        number: Number,
        head: &Object,
        now: u64,
        out: &mut Sealed,
    ) -> Result<Self, Refusal> {
        let writer = Writer::new(key, number.value());
        let start = out.text.len();
        let mut sealer = Self {
            writer,
            number,
            start,
        };
        sealer.writer.object(Kind::Head, head, now, out)?;
        Ok(sealer)
    }

    /// Appends data, at most [`REMO2_DATA`](crate::limits::REMO2_DATA) bytes.
    ///
    /// # Errors
    /// [`Refusal::TokenTooLarge`], [`Refusal::NumbersExhausted`], [`Refusal::RandomMissing`].
    pub fn data(&mut self, data: &[u8], now: u64, out: &mut Sealed) -> Result<(), Refusal> {
        self.writer.token(Kind::Data, data, now, out)
    }

    /// Appends data of any length, in tokens of [`TOKEN_DATA`](crate::limits::TOKEN_DATA) bytes, sealed side by side.
    ///
    /// # Errors
    /// As [`data`](Self::data); what was appended before is not to be sent.
    pub fn bulk(&mut self, data: &[u8], now: u64, out: &mut Sealed) -> Result<(), Refusal> {
        self.writer.bulk(Kind::Data, data, now, out)
    }

    /// Appends so many bytes that mean nothing.
    ///
    /// # Errors
    /// As [`data`](Self::data).
    pub fn padding(&mut self, length: usize, now: u64, out: &mut Sealed) -> Result<(), Refusal> {
        self.writer.token(Kind::Padding, &vec![0; length], now, out)
    }

    /// Appends what somebody types, in place of [`data`](Self::data), and padding, so that lengths do not tell it: the body will have one
    /// of [`padding::SIZES`], as long as it fits into one and its trailer is empty. Up to [`padding::KEYS`] bytes no line of it tells
    /// more than that either.
    ///
    /// # Errors
    /// As [`data`](Self::data).
    pub fn typed(&mut self, data: &[u8], now: u64, out: &mut Sealed) -> Result<(), Refusal> {
        if data.len() > padding::KEYS {
            self.data(data, now, out)?;
        } else {
            let mut pieces = data.chunks(padding::KEY_LINE);
            for _ in 0..padding::KEY_LINES {
                match pieces.next() {
                    Some(piece) => self.data(piece, now, out)?,
                    None => self.padding(0, now, out)?,
                }
            }
        }
        let trailer = padding::line(b"{}".len());
        let length = out.text.len() - self.start + trailer;
        let rooms = padding::SIZES.into_iter();
        let fillers = rooms
            .filter_map(|size| size.checked_sub(length))
            .find_map(padding::fillers);
        for payload in fillers.into_iter().flatten() {
            self.padding(payload, now, out)?;
        }
        Ok(())
    }

    /// Fills the body with bytes that mean nothing, until it is as long as this with its trailer, or a little shorter.
    ///
    /// # Errors
    /// As [`data`](Self::data).
    pub fn fill(&mut self, length: usize, now: u64, out: &mut Sealed) -> Result<(), Refusal> {
        let end = (self.start + length).saturating_sub(padding::line(b"{}".len()));
        while let Some(longest) = padding::longest(end.saturating_sub(out.text.len())) {
            self.padding(longest.min(limits::REMO2_DATA), now, out)?;
        }
        Ok(())
    }

    /// Ends the body with its trailer; gives the number, by which its answer is known.
    ///
    /// # Errors
    /// As [`data`](Self::data).
    pub fn finish(
        mut self,
        trailer: &Object,
        now: u64,
        out: &mut Sealed,
    ) -> Result<Number, Refusal> {
        self.writer.object(Kind::Trailer, trailer, now, out)?;
        Ok(self.number)
    }
}
