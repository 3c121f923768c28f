//! The body of a request: data of any length, read and sealed by a thread of its own while they are sent.
//! Not here: the sealing itself, which is the protocol's.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use futures_util::stream;
use remo_protocol::body::Sealer;
use remo_protocol::fernet::Sealed;
use remo_protocol::limits;
use reqwest::Body;
use tokio::sync::mpsc;

use crate::error::Error;

/// What is called with the number of bytes that were handed over so far.
pub type Progress = Box<dyn FnMut(u64) + Send>;

/// Data for the server.
pub struct Upload {
    reader: Box<dyn Read + Send>,
    name: PathBuf,
    size: Option<u64>,
    progress: Option<Progress>,
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
        })
    }

    /// Tells `progress` how far it got.
    #[must_use]
    pub fn with_progress(mut self, progress: Progress) -> Self {
        self.progress = Some(progress);
        self
    }

    /// How many bytes there are, where that is known.
    #[must_use]
    pub fn size(&self) -> Option<u64> {
        self.size
    }

    /// How many bytes of data the next token takes.
    fn token_data(&self, sealer: &Sealer) -> usize {
        self.size
            .and_then(limits::token_data)
            .unwrap_or_else(|| sealer.wanted())
    }

    /// Fills `buffer` with up to `length` bytes; less means the end.
    fn fill(&mut self, buffer: &mut Vec<u8>, length: usize) -> Result<(), Error> {
        buffer.clear();
        let read = self.reader.by_ref().take(length as u64).read_to_end(buffer);
        read.map(drop)
            .map_err(|cause| Error::read(&self.name, cause))
    }

    fn tell(&mut self, done: u64) {
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

/// A body on its way.
pub(crate) struct Sending {
    /// What the HTTP client sends; nothing where dialect 0.3 has no data.
    pub(crate) body: Option<Body>,
    state: Arc<State>,
}

impl Sending {
    /// Seals one token that is all of the body; `bare` says that a body without data is none (dialect 0.3).
    fn whole(sealer: Sealer, data: &[u8], bare: bool) -> Result<Self, Error> {
        let mut sealed = Sealed::default();
        let body = if bare && data.is_empty() {
            None
        } else {
            sealer
                .whole(data, now(), &mut sealed)
                .map_err(Error::Seal)?;
            Some(Body::from(sealed.text))
        };
        Ok(Self {
            body,
            state: Arc::default(),
        })
    }

    /// Begins to read and seal `upload`. What fits one token has a length; more is a stream.
    pub(crate) async fn start(
        mut upload: Upload,
        sealer: Sealer,
        bare: bool,
    ) -> Result<Self, Error> {
        let first = upload.token_data(&sealer);
        let (mut upload, data) = blocking(move || {
            let mut data = Vec::new();
            upload.fill(&mut data, first).map(|()| (upload, data))
        })
        .await?;
        if data.len() < first {
            upload.tell(data.len() as u64);
            return Self::whole(sealer, &data, bare);
        }
        let (to, from) = mpsc::channel(TOKENS_AHEAD);
        let state = Arc::<State>::default();
        let seen = Arc::clone(&state);
        tokio::task::spawn_blocking(move || stream_tokens(upload, sealer, data, &to, &seen));
        let body = stream::unfold(from, |mut from| async move {
            from.recv().await.map(|piece| (piece, from))
        });
        Ok(Self {
            body: Some(Body::wrap_stream(body)),
            state,
        })
    }

    /// How much was handed over: while it grows, the other side is not silent.
    pub(crate) fn moved(&self) -> u64 {
        self.state.moved.load(Ordering::Relaxed)
    }

    /// Why the body could not be made, once sending has failed.
    pub(crate) fn fault(&self) -> Option<Error> {
        self.state.fault.lock().ok()?.take()
    }
}

/// What is known of a stream while it is being sent.
#[derive(Default)]
struct State {
    moved: AtomicU64,
    fault: Mutex<Option<Error>>,
}

/// Tokens that may wait between the thread that seals and the connection.
const TOKENS_AHEAD: usize = 4;

type Piece = Result<Bytes, io::Error>;

/// Seals and hands over token after token, until the data end or nobody takes them any more.
fn stream_tokens(
    upload: Upload,
    sealer: Sealer,
    data: Vec<u8>,
    to: &mpsc::Sender<Piece>,
    state: &State,
) {
    let Err(error) = try_stream(upload, sealer, data, to, &state.moved) else {
        return;
    };
    // Told before the connection breaks: then it is asked for.
    if let Ok(mut fault) = state.fault.lock() {
        *fault = Some(error);
    }
    // It breaks off without the end of the body, so that the server keeps nothing of it.
    let _ = to.blocking_send(Err(io::Error::other("the body cannot be made")));
}

fn try_stream(
    mut upload: Upload,
    mut sealer: Sealer,
    mut data: Vec<u8>,
    to: &mpsc::Sender<Piece>,
    moved: &AtomicU64,
) -> Result<(), Error> {
    let mut sealed = Sealed::default();
    let mut done = 0_u64;
    while !data.is_empty() {
        sealer
            .seal(&data, now(), &mut sealed)
            .map_err(Error::Seal)?;
        if to.blocking_send(Ok(take(&mut sealed))).is_err() {
            return Ok(());
        }
        done = done.saturating_add(data.len() as u64);
        moved.store(done, Ordering::Relaxed);
        upload.tell(done);
        let next = upload.token_data(&sealer);
        upload.fill(&mut data, next)?;
    }
    sealer.finish(now(), &mut sealed).map_err(Error::Seal)?;
    if !sealed.text.is_empty() {
        let _ = to.blocking_send(Ok(take(&mut sealed)));
    }
    Ok(())
}

fn take(sealed: &mut Sealed) -> Bytes {
    Bytes::from(std::mem::take(&mut sealed.text))
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
