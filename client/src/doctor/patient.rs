//! Who is examined: the road, the keys, the session, and a count of all that was asked and what came of it.
//! Not here: what is asked to find something out.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http::HeaderValue;
use remo_protocol::keys::PublicKey;
use remo_protocol::remo2::json::Object;
use tokio::time::Instant as Clock;

use super::line::{Got, Line, whole};
use super::road::{Fault, Road};
use super::session::{Answer, LogIn, Missed, Session};
use crate::remo2::Person;

/// What is examined, and by whom.
pub(super) struct Patient {
    pub(super) road: Road,
    pub(super) person: Option<Person>,
    /// The server's keys that are trusted.
    pub(super) servers: Vec<PublicKey>,
    pub(super) count: Count,
    session: tokio::sync::Mutex<Option<Arc<Session>>>,
    proved: Mutex<Option<PublicKey>>,
    spare: Mutex<Vec<(Line, Instant)>>,
    ends: Clock,
}

/// What came of the sealed requests that nothing should have hindered.
#[derive(Debug, Default)]
pub(super) struct Count(Mutex<Counted>);

/// The numbers of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Counted {
    pub(super) asked: u64,
    /// Answered by the server, whole.
    pub(super) answered: u64,
    /// Told that their number was seen before.
    pub(super) repeated: u64,
    pub(super) changed: u64,
    pub(super) stale: u64,
    pub(super) cut: u64,
    pub(super) pages: u64,
    pub(super) broken: u64,
}

impl Count {
    fn lock(&self) -> MutexGuard<'_, Counted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The numbers as they are now.
    pub(super) fn now(&self) -> Counted {
        self.lock().clone()
    }

    fn record<T>(&self, outcome: &Result<T, Missed>) {
        let mut counted = self.lock();
        counted.asked += 1;
        let which = match outcome {
            Ok(_) => &mut counted.answered,
            Err(Missed::Bare(409)) => &mut counted.repeated,
            Err(Missed::Changed) => &mut counted.changed,
            Err(Missed::Stale) => &mut counted.stale,
            Err(Missed::Cut) => &mut counted.cut,
            Err(Missed::Bare(_) | Missed::Page(_)) => &mut counted.pages,
            Err(Missed::Fault(_)) => &mut counted.broken,
        };
        *which += 1;
    }
}

/// A request under a session.
pub(super) struct Question<'a> {
    pub(super) verb: &'a str,
    pub(super) head: Object,
    /// Bytes of the body, about.
    pub(super) length: usize,
    /// For each silence.
    pub(super) patience: Duration,
}

impl Question<'_> {
    /// A short `/who`.
    pub(super) fn who() -> Self {
        Self {
            verb: "who",
            head: Object::new(),
            length: 0,
            patience: PATIENCE,
        }
    }

    /// The same whose answer pauses for so long.
    pub(super) fn pausing(pause: Duration) -> Self {
        let mut question = Self::who();
        let milliseconds = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
        question.head.insert("probe".into(), milliseconds.into());
        question.patience += pause;
        question
    }
}

impl Patient {
    pub(super) fn new(
        road: Road,
        person: Option<Person>,
        servers: Vec<PublicKey>,
        time: Duration,
    ) -> Self {
        Self {
            road,
            person,
            servers,
            count: Count::default(),
            session: tokio::sync::Mutex::default(),
            proved: Mutex::default(),
            spare: Mutex::default(),
            ends: Clock::now() + time,
        }
    }

    /// The time that is left for everything.
    pub(super) fn left(&self) -> Duration {
        self.ends.saturating_duration_since(Clock::now())
    }

    /// Whether there is a session.
    pub(super) async fn is_logged_in(&self) -> bool {
        self.session.lock().await.is_some()
    }

    /// Sends a whole body to `path`, over a connection that is kept where the road keeps one.
    pub(super) async fn post(
        &self,
        path: &str,
        cookie: Option<&HeaderValue>,
        body: Vec<u8>,
        patience: Duration,
    ) -> Result<Got, Fault> {
        let body = bytes::Bytes::from(body);
        if let Some(mut line) = self.spare() {
            let request = self.request(path, cookie, body.clone())?;
            match line.exchange(request, patience).await {
                // It was closed meanwhile: of that, nothing follows for the path.
                Err(Fault::Broken(_)) => {}
                outcome => return self.keep(line, outcome).await,
            }
        }
        let mut line = self.road.open().await?;
        let outcome = line
            .exchange(self.request(path, cookie, body)?, patience)
            .await;
        self.keep(line, outcome).await
    }

    fn request(
        &self,
        path: &str,
        cookie: Option<&HeaderValue>,
        body: bytes::Bytes,
    ) -> Result<http::Request<super::line::Body>, Fault> {
        let request = self.road.request(path, cookie).body(whole(body));
        request.map_err(|error| Fault::Broken(error.to_string()))
    }

    fn spare(&self) -> Option<Line> {
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        spare.retain(|(line, since)| line.is_open() && since.elapsed() < KEPT);
        spare.pop().map(|(line, _)| line)
    }

    async fn keep(&self, mut line: Line, outcome: Result<Got, Fault>) -> Result<Got, Fault> {
        let sound = outcome.as_ref().is_ok_and(|got| got.broken.is_none());
        // Some proxies close what they said they would keep.
        if sound && !self.road.is_read_by_proxy() && line.is_reusable().await {
            let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
            spare.push((line, Instant::now()));
        }
        outcome
    }

    /// The key with which the server has answered a log-in.
    pub(super) fn proved(&self) -> Option<PublicKey> {
        self.proved_lock().clone()
    }

    fn proved_lock(&self) -> MutexGuard<'_, Option<PublicKey>> {
        self.proved.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Logs in once.
    pub(super) async fn log_in(&self) -> Result<(), Missed> {
        let mut session = self.session.lock().await;
        *session = Some(Arc::new(self.new_session().await?));
        Ok(())
    }

    async fn new_session(&self) -> Result<Session, Missed> {
        let mut missed = Missed::Bare(421);
        let person = self.person.as_ref();
        for (person, server) in person.into_iter().flat_map(|person| {
            let servers = self.servers.iter();
            servers.map(move |server| (person, server))
        }) {
            let (log_in, body) = LogIn::begin(person, server).await.map_err(Fault::Broken)?;
            let got = self.post("/auth", None, body, PATIENCE).await?;
            match (got.status, got.broken) {
                (200, None) => {
                    let session = log_in.finish(&got.body).ok_or(Missed::Changed)?;
                    *self.proved_lock() = Some(server.clone());
                    return Ok(session);
                }
                (_, Some(_)) => return Err(Missed::Cut),
                (421, _) => missed = Missed::Bare(421),
                (status, _) if got.body.is_empty() => return Err(Missed::Bare(status)),
                (status, _) => return Err(Missed::Page(status)),
            }
        }
        Err(missed)
    }

    /// Asks once, under the session. A session that the server does not know is logged in to anew.
    pub(super) async fn ask_once(&self, question: &Question<'_>) -> Result<Answer, Missed> {
        let session = self.session.lock().await.clone();
        let session = match session {
            Some(session) => session,
            None => return Err(Missed::Bare(403)),
        };
        let mut head = question.head.clone();
        head.insert("verb".into(), question.verb.into());
        let (body, number) = session
            .seal(&head, question.length)
            .map_err(|refusal| Fault::Broken(refusal.to_string()))?;
        let path = format!("/{}", question.verb);
        let got = self
            .post(&path, Some(&session.cookie), body, question.patience)
            .await?;
        let answer = session.open(&number, &got);
        if matches!(answer, Err(Missed::Bare(403) | Missed::Page(403))) {
            let _ = self.log_in().await;
        }
        answer
    }

    /// Asks until there is an answer, a few times; every attempt is counted.
    pub(super) async fn ask(&self, question: &Question<'_>) -> Result<Answer, Missed> {
        let mut missed = Missed::Fault(Fault::Silent(Duration::ZERO));
        for _ in 0..TRIES {
            let outcome = self.ask_once(question).await;
            self.count.record(&outcome);
            match outcome {
                Ok(answer) => return Ok(answer),
                Err(why) => missed = why,
            }
            if self.left().is_zero() {
                break;
            }
        }
        Err(missed)
    }
}

/// How often something is asked before its failing says anything.
pub(super) const TRIES: usize = 3;

/// How long a silence may be that nothing explains.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// How long a connection is kept for the next request.
const KEPT: Duration = Duration::from_secs(3);
