//! The acts of `/get`, `/put` and `/fs`: carried out off the threads that serve requests, those that change something
//! once for their id.

use std::{
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use remo_protocol::{name::UserName, remo2::json::Object};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use super::{
    PATIENCE, Pieces,
    batch::{self, One},
    change::Change,
    facts,
    hash::Hashes,
    list::List,
    range::Range,
    refusal::{is_free, not},
    target::{Attributes, Target},
    uploads::Uploads,
    whole,
};
use crate::channels::{Account, ActId, Deed, Refused, Registry, State};

/// The files of the server's account.
pub(crate) struct Files {
    home: PathBuf,
    acts: Arc<Registry>,
    uploads: Uploads,
    hashes: Hashes,
    /// Long works that are done at once.
    works: Arc<Semaphore>,
    /// Of them, those that hold many files open.
    batches: Arc<Semaphore>,
    stopping: Arc<AtomicBool>,
}

/// What is asked of a path without changing anything.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Op {
    Stat,
    Readlink,
    Hash { offset: u64, length: Option<u64> },
}

/// A part of an upload, but for its bytes.
#[derive(Debug)]
pub(crate) struct Put {
    pub(crate) id: ActId,
    pub(crate) path: PathBuf,
    pub(crate) offset: u64,
    pub(crate) size: Option<u64>,
    pub(crate) last: bool,
    pub(crate) attributes: Attributes,
    pub(crate) sha256: Option<[u8; 32]>,
}

impl Files {
    /// With unfinished uploads written down below `state`, if it is given.
    pub(crate) fn new(acts: Arc<Registry>, state: Option<&Path>) -> Self {
        Self {
            home: Account::own().home,
            acts,
            uploads: Uploads::new(state),
            hashes: Hashes::default(),
            works: Arc::new(Semaphore::new(WORKS)),
            batches: Arc::new(Semaphore::new(BATCHES)),
            stopping: Arc::default(),
        }
    }

    /// The path that a name on the wire means: a relative one starts at the home of the server's account.
    pub(crate) fn path(&self, name: &Path) -> PathBuf {
        self.home.join(name)
    }

    /// What takes long ends soon.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// Unfinished uploads are let go: the server has stopped.
    pub(crate) fn end_all(&self) {
        self.stop();
        self.uploads.let_all_go();
    }

    /// A range of a file, and what is to be said before it.
    pub(crate) async fn get(
        &self,
        path: PathBuf,
        offset: u64,
        length: Option<u64>,
        hash: bool,
    ) -> Result<(Object, Box<dyn Pieces>), Refused> {
        let stopping = self.stopping.clone();
        blocking(move || {
            let (head, range) = Range::open(&path, offset, length, hash, stopping)?;
            Ok((head, Box::new(range) as Box<dyn Pieces>))
        })
        .await
    }

    /// Many small files, whole.
    pub(crate) async fn get_all(&self, paths: Vec<PathBuf>) -> Result<Box<dyn Pieces>, Refused> {
        blocking(move || Ok(Box::new(batch::get(&paths)) as Box<dyn Pieces>)).await
    }

    /// The entries of a folder.
    pub(crate) async fn list(&self, path: PathBuf) -> Result<Box<dyn Pieces>, Refused> {
        let stopping = self.stopping.clone();
        blocking(move || Ok(Box::new(List::open(&path, stopping)?) as Box<dyn Pieces>)).await
    }

    /// What `T` says of a path.
    pub(crate) async fn ask(self: &Arc<Self>, path: PathBuf, op: Op) -> Result<Object, Refused> {
        let files = self.clone();
        match op {
            Op::Stat => blocking(move || stat(&path)).await,
            Op::Readlink => blocking(move || readlink(&path)).await,
            Op::Hash { offset, length } => {
                let Ok(permit) = self.works.clone().try_acquire_owned() else {
                    return Err(busy());
                };
                blocking(move || {
                    let _permit = permit;
                    files.hashes.hash(&path, offset, length, &files.stopping)
                })
                .await
            }
        }
    }

    /// Changes something, once for its id.
    pub(crate) async fn change(
        self: &Arc<Self>,
        user: UserName,
        id: ActId,
        path: PathBuf,
        change: Change,
    ) -> Result<Object, Refused> {
        let (deed, is_new) = self.acts.deed(&user, id, "fs", 0, State::Busy)?;
        if is_new {
            let stopping = self.stopping.clone();
            self.carry_out(user, id, None, move || {
                change.carry_out(&path, &stopping).map(|()| 0)
            });
        }
        match deed.settled(PATIENCE).await {
            State::Over(result) => result.map(|_| told(None, true)),
            State::Busy | State::Open(_) => Ok(told(None, false)),
        }
    }

    /// Puts many small files, once for their id.
    pub(crate) async fn put_all(
        self: &Arc<Self>,
        user: UserName,
        id: ActId,
        files: Vec<One>,
        data: Vec<Bytes>,
    ) -> Result<Object, Refused> {
        let about = objects(files.iter().map(|file| &*file.path));
        let (deed, is_new) = self.acts.deed(&user, id, "put", about, State::Busy)?;
        if is_new {
            self.carry_out(user, id, Some(self.batches.clone()), move || {
                Ok(batch::put(&files, data))
            });
        }
        match deed.settled(PATIENCE).await {
            State::Over(result) => result.map(told_of_all),
            State::Busy | State::Open(_) => Ok(Object::new()),
        }
    }

    /// Takes a part of an upload.
    pub(crate) async fn put(
        self: &Arc<Self>,
        user: UserName,
        put: Put,
        data: Vec<Bytes>,
    ) -> Result<Object, Refused> {
        let files = self.clone();
        // What was begun is brought to its end also when nobody waits for the answer any more.
        let work = tokio::spawn(async move { files.part(user, put, data).await });
        match tokio::time::timeout(PATIENCE + PATIENCE / 10, work).await {
            Ok(Ok(done)) => done,
            Ok(Err(_)) => Err(broken()),
            Err(_) => Err(Refused::new(
                409,
                "busy",
                "the disk takes long (send the part again)",
            )),
        }
    }

    async fn part(
        self: Arc<Self>,
        user: UserName,
        put: Put,
        data: Vec<Bytes>,
    ) -> Result<Object, Refused> {
        let length = data.iter().map(|piece| piece.len() as u64).sum::<u64>();
        let end = put.size.unwrap_or(put.offset + length);
        let is_whole = put.last && put.offset == 0 && end == length;
        let state = if is_whole {
            State::Busy
        } else {
            State::Open(None)
        };
        let (deed, is_new) = self
            .acts
            .deed(&user, put.id, "put", object(&put.path), state)?;
        match deed.state() {
            State::Over(result) => return result.map(|size| told(Some(size), true)),
            State::Busy if is_new => {
                self.carry_out(user, put.id, None, move || {
                    whole::put(&put.path, &data, put.attributes, put.sha256)
                });
                return ended(&deed, length).await;
            }
            State::Busy => {
                // What came in one request has no files open until it is in its place, and is all there.
                let received = self.uploads.received(&user, put.id).await;
                return ended(&deed, received.unwrap_or(end)).await;
            }
            State::Open(_) => {}
        }
        let upload = match self.uploads.open(&user, put.id, &put.path).await {
            Ok(upload) => upload,
            Err(refused) => {
                let free = is_free(&refused);
                self.acts.settle(&user, put.id, &Err(refused.clone()), free);
                return Err(refused);
            }
        };
        if let State::Over(result) = deed.state() {
            // It was abandoned while it was opened.
            self.uploads.abandon(&user, put.id).await;
            return result.map(|size| told(Some(size), true));
        }
        let writer = upload.clone();
        let (received, due) = blocking(move || writer.write(put.offset, &data)).await?;
        if due {
            let upload = upload.clone();
            tokio::task::spawn_blocking(move || upload.sync());
        }
        if !put.last || received < end {
            return Ok(told(Some(received), false));
        }
        if deed.start() {
            let (files, deed) = (self.clone(), deed.clone());
            tokio::spawn(async move {
                let _permit = files.works.acquire().await;
                let umask = files.uploads.umask();
                let finished =
                    blocking(move || upload.finish(end, put.attributes, put.sha256, umask)).await;
                files.finished(&user, put.id, &deed, finished).await;
            });
        }
        ended(&deed, received).await
    }

    async fn finished(
        &self,
        user: &UserName,
        id: ActId,
        deed: &Deed,
        result: Result<u64, Refused>,
    ) {
        match result {
            Err(refused) if refused.name != "sha256" => deed.set(State::Open(Some(refused))),
            result => {
                self.uploads.close(user, id);
                self.acts.settle(user, id, &result, false);
            }
        }
    }

    /// What these opened is no longer wanted.
    pub(crate) async fn done(self: &Arc<Self>, user: &UserName, ids: &[ActId]) {
        for &id in ids {
            if !self.acts.may_be_upload(user, id) {
                continue;
            }
            let deed = self.acts.find_deed(user, id);
            // What is being done, is done.
            if deed.is_none_or(|deed| deed.start()) {
                self.uploads.abandon(user, id).await;
                self.acts.settle(user, id, &Err(Refused::gone()), false);
            }
        }
    }

    /// Lets go of what is idle, and removes what nobody goes on with.
    pub(crate) fn sweep(self: &Arc<Self>) {
        self.uploads.let_go();
        if self.uploads.is_time_to_sweep() {
            let files = self.clone();
            tokio::task::spawn_blocking(move || {
                for (user, id) in files.uploads.sweep() {
                    files.acts.settle(&user, id, &Err(Refused::gone()), false);
                }
            });
        }
    }

    /// Works for a deed until it is over; beside `few` others, where such works are not to take the place of all.
    fn carry_out(
        self: &Arc<Self>,
        user: UserName,
        id: ActId,
        few: Option<Arc<Semaphore>>,
        work: impl FnOnce() -> Result<u64, Refused> + Send + 'static,
    ) {
        let files = self.clone();
        tokio::spawn(async move {
            let _few = match &few {
                Some(few) => few.acquire().await.ok(),
                None => None,
            };
            let _permit = files.works.acquire().await;
            let result = blocking(work).await;
            let free = result.as_ref().is_err_and(is_free);
            files.acts.settle(&user, id, &result, free);
        });
    }
}

/// How a deed of `/put` ended, if it did in time.
async fn ended(deed: &Deed, received: u64) -> Result<Object, Refused> {
    match deed.settled(PATIENCE).await {
        State::Over(result) => result.map(|size| told(Some(size), true)),
        State::Open(Some(refused)) => Err(refused),
        State::Open(None) | State::Busy => Ok(told(Some(received), false)),
    }
}

/// Which of many did not go, by their places.
fn told_of_all(failed: u64) -> Object {
    let mut trailer = told(None, true);
    let places: Vec<u32> = (0..u64::BITS)
        .filter(|place| failed >> place & 1 == 1)
        .collect();
    if !places.is_empty() {
        trailer.insert("failed".into(), places.into());
    }
    trailer
}

fn told(received: Option<u64>, done: bool) -> Object {
    let mut trailer = Object::new();
    if let Some(received) = received {
        trailer.insert("received".into(), received.into());
    }
    if done {
        trailer.insert("done".into(), true.into());
    }
    trailer
}

fn stat(path: &Path) -> Result<Object, Refused> {
    let (mut entry, name) = match Target::of(path, "look at") {
        Ok(target) => {
            let (mut entry, stat) = target
                .entry()
                .map_err(|error| target.refused("look at", error))?;
            let is_file = entry.get("type").is_some_and(|kind| kind == "file");
            if is_file {
                entry.insert("etag".into(), facts::etag(&stat).into());
            }
            if target.must_be_folder() && entry.get("type").is_some_and(|kind| kind != "dir") {
                return Err(not(
                    "not_dir",
                    path,
                    "no folder, as a stroke at the end says",
                ));
            }
            (entry, Some(target.name))
        }
        // `/`, and what ends in `.` or `..`, has no name of its own.
        Err(refused) if refused.name == "is_dir" => {
            let entry = facts::entry(rustix::fs::CWD, path.as_os_str());
            let entry = entry.map_err(|error| super::refusal::refused("look at", path, &error))?;
            (entry.0, None)
        }
        Err(refused) => return Err(refused),
    };
    if let Some(name) = name {
        use std::os::unix::ffi::OsStrExt;
        facts::insert_bytes(&mut entry, "name", name.as_bytes());
    }
    Ok(entry)
}

fn readlink(path: &Path) -> Result<Object, Refused> {
    let mut entry = stat(path)?;
    entry.retain(|member, _| matches!(member.as_str(), "to" | "to64"));
    if entry.values().all(Value::is_null) {
        return Err(not("not_link", path, "no link"));
    }
    Ok(entry)
}

/// Works where waiting for the disk holds nobody up.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Refused> + Send + 'static,
) -> Result<T, Refused> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|_| Err(broken()))
}

fn broken() -> Refused {
    Refused::new(500, "failed", "the server could not do it (see its log)")
}

fn busy() -> Refused {
    Refused::new(
        503,
        "too_many",
        format!("{WORKS} long works are done for all users (try again later)"),
    )
}

/// A digest of what an upload is about.
fn object(path: &Path) -> u128 {
    digest(Sha256::new_with_prefix(path.as_os_str().as_bytes()))
}

/// The same of many; never that of one.
fn objects<'a>(paths: impl Iterator<Item = &'a Path>) -> u128 {
    let mut hash = Sha256::new_with_prefix(b"\0");
    for path in paths {
        hash.update(path.as_os_str().as_bytes());
        hash.update(b"\0");
    }
    digest(hash)
}

fn digest(hash: Sha256) -> u128 {
    let digest: [u8; 32] = hash.finalize().into();
    let first = digest.first_chunk::<16>().copied().unwrap_or_default();
    u128::from_be_bytes(first)
}

/// Long works at once: hashing, removing, syncing.
const WORKS: usize = 64;

/// Works at once that hold up to [`batch::MOST`] files open each.
const BATCHES: usize = 4;
