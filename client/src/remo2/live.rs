//! A session that is logged in to, wherever its keys are: here, or with an agent. What it seals, sends and opens.
//! Not here: when it is logged in to, what is asked, and what is tried again.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use remo_protocol::fernet::{FernetKey, Sealed, Shelf};
use remo_protocol::remo2::answer::Part;
use remo_protocol::remo2::handshake::SessionKeys;
use remo_protocol::remo2::json::Object;
use remo_protocol::remo2::request::{Counter, Number, Sealer};
use remo_protocol::remo2::session_id::{Run, SessionId};
use reqwest::header::HeaderValue;
use tokio::time::{Instant, timeout};

use super::answer::{Answer, silent};
use super::asking::Filling;
use super::failure::{Failure, Fault};
use crate::agent::{self, Lease};
use crate::transport::Transport;
use crate::upload::now;

/// A session that is logged in to.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) session: SessionId,
    pub(crate) run: Run,
    /// How old it was when we got it, and when that was.
    age: Duration,
    since: Instant,
    hold: Hold,
}

/// Who holds its keys.
#[derive(Debug)]
enum Hold {
    Here(Box<Here>),
    Agent(Lease),
}

/// The keys of a session, and the way to its server.
#[derive(Debug)]
struct Here {
    up: FernetKey,
    down: FernetKey,
    cookie: HeaderValue,
    counter: Mutex<Counter>,
    transport: Transport,
    shelf: Shelf,
}

/// One attempt at something.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request<'a> {
    pub(crate) verb: &'a str,
    pub(crate) head: &'a Object,
    pub(crate) data: &'a [u8],
    pub(crate) filling: Filling,
    /// How long its answer may take to begin, sending left out.
    pub(crate) patience: Duration,
    /// How long the answer may be silent then.
    pub(crate) silence: Duration,
}

/// A request that is sealed, and not sent.
#[derive(Debug)]
pub(crate) struct Ready<'a> {
    /// Bytes of its body.
    pub(crate) length: usize,
    request: Request<'a>,
    form: Form<'a>,
}

#[derive(Debug)]
enum Form<'a> {
    Here(&'a Here, Bytes, Number),
    Agent(agent::Exchange),
}

/// An answer under way.
#[derive(Debug)]
pub(crate) enum Reply {
    Here(Box<Answer>),
    Agent(agent::Exchange),
}

impl Live {
    /// The session of these keys.
    pub(crate) fn here(keys: SessionKeys, transport: Transport) -> Result<Self, Fault> {
        let mut cookie = HeaderValue::from_str(&format!("SESSION_ID={}", keys.session.as_str()))
            .map_err(|_| Fault::Path("the session has no sound name".into()))?;
        cookie.set_sensitive(true);
        let here = Here {
            up: keys.up,
            down: keys.down,
            cookie,
            counter: Mutex::default(),
            transport,
            shelf: Shelf::default(),
        };
        let hold = Hold::Here(Box::new(here));
        Ok(Self::new(keys.session, Duration::ZERO, hold))
    }

    /// A session that an agent holds for us.
    pub(crate) fn with_agent(session: SessionId, age: Duration, lease: Lease) -> Self {
        Self::new(session, age, Hold::Agent(lease))
    }

    fn new(session: SessionId, age: Duration, hold: Hold) -> Self {
        Self {
            run: session.run(),
            session,
            age,
            since: Instant::now(),
            hold,
        }
    }

    /// The agent that holds it, where one does.
    pub(crate) fn lease(&self) -> Option<&Lease> {
        match &self.hold {
            Hold::Here(_) => None,
            Hold::Agent(lease) => Some(lease),
        }
    }

    /// Milliseconds since the answer to the log-in, after `more`.
    pub(crate) fn by(&self, more: Duration) -> u64 {
        let whole = self.age + self.since.elapsed() + more;
        u64::try_from(whole.as_millis()).unwrap_or(u64::MAX)
    }

    /// Seals a request, under a number that no other of this session has.
    pub(crate) async fn ready<'a>(&'a self, request: Request<'a>) -> Result<Ready<'a>, Fault> {
        let (length, form) = match &self.hold {
            Hold::Here(here) => {
                let (body, number) = here.seal(request).map_err(Failure::Seal)?;
                (body.len(), Form::Here(here, body, number))
            }
            Hold::Agent(lease) => {
                let (length, exchange) = lease.begin(&self.session, request).await?;
                (length, Form::Agent(exchange))
            }
        };
        Ok(Ready {
            length,
            request,
            form,
        })
    }
}

impl Here {
    fn seal(
        &self,
        request: Request<'_>,
    ) -> Result<(Bytes, Number), remo_protocol::refusal::Refusal> {
        let mut out = Sealed::on(&self.shelf);
        let number = self
            .counter
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .draw();
        let mut sealer = Sealer::begin(self.up.clone(), number, request.head, now(), &mut out)?;
        if request.filling == Filling::Typed {
            sealer.typed(request.data, now(), &mut out)?;
        } else {
            sealer.bulk(request.data, now(), &mut out)?;
        }
        if let Filling::UpTo(length) = request.filling {
            sealer.fill(length, now(), &mut out)?;
        }
        let number = sealer.finish(&Object::new(), now(), &mut out)?;
        Ok((out.text.take(), number))
    }

    /// Sends a body, and waits for the head of what answers it.
    async fn post(
        &self,
        request: Request<'_>,
        body: Bytes,
        number: &Number,
    ) -> Result<Answer, Fault> {
        let begun = Instant::now();
        let sending = Duration::from_millis(body.len() as u64 / SLOWEST);
        let patience = request.patience + sending;
        let path = format!("/{}", request.verb);
        let post = self.transport.post(&path, Some(&self.cookie), body);
        let response = timeout(patience, post)
            .await
            .map_err(|_| silent(patience))?
            .map_err(|error| Fault::Path(error.to_string()))?;
        tracing::debug!(
            verb = request.verb,
            number = number.value(),
            status = response.status().as_u16(),
            milliseconds = begun.elapsed().as_millis(),
            "answered"
        );
        let down = self.down.clone();
        Ok(Answer::new(response, down, number, request.silence))
    }
}

impl Ready<'_> {
    /// Sends it, and waits for what answers it.
    pub(crate) async fn send(self) -> Result<Reply, Fault> {
        match self.form {
            Form::Agent(exchange) => Ok(Reply::Agent(exchange)),
            Form::Here(here, body, number) => {
                let answer = here.post(self.request, body, &number).await?;
                Ok(Reply::Here(Box::new(answer)))
            }
        }
    }
}

impl Reply {
    /// The next part, head first; nothing once the body is over.
    pub(crate) async fn next(&mut self) -> Result<Option<Part>, Fault> {
        match self {
            Self::Here(answer) => answer.next().await,
            Self::Agent(exchange) => exchange.next().await,
        }
    }

    /// The trailer of an answer that has proved its end.
    pub(crate) fn finish(self) -> Result<Object, Fault> {
        match self {
            Self::Here(answer) => answer.finish(),
            Self::Agent(exchange) => exchange.finish(),
        }
    }
}

/// Bytes that the slowest path carries in a millisecond.
const SLOWEST: u64 = 8;
