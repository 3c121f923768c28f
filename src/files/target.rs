//! A name in a folder that is held open: what stands there, and how a finished file gets there. Nothing
//! here follows a link at the name itself.

use std::{
    ffi::{OsStr, OsString},
    fs::File,
    io,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::{Path, PathBuf},
    sync::Arc,
};

use remo_protocol::remo2::json::Object;
use rustix::{
    fs::{
        AtFlags, CWD, FileType, Gid, Mode, OFlags, Timespec, Timestamps, UTIME_NOW, Uid, fchmod,
        fchown, fstat, futimens, linkat, openat, renameat, statat, unlinkat,
    },
    io::Errno,
    process::geteuid,
};

use super::{
    facts,
    refusal::{not, refused},
};
use crate::channels::Refused;

/// Where something is, or will be.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) folder: Arc<OwnedFd>,
    pub(crate) name: OsString,
    path: PathBuf,
    /// The path ended with a stroke: it can only be a folder.
    is_folder: bool,
}

/// What a new file keeps of the one that it replaces.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Old {
    owner: (u32, u32),
    mode: u32,
}

/// What a request says of the file that it makes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Attributes {
    pub(crate) mode: Option<u32>,
    pub(crate) mtime: Option<Timespec>,
}

/// What a file in the making is called.
pub(crate) enum Making<'a> {
    Nameless,
    Called(&'a OsStr),
}

impl Target {
    /// The folder of `path`, opened, and the name in it.
    pub(crate) fn of(path: &Path, verb: &str) -> Result<Self, Refused> {
        let bytes = path.as_os_str().as_bytes();
        let end = bytes.iter().rposition(|&byte| byte != b'/');
        let trimmed = end.and_then(|end| bytes.get(..=end)).unwrap_or_default();
        let start = trimmed.iter().rposition(|&byte| byte == b'/');
        let (folder, name) = match start {
            Some(at) => trimmed.split_at_checked(at + 1),
            None => Some((&b"."[..], trimmed)),
        }
        .unwrap_or_default();
        if matches!(name, b"" | b"." | b"..") {
            return Err(not(
                "is_dir",
                path,
                "a folder that has no name of its own there",
            ));
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = openat(CWD, OsStr::from_bytes(folder), flags, Mode::empty())
            .map_err(|error| refused(verb, path, &error.into()))?;
        Ok(Self {
            folder: folder.into(),
            name: OsStr::from_bytes(name).to_owned(),
            path: path.to_owned(),
            is_folder: trimmed.len() < bytes.len(),
        })
    }

    /// The same folder, and another name in it.
    pub(crate) fn beside(&self, name: OsString) -> Self {
        let path = self.path.with_file_name(&name);
        Self::within(self.folder.clone(), name, &path)
    }

    /// A name, in a folder that is open.
    pub(crate) fn within(folder: Arc<OwnedFd>, name: OsString, path: &Path) -> Self {
        Self {
            folder,
            name,
            path: path.to_owned(),
            is_folder: false,
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn must_be_folder(&self) -> bool {
        self.is_folder
    }

    pub(crate) fn refused(&self, verb: &str, error: impl Into<io::Error>) -> Refused {
        refused(verb, &self.path, &error.into())
    }

    /// What is there, a link not followed.
    pub(crate) fn entry(&self) -> io::Result<(Object, rustix::fs::Stat)> {
        facts::entry(&self.folder, &self.name)
    }

    /// The file that one put here would replace. A link would be replaced too.
    ///
    /// # Errors
    /// `is_dir`, `not_file`: that is replaced by nothing.
    pub(crate) fn replaces(&self) -> Result<Option<Old>, Refused> {
        if self.is_folder {
            return Err(not(
                "is_dir",
                &self.path,
                "the name of a folder, not of a file",
            ));
        }
        let stat = match statat(&self.folder, &self.name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => return Err(self.refused("write", error)),
        };
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Ok(Some(Old {
                owner: (stat.st_uid, stat.st_gid),
                mode: facts::mode(&stat),
            })),
            FileType::Symlink => Ok(None),
            FileType::Directory => Err(not("is_dir", &self.path, "a folder")),
            _ => Err(not("not_file", &self.path, "a pipe, a socket or a device")),
        }
    }

    /// A file without a name in this folder; where the file system cannot, one with a name.
    pub(crate) fn make(&self, mode: u32) -> io::Result<(File, Option<OsString>)> {
        let (flags, mode) = (OFlags::RDWR | OFlags::CLOEXEC, Mode::from_raw_mode(mode));
        match openat(&self.folder, ".", flags | OFlags::TMPFILE, mode) {
            Ok(file) => return Ok((file.into(), None)),
            Err(error @ (Errno::NOENT | Errno::ACCESS | Errno::NOSPC | Errno::ROFS)) => {
                return Err(error.into());
            }
            // Not every file system can; and what else is wrong, the next attempt tells better.
            Err(_) => {}
        }
        let flags = flags | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
        let (file, name) = named(|name| openat(&self.folder, name, flags, mode))?;
        Ok((file.into(), Some(name)))
    }

    /// Gives the file what it is to have, and puts it here, on the disk.
    pub(crate) fn put(
        &self,
        file: &File,
        making: Making<'_>,
        attributes: Attributes,
        old: Option<Old>,
    ) -> io::Result<()> {
        attributes.give(file, old)?;
        file.sync_all()?;
        self.place(file, making)?;
        self.sync()
    }

    /// Gives a file that is on the disk its name here.
    pub(crate) fn place(&self, file: &File, making: Making<'_>) -> io::Result<()> {
        match making {
            Making::Called(name) => Ok(renameat(&self.folder, name, &self.folder, &self.name)?),
            Making::Nameless => self.link(file),
        }
    }

    fn link(&self, file: &File) -> io::Result<()> {
        let own = format!("/proc/self/fd/{}", file.as_raw_fd());
        let link = |name: &OsStr| {
            linkat(
                CWD,
                own.as_str(),
                &self.folder,
                name,
                AtFlags::SYMLINK_FOLLOW,
            )
        };
        match link(&self.name) {
            Err(Errno::EXIST) => {}
            done => return Ok(done?),
        }
        let ((), name) = named(link)?;
        let renamed = renameat(&self.folder, &name, &self.folder, &self.name);
        if renamed.is_err() {
            let _ = unlinkat(&self.folder, &name, AtFlags::empty());
        }
        Ok(renamed?)
    }

    /// The folder's entries are on the disk.
    pub(crate) fn sync(&self) -> io::Result<()> {
        sync(&self.folder)
    }

    /// Removes the name, which is no folder's.
    pub(crate) fn unlink(&self) -> io::Result<()> {
        Ok(unlinkat(&self.folder, &self.name, AtFlags::empty())?)
    }
}

/// Puts a folder's entries on the disk. One that may be written but not read cannot be synced.
pub(crate) fn sync(folder: &OwnedFd) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    match openat(folder, ".", flags, Mode::empty()) {
        Ok(folder) => Ok(rustix::fs::fsync(folder)?),
        Err(Errno::ACCESS) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

impl Attributes {
    /// The mode to make a file with, so that nobody reads it who may not later; the system takes the umask
    /// off where it is open to all.
    pub(crate) fn first_mode(self, old: Option<Old>) -> u32 {
        if self.mode.is_some() || old.is_some() {
            0o600
        } else {
            0o666
        }
    }

    pub(crate) fn give(self, file: &File, old: Option<Old>) -> io::Result<()> {
        if let Some(old) = old {
            let own = fstat(file)?;
            if geteuid().is_root() && (own.st_uid, own.st_gid) != old.owner {
                let (user, group) = (Uid::from_raw(old.owner.0), Gid::from_raw(old.owner.1));
                fchown(file, Some(user), Some(group))?;
            }
        }
        if let Some(mode) = self.mode.or(old.map(|old| old.mode)) {
            fchmod(file, Mode::from_raw_mode(mode))?;
        }
        if let Some(last_modification) = self.mtime {
            let last_access = Timespec {
                tv_sec: 0,
                tv_nsec: UTIME_NOW,
            };
            let times = Timestamps {
                last_access,
                last_modification,
            };
            futimens(file, &times)?;
        }
        Ok(())
    }
}

/// Does something with a name that nobody else has.
fn named<T>(act: impl Fn(&OsStr) -> rustix::io::Result<T>) -> io::Result<(T, OsString)> {
    loop {
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        let name = format!(".remo-unfinished-{:016x}", u64::from_be_bytes(random));
        let name = OsString::from(name);
        match act(&name) {
            Ok(done) => return Ok((done, name)),
            Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
