//! The last of the way of small files here: many are put on the disk together, and then each in its place.
//! A file is the old or the new one, whatever happens in between.

use std::fs::File;
use std::io;
use std::sync::Arc;

use tokio::sync::mpsc::Receiver;

use super::engine::Engine;
use super::error::CopyError;
use super::folder::Folder;
use super::source::blocking;
use super::target::Target;
use super::walk::Item;
use super::watch::Outcome;

/// A file with all its bytes and traits, which has no name yet.
pub(super) struct Landing {
    pub(super) file: File,
    /// The name that it has so far, where the file system makes none without.
    pub(super) made: Option<Vec<u8>>,
    pub(super) folder: Folder,
    pub(super) size: u64,
    pub(super) item: Item,
    pub(super) target: Arc<Target>,
}

impl Landing {
    fn land(&self) -> io::Result<()> {
        let done = self
            .folder
            .name(&self.file, self.made.as_deref(), &self.item.copy);
        if done.is_err()
            && let Some(made) = &self.made
        {
            self.folder.remove(made);
        }
        done
    }
}

/// Puts in place what comes, as many as there are at once, until no more come.
pub(super) async fn land_all(
    engine: Arc<Engine>,
    mut landings: Receiver<Landing>,
) -> Result<(), CopyError> {
    let mut together = Vec::with_capacity(TOGETHER);
    while landings.recv_many(&mut together, TOGETHER).await > 0 {
        let batch = std::mem::take(&mut together);
        let landed = blocking(move || Ok(land(batch))).await;
        let landed = landed.map_err(CopyError::local("write", b"."))?;
        for (landing, done) in landed {
            let path = landing.target.place.path_of(&landing.item.copy);
            match done {
                Ok(()) => engine.ended(&landing.item, landing.size, Outcome::Copied),
                Err(error) => {
                    engine.failed(&path, "file", CopyError::local("write", &path)(error))?;
                }
            }
            engine.release(&landing.target).await?;
        }
    }
    Ok(())
}

/// The bytes reach the disk before the names do.
fn land(batch: Vec<Landing>) -> Vec<(Landing, io::Result<()>)> {
    let synced = match batch.as_slice() {
        [] => Ok(()),
        few if few.len() <= FEW => few.iter().try_for_each(|one| one.file.sync_data()),
        [first, ..] => first.folder.sync_all(),
    };
    let land = |landing: Landing| {
        let done = match &synced {
            Ok(()) => landing.land(),
            Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
        };
        (landing, done)
    };
    batch.into_iter().map(land).collect()
}

/// Files that are put on the disk together, and are open until then.
pub(super) const TOGETHER: usize = 128;

/// So few are put on the disk one by one.
const FEW: usize = 2;
