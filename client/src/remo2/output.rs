//! What came out of a channel, put together by its offsets: each byte once, in order, whichever answers brought it.
//! Not here: the answers.

use std::fmt;
use std::io::ErrorKind;

use remo_protocol::remo2::answer::Stream;
use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::failure::Failure;

/// Where the two streams of a process go.
pub struct Output {
    main: Side,
    second: Side,
    jumped: Jumped,
}

/// Told of bytes that are gone: how many.
pub type Jumped = Box<dyn Fn(u64) + Send + Sync>;

struct Side {
    next: u64,
    /// Where it begins is not known yet.
    anywhere: bool,
    to: Box<dyn AsyncWrite + Send + Unpin>,
}

impl Output {
    /// From the beginning of both streams on.
    #[must_use]
    pub fn new(
        main: Box<dyn AsyncWrite + Send + Unpin>,
        second: Box<dyn AsyncWrite + Send + Unpin>,
        jumped: Jumped,
    ) -> Self {
        Self {
            main: Side::new(main),
            second: Side::new(second),
            jumped,
        }
    }

    /// Both streams begin wherever the server still has them: what was received before is no loss.
    #[must_use]
    pub fn resumed(mut self) -> Self {
        self.main.anywhere = true;
        self.second.anywhere = true;
        self
    }

    /// Where both streams are, so far.
    pub(crate) fn offsets(&self) -> (u64, u64) {
        (self.main.next, self.second.next)
    }

    /// Says to who takes the first stream that there is no more.
    pub(crate) async fn end(&mut self) -> Result<(), Failure> {
        self.main.to.shutdown().await.map_err(Failure::Output)
    }

    /// Takes `data` that begin at `offset`: what is new of them is written.
    pub(crate) async fn take(
        &mut self,
        stream: Stream,
        offset: u64,
        data: &[u8],
    ) -> Result<(), Failure> {
        let side = match stream {
            Stream::Main => &mut self.main,
            Stream::Second => &mut self.second,
        };
        if offset > side.next {
            if !side.anywhere {
                (self.jumped)(offset - side.next);
            }
            side.next = offset;
        }
        side.anywhere = false;
        let known = usize::try_from(side.next - offset).unwrap_or(usize::MAX);
        let mut fresh = data.get(known..).unwrap_or_default();
        let some = !fresh.is_empty();
        // Whoever waits for this may leave at any time: what was written must be counted by then.
        while !fresh.is_empty() {
            let written = side.to.write(fresh).await.map_err(Failure::Output)?;
            if written == 0 {
                return Err(Failure::Output(ErrorKind::WriteZero.into()));
            }
            side.next += written as u64;
            fresh = fresh.get(written..).unwrap_or_default();
        }
        if some {
            side.to.flush().await.map_err(Failure::Output)?;
        }
        Ok(())
    }
}

impl Side {
    fn new(to: Box<dyn AsyncWrite + Send + Unpin>) -> Self {
        Self {
            next: 0,
            anywhere: false,
            to,
        }
    }
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Output").field(&self.offsets()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[tokio::test]
    async fn each_byte_is_written_once_and_a_gap_is_told() {
        let (end, mut read) = tokio::io::duplex(1000);
        let gone = Arc::new(AtomicU64::new(0));
        let told = gone.clone();
        let mut output = Output::new(
            Box::new(end),
            Box::new(tokio::io::sink()),
            Box::new(move |bytes| told.store(bytes, Ordering::SeqCst)),
        );
        for (offset, data) in [(0, "abc"), (0, "abc"), (1, "bcde"), (2, "cd"), (8, "ij")] {
            output
                .take(Stream::Main, offset, data.as_bytes())
                .await
                .unwrap();
        }
        assert_eq!(
            (output.offsets(), gone.load(Ordering::SeqCst)),
            ((10, 0), 3)
        );
        drop(output);
        let mut seen = String::new();
        tokio::io::AsyncReadExt::read_to_string(&mut read, &mut seen)
            .await
            .unwrap();
        assert_eq!(seen, "abcdeij");
    }
}
