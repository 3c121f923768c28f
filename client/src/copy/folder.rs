//! Folders of this machine, held open: everything below them is reached name by name, and never by a link.
//! What is copied, and where from, is not known here.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Mode, OFlags, Timespec, Timestamps, fchmod, futimens, linkat,
    mkdirat, open, openat, readlinkat, renameat, statat, symlinkat, unlinkat, utimensat,
};

use crate::remo2::{Entry, Kind, Time};

/// An open folder. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Folder(Arc<OwnedFd>);

/// What a file, folder or link gets besides its content.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Traits {
    pub(super) mode: u32,
    pub(super) mtime: Time,
    /// User and group, where they are to be set.
    pub(super) owner: Option<(u32, u32)>,
}

impl Folder {
    /// The folder at a path that somebody typed: links are followed.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let fd = open(path, FOLDER, Mode::empty())?;
        Ok(Self(Arc::new(fd)))
    }

    /// The folder of this name in it; a link is none.
    pub(super) fn enter(&self, name: &[u8]) -> io::Result<Self> {
        let fd = openat(&*self.0, name, FOLDER | OFlags::NOFOLLOW, Mode::empty())?;
        Ok(Self(Arc::new(fd)))
    }

    /// The same, made where it is not there; for its owner alone, until it is finished.
    pub(super) fn make(&self, name: &[u8]) -> io::Result<Self> {
        match mkdirat(&*self.0, name, Mode::RWXU) {
            Ok(()) | Err(rustix::io::Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        self.enter(name)
    }

    /// Its entries, as the system gives them.
    pub(super) fn entries(&self) -> io::Result<Dir> {
        Ok(Dir::read_from(&*self.0)?)
    }

    /// What stands in it under this name.
    pub(super) fn entry(&self, name: &[u8]) -> io::Result<Entry> {
        let stat = statat(&*self.0, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Kind::File,
            FileType::Directory => Kind::Folder,
            FileType::Symlink => Kind::Link,
            _ => Kind::Other,
        };
        let to = match kind {
            Kind::Link => Some(readlinkat(&*self.0, name, Vec::new())?.into_bytes()),
            _ => None,
        };
        Ok(Entry {
            name: name.to_vec(),
            kind,
            size: u64::try_from(stat.st_size).unwrap_or_default(),
            mode: stat.st_mode & 0o7777,
            mtime: Time {
                seconds: stat.st_mtime,
                nanoseconds: u32::try_from(stat.st_mtime_nsec).unwrap_or_default(),
            },
            owner: Some((stat.st_uid, stat.st_gid)),
            to,
        })
    }

    /// The same, and nothing where nothing stands there.
    pub(super) fn find(&self, name: &[u8]) -> io::Result<Option<Entry>> {
        match self.entry(name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            found => found.map(Some),
        }
    }

    /// A file in it, to be read. Neither a link nor a pipe is opened.
    pub(super) fn read(&self, name: &[u8]) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(openat(&*self.0, name, flags, Mode::empty())?);
        if file.metadata()?.is_file() {
            Ok(file)
        } else {
            Err(io::Error::other("it is no file any more"))
        }
    }

    /// A file in it that was begun before, or is begun now. It must be ours alone: whoever else may write to the
    /// folder could have put it there.
    pub(super) fn go_on(&self, name: &[u8]) -> io::Result<File> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let mode = Mode::RUSR | Mode::WUSR;
        let file = File::from(openat(&*self.0, name, flags | OFlags::CLOEXEC, mode)?);
        let about = file.metadata()?;
        let ours = about.uid() == rustix::process::geteuid().as_raw();
        if about.is_file() && about.nlink() == 1 && ours {
            Ok(file)
        } else {
            Err(io::Error::other(
                "it is not what an earlier copy left (remove it)",
            ))
        }
    }

    /// Whether `file` is what stands in it under this name.
    pub(super) fn holds(&self, name: &[u8], file: &File) -> io::Result<bool> {
        let (there, here) = (
            statat(&*self.0, name, AtFlags::SYMLINK_NOFOLLOW)?,
            file.metadata()?,
        );
        Ok((there.st_dev, there.st_ino) == (here.dev(), here.ino()))
    }

    /// A file that has no name yet, or one that no other copy uses; which is told.
    pub(super) fn nameless(&self) -> io::Result<(File, Option<Vec<u8>>)> {
        let mode = Mode::RUSR | Mode::WUSR;
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        if let Ok(fd) = openat(&*self.0, ".", flags, mode) {
            return Ok((File::from(fd), None));
        }
        let name = unfinished()?;
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::CLOEXEC;
        let fd = openat(&*self.0, &*name, flags, mode)?;
        Ok((File::from(fd), Some(name)))
    }

    /// Gives a file its name, in the place of what has it; `made` is the name that it has so far.
    pub(super) fn name(&self, file: &File, made: Option<&[u8]>, name: &[u8]) -> io::Result<()> {
        if let Some(made) = made {
            return Ok(renameat(&*self.0, made, &*self.0, name)?);
        }
        match self.link(file, name) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            done => return done,
        }
        let between = unfinished()?;
        self.link(file, &between)?;
        let done = renameat(&*self.0, &*between, &*self.0, name);
        if done.is_err() {
            self.remove(&between);
        }
        Ok(done?)
    }

    fn link(&self, file: &File, name: &[u8]) -> io::Result<()> {
        use std::os::fd::AsRawFd;
        let from = format!("/proc/self/fd/{}", file.as_raw_fd());
        Ok(linkat(CWD, from, &*self.0, name, AtFlags::SYMLINK_FOLLOW)?)
    }

    /// Removes a file or link that may be there.
    pub(super) fn remove(&self, name: &[u8]) {
        let _ = unlinkat(&*self.0, name, AtFlags::empty());
    }

    /// Makes a link, in the place of a file or link of this name.
    pub(super) fn symlink(&self, name: &[u8], to: &[u8], traits: &Traits) -> io::Result<()> {
        let between = unfinished()?;
        symlinkat(to, &*self.0, &*between)?;
        let done = self.name_link(&between, name, traits);
        if done.is_err() {
            self.remove(&between);
        }
        done
    }

    fn name_link(&self, between: &[u8], name: &[u8], traits: &Traits) -> io::Result<()> {
        let nofollow = AtFlags::SYMLINK_NOFOLLOW;
        if let Some((user, group)) = traits.owner {
            let (user, group) = owner(user, group);
            rustix::fs::chownat(&*self.0, between, user, group, nofollow)?;
        }
        utimensat(&*self.0, between, &times(traits.mtime), nofollow)?;
        Ok(renameat(&*self.0, between, &*self.0, name)?)
    }

    /// Gives it its own mode, time and owner, once nothing is put into it any more.
    pub(super) fn finish(&self, traits: &Traits) -> io::Result<()> {
        dress(self.fd(), traits)
    }

    /// Puts all that was written to its file system on the disk.
    pub(super) fn sync_all(&self) -> io::Result<()> {
        Ok(rustix::fs::syncfs(&*self.0)?)
    }

    fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Sets owner, mode and time of what is open.
pub(super) fn dress(file: impl AsFd, traits: &Traits) -> io::Result<()> {
    if let Some((user, group)) = traits.owner {
        let (user, group) = owner(user, group);
        rustix::fs::fchown(&file, user, group)?;
    }
    // After the owner, whose change takes some bits away.
    fchmod(&file, Mode::from_raw_mode(traits.mode))?;
    Ok(futimens(&file, &times(traits.mtime))?)
}

fn owner(user: u32, group: u32) -> (Option<rustix::fs::Uid>, Option<rustix::fs::Gid>) {
    let user = rustix::fs::Uid::from_raw(user);
    (Some(user), Some(rustix::fs::Gid::from_raw(group)))
}

fn times(time: Time) -> Timestamps {
    let mtime = Timespec {
        tv_sec: time.seconds,
        tv_nsec: time.nanoseconds.into(),
    };
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: rustix::fs::UTIME_OMIT,
    };
    Timestamps {
        last_access: now,
        last_modification: mtime,
    }
}

/// A name for something that is not finished, which nothing else has.
fn unfinished() -> io::Result<Vec<u8>> {
    let mut raw = [0; 16];
    getrandom::fill(&mut raw).map_err(|_| io::Error::other("no random numbers"))?;
    let id = u128::from_be_bytes(raw);
    Ok(format!(".remo-unfinished-{id:032x}").into_bytes())
}

const FOLDER: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::CLOEXEC);

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn nothing_is_reached_by_a_link() {
        let outside = tempfile::tempdir().unwrap();
        let inside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("file"), "kept").unwrap();
        symlink(outside.path(), inside.path().join("folder")).unwrap();
        symlink(outside.path().join("file"), inside.path().join("file")).unwrap();
        let folder = Folder::open(inside.path()).unwrap();
        assert!(folder.enter(b"folder").is_err() && folder.make(b"folder").is_err());
        assert!(folder.read(b"file").is_err() && folder.go_on(b"file").is_err());
        let (file, name) = folder.nameless().unwrap();
        folder.name(&file, name.as_deref(), b"file").unwrap();
        assert!(
            inside
                .path()
                .join("file")
                .symlink_metadata()
                .unwrap()
                .is_file()
        );
        let to = b"elsewhere";
        folder.symlink(b"file", to, &Traits::default()).unwrap();
        assert_eq!(folder.entry(b"file").unwrap().to.as_deref(), Some(&to[..]));
        assert_eq!(fs::read(outside.path().join("file")).unwrap(), b"kept");
        assert_eq!(fs::read_dir(inside.path()).unwrap().count(), 2);
    }

    #[test]
    fn what_another_may_have_put_there_is_not_written_to() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::open(place.path()).unwrap();
        fs::write(place.path().join("a"), "x").unwrap();
        fs::hard_link(place.path().join("a"), place.path().join("b")).unwrap();
        assert!(folder.go_on(b"b").is_err());
        fs::remove_file(place.path().join("a")).unwrap();
        let file = folder.go_on(b"b").unwrap();
        assert!(folder.holds(b"b", &file).unwrap());
    }
}
