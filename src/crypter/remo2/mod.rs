//! remo/2 at the server: log-in, requests proved and judged, answers sealed. Only what has proved its end
//! is carried out, and only what is carried out, or refused by its own sense, is answered under the keys.

mod auth;
mod files;
mod head;
mod members;
mod reply;

use std::{sync::Arc, time::Duration};

use axum::body::Body;
use bytes::Bytes;
use http::{Response, StatusCode};
use remo_protocol::{
    refusal::Refusal,
    remo2::{
        json::Object,
        request::{Opener, Whole},
        session_id::SessionId,
    },
};
use serde_json::json;
use tokio::time::Instant;

use self::{
    head::{Act, Request},
    members::Members,
    reply::{Reply, Sealing, object},
};
use super::{
    Crypter, bare,
    opened::{BodyLines, drain_briefly},
};
use crate::{
    call::InputFault,
    channels::{Access, Answer, Channel, Patience, Refused},
    session::remo2::Session,
};

pub(crate) use head::Verb;

/// A request as far as HTTP goes: not yet judged.
struct Gathered {
    head: Object,
    data: Vec<Bytes>,
    whole: Whole,
}

impl Crypter {
    /// Answers a request that brought the cookie of a session of remo/2.
    pub(crate) async fn remo2(&self, path: &str, id: &SessionId, body: Body) -> Response<Body> {
        let Some(session) = self.remo2.find(id) else {
            drain_briefly(body).await;
            return bare(StatusCode::FORBIDDEN);
        };
        let Some(verb) = Verb::of(path) else {
            drain_briefly(body).await;
            return bare(StatusCode::NOT_FOUND);
        };
        if http_body::Body::size_hint(&body).lower() > BODY as u64 {
            drain_briefly(body).await;
            return bare(StatusCode::PAYLOAD_TOO_LARGE);
        }
        let mut lines = BodyLines::new(body, self.settings.limits.stall, self.long_lines.clone())
            .strict_up_to(BODY);
        let gathered = match gather(&session, verb, &mut lines).await {
            Ok(gathered) => gathered,
            Err(status) => {
                drain_briefly(lines.into_body()).await;
                return bare(status);
            }
        };
        if session.is_ended() {
            return bare(StatusCode::FORBIDDEN);
        }
        if session.renew() {
            self.remo2.opened(&session);
        }
        let Gathered {
            head,
            data,
            whole: Whole { trailer, taken },
        } = gathered;
        let access = Access {
            session: session.id.clone(),
            number: taken.number(),
        };
        let reply = self.judged(verb, head, trailer, data, &session, &access);
        let reply = reply.await.unwrap_or_else(Reply::Refused);
        log(&session, verb, &reply);
        Sealing {
            key: session.down.clone(),
            clock: self.settings.clock.clone(),
        }
        .response(taken, reply)
        .await
    }

    async fn judged(
        &self,
        verb: Verb,
        head: Object,
        trailer: Object,
        data: Vec<Bytes>,
        session: &Session,
        access: &Access,
    ) -> Result<Reply, Refused> {
        Members::new(trailer).finish()?;
        let request = Request::read(verb, head, &data)?;
        self.act(request, data, session, access).await
    }

    async fn act(
        &self,
        request: Request,
        data: Vec<Bytes>,
        session: &Session,
        access: &Access,
    ) -> Result<Reply, Refused> {
        if request
            .by
            .is_some_and(|by| Instant::now().duration_since(session.born) > by)
        {
            return Err(Refused::new(
                408,
                "late",
                "the request came later than it said it may, and was not carried out",
            ));
        }
        self.remo2.end(&session.user, &request.end);
        self.channels
            .done(&session.user, &request.done, &session.id)?;
        self.files.done(&session.user, &request.done).await;
        match request.act {
            Act::Files(act) => act.carry_out(&self.files, session, data).await,
            Act::Who { probe } => Ok(Reply::Object {
                trailer: self.who(session),
                pause: probe,
            }),
            Act::Cmd {
                id,
                start,
                patience,
            } => {
                let channel = self.channels.open(
                    &session.user,
                    id,
                    "cmd",
                    &start,
                    Some(data.concat()),
                    &session.id,
                )?;
                Ok(told(channel, None, None, false, patience))
            }
            Act::Icm { id, start } => {
                let channel =
                    self.channels
                        .open(&session.user, id, "icm", &start, None, &session.id)?;
                Ok(opened(channel))
            }
            Act::Forward { id, connect } => {
                let channels = &self.channels;
                let channel = channels.connect(&session.user, id, &connect, &session.id);
                Ok(opened(channel.await?))
            }
            Act::Exchange {
                id,
                exchange,
                patience,
            } => {
                let channel = self.channels.find(&session.user, id)?;
                channel.exchange(&exchange, access)?;
                Ok(told(
                    channel,
                    exchange.out,
                    exchange.err,
                    exchange.attach,
                    patience,
                ))
            }
        }
    }

    fn who(&self, session: &Session) -> Object {
        let channels = self.channels.list(&session.user).into_iter();
        let channels: Vec<_> = channels
            .map(|(id, channel)| {
                let state = if channel.has_exited() {
                    "exited"
                } else {
                    "running"
                };
                let mut told = object(json!({
                    "id": id.to_string(),
                    "verb": channel.verb,
                    "state": state,
                    "pty": channel.is_terminal(),
                }));
                channel
                    .pid()
                    .map(|pid| told.insert("pid".into(), pid.into()));
                let to = channel.connects.clone();
                to.map(|to| told.insert("connect".into(), to.into()));
                told
            })
            .collect();
        object(json!({
            "user": session.user.as_str(),
            "rights": ["all"],
            "version": env!("CARGO_PKG_VERSION"),
            "dialects": self.dialects(),
            "clock": self.settings.clock.now(),
            "forward": self.settings.limits.forward,
            "channels": channels,
        }))
    }
}

/// Tells the log who did what; not of every key that is typed, nor of every piece of a file.
fn log(session: &Session, verb: Verb, reply: &Reply) {
    let (user, verb_name) = (session.user.as_str(), verb.name());
    match reply {
        Reply::Refused(refused) => {
            tracing::info!(user, verb = verb_name, error = refused.name, "call refused");
        }
        _ if matches!(
            verb,
            Verb::Idt | Verb::Edt | Verb::Get | Verb::Put | Verb::Fs
        ) =>
        {
            tracing::debug!(user, verb = verb_name, "call")
        }
        _ => tracing::info!(user, verb = verb_name, "call"),
    }
}

/// What opens a channel is answered at once, without output.
fn opened(channel: Arc<Channel>) -> Reply {
    let mut head = Object::new();
    if let Some(pid) = channel.pid() {
        head.insert("pid".into(), pid.into());
    }
    let answer = Answer::new(channel, None, None, false, Patience::AtOnce);
    Reply::Channel { head, answer }
}

fn told(
    channel: Arc<Channel>,
    out: Option<u64>,
    err: Option<u64>,
    tail: bool,
    patience: Patience,
) -> Reply {
    let answer = Answer::new(channel, out, err, tail, patience);
    let (out, err) = answer.begins();
    Reply::Channel {
        head: object(json!({"out": out, "err": err})),
        answer,
    }
}

/// Reads a request to its proved end. The status is that of the bare answer to one that does not get there.
async fn gather(
    session: &Session,
    verb: Verb,
    lines: &mut BodyLines,
) -> Result<Gathered, StatusCode> {
    let first = line(lines).await?.ok_or(StatusCode::BAD_REQUEST)?;
    let begun = Opener::begin(session.up.clone(), &session.numbers, &first);
    let (mut opener, head) = begun.map_err(|refusal| status(session, refusal))?;
    if head.get("verb").and_then(serde_json::Value::as_str) != Some(verb.name()) {
        return Err(StatusCode::BAD_REQUEST);
    }
    lines.proved();
    let mut data = Vec::new();
    while let Some(next) = line(lines).await? {
        if let Some(piece) = opener
            .open(&next)
            .map_err(|refusal| status(session, refusal))?
        {
            data.push(piece);
        }
    }
    if session.is_ended() {
        return Err(StatusCode::FORBIDDEN);
    }
    let whole = opener
        .finish()
        .map_err(|refusal| status(session, refusal))?;
    Ok(Gathered { head, data, whole })
}

async fn line(lines: &mut BodyLines) -> Result<Option<bytes::Bytes>, StatusCode> {
    lines.next().await.map_err(|fault| match fault {
        InputFault::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        InputFault::False(_) | InputFault::Lost | InputFault::Stalled => StatusCode::BAD_REQUEST,
    })
}

fn status(session: &Session, refusal: Refusal) -> StatusCode {
    tracing::warn!(
        user = session.user.as_str(),
        refusal = refusal.name(),
        "request refused"
    );
    match refusal {
        Refusal::NumberUsed => StatusCode::CONFLICT,
        _ => StatusCode::BAD_REQUEST,
    }
}

/// Bytes of a body of remo/2.
const BODY: usize = 4 << 20;

/// How often channels are looked at.
pub(crate) const SWEEP: Duration = Duration::from_millis(500);
