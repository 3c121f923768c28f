//! Many small files by one request: each is put or got as it would be alone, and what alone would be an answer of its own is
//! here whether it went. Why one did not go is told to whoever asks for it alone.

use std::{
    collections::BTreeSet,
    ffi::{OsStr, OsString},
    fs::File,
    os::{
        fd::{AsFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::{Buf, Bytes};
use remo_files::append_at;
use remo_protocol::remo2::json::Object;
use rustix::{
    fs::{Mode, OFlags, fstat, openat, syncfs},
    io::Errno,
};
use serde_json::Value;

use super::{
    Pieces, facts, range,
    target::{self, Attributes, Making, Target},
    whole,
};
use crate::channels::Refused;

/// One file of several that are put.
#[derive(Debug)]
pub(crate) struct One {
    pub(crate) path: PathBuf,
    pub(crate) size: u64,
    pub(crate) attributes: Attributes,
    pub(crate) sha256: Option<[u8; 32]>,
}

/// Which of the files, by their places, did not go: at most [`MOST`].
pub(crate) type Failed = u64;

/// Puts files, whose bytes are `data`, one after the other. All are on the disk before any gets its name.
pub(crate) fn put(files: &[One], data: Vec<Bytes>) -> Failed {
    let mut bytes = Bytewise(data);
    let mut folders = Folders::default();
    let mut made = Vec::with_capacity(files.len());
    let mut failed = 0;
    for (place, file) in files.iter().enumerate() {
        // They are passed also where the file cannot be.
        let data = bytes.take(file.size);
        match make(file, &data, &mut folders) {
            Ok(file) => made.push((place, file)),
            Err(_) => failed |= 1 << place,
        }
    }
    let synced = sync_files(made.iter().map(|(_, made)| &made.file));
    for (place, made) in &made {
        if !synced || made.name().is_err() {
            made.undo();
            failed |= 1 << place;
        }
    }
    if folders.sync() {
        failed
    } else {
        all(files.len())
    }
}

/// A file with all its bytes, which has not its name yet.
struct Made {
    target: Target,
    file: File,
    /// The name that it has so far, where the file system makes none without.
    so_far: Option<OsString>,
}

fn make(one: &One, data: &[Bytes], folders: &mut Folders) -> Result<Made, Refused> {
    whole::proved(&one.path, data, one.sha256)?;
    let target = folders.target(&one.path)?;
    let old = target.replaces()?;
    let failed = |error| target.refused("write", error);
    let made = target.make(one.attributes.first_mode(old));
    let (file, so_far) = made.map_err(failed)?;
    let written = whole::write(&file, data).and_then(|_| one.attributes.give(&file, old));
    let refused = written.map_err(failed).err();
    let made = Made {
        target,
        file,
        so_far,
    };
    match refused {
        None => Ok(made),
        Some(refused) => {
            made.undo();
            Err(refused)
        }
    }
}

impl Made {
    fn name(&self) -> std::io::Result<()> {
        let making = self.so_far.as_deref();
        let making = making.map_or(Making::Nameless, Making::Called);
        self.target.place(&self.file, making)
    }

    fn undo(&self) {
        if let Some(name) = &self.so_far {
            let _ = self.target.beside(name.clone()).unlink();
        }
    }
}

/// The folders that files were put into, each opened once as long as they come folder by folder.
#[derive(Default)]
struct Folders {
    /// The beginning of the last path, up to its last stroke.
    last: Vec<u8>,
    all: Vec<Arc<OwnedFd>>,
}

impl Folders {
    fn target(&mut self, path: &Path) -> Result<Target, Refused> {
        let bytes = path.as_os_str().as_bytes();
        let name = bytes.strip_prefix(&*self.last).unwrap_or_default();
        let plain = !name.contains(&b'/') && !matches!(name, b"" | b"." | b"..");
        if let Some(folder) = self.all.last().filter(|_| plain) {
            let name = OsStr::from_bytes(name).to_owned();
            return Ok(Target::within(folder.clone(), name, path));
        }
        let target = Target::of(path, "write")?;
        self.all.push(target.folder.clone());
        let end = bytes
            .iter()
            .rposition(|byte| *byte == b'/')
            .map_or(0, |at| at + 1);
        self.last = bytes.get(..end).unwrap_or_default().to_vec();
        Ok(target)
    }

    /// The new names are on the disk. A folder that may not be read cannot be asked for it.
    fn sync(&self) -> bool {
        if self.all.len() <= FEW {
            return self.all.iter().all(|folder| target::sync(folder).is_ok());
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let open = |folder| match openat(folder, ".", flags, Mode::empty()) {
            Err(Errno::ACCESS) => None,
            opened => Some(opened),
        };
        let opened = self
            .all
            .iter()
            .filter_map(open)
            .collect::<Result<Vec<_>, _>>();
        opened.is_ok_and(|folders| sync_systems(folders.iter()))
    }
}

/// Puts files on the disk: few of them one by one, many by all that their file systems still hold.
fn sync_files<'a>(files: impl ExactSizeIterator<Item = &'a File>) -> bool {
    if files.len() <= FEW {
        files.into_iter().all(|file| file.sync_all().is_ok())
    } else {
        sync_systems(files)
    }
}

fn sync_systems<'a, F: AsFd + 'a>(files: impl Iterator<Item = &'a F>) -> bool {
    let mut systems = BTreeSet::new();
    let mut synced = |file: &F| match fstat(file) {
        Ok(stat) if systems.insert(stat.st_dev) => syncfs(file).is_ok(),
        found => found.is_ok(),
    };
    files.into_iter().all(&mut synced)
}

/// Bytes in pieces, taken from their beginning.
struct Bytewise(Vec<Bytes>);

impl Bytewise {
    /// So many of them, still in pieces.
    fn take(&mut self, mut length: u64) -> Vec<Bytes> {
        let mut taken = Vec::new();
        for piece in &mut self.0 {
            if length == 0 {
                break;
            }
            let here =
                usize::try_from(length).map_or(piece.len(), |length| length.min(piece.len()));
            if here > 0 {
                taken.push(piece.slice(..here));
                piece.advance(here);
                length -= here as u64;
            }
        }
        self.0.retain(|piece| !piece.is_empty());
        taken
    }
}

/// Files whole, one after the other, and what is said of each: nothing where it has to be asked for alone, since it is too
/// long, changes, or cannot be read.
pub(crate) struct Got {
    data: Vec<u8>,
    said: Vec<Value>,
}

/// Reads them.
pub(crate) fn get(paths: &[PathBuf]) -> Got {
    let mut data = Vec::new();
    let said = paths
        .iter()
        .map(|path| read(path, &mut data).map_or(Value::Null, Value::Object));
    let said = said.collect();
    Got { data, said }
}

impl Pieces for Got {
    fn next(&mut self, buffer: &mut Vec<u8>) -> Option<Object> {
        *buffer = std::mem::take(&mut self.data);
        let said = std::mem::take(&mut self.said);
        Some(Object::from_iter([("files".into(), said.into())]))
    }
}

fn read(path: &Path, data: &mut Vec<u8>) -> Option<Object> {
    let (file, stat) = range::look(path).ok()?;
    let size = usize::try_from(facts::size(&stat)).ok()?;
    let begin = data.len();
    if !facts::is_settled(&stat) || begin + size > ANSWER {
        return None;
    }
    let read = append_at(&file, 0, size, data);
    let same = fstat(&file).is_ok_and(|now| facts::etag(&now) == facts::etag(&stat));
    if !same || read.ok() != Some(size) {
        data.truncate(begin);
        return None;
    }
    let mut said = Object::new();
    said.insert("size".into(), size.into());
    said.insert("mtime".into(), facts::mtime(&stat));
    said.insert("mode".into(), facts::mode(&stat).into());
    Some(said)
}

fn all(count: usize) -> Failed {
    Failed::MAX >> (MOST - count.clamp(1, MOST))
}

/// Files of one request.
pub(crate) const MOST: usize = Failed::BITS as usize;

/// Bytes that an answer has at most.
const ANSWER: usize = 1 << 20;

/// So few are put on the disk one by one.
const FEW: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;

    fn one(path: PathBuf, size: u64) -> One {
        One {
            path,
            size,
            attributes: Attributes::default(),
            sha256: None,
        }
    }

    #[test]
    fn each_file_gets_its_bytes_however_they_are_cut_and_what_cannot_be_is_told_by_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["a", "b"] {
            std::fs::create_dir(path(name)).unwrap();
        }
        let files = [
            one(path("a/1"), 3),
            one(path("missing/2"), 4),
            one(path("a/3"), 0),
            one(path("b"), 2),
            one(path("b/5"), 5),
            one(path("new"), 1),
            One {
                sha256: Some([7; 32]),
                ..one(path("a/false"), 1)
            },
        ];
        let data: Vec<_> = b"aaa----bbccccc"
            .chunks(4)
            .map(Bytes::copy_from_slice)
            .collect();
        let data = [data, vec!["n?".into()]].concat();
        assert_eq!(put(&files, data), 0b100_1010);
        let read = |name: &str| std::fs::read(path(name)).unwrap();
        assert_eq!((read("a/1"), read("a/3")), (b"aaa".to_vec(), vec![]));
        assert_eq!(
            (read("b/5"), read("new")),
            (b"ccccc".to_vec(), b"n".to_vec())
        );
        assert_eq!(
            std::fs::read_dir(path("a")).unwrap().count(),
            2,
            "nothing is left beside them"
        );
        assert_eq!(all(1), 1);
        assert_eq!(all(MOST), Failed::MAX);
    }

    #[test]
    fn files_are_given_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("short"), "short").unwrap();
        std::fs::write(path("long"), vec![1; ANSWER]).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(25));
        std::fs::write(path("fresh"), "changes perhaps").unwrap();
        let asked = ["short", "long", "missing", "fresh", "short"].map(path);
        let Got { data, said } = get(&asked);
        assert_eq!(data, b"shortshort");
        assert!(said[1].is_null() && said[2].is_null() && said[3].is_null());
        assert_eq!((&said[0]["size"], &said[4]["size"]), (&5.into(), &5.into()));
    }
}
