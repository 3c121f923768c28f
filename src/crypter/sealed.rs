//! A reply becomes the body of an answer: data in, tokens out, a bit at a time. The session's turn lasts
//! until the last of them is taken, or nobody takes them any more.

use std::io::{self, Read};

use axum::body::Body;
use bytes::Bytes;
use futures_util::{FutureExt, stream};
use http::{HeaderValue, Response, StatusCode, header};
use remo_protocol::{
    body::Sealer,
    fernet::{LANES, Sealed},
    refusal::Refusal,
    session::Answer,
};
use tokio::{task::JoinHandle, time::Instant};

use crate::{
    call::{Output, Reply, Source},
    clock::Clock,
    session::Turn,
};

/// Seals a reply. The body has no length: by that, Python's clients know that it is sealed.
pub(super) fn response(reply: Reply, answer: Answer, turn: Turn, clock: Clock) -> Response<Body> {
    let sealing = Sealing {
        sealer: answer.sealer(reply.status),
        out: Sealed::default(),
        clock,
    };
    let body = match reply.output {
        Output::Bytes(data) => bytes(data, sealing, turn),
        Output::Stream(source) => Body::from_stream(stream::try_unfold(
            Some(Stream {
                source,
                sealing,
                gathered: Vec::new(),
                _turn: turn,
            }),
            Stream::next,
        )),
        Output::File { file, piece } => {
            let reading = tokio::task::spawn_blocking(move || read(file, piece, sealing));
            Body::from_stream(stream::try_unfold((Some(reading), turn), next_of_file))
        }
    };
    let mut response = Response::new(body);
    *response.status_mut() =
        StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let kind = HeaderValue::from_static("application/octet-stream");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

struct Sealing {
    sealer: Sealer,
    out: Sealed,
    clock: Clock,
}

impl Sealing {
    fn seal(&mut self, data: &[u8]) -> Result<(), Refusal> {
        self.sealer.seal(data, self.clock.now(), &mut self.out)
    }

    fn seal_pieces(&mut self, data: &[u8], piece: usize) -> Result<(), Refusal> {
        let now = self.clock.now();
        self.sealer.seal_pieces(data, piece, now, &mut self.out)
    }

    fn finish(mut self) -> Result<Bytes, Refusal> {
        self.sealer.finish(self.clock.now(), &mut self.out)?;
        Ok(self.out.text.take())
    }

    fn sealed(&mut self) -> Bytes {
        self.out.text.take()
    }
}

fn bytes(data: Bytes, mut sealing: Sealing, turn: Turn) -> Body {
    let sealed = if data.is_empty() {
        Ok(())
    } else {
        sealing.seal(&data)
    };
    let sealed = sealed.and_then(|()| sealing.finish()).map_err(cut);
    drop(turn);
    Body::from_stream(stream::once(async { sealed }))
}

/// What a process writes, on its way out.
struct Stream {
    source: Box<dyn Source>,
    sealing: Sealing,
    gathered: Vec<u8>,
    _turn: Turn,
}

impl Stream {
    async fn next(state: Option<Self>) -> io::Result<Option<(Bytes, Option<Self>)>> {
        let Some(mut this) = state else {
            return Ok(None);
        };
        let ended = this.gather().await?;
        if !this.gathered.is_empty() {
            this.sealing.seal(&this.gathered).map_err(cut)?;
        }
        this.gathered.clear();
        if ended {
            let last = this.sealing.finish().map_err(cut)?;
            return Ok(Some((last, None)));
        }
        Ok(Some((this.sealing.sealed(), Some(this))))
    }

    /// Gathers data for a token: what there is, and if the numbers run low, what soon comes. Says whether
    /// there is an end to it.
    async fn gather(&mut self) -> io::Result<bool> {
        let wanted = self.sealing.sealer.wanted();
        let patience = self.sealing.sealer.patience();
        if self.source.read(&mut self.gathered, wanted).await? == 0 {
            return Ok(true);
        }
        let until = Instant::now() + patience;
        while self.gathered.len() < wanted {
            let most = wanted - self.gathered.len();
            let read = self.source.read(&mut self.gathered, most);
            let read = if patience.is_zero() {
                read.now_or_never()
            } else {
                tokio::time::timeout_at(until, read).await.ok()
            };
            match read.transpose()? {
                None => return Ok(false),
                Some(0) => return Ok(true),
                Some(_) => {}
            }
        }
        Ok(false)
    }
}

type Reading = JoinHandle<io::Result<(Bytes, Option<FileState>)>>;

struct FileState {
    file: Box<dyn Read + Send>,
    piece: usize,
    sealing: Sealing,
    buffer: Vec<u8>,
}

/// Gives one batch of a file, while the next is read and sealed on another thread.
async fn next_of_file(
    (reading, turn): (Option<Reading>, Turn),
) -> io::Result<Option<(Bytes, (Option<Reading>, Turn))>> {
    let Some(reading) = reading else {
        return Ok(None);
    };
    let (batch, state) = reading.await.map_err(io::Error::other)??;
    let next = state.map(|state| tokio::task::spawn_blocking(move || state.batch()));
    Ok(Some((batch, (next, turn))))
}

fn read(
    file: Box<dyn Read + Send>,
    piece: usize,
    sealing: Sealing,
) -> io::Result<(Bytes, Option<FileState>)> {
    FileState {
        file,
        piece,
        sealing,
        buffer: Vec::new(),
    }
    .batch()
}

impl FileState {
    /// Reads and seals as many tokens as are best sealed side by side.
    fn batch(mut self) -> io::Result<(Bytes, Option<Self>)> {
        let most = self.piece * (BATCH / self.piece.max(1)).clamp(1, LANES);
        self.buffer.clear();
        self.file
            .by_ref()
            .take(most as u64)
            .read_to_end(&mut self.buffer)?;
        self.sealing
            .seal_pieces(&self.buffer, self.piece)
            .map_err(cut)?;
        if self.buffer.len() < most {
            return Ok((self.sealing.finish().map_err(cut)?, None));
        }
        Ok((self.sealing.sealed(), Some(self)))
    }
}

/// An answer that cannot be ended: the client sees it cut.
fn cut(refusal: Refusal) -> io::Error {
    tracing::error!(refusal = refusal.name(), "answer cut");
    io::Error::other(refusal)
}

/// Bytes of a file that are sealed before they are sent.
const BATCH: usize = 512 * 1024;
