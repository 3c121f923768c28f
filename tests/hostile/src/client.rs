//! A client's connection, and the way of its requests to the server and of the answers back.
//! Does not hold what is done to heads and to the bytes of an answer.

use std::{io, sync::Arc, time::Duration};

use tokio::{
    io::{
        AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt,
        BufReader, ReadHalf, WriteHalf,
    },
    net::TcpStream,
    time::timeout,
};

use crate::{
    Kind,
    answer::{self, Asked, shortened},
    body::{Body, Framing},
    head::Head,
    memory::{Until, Whole},
    page::page,
    plan::Dice,
    request,
    turn::{Shared, Turn},
    wire::{Spoil, Wire, cut},
};

/// After how many requests at most one that was held back is sent.
const LONGEST_HELD: u64 = 30;

/// A connection of a client.
pub(crate) struct Client<S> {
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
    pub(crate) fn new(stream: S) -> Self {
        let (read, writer) = tokio::io::split(stream);
        Self {
            reader: BufReader::new(read),
            writer,
        }
    }

    pub(crate) async fn serve(mut self, shared: &Arc<Shared>) {
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
            answer::give_whole(turn, &request.asked, turn.page(status), &mut self.writer).await?;
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
            tokio::select! {
                biased;
                _ = whole.send_aside() => {}
                () = gone(&mut self.reader) => return Err(cut()),
            }
            return answer::give_whole(turn, &request.asked, page(502), &mut self.writer).await;
        }
        if let Some(dice) = turn.misdeeds.dice(Kind::Repeat) {
            tokio::select! {
                biased;
                () = repeat(turn, &whole, dice) => {}
                () = gone(&mut self.reader) => return Err(cut()),
            }
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
        let kept = {
            let answering = answer::relay(turn, &asked, &mut read, &mut self.writer);
            tokio::pin!(answering);
            let early = tokio::select! {
                kept = &mut answering => Some(kept?),
                () = send(turn, &mut request, &mut self.reader, &mut write) => None,
            };
            match early {
                Some(kept) => kept,
                None => tokio::select! {
                    biased;
                    kept = &mut answering => kept?,
                    () = gone(&mut self.reader) => return Err(cut()),
                },
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
    R: AsyncBufRead + Unpin,
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
    R: AsyncBufRead + Unpin,
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

/// Waits until the client has left: then nobody wants the answer any more.
async fn gone<R: AsyncBufRead + Unpin>(reader: &mut R) {
    if matches!(reader.fill_buf().await, Ok(more) if !more.is_empty()) {
        std::future::pending().await
    }
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
