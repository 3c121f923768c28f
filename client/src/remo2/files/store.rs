//! `/put` of a stream: its pieces as they come, several requests at once, and the last when all others are there.
//! Copies that go on after a break of the client are not made here.

use std::io;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc::Receiver;

use super::put::{Last, Put};
use crate::remo2::Remote;
use crate::remo2::failure::Failure;

/// A file that is being put there, under one id.
pub(crate) struct Store<'a> {
    /// The server.
    pub(crate) remote: &'a Remote,
    /// Where it will stand.
    pub(crate) path: &'a [u8],
    /// Of the upload.
    pub(crate) id: &'a str,
}

impl Store<'_> {
    /// Puts what comes from `pieces`, as a whole or not at all; `told` hears how much has arrived.
    ///
    /// # Errors
    /// See [`Failure`]: [`Failure::Unknown`] where it may stand there and nobody knows.
    pub(crate) async fn all(
        &self,
        pieces: &mut Receiver<io::Result<Bytes>>,
        mut told: impl FnMut(u64),
    ) -> Result<u64, Failure> {
        let mut under_way = FuturesUnordered::new();
        let (mut end, mut arrived) = (0, 0);
        let mut piece = next(pieces).await?.unwrap_or_default();
        while let Some(after) = next(pieces).await? {
            let length = piece.len() as u64;
            under_way.push(self.part(end, std::mem::replace(&mut piece, after)));
            end += length;
            while under_way.len() >= self.remote.in_flight() {
                arrived += under_way.next().await.unwrap_or(Ok(0))?;
                told(arrived);
            }
        }
        while let Some(part) = under_way.next().await {
            arrived += part?;
            told(arrived);
        }
        let size = end + piece.len() as u64;
        self.last(end, piece, size).await?;
        told(size);
        Ok(size)
    }

    /// One piece, which is not the last.
    async fn part(&self, offset: u64, data: Bytes) -> Result<u64, Failure> {
        let length = data.len() as u64;
        self.remote.put(self.put(offset, data)).await?;
        Ok(length)
    }

    /// The last piece, and the end: asked for again without the piece while the server is at it.
    async fn last(&self, offset: u64, data: Bytes, size: u64) -> Result<(), Failure> {
        let mut put = Put {
            size: Some(size),
            last: Some(Last::default()),
            ..self.put(offset, data)
        };
        loop {
            let stored = self.remote.put(put.clone()).await;
            let stored = stored.map_err(|failure| match failure {
                Failure::Restarted => Failure::Unknown,
                other => other,
            })?;
            if stored.done {
                return Ok(());
            }
            if stored.received != size {
                return Err(Failure::Misbehaved("it lost a part of the file"));
            }
            (put.offset, put.data, put.run) = (size, Bytes::new(), stored.run);
        }
    }

    fn put(&self, offset: u64, data: Bytes) -> Put<'_> {
        Put {
            path: self.path,
            id: self.id,
            run: None,
            offset,
            data,
            size: None,
            last: None,
        }
    }
}

async fn next(pieces: &mut Receiver<io::Result<Bytes>>) -> Result<Option<Bytes>, Failure> {
    pieces.recv().await.transpose().map_err(Failure::Input)
}
