//! The lines of a body: found in bytes as they arrive, however they are cut. What a line means is not
//! known here.

use bytes::{Bytes, BytesMut};

use crate::{limits, refusal::Refusal};

/// Cuts bytes into lines. A line ends with LF; a CR before it is dropped; the last may lack both.
#[derive(Debug, Default)]
pub struct Lines {
    buffer: BytesMut,
    /// How far the buffer was searched for an LF.
    searched: usize,
    /// Whether every line must end with CRLF.
    strict: bool,
}

impl Lines {
    /// Lines of which every one must end with CRLF, as in remo/2.
    pub fn strict() -> Self {
        Self {
            strict: true,
            ..Self::default()
        }
    }

    /// Takes what arrived. Call [`next`](Self::next) until it gives none before the next piece.
    pub fn push(&mut self, piece: &[u8]) {
        self.buffer.extend_from_slice(piece);
    }

    /// The next whole line, without its end.
    ///
    /// # Errors
    /// [`Refusal::LineTooLong`] where more than [`limits::LINE`] bytes hold no end of a line;
    /// [`Refusal::TokenMalformed`] where lines are strict and one ends otherwise.
    #[expect(
        clippy::should_implement_trait,
        reason = "an iterator would borrow the lines, and they grow"
    )]
    pub fn next(&mut self) -> Result<Option<Bytes>, Refusal> {
        let fresh = self.buffer.get(self.searched..).unwrap_or_default();
        let Some(found) = memchr::memchr(b'\n', fresh) else {
            self.searched = self.buffer.len();
            return self.within_ceiling(self.buffer.len()).map(|()| None);
        };
        let end = self.searched + found;
        self.searched = 0;
        self.within_ceiling(end)?;
        let line = self.buffer.split_to(end + 1).freeze();
        match line.get(..end) {
            Some([rest @ .., b'\r']) => Ok(Some(line.slice(..rest.len()))),
            _ if self.strict => Err(Refusal::TokenMalformed),
            _ => Ok(Some(line.slice(..end))),
        }
    }

    /// What follows the last end of a line, once there is no more to come. Of strict lines it is a line
    /// that was cut.
    pub fn rest(self) -> Option<Bytes> {
        let rest = self.buffer.freeze();
        (!rest.is_empty()).then_some(rest)
    }

    fn within_ceiling(&self, length: usize) -> Result<(), Refusal> {
        // One more for a CR that is not yet known to belong to the end.
        if length > limits::LINE + 1 {
            Err(Refusal::LineTooLong)
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(body: &[u8], size: usize) -> Vec<Bytes> {
        let mut lines = Lines::default();
        let mut found = Vec::new();
        for piece in body.chunks(size) {
            lines.push(piece);
            while let Some(line) = lines.next().unwrap() {
                found.push(line);
            }
        }
        found.extend(lines.rest());
        found
    }

    #[test]
    fn lines_are_the_same_however_the_bytes_are_cut() {
        let body = b"one\r\ntwo\nthree\r\n\r\nfive";
        for size in 1..=body.len() {
            assert_eq!(
                cut(body, size),
                ["one", "two", "three", "", "five"],
                "pieces of {size}"
            );
        }
    }

    #[test]
    fn strict_lines_end_with_crlf() {
        let strict = |body: &[u8]| {
            let mut lines = Lines::strict();
            lines.push(body);
            while lines.next()?.is_some() {}
            Ok(lines.rest())
        };
        assert_eq!(strict(b"one\r\ntwo\r\n"), Ok(None));
        assert_eq!(strict(b"one\r\ntwo\n"), Err(Refusal::TokenMalformed));
        assert_eq!(strict(b"one\r\ntwo\r"), Ok(Some("two\r".into())));
    }

    #[test]
    fn a_line_without_end_stops_at_the_ceiling() {
        let mut lines = Lines::default();
        lines.push(&vec![b'A'; limits::LINE]);
        assert_eq!(lines.next(), Ok(None));
        lines.push(b"AA");
        assert_eq!(lines.next(), Err(Refusal::LineTooLong));
    }

    #[test]
    fn a_line_over_the_ceiling_is_refused_though_its_end_is_there() {
        let mut lines = Lines::default();
        let mut long = vec![b'A'; limits::LINE + 2];
        long.push(b'\n');
        lines.push(&long);
        assert_eq!(lines.next(), Err(Refusal::LineTooLong));
    }
}
