//! One file to a server, from here or from another server: small ones by one request, large ones in parts that outlive all
//! of their senders. Downloads are not here.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use remo_protocol::remo2::session_id::Run;

use super::batch::{SMALL, Small, Way};
use super::engine::Engine;
use super::error::CopyError;
use super::note::{Note, Noted};
use super::part::{BUSY, PAUSE, Part, is_passing};
use super::source::Reader;
use super::spawned::spawned;
use super::target::Target;
use super::walk::Item;
use super::watch::Outcome;
use crate::remo2::{Change, Channel, Failure, Kind, Last, Put, Remote, Stored};

/// Copies a file to `path` there.
pub(super) async fn upload(
    engine: &Arc<Engine>,
    remote: &Arc<Remote>,
    path: &[u8],
    item: &Item,
    target: &Arc<Target>,
    together: bool,
) -> Result<Option<Outcome>, CopyError> {
    for _ in 0..TRIES {
        let reader = Reader::open(&item.source, &item.name).await?;
        let one = Upload {
            engine: engine.clone(),
            remote: remote.clone(),
            path: path.to_vec(),
            from: item.path(),
            reader,
        };
        if engine.options.skip_identical && one.is_identical().await? {
            return Ok(Some(Outcome::Identical));
        }
        let sent = if together && one.reader.size <= SMALL && engine.go_together() {
            one.join(item, target).await
        } else {
            one.send().await.map(|()| Some(Outcome::Copied))
        };
        match sent {
            Err(error) if error.is_changed() => {
                let remark = "it changed while it was copied: it is begun again";
                engine.watcher.remarked(&item.path(), remark);
            }
            sent => return sent,
        }
    }
    Err(Failure::Changed.into())
}

/// A file on its way there.
pub(super) struct Upload {
    engine: Arc<Engine>,
    pub(super) remote: Arc<Remote>,
    pub(super) path: Vec<u8>,
    from: Vec<u8>,
    reader: Reader,
}

/// What a large file is known by there.
struct Begun {
    id: String,
    note: Option<Note>,
    received: u64,
    run: Option<Run>,
}

impl Upload {
    /// Whether what stands there has these bytes; its mode is set then.
    async fn is_identical(&self) -> Result<bool, CopyError> {
        let Some(there) = self.remote.find(&self.path).await? else {
            return Ok(false);
        };
        if there.kind != Kind::File || there.size != self.reader.size {
            return Ok(false);
        }
        if !self.is_there().await? {
            return Ok(false);
        }
        let mode = self.mode();
        if there.mode != mode {
            self.remote
                .change(&self.path, Change::Chmod { mode })
                .await?;
        }
        Ok(true)
    }

    /// Whether the file there has the hash of ours.
    async fn is_there(&self) -> Result<bool, CopyError> {
        let there = match self.remote.find(&self.path).await? {
            Some(there) => there,
            None => return Ok(false),
        };
        if there.kind != Kind::File || there.size != self.reader.size {
            return Ok(false);
        }
        let theirs = self.remote.hash(&self.path, None).await?;
        Ok(self.reader.hash(self.reader.size).await? == Some(theirs))
    }

    fn mode(&self) -> u32 {
        self.engine
            .dressed(self.reader.mode, self.reader.mtime, None)
            .mode
    }

    /// The bytes go there, in the way that suits their number.
    async fn send(&self) -> Result<(), CopyError> {
        let room = self.remote.data_room() as u64;
        if self.reader.size <= room {
            self.small().await
        } else {
            self.large().await
        }
    }

    async fn last(&self, sure: bool) -> Result<Last, CopyError> {
        let sha256 = if sure {
            let hash = self.reader.hash(self.reader.size).await?;
            Some(hash.ok_or(Failure::Changed)?)
        } else {
            None
        };
        Ok(Last {
            mode: Some(self.mode()),
            mtime: Some(self.reader.mtime),
            sha256,
        })
    }

    /// A file that goes with others. Nothing, since they tell how it ends.
    async fn join(self, item: &Item, target: &Arc<Target>) -> Result<Option<Outcome>, CopyError> {
        let size = self.reader.size;
        let length = usize::try_from(size).unwrap_or(usize::MAX);
        let data = self.reader.read(0, length).await?;
        self.reader.check().await?;
        let last = self.last(self.engine.options.verify).await?;
        let engine = self.engine.clone();
        let small = Small {
            item: item.clone(),
            target: target.clone(),
            size,
            way: Way::Up(Box::new(self), data, last),
        };
        match engine.join(small).await {
            Ok(()) => Ok(None),
            Err(Small {
                way: Way::Up(one, ..),
                ..
            }) => one.send().await.map(|()| Some(Outcome::Copied)),
            Err(_) => Ok(None),
        }
    }

    /// A file that goes by one request.
    async fn small(&self) -> Result<(), CopyError> {
        let size = self.reader.size;
        let _permit = self.engine.lanes.acquire().await;
        let length = usize::try_from(size).unwrap_or(usize::MAX);
        let data = self.reader.read(0, length).await?;
        self.reader.check().await?;
        let last = self.last(self.engine.options.verify).await?;
        for _ in 0..TRIES {
            let id = Channel::draw_id()?;
            let put = Put {
                path: &self.path,
                id: &id,
                run: None,
                offset: 0,
                data: data.clone(),
                size: Some(size),
                last: Some(last.clone()),
            };
            match self.finish(put).await {
                // Another run of the server knows of no id: what it came to is seen by the file itself.
                Err(CopyError::Remote(Failure::Restarted)) => {
                    if self.is_there().await? {
                        self.went();
                        return Ok(());
                    }
                }
                Err(error) => return Err(error),
                Ok(stored) if stored.done => {
                    self.went();
                    return Ok(());
                }
                Ok(_) => {}
            }
        }
        Err(kept_nowhere())
    }

    /// All of it has come to its place, by one request.
    pub(super) fn went(&self) {
        let size = self.reader.size as i64;
        self.engine.watcher.moved(&self.from, size);
    }

    /// Asks for the end until it is there, or parts are missing before it.
    async fn finish(&self, put: Put<'_>) -> Result<Stored, CopyError> {
        let mut put = put;
        let mut busy = 0;
        loop {
            match self.remote.put(put.clone()).await {
                Ok(stored) if stored.done || Some(stored.received) < put.size => return Ok(stored),
                Ok(stored) => {
                    // The server is still at it.
                    put.run = stored.run;
                    put.data = Bytes::new();
                }
                Err(failure) if is_passing(&failure) && busy < BUSY => {
                    busy += 1;
                    tokio::time::sleep(PAUSE * busy).await;
                }
                Err(failure) => return Err(failure.into()),
            }
        }
    }

    /// A file that goes in parts.
    async fn large(&self) -> Result<(), CopyError> {
        if self.reader.size >= MANY {
            self.remote.learn_bodies();
        }
        let mut begun = self.begin().await?;
        let mut stalls = 0;
        // What an earlier run of the server or of this program received is proved by the hash of the whole.
        let mut sure = self.engine.options.verify;
        while stalls < TRIES {
            let from = begun.received;
            let run = self.parts(&begun.id, from).await?;
            // Parts that went to different runs of the server are proved by the hash of the whole as well.
            sure |= run.is_none() || begun.run.is_some() && begun.run != run;
            begun.run = run;
            self.reader.check().await?;
            let put = Put {
                path: &self.path,
                id: &begun.id,
                run: begun.run.clone(),
                offset: self.reader.size,
                data: Bytes::new(),
                size: Some(self.reader.size),
                last: Some(self.last(sure).await?),
            };
            match self.finish(put).await {
                Ok(stored) if stored.done => {
                    begun.forget();
                    return Ok(());
                }
                Ok(stored) => {
                    begun.received = stored.received;
                    begun.run = None;
                    stalls += u32::from(stored.received <= from);
                }
                Err(CopyError::Remote(Failure::Restarted)) => {
                    if self.is_there().await? {
                        begun.forget();
                        return Ok(());
                    }
                    sure = true;
                    stalls += 1;
                    begun.run = None;
                    begun.received = self.received(&begun.id).await?;
                }
                Err(CopyError::Remote(Failure::Gone)) => {
                    stalls += 1;
                    begun = self.anew(begun)?;
                }
                Err(error) if is_wrong_hash(&error) => {
                    stalls += 1;
                    begun = self.anew(begun)?;
                }
                Err(error) => return Err(error),
            }
            let lost = self.reader.size.saturating_sub(begun.received);
            self.engine.watcher.moved(&self.from, -(lost as i64));
        }
        Err(kept_nowhere())
    }

    /// The upload that an earlier run of this program began, as far as it holds; else a new one.
    async fn begin(&self) -> Result<Begun, CopyError> {
        let note = self.engine.notes.as_ref();
        let mut note =
            note.and_then(|folder| Note::open(folder, &self.remote.identity(), &self.path));
        if let Some(noted) = note.as_mut().and_then(Note::read) {
            let received = self.verified(&noted).await?;
            if received > 0 {
                let id = noted.id;
                return Ok(Begun {
                    id,
                    note,
                    received,
                    run: None,
                });
            }
            self.remote.done(&[&noted.id]).await;
        }
        let begun = Begun {
            id: Channel::draw_id()?,
            note,
            received: 0,
            run: None,
        };
        Ok(begun.noted(self.reader.size))
    }

    fn anew(&self, begun: Begun) -> Result<Begun, CopyError> {
        let begun = Begun {
            id: Channel::draw_id()?,
            received: 0,
            run: None,
            ..begun
        };
        Ok(begun.noted(self.reader.size))
    }

    /// How much of an upload is the beginning of our file, and known to be.
    async fn verified(&self, noted: &Noted) -> Result<u64, CopyError> {
        let received = match self.received(&noted.id).await {
            Ok(received) => received,
            Err(CopyError::Remote(failure)) if failure.is_of_the_act() => 0,
            Err(error) => return Err(error),
        };
        if received == 0 || received > self.reader.size {
            return Ok(0);
        }
        let theirs = match self
            .remote
            .hash(&self.unfinished(&noted.id), Some((0, received)))
            .await
        {
            Ok(hash) => hash,
            Err(failure) if failure.is_of_the_act() => return Ok(0),
            Err(failure) => return Err(failure.into()),
        };
        if self.reader.hash(received).await? != Some(theirs) {
            return Ok(0);
        }
        let (before, now) = (noted.size, self.reader.size);
        let grown = match before {
            _ if before < now => format!("; it has grown from {before} to {now} bytes"),
            _ if before > now => format!("; it has shrunk from {before} to {now} bytes"),
            _ => String::new(),
        };
        let remark =
            format!("goes on after {received} bytes that were there and are verified{grown}");
        self.engine.watcher.remarked(&self.from, &remark);
        self.engine.watcher.moved(&self.from, received as i64);
        Ok(received)
    }

    async fn received(&self, id: &str) -> Result<u64, CopyError> {
        let put = Put {
            path: &self.path,
            id,
            run: None,
            offset: 0,
            data: Bytes::new(),
            size: Some(self.reader.size),
            last: None,
        };
        Ok(self.remote.put(put).await?.received)
    }

    /// Where the server keeps what it received.
    fn unfinished(&self, id: &str) -> Vec<u8> {
        let end = self.path.iter().rposition(|byte| *byte == b'/');
        let folder = self.path.get(..end.map_or(0, |end| end + 1));
        [
            folder.unwrap_or_default(),
            b".remo-unfinished-",
            id.as_bytes(),
        ]
        .concat()
    }

    /// All parts from an offset on, several at once. Gives the run of the server, where all of them met the same.
    async fn parts(&self, id: &str, from: u64) -> Result<Option<Run>, CopyError> {
        let size = self.reader.size;
        let mut next = from;
        // As large as the path carries by then: that is found out meanwhile.
        let offsets = std::iter::from_fn(|| {
            let (offset, length) = (next, size.saturating_sub(next));
            let length = length.min(self.remote.data_room().min(PART) as u64);
            next += length;
            (length > 0).then_some((offset, length))
        });
        let parts = stream::iter(offsets).map(|(offset, length)| {
            let part = Part {
                engine: self.engine.clone(),
                remote: self.remote.clone(),
                reader: self.reader.clone(),
                path: self.path.clone(),
                from: self.from.clone(),
                id: id.to_owned(),
                offset,
                length,
            };
            spawned(part.go())
        });
        let mut parts = parts.buffered(self.engine.options.requests.max(1));
        let (mut run, mut same) = (None, true);
        while let Some(stored) = parts.try_next().await? {
            same &= run.is_none() || run == stored.run;
            run = stored.run;
        }
        Ok(run.filter(|_| same))
    }
}

impl Begun {
    fn noted(mut self, size: u64) -> Self {
        let noted = Noted {
            id: self.id.clone(),
            size,
        };
        if let Some(note) = &mut self.note {
            note.write(&noted);
        }
        self
    }

    fn forget(self) {
        if let Some(note) = self.note {
            note.forget();
        }
    }
}

fn kept_nowhere() -> CopyError {
    let what = "the server keeps none of what it receives (look at its disk and its log)";
    CopyError::Refused(what.into())
}

fn is_wrong_hash(error: &CopyError) -> bool {
    matches!(error, CopyError::Remote(Failure::Refused { name, .. }) if name == "sha256")
}

/// Bytes of a part: bodies of 1 MiB, of which a few at both ends are little memory.
const PART: usize = 768 * 1024;

/// Bytes of a file for which it is worth while to find out what the path carries.
const MANY: u64 = 64 << 20;

/// How often a file is tried that changes, or of which nothing stays there.
const TRIES: u32 = 5;
