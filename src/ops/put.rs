//! `/put`: stores a file, as a whole or not at all.

use std::{io::Write, path::PathBuf};

use bytes::Bytes;
use futures_util::StreamExt;
use remo_files::{ReplaceError, Replacement};

use crate::{
    call::{Input, Reply},
    files::{self, FileError},
};

pub(crate) async fn put(name: &Bytes, input: Input) -> Reply {
    match store(name.clone(), input).await {
        Ok(()) => Reply::bytes(Bytes::new()),
        Err(reply) => reply,
    }
}

async fn store(name: Bytes, mut input: Input) -> Result<(), Reply> {
    let mut file = blocking(move || Storing::begin(&name)).await?;
    let mut gathered = Vec::with_capacity(BATCH);
    while let Some(data) = input.next().await {
        gathered.extend_from_slice(&data?);
        if gathered.len() >= BATCH {
            (file, gathered) = blocking(move || file.write(gathered)).await?;
        }
    }
    (file, _) = blocking(move || file.write(gathered)).await?;
    blocking(move || file.commit()).await
}

/// A file in the making, and what it is called.
struct Storing {
    file: Replacement,
    path: PathBuf,
}

impl Storing {
    fn begin(name: &Bytes) -> Result<Self, FileError> {
        let path = files::path(name)?.to_owned();
        let file =
            Replacement::create(&path).map_err(|error| FileError::of_writing(&path, error))?;
        Ok(Self { file, path })
    }

    /// Writes the data, and gives their room back.
    fn write(mut self, mut data: Vec<u8>) -> Result<(Self, Vec<u8>), FileError> {
        let written = self.file.write_all(&data);
        written.map_err(|error| FileError::of_writing(&self.path, ReplaceError::Io(error)))?;
        data.clear();
        Ok((self, data))
    }

    fn commit(self) -> Result<(), FileError> {
        let Self { file, path } = self;
        file.commit()
            .map_err(|error| FileError::of_writing(&path, ReplaceError::Io(error)))
    }
}

/// Works on the disk, where other requests do not wait for it.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, FileError> + Send + 'static,
) -> Result<T, Reply> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => {
            done.map_err(|error| Reply::failed(if error.is_of_name() { 400 } else { 500 }, error))
        }
        Err(_) => Err(Reply::failed(500, "writing the file failed")),
    }
}

/// Bytes that are gathered before they are written.
const BATCH: usize = 256 * 1024;
