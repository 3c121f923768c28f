//! One request of a caller, sealed and sent in a session of the agent, and its answer passed on as it comes.
//! A caller that leaves takes nothing with it but its own request. Not here: whose session it is.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use remo_protocol::agent::{Fault as ToldFault, Kind, Told};
use remo_protocol::remo2::answer::{Part, Stream};
use remo_protocol::remo2::json::Object;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::timeout;

use super::faults;
use super::serving::{Data, PATIENCE, hung_up, too_long};
use super::wire::{next, send, tell, wrong};
use crate::remo2::asking::Filling;
use crate::remo2::failure::Fault;
use crate::remo2::live::{Live, Reply, Request};

/// What a caller asks of a server.
pub(super) struct Asked {
    pub(super) verb: String,
    pub(super) head: Object,
    pub(super) filling: Filling,
    pub(super) patience: Duration,
    pub(super) silence: Duration,
}

/// Reads the data of a request, carries it out, and passes the answer on.
pub(super) async fn carry_out(
    found: Option<(Arc<Live>, watch::Receiver<()>)>,
    asked: Asked,
    memory: &Arc<Semaphore>,
    from: &mut OwnedReadHalf,
    to: &mut OwnedWriteHalf,
) -> io::Result<()> {
    if asked.verb.is_empty() || !asked.verb.bytes().all(|byte| byte.is_ascii_lowercase()) {
        return Err(wrong(remo_protocol::agent::Wrong::Message));
    }
    let Some((live, mut over)) = found else {
        return tell(to, &Told::Fault(ToldFault::SessionLost {})).await;
    };
    let Some((data, room)) = data(memory, from).await? else {
        let cause = "the agent has too much to do".into();
        return tell(to, &Told::Fault(ToldFault::Path { cause })).await;
    };
    let passed = {
        let passing = pass_on(&live, &asked, data, room, to);
        tokio::select! {
            passed = passing => passed,
            // Locked, forgotten, timed out or doubted: nothing more comes of it.
            _ = over.changed() => Err(Stopped::Fault(Fault::SessionLost)),
            () = hung_up(from) => return Ok(()),
        }
    };
    match passed {
        Ok(()) => Ok(()),
        Err(Stopped::Io(error)) => Err(error),
        Err(Stopped::Fault(fault)) => tell(to, &Told::Fault(faults::write(&fault))).await,
    }
}

/// Why an answer was not passed on to its end.
enum Stopped {
    /// The caller takes no more.
    Io(io::Error),
    /// The server, or the path.
    Fault(Fault),
}

impl From<io::Error> for Stopped {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Fault> for Stopped {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

async fn pass_on(
    live: &Live,
    asked: &Asked,
    data: Data,
    room: OwnedSemaphorePermit,
    to: &mut OwnedWriteHalf,
) -> Result<(), Stopped> {
    let request = Request {
        verb: &asked.verb,
        head: &asked.head,
        data: &data,
        filling: asked.filling,
        patience: asked.patience,
        silence: asked.silence,
    };
    let ready = live.ready(request).await?;
    let length = ready.length;
    tell(to, &Told::Sealed { length }).await?;
    let mut reply = patiently(ready.send(), to).await??;
    drop((data, room));
    while let Some(part) = patiently(reply.next(), to).await?? {
        match part {
            Part::Head(head) => tell(to, &Told::Head { head }).await?,
            Part::Data(stream, data) => pass_data(stream, &data, to).await?,
            Part::Nothing => {}
        }
    }
    finish(reply, to).await
}

async fn finish(reply: Reply, to: &mut OwnedWriteHalf) -> Result<(), Stopped> {
    let trailer = reply.finish()?;
    Ok(tell(to, &Told::Trailer { trailer }).await?)
}

async fn pass_data(stream: Stream, data: &[u8], to: &mut OwnedWriteHalf) -> io::Result<()> {
    let kind = match stream {
        Stream::Main => Kind::Data,
        Stream::Second => Kind::Second,
    };
    send(to, kind, data).await
}

/// Waits for something, and tells the caller meanwhile that it is waited for.
async fn patiently<T>(what: impl Future<Output = T>, to: &mut OwnedWriteHalf) -> io::Result<T> {
    let mut what = pin!(what);
    loop {
        match timeout(PULSE, &mut what).await {
            Ok(done) => return Ok(done),
            Err(_) => tell(to, &Told::Waiting {}).await?,
        }
    }
}

/// The data of a request, for which memory is set aside before they are read; nothing where there is none for too long.
async fn data(
    memory: &Arc<Semaphore>,
    from: &mut OwnedReadHalf,
) -> io::Result<Option<(Data, OwnedSemaphorePermit)>> {
    let mut all = Data::default();
    let Ok(mut room) = memory.clone().acquire_many_owned(0).await else {
        return Ok(None);
    };
    loop {
        let next_room = memory.clone().acquire_many_owned(FRAME);
        let Ok(Ok(mut more)) = timeout(PATIENCE, next_room).await else {
            return Ok(None);
        };
        let frame = next(from, PATIENCE).await?;
        match frame.kind {
            Kind::End => return Ok(Some((all, room))),
            Kind::Data if all.len() + frame.data.len() > MOST => return Err(too_long()),
            Kind::Data => {
                let used = frame.data.len().div_ceil(1024);
                if let Some(used) = more.split(used) {
                    room.merge(used);
                }
                all.extend_from_slice(&frame.data);
            }
            _ => return Err(wrong(remo_protocol::agent::Wrong::Place)),
        }
    }
}

/// KiB that are set aside for a frame.
const FRAME: u32 = 1024;

/// Bytes of data in a request: no server takes more in one.
const MOST: usize = 8 << 20;

/// How often a caller hears that nothing has come yet.
const PULSE: Duration = Duration::from_secs(10);
