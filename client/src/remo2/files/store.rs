//! `/put` of a stream: its pieces as they come, several requests at once, and the last when all others are there.
//! Copies that go on after a break of the client are not made here.

use std::future::Future;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use remo_protocol::remo2::answer::Stream;
use remo_protocol::remo2::json::Object;
use remo_protocol::remo2::session_id::Run;
use serde_json::Value;
use tokio::sync::mpsc::Receiver;

use super::change::sound;
use super::naming;
use crate::remo2::Remote;
use crate::remo2::asking::{Act, Room};
use crate::remo2::failure::Failure;
use crate::remo2::live::Live;

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

    /// One piece, in as many requests as the path wants it in.
    async fn part(&self, offset: u64, data: Bytes) -> Result<u64, Failure> {
        let length = data.len() as u64;
        let mut part = Part::new(self, offset, data);
        while !part.data.is_empty() {
            sound(&self.remote.ask(&mut part).await?)?;
            part.advance();
        }
        Ok(length)
    }

    /// The last piece, and the end: asked for again without the piece while the server is at it.
    async fn last(&self, offset: u64, data: Bytes, size: u64) -> Result<(), Failure> {
        let mut part = Part::new(self, offset, data);
        part.size = Some(size);
        loop {
            let trailer = self.remote.ask(&mut part).await?;
            sound(&trailer)?;
            if trailer.get("done").and_then(Value::as_bool) == Some(true) {
                return Ok(());
            }
            part.advance();
            let received = trailer.get("received").and_then(Value::as_u64);
            if part.data.is_empty() && received != Some(size) {
                return Err(Failure::Misbehaved("it lost a part of the file"));
            }
        }
    }
}

async fn next(pieces: &mut Receiver<io::Result<Bytes>>) -> Result<Option<Bytes>, Failure> {
    pieces.recv().await.transpose().map_err(Failure::Input)
}

struct Part<'a> {
    store: &'a Store<'a>,
    offset: u64,
    data: Bytes,
    /// Of the whole, where this is its end.
    size: Option<u64>,
    /// Bytes that the last attempt carried.
    carried: usize,
    by: Duration,
    /// The run of the server that knows the upload.
    run: Option<Run>,
}

impl<'a> Part<'a> {
    fn new(store: &'a Store<'a>, offset: u64, data: Bytes) -> Self {
        Self {
            store,
            offset,
            data,
            size: None,
            carried: 0,
            by: store.remote.patience() * 2,
            run: None,
        }
    }

    /// What was carried has arrived.
    fn advance(&mut self) {
        self.data = self.data.slice(self.carried..);
        self.offset += self.carried as u64;
    }
}

impl Act for Part<'_> {
    fn verb(&self) -> &'static str {
        "put"
    }

    fn compose(&mut self, live: &Live, room: Room) -> (Object, Bytes) {
        self.run.get_or_insert_with(|| live.run.clone());
        self.carried = self.data.len().min(room.data);
        let mut head = Object::new();
        naming::put(&mut head, "path", self.store.path);
        head.insert("id".into(), self.store.id.into());
        head.insert("offset".into(), self.offset.into());
        head.insert("by".into(), live.by(self.by).into());
        if let Some(size) = self.size.filter(|_| self.carried == self.data.len()) {
            head.insert("size".into(), size.into());
            head.insert("last".into(), true.into());
        }
        (head, self.data.slice(..self.carried))
    }

    fn belongs(&self, run: &Run) -> Result<(), Failure> {
        match (&self.run, self.size) {
            (Some(first), None) if first != run => Err(Failure::Restarted),
            (Some(first), Some(_)) if first != run => Err(Failure::Unknown),
            _ => Ok(()),
        }
    }

    fn head(&mut self, _: &Object) -> Result<(), Failure> {
        Ok(())
    }

    fn data(&mut self, _: Stream, _: Bytes) -> impl Future<Output = Result<(), Failure>> + Send {
        std::future::ready(Ok(()))
    }
}
