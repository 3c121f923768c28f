//! One server, through whatever sessions it takes: logged in to when due, asked again when an answer is missing.
//! Not here: what is asked, which is `channel`'s.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use remo_protocol::fernet::Sealed;
use remo_protocol::keys::{PrivateKey, PublicKey};
use remo_protocol::name::UserName;
use remo_protocol::remo2::answer::{Part, Stream};
use remo_protocol::remo2::json::Object;
use remo_protocol::remo2::request::{Number, Sealer};
use remo_protocol::remo2::session_id::{Run, SessionId};
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::answer::{Answer, silent};
use super::asking::{Act, Room, Trying};
use super::failure::{Failure, Fault};
use super::login::{Live, log_in};
use crate::transport::Transport;
use crate::upload::now;

/// Who we are.
#[derive(Clone, Debug)]
pub struct Person {
    /// The name under which the server knows the key.
    pub user: UserName,
    /// The private key.
    pub key: Arc<PrivateKey>,
}

/// A server of remo/2, and our sessions with it. Several requests may be under way at once.
#[derive(Debug)]
pub struct Remote {
    transport: Transport,
    person: Person,
    servers: Vec<PublicKey>,
    patience: Duration,
    told: Told,
    state: Mutex<State>,
    /// Milliseconds for which the path lets an answer be parked.
    wait: AtomicU64,
    /// Bytes of data that the path lets through in one request.
    data: AtomicUsize,
}

/// Who is told of finished log-ins.
struct Told(Box<dyn Fn(&PublicKey) + Send + Sync>);

impl std::fmt::Debug for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Told")
    }
}

#[derive(Debug, Default)]
struct State {
    live: Option<Arc<Live>>,
    /// Sessions of ours that may still be alive there, and are to end.
    lost: Vec<SessionId>,
    /// Once logged in to, what a refusal looks like is a fault of the path.
    ever: bool,
    refusals: u32,
    /// Which of the keys the server has.
    server: usize,
}

impl Remote {
    /// The server that has one of these keys; nothing is sent yet. `patience` is for how long the path may fail.
    #[must_use]
    pub fn new(
        transport: Transport,
        person: Person,
        servers: Vec<PublicKey>,
        patience: Duration,
    ) -> Self {
        Self {
            transport,
            person,
            servers,
            patience,
            told: Told(Box::new(|_| {})),
            state: Mutex::default(),
            wait: AtomicU64::new(LONGEST_WAIT),
            data: AtomicUsize::new(DATA),
        }
    }

    /// Calls `told` at each finished log-in, with the key by which the server has proved that it speaks remo/2: a client
    /// that saw this never logs in by an older dialect there.
    #[must_use]
    pub fn telling(self, told: impl Fn(&PublicKey) + Send + Sync + 'static) -> Self {
        Self {
            told: Told(Box::new(told)),
            ..self
        }
    }

    /// For how long the path may fail before one gives up.
    #[must_use]
    pub fn patience(&self) -> Duration {
        self.patience
    }

    /// What the server tells of itself and of us: the trailer of `/who`.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn who(&self) -> Result<Object, Failure> {
        self.ask(&mut Who::default()).await
    }

    /// Says that what these acts opened is no longer wanted. It is not insisted upon: the server forgets it by itself.
    pub async fn done(&self, ids: &[&str]) {
        let mut who = Who {
            done: ids.iter().map(|id| (*id).to_owned()).collect(),
        };
        let _ = timeout(FAREWELL, self.ask(&mut who)).await;
    }

    /// How many bytes of data a request should carry at most.
    pub(crate) fn data_room(&self) -> usize {
        self.data.load(Ordering::Relaxed)
    }

    /// Asks until there is a whole answer, or something that trying again would not change; gives its trailer.
    pub(crate) async fn ask(&self, act: &mut impl Act) -> Result<Object, Failure> {
        let mut trying = Trying::new(self.patience);
        loop {
            let fault = match self.try_once(act, &mut trying).await {
                Ok(trailer) => return Ok(trailer),
                Err(Fault::Final(failure)) => return Err(failure),
                Err(fault) => fault,
            };
            if matches!(fault, Fault::TooLarge) {
                self.shrink();
            }
            if matches!(fault, Fault::Repeated) {
                trying.halvings += 1;
            }
            trying.pause(&fault).await?;
        }
    }

    async fn try_once(&self, act: &mut impl Act, trying: &mut Trying) -> Result<Object, Fault> {
        let (live, lost) = self.session().await?;
        act.belongs(&live.run)?;
        let outcome = self.attempt(&live, &lost, act, trying).await;
        let doubted = outcome.is_err() && trying.doubts_session();
        match outcome {
            Err(Fault::SessionLost) => self.lose(&live).await,
            Err(Fault::Path(_)) if doubted => self.lose(&live).await,
            Ok(_) => self.ended(&lost).await,
            Err(_) => {}
        }
        outcome
    }

    /// The session, logged in to; and those that it is to end.
    async fn session(&self) -> Result<(Arc<Live>, Vec<SessionId>), Fault> {
        let mut state = self.state.lock().await;
        if let Some(live) = &state.live {
            return Ok((live.clone(), state.lost.clone()));
        }
        match self.log_in(&mut state).await {
            Ok(live) => {
                state.ever = true;
                let live = Arc::new(live);
                state.live = Some(live.clone());
                Ok((live, state.lost.clone()))
            }
            Err(Fault::AtFirst(failure)) => {
                state.refusals += 1;
                if state.ever || state.refusals < REFUSALS {
                    Err(Fault::AtFirst(failure))
                } else {
                    Err(Fault::Final(failure))
                }
            }
            Err(other) => Err(other),
        }
    }

    async fn log_in(&self, state: &mut State) -> Result<Live, Fault> {
        let servers = self.servers.iter().cycle().skip(state.server);
        let mut refused = Fault::AtFirst(Failure::OtherKey);
        for server in servers.take(self.servers.len()) {
            match log_in(&self.transport, &self.person, server).await {
                Err(fault @ Fault::AtFirst(Failure::OtherKey)) => {
                    state.server += 1;
                    refused = fault;
                }
                other => {
                    if other.is_ok() {
                        (self.told.0)(server);
                    }
                    return other;
                }
            }
        }
        Err(refused)
    }

    async fn lose(&self, live: &Arc<Live>) {
        let mut state = self.state.lock().await;
        if state
            .live
            .as_ref()
            .is_some_and(|now| Arc::ptr_eq(now, live))
        {
            state.live = None;
            state.lost.push(live.session.clone());
        }
    }

    async fn ended(&self, lost: &[SessionId]) {
        if !lost.is_empty() {
            let mut state = self.state.lock().await;
            state.lost.retain(|session| !lost.contains(session));
        }
    }

    fn room(&self, trying: &Trying) -> Room {
        let mut wait = self.wait.load(Ordering::Relaxed) >> trying.halvings.min(16);
        if trying.is_failing() {
            // Whether the path lives again should show soon.
            wait = wait.min(WAIT_IN_DOUBT);
        }
        Room {
            wait: Duration::from_millis(wait),
            data: self.data_room(),
        }
    }

    fn shrink(&self) {
        let smaller = (self.data_room() / 2).max(LEAST_DATA);
        self.data.store(smaller, Ordering::Relaxed);
    }

    async fn attempt(
        &self,
        live: &Live,
        lost: &[SessionId],
        act: &mut impl Act,
        trying: &mut Trying,
    ) -> Result<Object, Fault> {
        let room = self.room(trying);
        let (mut head, data) = act.compose(live, room);
        let wait = head.get("wait").and_then(serde_json::Value::as_u64);
        head.insert("verb".into(), act.verb().into());
        if !lost.is_empty() {
            let lost: Vec<_> = lost.iter().map(SessionId::as_str).collect();
            head.insert("end".into(), lost.into());
        }
        let (body, number) = seal(live, &head, &data).map_err(Failure::Seal)?;
        let patience = GRACE + Duration::from_millis(wait.unwrap_or_default());
        let begun = Instant::now();
        let outcome = self
            .exchange(live, body, &number, patience, act, trying)
            .await;
        match outcome {
            Err(Fault::Path(_)) if wait.is_some_and(|wait| wait > 0) => {
                self.park_less(begun.elapsed());
            }
            Ok(_) => self.park_more(wait, begun.elapsed()),
            _ => {}
        }
        outcome
    }

    /// An answer was parked for all the time that the path is thought to allow: it may allow more.
    fn park_more(&self, asked: Option<u64>, parked: Duration) {
        let allowed = self.wait.load(Ordering::Relaxed);
        if asked == Some(allowed) && parked.as_millis() >= allowed.into() {
            let more = (allowed + allowed / 4).min(LONGEST_WAIT);
            self.wait.fetch_max(more, Ordering::Relaxed);
        }
    }

    /// An answer was lost while it was parked: the next ones are parked for half that time.
    fn park_less(&self, parked: Duration) {
        let parked = u64::try_from(parked.as_millis() / 2).unwrap_or(u64::MAX);
        if parked >= SHORTEST_WAIT {
            self.wait.fetch_min(parked, Ordering::Relaxed);
        }
    }

    async fn exchange(
        &self,
        live: &Live,
        body: Vec<u8>,
        number: &Number,
        patience: Duration,
        act: &mut impl Act,
        trying: &mut Trying,
    ) -> Result<Object, Fault> {
        let begun = Instant::now();
        let sending = patience + Duration::from_millis(body.len() as u64 / SLOWEST);
        let path = format!("/{}", act.verb());
        let response = timeout(
            sending,
            self.transport.post(&path, Some(&live.cookie), body),
        )
        .await
        .map_err(|_| silent(sending))?
        .map_err(|error| Fault::Path(error.to_string()))?;
        tracing::debug!(
            verb = act.verb(),
            number = number.value(),
            status = response.status().as_u16(),
            milliseconds = begun.elapsed().as_millis(),
            "answered"
        );
        let mut answer = Answer::new(response, live, number, patience);
        let mut refused = None;
        while let Some(part) = answer.next().await? {
            trying.good_sign();
            match part {
                Part::Head(head) => {
                    refused = refusal(&head);
                    if refused.is_none() {
                        act.head(&head)?;
                    }
                }
                Part::Data(stream, data) => act.data(stream, data).await?,
                Part::Nothing => {}
            }
        }
        let trailer = answer.finish()?;
        match refused {
            None => Ok(trailer),
            Some(fault) => Err(fault),
        }
    }
}

/// What a sealed head refuses; `late` did nothing, and is asked again.
fn refusal(head: &Object) -> Option<Fault> {
    let status = head.get("status").and_then(serde_json::Value::as_u64);
    if status == Some(200) {
        return None;
    }
    let text = |name: &str| head.get(name).and_then(serde_json::Value::as_str);
    let name = text("error").unwrap_or("unnamed");
    Some(if name == "late" {
        Fault::Path("the request arrived too late".into())
    } else {
        let message = text("message").unwrap_or_default();
        Failure::refused(status.unwrap_or_default(), name, message).into()
    })
}

fn seal(
    live: &Live,
    head: &Object,
    data: &[u8],
) -> Result<(Vec<u8>, Number), remo_protocol::refusal::Refusal> {
    let mut out = Sealed::default();
    let mut sealer = Sealer::begin(live.up.clone(), live.number(), head, now(), &mut out)?;
    for piece in data.chunks(PIECE) {
        sealer.data(piece, now(), &mut out)?;
    }
    let number = sealer.finish(&Object::new(), now(), &mut out)?;
    Ok((out.text, number))
}

/// `/who`, which changes nothing but what it says is done.
#[derive(Default)]
struct Who {
    done: Vec<String>,
}

impl Act for Who {
    fn verb(&self) -> &'static str {
        "who"
    }

    fn compose(&mut self, _: &Live, _: Room) -> (Object, Bytes) {
        let mut head = Object::new();
        if !self.done.is_empty() {
            head.insert("done".into(), self.done.clone().into());
        }
        (head, Bytes::new())
    }

    fn belongs(&self, _: &Run) -> Result<(), Failure> {
        Ok(())
    }

    fn head(&mut self, _: &Object) -> Result<(), Failure> {
        Ok(())
    }

    async fn data(&mut self, _: Stream, _: Bytes) -> Result<(), Failure> {
        Ok(())
    }
}

/// Milliseconds for which an answer is parked, where nothing showed that the path cuts it.
const LONGEST_WAIT: u64 = 20_000;

/// Milliseconds for which one is parked while answers fail.
const WAIT_IN_DOUBT: u64 = 1_000;

/// No answer is parked for less, whatever the path does.
const SHORTEST_WAIT: u64 = 250;

/// Bytes of data in a request: sealed, they stay below 512 KiB.
const DATA: usize = 360 * 1024;

/// No request carries less, whatever the path says.
const LEAST_DATA: usize = 4 * 1024;

/// Bytes of data in a token.
const PIECE: usize = 64 * 1024;

/// Silence beyond what was asked for, after which an answer counts as lost.
const GRACE: Duration = Duration::from_secs(10);

/// Bytes that the slowest path carries in a millisecond.
const SLOWEST: u64 = 8;

/// Log-ins that must be refused before the first refusal is believed.
const REFUSALS: u32 = 3;

/// How long it may take to say that something is done.
const FAREWELL: Duration = Duration::from_secs(3);
