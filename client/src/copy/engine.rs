//! One copy on its way: steps come in, files go side by side, and everything that ends is counted and told.
//! How one file goes is `download`'s and `upload`'s.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;
use tokio::sync::mpsc::{self, Receiver};
use tokio::task::JoinSet;

use super::afterwards::Afterwards;
use super::batch::Small;
use super::counts::Counts;
use super::error::CopyError;
use super::folder::Traits;
use super::landing::Landing;
use super::source::Source;
use super::target::{Place, Target, symlink_there};
use super::walk::{Item, Step, Walk};
use super::watch::{Outcome, Summary, Watcher};
use super::{Options, download, upload};
use crate::remo2::{Entry, Kind, Time};

/// What all tasks of one copy share.
pub(super) struct Engine {
    pub(super) options: Options,
    pub(super) watcher: Arc<dyn Watcher>,
    /// Ranges that may be under way at once.
    pub(super) lanes: Arc<Semaphore>,
    /// Where notes of uploads are.
    pub(super) notes: Option<PathBuf>,
    /// Whether owners may be set here.
    pub(super) is_root: bool,
    /// Where small files wait for others to go with, as long as the server takes them so; closed in the end.
    together: Mutex<Option<mpsc::Sender<Small>>>,
    /// Where small files go on that came here; closed in the end.
    landing: Mutex<Option<mpsc::Sender<Landing>>>,
    afterwards: Mutex<Afterwards>,
    counts: Counts,
}

impl Engine {
    pub(super) fn new(
        options: Options,
        watcher: Arc<dyn Watcher>,
        together: mpsc::Sender<Small>,
        landing: mpsc::Sender<Landing>,
    ) -> Self {
        Self {
            lanes: Arc::new(Semaphore::new(options.requests.max(1))),
            notes: options.state.clone(),
            is_root: rustix::process::geteuid().is_root(),
            options,
            watcher,
            together: Mutex::new(Some(together)),
            landing: Mutex::new(Some(landing)),
            afterwards: Mutex::default(),
            counts: Counts::default(),
        }
    }

    /// Takes step after step, until all is done or nothing more can be.
    pub(super) async fn run(
        self: &Arc<Self>,
        roots: Vec<Item>,
        target: Arc<Target>,
    ) -> Result<(), CopyError> {
        let (to, steps) = mpsc::channel(AHEAD);
        // Dropped, it ends both walks.
        let mut walks = JoinSet::new();
        let telling = (!self.options.count_ahead).then(|| self.watcher.clone());
        if self.options.count_ahead {
            walks.spawn(self.clone().count(roots.clone()));
        }
        walks.spawn(Walk::new(to, telling, self.options.recursive).run(roots));
        self.take_all(steps, target).await
    }

    /// Goes through all of it beforehand, so that the watcher knows how much there is.
    async fn count(self: Arc<Self>, roots: Vec<Item>) {
        let (to, mut steps) = mpsc::channel(AHEAD);
        let walk = Walk::new(to, Some(self.watcher.clone()), self.options.recursive);
        // What goes wrong on the way will go wrong again, and be told then.
        let pass_over = async { while steps.recv().await.is_some() {} };
        tokio::join!(walk.run(roots), pass_over);
    }

    async fn take_all(
        self: &Arc<Self>,
        mut steps: Receiver<Result<Step, CopyError>>,
        target: Arc<Target>,
    ) -> Result<(), CopyError> {
        // Dropped, it ends the tasks in it.
        let mut tasks = JoinSet::new();
        // Of a folder that could not be made, all that is in it is passed over.
        let mut open = vec![Some(target)];
        while let Some(step) = steps.recv().await {
            let top = open.last().cloned().flatten();
            match (step?, top) {
                (Step::Enter(item), Some(top)) => open.push(self.enter(&item, &top).await?),
                (Step::Enter(_), None) => open.push(None),
                (Step::Leave, top) => {
                    open.pop();
                    if let Some(top) = top {
                        self.release(&top).await?;
                    }
                }
                (Step::Take(item), Some(top)) => {
                    top.hold();
                    if tasks.len() >= self.options.requests.max(1) * 3 {
                        ended(tasks.join_next().await)?;
                    }
                    let engine = self.clone();
                    tasks.spawn(async move { engine.take(item, top).await });
                }
                (Step::Take(_), None) => {}
                (Step::Failed(path, error), _) => self.failed(&path, "entry", error)?,
            }
        }
        while let Some(done) = tasks.join_next().await {
            ended(Some(done))?;
        }
        Ok(())
    }

    /// The copy of a folder, open for what is in it.
    async fn enter(
        &self,
        item: &Item,
        top: &Arc<Target>,
    ) -> Result<Option<Arc<Target>>, CopyError> {
        if item.copy.is_empty() {
            top.hold();
            return Ok(Some(top.clone()));
        }
        match top.make(&item.copy, self.traits(&item.entry)).await {
            Ok(target) => {
                self.note(&target.place, b"", &item.entry)?;
                self.counts.folder();
                Ok(Some(target))
            }
            Err(error) => {
                self.failed(&item.path(), "dir", error)?;
                Ok(None)
            }
        }
    }

    /// What a copy gets of its model besides the content.
    pub(super) fn traits(&self, entry: &Entry) -> Traits {
        self.dressed(entry.mode, entry.mtime, entry.owner)
    }

    /// Bits that lend somebody's power are given only where the owners are kept too.
    pub(super) fn dressed(&self, mode: u32, mtime: Time, owner: Option<(u32, u32)>) -> Traits {
        let owners = self.options.owners;
        Traits {
            mode: mode & if owners { 0o7777 } else { 0o777 },
            mtime,
            owner: owner.filter(|_| owners && self.is_root),
        }
    }

    async fn take(self: &Arc<Self>, item: Item, target: Arc<Target>) -> Result<(), CopyError> {
        let landed = match item.entry.kind {
            Kind::File => {
                self.watcher.begun(&item.path(), item.entry.size);
                self.file(&item, &target, true).await
            }
            Kind::Link => self.link(&item, &target).await.map(Some),
            Kind::Folder => Ok(Some(Outcome::LeftOut(
                "it is a folder (-r copies folders)".into(),
            ))),
            Kind::Other => Ok(Some(Outcome::LeftOut(
                "it is no file, folder or link: pipes, sockets and devices are not copied".into(),
            ))),
        };
        self.landed(&item, &target, landed).await
    }

    /// Copies a file that did not go with others.
    pub(super) async fn alone(
        self: &Arc<Self>,
        item: Item,
        target: Arc<Target>,
    ) -> Result<(), CopyError> {
        let landed = self.file(&item, &target, false).await;
        self.landed(&item, &target, landed).await
    }

    /// Counts and tells how it ended. Nothing, where somebody else will.
    pub(super) async fn landed(
        &self,
        item: &Item,
        target: &Arc<Target>,
        landed: Result<Option<Outcome>, CopyError>,
    ) -> Result<(), CopyError> {
        match landed {
            Ok(None) => return Ok(()),
            Ok(Some(outcome)) => {
                if matches!(outcome, Outcome::Copied | Outcome::Identical) {
                    self.note(&target.place, &item.copy, &item.entry)?;
                }
                self.ended(item, item.entry.size, outcome);
            }
            Err(error) => self.failed(&item.path(), item.entry.kind.name(), error)?,
        }
        self.release(target).await
    }

    /// Copies a file. Nothing, where somebody else will tell how it ended.
    async fn file(
        self: &Arc<Self>,
        item: &Item,
        target: &Arc<Target>,
        together: bool,
    ) -> Result<Option<Outcome>, CopyError> {
        match (&item.source, &target.place) {
            (_, Place::There(remote, _)) => {
                let path = target.place.path_of(&item.copy);
                upload::upload(self, remote, &path, item, target, together).await
            }
            (Source::There(remote, _), Place::Here(folder, _)) => {
                download::download(self, remote, folder, item, target, together).await
            }
            (Source::Here(..), Place::Here(..)) => {
                Err(CopyError::Refused("neither side names a server".into()))
            }
        }
    }

    async fn link(&self, item: &Item, target: &Arc<Target>) -> Result<Outcome, CopyError> {
        let Some(to) = &item.entry.to else {
            return Err(CopyError::Refused(
                "where the link leads is not told".into(),
            ));
        };
        let path = target.place.path_of(&item.copy);
        match &target.place {
            Place::Here(folder, _) => folder
                .symlink(&item.copy, to, &self.traits(&item.entry))
                .map_err(CopyError::local("make link", &path))?,
            Place::There(remote, _) => symlink_there(remote, &path, to).await?,
        }
        Ok(Outcome::Copied)
    }

    /// One thing less is on its way into a folder.
    pub(super) async fn release(&self, target: &Arc<Target>) -> Result<(), CopyError> {
        match target.release().await {
            Ok(()) => Ok(()),
            Err((path, error)) => self.failed(&path, "dir", error),
        }
    }

    /// Something ended that is no failure.
    pub(super) fn ended(&self, item: &Item, bytes: u64, outcome: Outcome) {
        self.counts.ended(item.entry.kind, bytes, &outcome);
        let kind = item.entry.kind.name();
        self.watcher.ended(&item.path(), kind, bytes, &outcome);
    }

    /// Something failed: told, where the rest may go on.
    pub(super) fn failed(
        &self,
        path: &[u8],
        kind: &'static str,
        error: CopyError,
    ) -> Result<(), CopyError> {
        if !error.is_of_one() {
            return Err(error);
        }
        let outcome = Outcome::Failed(error.to_string());
        self.counts.ended(Kind::Other, 0, &outcome);
        self.watcher.ended(path, kind, 0, &outcome);
        Ok(())
    }

    /// What the copy of an entry on a server still lacks is noted for the end.
    fn note(&self, place: &Place, name: &[u8], entry: &Entry) -> Result<(), CopyError> {
        if matches!(place, Place::Here(..)) {
            return Ok(());
        }
        let path = place.path_of(name);
        let mut afterwards = self
            .afterwards
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let noted = afterwards.add(&path, entry, self.options.owners);
        noted.map_err(CopyError::local("note", &path))
    }

    /// Sets on a server what could not be set on the way.
    pub(super) async fn afterwards(&self, place: &Place) -> Result<(), CopyError> {
        let noted = self
            .afterwards
            .lock()
            .map(|mut noted| std::mem::take(&mut *noted));
        let (Place::There(remote, path), Ok(noted)) = (place, noted) else {
            return Ok(());
        };
        for missed in noted.carry_out(remote).await? {
            self.failed(path, "dir", CopyError::Refused(missed.into()))?;
        }
        Ok(())
    }

    /// Whether small files go with others.
    pub(super) fn go_together(&self) -> bool {
        self.queue().is_some()
    }

    /// The server takes no files together.
    pub(super) fn go_alone(&self) {
        self.together
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
    }

    /// Lets a small file wait for others; gives it back where it is to go alone.
    pub(super) async fn join(&self, small: Small) -> Result<(), Small> {
        match self.queue() {
            Some(to) => to.send(small).await.map_err(|sent| sent.0),
            None => Err(small),
        }
    }

    fn queue(&self) -> Option<mpsc::Sender<Small>> {
        self.together
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Hands a small file on.
    pub(super) async fn hand_on(&self, landing: Landing) -> Result<(), CopyError> {
        let to = self
            .landing
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let sent = match to {
            Some(to) => to.send(landing).await.is_ok(),
            None => false,
        };
        sent.then_some(())
            .ok_or_else(|| CopyError::Refused("the copy has ended".into()))
    }

    /// No small file comes any more.
    pub(super) fn close(&self) {
        self.landing
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
    }

    /// What it came to.
    pub(super) fn summary(&self) -> Summary {
        self.counts.summary()
    }
}

/// How a task ended.
pub(super) fn ended(
    done: Option<Result<Result<(), CopyError>, tokio::task::JoinError>>,
) -> Result<(), CopyError> {
    match done {
        None | Some(Ok(Ok(()))) => Ok(()),
        Some(Ok(Err(error))) => Err(error),
        Some(Err(_)) => Err(CopyError::Refused(
            "a task of this program broke off".into(),
        )),
    }
}

/// Steps that may be told ahead.
const AHEAD: usize = 256;
