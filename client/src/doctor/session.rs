//! A session of our own with the server: requests are sealed one by one, and of an answer it is told what it is.
//! Not here: asking again, and what follows from an answer.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::HeaderValue;
use remo_protocol::fernet::{FernetKey, Sealed};
use remo_protocol::keys::PublicKey;
use remo_protocol::refusal::Refusal;
use remo_protocol::remo2::answer::{Opener, Part};
use remo_protocol::remo2::handshake::{ClientHandshake, ClientSecrets};
use remo_protocol::remo2::json::Object;
use remo_protocol::remo2::request::{Counter, Number, Sealer};
use remo_protocol::remo2::token;

use super::line::Got;
use super::road::Fault;
use crate::remo2::Person;
use crate::upload::now;

/// A session that is logged in to.
pub(super) struct Session {
    up: FernetKey,
    down: FernetKey,
    pub(super) cookie: HeaderValue,
    counter: Mutex<Counter>,
}

/// An answer that the server sealed, whole.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) head: Object,
    pub(super) trailer: Object,
    /// Bytes of the body, as it travelled.
    pub(super) length: usize,
    /// When the head was there, and when the whole was.
    pub(super) head_at: Duration,
    pub(super) end_at: Duration,
}

impl Answer {
    /// The status under the seal.
    pub(super) fn status(&self) -> u64 {
        let status = self.head.get("status");
        status
            .and_then(serde_json::Value::as_u64)
            .unwrap_or_default()
    }
}

/// Why there is no such answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Missed {
    /// No HTTP came.
    Fault(Fault),
    /// The status alone, as the server answers what it does not prove.
    Bare(u16),
    /// The page of something else, with this status.
    Page(u16),
    /// It stops before its end.
    Cut,
    /// The bytes are not those that were sent.
    Changed,
    /// It is the answer to another request.
    Stale,
}

impl std::fmt::Display for Missed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Fault(fault) => fault.fmt(f),
            Self::Bare(status) => write!(f, "a bare {status}"),
            Self::Page(status) => write!(f, "a page of something in between, {status}"),
            Self::Cut => f.write_str("the answer was cut"),
            Self::Changed => f.write_str("the answer was changed on its way"),
            Self::Stale => f.write_str("the answer to an earlier request"),
        }
    }
}

impl From<Fault> for Missed {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// A log-in that is under way.
pub(super) struct LogIn<'a> {
    handshake: ClientHandshake,
    server: &'a PublicKey,
}

impl<'a> LogIn<'a> {
    /// Begins one with the server that has this key; gives the body of its request.
    ///
    /// # Errors
    /// In words, where there is nothing to sign with.
    pub(super) async fn begin(
        person: &Person,
        server: &'a PublicKey,
    ) -> Result<(Self, Vec<u8>), String> {
        let secrets = ClientSecrets::draw().map_err(|refusal| refusal.to_string())?;
        let unsigned = ClientHandshake::prepare(&person.user, server, secrets);
        let signed = person.key.sign(unsigned.message()).await;
        let (handshake, body) = unsigned.signed(&signed.map_err(|error| error.to_string())?);
        Ok((Self { handshake, server }, body))
    }

    /// Ends it with the answer; nothing where that is not the server's.
    pub(super) fn finish(self, answer: &[u8]) -> Option<Session> {
        let keys = self.handshake.finish(answer, self.server).ok()?;
        let cookie = format!("SESSION_ID={}", keys.session.as_str());
        let mut cookie = HeaderValue::from_str(&cookie).ok()?;
        cookie.set_sensitive(true);
        Some(Session {
            up: keys.up,
            down: keys.down,
            cookie,
            counter: Mutex::default(),
        })
    }
}

impl Session {
    /// A request with this head, filled up to about `length` bytes.
    pub(super) fn seal(&self, head: &Object, length: usize) -> Result<(Vec<u8>, Number), Refusal> {
        let number = self
            .counter
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .draw();
        let mut out = Sealed::default();
        let mut sealer = Sealer::begin(self.up.clone(), number, head, now(), &mut out)?;
        loop {
            let left = length.saturating_sub(out.text.len() + ENDS);
            if left < ENDS {
                break;
            }
            // Three bytes become four, and a token has a frame.
            sealer.padding((left / 4 * 3 - FRAME).min(PIECE), now(), &mut out)?;
        }
        let number = sealer.finish(&Object::new(), now(), &mut out)?;
        Ok((out.text.to_vec(), number))
    }

    /// Reads what came as the answer to the request of this number.
    pub(super) fn open(&self, number: &Number, got: &Got) -> Result<Answer, Missed> {
        let mut opener = Opener::new(self.down.clone(), number);
        let mut head = None;
        let mut at = 0;
        for piece in got.body.split_inclusive(|byte| *byte == b'\n') {
            at += piece.len();
            let line = piece.trim_ascii_end();
            if line.is_empty() {
                continue;
            }
            match opener.open(line) {
                Ok(Part::Head(object)) => head = Some((object, got.reached(at))),
                Ok(_) => {}
                Err(refusal) if head.is_none() => return Err(self.unsealed(line, refusal, got)),
                Err(_) if got.broken.is_some() => return Err(Missed::Cut),
                Err(_) => return Err(Missed::Changed),
            }
        }
        let Some((head, head_at)) = head else {
            return Err(match (got.status, &got.broken) {
                (200, _) | (_, Some(_)) => Missed::Cut,
                (status, None) => Missed::Bare(status),
            });
        };
        Ok(Answer {
            head,
            trailer: opener.finish().map_err(|_| Missed::Cut)?,
            length: got.body.len(),
            head_at,
            end_at: got.reached(got.body.len()),
        })
    }

    fn unsealed(&self, line: &[u8], refusal: Refusal, got: &Got) -> Missed {
        let ours = token::open(&self.down, line).is_ok();
        match got.status {
            _ if ours && refusal == Refusal::TokenOutOfStep => Missed::Stale,
            200 if got.broken.is_some() => Missed::Cut,
            200 if line.starts_with(b"gAAA") => Missed::Changed,
            status => Missed::Page(status),
        }
    }
}

/// Bytes that the first and the last token of a request take at most.
const ENDS: usize = 512;

/// Bytes of a token that are not its payload.
const FRAME: usize = 100;

/// Bytes of padding in a token.
const PIECE: usize = 512 * 1024;
