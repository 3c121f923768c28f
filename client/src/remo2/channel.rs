//! One process on a server: opened once, fed and followed by offsets, over as many requests and sessions as it takes.
//! Not here: how a request is sent, and where the output goes.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use remo_protocol::remo2::answer::Stream;
use remo_protocol::remo2::json::Object;
use remo_protocol::remo2::session_id::{Run, SessionId};
use serde_json::{Value, json};
use tokio::sync::mpsc::Receiver;

use super::asking::{Act, Room};
use super::failure::Failure;
use super::login::Live;
use super::output::Output;
use super::remote::Remote;

/// What is to run, and how.
#[derive(Clone, Debug, Default)]
pub struct Opening {
    /// Exact words, the program first.
    pub argv: Option<Vec<String>>,
    /// A line for the login shell. With neither, the login shell itself runs.
    pub line: Option<String>,
    /// The folder to run in; the home where none is given.
    pub cwd: Option<String>,
    /// What is added to the environment.
    pub env: Vec<(String, String)>,
    /// Standard error apart from standard output.
    pub split: bool,
    /// Seconds after which it is ended.
    pub timeout: Option<u64>,
    /// Seconds for which it is kept when nobody asks for it.
    pub keep: Option<u64>,
    /// A terminal of this size, and the name of its kind.
    pub pty: Option<(Size, String)>,
}

/// The size of a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Lines.
    pub rows: u16,
    /// Characters in a line.
    pub cols: u16,
}

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
}

/// How far everything is.
#[derive(Debug, Default)]
struct Marks {
    /// The run of the server that it lives in.
    run: Option<Run>,
    /// The session that is attached, as far as we know.
    attached: Option<SessionId>,
    out: u64,
    err: u64,
    taken: u64,
    signals: u64,
    size: Option<Size>,
}

/// What the end of an answer says.
struct Told {
    ended: Option<Ended>,
    /// Whether the request ended the input.
    closes: bool,
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

    /// Starts a process, once, whatever the path does.
    ///
    /// # Errors
    /// See [`Failure`]: [`Failure::Unknown`] where it may run and nobody knows.
    pub async fn open(
        remote: Arc<Remote>,
        opening: &Opening,
        output: Output,
    ) -> Result<Self, Failure> {
        let id = Self::draw_id()?;
        let mut open = Open {
            id: &id,
            members: members(opening),
            patience: remote.patience(),
            sent: None,
        };
        remote.ask(&mut open).await?;
        let (run, session) = open.sent.unzip();
        let marks = Marks {
            run,
            attached: session,
            size: opening.pty.as_ref().map(|(size, _)| *size),
            ..Marks::default()
        };
        Ok(Self {
            remote,
            id,
            marks: Mutex::new(marks),
            output: tokio::sync::Mutex::new(output),
        })
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
        let channel = Self {
            remote,
            id: id.to_owned(),
            marks: Mutex::new(Marks {
                size,
                ..Marks::default()
            }),
            output: tokio::sync::Mutex::new(output),
        };
        channel.exchange(Exchange::new(&channel).sized()).await?;
        Ok(channel)
    }

    /// Its name, by which others attach to it.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Passes its output on until it has ended.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn follow(&self) -> Result<Ended, Failure> {
        loop {
            let request = Exchange::new(self).waiting(Duration::MAX);
            if let Some(ended) = self.exchange(request).await?.ended {
                return Ok(ended);
            }
        }
    }

    /// Feeds it what comes from `input`, and ends its input when that ends. What comes while a request is under way
    /// goes with the next. `echo` is how long an answer may wait for what the process says to it.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn feed(
        &self,
        input: &mut Receiver<io::Result<Bytes>>,
        echo: Duration,
    ) -> Result<(), Failure> {
        let mut pending = Pending::new(self.marks().taken);
        loop {
            pending.fill(input, self.remote.data_room()).await?;
            let (data, ends) = pending.next(self.remote.data_room());
            let length = data.len();
            let request = Exchange::new(self)
                .carrying(pending.at, data, ends)
                .waiting(echo);
            let closes = self.exchange(request).await?.closes;
            let taken = pending.advance(self.marks().taken, length);
            if closes && pending.is_over() {
                return Ok(());
            }
            pending.adapt(taken, length).await;
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
        let before = self.marks().signals;
        self.exchange(Exchange::new(self).signalling(signal, before))
            .await
            .map(drop)
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
        let mut marks = self.marks();
        marks.attached.clone_from(&exchange.session);
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
        marks.taken = marks.taken.max(number("in"));
        marks.signals = marks.signals.max(number("signals"));
        Ok(Told {
            ended: ended(&trailer),
            closes: exchange.closes,
        })
    }

    fn marks(&self) -> MutexGuard<'_, Marks> {
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

fn members(opening: &Opening) -> Object {
    let mut members = Object::new();
    let mut add = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            members.insert(name.into(), value);
        }
    };
    add("argv", opening.argv.clone().map(Into::into));
    add("line", opening.line.clone().map(Into::into));
    add("cwd", opening.cwd.clone().map(Into::into));
    let env: Object = opening
        .env
        .iter()
        .map(|(name, value)| (name.clone(), value.clone().into()))
        .collect();
    add("env", (!env.is_empty()).then(|| env.into()));
    add("split", opening.split.then(|| true.into()));
    add("timeout", opening.timeout.map(Into::into));
    add("keep", opening.keep.map(Into::into));
    let pty = opening
        .pty
        .as_ref()
        .map(|(size, term)| json!({"rows": size.rows, "cols": size.cols, "term": term}));
    add("pty", pty);
    members
}

/// `/icm`: starts it. The id makes sure that it is started once.
struct Open<'a> {
    id: &'a str,
    members: Object,
    patience: Duration,
    /// Under which run, and in which session, it was sent first.
    sent: Option<(Run, SessionId)>,
}

impl Act for Open<'_> {
    fn verb(&self) -> &'static str {
        "icm"
    }

    fn compose(&mut self, live: &Live, _: Room) -> (Object, Bytes) {
        self.sent
            .get_or_insert_with(|| (live.run.clone(), live.session.clone()));
        let mut head = self.members.clone();
        head.insert("id".into(), self.id.into());
        // Held back until we have long given up, it must not be carried out.
        head.insert("by".into(), live.by(self.patience * 2).into());
        (head, Bytes::new())
    }

    fn belongs(&self, run: &Run) -> Result<(), Failure> {
        match &self.sent {
            Some((first, _)) if first != run => Err(Failure::Unknown),
            _ => Ok(()),
        }
    }

    fn head(&mut self, _: &Object) -> Result<(), Failure> {
        Ok(())
    }

    async fn data(&mut self, _: Stream, _: Bytes) -> Result<(), Failure> {
        Ok(())
    }
}

/// `/idt` and `/edt`: something in, something out.
struct Exchange<'a> {
    channel: &'a Channel,
    wait: Duration,
    input: Option<(u64, Bytes)>,
    ends: bool,
    signal: Option<(i32, u64)>,
    sized: bool,
    /// What comes out is not taken, and so not received.
    deaf: bool,
    /// Whether the last attempt ended the input.
    closes: bool,
    /// The session of the last attempt.
    session: Option<SessionId>,
    /// Where the next data of each stream of this answer stand.
    at: (u64, u64),
}

impl<'a> Exchange<'a> {
    fn new(channel: &'a Channel) -> Self {
        Self {
            channel,
            wait: Duration::ZERO,
            input: None,
            ends: false,
            signal: None,
            sized: false,
            deaf: false,
            closes: false,
            session: None,
            at: (0, 0),
        }
    }

    /// Answered when something comes, or after so long, if the path lets it be parked for that time.
    fn waiting(self, wait: Duration) -> Self {
        Self { wait, ..self }
    }

    fn carrying(self, at: u64, data: Bytes, ends: bool) -> Self {
        Self {
            input: Some((at, data)),
            ends,
            ..self
        }
    }

    fn signalling(self, signal: i32, before: u64) -> Self {
        Self {
            signal: Some((signal, before)),
            ..self
        }
    }

    fn deaf(self) -> Self {
        Self { deaf: true, ..self }
    }

    fn sized(self) -> Self {
        Self {
            sized: true,
            ..self
        }
    }

    /// The input, as much as there is room for. What is cut short does not end the input.
    fn input(&mut self, head: &mut Object, room: Room) -> Bytes {
        let Some((at, data)) = &self.input else {
            return Bytes::new();
        };
        let length = data.len().min(room.data);
        self.closes = self.ends && length == data.len();
        head.insert("in".into(), (*at).into());
        data.slice(..length)
    }
}

impl Act for Exchange<'_> {
    fn verb(&self) -> &'static str {
        if self.closes { "edt" } else { "idt" }
    }

    fn compose(&mut self, live: &Live, room: Room) -> (Object, Bytes) {
        let mut head = Object::new();
        let data = self.input(&mut head, room);
        let mut marks = self.channel.marks();
        marks.run.get_or_insert_with(|| live.run.clone());
        if marks.attached.as_ref() != Some(&live.session) {
            head.insert("attach".into(), true.into());
        }
        head.insert("id".into(), self.channel.id.as_str().into());
        head.insert("out".into(), marks.out.into());
        head.insert("err".into(), marks.err.into());
        let wait = self.wait.min(room.wait).as_millis();
        head.insert(
            "wait".into(),
            u64::try_from(wait).unwrap_or_default().into(),
        );
        if let Some((signal, before)) = self.signal {
            head.insert("signal".into(), signal.into());
            head.insert("signals".into(), before.into());
        }
        if let Some(size) = marks.size.filter(|_| self.sized) {
            head.insert("rows".into(), size.rows.into());
            head.insert("cols".into(), size.cols.into());
        }
        self.session = Some(live.session.clone());
        (head, data)
    }

    fn belongs(&self, run: &Run) -> Result<(), Failure> {
        match &self.channel.marks().run {
            Some(ours) if ours != run => Err(Failure::Restarted),
            _ => Ok(()),
        }
    }

    fn head(&mut self, head: &Object) -> Result<(), Failure> {
        let number = |name: &str| head.get(name).and_then(Value::as_u64).unwrap_or_default();
        self.at = (number("out"), number("err"));
        Ok(())
    }

    async fn data(&mut self, stream: Stream, data: Bytes) -> Result<(), Failure> {
        if self.deaf {
            return Ok(());
        }
        let place = match stream {
            Stream::Main => &mut self.at.0,
            Stream::Second => &mut self.at.1,
        };
        let offset = *place;
        *place += data.len() as u64;
        let mut output = self.channel.output.lock().await;
        output.take(stream, offset, &data).await?;
        let mut marks = self.channel.marks();
        (marks.out, marks.err) = output.offsets();
        Ok(())
    }
}

/// Input that the process has not taken.
struct Pending {
    at: u64,
    data: BytesMut,
    over: bool,
    /// Bytes that a request carries; few where the process takes none.
    most: usize,
    stalls: u32,
}

impl Pending {
    fn new(at: u64) -> Self {
        Self {
            at,
            data: BytesMut::new(),
            over: false,
            most: usize::MAX,
            stalls: 0,
        }
    }

    /// Waits for something to send, and gathers what else is there.
    async fn fill(
        &mut self,
        input: &mut Receiver<io::Result<Bytes>>,
        room: usize,
    ) -> Result<(), Failure> {
        if self.data.is_empty() && !self.over {
            let next = input.recv().await;
            self.add(next)?;
        }
        while !self.over && self.data.len() < room {
            match input.try_recv() {
                Ok(next) => self.add(Some(next))?,
                Err(tokio::sync::mpsc::error::TryRecvError::Disconnected) => self.add(None)?,
                Err(tokio::sync::mpsc::error::TryRecvError::Empty) => break,
            }
        }
        Ok(())
    }

    fn add(&mut self, next: Option<io::Result<Bytes>>) -> Result<(), Failure> {
        match next {
            Some(data) => self.data.extend_from_slice(&data.map_err(Failure::Input)?),
            None => self.over = true,
        }
        Ok(())
    }

    /// What the next request carries, and whether that is all there will ever be.
    fn next(&self, room: usize) -> (Bytes, bool) {
        let length = self.data.len().min(room).min(self.most);
        let data = Bytes::copy_from_slice(self.data.get(..length).unwrap_or_default());
        (data, self.over && length == self.data.len())
    }

    /// Drops what was taken; says how much of what was sent that is.
    fn advance(&mut self, taken: u64, sent: usize) -> usize {
        let fresh = usize::try_from(taken.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let fresh = fresh.min(sent);
        self.data.advance(fresh);
        self.at += fresh as u64;
        fresh
    }

    fn is_over(&self) -> bool {
        self.over && self.data.is_empty()
    }

    /// A process that takes nothing is asked more and more seldom, with little.
    async fn adapt(&mut self, taken: usize, sent: usize) {
        if taken == sent {
            self.stalls = 0;
            self.most = self.most.saturating_mul(4);
            return;
        }
        self.most = if taken == 0 { PROBE } else { taken.max(PROBE) };
        tokio::time::sleep(STALL * 2_u32.pow(self.stalls.min(5))).await;
        self.stalls += 1;
    }
}

/// Bytes with which it is found out whether a process takes input again.
const PROBE: usize = 4 * 1024;

/// The first pause for a process that takes no input; the longest is 32 times as long.
const STALL: Duration = Duration::from_millis(10);
