//! `/put`: stores a file, as a whole or not at all.

use bytes::Bytes;
use futures_util::StreamExt;

use crate::{
    call::{Input, Reply},
    files::{self, FileError, Replacement},
};

pub(crate) async fn put(name: &Bytes, input: Input) -> Reply {
    match store(name.clone(), input).await {
        Ok(()) => Reply::bytes(Bytes::new()),
        Err(reply) => reply,
    }
}

async fn store(name: Bytes, mut input: Input) -> Result<(), Reply> {
    let mut file = blocking(move || Replacement::create(files::path(&name)?)).await?;
    let mut gathered = Vec::with_capacity(BATCH);
    while let Some(data) = input.next().await {
        gathered.extend_from_slice(&data?);
        if gathered.len() >= BATCH {
            (file, gathered) = write(file, gathered).await?;
        }
    }
    (file, _) = write(file, gathered).await?;
    blocking(move || file.commit()).await
}

async fn write(mut file: Replacement, mut data: Vec<u8>) -> Result<(Replacement, Vec<u8>), Reply> {
    blocking(move || {
        file.write(&data)?;
        data.clear();
        Ok((file, data))
    })
    .await
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
