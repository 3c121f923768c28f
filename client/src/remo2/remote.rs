//! One server, through whatever sessions it takes: logged in to when due, asked again when an answer is missing.
//! Not here: what is asked, which is `channel`'s.

use std::pin::pin;
use std::sync::{Arc, Mutex as Lock, PoisonError};
use std::time::Duration;

use remo_protocol::keys::PublicKey;
use remo_protocol::name::UserName;
use remo_protocol::remo2::answer::Part;
use remo_protocol::remo2::json::Object;
use remo_protocol::remo2::session_id::SessionId;
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::asking::{Act, Room, Trying};
use super::failure::{Failure, Fault};
use super::live::{Live, Ready, Request};
use super::login::log_in;
use super::memory::Memory;
use super::path::{Known, OVERDUE, Path, SMALL_BODY};
use super::probe::Probing;
use super::trust::ask_for_keys;
use super::who::Who;
use crate::agent::Bound;
use crate::error::Error;
use crate::signer::Signer;
use crate::transport::Transport;

/// Who we are.
#[derive(Clone, Debug)]
pub struct Person {
    /// The name under which the server knows the key.
    pub user: UserName,
    /// What signs with the private key.
    pub key: Signer,
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
    pub(crate) path: Path,
    pub(crate) probing: Probing,
    memory: Option<Memory>,
    /// What the memory holds of the path.
    kept: Lock<Option<Known>>,
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
    /// The agent that holds our sessions, as long as it does.
    agent: Option<Bound>,
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
            path: Path::new(Known::default()),
            probing: Probing::default(),
            memory: None,
            kept: Lock::default(),
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

    /// The same with what was remembered of the path, and will be.
    #[must_use]
    pub fn remembering(mut self, memory: Memory) -> Self {
        if let Some(known) = memory.recall(&self.transport.mark()) {
            tracing::debug!(?known, "the path is remembered");
            self.path = Path::new(known);
            self.kept = Lock::new(Some(known));
        }
        self.memory = Some(memory);
        self
    }

    /// The way to it.
    #[must_use]
    pub fn transport(&self) -> &Transport {
        &self.transport
    }

    /// Logs in anew with the next request, which ends the session so far. What runs, goes on.
    pub async fn leave_session(&self) {
        let mut state = self.state.lock().await;
        if let Some(live) = state.live.take() {
            if let Some(lease) = live.lease() {
                lease.lose(&live.session).await;
            }
            state.lost.push(live.session.clone());
        }
    }

    /// Which server it is and who we are there, as text that is the same in every run of the program.
    pub(crate) fn identity(&self) -> String {
        let keys: Vec<_> = self
            .servers
            .iter()
            .map(|key| key.fingerprint().to_string())
            .collect();
        format!("{} {}", keys.join(" "), self.person.user.as_str())
    }

    /// The same with sessions that an agent holds, as long as it does; without them it logs in by itself.
    #[must_use]
    pub fn through(mut self, agent: Option<Bound>) -> Self {
        self.state.get_mut().agent = agent;
        self
    }

    /// For how long the path may fail before one gives up.
    #[must_use]
    pub fn patience(&self) -> Duration {
        self.patience
    }

    /// Logs in, where that is due.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn ready(&self) -> Result<(), Failure> {
        let mut trying = Trying::new(self.patience);
        loop {
            match self.session().await {
                Ok(_) => return Ok(()),
                Err(Fault::Final(failure)) => return Err(failure),
                Err(fault) => trying.pause(&fault).await?,
            }
        }
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
        let _ = timeout(FAREWELL, self.ask(&mut Who::done(ids))).await;
    }

    /// How many requests to have in flight where much is to be carried: four, or one where the path carries no more. It may
    /// change at any time.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.path.in_flight()
    }

    /// How many bytes of data a request should carry at most. It may change at any time.
    #[must_use]
    pub fn data_room(&self) -> usize {
        self.path.data()
    }

    /// Keeps what is known of the path, where it is not what was kept last.
    pub(crate) fn remember(&self) {
        let Some(memory) = self.memory.clone() else {
            return;
        };
        let known = self.path.known();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.is_some_and(|kept| kept.is_about(&known)) {
            return;
        }
        *kept = Some(known);
        let mark = self.transport.mark();
        tokio::task::spawn_blocking(move || {
            // It is but a hint: where it cannot be kept, the next run finds out by itself.
            if let Err(error) = memory.keep(&mark, known) {
                tracing::debug!(%error, "what is known of the path is not kept");
            }
        });
    }

    /// Asks until there is a whole answer, or something that trying again would not change; gives its trailer.
    pub(crate) async fn ask(&self, act: &mut impl Act) -> Result<Object, Failure> {
        let mut trying = Trying::new(self.patience);
        loop {
            let fault = match self.try_once(act, &mut trying).await {
                Ok(trailer) => return Ok(trailer),
                Err(Fault::Final(failure)) => return Err(failure),
                Err(_) if act.is_settled() => return Ok(Object::new()),
                Err(fault) => fault,
            };
            if matches!(fault, Fault::Repeated) {
                trying.halvings += 1;
            }
            trying.pause(&fault).await?;
        }
    }

    /// Asks once, for whoever only wants to see whether it passes.
    pub(crate) async fn ask_once(&self, act: &mut impl Act) -> Result<Object, Fault> {
        self.try_once(act, &mut Trying::new(self.patience)).await
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
                    Err(Fault::Final(self.explain(failure).await))
                }
            }
            Err(other) => Err(other),
        }
    }

    /// What a refused log-in is told as: an older server, too, refuses it, and says who it is. Nothing proves that, and nothing but
    /// other words follow from it.
    async fn explain(&self, failure: Failure) -> Failure {
        if !matches!(failure, Failure::First(Error::LoginRefused { .. })) {
            return failure;
        }
        match ask_for_keys(&self.transport).await {
            Err(older @ Failure::OtherDialect) => older,
            _ => failure,
        }
    }

    async fn log_in(&self, state: &mut State) -> Result<Live, Fault> {
        if let Some(agent) = &state.agent {
            match agent
                .session(&self.transport, &self.person.user, &self.servers)
                .await
            {
                Ok(found) => return found.map(|(live, server)| self.proved(live, server)),
                Err(trouble) => {
                    tracing::debug!(%trouble, "without the agent from now on");
                    state.agent = None;
                }
            }
        }
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

    /// A session of the agent's, and which of the keys its server has proved.
    fn proved(&self, live: Live, server: usize) -> Live {
        if let Some(server) = self.servers.get(server) {
            (self.told.0)(server);
        }
        live
    }

    async fn lose(&self, live: &Arc<Live>) {
        let mut state = self.state.lock().await;
        if let Some(lease) = live.lease() {
            lease.lose(&live.session).await;
        }
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
        let mut wait = self.path.wait() / 2_u32.pow(trying.halvings.min(16));
        if trying.is_failing() {
            // Whether the path lives again should show soon.
            wait = wait.min(WAIT_IN_DOUBT);
        }
        Room {
            wait,
            data: self.path.data(),
            stream: self.path.streams() && !trying.is_failing(),
        }
    }

    async fn attempt(
        &self,
        live: &Live,
        lost: &[SessionId],
        act: &mut impl Act,
        trying: &mut Trying,
    ) -> Result<Object, Fault> {
        let _pass = match act.waits_for_others() {
            true => self.path.enter().await,
            false => None,
        };
        let (mut head, data) = act.compose(live, self.room(trying));
        let wants = Wants::of(&head);
        head.insert("verb".into(), act.verb().into());
        if !lost.is_empty() {
            let lost: Vec<_> = lost.iter().map(SessionId::as_str).collect();
            head.insert("end".into(), lost.into());
        }
        let request = Request {
            verb: act.verb(),
            head: &head,
            data: &data,
            filling: act.filling(),
            patience: wants.patience(),
            silence: wants.silence(),
        };
        let ready = live.ready(request).await?;
        let length = ready.length;
        let passage = self.path.begin(wants.parks());
        let mut begun = false;
        let small = length <= SMALL_BODY && !wants.parks();
        let outcome = {
            let mut exchange = pin!(self.exchange(ready, &mut begun, act, trying));
            match timeout(OVERDUE, &mut exchange).await {
                Ok(outcome) => outcome,
                Err(_) => {
                    if small {
                        passage.is_overdue();
                    }
                    exchange.await
                }
            }
        };
        let lasted = passage.elapsed();
        match &outcome {
            Ok(_) => {
                passage.answered();
                self.path.passed(length);
                if wants.parks() && !wants.stream {
                    self.path.park_more(lasted);
                }
            }
            Err(Fault::TooLarge) => self.path.refused(length),
            Err(Fault::Path(_)) if wants.stream => self.path.stream_cut(begun, lasted),
            Err(Fault::Path(_)) if wants.parks() => self.path.park_less(lasted),
            Err(Fault::Path(_)) if trying.is_failing() => self.path.swallowed(length),
            Err(_) => {}
        }
        if matches!(outcome, Err(Fault::Path(_))) && small {
            passage.lost();
        }
        if outcome.is_err() && act.waits_for_others() {
            self.remember();
        }
        outcome
    }

    /// Sends what is ready, and hears its answer; `begun` says whether something sealed has come.
    async fn exchange(
        &self,
        ready: Ready<'_>,
        begun: &mut bool,
        act: &mut impl Act,
        trying: &mut Trying,
    ) -> Result<Object, Fault> {
        let mut answer = ready.send().await?;
        let mut refused = None;
        while let Some(part) = answer.next().await? {
            trying.good_sign();
            *begun = true;
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
            if act.has_enough() {
                return Ok(Object::new());
            }
        }
        let trailer = answer.finish()?;
        match refused {
            None => Ok(trailer),
            Some(fault) => Err(fault),
        }
    }
}

/// What a head asks of the path.
#[derive(Clone, Copy)]
struct Wants {
    wait: Duration,
    stream: bool,
}

impl Wants {
    fn of(head: &Object) -> Self {
        let number = |name: &str| head.get(name).and_then(Value::as_u64).unwrap_or_default();
        Self {
            wait: Duration::from_millis(number("wait").max(number("probe"))),
            stream: head.get("stream").and_then(Value::as_bool) == Some(true),
        }
    }

    /// Whether the answer may be long in coming.
    fn parks(self) -> bool {
        self.stream || self.wait > AT_ONCE
    }

    /// How long an answer may take to begin. One that streams begins at once, or it does not stream.
    fn patience(self) -> Duration {
        if self.stream {
            STREAM_BEGINS
        } else {
            GRACE + self.wait
        }
    }

    /// How long it may be silent then.
    fn silence(self) -> Duration {
        if self.stream {
            STREAM_SILENCE
        } else {
            GRACE + self.wait
        }
    }
}

/// What a sealed head refuses; `late` did nothing, and is asked again.
fn refusal(head: &Object) -> Option<Fault> {
    let status = head.get("status").and_then(Value::as_u64);
    if status == Some(200) {
        return None;
    }
    let text = |name: &str| head.get(name).and_then(Value::as_str);
    let name = text("error").unwrap_or("unnamed");
    Some(if name == "late" {
        Fault::Path("the request arrived too late".into())
    } else {
        let message = text("message").unwrap_or_default();
        Failure::refused(status.unwrap_or_default(), name, message).into()
    })
}

/// How long an answer is parked while answers fail.
const WAIT_IN_DOUBT: Duration = Duration::from_secs(1);

/// What waits for no longer is wanted at once.
const AT_ONCE: Duration = Duration::from_millis(100);

/// How long a stream may take to begin.
const STREAM_BEGINS: Duration = Duration::from_secs(5);

/// How long a stream may be silent: the server says every 15 s that it is there.
const STREAM_SILENCE: Duration = Duration::from_secs(25);

/// Silence beyond what was asked for, after which an answer counts as lost.
const GRACE: Duration = Duration::from_secs(10);

/// Log-ins that must be refused before the first refusal is believed.
const REFUSALS: u32 = 3;

/// How long it may take to say that something is done.
const FAREWELL: Duration = Duration::from_secs(3);
