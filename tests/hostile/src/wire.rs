//! The writing end of a connection, which may be cut, or flip bits, at a byte that was chosen before.
//! Does not hold what is written.

use std::io;

use tokio::io::{AsyncWrite, AsyncWriteExt};

use crate::{body::Framing, plan::Dice};

/// What happens to the bytes of one message.
#[derive(Clone, Debug, Default)]
pub struct Spoil {
    /// The connection ends before this byte, counted from 0.
    pub cut_at: Option<u64>,
    /// These bits of these bytes are flipped.
    pub flips: Vec<(u64, u8)>,
}

impl Spoil {
    /// A cut somewhere in a message, whose length may not be known.
    pub fn cut(dice: &mut Dice, length: Option<u64>) -> Self {
        Self {
            cut_at: Some(offset(dice, length)),
            flips: vec![],
        }
    }

    /// One to three bits, somewhere in it.
    pub fn flips(dice: &mut Dice, length: Option<u64>) -> Self {
        let bits = 1 + dice.below(3);
        let mut flip = |_| (offset(dice, length), 1 << dice.below(8));
        Self {
            cut_at: None,
            flips: (0..bits).map(&mut flip).collect(),
        }
    }
}

fn offset(dice: &mut Dice, length: Option<u64>) -> u64 {
    match length {
        Some(length) => dice.below(length),
        None => dice.below_power(18),
    }
}

/// One message on its way.
pub struct Wire<'a, W> {
    writer: &'a mut W,
    spoil: Spoil,
    sent: u64,
}

impl<'a, W: AsyncWrite + Unpin> Wire<'a, W> {
    /// The message begins here.
    pub fn new(writer: &'a mut W, spoil: Spoil) -> Self {
        Self {
            writer,
            spoil,
            sent: 0,
        }
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// The connection breaks, or is cut by plan.
    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut bytes = bytes.to_vec();
        for (at, bit) in &self.spoil.flips {
            let index = at
                .checked_sub(self.sent)
                .and_then(|at| usize::try_from(at).ok());
            if let Some(byte) = index.and_then(|index| bytes.get_mut(index)) {
                *byte ^= bit;
            }
        }
        let left = self.spoil.cut_at.map(|at| at.saturating_sub(self.sent));
        let whole = left.is_none_or(|left| left >= bytes.len() as u64);
        if let (false, Some(left)) = (whole, left) {
            bytes.truncate(usize::try_from(left).unwrap_or(usize::MAX));
        }
        self.writer.write_all(&bytes).await?;
        self.writer.flush().await?;
        self.sent += bytes.len() as u64;
        if whole { Ok(()) } else { Err(cut()) }
    }

    /// Sends a piece of the body, which is not empty.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub async fn piece(&mut self, framing: Framing, piece: &[u8]) -> io::Result<()> {
        if framing != Framing::Chunked {
            return self.send(piece).await;
        }
        let mut chunk = format!("{:x}\r\n", piece.len()).into_bytes();
        chunk.extend_from_slice(piece);
        chunk.extend_from_slice(b"\r\n");
        self.send(&chunk).await
    }

    /// Ends the message; one that was to be cut, and was shorter than thought, is cut here.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub async fn end(mut self, framing: Framing) -> io::Result<()> {
        if self.spoil.cut_at.is_some() {
            return Err(cut());
        }
        if framing == Framing::Chunked {
            self.send(b"0\r\n\r\n").await?;
        }
        Ok(())
    }
}

/// The error that ends a connection by plan.
pub fn cut() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "cut by plan")
}
