//! `rm`: names are removed, folders with all that is in them. Every step goes from an open folder to a name in it
//! that is no link, so nobody can lead it elsewhere; and folders are open only so many at once, however deep.

use std::{
    ffi::{OsStr, OsString},
    io,
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

use rustix::{
    fs::{AtFlags, Dir, FileType, Mode, OFlags, openat, renameat, statat, unlinkat},
    io::Errno,
};

use super::{refusal::not, target::Target};
use crate::channels::Refused;

/// Removes what is at `path`; a folder with something in it only when it `is_recursive`.
pub(crate) fn remove(
    path: &Path,
    is_recursive: bool,
    stopping: &AtomicBool,
) -> Result<(), Refused> {
    let at = Target::of(path, "remove")?;
    let removed = if at.must_be_folder() {
        folder(&at, is_recursive, stopping)
    } else {
        match unlinkat(&at.folder, &at.name, AtFlags::empty()) {
            Err(Errno::ISDIR) => folder(&at, is_recursive, stopping),
            // Some file systems say this of folders.
            Err(Errno::PERM) if is_dir(&at) => folder(&at, is_recursive, stopping),
            done => done.map_err(Into::into),
        }
    };
    removed.map_err(|error| match Errno::from_io_error(&error) {
        Some(Errno::NOTEMPTY) if !is_recursive => not(
            "not_empty",
            path,
            "a folder that is not empty (remove it with 'recursive')",
        ),
        _ => at.refused("remove", error),
    })
}

fn is_dir(at: &Target) -> bool {
    statat(&at.folder, &at.name, AtFlags::SYMLINK_NOFOLLOW)
        .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
}

fn folder(at: &Target, is_recursive: bool, stopping: &AtomicBool) -> io::Result<()> {
    match unlinkat(&at.folder, &at.name, AtFlags::REMOVEDIR) {
        Err(Errno::NOTEMPTY | Errno::EXIST) if is_recursive => {
            let top = open(&at.folder, &at.name)?;
            empty(top, stopping)?;
            Ok(unlinkat(&at.folder, &at.name, AtFlags::REMOVEDIR)?)
        }
        done => Ok(done?),
    }
}

/// A folder that is being emptied, and its name in the one before.
struct Level {
    folder: Dir,
    name: OsString,
    /// Something was removed since it was last read from its beginning.
    progress: bool,
}

impl Level {
    fn new(folder: Dir, name: OsString) -> Self {
        Self {
            folder,
            name,
            progress: false,
        }
    }
}

/// Removes all that is in `top`.
fn empty(top: Dir, stopping: &AtomicBool) -> io::Result<()> {
    let mut moved = 0_u64;
    let mut levels = vec![Level::new(top, OsString::new())];
    while let Some(level) = levels.last_mut() {
        if stopping.load(Ordering::Relaxed) {
            return Err(Errno::CANCELED.into());
        }
        let Some(name) = next(&mut level.folder)? else {
            leave(&mut levels)?;
            continue;
        };
        match unlinkat(level.folder.fd()?, &name, AtFlags::empty()) {
            Err(Errno::NOENT) => {}
            Err(Errno::ISDIR | Errno::PERM) => enter(&mut levels, name, &mut moved)?,
            done => {
                done?;
                level.progress = true;
            }
        }
    }
    Ok(())
}

/// Goes on with a folder in the last one, or, where that is too deep, moves it up to be met again.
fn enter(levels: &mut Vec<Level>, name: OsString, moved: &mut u64) -> io::Result<()> {
    let Some(level) = levels.last_mut() else {
        return Ok(());
    };
    let inner = match open(level.folder.fd()?, &name) {
        // It is gone, or a file that nobody may remove: the next reading tells.
        Err(Errno::NOENT) => return Ok(()),
        Err(Errno::NOTDIR | Errno::LOOP) => return Err(Errno::PERM.into()),
        inner => inner?,
    };
    if unlinkat(level.folder.fd()?, &name, AtFlags::REMOVEDIR).is_ok() {
        level.progress = true;
        return Ok(());
    }
    if levels.len() < DEEPEST {
        levels.push(Level::new(inner, name));
        return Ok(());
    }
    lift(levels, &name, moved)
}

fn lift(levels: &mut [Level], name: &OsStr, moved: &mut u64) -> io::Result<()> {
    let (Some(top), Some(level)) = (levels.first(), levels.last()) else {
        return Ok(());
    };
    *moved += 1;
    let up = format!(".remo-removed-{}-{moved}", std::process::id());
    renameat(level.folder.fd()?, name, top.folder.fd()?, up)?;
    if let Some(top) = levels.first_mut() {
        top.progress = true;
    }
    if let Some(level) = levels.last_mut() {
        level.progress = true;
    }
    Ok(())
}

/// The last folder was read to its end: it is removed from the one before, or read once more where something changed.
fn leave(levels: &mut Vec<Level>) -> io::Result<()> {
    if let [.., above, last] = levels.as_mut_slice() {
        match unlinkat(above.folder.fd()?, &last.name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => above.progress = true,
            Err(Errno::NOTEMPTY | Errno::EXIST) if last.progress => {
                again(last);
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        }
    } else if let [top] = levels.as_mut_slice()
        && top.progress
    {
        again(top);
        return Ok(());
    }
    levels.pop();
    Ok(())
}

fn again(level: &mut Level) {
    level.progress = false;
    level.folder.rewind();
}

fn next(folder: &mut Dir) -> io::Result<Option<OsString>> {
    while let Some(entry) = folder.read().transpose()? {
        let name = entry.file_name().to_bytes();
        if !matches!(name, b"." | b"..") {
            return Ok(Some(OsString::from_vec(name.to_vec())));
        }
    }
    Ok(None)
}

fn open(folder: impl std::os::fd::AsFd, name: &OsStr) -> rustix::io::Result<Dir> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Dir::new(openat(folder, name.as_bytes(), flags, Mode::empty())?)
}

/// Folders that are open at once.
const DEEPEST: usize = 64;
