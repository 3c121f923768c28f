//! Input that a process has not taken yet: a queue in memory, then in a file without a name, with a
//! ceiling. It is always taken from the client, so that a client which writes all before it reads does
//! not wait for ever.

use std::{collections::VecDeque, fs::File, io, os::unix::fs::FileExt, sync::Arc};

use bytes::Bytes;
use tokio::{
    io::{AsyncWrite, AsyncWriteExt},
    sync::{Mutex, Notify},
};

use crate::limits::Limits;

/// A queue of bytes. One end pushes, the other takes; both share it by clones of an [`Arc`].
pub(crate) struct Spool {
    limits: Arc<Limits>,
    queue: Mutex<Queue>,
    changed: Notify,
}

#[derive(Default)]
struct Queue {
    memory: VecDeque<Bytes>,
    in_memory: usize,
    file: Option<Arc<File>>,
    /// Where in the file the next byte is taken from, and put.
    taken: u64,
    put: u64,
    closed: bool,
    abandoned: bool,
}

/// Why input could not be kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SpoolError {
    #[error(
        "the process does not take its input, and more than {0} bytes of it wait (see spool-limit)"
    )]
    Full(u64),
    #[error("cannot keep the input in '{0}': {1}")]
    Io(String, io::Error),
}

impl Spool {
    pub(crate) fn new(limits: Arc<Limits>) -> Self {
        Self {
            limits,
            queue: Mutex::default(),
            changed: Notify::new(),
        }
    }

    /// Adds to the end. What nobody will take is dropped.
    pub(crate) async fn push(&self, data: Bytes) -> Result<(), SpoolError> {
        if data.is_empty() {
            return Ok(());
        }
        let mut queue = self.queue.lock().await;
        if queue.abandoned {
            return Ok(());
        }
        let length = data.len() as u64;
        if queue.waiting() + length > self.limits.spool.max(self.limits.spool_memory as u64) {
            return Err(SpoolError::Full(self.limits.spool));
        }
        if queue.put == queue.taken && queue.in_memory + data.len() <= self.limits.spool_memory {
            queue.in_memory += data.len();
            queue.memory.push_back(data);
        } else {
            queue.store(data, &self.limits).await?;
        }
        self.changed.notify_one();
        Ok(())
    }

    /// Whether more is waiting than memory takes.
    pub(crate) async fn overflows(&self) -> bool {
        self.queue.lock().await.put > 0
    }

    /// Whether nothing is waiting.
    pub(crate) async fn is_empty(&self) -> bool {
        self.queue.lock().await.waiting() == 0
    }

    /// Nothing more will be pushed.
    pub(crate) async fn close(&self) {
        self.queue.lock().await.closed = true;
        self.changed.notify_one();
    }

    /// Writes what is pushed to `to`, until the queue is closed and empty, or `to` takes no more. Only one
    /// may do so.
    ///
    /// # Errors
    /// Where the file cannot be read: then `to` must not look as if its input had ended.
    pub(crate) async fn drain(&self, to: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        while let Some(data) = self.take().await? {
            if to.write_all(&data).await.is_err() {
                self.abandon().await;
                break;
            }
        }
        Ok(())
    }

    /// Moves what is here, once it is closed, to the end of another.
    pub(crate) async fn move_to(&self, other: &Self) -> Result<(), SpoolError> {
        let failed = |error| SpoolError::Io(self.limits.spool_folder.display().to_string(), error);
        while let Some(data) = self.take().await.map_err(failed)? {
            other.push(data).await?;
        }
        Ok(())
    }

    async fn take(&self) -> io::Result<Option<Bytes>> {
        loop {
            let changed = self.changed.notified();
            {
                let mut queue = self.queue.lock().await;
                if let Some(data) = queue.memory.pop_front() {
                    queue.in_memory -= data.len();
                    return Ok(Some(data));
                }
                if queue.put > queue.taken {
                    return queue.load().await;
                }
                if queue.closed {
                    return Ok(None);
                }
            }
            changed.await;
        }
    }

    async fn abandon(&self) {
        let mut queue = self.queue.lock().await;
        *queue = Queue {
            abandoned: true,
            ..Queue::default()
        };
    }
}

impl Queue {
    fn waiting(&self) -> u64 {
        self.in_memory as u64 + (self.put - self.taken)
    }

    async fn store(&mut self, data: Bytes, limits: &Limits) -> Result<(), SpoolError> {
        let failed = |error| SpoolError::Io(limits.spool_folder.display().to_string(), error);
        let file = match &self.file {
            Some(file) => file.clone(),
            None => {
                let folder = limits.spool_folder.clone();
                let made = blocking(move || tempfile::tempfile_in(folder))
                    .await
                    .map_err(failed)?;
                self.file.insert(Arc::new(made)).clone()
            }
        };
        let (at, length) = (self.put, data.len() as u64);
        blocking(move || file.write_all_at(&data, at))
            .await
            .map_err(failed)?;
        self.put += length;
        Ok(())
    }

    /// The next piece of the file.
    async fn load(&mut self) -> io::Result<Option<Bytes>> {
        let Some(file) = self.file.clone() else {
            return Ok(None);
        };
        let length = usize::try_from(self.put - self.taken)
            .unwrap_or(PIECE)
            .min(PIECE);
        let at = self.taken;
        let read = blocking(move || {
            let mut data = vec![0; length];
            file.read_exact_at(&mut data, at).map(|()| data)
        });
        let data = read.await?;
        self.taken += length as u64;
        if self.taken == self.put {
            // Nothing waits: the disk is given back.
            (self.file, self.taken, self.put) = (None, 0, 0);
        }
        Ok(Some(data.into()))
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(io::Error::other(error)))
}

/// Bytes that are read from the file at once.
const PIECE: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn spool(folder: &tempfile::TempDir) -> Spool {
        let limits = Limits {
            spool: 10_000,
            spool_memory: 100,
            spool_folder: folder.path().into(),
            ..Limits::default()
        };
        Spool::new(Arc::new(limits))
    }

    #[tokio::test]
    async fn what_is_pushed_comes_out_in_order_through_memory_and_file() {
        let folder = tempfile::tempdir().unwrap();
        let spool = spool(&folder);
        let mut wanted = Vec::new();
        for i in 0..50_u8 {
            let piece = vec![i; usize::from(i) * 3];
            wanted.extend_from_slice(&piece);
            spool.push(piece.into()).await.unwrap();
        }
        assert_eq!(
            std::fs::read_dir(folder.path()).unwrap().count(),
            0,
            "the file has no name"
        );
        spool.close().await;
        let mut out = Vec::new();
        spool.drain(&mut out).await.unwrap();
        assert_eq!(out, wanted);
    }

    #[tokio::test]
    async fn more_than_the_ceiling_is_refused_and_room_that_was_taken_is_given_back() {
        let folder = tempfile::tempdir().unwrap();
        let spool = spool(&folder);
        spool.push(vec![0; 9_999].into()).await.unwrap();
        assert!(matches!(
            spool.push(vec![0; 2].into()).await,
            Err(SpoolError::Full(_))
        ));
        assert_eq!(spool.take().await.unwrap().unwrap().len(), 9_999);
        spool.push(vec![0; 10_000].into()).await.unwrap();
    }

    #[tokio::test]
    async fn what_nobody_takes_any_more_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let spool = spool(&folder);
        spool.push(Bytes::from_static(b"x")).await.unwrap();
        let (mut to, closed) = tokio::io::duplex(1);
        drop(closed);
        spool.drain(&mut to).await.unwrap();
        spool.push(vec![0; 20_000].into()).await.unwrap();
        assert!(spool.is_empty().await);
    }

    #[tokio::test]
    async fn a_folder_that_is_missing_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let spool = spool(&folder);
        let path = folder.path().display().to_string();
        folder.close().unwrap();
        let error = spool
            .push(vec![0; 101].into())
            .await
            .unwrap_err()
            .to_string();
        assert!(error.contains(&path), "{error}");
    }
}
