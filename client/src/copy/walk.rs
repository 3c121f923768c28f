//! Everything that is to be copied, folder by folder, each step when there is room for it.
//! What is done with a step is not known here.

use std::sync::Arc;

use tokio::sync::mpsc::Sender;

use super::error::CopyError;
use super::source::{Entries, Source};
use super::watch::Watcher;
use crate::escape::escape_bytes;
use crate::remo2::{Entry, Kind, is_plain};

/// Something to be copied.
#[derive(Clone, Debug)]
pub(super) struct Item {
    /// The folder that it is in.
    pub(super) source: Source,
    /// Its name there.
    pub(super) name: Vec<u8>,
    /// The name of its copy. Of a folder: empty where what is in it goes straight into the target.
    pub(super) copy: Vec<u8>,
    /// What it is.
    pub(super) entry: Entry,
}

impl Item {
    pub(super) fn path(&self) -> Vec<u8> {
        self.source.path_of(&self.name)
    }
}

/// What comes next.
#[derive(Debug)]
pub(super) enum Step {
    /// A folder begins.
    Enter(Item),
    /// The last folder that began ends.
    Leave,
    /// A file, a link, or something that is not copied.
    Take(Item),
    /// Something cannot even be looked at.
    Failed(Vec<u8>, CopyError),
}

/// Walks on until all is told, or nobody listens.
pub(super) struct Walk {
    to: Sender<Result<Step, CopyError>>,
    /// Told of every file that is found.
    watcher: Option<Arc<dyn Watcher>>,
    recursive: bool,
}

/// Nobody listens any more.
struct Left;

impl Walk {
    pub(super) fn new(
        to: Sender<Result<Step, CopyError>>,
        watcher: Option<Arc<dyn Watcher>>,
        recursive: bool,
    ) -> Self {
        Self {
            to,
            watcher,
            recursive,
        }
    }

    /// Tells of all these, and of what is in them.
    pub(super) async fn run(self, roots: Vec<Item>) {
        for root in roots {
            if self.root(root).await.is_err() {
                return;
            }
        }
    }

    async fn root(&self, root: Item) -> Result<(), Left> {
        let mut open = Vec::new();
        self.take(root, &mut open).await?;
        while let Some((source, entries)) = open.last_mut() {
            let source = source.clone();
            match entries.next_entry() {
                Ok(Some(entry)) => self.found(&source, entry, &mut open).await?,
                Ok(None) => {
                    open.pop();
                    self.tell(Step::Leave).await?;
                }
                Err(error) => {
                    open.pop();
                    self.failed(source.path_of(b""), error).await?;
                    self.tell(Step::Leave).await?;
                }
            }
        }
        Ok(())
    }

    async fn found(
        &self,
        source: &Source,
        entry: Entry,
        open: &mut Vec<(Source, Entries)>,
    ) -> Result<(), Left> {
        if !is_plain(&entry.name) {
            let what = format!(
                "the server names an entry of it '{}', which is no name: it is left out",
                escape_bytes(&entry.name)
            );
            return self
                .failed(source.path_of(b""), CopyError::Refused(what))
                .await;
        }
        let item = Item {
            source: source.clone(),
            name: entry.name.clone(),
            copy: entry.name.clone(),
            entry,
        };
        self.take(item, open).await
    }

    async fn take(&self, item: Item, open: &mut Vec<(Source, Entries)>) -> Result<(), Left> {
        if let Some(watcher) = self
            .watcher
            .as_ref()
            .filter(|_| item.entry.kind == Kind::File)
        {
            watcher.found(1, item.entry.size);
        }
        if item.entry.kind != Kind::Folder || !self.recursive {
            return self.tell(Step::Take(item)).await;
        }
        let path = item.path();
        if open.len() >= DEEPEST || path.len() > LONGEST {
            let what = format!("folders lie in each other more than {DEEPEST} deep: left out");
            return self.failed(path, CopyError::Refused(what)).await;
        }
        let entered = match item.source.enter(&item.name) {
            Ok(source) => source.entries().await.map(|entries| (source, entries)),
            Err(error) => Err(error),
        };
        match entered {
            Ok(entered) => {
                open.push(entered);
                self.tell(Step::Enter(item)).await
            }
            Err(error) => self.failed(path, error).await,
        }
    }

    async fn failed(&self, path: Vec<u8>, error: CopyError) -> Result<(), Left> {
        if error.is_of_one() {
            return self.tell(Step::Failed(path, error)).await;
        }
        let _ = self.to.send(Err(error)).await;
        Err(Left)
    }

    async fn tell(&self, step: Step) -> Result<(), Left> {
        self.to.send(Ok(step)).await.map_err(|_| Left)
    }
}

/// Folders in each other.
const DEEPEST: usize = 256;

/// Bytes of a path, as the system bounds them.
const LONGEST: usize = 4096;
