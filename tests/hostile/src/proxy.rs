//! The proxy itself: it takes connections, counts requests, and takes each one through what the plan says.
//! Does not hold what is done to heads and bodies.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, ReadHalf, WriteHalf},
    net::{TcpListener, TcpStream},
    sync::{Notify, OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock},
    task::{JoinHandle, JoinSet},
    time::{sleep, timeout},
};

use crate::{
    Kind,
    answer::{self, Asked, shortened},
    body::{Body, Framing},
    head::Head,
    memory::{Memory, Until, Whole},
    page::page,
    plan::{Dice, Misdeeds, Plan},
    request,
    shape::{Link, Shape},
    wire::{Spoil, Wire, cut},
};

/// Bodies up to this length go on as a whole in any case.
const SHORT: u64 = 64 * 1024;
/// After how many requests at most one that was held back is sent.
const LONGEST_HELD: u64 = 30;

/// Where each line of the log goes.
pub type Log = Arc<dyn Fn(&str) + Send + Sync>;

/// How the proxy behaves.
#[derive(Clone)]
pub struct Settings {
    /// The server, `HOST:PORT`.
    pub to: String,
    /// What is done to which request.
    pub plan: Plan,
    /// The silence that [`Kind::IdleOut`] bears.
    pub idle: Duration,
    /// The longest that a request is delayed.
    pub delay: Duration,
    /// The bytes of a body that [`Kind::Ceiling`] bears.
    pub ceiling: u64,
    /// What the link to the client is like.
    pub shape: Shape,
    /// Where misdeeds are told.
    pub log: Log,
}

impl Settings {
    /// The ordinary ones; nothing is logged.
    pub fn new(to: &str, plan: Plan) -> Self {
        Self {
            to: to.to_owned(),
            plan,
            idle: Duration::from_secs(1),
            delay: Duration::from_secs(1),
            ceiling: 1 << 20,
            shape: Shape::default(),
            log: Arc::new(|_| {}),
        }
    }
}

/// A running proxy, which stops when it is dropped.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// Listens there and begins.
    ///
    /// # Errors
    /// The address cannot be listened on.
    pub async fn start(listen: &str, settings: Settings) -> io::Result<Self> {
        let listener = TcpListener::bind(listen).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::new(settings));
        let task = tokio::spawn(accept(listener, shared.clone()));
        Ok(Self {
            address,
            shared,
            task,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sends all that is still held back, and waits for the answers of all that nobody else waits for.
    pub async fn release(&self) {
        for request in self.shared.memory.release() {
            let _ = request.send_aside().await;
        }
        let mut asides = std::mem::take(&mut *self.shared.asides());
        while asides.join_next().await.is_some() {}
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What all requests share.
pub struct Shared {
    /// What is done to which request.
    pub plan: Plan,
    /// What is kept of one for another.
    pub memory: Memory,
    settings: Settings,
    link: Link,
    count: AtomicU64,
    answered: Notify,
    gate: Arc<RwLock<()>>,
    asides: Mutex<JoinSet<io::Result<()>>>,
}

/// One request, and what is done to it.
pub struct Turn {
    /// Its number, counted from 1 in the order in which the heads came.
    pub number: u64,
    /// What is done to it.
    pub misdeeds: Misdeeds,
    /// What it shares with others.
    pub shared: Arc<Shared>,
}

/// Others may be under way beside it, or none.
enum Pass {
    Beside { _guard: OwnedRwLockReadGuard<()> },
    Alone { _guard: OwnedRwLockWriteGuard<()> },
}

impl Shared {
    fn new(settings: Settings) -> Self {
        Self {
            plan: settings.plan.clone(),
            memory: Memory::default(),
            link: Link::new(settings.shape),
            settings,
            count: AtomicU64::new(0),
            answered: Notify::new(),
            gate: Arc::default(),
            asides: Mutex::default(),
        }
    }

    fn asides(&self) -> MutexGuard<'_, JoinSet<io::Result<()>>> {
        self.asides.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a request after a pause, whose answer nobody waits for.
    fn send_aside(&self, request: Whole, pause: Duration) {
        let mut asides = self.asides();
        while asides.try_join_next().is_some() {}
        asides.spawn(async move {
            sleep(pause).await;
            request.send_aside().await
        });
    }

    fn begin(self: &Arc<Self>, head: &Head) -> Turn {
        let number = self.count.fetch_add(1, Ordering::SeqCst) + 1;
        let turn = Turn {
            number,
            misdeeds: self.plan.misdeeds(number),
            shared: self.clone(),
        };
        for kind in turn.misdeeds.kinds() {
            turn.note(kind, &head.start);
        }
        turn
    }
}

impl Turn {
    /// Tells what is done.
    pub fn note(&self, kind: Kind, detail: &str) {
        (self.shared.settings.log)(&format!("request {}: {kind}: {detail}", self.number));
    }

    /// The silence of an answer that is borne.
    pub fn patience(&self) -> Duration {
        match self.misdeeds.has(Kind::IdleOut) {
            true => self.shared.settings.idle,
            false => Duration::from_secs(24 * 3600),
        }
    }

    fn release_due(&self, head: &Head) {
        let due = self
            .shared
            .memory
            .due(self.number, request::is_log_in(head));
        for request in due {
            self.note(
                Kind::HoldBack,
                &format!("{} is sent now", request.head.start),
            );
            self.shared.send_aside(request, Duration::ZERO);
        }
    }

    async fn pass(&self) -> Pass {
        let gate = self.shared.gate.clone();
        match self.misdeeds.has(Kind::OneAtATime) {
            true => Pass::Alone {
                _guard: gate.write_owned().await,
            },
            false => Pass::Beside {
                _guard: gate.read_owned().await,
            },
        }
    }

    /// Waits as long as it is delayed.
    async fn wait(&self) {
        let longest = self.shared.settings.delay;
        if let Some(mut dice) = self.misdeeds.dice(Kind::Delay) {
            let longest = u64::try_from(longest.as_millis()).unwrap_or(u64::MAX);
            sleep(Duration::from_millis(dice.below(longest))).await;
        }
        if self.misdeeds.has(Kind::Reorder) {
            let _ = timeout(longest, self.shared.answered.notified()).await;
        }
    }

    /// The status of the page it gets instead of being sent on.
    fn refusal(&self, head: &Head, framing: Framing) -> Option<u16> {
        let has = |kind| self.misdeeds.has(kind);
        match framing {
            _ if head.word(0) == "CONNECT" => Some(405),
            Framing::Chunked if has(Kind::NoChunked) || has(Kind::Http10) => Some(411),
            Framing::Length(length)
                if has(Kind::Ceiling) && length > self.shared.settings.ceiling =>
            {
                Some(413)
            }
            _ => None,
        }
    }

    fn wants_whole(&self, framing: Framing) -> bool {
        matches!(framing, Framing::Length(..=SHORT))
            || self.misdeeds.kinds().any(Kind::needs_whole_request)
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => drop(connections.spawn(connection(shared.clone(), stream))),
                Err(_) => sleep(Duration::from_millis(10)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(shared: Arc<Shared>, stream: TcpStream) {
    let _ = stream.set_nodelay(true);
    match shared.link.is_shaped() {
        true => {
            Client::new(shared.link.stretch(stream))
                .serve(&shared)
                .await
        }
        false => Client::new(stream).serve(&shared).await,
    }
}

/// A connection of a client.
struct Client<S> {
    reader: BufReader<ReadHalf<S>>,
    writer: WriteHalf<S>,
}

/// A request whose head was read.
struct Request {
    to: String,
    head: Head,
    whole: Option<Vec<u8>>,
    rest: Body,
    asked: Asked,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    fn new(stream: S) -> Self {
        let (read, writer) = tokio::io::split(stream);
        Self {
            reader: BufReader::new(read),
            writer,
        }
    }

    async fn serve(mut self, shared: &Arc<Shared>) {
        while let Ok(Some(head)) = Head::read(&mut self.reader).await {
            let turn = shared.begin(&head);
            let kept = self.answer(&turn, head).await;
            shared.answered.notify_waiters();
            if !matches!(kept, Ok(true)) {
                break;
            }
        }
    }

    /// Takes one request to its answer; says whether the connection goes on.
    async fn answer(&mut self, turn: &Turn, mut head: Head) -> io::Result<bool> {
        turn.release_due(&head);
        let _pass = turn.pass().await;
        let framing = Framing::of_request(&head);
        let asked = asked(&head);
        let to = request::destination(&mut head, &turn.shared.settings.to);
        if head.value("Expect").is_some() && turn.refusal(&head, framing).is_none() {
            self.writer
                .write_all(b"HTTP/1.1 100 Continue\r\n\r\n")
                .await?;
        }
        let mut request = Request {
            to,
            head,
            whole: None,
            rest: Body::new(framing),
            asked,
        };
        if let Some(status) = turn.refusal(&request.head, framing) {
            request.asked.keeps = false;
            answer::give_whole(turn, &request.asked, page(status), &mut self.writer).await?;
            return self.drain(&mut request.rest).await;
        }
        if turn.wants_whole(framing) {
            request.whole = Some(request.rest.whole(&mut self.reader).await?);
        }
        self.deliver(turn, request).await
    }

    async fn deliver(&mut self, turn: &Turn, mut request: Request) -> io::Result<bool> {
        turn.wait().await;
        request::change_head(turn, &mut request.head);
        let Some(mut whole) = request.take_whole(turn) else {
            return self.relay(turn, request).await;
        };
        if let Some(dice) = turn.misdeeds.dice(Kind::CutRequest) {
            return cut_request(turn, whole, dice).await;
        }
        if let Some(dice) = turn.misdeeds.dice(Kind::HoldBack) {
            return self.hold_back(turn, &request.asked, whole, dice).await;
        }
        if let Some(mut dice) = turn.misdeeds.dice(Kind::Cache)
            && let Some(given) = turn.shared.memory.given(&request.asked.address, &mut dice)
        {
            return answer::give_whole(turn, &request.asked, given, &mut self.writer).await;
        }
        if turn.misdeeds.has(Kind::SwallowAnswer) {
            let _ = whole.send_aside().await;
            return answer::give_whole(turn, &request.asked, page(502), &mut self.writer).await;
        }
        if let Some(dice) = turn.misdeeds.dice(Kind::Repeat) {
            repeat(turn, &whole, dice).await;
        }
        if let Some(dice) = turn.misdeeds.dice(Kind::Replay) {
            whole = replay(turn, whole, dice);
        }
        request.put_whole(turn, whole);
        self.relay(turn, request).await
    }

    /// Keeps it for later; the client is told 504, or nothing.
    async fn hold_back(
        &mut self,
        turn: &Turn,
        asked: &Asked,
        whole: Whole,
        mut dice: Dice,
    ) -> io::Result<bool> {
        let until = match dice.chance(0.3) {
            true => Until::LogIn,
            false => Until::Request(turn.number + 1 + dice.below(LONGEST_HELD)),
        };
        turn.note(Kind::HoldBack, &format!("{until:?}"));
        turn.shared.memory.hold(until, whole);
        match dice.chance(0.5) {
            true => answer::give_whole(turn, asked, page(504), &mut self.writer).await,
            false => Err(cut()),
        }
    }

    /// Sends the request to the server while the answer comes back.
    async fn relay(&mut self, turn: &Turn, mut request: Request) -> io::Result<bool> {
        let Ok(upstream) = TcpStream::connect(&request.to).await else {
            request.asked.keeps = false;
            answer::give_whole(turn, &request.asked, page(502), &mut self.writer).await?;
            return self.drain(&mut request.rest).await;
        };
        let _ = upstream.set_nodelay(true);
        let asked = request.asked.clone();
        let (read, mut write) = upstream.into_split();
        let mut read = BufReader::new(read);
        let mut sent = false;
        let kept = {
            let sending = send(turn, &mut request, &mut self.reader, &mut write);
            let answering = answer::relay(turn, &asked, &mut read, &mut self.writer);
            tokio::pin!(sending, answering);
            loop {
                tokio::select! {
                    kept = &mut answering => break kept?,
                    () = &mut sending, if !sent => sent = true,
                }
            }
        };
        match kept && request.rest.is_done() {
            true => Ok(true),
            false => self.drain(&mut request.rest).await,
        }
    }

    /// Reads and drops some of what the client still sends, lest it loses the answer.
    async fn drain(&mut self, rest: &mut Body) -> io::Result<bool> {
        self.writer.shutdown().await?;
        if !rest.is_done() {
            let mut few = (&mut self.reader).take(1 << 20);
            let mut nowhere = tokio::io::sink();
            let dropped = tokio::io::copy(&mut few, &mut nowhere);
            let _ = timeout(Duration::from_secs(1), dropped).await;
        }
        Ok(false)
    }
}

impl Request {
    /// The request in hand, shortened where the plan says so, if it is there as a whole.
    fn take_whole(&mut self, turn: &Turn) -> Option<Whole> {
        let mut body = self.whole.take()?;
        if let Some(mut dice) = turn.misdeeds.dice(Kind::TruncateRequest) {
            let length = shortened(&body, &mut dice);
            turn.note(
                Kind::TruncateRequest,
                &format!("{length} of {}", body.len()),
            );
            body.truncate(length);
        }
        let mut head = self.head.clone();
        head.remove("Transfer-Encoding");
        if !body.is_empty() || head.word(0) == "POST" {
            head.set("Content-Length", &body.len().to_string());
        }
        Some(Whole {
            to: self.to.clone(),
            head,
            body,
        })
    }

    fn put_whole(&mut self, turn: &Turn, whole: Whole) {
        if turn.shared.plan.knows(Kind::Replay) {
            turn.shared.memory.record(&whole);
        }
        self.to = whole.to;
        self.head = whole.head;
        self.whole = Some(whole.body);
    }
}

fn asked(head: &Head) -> Asked {
    let chunks = head.word(2) != "HTTP/1.0";
    let closes = |value: &str| value.eq_ignore_ascii_case("close");
    Asked {
        method: head.word(0).to_owned(),
        address: format!("{} {}", head.word(0), head.word(1)),
        keeps: chunks && !head.value("Connection").is_some_and(closes),
        chunks,
    }
}

/// Sends the head, and the body as it comes. A client that breaks off is told to the server as it is: the
/// connection ends.
async fn send<R, W>(turn: &Turn, request: &mut Request, reader: &mut R, write: &mut W)
where
    R: tokio::io::AsyncBufRead + Unpin,
    W: AsyncWrite + Unpin,
{
    if try_send(turn, request, reader, write).await.is_err() {
        let _ = write.shutdown().await;
    }
}

async fn try_send<R, W>(
    turn: &Turn,
    request: &mut Request,
    reader: &mut R,
    write: &mut W,
) -> io::Result<()>
where
    R: tokio::io::AsyncBufRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let mut first = request.head.to_bytes();
    first.extend(request.whole.iter().flatten());
    let mut spoil = Spoil::default();
    if let Some(mut dice) = turn.misdeeds.dice(Kind::FlipRequest) {
        spoil = Spoil::flips(&mut dice, Some(first.len() as u64));
        turn.note(Kind::FlipRequest, &format!("{spoil:?}"));
    }
    let framing = request.rest.framing();
    let mut wire = Wire::new(write, spoil);
    wire.send(&first).await?;
    if request.whole.is_some() {
        return Ok(());
    }
    while let Some(piece) = request.rest.piece(reader).await? {
        wire.piece(framing, &piece).await?;
    }
    wire.end(framing).await
}

/// Sends some of it, and ends both connections.
async fn cut_request(turn: &Turn, whole: Whole, mut dice: Dice) -> io::Result<bool> {
    let bytes = whole.to_bytes();
    let spoil = Spoil::cut(&mut dice, Some(bytes.len() as u64));
    turn.note(Kind::CutRequest, &format!("{spoil:?} of {}", bytes.len()));
    let mut upstream = TcpStream::connect(&whole.to).await?;
    Wire::new(&mut upstream, spoil).send(&bytes).await?;
    Err(cut())
}

/// Sends a copy before it, beside it, or after it.
async fn repeat(turn: &Turn, whole: &Whole, mut dice: Dice) {
    let copy = whole.clone();
    match dice.below(3) {
        0 => drop(copy.send_aside().await),
        1 => turn.shared.send_aside(copy, Duration::ZERO),
        _ => turn.shared.send_aside(copy, Duration::from_millis(50)),
    }
}

/// Sends an old one too; sometimes it is the old one whose answer the client gets.
fn replay(turn: &Turn, whole: Whole, mut dice: Dice) -> Whole {
    let Some(old) = turn.shared.memory.past(&mut dice) else {
        return whole;
    };
    let (aside, first) = match dice.chance(0.5) {
        true => (whole, old),
        false => (old, whole),
    };
    turn.note(Kind::Replay, &format!("beside: {}", aside.head.start));
    turn.shared.send_aside(aside, Duration::ZERO);
    first
}
