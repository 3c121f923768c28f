//! What `/fs` changes: folders made, names moved, links made, modes set.

use std::{
    io,
    path::{Path, PathBuf},
    sync::atomic::AtomicBool,
};

use rustix::{
    fs::{AtFlags, CWD, FileType, Mode, chmodat, mkdirat, renameat, symlinkat},
    io::Errno,
};

use super::{
    refusal::{not, refused},
    remove::remove,
    target::Target,
};
use crate::channels::Refused;

/// A change of what is at a path.
#[derive(Debug)]
pub(crate) enum Change {
    Mkdir { mode: Option<u32>, parents: bool },
    Rm { recursive: bool },
    Mv { to: PathBuf },
    Chmod { mode: u32 },
    Symlink { to: PathBuf },
}

impl Change {
    /// Carries it out. Only removing takes long, and ends early where the server stops.
    pub(crate) fn carry_out(&self, path: &Path, stopping: &AtomicBool) -> Result<(), Refused> {
        match self {
            Self::Mkdir { mode, parents } => mkdir(path, *mode, *parents),
            Self::Rm { recursive } => remove(path, *recursive, stopping),
            Self::Mv { to } => mv(path, to),
            Self::Chmod { mode } => {
                let mode = Mode::from_raw_mode(*mode);
                chmodat(CWD, path, mode, AtFlags::empty())
                    .map_err(|error| refused("change", path, &error.into()))
            }
            Self::Symlink { to } => {
                let at = Target::of(path, "make")?;
                symlinkat(to, &at.folder, &at.name).map_err(|error| at.refused("make", error))
            }
        }
    }
}

fn mkdir(path: &Path, mode: Option<u32>, parents: bool) -> Result<(), Refused> {
    if parents && is_folder(path) {
        return Ok(());
    }
    let at = match Target::of(path, "make") {
        Err(missing) if parents && missing.name == "not_found" => {
            if let Some(above) = path.parent() {
                mkdir(above, None, true)?;
            }
            Target::of(path, "make")?
        }
        at => at?,
    };
    match mkdirat(&at.folder, &at.name, Mode::from_raw_mode(0o777)) {
        // Another may have made it meanwhile.
        Err(Errno::EXIST) if parents && is_folder(path) => return Ok(()),
        made => made.map_err(|error| at.refused("make", error))?,
    }
    match mode {
        Some(mode) => chmod_new(&at, mode).map_err(|error| at.refused("make", error)),
        None => Ok(()),
    }
}

/// Gives a folder that was just made its mode, and nothing else that stands there by now.
fn chmod_new(at: &Target, mode: u32) -> io::Result<()> {
    use rustix::fs::{OFlags, fchmod, openat};
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let folder = openat(&at.folder, &at.name, flags, Mode::empty())?;
    Ok(fchmod(folder, Mode::from_raw_mode(mode))?)
}

fn is_folder(path: &Path) -> bool {
    rustix::fs::stat(path)
        .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
}

fn mv(from: &Path, to: &Path) -> Result<(), Refused> {
    let (one, other) = (Target::of(from, "move")?, Target::of(to, "move")?);
    let is_folder = one.entry().map_err(|error| one.refused("move", error))?.0;
    let is_folder = is_folder.get("type").is_some_and(|kind| kind == "dir");
    if (one.must_be_folder() || other.must_be_folder()) && !is_folder {
        return Err(not(
            "not_dir",
            from,
            "no folder, as a stroke at the end says",
        ));
    }
    renameat(&one.folder, &one.name, &other.folder, &other.name)
        .map_err(|error| one.refused("move", error))
}
