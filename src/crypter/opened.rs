//! The body of a request: lines as they arrive, opened into data. What could not be used is read to its
//! end all the same, lest the answer be lost.

use std::{
    mem,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use http_body_util::BodyExt;
use remo_protocol::{body::Opener, lines::Lines, refusal::Refusal};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};

use crate::call::{Input, InputFault};

/// The lines of a body.
pub(super) struct BodyLines {
    body: Body,
    lines: Lines,
    ended: bool,
    stall: Duration,
    /// Bytes that arrived since the last line.
    gathered: usize,
    long_lines: Arc<Semaphore>,
    /// Bytes that may still come.
    room: usize,
    /// The last line ends like the others.
    strict: bool,
    permit: Option<OwnedSemaphorePermit>,
}

impl BodyLines {
    /// The lines of `body`, of which a byte must come every `stall`. A long line waits for a permit of
    /// `long_lines` until it is known to be proved.
    pub(super) fn new(body: Body, stall: Duration, long_lines: Arc<Semaphore>) -> Self {
        Self {
            body,
            lines: Lines::default(),
            ended: false,
            stall,
            gathered: 0,
            long_lines,
            room: usize::MAX,
            strict: false,
            permit: None,
        }
    }

    /// The same lines, strict ones, of at most `ceiling` bytes in all.
    pub(super) fn strict_up_to(self, ceiling: usize) -> Self {
        Self {
            room: ceiling,
            lines: Lines::strict(),
            strict: true,
            ..self
        }
    }

    /// The next line, or `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, InputFault> {
        loop {
            if let Some(line) = self.lines.next().map_err(InputFault::False)? {
                self.gathered = 0;
                return Ok(Some(line));
            }
            if self.ended {
                let rest = mem::take(&mut self.lines).rest();
                return match rest {
                    Some(_) if self.strict => Err(InputFault::False(Refusal::EndMissing)),
                    rest => Ok(rest),
                };
            }
            self.more().await?;
        }
    }

    async fn more(&mut self) -> Result<(), InputFault> {
        if self.gathered > LONG && self.permit.is_none() {
            let permit = timeout(self.stall, self.long_lines.clone().acquire_owned()).await;
            self.permit = permit.map_err(|_| InputFault::Stalled)?.ok();
        }
        match timeout(self.stall, self.body.frame()).await {
            Err(_) => Err(InputFault::Stalled),
            Ok(None) => {
                self.ended = true;
                Ok(())
            }
            Ok(Some(Err(_))) => Err(InputFault::Lost),
            Ok(Some(Ok(frame))) => {
                if let Some(data) = frame.data_ref() {
                    self.room = self
                        .room
                        .checked_sub(data.len())
                        .ok_or(InputFault::TooLarge)?;
                    self.gathered += data.len();
                    self.lines.push(data);
                }
                Ok(())
            }
        }
    }

    /// The request is proved: what follows is bounded by its session's turn.
    pub(super) fn proved(&mut self) {
        self.permit = None;
        self.long_lines = Arc::new(Semaphore::new(1));
    }

    /// What was not read.
    pub(super) fn into_body(self) -> Body {
        self.body
    }
}

/// What remains when an input was used, or not.
pub(super) struct Rest {
    /// The newest time stamp in a body of dialect 0.3.
    pub(super) newest: Arc<AtomicU64>,
    body: Arc<Mutex<Option<Body>>>,
    stall: Duration,
}

impl Rest {
    /// Reads what the input did not, so that a client which writes all before it reads gets its answer;
    /// at most `most` bytes.
    pub(super) async fn drain(self, most: u64) {
        let body = self
            .body
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(body) = body {
            drain(body, most, self.stall).await;
        }
    }
}

/// The data of a request: those of its first line, and those that are still to come.
pub(super) fn input(first: Bytes, mut lines: BodyLines, opener: Opener) -> (Input, Rest) {
    lines.proved();
    let rest = Rest {
        newest: Arc::default(),
        body: Arc::default(),
        stall: lines.stall,
    };
    let state = Opening {
        first: Some(first).filter(|first| !first.is_empty()),
        lines: Some(lines),
        opener: Some(opener),
        newest: rest.newest.clone(),
        unread: rest.body.clone(),
    };
    let input = stream::unfold(state, |mut state| async move {
        let data = state.next().await.transpose()?;
        Some((data, state))
    });
    (Box::pin(input), rest)
}

struct Opening {
    first: Option<Bytes>,
    lines: Option<BodyLines>,
    opener: Option<Opener>,
    newest: Arc<AtomicU64>,
    unread: Arc<Mutex<Option<Body>>>,
}

impl Opening {
    async fn next(&mut self) -> Result<Option<Bytes>, InputFault> {
        if let Some(first) = self.first.take() {
            return Ok(Some(first));
        }
        let (Some(lines), Some(opener)) = (&mut self.lines, &mut self.opener) else {
            return Ok(None);
        };
        let opened = match lines.next().await {
            Ok(Some(line)) => opener.open(&line).map(Some).map_err(InputFault::False),
            Ok(None) => self.finish(),
            Err(fault) => Err(fault),
        };
        if !matches!(opened, Ok(Some(_))) {
            // After its end, or after a fault, nothing more is opened.
            self.opener = None;
        }
        opened
    }

    fn finish(&mut self) -> Result<Option<Bytes>, InputFault> {
        let newest = self
            .opener
            .take()
            .map_or(Ok(0), Opener::finish)
            .map_err(InputFault::False)?;
        self.newest.store(newest, Ordering::Relaxed);
        Ok(None)
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        let unread = self
            .lines
            .take()
            .filter(|lines| !lines.ended)
            .map(BodyLines::into_body);
        *self.unread.lock().unwrap_or_else(PoisonError::into_inner) = unread;
    }
}

/// As [`drain_briefly`], and gives the beginning of it.
pub(super) async fn read_briefly(mut body: Body) -> Vec<u8> {
    let mut beginning = Vec::new();
    let until = tokio::time::Instant::now() + Duration::from_secs(1);
    while beginning.len() < 4096
        && let Ok(Some(Ok(frame))) = tokio::time::timeout_at(until, body.frame()).await
    {
        beginning.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
    }
    drain_briefly(body).await;
    beginning
}

/// Reads at most 1 MiB, for at most 1 s, of a body that nobody proved.
pub(super) async fn drain_briefly(body: Body) {
    let second = Duration::from_secs(1);
    tokio::select! {
        () = drain(body, 1 << 20, second) => {}
        () = sleep(second) => {}
    }
}

async fn drain(mut body: Body, most: u64, stall: Duration) {
    let mut read = 0;
    while let Ok(Some(Ok(frame))) = timeout(stall, body.frame()).await {
        read += frame.data_ref().map_or(0, |data| data.len() as u64);
        if read > most {
            return;
        }
    }
}

/// Bytes of a line from which on it is long.
const LONG: usize = 256 * 1024;
