//! Data for the server, of any length, and how far they have got.
//! Not here: how they become the body of a request, which is `sending`.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use remo_protocol::body::Sealer;
use remo_protocol::limits;

use crate::error::Error;

/// What is called with the number of bytes that were handed over so far.
pub type Progress = Box<dyn FnMut(u64) + Send>;

/// Data for the server.
pub struct Upload {
    reader: Box<dyn Read + Send>,
    name: PathBuf,
    size: Option<u64>,
    progress: Option<Progress>,
    pub(crate) state: Arc<State>,
}

impl Upload {
    /// No data.
    #[must_use]
    pub fn empty() -> Self {
        Self::bytes(Vec::new())
    }

    /// Data at hand.
    #[must_use]
    pub fn bytes(data: impl Into<Vec<u8>>) -> Self {
        let data = data.into();
        let size = Some(data.len() as u64);
        Self {
            reader: Box::new(io::Cursor::new(data)),
            name: "the data".into(),
            size,
            progress: None,
            state: Arc::default(),
        }
    }

    /// Data of unknown length; `name` is for messages.
    #[must_use]
    pub fn reader(reader: impl Read + Send + 'static, name: &str) -> Self {
        Self {
            reader: Box::new(reader),
            name: name.into(),
            size: None,
            progress: None,
            state: Arc::default(),
        }
    }

    /// The content of a file, device or pipe.
    ///
    /// # Errors
    /// [`Error::File`] where it cannot be opened or is a folder, [`Error::TooLarge`].
    pub fn file(path: &Path) -> Result<Self, Error> {
        let failed = |cause| Error::read(path, cause);
        let file = File::open(path).map_err(failed)?;
        let about = file.metadata().map_err(failed)?;
        if about.is_dir() {
            return Err(failed(io::ErrorKind::IsADirectory.into()));
        }
        let size = about.is_file().then_some(about.len());
        if let Some(size) = size.filter(|size| limits::token_data(*size).is_none()) {
            return Err(Error::TooLarge(size));
        }
        Ok(Self {
            reader: Box::new(file),
            name: path.into(),
            size,
            progress: None,
            state: Arc::default(),
        })
    }

    /// Tells `progress` how far it got.
    #[must_use]
    pub fn with_progress(mut self, progress: Progress) -> Self {
        self.progress = Some(progress);
        self
    }

    /// What watches the data on their way.
    #[must_use]
    pub fn meter(&self) -> Meter {
        Meter(Arc::clone(&self.state))
    }

    /// How many bytes there are, where that is known.
    #[must_use]
    pub fn size(&self) -> Option<u64> {
        self.size
    }

    /// How many bytes of data the first token takes: `most`, unless it is known that they do not suffice.
    pub(crate) fn first_token_data(&self, most: usize) -> usize {
        let many = self.size.filter(|size| *size > most as u64);
        many.and_then(limits::token_data).unwrap_or(most)
    }

    /// How many bytes of data the next token takes.
    pub(crate) fn token_data(&self, sealer: &Sealer) -> usize {
        self.size
            .and_then(limits::token_data)
            .unwrap_or_else(|| sealer.wanted())
    }

    /// Fills `buffer` with up to `length` bytes; less means the end.
    pub(crate) fn fill(&mut self, buffer: &mut Vec<u8>, length: usize) -> Result<(), Error> {
        buffer.clear();
        let expected = self.size.and_then(|size| usize::try_from(size).ok());
        buffer.reserve(expected.unwrap_or(limits::TOKEN_DATA).min(length));
        let read = self.reader.by_ref().take(length as u64).read_to_end(buffer);
        read.map(drop)
            .map_err(|cause| Error::read(&self.name, cause))
    }

    pub(crate) fn moved(&mut self, done: u64) {
        self.state.moved.store(done, Ordering::Relaxed);
        self.tell(done);
    }

    pub(crate) fn tell(&mut self, done: u64) {
        if let Some(progress) = &mut self.progress {
            progress(done);
        }
    }
}

impl fmt::Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upload")
            .field("name", &self.name)
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}

/// Watches data on their way to the server.
#[derive(Debug)]
pub struct Meter(Arc<State>);

impl Meter {
    /// Waits until more than one token's data are being sent, and none of them has been taken for `time`.
    pub async fn stands_still(&self, time: Duration) {
        let (mut since, mut before) = (Instant::now(), None);
        loop {
            let now = self.0.standing();
            if now.is_none() || now != before {
                (since, before) = (Instant::now(), now);
            } else if since.elapsed() >= time {
                return;
            }
            tokio::time::sleep(GLANCE).await;
        }
    }
}

/// How often a [`Meter`] looks.
const GLANCE: Duration = Duration::from_millis(200);

/// What is known of data while they are being sent.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) moved: AtomicU64,
    /// They are more than one token's.
    pub(crate) streams: AtomicBool,
    /// Why they cannot be read or sealed.
    pub(crate) fault: Mutex<Option<Error>>,
}

impl State {
    /// How much of a stream has moved so far.
    fn standing(&self) -> Option<u64> {
        self.streams
            .load(Ordering::Relaxed)
            .then(|| self.moved.load(Ordering::Relaxed))
    }
}

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

/// Does what may wait for a disk where nothing else waits for it.
pub(crate) async fn blocking<T: Send + 'static>(
    act: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(act)
        .await
        .map_err(|cause| Error::Output(io::Error::other(cause)))?
}

#[cfg(test)]
mod tests {
    use remo_protocol::body::Lineation;
    use remo_protocol::fernet::FernetKey;

    use super::*;

    #[test]
    fn tokens_grow_with_the_file_so_that_their_numbers_last() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sparse");
        let sealer = Sealer::v0_3(FernetKey::from_bytes(&[0; 32]), Lineation::Between);
        for gib in [0, 1, 40, 100] {
            File::create(&path).unwrap().set_len(gib << 30).unwrap();
            let data = Upload::file(&path).unwrap().token_data(&sealer);
            assert!(
                (gib << 30).div_ceil(data as u64) < u64::from(limits::LAST_NUMBER),
                "{gib} GiB"
            );
        }
        File::create(&path).unwrap().set_len(200 << 30).unwrap();
        assert!(matches!(Upload::file(&path), Err(Error::TooLarge(_))));
    }
}
