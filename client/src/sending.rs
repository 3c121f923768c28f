//! The body of a request, read and sealed by a thread of its own while it is sent.
//! Not here: the sealing itself, which is the protocol's.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use futures_util::stream;
use remo_protocol::body::Sealer;
use remo_protocol::dialect::Dialect;
use remo_protocol::fernet::{LANES, Sealed};
use remo_protocol::limits;
use reqwest::Body;
use tokio::sync::mpsc;

use crate::error::Error;
use crate::session::Options;
use crate::transport::Payload;
use crate::upload::{State, Upload, blocking, now};

/// What bodies the server reads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Form {
    /// A body without data is none.
    bare: bool,
    /// Bytes of data up to which a body is one token, and has a length.
    one_token: usize,
}

impl Form {
    /// Where a Python server may be at work, a body has a length for as long as one token holds it: under cheroot that
    /// server waits for ever for the end of a chunked one. Ours reads both, and dialect 0.6 refuses a first token that takes
    /// over 10 s to arrive: it had better be small.
    pub(crate) fn of(options: Options) -> Self {
        let bare = options.dialect == Dialect::V0_3;
        let one_token = if bare || options.accept_cut_answers {
            limits::TOKEN_PLAIN - 64
        } else {
            limits::TOKEN_DATA
        };
        Self { bare, one_token }
    }
}

/// A body on its way.
pub(crate) struct Sending {
    /// What the HTTP client sends; nothing where dialect 0.3 has no data.
    pub(crate) payload: Option<Payload>,
    state: Arc<State>,
}

impl Sending {
    /// Begins to read and seal `upload`. What `form` lets one token hold has a length; more is a stream.
    pub(crate) async fn start(upload: Upload, sealer: Sealer, form: Form) -> Result<Self, Error> {
        let state = Arc::clone(&upload.state);
        let payload = match blocking(move || Prepared::read(upload, sealer, form)).await? {
            Prepared::Nothing => None,
            Prepared::Whole(whole) => Some(whole.payload()),
            Prepared::Stream(stream) => Some(stream.payload()),
        };
        Ok(Self { payload, state })
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

/// A body whose form is known: so much of it had to be read for that.
enum Prepared {
    Nothing,
    Whole(Whole),
    Stream(Stream),
}

impl Prepared {
    fn read(mut upload: Upload, sealer: Sealer, form: Form) -> Result<Self, Error> {
        let (first, next) = (
            upload.first_token_data(form.one_token),
            upload.token_data(&sealer),
        );
        let (mut data, mut ahead) = (Vec::new(), Vec::new());
        upload.fill(&mut data, first)?;
        if data.len() == first {
            upload.fill(&mut ahead, next)?;
        }
        if !ahead.is_empty() {
            return Ok(Self::Stream(Stream {
                upload,
                sealer,
                data,
                ahead,
            }));
        }
        if form.bare && data.is_empty() {
            upload.tell(0);
            return Ok(Self::Nothing);
        }
        Whole::seal(upload, sealer, &data).map(Self::Whole)
    }
}

/// A body of one token. Some servers (cheroot) read none but those with a length.
struct Whole {
    upload: Upload,
    size: u64,
    text: Bytes,
}

impl Whole {
    fn seal(upload: Upload, sealer: Sealer, data: &[u8]) -> Result<Self, Error> {
        let mut sealed = Sealed::default();
        sealer
            .whole(data, now(), &mut sealed)
            .map_err(Error::Seal)?;
        Ok(Self {
            upload,
            size: data.len() as u64,
            text: sealed.text.take(),
        })
    }

    /// Handed over slice by slice where it is long, so that it is seen to move.
    fn payload(mut self) -> Payload {
        if self.text.len() <= SLICE {
            self.upload.tell(self.size);
            return self.text.into();
        }
        let length = self.text.len() as u64;
        let slices = stream::unfold((self, 0), move |(mut whole, sent)| async move {
            if whole.text.is_empty() {
                return None;
            }
            let slice = whole.text.split_to(SLICE.min(whole.text.len()));
            let sent = sent + slice.len() as u64;
            whole.upload.moved(whole.size * sent / length);
            Some((Ok::<_, io::Error>(slice), (whole, sent)))
        });
        Payload {
            body: Body::wrap_stream(slices),
            length: Some(length),
        }
    }
}

/// A body of many tokens.
struct Stream {
    upload: Upload,
    sealer: Sealer,
    data: Vec<u8>,
    /// The data after those.
    ahead: Vec<u8>,
}

impl Stream {
    fn payload(self) -> Payload {
        let (to, from) = mpsc::channel(TOKENS_AHEAD);
        self.upload.state.streams.store(true, Ordering::Relaxed);
        tokio::task::spawn_blocking(move || self.run(&to));
        let body = stream::unfold(from, |mut from| async move {
            from.recv().await.map(|piece| (piece, from))
        });
        Body::wrap_stream(body).into()
    }

    /// Seals and hands over token after token, until the data end or nobody takes them any more.
    fn run(self, to: &mpsc::Sender<Piece>) {
        let state = Arc::clone(&self.upload.state);
        let Err(error) = self.try_run(to) else {
            return;
        };
        // Told before the connection breaks: then it is asked for.
        if let Ok(mut fault) = state.fault.lock() {
            *fault = Some(error);
        }
        // It breaks off without the end of the body, so that the server keeps nothing of it.
        let _ = to.blocking_send(Err(io::Error::other("the body cannot be made")));
    }

    fn try_run(mut self, to: &mpsc::Sender<Piece>) -> Result<(), Error> {
        let mut sealed = Sealed::default();
        let mut done = 0_u64;
        let mut piece = self.data.len();
        while !self.data.is_empty() {
            self.sealer
                .seal_pieces(&self.data, piece, now(), &mut sealed)
                .map_err(Error::Seal)?;
            let mut text = sealed.text.take();
            let tokens = self.data.len().div_ceil(piece);
            for (place, data) in self.data.chunks(piece).enumerate() {
                // A token's worth at a time, so that it is seen to move.
                let part = text.split_to(text.len() / (tokens - place));
                if to.blocking_send(Ok(part)).is_err() {
                    return Ok(());
                }
                done = done.saturating_add(data.len() as u64);
                self.upload.moved(done);
            }
            piece = self.read_on()?;
        }
        self.sealer
            .finish(now(), &mut sealed)
            .map_err(Error::Seal)?;
        if !sealed.text.is_empty() {
            let _ = to.blocking_send(Ok(sealed.text.take()));
        }
        Ok(())
    }

    /// Reads what is best sealed side by side; gives how much of it a token takes.
    fn read_on(&mut self) -> Result<usize, Error> {
        self.data = std::mem::take(&mut self.ahead);
        if !self.data.is_empty() {
            return Ok(self.data.len());
        }
        let piece = self.upload.token_data(&self.sealer);
        // What comes from a pipe is not waited for longer than one token takes.
        let tokens = match self.upload.size() {
            Some(_) => (BATCH / piece).clamp(1, LANES),
            None => 1,
        };
        self.upload.fill(&mut self.data, piece * tokens)?;
        Ok(piece)
    }
}

/// Bytes of data that are sealed side by side, where tokens are shorter.
const BATCH: usize = 512 * 1024;

/// Bytes of a token that are handed to the connection at a time.
const SLICE: usize = 64 * 1024;

/// Tokens that may wait between the thread that seals and the connection.
const TOKENS_AHEAD: usize = 4;

type Piece = Result<Bytes, io::Error>;
