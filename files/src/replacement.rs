//! Writes a file beside its place and puts it there as a whole: whoever looks sees the old one or the new
//! one, and after a failure nothing is left.

use std::{
    fs::{self, File, Metadata, Permissions},
    io::{self, Write},
    os::{
        fd::AsRawFd,
        unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt, fchown},
    },
    path::{Path, PathBuf},
};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, linkat, openat};

/// A file in the making. Dropped without [`commit`](Self::commit), it never was.
#[derive(Debug)]
pub struct Replacement {
    file: File,
    /// The name it has while it is made; none where the file system makes files without.
    name: Option<Temporary>,
    folder: PathBuf,
    target: PathBuf,
    /// What it replaces.
    old: Option<Old>,
    /// Only its owner may read it, whatever it replaces.
    private: bool,
}

/// What a file keeps of the one that it replaces.
#[derive(Debug)]
struct Old {
    owner: (u32, u32),
    mode: u32,
}

impl From<Metadata> for Old {
    fn from(old: Metadata) -> Self {
        Self {
            owner: (old.uid(), old.gid()),
            mode: old.mode() & 0o7777,
        }
    }
}

/// A name that is removed when dropped.
#[derive(Debug)]
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Why nothing can be put in a place.
#[derive(Debug)]
pub enum ReplaceError {
    /// Something that is no regular file stands there: what it is.
    NotRegular(&'static str),
    /// The system says why.
    Io(io::Error),
}

impl From<io::Error> for ReplaceError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Replacement {
    /// Begins to make what will stand at `path`; a link is followed.
    ///
    /// # Errors
    /// Where something else than a file stands there, or nothing can be made beside it.
    pub fn create(path: &Path) -> Result<Self, ReplaceError> {
        Self::begin(path, false)
    }

    /// The same for what only its owner may read: from the beginning its mode is 0600, whatever it replaces.
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub fn create_private(path: &Path) -> Result<Self, ReplaceError> {
        Self::begin(path, true)
    }

    fn begin(path: &Path, private: bool) -> Result<Self, ReplaceError> {
        let target = resolve(path)?;
        let old = match fs::metadata(&target) {
            Ok(old) if old.is_file() => Some(old.into()),
            Ok(other) => return Err(ReplaceError::NotRegular(kind(other.file_type()))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error.into()),
        };
        let folder = match target.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
            _ => PathBuf::from("."),
        };
        // Nobody else may read it before it has the mode of the file that it replaces.
        let closed = private || old.is_some();
        let mode = if closed { 0o600 } else { 0o666 };
        let (file, name) = make(&folder, Mode::from_raw_mode(mode))?;
        Ok(Self {
            file,
            name,
            folder,
            target,
            old,
            private,
        })
    }

    /// Puts the file in its place, on the disk: with the mode and the owner of the one that it replaces, or
    /// what the umask leaves.
    ///
    /// # Errors
    /// Where the disk or the folder refuses; the old file is then still there.
    pub fn commit(mut self) -> io::Result<()> {
        self.put()
    }

    fn put(&mut self) -> io::Result<()> {
        if let Some(old) = &self.old {
            if old.owner != owner(&self.file)? {
                // Only root can; for others the file is theirs from now on, as with any editor.
                let _ = fchown(&self.file, Some(old.owner.0), Some(old.owner.1));
            }
            let mode = if self.private { 0o600 } else { old.mode };
            self.file.set_permissions(Permissions::from_mode(mode))?;
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
}

/// Writes a file that only its owner may read, with mode 0600, in place of what is there, and the folders above it, with
/// mode 0700, where they are missing.
///
/// # Errors
/// As [`Replacement::create`] and [`Replacement::commit`].
pub fn write_private(path: &Path, data: &[u8]) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        let mut folders = fs::DirBuilder::new();
        folders.recursive(true).mode(0o700).create(folder)?;
    }
    let mut new = Replacement::create_private(path).map_err(|error| match error {
        ReplaceError::Io(error) => error,
        ReplaceError::NotRegular(what) => io::Error::other(format!("it is {what}")),
    })?;
    new.write_all(data)?;
    new.commit()
}

impl Write for Replacement {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.file.write(data)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// What is there in place of a regular file.
fn kind(kind: fs::FileType) -> &'static str {
    match kind {
        kind if kind.is_dir() => "a directory",
        kind if kind.is_fifo() => "a pipe",
        kind if kind.is_socket() => "a socket",
        _ => "a device",
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
        new.write_all(b"new").unwrap();
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
        Replacement::create(&path)
            .unwrap()
            .write_all(b"half")
            .unwrap();
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
            assert!(Replacement::create(path).is_err(), "{path:?}");
        }
        assert_eq!(entries(folder.path()), [""; 0]);
    }

    #[test]
    fn a_private_file_is_so_from_the_beginning_and_whatever_stood_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/file");
        write_private(&path, b"one").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o7777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        let made = Replacement::create_private(&path).unwrap();
        assert_eq!(made.file.metadata().unwrap().mode() & 0o7777, 0o600);
        drop(made);
        write_private(&path, b"two").unwrap();
        assert_eq!(mode(&path), 0o600);
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(entries(path.parent().unwrap()), ["file"]);
    }
}
