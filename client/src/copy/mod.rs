//! Copies of files and trees to and from servers of remo/2, and between two of them.
//! What is shown of them is not decided here: a [`Watcher`] is told.
//!
//! `roots` finds what was typed, `walk` goes through it, `engine` lets many files go at once by `download` and `upload`,
//! `landing` puts small files on the disk together. `folder` reaches everything here name by name, so that no server leads
//! a copy out of its target. What breaks off is gone on with: here from a `.NAME.remo-partial` beside the target, there
//! under the id that `note` keeps.

mod afterwards;
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
use std::sync::Arc;

use tokio::sync::mpsc;

use self::engine::Engine;
use self::target::Place;
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
    let engine = Arc::new(Engine::new(options, watcher, to));
    let landing = tokio::spawn(landing::land_all(engine.clone(), landings));
    let place = target.place.clone();
    let done = engine.run(items, target).await;
    engine.close();
    let landed = landing.await;
    done?;
    landed.unwrap_or_else(|_| {
        Err(CopyError::Refused(
            "a task of this program broke off".into(),
        ))
    })?;
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
