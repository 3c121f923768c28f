//! Writes a file beside its place and puts it there as a whole: whoever looks sees the old one or the new
//! one, and after a failure nothing is left.

use std::{
    fs::{self, File, Metadata, Permissions},
    io::{self, Write},
    os::{
        fd::AsRawFd,
        unix::fs::{MetadataExt, PermissionsExt, fchown},
    },
    path::{Path, PathBuf},
};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, linkat, openat};

use super::{FileError, kind, shown};

/// A file in the making. Dropped without [`commit`](Self::commit), it never was.
pub(crate) struct Replacement {
    file: File,
    /// The name it has while it is made; none where the file system makes files without.
    name: Option<Temporary>,
    folder: PathBuf,
    target: PathBuf,
    /// What it replaces.
    old: Option<Metadata>,
    shown: String,
}

/// A name that is removed when dropped.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

impl Replacement {
    /// Begins to make what will stand at `path`; a link is followed.
    pub(crate) fn create(path: &Path) -> Result<Self, FileError> {
        let failed = |error| FileError::Io {
            verb: "write",
            name: shown(path),
            error,
        };
        let target = resolve(path).map_err(failed)?;
        let old = match fs::metadata(&target) {
            Ok(old) if old.is_file() => Some(old),
            Ok(other) => return Err(FileError::NotRegular(shown(path), kind(other.file_type()))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(failed(error)),
        };
        let folder = match target.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
            _ => PathBuf::from("."),
        };
        // Nobody else may read it before it has the mode of the file that it replaces.
        let mode = if old.is_some() { 0o600 } else { 0o666 };
        let (file, name) = make(&folder, Mode::from_raw_mode(mode)).map_err(failed)?;
        Ok(Self {
            file,
            name,
            folder,
            target,
            old,
            shown: shown(path),
        })
    }

    /// Adds to the end.
    pub(crate) fn write(&mut self, data: &[u8]) -> Result<(), FileError> {
        self.file
            .write_all(data)
            .map_err(|error| self.failed(error))
    }

    /// Puts the file in its place, on the disk: with the mode and the owner of the one that it replaces.
    pub(crate) fn commit(mut self) -> Result<(), FileError> {
        self.put().map_err(|error| self.failed(error))
    }

    fn put(&mut self) -> io::Result<()> {
        if let Some(old) = &self.old {
            if (old.uid(), old.gid()) != owner(&self.file)? {
                // Only root can; for others the file is theirs from now on, as with any editor.
                let _ = fchown(&self.file, Some(old.uid()), Some(old.gid()));
            }
            self.file
                .set_permissions(Permissions::from_mode(old.mode() & 0o7777))?;
        }
        self.file.sync_all()?;
        let name = match self.name.take() {
            Some(name) => name,
            None => link(&self.file, &self.folder)?,
        };
        fs::rename(&name.0, &self.target)?;
        // The name is gone by the rename; removing it would remove another's.
        std::mem::forget(name);
        File::open(&self.folder)?.sync_all()
    }

    fn failed(&self, error: io::Error) -> FileError {
        FileError::Io {
            verb: "write",
            name: self.shown.clone(),
            error,
        }
    }
}

/// Where the chain of links at `path` ends, whether something is there or not.
fn resolve(path: &Path) -> io::Result<PathBuf> {
    let mut at = path.to_owned();
    for _ in 0..40 {
        match fs::read_link(&at) {
            Ok(to) => {
                at = at
                    .parent()
                    .map_or_else(|| to.clone(), |folder| folder.join(&to))
            }
            Err(_) if at.file_name().is_some() && !ends_with_slash(&at) => return Ok(at),
            Err(_) => return Err(rustix::io::Errno::ISDIR.into()),
        }
    }
    Err(io::Error::from(rustix::io::Errno::LOOP))
}

fn ends_with_slash(path: &Path) -> bool {
    use std::os::unix::ffi::OsStrExt;
    path.as_os_str().as_bytes().ends_with(b"/")
}

fn make(folder: &Path, mode: Mode) -> io::Result<(File, Option<Temporary>)> {
    match openat(
        CWD,
        folder,
        OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC,
        mode,
    ) {
        Ok(file) => return Ok((file.into(), None)),
        // Not every file system can; and what else is wrong, the next attempt tells better.
        Err(missing @ rustix::io::Errno::NOENT) => return Err(missing.into()),
        Err(_) => {}
    }
    named(folder, |name| {
        openat(
            CWD,
            name,
            OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC,
            mode,
        )
        .map(File::from)
    })
    .map(|(file, name)| (file, Some(name)))
}

/// Gives a file without a name one.
fn link(file: &File, folder: &Path) -> io::Result<Temporary> {
    let own = format!("/proc/self/fd/{}", file.as_raw_fd());
    named(folder, |name| {
        linkat(CWD, own.as_str(), CWD, name, AtFlags::SYMLINK_FOLLOW)
    })
    .map(|((), name)| name)
}

/// Does something with a name in `folder` that nobody else has.
fn named<T>(
    folder: &Path,
    act: impl Fn(&Path) -> rustix::io::Result<T>,
) -> io::Result<(T, Temporary)> {
    loop {
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        let path = folder.join(format!(
            ".remo-unfinished-{:016x}",
            u64::from_be_bytes(random)
        ));
        match act(&path) {
            Ok(done) => return Ok((done, Temporary(path))),
            Err(rustix::io::Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn owner(file: &File) -> io::Result<(u32, u32)> {
    file.metadata().map(|own| (own.uid(), own.gid()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_the_old_one_until_it_is_the_new_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        let mut new = Replacement::create(&path).unwrap();
        new.write(b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"old");
        new.commit().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(
            fs::metadata(&path).unwrap().mode() & 0o7777,
            0o640,
            "the mode stays"
        );
        assert_eq!(entries(folder.path()), ["file"]);
    }

    #[test]
    fn what_is_not_committed_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        Replacement::create(&path).unwrap().write(b"half").unwrap();
        assert_eq!(entries(folder.path()), [""; 0]);
        let (_, name) = named(folder.path(), |name| {
            openat(CWD, name, OFlags::CREATE | OFlags::WRONLY, Mode::RUSR).map(File::from)
        })
        .unwrap();
        drop(name);
        assert_eq!(entries(folder.path()), [""; 0]);
    }

    #[test]
    fn links_are_followed_and_stay() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("real", &link).unwrap();
        Replacement::create(&link).unwrap().commit().unwrap();
        assert_eq!(entries(folder.path()), ["link", "real"]);
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        std::os::unix::fs::symlink("loop", folder.path().join("loop")).unwrap();
        assert!(Replacement::create(&folder.path().join("loop")).is_err());
    }

    #[test]
    fn directories_devices_and_pipes_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let slash = folder.path().join("new/");
        for path in [
            folder.path(),
            Path::new("/dev/null"),
            Path::new("/"),
            Path::new("."),
            &slash,
        ] {
            let error = Replacement::create(path)
                .err()
                .map(|error| error.is_of_name());
            assert_eq!(error, Some(true), "{path:?}");
        }
        assert_eq!(entries(folder.path()), [""; 0]);
    }
}
