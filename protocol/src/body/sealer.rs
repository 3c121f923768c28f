//! Makes a body: the tokens of a request or of an answer, as lines. Sending them is the caller's.

use std::time::Duration;

use super::{RequestNumber, frame};
use crate::{
    fernet::{FernetKey, LANES, Piece, Sealed},
    limits,
    mark::Mark,
    refusal::Refusal,
};

/// Where the CRLF of a line stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lineation {
    /// Between lines and not after the last: requests.
    Between,
    /// After every line: answers.
    After,
}

/// Seals one body, token by token. Dropped before [`finish`](Self::finish), it leaves a body that the
/// peer can tell was cut (in dialect 0.6).
#[derive(Debug)]
pub struct Sealer {
    key: FernetKey,
    lineation: Lineation,
    numbers: Option<Numbers>,
    mark: Option<Mark>,
    /// Tokens made so far.
    made: u64,
}

#[derive(Debug)]
struct Numbers {
    request: RequestNumber,
    /// What goes before the data of the first token.
    prefix: Vec<u8>,
}

impl Sealer {
    /// A body of dialect 0.3.
    pub fn v0_3(key: FernetKey, lineation: Lineation) -> Self {
        Self {
            key,
            lineation,
            numbers: None,
            mark: None,
            made: 0,
        }
    }

    /// The same body, of tokens that carry a mark.
    #[must_use]
    pub fn marked(self, mark: Mark) -> Self {
        Self {
            mark: Some(mark),
            ..self
        }
    }

    /// A body of dialect 0.6, of or to request `request`; `prefix` is the hash of the path in a request, the
    /// three digits of the status in an answer.
    pub fn v0_6(
        key: FernetKey,
        lineation: Lineation,
        request: RequestNumber,
        prefix: &[u8],
    ) -> Self {
        let numbers = Some(Numbers {
            request,
            prefix: prefix.to_vec(),
        });
        Self {
            key,
            lineation,
            numbers,
            mark: None,
            made: 0,
        }
    }

    /// Appends a token that holds `data` to `out`. No more follow it until it is full: at most
    /// [`TOKEN_PLAIN`](limits::TOKEN_PLAIN) less 64 bytes.
    ///
    /// # Errors
    /// [`Refusal::TokenTooLarge`]; [`Refusal::NumbersExhausted`] where only the number of the end is left;
    /// [`Refusal::RandomMissing`].
    pub fn seal(&mut self, data: &[u8], now: u64, out: &mut Sealed) -> Result<(), Refusal> {
        if self.numbers.is_some() && self.made >= u64::from(limits::LAST_NUMBER) {
            return Err(Refusal::NumbersExhausted);
        }
        self.token(false, data, now, out)
    }

    /// Appends tokens that hold `data`, each `piece` bytes of it but the last, sealed side by side: for bulk.
    ///
    /// # Errors
    /// As [`seal`](Self::seal); what was appended before is not to be sent.
    pub fn seal_pieces(
        &mut self,
        data: &[u8],
        piece: usize,
        now: u64,
        out: &mut Sealed,
    ) -> Result<(), Refusal> {
        for batch in data.chunks(piece.saturating_mul(LANES).max(1)) {
            let pieces: Vec<&[u8]> = batch.chunks(piece.max(1)).collect();
            let last = self.made.saturating_add(pieces.len() as u64 - 1);
            if self.numbers.is_some() && last >= u64::from(limits::LAST_NUMBER) {
                return Err(Refusal::NumbersExhausted);
            }
            self.tokens(false, &pieces, now, out)?;
        }
        Ok(())
    }

    /// Appends what ends the body: in dialect 0.6 the token that says so, in 0.3 nothing but, in an
    /// answer without data, an empty token.
    ///
    /// # Errors
    /// [`Refusal::RandomMissing`].
    pub fn finish(mut self, now: u64, out: &mut Sealed) -> Result<(), Refusal> {
        let silent =
            self.numbers.is_none() && (self.made > 0 || self.lineation == Lineation::Between);
        if silent {
            Ok(())
        } else {
            self.token(true, &[], now, out)
        }
    }

    /// Appends a whole body of one token.
    ///
    /// # Errors
    /// [`Refusal::TokenTooLarge`], [`Refusal::RandomMissing`].
    pub fn whole(mut self, data: &[u8], now: u64, out: &mut Sealed) -> Result<(), Refusal> {
        self.token(true, data, now, out)
    }

    /// How many bytes the next token had best carry when it is not known how many follow: more as the
    /// body proves long, so that the numbers last.
    pub fn wanted(&self) -> usize {
        const KIB: usize = 1024;
        match self.made {
            0..1024 => limits::TOKEN_DATA,
            1024..8192 => 256 * KIB,
            8192..16_384 => 1024 * KIB,
            _ => limits::TOKEN_PLAIN - 64,
        }
    }

    /// How long to gather data for the next token when they come in drops: nothing at first, more as the
    /// numbers go down. They last for days of one line a second.
    pub fn patience(&self) -> Duration {
        if self.numbers.is_none() {
            return Duration::ZERO;
        }
        match self.made {
            0..8192 => Duration::ZERO,
            8192..16_384 => Duration::from_millis(100),
            16_384..24_576 => Duration::from_secs(1),
            _ => Duration::from_secs(30),
        }
    }

    fn token(&mut self, end: bool, data: &[u8], now: u64, out: &mut Sealed) -> Result<(), Refusal> {
        self.tokens(end, &[data], now, out)
    }

    /// Up to [`LANES`] tokens.
    fn tokens(
        &mut self,
        end: bool,
        data: &[&[u8]],
        now: u64,
        out: &mut Sealed,
    ) -> Result<(), Refusal> {
        if data
            .iter()
            .any(|data| data.len() > limits::TOKEN_PLAIN - 64)
        {
            return Err(Refusal::TokenTooLarge);
        }
        let heads = (self.made..)
            .take(data.len())
            .map(|number| self.head(number, end));
        let heads = heads.collect::<Result<Vec<_>, _>>()?;
        let pieces: Vec<_> = heads
            .iter()
            .zip(data)
            .map(|(head, data)| Piece { head, data })
            .collect();
        if self.lineation == Lineation::Between && self.made > 0 {
            out.text.extend_from_slice(END_OF_LINE);
        }
        match &self.mark {
            Some(mark) => {
                let ivs = data.iter().map(|_| mark.vector());
                let ivs = ivs.collect::<Result<Vec<_>, _>>()?;
                self.key
                    .seal_each_with(&pieces, now, &ivs, END_OF_LINE, out);
            }
            None => self.key.seal_each(&pieces, now, END_OF_LINE, out)?,
        }
        if self.lineation == Lineation::After {
            out.text.extend_from_slice(END_OF_LINE);
        }
        self.made += data.len() as u64;
        Ok(())
    }

    fn head(&self, number: u64, end: bool) -> Result<Vec<u8>, Refusal> {
        let Some(numbers) = &self.numbers else {
            return Ok(Vec::new());
        };
        let number = u16::try_from(number).map_err(|_| Refusal::NumbersExhausted)?;
        let begin = number == 0;
        let mut head = frame::write(begin, end, numbers.request.value(), number).to_vec();
        if begin {
            head.extend_from_slice(&numbers.prefix);
        }
        Ok(head)
    }
}

const END_OF_LINE: &[u8] = b"\r\n";
