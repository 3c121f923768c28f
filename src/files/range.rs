//! `/get` of remo/2: a range of a file, piece by piece, and the hash of a range. Memory does not grow with either.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use remo_files::append_at;
use remo_protocol::remo2::json::Object;
use rustix::fs::{CWD, FileType, Mode, OFlags, Stat, fstat, openat};
use sha2::{Digest, Sha256};

use super::{
    PATIENCE, Pieces, facts,
    refusal::{not, refused},
};
use crate::channels::Refused;

/// A file that is being read.
pub(crate) struct Range {
    file: File,
    path: PathBuf,
    at: u64,
    end: u64,
    hash: Option<Sha256>,
    until: Instant,
    stopping: Arc<AtomicBool>,
}

/// Opens a regular file; a link is followed, a pipe is not waited for, and a device is not touched. Its last change is old
/// enough for its facts to tell the next.
pub(crate) fn open(path: &Path) -> Result<(File, Stat), Refused> {
    let (file, _) = look(path)?;
    let stat = facts::settled(&file).map_err(|error| refused("read", path, &error))?;
    Ok((file, stat))
}

/// The same as it is now.
pub(crate) fn look(path: &Path) -> Result<(File, Stat), Refused> {
    let failed = |error: io::Error| refused("read", path, &error);
    // Looked at before it is opened, since opening alone can start something in a device.
    let there = rustix::fs::stat(path).map_err(|error| failed(error.into()))?;
    check(path, &there)?;
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = openat(CWD, path, flags, Mode::empty()).map_err(|error| failed(error.into()))?;
    let file = File::from(file);
    let stat = fstat(&file).map_err(|error| failed(error.into()))?;
    // And again, since another may stand there now.
    check(path, &stat)?;
    Ok((file, stat))
}

fn check(path: &Path, stat: &Stat) -> Result<(), Refused> {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Ok(()),
        FileType::Directory => Err(not("is_dir", path, "a folder")),
        _ => Err(not("not_file", path, "a pipe, a socket or a device")),
    }
}

/// Where a range that begins at `offset` ends in a file of this size.
pub(crate) fn end(offset: u64, length: Option<u64>, size: u64) -> u64 {
    let end = length.and_then(|length| offset.checked_add(length));
    end.unwrap_or(u64::MAX).min(size)
}

impl Range {
    /// Opens the range; gives what `H` says of it.
    pub(crate) fn open(
        path: &Path,
        offset: u64,
        length: Option<u64>,
        hash: bool,
        stopping: Arc<AtomicBool>,
    ) -> Result<(Object, Self), Refused> {
        let (file, stat) = open(path)?;
        let size = facts::size(&stat);
        let mut head = Object::new();
        head.insert("size".into(), size.into());
        head.insert("mtime".into(), facts::mtime(&stat));
        head.insert("mode".into(), facts::mode(&stat).into());
        head.insert("etag".into(), facts::etag(&stat).into());
        let range = Self {
            file,
            path: path.to_owned(),
            at: offset,
            end: end(offset, length, size),
            hash: hash.then(Sha256::new),
            until: Instant::now() + PATIENCE,
            stopping,
        };
        Ok((head, range))
    }

    fn read(&mut self, buffer: &mut Vec<u8>) -> io::Result<bool> {
        let left = self.end.saturating_sub(self.at);
        let late = self.until <= Instant::now() || self.stopping.load(Ordering::Relaxed);
        if left == 0 || late {
            return Ok(true);
        }
        let want = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
        let read = append_at(&self.file, self.at, want, buffer)?;
        self.at += read as u64;
        if let Some(hash) = &mut self.hash {
            hash.update(&*buffer);
        }
        // It is shorter than it was: the etag tells.
        Ok(read < want)
    }

    fn trailer(&mut self, read: io::Result<()>) -> Object {
        let mut trailer = Object::new();
        let etag = read.and_then(|()| Ok(facts::etag(&fstat(&self.file)?)));
        match etag {
            Ok(etag) => drop(trailer.insert("etag".into(), etag.into())),
            Err(error) => {
                let refused = refused("read", &self.path, &error);
                trailer.insert("error".into(), refused.name.into());
                trailer.insert("message".into(), refused.message.into());
            }
        }
        if let Some(hash) = self.hash.take() {
            trailer.insert("sha256".into(), hex(&hash.finalize().into()).into());
        }
        trailer
    }
}

impl Pieces for Range {
    fn next(&mut self, buffer: &mut Vec<u8>) -> Option<Object> {
        match self.read(buffer) {
            Ok(false) => None,
            Ok(true) => Some(self.trailer(Ok(()))),
            Err(error) => {
                buffer.clear();
                Some(self.trailer(Err(error)))
            }
        }
    }
}

/// Reads until the buffer is full or the file ends.
pub(crate) fn fill(file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    let mut read = 0;
    while let Some(rest) = buffer.get_mut(read..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, at + read as u64) {
            Ok(0) => break,
            Ok(more) => read += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}

pub(crate) fn hex(hash: &[u8; 32]) -> String {
    use std::fmt::Write;
    hash.iter()
        .fold(String::with_capacity(64), |mut text, byte| {
            // Writing into memory does not fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

/// Bytes of a piece: one token.
const PIECE: usize = 512 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_ends_early_when_its_time_is_over_and_what_was_read_is_good() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, vec![7; 2 * PIECE]).unwrap();
        let (_, mut range) = Range::open(&path, 0, None, true, Arc::default()).unwrap();
        let mut buffer = Vec::new();
        assert!(range.next(&mut buffer).is_none());
        assert_eq!(buffer.len(), PIECE);
        range.until = Instant::now();
        buffer.clear();
        let trailer = range.next(&mut buffer).unwrap();
        assert!(buffer.is_empty());
        let read = Sha256::digest(vec![7; PIECE]).into();
        assert_eq!(trailer["sha256"], hex(&read));
        assert!(trailer.contains_key("etag") && !trailer.contains_key("error"));
    }

    #[test]
    fn a_file_that_is_cut_while_it_is_read_ends_with_another_etag() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, vec![7; 3 * PIECE]).unwrap();
        let (head, mut range) = Range::open(&path, 0, None, false, Arc::default()).unwrap();
        let mut buffer = Vec::new();
        assert!(range.next(&mut buffer).is_none());
        let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        file.set_len(PIECE as u64 + 5).unwrap();
        buffer.clear();
        let trailer = range.next(&mut buffer).unwrap();
        assert_eq!(buffer.len(), 5);
        assert_ne!(trailer["etag"], head["etag"]);
    }
}
