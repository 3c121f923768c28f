//! Moves bytes between a channel and its far end: reads as far as the window has room, writes what was taken.
//! An idle stream holds no buffer.

use std::{
    cell::RefCell,
    future::poll_fn,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf},
    time::Instant,
};

use super::{Stream, channel::Channel, input::Next};

impl Channel {
    /// Moves what the far end says into its window, until it has ended; then the window is closed.
    ///
    /// # Errors
    /// How it broke, where it did. EIO is how a terminal ends.
    pub(super) async fn take_output(
        &self,
        mut from: impl AsyncRead + Unpin,
        stream: Stream,
    ) -> io::Result<()> {
        let end = loop {
            self.room(stream).await;
            match poll_fn(|context| self.poll_output(context, &mut from, stream)).await {
                Ok(0) => break Ok(()),
                Ok(_) => self.changed(),
                Err(error) => break Err(error),
            }
        };
        let mut state = self.lock();
        state.last_output = Instant::now();
        state.window(stream).close();
        drop(state);
        self.changed();
        end
    }

    /// Waits until the window has room.
    async fn room(&self, stream: Stream) {
        let mut changed = self.subscribe();
        while self.lock().window(stream).room() == 0 {
            let _ = changed.changed().await;
        }
    }

    /// Reads into a buffer that all share, since between two reads nothing is in it.
    fn poll_output(
        &self,
        context: &mut Context<'_>,
        from: &mut (impl AsyncRead + Unpin),
        stream: Stream,
    ) -> Poll<io::Result<usize>> {
        BUFFER.with_borrow_mut(|buffer| {
            let room = self.lock().window(stream).room().min(buffer.len());
            let mut read = ReadBuf::new(buffer.get_mut(..room).unwrap_or_default());
            ready!(Pin::new(from).poll_read(context, &mut read))?;
            let mut state = self.lock();
            state.last_output = Instant::now();
            state.window(stream).push(read.filled());
            Poll::Ready(Ok(read.filled().len()))
        })
    }

    /// Gives the far end what was taken for it, and ends its input where that was asked for.
    ///
    /// # Errors
    /// Where it takes no more.
    pub(super) async fn give_input(&self, mut to: impl AsyncWrite + Unpin) -> io::Result<()> {
        let end = self.give_all(&mut to).await;
        // What comes now is taken by nobody.
        self.lock().input.drop_waiting();
        end
    }

    /// Where it interrupts a flood, what was said until then is dropped, as the terminal drops what it has; what is said to it is not.
    async fn give(&self, to: &mut (impl AsyncWrite + Unpin), data: &[u8]) -> io::Result<()> {
        let said = {
            let state = self.lock();
            state.interrupts(data).then(|| state.main.end())
        };
        to.write_all(data).await?;
        if let Some(said) = said {
            self.lock().main.drop_flood(said);
            self.changed();
        }
        Ok(())
    }

    async fn give_all(&self, to: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        let mut changed = self.subscribe();
        loop {
            let (next, end_of_file) = {
                let mut state = self.lock();
                (state.input.next(), state.end_of_file())
            };
            match (next, end_of_file) {
                (Next::Data(data), _) => self.give(to, &data).await?,
                (Next::End, Some(character)) => {
                    to.write_all(&[character]).await?;
                    self.lock().input.go_on();
                }
                (Next::End, None) => return to.shutdown().await,
                (Next::Nothing, _) => drop(changed.changed().await),
            }
        }
    }
}

thread_local! {
    /// What is read goes through here.
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; PIECE]);
}

/// Bytes that are read at once.
const PIECE: usize = 64 * 1024;
