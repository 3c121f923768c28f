//! An answer of remo/2, sealed as it comes about: its head, data of a channel, its trailer.

use std::{io, time::Duration};

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderValue, Response, header};
use remo_protocol::{
    fernet::{FernetKey, Sealed},
    refusal::Refusal,
    remo2::{answer, json::Object, numbers::Taken},
};
use serde_json::json;
use tokio::time::{Instant, timeout_at};

use crate::{
    channels::{Answer, Ending, Exit, Part, Refused, Stream},
    clock::Clock,
    files::Pieces,
};

/// What is answered.
pub(super) enum Reply {
    /// The act was refused.
    Refused(Refused),
    /// A head, and what a channel tells.
    Channel { head: Object, answer: Answer },
    /// A head, and what comes piece by piece.
    Pieces {
        head: Object,
        pieces: Box<dyn Pieces>,
    },
    /// A head and, after a pause, a trailer.
    Object { trailer: Object, pause: Duration },
}

/// Seals answers under one key.
pub(super) struct Sealing {
    pub(super) key: FernetKey,
    pub(super) clock: Clock,
}

impl Sealing {
    /// The answer to the request whose number is taken.
    pub(super) async fn response(self, taken: Taken, reply: Reply) -> Response<Body> {
        let body = self.body(taken, reply).await;
        let mut response = Response::new(body.unwrap_or_else(|refusal| {
            Body::from_stream(stream::once(async move { Err::<Bytes, _>(cut(refusal)) }))
        }));
        let kind = HeaderValue::from_static("application/octet-stream");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        response
    }

    async fn body(self, taken: Taken, reply: Reply) -> Result<Body, Refusal> {
        let mut out = Sealed::default();
        match reply {
            Reply::Refused(refused) => {
                let head = object(
                    json!({"status": refused.status, "error": refused.name, "message": refused.message}),
                );
                let sealer = self.begin(taken, &head, &mut out)?;
                sealer.finish(&Object::new(), self.clock.now(), &mut out)?;
                Ok(Body::from(out.text.take()))
            }
            Reply::Object { trailer, pause } => {
                let sealer = self.begin(taken, &object(json!({"status": 200})), &mut out)?;
                if pause.is_zero() {
                    sealer.finish(&trailer, self.clock.now(), &mut out)?;
                    return Ok(Body::from(out.text.take()));
                }
                Ok(Body::from_stream(stream::unfold(
                    Some((self, sealer, out, trailer, pause)),
                    Self::paused,
                )))
            }
            Reply::Pieces { mut head, pieces } => {
                head.insert("status".into(), 200.into());
                let sealer = self.begin(taken, &head, &mut out)?;
                let press = Press {
                    clock: self.clock,
                    sealer,
                    raw: Vec::new(),
                    out,
                    pieces,
                };
                Ok(Body::from_stream(stream::try_unfold(
                    Pressing::Head(press),
                    Pressing::next,
                )))
            }
            Reply::Channel { mut head, answer } => {
                head.insert("status".into(), 200.into());
                let sealer = self.begin(taken, &head, &mut out)?;
                let mut told = Telling {
                    clock: self.clock,
                    sealer: Some(sealer),
                    out,
                    answer,
                };
                if told.ends_soon().await? {
                    return Ok(Body::from(told.out.text.take()));
                }
                Ok(Body::from_stream(stream::try_unfold(told, Telling::next)))
            }
        }
    }

    fn begin(
        &self,
        taken: Taken,
        head: &Object,
        out: &mut Sealed,
    ) -> Result<answer::Sealer, Refusal> {
        answer::Sealer::begin(self.key.clone(), taken, head, self.clock.now(), out)
    }

    async fn paused(
        state: Option<(Self, answer::Sealer, Sealed, Object, Duration)>,
    ) -> Option<(
        io::Result<Bytes>,
        Option<(Self, answer::Sealer, Sealed, Object, Duration)>,
    )> {
        let (this, sealer, mut out, trailer, pause) = state?;
        if !out.text.is_empty() {
            let head = out.text.take();
            return Some((Ok(head), Some((this, sealer, out, trailer, pause))));
        }
        tokio::time::sleep(pause).await;
        let finished = sealer.finish(&trailer, this.clock.now(), &mut out);
        Some((finished.map(|()| out.text.take()).map_err(cut), None))
    }
}

/// Gets pieces and seals them, where that holds nobody up.
struct Press {
    clock: Clock,
    sealer: answer::Sealer,
    raw: Vec<u8>,
    out: Sealed,
    pieces: Box<dyn Pieces>,
}

/// What was sealed, and, if more comes, by whom.
type Pressed = io::Result<(Bytes, Option<Press>)>;

/// An answer in pieces: while one is sent, the next is sealed.
enum Pressing {
    Head(Press),
    Ahead(tokio::task::JoinHandle<Pressed>),
    Over,
}

impl Pressing {
    async fn next(self) -> io::Result<Option<(Bytes, Self)>> {
        let (sealed, press) = match self {
            Self::Head(mut press) => (press.sealed(), Some(press)),
            Self::Ahead(job) => job.await.map_err(io::Error::other)??,
            Self::Over => return Ok(None),
        };
        let ahead = |press: Press| Self::Ahead(tokio::task::spawn_blocking(|| press.next()));
        Ok(Some((sealed, press.map_or(Self::Over, ahead))))
    }
}

impl Press {
    fn next(mut self) -> Pressed {
        self.raw.clear();
        let trailer = self.pieces.next(&mut self.raw);
        let now = self.clock.now();
        self.sealer
            .bulk(&self.raw, now, &mut self.out)
            .map_err(cut)?;
        match trailer {
            None => Ok((self.sealed(), Some(self))),
            Some(trailer) => {
                self.sealer
                    .finish(&trailer, now, &mut self.out)
                    .map_err(cut)?;
                Ok((self.out.text.take(), None))
            }
        }
    }

    fn sealed(&mut self) -> Bytes {
        self.out.text.take()
    }
}

/// A channel, telling.
struct Telling {
    clock: Clock,
    sealer: Option<answer::Sealer>,
    out: Sealed,
    answer: Answer,
}

impl Telling {
    /// Waits a moment, where nobody wants to hear of it at once: an answer that has ended by then goes out as a whole.
    async fn ends_soon(&mut self) -> Result<bool, Refusal> {
        let soon = Instant::now() + SOON;
        while self.answer.waits_for_end() && self.out.text.len() < SHORT {
            let Ok(part) = timeout_at(soon, self.answer.next()).await else {
                return Ok(false);
            };
            self.tell(part)?;
            if self.sealer.is_none() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn next(mut self) -> io::Result<Option<(Bytes, Self)>> {
        // The head goes out at once: it tells the client that the path streams.
        if !self.out.text.is_empty() {
            let sealed = self.out.text.take();
            return Ok(Some((sealed, self)));
        }
        if self.sealer.is_none() {
            return Ok(None);
        }
        let part = self.answer.next().await;
        self.tell(part).map_err(cut)?;
        let sealed = self.out.text.take();
        Ok(Some((sealed, self)))
    }

    /// Seals a piece. After the end there is no more.
    fn tell(&mut self, part: Part) -> Result<(), Refusal> {
        let Some(mut sealer) = self.sealer.take() else {
            return Ok(());
        };
        let now = self.clock.now();
        match part {
            Part::Data(stream, data) => {
                let stream = match stream {
                    Stream::Main => answer::Stream::Main,
                    Stream::Second => answer::Stream::Second,
                };
                sealer.data(stream, &data, now, &mut self.out)?;
            }
            Part::Silence => sealer.padding(0, now, &mut self.out)?,
            Part::End(ending) => {
                return sealer.finish(&trailer(&ending), now, &mut self.out);
            }
        }
        self.sealer = Some(sealer);
        Ok(())
    }
}

fn trailer(ending: &Ending) -> Object {
    let mut trailer = object(json!({
        "in": ending.taken,
        "out": ending.out,
        "err": ending.err,
        "signals": ending.signals,
        "state": if ending.exit.is_some() { "exited" } else { "running" },
    }));
    match ending.exit {
        Some(Exit::Code(code)) => drop(trailer.insert("exit".into(), code.into())),
        Some(Exit::Signal(signal)) => drop(trailer.insert("signal".into(), signal.into())),
        Some(Exit::Broken(why)) => wrong(
            &mut trailer,
            "reset",
            format!("the connection broke: {why}"),
        ),
        Some(Exit::Closed) | None => {}
    }
    if ending.gone {
        wrong(
            &mut trailer,
            "gone",
            "the channel was forgotten meanwhile".into(),
        );
    }
    trailer
}

fn wrong(trailer: &mut Object, error: &str, message: String) {
    trailer.insert("error".into(), error.into());
    trailer.insert("message".into(), message.into());
}

pub(super) fn object(value: serde_json::Value) -> Object {
    match value {
        serde_json::Value::Object(object) => object,
        _ => Object::new(),
    }
}

/// How long the end of an answer is waited for before it begins.
const SOON: Duration = Duration::from_millis(5);

/// Bytes of an answer that are held back for its end.
const SHORT: usize = 64 * 1024;

fn cut(refusal: Refusal) -> io::Error {
    tracing::error!(refusal = refusal.name(), "answer cut");
    io::Error::other(refusal)
}
