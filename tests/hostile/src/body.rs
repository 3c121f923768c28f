//! Bodies of HTTP/1 messages, read by pieces in each of the three framings.
//! Does not hold how they are sent on.

use std::io;

use tokio::io::{AsyncBufRead, AsyncBufReadExt};

use crate::head::Head;

/// How the end of a body is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// By `Content-Length`, in bytes.
    Length(u64),
    /// By chunks, the last one empty.
    Chunked,
    /// By the end of the connection.
    UntilClose,
}

impl Framing {
    /// That of a request: where nothing is said there is no body.
    pub fn of_request(head: &Head) -> Self {
        match stated(head) {
            Self::UntilClose => Self::Length(0),
            framing => framing,
        }
    }

    /// That of an answer to this method.
    pub fn of_answer(head: &Head, method: &str) -> Self {
        match head.status() {
            _ if method == "HEAD" => Self::Length(0),
            100..200 | 204 | 304 => Self::Length(0),
            _ => stated(head),
        }
    }
}

fn stated(head: &Head) -> Framing {
    if head
        .value("Transfer-Encoding")
        .is_some_and(|value| value.to_ascii_lowercase().contains("chunked"))
    {
        return Framing::Chunked;
    }
    match head
        .value("Content-Length")
        .and_then(|value| value.parse().ok())
    {
        Some(length) => Framing::Length(length),
        None => Framing::UntilClose,
    }
}

/// A body that is being read.
pub struct Body {
    framing: Framing,
    left: u64,
    done: bool,
}

impl Body {
    /// What follows the head.
    pub fn new(framing: Framing) -> Self {
        let left = match framing {
            Framing::Length(length) => length,
            Framing::Chunked => 0,
            Framing::UntilClose => u64::MAX,
        };
        Self {
            framing,
            left,
            done: framing == Framing::Length(0),
        }
    }

    /// How its end is told.
    pub fn framing(&self) -> Framing {
        self.framing
    }

    /// Whether its end was read.
    pub fn is_done(&self) -> bool {
        self.done
    }

    /// The next bytes as they come, or `None` at its end.
    ///
    /// # Errors
    /// The stream breaks, ends early, or a chunk is malformed.
    pub async fn piece<R: AsyncBufRead + Unpin>(
        &mut self,
        reader: &mut R,
    ) -> io::Result<Option<Vec<u8>>> {
        if self.framing == Framing::Chunked && self.left == 0 && !self.done {
            self.begin_chunk(reader).await?;
        }
        if self.done {
            return Ok(None);
        }
        let piece = self.take(reader).await?;
        match self.framing {
            Framing::Length(_) => self.done = self.left == 0,
            Framing::Chunked if self.left == 0 => drop(line(reader).await?),
            Framing::Chunked => {}
            Framing::UntilClose => self.done = piece.is_empty(),
        }
        Ok(Some(piece).filter(|piece| !piece.is_empty()))
    }

    /// All that is left of it.
    ///
    /// # Errors
    /// As [`Self::piece`].
    pub async fn whole<R: AsyncBufRead + Unpin>(&mut self, reader: &mut R) -> io::Result<Vec<u8>> {
        let mut whole = Vec::new();
        while let Some(piece) = self.piece(reader).await? {
            whole.extend_from_slice(&piece);
        }
        Ok(whole)
    }

    async fn take<R: AsyncBufRead + Unpin>(&mut self, reader: &mut R) -> io::Result<Vec<u8>> {
        let there = reader.fill_buf().await?;
        if there.is_empty() && self.framing != Framing::UntilClose {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let length = usize::try_from(self.left)
            .unwrap_or(usize::MAX)
            .min(there.len());
        let piece = there.get(..length).unwrap_or_default().to_vec();
        reader.consume(length);
        self.left -= length as u64;
        Ok(piece)
    }

    async fn begin_chunk<R: AsyncBufRead + Unpin>(&mut self, reader: &mut R) -> io::Result<()> {
        let size = line(reader).await?;
        let digits = size.split(';').next().unwrap_or_default().trim();
        self.left = u64::from_str_radix(digits, 16)
            .map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
        if self.left == 0 {
            while !line(reader).await?.is_empty() {}
            self.done = true;
        }
        Ok(())
    }
}

async fn line<R: AsyncBufRead + Unpin>(reader: &mut R) -> io::Result<String> {
    let mut line = String::new();
    if reader.read_line(&mut line).await? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(line.trim_end().to_owned())
}
