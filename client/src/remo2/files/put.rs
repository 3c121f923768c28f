//! `/put`: a part of a file that is being made there, under the id of the whole.
//! In which order parts go, and how they are found again after a break, is not decided here.

use bytes::Bytes;
use remo_protocol::remo2::json::Object;
use remo_protocol::remo2::session_id::Run;
use serde_json::Value;

use super::change::sound;
use super::entry::Time;
use super::naming;
use crate::remo2::Remote;
use crate::remo2::asking::{Act, Room};
use crate::remo2::failure::Failure;
use crate::remo2::live::Live;

/// A part of a file on its way there.
#[derive(Clone, Debug)]
pub(crate) struct Put<'a> {
    /// Where the file will stand.
    pub(crate) path: &'a [u8],
    /// The id of this upload.
    pub(crate) id: &'a str,
    /// The run of the server in which a last part must be taken; any, where none was sent yet.
    pub(crate) run: Option<Run>,
    /// Where the bytes stand.
    pub(crate) offset: u64,
    /// The bytes.
    pub(crate) data: Bytes,
    /// Bytes of the whole file, where that is known.
    pub(crate) size: Option<u64>,
    /// That this is the last part, and what the file is to be.
    pub(crate) last: Option<Last>,
}

/// What a file is to be once it is whole.
#[derive(Clone, Debug, Default)]
pub(crate) struct Last {
    /// Permission bits.
    pub(crate) mode: Option<u32>,
    /// When it was changed.
    pub(crate) mtime: Option<Time>,
    /// What all of it hashes to.
    pub(crate) sha256: Option<[u8; 32]>,
}

/// What a server says of an upload.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    /// Bytes that are there from the beginning on, without a gap.
    pub(crate) received: u64,
    /// Whether it stands in its place.
    pub(crate) done: bool,
    /// The run of the server that it was told in.
    pub(crate) run: Option<Run>,
}

impl Remote {
    /// Sends a part, in as many requests as the path needs.
    ///
    /// # Errors
    /// [`Failure::Restarted`] where the server was started anew since the id was first used.
    pub(crate) async fn put(&self, put: Put<'_>) -> Result<Stored, Failure> {
        let mut part = Part {
            by: self.patience() * 2,
            put,
            sent: 0,
        };
        loop {
            let trailer = self.ask(&mut part).await?;
            sound(&trailer)?;
            let rest = part.put.data.split_off(part.sent);
            part.put.offset += part.sent as u64;
            part.put.data = rest;
            if part.put.data.is_empty() {
                return Ok(Stored {
                    received: trailer
                        .get("received")
                        .and_then(Value::as_u64)
                        .unwrap_or_default(),
                    done: trailer.get("done").and_then(Value::as_bool) == Some(true),
                    run: part.put.run,
                });
            }
        }
    }
}

struct Part<'a> {
    put: Put<'a>,
    by: std::time::Duration,
    /// Bytes that the last attempt carried.
    sent: usize,
}

impl Act for Part<'_> {
    fn verb(&self) -> &'static str {
        "put"
    }

    fn compose(&mut self, live: &Live, room: Room) -> (Object, Bytes) {
        let put = &mut self.put;
        if put.last.is_none() || put.run.is_none() {
            put.run = Some(live.run.clone());
        }
        self.sent = put.data.len().min(room.data);
        let mut head = Object::new();
        naming::put(&mut head, "path", put.path);
        head.insert("id".into(), put.id.into());
        head.insert("offset".into(), put.offset.into());
        if let Some(size) = put.size {
            head.insert("size".into(), size.into());
        }
        head.insert("by".into(), live.by(self.by).into());
        if let Some(last) = put.last.as_ref().filter(|_| self.sent == put.data.len()) {
            last.members(&mut head);
        }
        (head, put.data.slice(..self.sent))
    }

    fn belongs(&self, run: &Run) -> Result<(), Failure> {
        let is_last = self.put.last.is_some();
        match &self.put.run {
            // The same bytes at the same place change nothing, whoever gets them; putting the file in place does.
            Some(first) if is_last && first != run => Err(Failure::Restarted),
            _ => Ok(()),
        }
    }
}

impl Last {
    fn members(&self, head: &mut Object) {
        head.insert("last".into(), true.into());
        self.facts(head);
    }

    /// What the file is to be, without a word of when.
    pub(super) fn facts(&self, head: &mut Object) {
        if let Some(mode) = self.mode {
            head.insert("mode".into(), mode.into());
        }
        if let Some(mtime) = self.mtime {
            head.insert("mtime".into(), mtime.to_json());
        }
        if let Some(hash) = &self.sha256 {
            head.insert("sha256".into(), crate::hex::write(hash).into());
        }
    }
}
