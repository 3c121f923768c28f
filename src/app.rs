//! The application as a value: one request of HTTP in, its answer out. Sockets are not known here.

use std::{
    convert::Infallible,
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, OnceLock, Weak},
    task::{Context, Poll},
    time::Duration,
};

use axum::body::Body;
use http::{HeaderValue, Request, Response, StatusCode, header};
use remo_protocol::{dialect::AnyDialect, keys::PrivateKey};
use tokio::time::timeout;

use crate::{
    clock::Clock,
    crypter::{Answer, Crypter, bare, remo2::SWEEP},
    limits::Limits,
    router::{Route, Verb, route},
    session::cookie,
    users::UserService,
};

/// What an application is made of. Change what [`new`](Self::new) presets before you make one.
#[derive(Clone)]
pub struct Settings {
    /// The server's long-term key.
    pub key: Arc<PrivateKey>,
    /// The key that it is rotating out: clients of remo/2 that trust this one only can still log in.
    pub old_key: Option<Arc<PrivateKey>>,
    /// Who may log in.
    pub users: Arc<dyn UserService>,
    /// The lowest dialect that is spoken.
    pub floor: AnyDialect,
    /// The ceilings.
    pub limits: Arc<Limits>,
    /// The time of day.
    pub clock: Clock,
}

impl Settings {
    /// A server with this key and these users, that speaks every dialect.
    pub fn new(key: PrivateKey, users: Arc<dyn UserService>) -> Self {
        Self {
            key: Arc::new(key),
            old_key: None,
            users,
            floor: AnyDialect::V0_3,
            limits: Arc::default(),
            clock: Clock::system(),
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("floor", &self.floor)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// The server as a [`tower::Service`] of HTTP requests: mount it in axum with `nest_service`, or in hyper
/// by way of `hyper_util::service::TowerToHyperService`. Its paths (`/auth`, `/cmd/…`) are those below
/// where it is mounted: whoever mounts it takes the prefix off, as axum does.
///
/// Clones share one set of sessions. It must be called within a tokio runtime that has its timer and its
/// I/O enabled. When the last clone is dropped, all sessions end.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::sync::Arc;
/// use remo_protocol::keys::PrivateKey;
/// use remo_serv::{Application, Settings, users::MemoryUserService};
///
/// let settings = Settings::new(PrivateKey::generate()?, Arc::new(MemoryUserService::default()));
/// let router: axum::Router = axum::Router::new().nest_service("/remo", Application::new(settings));
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Application(Arc<Inner>);

struct Inner {
    crypter: Crypter,
    sweeper: OnceLock<()>,
}

impl fmt::Debug for Application {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Application")
            .field("settings", &self.0.crypter.settings)
            .finish_non_exhaustive()
    }
}

impl Application {
    /// Makes the application.
    pub fn new(settings: Settings) -> Self {
        Self(Arc::new(Inner {
            crypter: Crypter::new(settings),
            sweeper: OnceLock::new(),
        }))
    }

    /// Lets the requests end that only wait for something to happen: the server is about to stop.
    pub fn stop_waiting(&self) {
        self.0.crypter.channels.stop_answers();
        self.0.crypter.files.stop();
    }

    /// Ends all sessions, and waits until every process that was started is gone: for 20 s at most, since what a request
    /// started ends with it, and a program that embeds this may still serve one.
    pub async fn shut_down(&self) {
        self.0.crypter.sessions.end_all();
        self.0.crypter.remo2.end_all();
        self.0.crypter.channels.end_all();
        self.0.crypter.files.end_all();
        let gone = self.0.crypter.desk.living.gone();
        if timeout(FAREWELL, gone).await.is_err() {
            tracing::error!("processes are left: their requests are still served");
        }
    }

    /// How many sessions are logged in to.
    pub fn sessions(&self) -> usize {
        self.0.crypter.sessions.count()
    }

    async fn answer(self, request: Request<Body>) -> Response<Body> {
        self.0.sweep_from_now_on();
        let (head, body) = request.into_parts();
        let answered = self.0.answer(head.uri.path(), &head.headers, body).await;
        let Ok(Answer {
            mut response,
            cookie,
        }) = answered
        else {
            tracing::error!("the system gives no random bytes");
            return bare(StatusCode::INTERNAL_SERVER_ERROR);
        };
        let headers = response.headers_mut();
        headers.insert(
            header::CACHE_CONTROL,
            HeaderValue::from_static("no-store, no-transform"),
        );
        cookie::write(&cookie).map(|value| headers.insert(header::SET_COOKIE, value));
        response
    }
}

/// How long processes have to end when all sessions have: their own time is 5 s.
const FAREWELL: Duration = Duration::from_secs(20);

impl Inner {
    async fn answer(
        &self,
        path: &str,
        headers: &http::HeaderMap,
        body: Body,
    ) -> Result<Answer, getrandom::Error> {
        let ids = cookie::read(headers);
        if path.len() > self.crypter.settings.limits.path {
            return self.crypter.visited(&ids, bare(StatusCode::URI_TOO_LONG));
        }
        let names = cookie::read_remo2(headers);
        // A jar may hold an older one that is over.
        let lives = names
            .iter()
            .find(|name| self.crypter.remo2.find(name).is_some());
        match (route(path), lives.or(names.first())) {
            (Route::Auth, _) => self.crypter.auth(&ids, body).await,
            // A session of remo/2 is spoken to in remo/2, whatever else the jar holds.
            (Route::Verb(verb, _), Some(id)) if verb != Verb::Info => {
                let response = self.crypter.remo2(path, id, body).await;
                let cookie = id.as_str().to_owned();
                Ok(Answer { response, cookie })
            }
            (Route::Verb(verb, argument), _) => {
                self.crypter.verb(verb, path, argument, &ids, body).await
            }
        }
    }

    /// Ends silent sessions from time to time, as long as there is an application.
    fn sweep_from_now_on(self: &Arc<Self>) {
        self.sweeper.get_or_init(|| {
            let (inner, pause) = (
                Arc::downgrade(self),
                self.crypter.settings.limits.session_time / 20,
            );
            tokio::spawn(sweep(inner, pause.clamp(Duration::from_millis(10), SWEEP)));
        });
    }
}

async fn sweep(inner: Weak<Inner>, pause: Duration) {
    loop {
        tokio::time::sleep(pause).await;
        let Some(inner) = inner.upgrade() else { return };
        inner.crypter.sessions.sweep();
        inner.crypter.remo2.sweep();
        inner.crypter.channels.sweep();
        inner.crypter.files.sweep();
    }
}

impl tower::Service<Request<Body>> for Application {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let application = self.clone();
        Box::pin(async move { Ok(application.answer(request).await) })
    }
}
