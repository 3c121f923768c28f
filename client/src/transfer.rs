//! Whole files, fetched and stored.
//! Not here: how a half file is kept from being taken for a whole one, which is `partial`.

use std::io::Write;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::answer::Answer;
use crate::error::Error;
use crate::partial::PartialFile;
use crate::session::{Session, Verb};
use crate::upload::{Progress, Upload, blocking};

impl Session {
    /// Streams a remote file.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn get(&mut self, remote: &str) -> Result<Answer<'_>, Error> {
        self.request(Verb::Get, Some(remote), Upload::empty()).await
    }

    /// Fetches a remote file and gives its size. `local` is replaced when all of it has come, and not touched before.
    ///
    /// # Errors
    /// See [`Error`]; nothing is left behind.
    pub async fn get_file(
        &mut self,
        remote: &str,
        local: &Path,
        progress: Option<Progress>,
    ) -> Result<u64, Error> {
        let mut answer = self.get(remote).await?;
        let writer = Writer::start(local).await?;
        let mut progress = progress.unwrap_or_else(|| Box::new(|_| {}));
        let mut size = 0_u64;
        while let Some(data) = answer.next().await? {
            size = size.saturating_add(data.len() as u64);
            if !writer.take(data).await {
                break;
            }
            progress(size);
        }
        writer.finish().await?;
        Ok(size)
    }

    /// Stores data as a remote file.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn put(&mut self, remote: &str, data: Upload) -> Result<(), Error> {
        let answer = self.request(Verb::Put, Some(remote), data).await?;
        answer.collect(0).await.map(drop)
    }
}

/// A thread that writes a file while the next data are received and opened.
pub(crate) struct Writer {
    data: mpsc::Sender<Bytes>,
    task: JoinHandle<Result<PartialFile, Error>>,
    local: PathBuf,
}

impl Writer {
    pub(crate) async fn start(local: &Path) -> Result<Self, Error> {
        let local = local.to_path_buf();
        let name = local.clone();
        let file = blocking(move || {
            PartialFile::create(&name).map_err(|cause| Error::write(&name, cause))
        })
        .await?;
        let (data, from) = mpsc::channel(PIECES_AHEAD);
        let name = local.clone();
        let task = tokio::task::spawn_blocking(move || write_all(file, from, &name));
        Ok(Self { data, task, local })
    }

    /// Hands data over; false when writing has failed, which [`finish`](Self::finish) then tells.
    pub(crate) async fn take(&self, data: Bytes) -> bool {
        self.data.send(data).await.is_ok()
    }

    /// Puts the file in its place, once everything is written.
    pub(crate) async fn finish(self) -> Result<(), Error> {
        let Self { data, task, local } = self;
        drop(data);
        let file = task
            .await
            .map_err(|cause| Error::Output(std::io::Error::other(cause)))??;
        blocking(move || file.finish().map_err(|cause| Error::write(&local, cause))).await
    }
}

/// Pieces that may wait between the connection and the disk.
const PIECES_AHEAD: usize = 8;

fn write_all(
    mut file: PartialFile,
    mut from: mpsc::Receiver<Bytes>,
    name: &Path,
) -> Result<PartialFile, Error> {
    while let Some(data) = from.blocking_recv() {
        file.write_all(&data)
            .map_err(|cause| Error::write(name, cause))?;
    }
    Ok(file)
}
