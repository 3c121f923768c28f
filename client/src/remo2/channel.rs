//! One process on a server: opened once, fed and followed by offsets, over as many requests and sessions as it takes.
//! Not here: how a request is sent, and where the output goes.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use remo_protocol::remo2::answer::Stream;
use remo_protocol::remo2::json::Object;
use remo_protocol::remo2::session_id::{Run, SessionId};
use serde_json::Value;
use tokio::sync::Notify;
use tokio::sync::mpsc::Receiver;
use tokio::time::{sleep, timeout};

use super::asking::Act;
use super::exchange::{Exchange, Incoming};
use super::failure::Failure;
use super::live::Live;
use super::opening::{Command, Open, Opening, Size};
use super::output::Output;
use super::pending::{Pending, interrupts};
use super::remote::Remote;

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// By itself, with this status.
    Exit(u8),
    /// By this signal.
    Signal(u8),
}

impl Ended {
    /// The status as shells have it: 128 and the number of the signal.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Exit(code) => code,
            Self::Signal(signal) => signal.saturating_add(128),
        }
    }
}

/// A process there.
#[derive(Debug)]
pub struct Channel {
    remote: Arc<Remote>,
    id: String,
    marks: Mutex<Marks>,
    output: tokio::sync::Mutex<Output>,
    /// What was parked is not worth waiting for: somebody interrupts.
    interrupted: Notify,
    /// Input was answered.
    stirred: Notify,
}

/// How far everything is.
#[derive(Debug, Default)]
pub(super) struct Marks {
    /// The run of the server that it lives in.
    pub(super) run: Option<Run>,
    /// The session that is attached, as far as we know.
    pub(super) attached: Option<SessionId>,
    pub(super) out: u64,
    pub(super) err: u64,
    /// What the server has been told to be received.
    acknowledged: (u64, u64),
    taken: u64,
    signals: u64,
    pub(super) size: Option<Size>,
    /// It was sent, and whether it runs is not known yet.
    unanswered: bool,
}

/// What the end of an answer says.
struct Told {
    ended: Option<Ended>,
    /// Whether the request ended the input.
    closes: bool,
    /// Bytes of output that came.
    came: usize,
    /// The rest of the answer was not waited for.
    is_cut: bool,
}

impl Channel {
    /// A name for an act: 32 hex digits from the random source of the system.
    ///
    /// # Errors
    /// [`Failure::Seal`], where there is none.
    pub fn draw_id() -> Result<String, Failure> {
        let mut raw = [0; 16];
        getrandom::fill(&mut raw)
            .map_err(|_| Failure::Seal(remo_protocol::refusal::Refusal::RandomMissing))?;
        Ok(format!("{:032x}", u128::from_be_bytes(raw)))
    }

    /// A process that is not started yet.
    ///
    /// # Errors
    /// [`Failure::Seal`], where no name can be drawn.
    pub fn prepare(remote: Arc<Remote>, output: Output) -> Result<Self, Failure> {
        Ok(Self::named(remote, Self::draw_id()?, output))
    }

    fn named(remote: Arc<Remote>, id: String, output: Output) -> Self {
        Self {
            remote,
            id,
            marks: Mutex::default(),
            output: tokio::sync::Mutex::new(output),
            interrupted: Notify::new(),
            stirred: Notify::new(),
        }
    }

    /// Starts a process, once, whatever the path does.
    ///
    /// # Errors
    /// See [`Failure`]: [`Failure::Unknown`] where it may run and nobody knows.
    pub async fn open(
        remote: Arc<Remote>,
        opening: &Opening,
        output: Output,
    ) -> Result<Self, Failure> {
        let channel = Self::prepare(remote, output)?;
        channel.start(opening).await?;
        Ok(channel)
    }

    /// Starts what was prepared, once, whatever the path does.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn start(&self, opening: &Opening) -> Result<(), Failure> {
        self.marks().size = opening.pty.as_ref().map(|(size, _)| *size);
        let mut open = Open {
            channel: self,
            opening,
            patience: self.remote.patience(),
        };
        self.opened_by(&mut open).await
    }

    /// Has what was prepared opened by this act, which calls [`begins`](Self::begins).
    pub(super) async fn opened_by(&self, act: &mut impl Act) -> Result<(), Failure> {
        self.remote.ask(act).await?;
        self.marks().unanswered = false;
        Ok(())
    }

    /// Starts what was prepared with all its input, which must fit into one request, and passes on what it says at once. Gives how it
    /// ended, where it did; else [`follow`](Self::follow) goes on. What it did not take of its input is left to [`feed`](Self::feed),
    /// and is the second that this gives.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn run(
        &self,
        opening: &Opening,
        input: Bytes,
    ) -> Result<(Option<Ended>, Option<Bytes>), Failure> {
        let mut command = Command {
            channel: self,
            opening,
            input: input.clone(),
            patience: self.remote.patience(),
            runs: false,
            incoming: Incoming::default(),
        };
        let trailer = self.remote.ask(&mut command).await?;
        self.marks().unanswered = false;
        self.heed(&trailer)?;
        let ended = ended(&trailer);
        let taken = usize::try_from(self.marks().taken).unwrap_or(usize::MAX);
        let all = taken >= input.len() && trailer.contains_key("in");
        let rest = (!all && ended.is_none()).then(|| input.slice(taken.min(input.len())..));
        Ok((ended, rest))
    }

    /// Takes over what runs under this id; what is still there of its output comes first.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn attach(
        remote: Arc<Remote>,
        id: &str,
        size: Option<Size>,
        output: Output,
    ) -> Result<Self, Failure> {
        let channel = Self::named(remote, id.to_owned(), output);
        channel.marks().size = size;
        channel.exchange(Exchange::new(&channel).sized()).await?;
        Ok(channel)
    }

    /// Its name, by which others attach to it.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Whether anything was asked of the server: before that, nothing of it is there.
    #[must_use]
    pub fn is_sent(&self) -> bool {
        self.marks().run.is_some()
    }

    /// Passes its output on until it has ended.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn follow(&self) -> Result<Ended, Failure> {
        let begun = Instant::now();
        let mut bulk = false;
        let mut silences = 0;
        loop {
            let request = Exchange::new(self).waiting(Duration::MAX).streaming(!bulk);
            let told = tokio::select! {
                told = self.exchange(request) => Some(told?),
                left = self.tend(bulk) => { left?; continue },
                () = self.interrupted.notified() => None,
            };
            let Some(told) = told else {
                // What is to be jumped over must be so before it is asked for again.
                let _ = timeout(INTERRUPTED, self.stirred.notified()).await;
                continue;
            };
            if let Some(ended) = told.ended {
                return Ok(ended);
            }
            bulk = told.came > BULK;
            silences = if told.came == 0 { silences + 1 } else { 0 };
            self.rest(silences).await;
            if begun.elapsed() > LONG {
                self.remote.learn();
            }
        }
    }

    /// While an answer stays open its session is kept alive. Ends when streams pass no more.
    async fn tend(&self, bulk: bool) -> Result<(), Failure> {
        if bulk || !self.remote.path.streams() {
            return std::future::pending().await;
        }
        let mut seconds = 0_u32;
        while self.remote.path.streams() {
            sleep(Duration::from_secs(1)).await;
            seconds += 1;
            if seconds.is_multiple_of(ALIVE) {
                self.exchange(Exchange::new(self)).await?;
            }
        }
        Ok(())
    }

    /// Where requests pass one by one and nothing is said for long, it is asked less often; at once again when somebody types.
    async fn rest(&self, silences: u32) {
        if silences > RESTLESS && self.remote.in_flight() == 1 {
            let pause = Duration::from_millis(50) * (silences - RESTLESS).min(10);
            let _ = timeout(pause, self.stirred.notified()).await;
        }
    }

    /// Feeds it `first` and then what comes from `input`, and ends its input when that ends. What comes while a request is under way
    /// goes with the next. `echo` is how long an answer may wait for what the process says to it.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn feed(
        &self,
        first: Bytes,
        input: &mut Receiver<io::Result<Bytes>>,
        echo: Duration,
    ) -> Result<(), Failure> {
        let mut pending = Pending::new(self.marks().taken, first);
        let terminal = self.marks().size.is_some();
        loop {
            pending.fill(input, self.remote.data_room()).await?;
            let (data, ends) = pending.next(self.remote.data_room());
            let length = data.len();
            if terminal && interrupts(&data) {
                self.interrupted.notify_one();
            }
            let mut request = Exchange::new(self)
                .carrying(pending.at, data, ends)
                .waiting(echo);
            if terminal {
                request = request.up_to(ECHO);
            }
            let told = tokio::select! {
                told = self.exchange(request) => told?,
                // Nobody who interrupts waits for what was being said.
                more = pending.interrupted(input), if terminal => { more?; continue }
            };
            self.stirred.notify_waiters();
            let taken = pending.advance(self.marks().taken, length);
            if told.closes && pending.is_over() {
                return Ok(());
            }
            if told.is_cut {
                pending.linger(input).await?;
            } else {
                pending.adapt(taken, length).await;
            }
        }
    }

    /// Gives it input, all of it, and passes on what it says within `echo` after that. Gives how it ended, where it did.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn say(&self, mut data: Bytes, echo: Duration) -> Result<Option<Ended>, Failure> {
        loop {
            let at = self.marks().taken;
            let piece = data.slice(..data.len().min(self.remote.data_room()));
            let request = Exchange::new(self).carrying(at, piece, false).waiting(echo);
            let ended = self.exchange(request).await?.ended;
            let taken = usize::try_from(self.marks().taken - at).unwrap_or(usize::MAX);
            data = data.slice(taken.min(data.len())..);
            if ended.is_some() || data.is_empty() {
                return Ok(ended);
            }
            if taken == 0 {
                sleep(NOT_YET).await;
            }
        }
    }

    /// Ends its input, and passes its output on until it has ended.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn finish(&self) -> Result<Ended, Failure> {
        let taken = self.marks().taken;
        let request = Exchange::new(self)
            .carrying(taken, Bytes::new(), true)
            .waiting(AT_ONCE);
        match self.exchange(request).await?.ended {
            Some(ended) => Ok(ended),
            None => self.follow().await,
        }
    }

    /// Ends its input, of which there was none. Its output stays there, for whoever attaches.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn end_input(&self) -> Result<(), Failure> {
        let taken = self.marks().taken;
        let request = Exchange::new(self)
            .carrying(taken, Bytes::new(), true)
            .deaf();
        self.exchange(request).await.map(drop)
    }

    /// Sends it a signal, once.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn signal(&self, signal: i32) -> Result<(), Failure> {
        loop {
            let before = self.marks().signals;
            let exchange = Exchange::new(self).signalling(signal, before);
            match self.exchange(exchange).await {
                // It was sent, and may not have arrived.
                Err(Failure::Refused { name, .. })
                    if name == "not_found" && self.marks().unanswered =>
                {
                    sleep(NOT_YET).await;
                }
                other => return other.map(drop),
            }
        }
    }

    /// Tells its terminal what size it has now.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn resize(&self, size: Size) -> Result<(), Failure> {
        self.marks().size = Some(size);
        self.exchange(Exchange::new(self).sized()).await.map(drop)
    }

    /// Says that it is no longer wanted: where it still runs, it is ended.
    pub async fn done(&self) {
        self.remote.done(&[&self.id]).await;
    }

    async fn exchange(&self, mut exchange: Exchange<'_>) -> Result<Told, Failure> {
        let trailer = self.remote.ask(&mut exchange).await?;
        let last = &exchange.last;
        {
            let mut marks = self.marks();
            marks.attached.clone_from(&last.session);
            let (out, err) = marks.acknowledged;
            marks.acknowledged = (out.max(last.acknowledged.0), err.max(last.acknowledged.1));
        }
        self.heed(&trailer)?;
        Ok(Told {
            ended: ended(&trailer),
            closes: last.closes,
            came: exchange.came(),
            is_cut: trailer.is_empty(),
        })
    }

    /// What a trailer says of the channel.
    fn heed(&self, trailer: &Object) -> Result<(), Failure> {
        if let Some(error) = trailer.get("error").and_then(Value::as_str) {
            let message = trailer.get("message").and_then(Value::as_str);
            return Err(Failure::refused(500, error, message.unwrap_or_default()));
        }
        let number = |name: &str| {
            trailer
                .get(name)
                .and_then(Value::as_u64)
                .unwrap_or_default()
        };
        let mut marks = self.marks();
        marks.taken = marks.taken.max(number("in"));
        marks.signals = marks.signals.max(number("signals"));
        Ok(())
    }

    /// Whoever takes its output learns that there is no more.
    pub(super) async fn end_output(&self) -> Result<(), Failure> {
        self.output.lock().await.end().await
    }

    /// Output that begins at an offset.
    pub(super) async fn take(
        &self,
        stream: Stream,
        offset: u64,
        data: &[u8],
    ) -> Result<(), Failure> {
        let mut output = self.output.lock().await;
        output.take(stream, offset, data).await?;
        let mut marks = self.marks();
        (marks.out, marks.err) = output.offsets();
        Ok(())
    }

    /// It is about to be sent: under this run, and in this session, if it was not before.
    pub(super) fn begins(&self, live: &Live) {
        let mut marks = self.marks();
        marks.run.get_or_insert_with(|| live.run.clone());
        marks.attached.get_or_insert_with(|| live.session.clone());
        marks.unanswered = true;
    }

    /// Bytes that came and were not acknowledged.
    pub(super) fn unacknowledged(&self) -> u64 {
        let marks = self.marks();
        let (out, err) = marks.acknowledged;
        marks.out.saturating_sub(out) + marks.err.saturating_sub(err)
    }

    pub(super) fn marks(&self) -> MutexGuard<'_, Marks> {
        self.marks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How the trailer says that the process ended, if it says so.
fn ended(trailer: &Object) -> Option<Ended> {
    if trailer.get("state").and_then(Value::as_str) != Some("exited") {
        return None;
    }
    let number = |name: &str| {
        let value = trailer.get(name).and_then(Value::as_u64);
        value.and_then(|value| u8::try_from(value).ok())
    };
    let signal = number("signal").map(Ended::Signal);
    Some(signal.unwrap_or(Ended::Exit(number("exit").unwrap_or_default())))
}

/// Bytes of an answer to keys that are more than an echo: the rest comes by the answers that follow the channel.
const ECHO: usize = 8 * 1024;

/// How long an interrupt may take before what was under way is asked for again.
const INTERRUPTED: Duration = Duration::from_secs(5);

/// Bytes of an answer beyond which the next one will be long too.
const BULK: usize = 32 * 1024;

/// What lives for so long is worth a look at the path.
const LONG: Duration = Duration::from_secs(2);

/// Seconds after which a session is told that it is still wanted.
const ALIVE: u32 = 120;

/// Answers without output after which a channel is asked less often.
const RESTLESS: u32 = 20;

/// How long the end of the input may wait for that of the process.
const AT_ONCE: Duration = Duration::from_millis(100);

/// How long to wait for what was sent to arrive.
const NOT_YET: Duration = Duration::from_millis(50);
