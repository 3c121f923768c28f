//! What is done to an answer on its way to the client.
//! Does not hold how the request got to the server.

use std::io;

use tokio::{
    io::{AsyncBufRead, AsyncWrite},
    time::timeout,
};

use crate::{
    Kind,
    body::{Body, Framing},
    head::Head,
    memory::LONGEST_KEPT,
    page::{html, page, reason},
    plan::Dice,
    request::strip,
    turn::Turn,
    wire::{Spoil, Wire},
};

/// Statuses that an answer gets instead of its own.
const STATUSES: &[u16] = &[
    200, 302, 400, 401, 403, 404, 407, 408, 409, 410, 413, 421, 429, 500, 502, 503, 504,
];

/// What of the request counts for its answer.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Such as `POST`.
    pub method: String,
    /// Method and address, by which answers are remembered.
    pub address: String,
    /// Whether the client wants to go on with the connection, and may.
    pub keeps: bool,
    /// Whether it knows chunks.
    pub chunks: bool,
}

enum Source {
    Whole(Vec<u8>),
    Flow(Body),
}

/// Reads the answer of the server and sends it on; says whether the client's connection can be used again.
///
/// # Errors
/// The connection of the client is to be ended: by plan, or since one of the two is broken.
pub async fn relay<R, W>(
    turn: &Turn,
    asked: &Asked,
    reader: &mut R,
    writer: &mut W,
) -> io::Result<bool>
where
    R: AsyncBufRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let idle = turn.patience();
    let (head, source) = match timeout(idle, final_head(reader)).await {
        Err(_) => {
            turn.note(Kind::IdleOut, "no answer began");
            whole(page(504))
        }
        Ok(Ok(Some(head))) => {
            let body = Body::new(Framing::of_answer(&head, &asked.method));
            (head, Source::Flow(body))
        }
        Ok(_) => whole(page(502)),
    };
    give(turn, asked, head, source, reader, writer).await
}

/// Sends an answer that is there as a whole, such as a page.
///
/// # Errors
/// As [`relay`].
pub async fn give_whole<W>(
    turn: &Turn,
    asked: &Asked,
    answer: (Head, Vec<u8>),
    writer: &mut W,
) -> io::Result<bool>
where
    W: AsyncWrite + Unpin,
{
    let (head, source) = whole(answer);
    give(turn, asked, head, source, &mut tokio::io::empty(), writer).await
}

fn whole((head, body): (Head, Vec<u8>)) -> (Head, Source) {
    (head, Source::Whole(body))
}

async fn final_head<R: AsyncBufRead + Unpin>(reader: &mut R) -> io::Result<Option<Head>> {
    loop {
        match Head::read(reader).await? {
            Some(head) if (100..200).contains(&head.status()) => {}
            head => return Ok(head),
        }
    }
}

async fn give<R, W>(
    turn: &Turn,
    asked: &Asked,
    mut head: Head,
    mut source: Source,
    reader: &mut R,
    writer: &mut W,
) -> io::Result<bool>
where
    R: AsyncBufRead + Unpin,
    W: AsyncWrite + Unpin,
{
    if let (Some(ceiling), Source::Flow(body)) = (turn.shared.settings.answer_ceiling, &mut source)
    {
        let all = body.whole(reader).await?;
        let fits = all.len() as u64 <= ceiling;
        (head, source) = whole(if fits { (head, all) } else { page(502) });
    }
    let original = head.clone();
    change_head(turn, &mut head, &mut source);
    gather(turn, &head, &mut source, reader).await?;
    let (framing, keeps) = frame(turn, asked, &mut head, &source);
    let bytes = head.to_bytes();
    let length = match framing {
        Framing::Length(length) => Some(length + bytes.len() as u64),
        Framing::Chunked | Framing::UntilClose => None,
    };
    let mut wire = Wire::new(writer, spoil(turn, length));
    wire.send(&bytes).await?;
    let kept = match source {
        Source::Whole(body) => {
            if !body.is_empty() {
                wire.piece(framing, &body).await?;
            }
            None
        }
        Source::Flow(mut body) => flow(turn, &mut body, framing, reader, &mut wire).await?,
    };
    wire.end(framing).await?;
    if let Some(kept) = kept {
        turn.shared.memory.give(&asked.address, (original, kept));
    }
    Ok(keeps)
}

/// Sends the pieces as they come, and gives the whole back where it is to be remembered.
async fn flow<R, W>(
    turn: &Turn,
    body: &mut Body,
    framing: Framing,
    reader: &mut R,
    wire: &mut Wire<'_, W>,
) -> io::Result<Option<Vec<u8>>>
where
    R: AsyncBufRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let mut limit = turn.misdeeds.dice(Kind::TruncateAnswer).map(Limit::new);
    let mut kept = turn.shared.plan.knows(Kind::Cache).then(Vec::new);
    while let Ok(piece) = timeout(turn.patience(), body.piece(reader)).await {
        let Some(piece) = piece? else { return Ok(kept) };
        if let Some(whole) = kept.as_mut().filter(|kept| kept.len() < LONGEST_KEPT) {
            whole.extend_from_slice(&piece);
        }
        let piece = limit
            .as_mut()
            .map_or(piece.clone(), |limit| limit.admit(&piece));
        if !piece.is_empty() {
            wire.piece(framing, &piece).await?;
        }
        if limit.as_ref().is_some_and(|limit| limit.reached) {
            return Ok(None);
        }
    }
    turn.note(Kind::IdleOut, "the answer was silent");
    Err(io::ErrorKind::TimedOut.into())
}

fn change_head(turn: &Turn, head: &mut Head, source: &mut Source) {
    for name in ["Connection", "Keep-Alive"] {
        head.remove(name);
    }
    if turn.misdeeds.has(Kind::ErrorPage) && head.status() >= 400 {
        *source = Source::Whole(html(head.status()));
        head.set("Content-Type", "text/html");
    }
    if let Some(mut dice) = turn.misdeeds.dice(Kind::ChangeStatus) {
        change_status(turn, head, &mut dice);
    }
    if turn.misdeeds.has(Kind::StripHeaders) {
        strip(head);
    }
    if let Some(mut dice) = turn.misdeeds.dice(Kind::ChangeHeaders) {
        change_lines(head, &mut dice);
    }
}

fn change_status(turn: &Turn, head: &mut Head, dice: &mut Dice) {
    let old = head.status();
    let others: Vec<_> = STATUSES.iter().filter(|&&status| status != old).collect();
    if let Some(&&status) = dice.pick(&others) {
        head.set_word(1, &status.to_string());
        head.set_word(2, reason(status));
        head.set("Location", "http://127.0.0.1:9/");
        turn.note(Kind::ChangeStatus, &format!("{old} is {status}"));
    }
}

fn change_lines(head: &mut Head, dice: &mut Dice) {
    let stranger = "SESSION_ID=BBBBBBBBBBBBBBBBBBBBBB.BBBBBBBBBBBBBBBBBBBBBB";
    match dice.below(4) {
        0 => head.set("Set-Cookie", stranger),
        1 => head.remove("Set-Cookie"),
        2 => head.set("Content-Type", "text/html"),
        _ => head.set("Cache-Control", "public, max-age=86400"),
    }
}

/// Waits for the whole where the plan needs it, and shortens it where its length is told before it.
async fn gather<R>(turn: &Turn, head: &Head, source: &mut Source, reader: &mut R) -> io::Result<()>
where
    R: AsyncBufRead + Unpin,
{
    let shorten = turn.misdeeds.dice(Kind::TruncateAnswer);
    let stated = head.value("Content-Length").is_some();
    if let Source::Flow(body) = source
        && (turn.misdeeds.has(Kind::BufferAnswer) || (shorten.is_some() && stated))
    {
        *source = Source::Whole(whole_in_time(turn, body, reader).await?);
    }
    if let (Source::Whole(body), Some(mut dice)) = (source, shorten) {
        let length = shortened(body, &mut dice);
        turn.note(Kind::TruncateAnswer, &format!("{length} of {}", body.len()));
        body.truncate(length);
    }
    Ok(())
}

/// All of a body, of which no silence is longer than is borne.
async fn whole_in_time<R>(turn: &Turn, body: &mut Body, reader: &mut R) -> io::Result<Vec<u8>>
where
    R: AsyncBufRead + Unpin,
{
    let mut all = Vec::new();
    while let Ok(piece) = timeout(turn.patience(), body.piece(reader)).await {
        match piece? {
            Some(piece) => all.extend_from_slice(&piece),
            None => return Ok(all),
        }
    }
    turn.note(Kind::IdleOut, "the answer was silent");
    Err(io::ErrorKind::TimedOut.into())
}

/// A length below that of the body: at the end of a line as often as anywhere.
pub fn shortened(body: &[u8], dice: &mut Dice) -> usize {
    let ends = body.iter().zip(1..).filter(|(byte, _)| **byte == b'\n');
    let ends: Vec<usize> = ends
        .map(|(_, end)| end)
        .filter(|&end| end < body.len())
        .collect();
    match dice.pick(&ends) {
        Some(&end) if dice.chance(0.5) => end,
        _ => usize::try_from(dice.below(body.len() as u64)).unwrap_or(0),
    }
}

/// The framing of what goes to the client, and whether its connection goes on.
fn frame(turn: &Turn, asked: &Asked, head: &mut Head, source: &Source) -> (Framing, bool) {
    let old = turn.misdeeds.has(Kind::Http10);
    let framing = match source {
        Source::Whole(body) => Framing::Length(body.len() as u64),
        Source::Flow(body) => body.framing(),
    };
    let framing = match framing {
        Framing::Length(length) => Framing::Length(length),
        _ if asked.chunks && !old => Framing::Chunked,
        _ => Framing::UntilClose,
    };
    head.remove("Transfer-Encoding");
    head.remove("Content-Length");
    match framing {
        Framing::Length(length) => head.set("Content-Length", &length.to_string()),
        Framing::Chunked => head.set("Transfer-Encoding", "chunked"),
        Framing::UntilClose => {}
    }
    let keeps = asked.keeps && !old && framing != Framing::UntilClose;
    head.set_word(0, if old { "HTTP/1.0" } else { "HTTP/1.1" });
    if !keeps {
        head.set("Connection", "close");
    }
    (framing, keeps)
}

fn spoil(turn: &Turn, length: Option<u64>) -> Spoil {
    let mut spoil = Spoil::default();
    if let Some(mut dice) = turn.misdeeds.dice(Kind::CutAnswer) {
        spoil.cut_at = Spoil::cut(&mut dice, length).cut_at;
        turn.note(Kind::CutAnswer, &format!("{spoil:?}"));
    }
    if let Some(mut dice) = turn.misdeeds.dice(Kind::FlipAnswer) {
        spoil.flips = Spoil::flips(&mut dice, length).flips;
        turn.note(Kind::FlipAnswer, &format!("{spoil:?}"));
    }
    spoil
}

/// Ends a body of unknown length early: after some lines, or some bytes, and at the latest before its last byte.
struct Limit {
    bytes: u64,
    lines: u64,
    kept: Option<u8>,
    reached: bool,
}

impl Limit {
    fn new(mut dice: Dice) -> Self {
        let by_lines = dice.chance(0.5);
        Self {
            bytes: if by_lines {
                u64::MAX
            } else {
                dice.below_power(18)
            },
            lines: if by_lines { dice.below(5) } else { u64::MAX },
            kept: None,
            reached: false,
        }
    }

    /// What of it goes on, with the byte that was kept of the piece before.
    fn admit(&mut self, piece: &[u8]) -> Vec<u8> {
        let mut admitted = Vec::new();
        for &byte in piece {
            if self.bytes == 0 || self.lines == 0 {
                self.reached = true;
                break;
            }
            admitted.extend(self.kept.replace(byte));
            self.bytes -= 1;
            self.lines -= u64::from(byte == b'\n');
        }
        if self.reached {
            admitted.extend(self.kept.take());
        }
        admitted
    }
}
