//! One range of a file on its way here, and how its bytes are written: runs of zeros stay holes.
//! Which ranges there are is `download`'s.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;
use remo_files::LongFile;

use super::error::CopyError;
use super::watch::Watcher;
use crate::remo2::{Failure, Get, Remote, Sink};

/// One range on its way.
pub(super) struct Range {
    pub(super) remote: Arc<Remote>,
    pub(super) lanes: Arc<tokio::sync::Semaphore>,
    pub(super) path: Vec<u8>,
    pub(super) offset: u64,
    pub(super) length: u64,
    pub(super) etag: String,
    pub(super) writing: Writing,
}

impl Range {
    pub(super) async fn come(mut self) -> Result<io::Result<()>, CopyError> {
        let _permit = self.lanes.acquire().await;
        let get = Get {
            path: &self.path,
            offset: self.offset,
            length: self.length,
            etag: Some(self.etag.clone()),
        };
        let got = self.remote.get(get, &mut self.writing).await;
        if let Some(error) = self.writing.failed.take() {
            return Ok(Err(error));
        }
        if got?.end < self.offset + self.length {
            return Err(Failure::Changed.into());
        }
        Ok(Ok(()))
    }
}

/// Where the bytes of a range go.
pub(super) struct Writing {
    pub(super) file: Arc<LongFile>,
    pub(super) from: Vec<u8>,
    pub(super) watcher: Arc<dyn Watcher>,
    pub(super) failed: Option<io::Error>,
}

impl Sink for Writing {
    async fn take(&mut self, offset: u64, data: Bytes) -> Result<(), Failure> {
        if let Err(error) = write_at(&self.file, offset, &data) {
            let told = io::Error::new(error.kind(), error.to_string());
            self.failed = Some(error);
            return Err(Failure::Output(told));
        }
        if self.file.wrote(data.len()) {
            let file = self.file.clone();
            tokio::task::spawn_blocking(move || file.sync());
        }
        self.watcher.moved(&self.from, data.len() as i64);
        Ok(())
    }
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
