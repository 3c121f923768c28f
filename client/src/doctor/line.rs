//! One connection, and the answers that come along it: when each byte came, and whether all did.
//! Not here: what an answer means.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{HeaderMap, Version};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::road::{Fault, Stream};
use crate::error::innermost;

/// The body of a request.
pub(super) type Body = UnsyncBoxBody<Bytes, Infallible>;

/// A connection.
pub(super) struct Line {
    sender: SendRequest<Body>,
    task: JoinHandle<()>,
    /// How long it took to open.
    pub(super) opened_in: Duration,
}

/// What came of a request.
#[derive(Debug)]
pub(super) struct Got {
    pub(super) status: u16,
    pub(super) version: Version,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
    /// Up to which byte the body had come, and how long after the request was begun.
    arrived: Vec<(usize, Duration)>,
    /// When the head came.
    pub(super) head_after: Duration,
    /// Why the body is not all there.
    pub(super) broken: Option<String>,
}

impl Line {
    /// Speaks HTTP/1.1 over `stream`, which was begun then.
    pub(super) async fn over(stream: Box<dyn Stream>, begun: Instant) -> Result<Self, Fault> {
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let (sender, connection) = handshake.map_err(|error| Fault::Broken(innermost(&error)))?;
        let task = tokio::spawn(async move { drop(connection.await) });
        Ok(Self {
            sender,
            task,
            opened_in: begun.elapsed(),
        })
    }

    /// Whether the other end, as far as is known, keeps it.
    pub(super) fn is_open(&self) -> bool {
        self.sender.is_ready() && !self.task.is_finished()
    }

    /// Waits until the other end has closed it.
    pub(super) async fn closed(&mut self) {
        let _ = (&mut self.task).await;
    }

    /// Waits until a request may follow the one that was answered; says whether one may.
    pub(super) async fn is_reusable(&mut self) -> bool {
        let ready = timeout(SOON, self.sender.ready()).await;
        matches!(ready, Ok(Ok(()))) && self.is_open()
    }

    /// Sends a request, and reads its answer to the end; `patience` is for each silence.
    ///
    /// # Errors
    /// Where not even the head of an answer came.
    pub(super) async fn exchange(
        &mut self,
        request: http::Request<Body>,
        patience: Duration,
    ) -> Result<Got, Fault> {
        let begun = Instant::now();
        let answered = timeout(patience, self.sender.send_request(request)).await;
        let response = answered
            .map_err(|_| Fault::Silent(patience))?
            .map_err(|error| Fault::Broken(innermost(&error)))?;
        let (head, body) = response.into_parts();
        let mut got = Got {
            status: head.status.as_u16(),
            version: head.version,
            headers: head.headers,
            body: Vec::new(),
            arrived: Vec::new(),
            head_after: begun.elapsed(),
            broken: None,
        };
        got.read(body, begun, patience).await;
        Ok(got)
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Got {
    async fn read(&mut self, mut body: Incoming, begun: Instant, patience: Duration) {
        loop {
            match timeout(patience, body.frame()).await {
                Err(_) => self.broken = Some(Fault::Silent(patience).to_string()),
                Ok(Some(Err(error))) => self.broken = Some(innermost(&error)),
                Ok(None) => {}
                Ok(Some(Ok(frame))) => {
                    if let Ok(data) = frame.into_data() {
                        self.body.extend_from_slice(&data);
                        self.arrived.push((self.body.len(), begun.elapsed()));
                    }
                    if self.body.len() <= LONGEST {
                        continue;
                    }
                    self.broken = Some("it is longer than anything that was asked for".into());
                }
            }
            return;
        }
    }

    /// How long after the request was begun this many bytes of the body had come.
    pub(super) fn reached(&self, bytes: usize) -> Duration {
        let arrived = self.arrived.iter().find(|(end, _)| *end >= bytes);
        arrived.map_or(self.head_after, |(_, at)| *at)
    }
}

/// A body that is there as a whole.
pub(super) fn whole(body: impl Into<Bytes>) -> Body {
    Full::new(body.into()).boxed_unsync()
}

/// A body whose rest is sent when it is released.
pub(super) fn held(first: Vec<u8>, rest: Vec<u8>) -> (Body, oneshot::Sender<()>) {
    let (release, released) = oneshot::channel();
    let rest = stream::once(released).filter_map(move |released| {
        let rest = Bytes::from(rest.clone());
        async move { released.ok().map(|()| rest) }
    });
    let pieces = stream::iter([Bytes::from(first)]).chain(rest);
    let frames = pieces.map(|piece| Ok::<_, Infallible>(Frame::data(piece)));
    (StreamBody::new(frames).boxed_unsync(), release)
}

/// Bytes of an answer that are kept.
const LONGEST: usize = 8 << 20;

/// How long it may take until a connection is ready again.
const SOON: Duration = Duration::from_millis(100);
