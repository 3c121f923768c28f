//! The callers' half of a session that the agent holds: one request and its answer, over a connection of its own.
//! Not here: how one gets a session, which is `caller`'s.

use std::time::Duration;

use bytes::Bytes;
use remo_protocol::agent::{Ask, Fill, Kind, Told, read};
use remo_protocol::remo2::answer::{Part, Stream};
use remo_protocol::remo2::json::Object;
use remo_protocol::remo2::session_id::SessionId;
use tokio::net::UnixStream;

use super::caller::{Agent, Trouble};
use super::faults;
use super::wire::{self, expect, send, tell};
use crate::remo2::asking::Filling;
use crate::remo2::failure::Fault;
use crate::remo2::live::Request;

/// The right to a session: the agent keeps it for us as long as the connection is there.
#[derive(Debug)]
pub(crate) struct Lease {
    agent: Agent,
    _held: UnixStream,
}

/// One request at the agent, and its answer as it comes.
#[derive(Debug)]
pub(crate) struct Exchange {
    stream: UnixStream,
    trailer: Option<Object>,
}

impl Lease {
    pub(super) fn new(agent: Agent, held: UnixStream) -> Self {
        Self { agent, _held: held }
    }

    /// Hands a request over; says how long its body is once it is sealed.
    pub(crate) async fn begin(
        &self,
        session: &SessionId,
        request: Request<'_>,
    ) -> Result<(usize, Exchange), Fault> {
        let mut stream = self.agent.open().await.map_err(gone)?;
        let ask = Ask::Exchange {
            session: session.as_str().to_owned(),
            verb: request.verb.to_owned(),
            head: request.head.clone(),
            fill: fill(request.filling),
            patience: milliseconds(request.patience),
            silence: milliseconds(request.silence),
        };
        let handed = async {
            tell(&mut stream, &ask).await?;
            for piece in request.data.chunks(Kind::Data.most()) {
                send(&mut stream, Kind::Data, piece).await?;
            }
            send(&mut stream, Kind::End, &[]).await
        };
        // An agent that refuses early tells why, which is worth more than that it hung up.
        let handed = handed.await;
        let mut exchange = Exchange {
            stream,
            trailer: None,
        };
        match exchange.told().await {
            Ok(Told::Sealed { length }) => {
                handed.map_err(gone)?;
                Ok((length, exchange))
            }
            Ok(other) => Err(unexpected(other)),
            Err(fault) => Err(fault),
        }
    }

    /// The session is not given to anybody again.
    pub(crate) async fn lose(&self, session: &SessionId) {
        let session = session.as_str().to_owned();
        let _ = self.agent.ask(&Ask::Lose { session }, None).await;
    }
}

impl Exchange {
    /// The next part, head first; nothing once the answer is over.
    pub(crate) async fn next(&mut self) -> Result<Option<Part>, Fault> {
        loop {
            let frame = wire::next(&mut self.stream, SILENCE).await.map_err(gone)?;
            let data = |frame: wire::Frame| Bytes::copy_from_slice(&frame.data);
            return Ok(Some(match frame.kind {
                Kind::Data => Part::Data(Stream::Main, data(frame)),
                Kind::Second => Part::Data(Stream::Second, data(frame)),
                Kind::Message => match read(&frame.data).map_err(gone)? {
                    Told::Waiting {} => continue,
                    Told::Head { head } => Part::Head(head),
                    Told::Trailer { trailer } => {
                        self.trailer = Some(trailer);
                        return Ok(None);
                    }
                    other => return Err(unexpected(other)),
                },
                Kind::Secret | Kind::End => return Err(gone("a frame out of its place")),
            }));
        }
    }

    /// The trailer of an answer that was whole.
    pub(crate) fn finish(self) -> Result<Object, Fault> {
        self.trailer
            .ok_or_else(|| Fault::Path("the answer was cut".into()))
    }

    async fn told(&mut self) -> Result<Told, Fault> {
        let text = expect(&mut self.stream, Kind::Message, SILENCE).await;
        read(&text.map_err(gone)?).map_err(gone)
    }
}

/// What is told in the place of what was asked for.
fn unexpected(told: Told) -> Fault {
    match told {
        Told::Fault(fault) => faults::read(fault),
        Told::Refused(refused) => gone(Trouble::Refused(refused)),
        _ => gone("an answer to something else"),
    }
}

/// The agent is not there for us any more: with it the session is lost, and what comes next finds another way.
fn gone(why: impl std::fmt::Display) -> Fault {
    tracing::debug!(%why, "the agent gave no answer");
    Fault::SessionLost
}

fn fill(filling: Filling) -> Fill {
    match filling {
        Filling::None => Fill::None,
        Filling::Typed => Fill::Typed,
        Filling::UpTo(length) => Fill::UpTo(length),
    }
}

/// What a caller wants a body filled with, within bounds.
pub(super) fn filling(fill: Fill) -> Filling {
    match fill {
        Fill::None => Filling::None,
        Fill::Typed => Filling::Typed,
        Fill::UpTo(length) => Filling::UpTo(length.min(MOST_FILLED)),
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Bytes that a body is filled up to: no server takes more.
const MOST_FILLED: usize = 8 << 20;

/// The agent says more often that it is there.
const SILENCE: Duration = Duration::from_secs(30);
