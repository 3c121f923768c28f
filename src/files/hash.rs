//! `hash`: SHA-256 of a range of a file. What takes longer than one answer may is kept where it is, for a while,
//! and goes on when it is asked for again.

use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use remo_protocol::remo2::json::Object;
use sha2::{Digest, Sha256};

use super::{PATIENCE, facts, range, refusal::refused};
use crate::channels::Refused;

/// Which range of which content.
#[derive(Clone, Debug, PartialEq, Eq)]
struct What {
    path: PathBuf,
    etag: String,
    offset: u64,
    length: Option<u64>,
}

/// A hash that was not finished.
struct Parked {
    what: What,
    hash: Sha256,
    at: u64,
    since: Instant,
}

/// Those that were not finished.
#[derive(Default)]
pub(crate) struct Hashes(Mutex<VecDeque<Parked>>);

impl Hashes {
    /// What `T` says of the range.
    pub(crate) fn hash(
        &self,
        path: &Path,
        offset: u64,
        length: Option<u64>,
        stopping: &AtomicBool,
    ) -> Result<Object, Refused> {
        let until = Instant::now() + PATIENCE;
        let goes_on = || Instant::now() < until && !stopping.load(Ordering::Relaxed);
        self.hash_while(path, offset, length, goes_on)
    }

    fn hash_while(
        &self,
        path: &Path,
        offset: u64,
        length: Option<u64>,
        mut goes_on: impl FnMut() -> bool,
    ) -> Result<Object, Refused> {
        let (file, stat) = range::open(path)?;
        let size = facts::size(&stat);
        let end = range::end(offset, length, size);
        let what = What {
            path: path.to_owned(),
            etag: facts::etag(&stat),
            offset,
            length,
        };
        let (mut hash, mut at) = self.take(&what).unwrap_or((Sha256::new(), offset));
        let mut buffer = vec![0; PIECE];
        while at < end && goes_on() {
            let want = usize::try_from(end - at).unwrap_or(PIECE).min(PIECE);
            let piece = buffer.get_mut(..want).unwrap_or_default();
            let read =
                range::fill(&file, piece, at).map_err(|error| refused("read", path, &error))?;
            hash.update(piece.get(..read).unwrap_or_default());
            at += read as u64;
            if read < want {
                break;
            }
        }
        let now = rustix::fs::fstat(&file).map_err(|error| refused("read", path, &error.into()))?;
        let mut trailer = Object::new();
        let digest = hash.clone().finalize().into();
        trailer.insert("sha256".into(), range::hex(&digest).into());
        trailer.insert("length".into(), at.saturating_sub(offset).into());
        trailer.insert("size".into(), size.into());
        trailer.insert("etag".into(), facts::etag(&now).into());
        if at < end {
            trailer.insert("partial".into(), true.into());
            self.park(what, hash, at);
        }
        Ok(trailer)
    }

    fn take(&self, what: &What) -> Option<(Sha256, u64)> {
        let mut parked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        parked.retain(|parked| parked.since.elapsed() < KEPT);
        let place = parked.iter().position(|parked| parked.what == *what)?;
        parked.remove(place).map(|parked| (parked.hash, parked.at))
    }

    fn park(&self, what: What, hash: Sha256, at: u64) {
        let mut parked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if parked.len() >= MOST {
            parked.pop_front();
        }
        parked.push_back(Parked {
            what,
            hash,
            at,
            since: Instant::now(),
        });
    }
}

/// Bytes that are read at once.
const PIECE: usize = 256 * 1024;

/// How long an unfinished one is kept.
const KEPT: Duration = Duration::from_secs(60);

/// Unfinished ones that are kept.
const MOST: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_that_takes_long_goes_on_where_it_was_while_the_file_is_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let data: Vec<u8> = (0..PIECE * 5 + 3).map(|at| (at / 7) as u8).collect();
        std::fs::write(&path, &data).unwrap();
        let (hashes, mut asked) = (Hashes::default(), 0);
        let sha256 = |data: &[u8]| range::hex(&Sha256::digest(data).into());
        for end in [2 * PIECE, 4 * PIECE, data.len()] {
            let mut left = 3;
            let goes_on = || {
                asked += 1;
                left -= 1;
                left > 0
            };
            let told = hashes.hash_while(&path, 0, None, goes_on).unwrap();
            assert_eq!(told["length"], end);
            assert_eq!(told["sha256"], sha256(&data[..end]));
            assert_eq!(told.contains_key("partial"), end < data.len());
        }
        assert_eq!(asked, 8, "no piece was read twice");
        hashes.hash_while(&path, 0, None, || false).unwrap();
        std::fs::write(&path, b"another").unwrap();
        let told = hashes.hash_while(&path, 0, None, || true).unwrap();
        assert_eq!(told["sha256"], sha256(b"another"));
        for offset in 0..2 * MOST as u64 {
            hashes
                .hash_while(&path, offset % 7, Some(offset), || false)
                .unwrap();
        }
        assert!(hashes.0.lock().unwrap().len() <= MOST);
    }
}
