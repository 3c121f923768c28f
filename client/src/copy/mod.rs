//! Copies of files and trees to and from servers of remo/2, and between two of them.
//! What is shown of them is not decided here: a [`Watcher`] is told.
//!
//! `roots` finds what was typed, `walk` goes through it, `engine` lets many files go at once by `download` and `upload`,
//! `batch` has small files go many at a time, `landing` puts them on the disk together. `folder` reaches everything here name by name, so that no server leads
//! a copy out of its target. What breaks off is gone on with: here from a `.NAME.remo-partial` beside the target, there
//! under the id that `note` keeps.

mod afterwards;
mod batch;
mod counts;
mod download;
mod engine;
mod error;
mod folder;
mod glob;
mod hashing;
mod landing;
mod note;
mod part;
mod range;
mod roots;
mod source;
mod spawned;
mod target;
mod upload;
mod walk;
mod watch;

use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;

use tokio::sync::mpsc;

use self::engine::Engine;
use self::spawned::{Spawned, spawned};
use self::target::{Place, Target};
use self::walk::Item;
use crate::remo2::Remote;

pub use self::error::CopyError;
pub use self::glob::expand;
pub use self::watch::{Outcome, Summary, Watcher};

/// A place to copy from or to.
#[derive(Clone, Debug)]
pub enum Spot {
    /// On this machine.
    Here(PathBuf),
    /// On a server; of a source, the path may be a pattern.
    There(Arc<Remote>, Vec<u8>),
}

/// How to copy.
#[derive(Clone, Debug)]
pub struct Options {
    /// Folders with all that is in them; else they are left out.
    pub recursive: bool,
    /// Owners, and the bits of a mode that lend their power.
    pub owners: bool,
    /// Each file is hashed at both ends in the end.
    pub verify: bool,
    /// Files of the same size and hash are not copied.
    pub skip_identical: bool,
    /// Requests under way at once.
    pub requests: usize,
    /// Goes through the sources twice, so that the watcher knows early how much there is.
    pub count_ahead: bool,
    /// Where to note uploads, so that another run of the program can go on with them.
    pub state: Option<PathBuf>,
}

/// Copies the sources to or into the target.
///
/// # Errors
/// What ends it all: a server that does not answer, a full disk, a target that cannot be. What goes wrong with one file is
/// told to the watcher and counted.
pub async fn copy(
    sources: Vec<Spot>,
    target: Spot,
    options: Options,
    watcher: Arc<dyn Watcher>,
) -> Result<Summary, CopyError> {
    if let Some(folder) = &options.state {
        note::sweep(folder);
    }
    let mut items = roots::sources(sources, options.recursive).await?;
    let target = roots::target(target, &mut items).await?;
    let (to, landings) = mpsc::channel(landing::TOGETHER);
    let (together, waiting) = mpsc::channel(batch::WAITING);
    let engine = Arc::new(Engine::new(options, watcher, together, to));
    let landing = spawned(landing::land_all(engine.clone(), landings));
    let going = spawned(batch::go_all(engine.clone(), waiting));
    let place = target.place.clone();
    run(&engine, items, target, going).await?;
    engine.close();
    landing.await?;
    engine.afterwards(&place).await?;
    if engine.options.owners && !engine.is_root && matches!(place, Place::Here(..)) {
        let remark = "owners are not kept: only root may set them";
        engine.watcher.remarked(&place.path_of(b""), remark);
    }
    if let Place::Here(folder, path) = &place {
        let folder = folder.clone();
        let synced = source::blocking(move || folder.sync_all()).await;
        synced.map_err(CopyError::local("write", path))?;
    }
    Ok(engine.summary())
}

/// Runs to the end of what goes with others, too; and no further than where that fails.
async fn run(
    engine: &Arc<Engine>,
    items: Vec<Item>,
    target: Arc<Target>,
    mut going: Spawned<()>,
) -> Result<(), CopyError> {
    let mut running = pin!(engine.run(items, target));
    tokio::select! {
        done = &mut running => {
            done?;
            engine.go_alone();
            going.await
        }
        // It ends early as well where the server takes no files together.
        gone = &mut going => {
            gone?;
            running.await
        }
    }
}
