//! What this machine remembers of an upload, so that another run of the program goes on with it: its id.
//! What was received of it the server knows.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::{FlockOperation, flock};
use serde_json::{Value, json};

use super::hashing;
use crate::hex;

/// The note of one upload; whoever holds it, holds it alone.
#[derive(Debug)]
pub(super) struct Note {
    path: PathBuf,
    file: File,
}

/// What a note says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Noted {
    pub(super) id: String,
    /// Bytes that the source had.
    pub(super) size: u64,
}

impl Note {
    /// The note of what goes to `path` of the server that `server` names; none where another copy holds it, or nothing can
    /// be written down.
    pub(super) fn open(folder: &Path, server: &str, path: &[u8]) -> Option<Self> {
        let key = hashing::of_bytes(&[server.as_bytes(), b"\0", path].concat());
        Self::hold(folder.join(hex::write(&key))).ok().flatten()
    }

    fn hold(path: PathBuf) -> io::Result<Option<Self>> {
        if let Some(folder) = path.parent() {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(folder)?;
        }
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let file = options.mode(0o600).open(&path)?;
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            return Ok(None);
        }
        // The one who held it may have removed it before.
        let still_there = file.metadata()?.nlink() > 0;
        Ok(still_there.then_some(Self { path, file }))
    }

    /// What it says, if it says anything.
    pub(super) fn read(&mut self) -> Option<Noted> {
        let mut text = String::new();
        self.file.seek(SeekFrom::Start(0)).ok()?;
        (&self.file).take(MOST).read_to_string(&mut text).ok()?;
        let all: Value = serde_json::from_str(&text).ok()?;
        let id = all.get("id")?.as_str()?;
        let sound = id.len() == 32
            && id
                .bytes()
                .all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
        sound.then(|| Noted {
            id: id.to_owned(),
            size: all.get("size").and_then(Value::as_u64).unwrap_or_default(),
        })
    }

    /// Writes it anew. That it cannot be written costs no more than going on later.
    pub(super) fn write(&mut self, noted: &Noted) {
        let text = json!({"id": noted.id, "size": noted.size}).to_string();
        let mut write = || {
            self.file.set_len(0)?;
            self.file.seek(SeekFrom::Start(0))?;
            self.file.write_all(text.as_bytes())
        };
        if let Err(error) = write() {
            let why = remo_cli::reason(&error);
            tracing::debug!(why, "an upload could not be noted");
        }
    }

    /// There is nothing to go on with any more.
    pub(super) fn forget(self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Removes notes of uploads that no server has any more.
pub(super) fn sweep(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten().take(SWEPT) {
        let changed = entry.metadata().and_then(|about| about.modified()).ok();
        let age = changed.and_then(|changed| SystemTime::now().duration_since(changed).ok());
        if age.is_some_and(|age| age > KEPT) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Bytes of a note.
const MOST: u64 = 4096;

/// How long servers keep what is unfinished, and a day.
const KEPT: Duration = Duration::from_secs(8 * 24 * 3600);

/// Notes that are looked at in one sweep.
const SWEPT: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_held_by_one_and_read_by_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Note::open(folder.path(), "server", b"/a");
        let mut note = open().unwrap();
        assert_eq!(note.read(), None);
        let noted = Noted {
            id: "0123456789abcdef".repeat(2),
            size: 7,
        };
        note.write(&noted);
        assert!(open().is_none());
        assert!(Note::open(folder.path(), "server", b"/b").is_some());
        drop(note);
        let mut note = open().unwrap();
        assert_eq!(note.read(), Some(noted));
        note.forget();
        assert_eq!(open().unwrap().read(), None);
    }

    #[test]
    fn what_is_no_note_is_not_believed() {
        let folder = tempfile::tempdir().unwrap();
        let mut note = Note::open(folder.path(), "server", b"/a").unwrap();
        let id = "../../../../../../../../etc/passwd";
        note.write(&Noted {
            id: id.into(),
            size: 1,
        });
        assert_eq!(note.read(), None);
    }
}
