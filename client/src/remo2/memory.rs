//! What is known of paths, kept in a file from one run to the next: a hint, which is ignored where it is old or spoilt.
//! Nothing in it says where the paths lead. Not here: what follows from it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path as FilePath, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::path::{Flow, Known};

/// Where the knowledge of one path is kept.
#[derive(Clone, Debug)]
pub struct Memory {
    file: PathBuf,
}

/// The whole file.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Kept {
    paths: BTreeMap<String, Entry>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Entry {
    /// Seconds since 1970.
    learnt: u64,
    /// Whether answers stream, where that is known.
    streams: Option<bool>,
    alone: bool,
    wait: u64,
    body: usize,
}

impl Memory {
    /// In this file, which need not be there.
    #[must_use]
    pub fn new(file: PathBuf) -> Self {
        Self { file }
    }

    /// What was learnt of a path, not too long ago.
    pub(crate) fn recall(&self, path: &str) -> Option<Known> {
        let kept = read(&self.file).unwrap_or_default();
        kept.paths
            .get(path)
            .filter(|entry| entry.is_fresh())?
            .known()
    }

    /// Keeps what is known of a path.
    ///
    /// # Errors
    /// Those of the file system.
    pub(crate) fn keep(&self, path: &str, known: Known) -> io::Result<()> {
        let mut kept = read(&self.file).unwrap_or_default();
        kept.paths.retain(|_, entry| entry.is_fresh());
        kept.paths.insert(path.to_owned(), Entry::of(known));
        while kept.paths.len() > MOST {
            let oldest = kept.paths.iter().min_by_key(|(_, entry)| entry.learnt);
            let Some(oldest) = oldest.map(|(path, _)| path.clone()) else {
                break;
            };
            kept.paths.remove(&oldest);
        }
        remo_files::write_private(&self.file, &serde_json::to_vec(&kept)?)
    }
}

impl Entry {
    fn of(known: Known) -> Self {
        Self {
            learnt: now(),
            streams: match known.flow {
                Flow::Unknown => None,
                flow => Some(flow == Flow::Streams),
            },
            alone: known.alone,
            wait: known.wait,
            body: known.body,
        }
    }

    fn is_fresh(&self) -> bool {
        let now = now();
        self.learnt <= now && now - self.learnt < AGE
    }

    fn known(&self) -> Option<Known> {
        let sound = WAITS.contains(&self.wait) && BODIES.contains(&self.body);
        sound.then_some(Known {
            flow: match self.streams {
                None => Flow::Unknown,
                Some(false) => Flow::Parked,
                Some(true) => Flow::Streams,
            },
            alone: self.alone,
            wait: self.wait,
            body: self.body,
        })
    }
}

fn read(file: &FilePath) -> Option<Kept> {
    let mut text = Vec::new();
    let file = File::open(file).ok()?;
    file.take(LONGEST + 1).read_to_end(&mut text).ok()?;
    if text.len() as u64 > LONGEST {
        return None;
    }
    serde_json::from_slice(&text).ok()
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

/// Seconds after which nothing is believed any more: a day.
const AGE: u64 = 24 * 3600;

/// Paths that are kept.
const MOST: usize = 256;

/// Bytes of the file.
const LONGEST: u64 = 128 * 1024;

/// What a file may say.
const WAITS: std::ops::RangeInclusive<u64> = 250..=20_000;
const BODIES: std::ops::RangeInclusive<usize> = 8 * 1024..=4 << 20;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const KNOWN: Known = Known {
        flow: Flow::Streams,
        alone: true,
        wait: 5000,
        body: 1 << 20,
    };

    fn memory() -> (tempfile::TempDir, Memory) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("remo").join("paths.json");
        (folder, Memory::new(file))
    }

    #[test]
    fn what_is_kept_is_recalled_and_nobody_else_may_read_it() {
        let (_folder, memory) = memory();
        assert_eq!(memory.recall("a"), None);
        memory.keep("a", KNOWN).unwrap();
        memory.keep("b", Known::default()).unwrap();
        assert_eq!(memory.recall("a"), Some(KNOWN));
        assert_eq!(memory.recall("b"), Some(Known::default()));
        let mode = |path: &FilePath| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&memory.file), 0o600);
        assert_eq!(mode(memory.file.parent().unwrap()), 0o700);
    }

    #[test]
    fn what_is_spoilt_old_or_beyond_belief_is_ignored_and_replaced() {
        let (_folder, memory) = memory();
        memory.keep("a", KNOWN).unwrap();
        let good = std::fs::read_to_string(&memory.file).unwrap();
        let learnt = now().to_string();
        for spoilt in [
            good.replace("5000", "0"),
            good.replace("1048576", "99999999"),
            good.replace(&learnt, "1000"),
            good.replace(&learnt, "99999999999"),
            good.replace('}', ""),
            " ".repeat(200_000) + &good,
        ] {
            assert_ne!(spoilt, good);
            std::fs::write(&memory.file, spoilt).unwrap();
            assert_eq!(memory.recall("a"), None);
        }
        memory.keep("a", KNOWN).unwrap();
        assert_eq!(memory.recall("a"), Some(KNOWN));
    }

    #[test]
    fn the_file_has_a_ceiling() {
        let (_folder, memory) = memory();
        let paths = (0..MOST).map(|number| (format!("{number:032}"), Entry::of(KNOWN)));
        let mut kept = Kept {
            paths: paths.collect(),
        };
        for entry in kept.paths.values_mut() {
            entry.learnt -= 10;
        }
        write_whole(&memory, &kept);
        memory.keep("new", KNOWN).unwrap();
        let read = read(&memory.file).unwrap();
        assert_eq!(read.paths.len(), MOST);
        assert!(read.paths.contains_key("new"));
    }

    fn write_whole(memory: &Memory, kept: &Kept) {
        remo_files::write_private(&memory.file, &serde_json::to_vec(kept).unwrap()).unwrap();
    }
}
