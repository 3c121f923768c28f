//! Where copies go: folders here and there, each finished when the last thing in it is.
//! How files come into them is `download`'s and `upload`'s.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::error::CopyError;
use super::folder::{Folder, Traits};
use super::source::{blocking, join};
use crate::remo2::{Change, Entry, Failure, Kind, Remote};

/// A folder that is copied into.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) place: Place,
    parent: Option<Arc<Target>>,
    /// What it gets in the end; nothing where it is none of the copies.
    traits: Option<Traits>,
    /// Things in it that are not finished, itself among them.
    pending: AtomicUsize,
}

#[derive(Clone, Debug)]
pub(super) enum Place {
    Here(Folder, Arc<[u8]>),
    There(Arc<Remote>, Arc<[u8]>),
}

impl Place {
    /// The path of what has this name in it.
    pub(super) fn path_of(&self, name: &[u8]) -> Vec<u8> {
        let (Self::Here(_, base) | Self::There(_, base)) = self;
        join(base, name)
    }

    /// A folder in it, and whether its mode is that which it shall have already.
    async fn make(&self, name: &[u8], mode: u32) -> Result<(Self, bool), CopyError> {
        let path = self.path_of(name);
        match self {
            Self::Here(folder, _) => {
                let made = folder
                    .make(name)
                    .map_err(CopyError::local("make folder", &path))?;
                Ok((Self::Here(made, path.into()), false))
            }
            Self::There(remote, _) => {
                let made = make_there(remote, &path, mode).await?;
                let dressed = made && mode & 0o700 == 0o700;
                Ok((Self::There(remote.clone(), path.into()), dressed))
            }
        }
    }

    async fn finish(&self, traits: Traits) -> Result<(), CopyError> {
        match self {
            Self::Here(folder, path) => {
                let folder = folder.clone();
                let done = blocking(move || folder.finish(&traits)).await;
                done.map_err(CopyError::local("finish folder", path))
            }
            Self::There(remote, path) => {
                let mode = traits.mode;
                Ok(remote.change(path, Change::Chmod { mode }).await?)
            }
        }
    }
}

/// Makes a folder there; one that is there already, and no link to one, serves as well. Whether it was made.
async fn make_there(remote: &Remote, path: &[u8], mode: u32) -> Result<bool, CopyError> {
    let mkdir = Change::Mkdir {
        mode: Some(mode | 0o700),
        parents: false,
    };
    match remote.change(path, mkdir).await {
        Ok(()) => Ok(true),
        Err(failure) => match remote.find(path).await? {
            Some(Entry {
                kind: Kind::Folder, ..
            }) => Ok(false),
            Some(_) => Err(CopyError::Refused(
                "something that is no folder stands in its place".into(),
            )),
            None => Err(failure.into()),
        },
    }
}

impl Target {
    /// A folder that is there.
    pub(super) fn root(place: Place) -> Arc<Self> {
        Arc::new(Self {
            place,
            parent: None,
            traits: None,
            pending: AtomicUsize::new(1),
        })
    }

    /// Makes a folder in it, or takes the one that is there.
    pub(super) async fn make(
        self: &Arc<Self>,
        name: &[u8],
        traits: Traits,
    ) -> Result<Arc<Self>, CopyError> {
        let (place, dressed) = self.place.make(name, traits.mode).await?;
        self.hold();
        Ok(Arc::new(Self {
            place,
            parent: Some(self.clone()),
            traits: (!dressed).then_some(traits),
            pending: AtomicUsize::new(1),
        }))
    }

    /// One thing more is on its way into it.
    pub(super) fn hold(&self) {
        self.pending.fetch_add(1, Ordering::SeqCst);
    }

    /// One thing less; with the last one it is finished, and so, perhaps, are those above it.
    pub(super) async fn release(self: &Arc<Self>) -> Result<(), (Vec<u8>, CopyError)> {
        let mut folder = self.clone();
        let mut failed = Ok(());
        while folder.pending.fetch_sub(1, Ordering::SeqCst) == 1 {
            if let Some(traits) = folder.traits
                && let Err(error) = folder.place.finish(traits).await
            {
                failed = Err((folder.place.path_of(b""), error));
            }
            match &folder.parent {
                Some(parent) => folder = parent.clone(),
                None => break,
            }
        }
        failed
    }
}

/// Makes a link there, in the place of a file or a link.
pub(super) async fn symlink_there(
    remote: &Remote,
    path: &[u8],
    to: &[u8],
) -> Result<(), CopyError> {
    match remote.change(path, Change::Symlink { to }).await {
        Err(Failure::Refused { name, .. }) if name == "exists" => {}
        done => return Ok(done?),
    }
    let there = remote.find(path).await?;
    if there.is_some_and(|entry| entry.to.as_deref() == Some(to)) {
        return Ok(());
    }
    let id = crate::remo2::Channel::draw_id()?;
    let end = path
        .iter()
        .rposition(|byte| *byte == b'/')
        .map_or(0, |at| at + 1);
    let folder = path.get(..end).unwrap_or_default();
    let between = [folder, b".remo-link-", id.as_bytes()].concat();
    remote.change(&between, Change::Symlink { to }).await?;
    let moved = remote.change(&between, Change::Mv { to: path }).await;
    if moved.is_err() {
        let _ = remote
            .change(&between, Change::Rm { recursive: false })
            .await;
    }
    Ok(moved?)
}
