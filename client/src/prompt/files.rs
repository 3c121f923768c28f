//! `get` and `put` of the prompt in remo/2: one file, as a whole or not at all.
//! Trees of files, and copies that go on after a break, are `remo cp`'s.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use tokio::sync::mpsc::{Receiver, channel};

use super::remo2::Conversation;
use super::{Console, PromptError};
use crate::error::Error;
use crate::remo2::{Channel, Failure, Get, Got, Sink, Store};
use crate::transfer::Writer;
use crate::upload::{Progress, blocking};

impl Conversation {
    /// Fetches a file and gives its size. `local` is replaced when all of it has come, and not touched before.
    pub(super) async fn get(
        &mut self,
        remote: &str,
        local: &Path,
        progress: Option<Progress>,
    ) -> Result<u64, PromptError> {
        self.begin().await?;
        let mut file = Fetched {
            writer: Writer::start(local).await?,
            progress: progress.unwrap_or_else(|| Box::new(|_| {})),
        };
        let mut got = Got::default();
        loop {
            let get = Get {
                path: remote.as_bytes(),
                offset: got.end,
                length: RANGE,
                etag: (!got.etag.is_empty()).then(|| got.etag.clone()),
            };
            got = match self.remote.get(get, &mut file).await {
                // Why it cannot be written, the writer knows.
                Err(Failure::Output(_)) => break,
                got => got?,
            };
            if got.end >= got.size {
                break;
            }
        }
        file.writer.finish().await?;
        Ok(got.end)
    }

    /// Stores a file, a device's or a pipe's content.
    pub(super) async fn put(
        &mut self,
        remote: &str,
        local: &Path,
        console: &mut impl Console,
    ) -> Result<(), PromptError> {
        let (file, size) = open(local.to_owned()).await?;
        self.begin().await?;
        let mut progress = console.progress(remote, size);
        let told = |done| {
            if let Some(progress) = &mut progress {
                progress(done);
            }
        };
        let id = Channel::draw_id()?;
        self.underway(&id);
        let store = Store {
            remote: &self.remote,
            path: remote.as_bytes(),
            id: &id,
        };
        let mut pieces = read(file, self.remote.data_room());
        match store.all(&mut pieces, told).await {
            Ok(_) => {
                self.over(&id);
                Ok(())
            }
            Err(failure) => {
                self.leave().await;
                Err(match failure {
                    Failure::Input(cause) => Error::read(local, cause).into(),
                    failure => failure.into(),
                })
            }
        }
    }
}

/// A file that is being fetched.
struct Fetched {
    writer: Writer,
    progress: Progress,
}

impl Sink for Fetched {
    async fn take(&mut self, offset: u64, data: Bytes) -> Result<(), Failure> {
        let end = offset + data.len() as u64;
        if !self.writer.take(data).await {
            return Err(Failure::Output(io::ErrorKind::Other.into()));
        }
        (self.progress)(end);
        Ok(())
    }
}

/// A file here, and its size where it has one.
async fn open(local: PathBuf) -> Result<(File, Option<u64>), Error> {
    blocking(move || {
        let failed = |cause| Error::read(&local, cause);
        let file = File::open(&local).map_err(failed)?;
        let about = file.metadata().map_err(failed)?;
        if about.is_dir() {
            return Err(failed(io::ErrorKind::IsADirectory.into()));
        }
        Ok((file, about.is_file().then_some(about.len())))
    })
    .await
}

/// Pieces of `length` bytes, read by a thread that keeps a few ahead.
fn read(mut file: File, length: usize) -> Receiver<io::Result<Bytes>> {
    let (to, pieces) = channel(AHEAD);
    std::thread::spawn(move || {
        loop {
            let mut piece = Vec::with_capacity(length);
            let read = file.by_ref().take(length as u64).read_to_end(&mut piece);
            let (piece, over) = match read {
                Ok(0) => return,
                Ok(_) => (Ok(piece.into()), false),
                Err(error) => (Err(error), true),
            };
            if to.blocking_send(piece).is_err() || over {
                return;
            }
        }
    });
    pieces
}

/// Pieces that wait to be sent.
const AHEAD: usize = 2;

/// Bytes that are asked for at once.
const RANGE: u64 = 8 << 20;
