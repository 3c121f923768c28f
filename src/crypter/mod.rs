//! The crypter: below it travel sealed bytes, above it there are calls and replies. It logs users in,
//! proves requests and seals answers.

mod auth;
mod opened;
pub(crate) mod remo2;
mod sealed;
mod transient;

use std::sync::{Arc, atomic::Ordering};

use axum::body::Body;
use bytes::Bytes;
use http::{Response, StatusCode, header};
use remo_protocol::{
    dialect::{AnyDialect, Dialect},
    refusal::Refusal,
    session::{Begun, Head, Rejected},
};
use tokio::sync::Semaphore;

pub(crate) use auth::Logins;

use self::opened::BodyLines;
use crate::{
    Settings,
    call::{Call, InputFault, Reply},
    channels::Registry,
    desk::Desk,
    exec::Living,
    files::Files,
    ops,
    router::Verb,
    session::{self, Login, SessionId, Sessions},
};

/// What the crypter works with.
pub(crate) struct Crypter {
    pub(crate) settings: Settings,
    pub(crate) sessions: Sessions,
    pub(crate) remo2: session::remo2::Sessions,
    pub(crate) channels: Arc<Registry>,
    pub(crate) files: Arc<Files>,
    pub(crate) desk: Desk,
    logins: Logins,
    /// Long lines that are gathered before anything of their request is proved.
    long_lines: Arc<Semaphore>,
}

/// An answer, and the name of the session that goes with it as its cookie.
pub(crate) struct Answer {
    pub(crate) response: Response<Body>,
    pub(crate) cookie: String,
}

impl Crypter {
    pub(crate) fn new(settings: Settings) -> Self {
        let (limits, living) = (settings.limits.clone(), Arc::new(Living::default()));
        let channels = Arc::new(Registry::new(limits.clone(), living.clone()));
        Self {
            sessions: Sessions::new(limits.clone()),
            remo2: session::remo2::Sessions::new(limits.clone()),
            files: Arc::new(Files::new(channels.clone(), limits.state_folder.as_deref())),
            channels,
            logins: Logins::new(&limits),
            desk: Desk { limits, living },
            long_lines: Arc::new(Semaphore::new(LONG_LINES)),
            settings,
        }
    }

    /// Answers a verb in the session of whoever sealed the request.
    pub(crate) async fn verb(
        &self,
        verb: Verb,
        path: &str,
        argument: Option<&str>,
        ids: &[SessionId],
        body: Body,
    ) -> Result<Answer, getrandom::Error> {
        let logins = self.sessions.logins(ids);
        if logins.is_empty() {
            let response = self.unauthenticated(verb, body).await;
            return self.visited(ids, response);
        }
        let mut lines = BodyLines::new(body, self.settings.limits.stall, self.long_lines.clone());
        let first = lines.next().await;
        // Who asks in the words of remo/2 sealed nothing, and is answered like everybody.
        if verb == Verb::Info
            && let Ok(Some(line)) = &first
            && let Some(text) = self.info_remo2(line)
        {
            return self.visited(ids, plain(StatusCode::OK, text));
        }
        let login = whose(
            logins,
            argument,
            first.as_ref().ok().and_then(Option::as_ref),
        );
        let cookie = login.id.as_str().to_owned();
        let response = match first {
            Err(fault) => self.refuse(fault_status(fault), lines).await,
            Ok(first) => {
                self.in_turn(
                    verb,
                    Head {
                        path,
                        argument,
                        first: first.as_deref(),
                    },
                    login,
                    lines,
                )
                .await
            }
        };
        Ok(Answer { response, cookie })
    }

    /// Which server this is, is open to all; who asks for it in the words of remo/2, gets the key too.
    async fn unauthenticated(&self, verb: Verb, body: Body) -> Response<Body> {
        let asked = opened::read_briefly(body).await;
        match verb {
            Verb::Info => match self.info_remo2(&asked) {
                Some(text) => plain(StatusCode::OK, text),
                None => plain(StatusCode::OK, ops::info::text()),
            },
            _ => bare(StatusCode::FORBIDDEN),
        }
    }

    /// Answers one request of a session when those before it are answered.
    async fn in_turn(
        &self,
        verb: Verb,
        head: Head<'_>,
        login: Arc<Login>,
        lines: BodyLines,
    ) -> Response<Body> {
        let Some(mut turn) = login.clone().turn(self.settings.limits.turns_waiting).await else {
            return self.refuse(StatusCode::SERVICE_UNAVAILABLE, lines).await;
        };
        if login.is_ended() {
            return self.refuse(StatusCode::FORBIDDEN, lines).await;
        }
        let begun = turn
            .memory
            .begin(head, login.floor(), self.settings.clock.now());
        let begun = match begun {
            Ok(begun) => begun,
            // Which server this is, is open to all; and nothing was sealed.
            Err(_) if verb == Verb::Info && head.first.is_none() => {
                return plain(StatusCode::OK, ops::info::text());
            }
            Err(rejected) => return self.reject(rejected, verb, head, &login, lines).await,
        };
        self.raise_floor(&login, begun.dialect).await;
        let Begun {
            argument,
            data,
            body,
            answer,
            ..
        } = begun;
        let (input, rest) = opened::input(data, lines, body);
        let reply = match argument.transpose() {
            Err(refusal) => {
                drop(input);
                let said =
                    format!("the argument in the path is no token of this session ({refusal})");
                Reply::failed(verb.false_argument(), said)
            }
            Ok(argument) => {
                let call = Call {
                    who: login.user.clone(),
                    op: verb.op(argument.unwrap_or_else(Bytes::new)),
                    input,
                    interactive: login.interactive.clone(),
                };
                self.desk.handle(call).await
            }
        };
        turn.memory.observe(rest.newest.load(Ordering::Relaxed));
        rest.drain(self.settings.limits.spool).await;
        sealed::response(reply, answer, turn, self.settings.clock.clone())
    }

    /// Refuses a request that did not prove its head. Nothing is sealed for it.
    async fn reject(
        &self,
        rejected: Rejected,
        verb: Verb,
        head: Head<'_>,
        login: &Login,
        lines: BodyLines,
    ) -> Response<Body> {
        let Rejected {
            refusal,
            ends_session,
            by_argument,
        } = rejected;
        tracing::warn!(
            user = login.user.as_str(),
            refusal = refusal.name(),
            ends_session,
            "request refused"
        );
        if ends_session {
            self.sessions.log_out(login);
        }
        let status = match refusal {
            Refusal::BelowFloor => 403,
            // Where there is no body, too, the argument is all that was sent.
            _ if by_argument || head.first.is_none() => verb.false_argument(),
            _ => 400,
        };
        self.refuse(
            StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST),
            lines,
        )
        .await
    }

    async fn refuse(&self, status: StatusCode, lines: BodyLines) -> Response<Body> {
        opened::drain_briefly(lines.into_body()).await;
        bare(status)
    }

    /// A user who proved a body of 0.6 will not be taken for one of 0.3 again.
    async fn raise_floor(&self, login: &Login, dialect: Option<Dialect>) {
        if dialect != Some(Dialect::V0_6) || login.floor() >= Dialect::V0_6 {
            return;
        }
        self.sessions.raise_floor(&login.user, Dialect::V0_6);
        let (users, user) = (self.settings.users.clone(), login.user.clone());
        let raised =
            tokio::task::spawn_blocking(move || users.raise_floor(&user, AnyDialect::V0_6)).await;
        if let Ok(Err(error)) = raised {
            tracing::error!(user = login.user.as_str(), %error, "cannot raise the user's dialect floor");
        }
    }
}

/// The session that sealed the request, among several whose cookies were sent.
fn whose(logins: Vec<Arc<Login>>, argument: Option<&str>, first: Option<&Bytes>) -> Arc<Login> {
    let mut logins = logins.into_iter();
    // There is one at least.
    let Some(eldest) = logins.next() else {
        unreachable!("a request without a log-in was answered before")
    };
    if logins.len() == 0 {
        return eldest;
    }
    let token = first.map_or(argument.unwrap_or_default().as_bytes(), |line| line);
    let mut all = std::iter::once(eldest.clone()).chain(logins);
    all.find(|login| login.sealed(token)).unwrap_or(eldest)
}

fn fault_status(fault: InputFault) -> StatusCode {
    StatusCode::from_u16(Reply::from(fault).status).unwrap_or(StatusCode::BAD_REQUEST)
}

/// An answer that says nothing but its status.
pub(crate) fn bare(status: StatusCode) -> Response<Body> {
    plain(status, "")
}

/// An answer that is not sealed. It has a length: by that, Python's clients know it.
pub(crate) fn plain(status: StatusCode, text: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Body::from(text.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        http::HeaderValue::from_static("text/plain"),
    );
    response
}

/// How many lines over [`opened::LONG`] may be gathered at once before they are proved: so nobody
/// without a key takes more memory than this times the longest line.
const LONG_LINES: usize = 8;
