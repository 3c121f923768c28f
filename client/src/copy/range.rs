//! One range of a file on its way here, and how its bytes are written: runs of zeros stay holes.
//! Which ranges there are is `download`'s.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;
use remo_files::LongFile;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::error::CopyError;
use crate::remo2::{Failure, Get, Remote, Sink};

/// One range on its way.
pub(super) struct Range {
    pub(super) remote: Arc<Remote>,
    pub(super) lanes: Arc<tokio::sync::Semaphore>,
    pub(super) path: Vec<u8>,
    pub(super) offset: u64,
    pub(super) length: u64,
    pub(super) etag: String,
    pub(super) to: Queue,
}

impl Range {
    pub(super) async fn come(mut self) -> Result<(), CopyError> {
        let _permit = self.lanes.acquire().await;
        let get = Get {
            path: &self.path,
            offset: self.offset,
            length: self.length,
            etag: Some(self.etag.clone()),
        };
        let got = self.remote.get(get, &mut self.to).await?;
        if got.end < self.offset + self.length {
            return Err(Failure::Changed.into());
        }
        Ok(())
    }
}

/// The way of bytes to the thread that writes them.
#[derive(Clone)]
pub(super) struct Queue(mpsc::Sender<(u64, Bytes)>);

impl Sink for Queue {
    async fn take(&mut self, offset: u64, data: Bytes) -> Result<(), Failure> {
        let sent = self.0.send((offset, data)).await;
        sent.map_err(|_| Failure::Output(io::Error::other("what came cannot be written")))
    }
}

/// Writes to a file what comes by the queue, until nobody sends any more, and says of each piece how long it was. It is one
/// thread: the system lets but one write to a file at a time, and has the others wait without giving way.
pub(super) fn write_queued(
    file: Arc<LongFile>,
    moved: impl Fn(usize) + Send + 'static,
) -> (Queue, JoinHandle<io::Result<()>>) {
    let (to, mut pieces) = mpsc::channel::<(u64, Bytes)>(QUEUED);
    let writing = tokio::task::spawn_blocking(move || {
        while let Some((offset, data)) = pieces.blocking_recv() {
            write_at(&file, offset, &data)?;
            moved(data.len());
            if file.wrote(data.len()) {
                let file = file.clone();
                tokio::task::spawn_blocking(move || file.sync());
            }
        }
        Ok(())
    });
    (Queue(to), writing)
}

/// Writes data into a file that has holes where nothing was written: runs of zeros stay holes.
pub(super) fn write_at(file: &File, offset: u64, data: &[u8]) -> io::Result<()> {
    let mut at = offset;
    for piece in data.chunks(HOLE) {
        let is_hole = piece.len() == HOLE && ZEROS.get(..piece.len()) == Some(piece);
        if !is_hole {
            file.write_all_at(piece, at)?;
        }
        at += piece.len() as u64;
    }
    Ok(())
}

/// Pieces that wait to be written, of a token each: they bring the threads that open and the one that writes apart.
const QUEUED: usize = 32;

/// Bytes of zeros that are left out.
const HOLE: usize = 64 * 1024;

static ZEROS: [u8; HOLE] = [0; HOLE];

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn zeros_are_left_out_and_read_back_as_zeros() {
        let file = tempfile::tempfile().unwrap();
        let mut data = vec![0; 16 * HOLE];
        data[8 * HOLE + 5] = 7;
        write_at(&file, 0, &data).unwrap();
        file.set_len(data.len() as u64).unwrap();
        let mut back = vec![1; data.len()];
        file.read_exact_at(&mut back, 0).unwrap();
        assert_eq!(back, data);
        assert!(file.metadata().unwrap().blocks() * 512 <= 2 * HOLE as u64);
    }
}
