//! `/auth`: logs users in and out. Every refusal of a log-in looks the same and leaves at one fixed time
//! after the request was read, whatever was wrong with it.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use remo_protocol::{
    agreement::TransientPublic,
    dialect::{AnyDialect, Dialect},
    keys::{PrivateKey, UserKey},
    limits::TRANSIENT_KEYS,
    login::{LoginAnswer, LoginRequest},
    name::UserName,
    refusal::Refusal,
    remo2::handshake,
};
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep_until, timeout},
};

use super::{Answer, Crypter, bare, opened::drain_briefly, plain, transient::Used};
use crate::{
    limits::Limits,
    session::SessionId,
    users::{UserService, UsersError},
};

/// What all log-ins share.
pub(crate) struct Logins {
    checking: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    used: Mutex<Used>,
}

impl Logins {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            checking: Arc::new(Semaphore::new(limits.logins.max(1))),
            waiting: Arc::new(Semaphore::new(
                limits.logins_waiting.saturating_add(limits.logins.max(1)),
            )),
            used: Mutex::new(Used::new(TRANSIENT_KEYS)),
        }
    }
}

/// Why nobody is logged in.
pub(super) enum Failure {
    /// The peer did something wrong.
    Refused(Refusal),
    /// The user database cannot be read.
    Users(UsersError),
    /// Too many are at it.
    Busy,
    /// The checking broke.
    Broken,
}

impl Crypter {
    /// Answers an `/auth`: logs in, or, where the body is empty, out.
    pub(crate) async fn auth(
        &self,
        ids: &[SessionId],
        body: Body,
    ) -> Result<Answer, getrandom::Error> {
        let body = match self.read(body).await {
            Ok(body) => body,
            Err(status) => return self.visited(ids, bare(status)),
        };
        if body.is_empty() {
            return self.log_out(ids);
        }
        let refusal_at = Instant::now() + self.settings.limits.refusal_time;
        let logged_in = if handshake::LoginRequest::is_versioned(&body) {
            let logged_in = self.log_in_remo2(&body).await;
            logged_in.map(|(answer, session)| (answer, session.as_str().to_owned()))
        } else {
            let logged_in = self.log_in(&body, ids).await;
            logged_in.map(|(text, session)| (text.into(), session.as_str().to_owned()))
        };
        match logged_in {
            Ok((answer, cookie)) => Ok(Answer {
                response: plain(StatusCode::OK, answer),
                cookie,
            }),
            Err(failure) => {
                let response = self.refused(failure, refusal_at).await;
                self.visited(ids, response)
            }
        }
    }

    async fn read(&self, body: Body) -> Result<Bytes, StatusCode> {
        let limits = &self.settings.limits;
        let mut limited = Limited::new(body, limits.auth_body);
        match timeout(limits.auth_time, (&mut limited).collect()).await {
            Ok(Ok(body)) => Ok(body.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => {
                drain_briefly(Body::new(limited.map_err(axum::Error::new).boxed_unsync())).await;
                Err(StatusCode::PAYLOAD_TOO_LARGE)
            }
            Ok(Err(_)) => Err(StatusCode::BAD_REQUEST),
            Err(_) => Err(StatusCode::REQUEST_TIMEOUT),
        }
    }

    /// By the cookie alone, as the clients of these dialects do it.
    fn log_out(&self, ids: &[SessionId]) -> Result<Answer, getrandom::Error> {
        for login in self.sessions.logins(ids) {
            tracing::info!(user = login.user.as_str(), "logged out");
            self.sessions.log_out(&login);
        }
        self.visited(ids, plain(StatusCode::OK, "Disconnected"))
    }

    async fn log_in(&self, body: &[u8], ids: &[SessionId]) -> Result<(String, SessionId), Failure> {
        let request = LoginRequest::parse(body).map_err(Failure::Refused)?;
        let (user, key, floor) = (request.user.clone(), request.key, self.settings.floor);
        let server = self.settings.key.clone();
        let checked = self
            .checked(&key, move |users| prove(request, users, &server, floor))
            .await
            .inspect_err(|failure| failure.log(&user));
        let (
            LoginAnswer {
                user,
                text,
                key: session_key,
            },
            floor,
        ) = checked?;
        self.use_up(key)?;
        let login = self
            .sessions
            .log_in(user, session_key, floor, ids)
            .map_err(|_| Failure::Busy)?;
        tracing::info!(
            user = login.user.as_str(),
            sessions = self.sessions.count(),
            "logged in"
        );
        Ok((text, login.id.clone()))
    }

    /// Proves a log-in on a thread where nobody else waits, a bounded number at once.
    pub(super) async fn checked<T: Send + 'static>(
        &self,
        key: &TransientPublic,
        prove: impl FnOnce(&dyn UserService) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        if self.used().contains(key) {
            return Err(Failure::Refused(Refusal::TransientKeyReused));
        }
        let _waiting = self
            .logins
            .waiting
            .try_acquire()
            .map_err(|_| Failure::Busy)?;
        let checking = self
            .logins
            .checking
            .clone()
            .acquire_owned()
            .await
            .map_err(|_| Failure::Broken)?;
        let users = self.settings.users.clone();
        let work = tokio::task::spawn_blocking(move || {
            let _checking = checking;
            prove(&*users)
        });
        work.await.map_err(|_| Failure::Broken)?
    }

    /// Remembers the transient key of a good log-in. Of two that came at once with one key, the second stops
    /// here.
    pub(super) fn use_up(&self, key: TransientPublic) -> Result<(), Failure> {
        if self.used().insert(key) {
            Ok(())
        } else {
            Err(Failure::Refused(Refusal::TransientKeyReused))
        }
    }

    /// An answer to somebody who is not logged in.
    pub(crate) fn visited(
        &self,
        ids: &[SessionId],
        response: Response<Body>,
    ) -> Result<Answer, getrandom::Error> {
        let cookie = self.sessions.visit(ids)?.as_str().to_owned();
        Ok(Answer { response, cookie })
    }

    fn used(&self) -> std::sync::MutexGuard<'_, Used> {
        self.logins
            .used
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    async fn refused(&self, failure: Failure, at: Instant) -> Response<Body> {
        let status = match failure {
            Failure::Refused(Refusal::LoginMalformed | Refusal::VersionUnknown) => {
                return bare(StatusCode::BAD_REQUEST);
            }
            Failure::Refused(Refusal::ServerUnknown) => {
                return bare(StatusCode::MISDIRECTED_REQUEST);
            }
            Failure::Busy => return busy(),
            Failure::Refused(_) => StatusCode::FORBIDDEN,
            Failure::Users(error) => {
                tracing::error!(%error, "the user database cannot be read");
                StatusCode::INTERNAL_SERVER_ERROR
            }
            Failure::Broken => StatusCode::INTERNAL_SERVER_ERROR,
        };
        sleep_until(next(at, self.settings.limits.refusal_time)).await;
        bare(status)
    }
}

impl Failure {
    /// Tells the log of a refusal, with the name that was claimed.
    pub(super) fn log(&self, user: &UserName) {
        if let Self::Refused(refusal) = self {
            tracing::warn!(
                user = user.as_str(),
                refusal = refusal.name(),
                "log-in refused"
            );
        }
    }
}

/// The key and the floor of a user; none where there is no such user, or the key is unusable.
pub(super) fn user_key(
    name: &UserName,
    users: &dyn UserService,
) -> Result<Option<(UserKey, Option<AnyDialect>)>, Failure> {
    let Some(user) = users.find(name).map_err(Failure::Users)? else {
        return Ok(None);
    };
    match user.key {
        Ok(key) => Ok(Some((key, user.floor))),
        Err(error) => {
            tracing::error!(user = name.as_str(), %error, "the user's key in the database is unusable");
            Ok(None)
        }
    }
}

/// Everything that costs: the user is looked up, the signature proved, the answer made. An unknown user
/// goes the same way with another key. Gives the lowest dialect, too, that the session may speak: `floor`
/// or the user's.
fn prove(
    request: LoginRequest,
    users: &dyn UserService,
    server: &PrivateKey,
    floor: AnyDialect,
) -> Result<(LoginAnswer, Dialect), Failure> {
    let Some((key, own)) = user_key(&request.user, users)? else {
        return Err(decoy(request, server));
    };
    let proved = request.prove(&key).map_err(Failure::Refused)?;
    let floor = own.map_or(floor, |own| own.max(floor));
    let lowest = floor.older().ok_or(Failure::Refused(Refusal::BelowFloor))?;
    let answer = proved.answer(server).map_err(Failure::Refused)?;
    Ok((answer, lowest))
}

fn decoy(request: LoginRequest, server: &PrivateKey) -> Failure {
    // The user's key may not be the server's: what the server signs would then pass for the user's.
    let _ = request.prove(&UserKey::Ed448(server.public()));
    Failure::Refused(Refusal::UserUnknown)
}

/// The first moment of the grid `at`, `at` + `step`, … that is not over: under load, too, the time of a
/// refusal tells little.
fn next(at: Instant, step: Duration) -> Instant {
    let late = Instant::now().saturating_duration_since(at);
    if late.is_zero() || step.is_zero() {
        return at;
    }
    let steps = late.as_nanos() / step.as_nanos() + 1;
    at + step.saturating_mul(u32::try_from(steps).unwrap_or(u32::MAX))
}

fn busy() -> Response<Body> {
    let mut response = bare(StatusCode::SERVICE_UNAVAILABLE);
    response
        .headers_mut()
        .insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    response
}
