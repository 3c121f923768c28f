//! An interactive command: a process on one end of an AF_UNIX socketpair, fed and heard a bit a request.
//! What is not fetched yet waits in the socket, whose size bounds it: the process waits with it.

use std::{
    io,
    os::{fd::OwnedFd, unix::net},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{FutureExt, future::BoxFuture};
use tokio::net::{UnixStream, unix::OwnedReadHalf};

use super::{
    Group, Living, Spool, command,
    run::{RunError, Task, gather, read_some},
};
use crate::{
    call::{Input, Source},
    limits::Limits,
};

/// A running interactive command. Dropped, it is killed with its group.
pub(crate) struct Interactive {
    // Dropped first: see `Running`.
    group: Group,
    output: OwnedReadHalf,
    spool: Arc<Spool>,
    _pump: Task<()>,
}

impl Interactive {
    /// Starts `words`.
    ///
    /// # Errors
    /// Where they cannot be started.
    pub(crate) fn start(
        words: &[String],
        limits: &Arc<Limits>,
        living: &Arc<Living>,
    ) -> io::Result<Self> {
        let (ours, theirs) = net::UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let theirs = OwnedFd::from(theirs);
        let mut command = command(words);
        command
            .stdin(theirs.try_clone()?)
            .stdout(theirs.try_clone()?)
            .stderr(theirs);
        let (output, mut input) = UnixStream::from_std(ours)?.into_split();
        let group = Group::spawn(&mut command, living)?;
        drop(command);
        let spool = Arc::new(Spool::new(limits.clone()));
        let queue = spool.clone();
        let pump = Task::spawn(async move {
            if let Err(error) = queue.drain(&mut input).await {
                tracing::error!(%error, "cannot read spooled input: the interactive command gets no more");
                // Its drop would shut the input down, as if it had ended.
                input.forget();
            }
        });
        Ok(Self {
            group,
            output,
            spool,
            _pump: pump,
        })
    }

    /// Sends data, proved as far as memory goes before the first of them is sent.
    ///
    /// # Errors
    /// Where the data prove false, or the command does not take what it got.
    pub(crate) async fn feed(
        &self,
        mut input: Input,
        limits: &Arc<Limits>,
    ) -> Result<(), RunError> {
        let first = Spool::new(limits.clone());
        let whole = gather(&mut input, &first, true).await?;
        first.close().await;
        self.take(first, (!whole).then_some(input)).await
    }

    /// Sends what was gathered, and the rest as it comes.
    ///
    /// # Errors
    /// As [`feed`](Self::feed).
    pub(crate) async fn take(&self, first: Spool, rest: Option<Input>) -> Result<(), RunError> {
        first.move_to(&self.spool).await.map_err(RunError::Spool)?;
        if let Some(mut rest) = rest {
            gather(&mut rest, &self.spool, false).await?;
        }
        Ok(())
    }

    /// Waits until there is output, at most for `wait`; gives at most `most` bytes of it, and `None` at
    /// its end.
    pub(crate) async fn hear(&mut self, most: usize, wait: Duration) -> Option<Bytes> {
        let mut heard = Vec::new();
        match tokio::time::timeout(wait, read_some(&mut self.output, &mut heard, most)).await {
            // A reset is the end too: the process left without reading its input.
            Ok(Ok(0) | Err(_)) => None,
            Ok(Ok(_)) | Err(_) => Some(heard.into()),
        }
    }

    /// Ends the input once all of it is taken, and gives what is still to come.
    pub(crate) async fn finish(self) -> Tail {
        self.spool.close().await;
        Tail(Some(self))
    }

    /// Ends the command: its input is closed, its group is asked to end, and killed after 5 s.
    pub(crate) fn terminate(self) {
        self.group.terminate(GRACE);
    }

    /// Lets a command go whose output has ended.
    pub(crate) fn release(self) {
        self.group.release(GRACE);
    }
}

/// How long a command may take to end when it is asked to.
const GRACE: Duration = Duration::from_secs(5);

/// The rest of an interactive command's output.
pub(crate) struct Tail(Option<Interactive>);

impl Source for Tail {
    fn read<'a>(
        &'a mut self,
        into: &'a mut Vec<u8>,
        most: usize,
    ) -> BoxFuture<'a, io::Result<usize>> {
        async move {
            let Some(interactive) = &mut self.0 else {
                return Ok(0);
            };
            let read = read_some(&mut interactive.output, into, most).await;
            let read = read.or_else(|error| match error.kind() {
                io::ErrorKind::ConnectionReset => Ok(0),
                _ => Err(error),
            })?;
            if read == 0
                && let Some(ended) = self.0.take()
            {
                ended.release();
            }
            Ok(read)
        }
        .boxed()
    }
}

/// Where a session keeps its interactive command, if one runs.
#[derive(Default)]
pub(crate) struct Slot(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    running: Option<Interactive>,
    closed: bool,
}

impl Slot {
    /// Takes the command out for a request; it goes back when the guard is dropped.
    pub(crate) fn borrow(&self) -> Option<Borrowed<'_>> {
        let running = self.lock().running.take()?;
        Some(Borrowed {
            slot: self,
            running: Some(running),
        })
    }

    /// Puts a command in, and gives it out for a request at once.
    pub(crate) fn lend(&self, running: Interactive) -> Borrowed<'_> {
        Borrowed {
            slot: self,
            running: Some(running),
        }
    }

    /// Ends the command that runs.
    pub(crate) fn terminate(&self) {
        let running = self.lock().running.take();
        if let Some(running) = running {
            running.terminate();
        }
    }

    /// Ends the command that runs, and every one that is put in later: the session is over.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.terminate();
    }

    /// Moves the command here from another slot.
    pub(crate) fn take_over(&self, other: &Self) {
        let running = other.lock().running.take();
        self.lock().running = running;
    }

    fn put(&self, running: Interactive) {
        let mut kept = self.lock();
        if kept.closed {
            drop(kept);
            running.terminate();
        } else {
            kept.running = Some(running);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An interactive command in the hands of a request.
pub(crate) struct Borrowed<'a> {
    slot: &'a Slot,
    running: Option<Interactive>,
}

impl Borrowed<'_> {
    /// The command.
    pub(crate) fn command(&mut self) -> Option<&mut Interactive> {
        self.running.as_mut()
    }

    /// Takes it out for good.
    pub(crate) fn keep(mut self) -> Option<Interactive> {
        self.running.take()
    }
}

impl Drop for Borrowed<'_> {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            self.slot.put(running);
        }
    }
}
