//! `ls`: the entries of a folder as lines, piece by piece. Memory does not grow with their number.

use std::{
    ffi::OsStr,
    io,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use remo_protocol::remo2::json::Object;
use rustix::fs::{CWD, Dir, Mode, OFlags, openat};

use super::{Pieces, facts, refusal::refused};
use crate::channels::Refused;

/// A folder that is being read.
pub(crate) struct List {
    folder: Dir,
    path: PathBuf,
    stopping: Arc<AtomicBool>,
}

impl List {
    pub(crate) fn open(path: &Path, stopping: Arc<AtomicBool>) -> Result<Self, Refused> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let folder = openat(CWD, path, flags, Mode::empty()).and_then(Dir::new);
        Ok(Self {
            folder: folder.map_err(|error| refused("list", path, &error.into()))?,
            path: path.to_owned(),
            stopping,
        })
    }

    fn read(&mut self, lines: &mut Vec<u8>) -> io::Result<bool> {
        while lines.len() < PIECE {
            if self.stopping.load(Ordering::Relaxed) {
                return Err(rustix::io::Errno::CANCELED.into());
            }
            let Some(entry) = self.folder.read().transpose()? else {
                return Ok(true);
            };
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name == "." || name == ".." {
                continue;
            }
            match facts::entry(self.folder.fd()?, name) {
                Ok((entry, _)) => facts::line(entry, name, lines),
                // It was removed meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }
}

impl Pieces for List {
    fn next(&mut self, buffer: &mut Vec<u8>) -> Option<Object> {
        match self.read(buffer) {
            Ok(false) => None,
            Ok(true) => Some(Object::new()),
            Err(error) => {
                let refused = refused("list", &self.path, &error);
                let mut trailer = Object::new();
                trailer.insert("error".into(), refused.name.into());
                trailer.insert("message".into(), refused.message.into());
                Some(trailer)
            }
        }
    }
}

/// Bytes from which on a piece is large enough. A line has some kilobytes at most.
const PIECE: usize = 64 * 1024;
