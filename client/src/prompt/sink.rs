//! Where the output of one command goes, decoded on the way.
//! Not here: where it comes from, which differs with the dialect.

use tokio::io::{AsyncReadExt, DuplexStream};

use super::{Console, PromptError};
use crate::answer::Answer;
use crate::encoding::{Decoder, Encoding};
use crate::error::Error;

/// The console, and what is between it and a command's bytes.
pub(super) struct Sink<'a, C> {
    pub(super) console: &'a mut C,
    pub(super) encoding: Encoding,
    pub(super) decoder: &'a mut Decoder,
}

impl<C: Console> Sink<'_, C> {
    /// Shows an answer of the older dialects as it comes.
    pub(super) async fn pour(&mut self, mut answer: Answer<'_>) -> Result<(), Error> {
        while let Some(data) = answer.next().await? {
            self.write(&data, false)?;
        }
        Ok(())
    }

    /// Shows what comes out of `pipe` while `act` is at work, and what is left in it then.
    pub(super) async fn pour_while<T, E: Into<PromptError>>(
        &mut self,
        pipe: &mut DuplexStream,
        act: impl Future<Output = Result<T, E>>,
    ) -> Result<T, PromptError> {
        let mut act = std::pin::pin!(act);
        let mut piece = vec![0; PIPE];
        let mut done = None;
        loop {
            let read = tokio::select! {
                biased;
                read = pipe.read(&mut piece) => read.map_err(Error::Output)?,
                over = &mut act, if done.is_none() => {
                    done = Some(over);
                    continue;
                }
                // What the act has written is in the pipe by now.
                () = std::future::ready(()), if done.is_some() => 0,
            };
            self.write(piece.get(..read).unwrap_or_default(), false)?;
            if read == 0
                && let Some(done) = done
            {
                return done.map_err(Into::into);
            }
        }
    }

    /// Shows what was left of a character that never got whole.
    pub(super) fn end(&mut self) -> Result<(), Error> {
        self.write(&[], true)
    }

    fn write(&mut self, data: &[u8], last: bool) -> Result<(), Error> {
        let written = if self.encoding.is_utf_8() && self.console.is_raw() {
            self.console.output(data)
        } else {
            let text = self.decoder.decode(data, last);
            self.console.output(text.as_bytes())
        };
        written.map_err(Error::Output)
    }
}

/// Bytes that wait between a command's answer and the console.
pub(super) const PIPE: usize = 64 * 1024;
