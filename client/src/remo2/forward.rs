//! Connections that come in here and go on from the server: each is a channel there, fed and followed by offsets.
//! Not here: who listens, and where.

use std::collections::BTreeSet;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use remo_protocol::remo2::json::Object;
use remo_protocol::remo2::session_id::Run;
use rustix::net::sockopt;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf, ReadHalf};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{self, Sender};

use super::asking::{Act, Room};
use super::channel::Channel;
use super::failure::Failure;
use super::live::Live;
use super::opening::unanswered;
use super::output::Output;
use super::remote::Remote;

/// Connections that are carried to a server, and on from there.
#[derive(Debug)]
pub struct Forwarding {
    remote: Arc<Remote>,
    /// What is open there.
    open: Mutex<BTreeSet<String>>,
}

impl Forwarding {
    /// Nothing is carried yet.
    #[must_use]
    pub fn new(remote: Arc<Remote>) -> Self {
        Self {
            remote,
            open: Mutex::default(),
        }
    }

    /// Carries `local` on to `to`, a `host:port` as the server sees it, until both directions have ended. When anything else
    /// ends it, it is reset here and there: only a whole stream has an end.
    ///
    /// # Errors
    /// See [`Failure`]; [`Failure::is_reset`] where the far end broke it.
    pub async fn carry(&self, local: TcpStream, to: &str) -> Result<(), Failure> {
        let local = Local::new(local).map_err(Failure::Input)?;
        let gap = local.gap.clone();
        let (from, back) = tokio::io::split(local);
        let output = Output::new(
            Box::new(back),
            Box::new(tokio::io::sink()),
            Box::new(move |_| gap.store(true, Ordering::Relaxed)),
        );
        let channel = Channel::prepare(self.remote.clone(), output)?;
        let _noted = self.note(channel.id());
        let outcome = async {
            self.connect(&channel, to).await?;
            tracing::debug!(to, id = channel.id(), "connected");
            carry(&channel, from).await
        };
        let outcome = outcome.await;
        if !matches!(outcome, Err(Failure::Gone | Failure::Restarted)) {
            channel.done().await;
        }
        outcome
    }

    /// The ids of what is open there.
    #[must_use]
    pub fn ids(&self) -> Vec<String> {
        self.open().iter().cloned().collect()
    }

    /// Says of these that they are no longer wanted, once nothing carries them any more.
    pub async fn end(&self, ids: &[String]) {
        if !ids.is_empty() {
            let ids: Vec<_> = ids.iter().map(String::as_str).collect();
            self.remote.done(&ids).await;
        }
    }

    async fn connect(&self, channel: &Channel, to: &str) -> Result<(), Failure> {
        let patience = self.remote.patience();
        let keep = (2 * patience.as_secs()).max(LEAST_KEEP);
        let mut connect = Connect {
            channel,
            to,
            keep,
            patience,
        };
        channel.opened_by(&mut connect).await
    }

    fn note(&self, id: &str) -> Noted<'_> {
        self.open().insert(id.to_owned());
        Noted {
            forwarding: self,
            id: id.to_owned(),
        }
    }

    fn open(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Known to be open, for as long as this is there.
struct Noted<'a> {
    forwarding: &'a Forwarding,
    id: String,
}

impl Drop for Noted<'_> {
    fn drop(&mut self) {
        self.forwarding.open().remove(&self.id);
    }
}

/// Both directions, each to its end.
async fn carry(channel: &Channel, from: ReadHalf<Local>) -> Result<(), Failure> {
    let (pieces, mut input) = mpsc::channel(PIECES);
    let up = async {
        let feeding = channel.feed(Bytes::new(), &mut input, Duration::ZERO);
        let reading = async {
            read(from, pieces).await;
            Ok(())
        };
        tokio::try_join!(feeding, reading).map(drop)
    };
    let down = async {
        channel.follow().await?;
        channel.end_output().await
    };
    tokio::pin!(up, down);
    tokio::select! {
        over = &mut up => {
            over?;
            down.await
        }
        over = &mut down => {
            over?;
            loop {
                tokio::select! {
                    over = &mut up => return over,
                    // What sends nothing is still wanted.
                    () = tokio::time::sleep(ALIVE) => drop(channel.follow().await?),
                }
            }
        }
    }
}

/// Reads until there is an end; an error is passed on as one.
async fn read(mut from: ReadHalf<Local>, to: Sender<io::Result<Bytes>>) {
    loop {
        let mut piece = BytesMut::with_capacity(PIECE);
        let next = match from.read_buf(&mut piece).await {
            Ok(0) => return,
            Ok(_) => Ok(piece.freeze()),
            Err(error) => Err(error),
        };
        let broken = next.is_err();
        if to.send(next).await.is_err() || broken {
            return;
        }
    }
}

/// A connection here, which is reset unless it was ended.
struct Local {
    stream: TcpStream,
    /// Bytes are gone: nothing more may be written.
    gap: Arc<AtomicBool>,
}

impl Local {
    fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        sockopt::set_socket_linger(&stream, Some(Duration::ZERO))?;
        Ok(Self {
            stream,
            gap: Arc::default(),
        })
    }
}

impl AsyncRead for Local {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Local {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.gap.load(Ordering::Relaxed) {
            return Poll::Ready(Err(io::Error::other("bytes of the connection are gone")));
        }
        Pin::new(&mut self.stream).poll_write(context, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        sockopt::set_socket_linger(&self.stream, None)?;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// `/fwd`: connects. The id makes sure that it is done once.
struct Connect<'a> {
    channel: &'a Channel,
    to: &'a str,
    keep: u64,
    patience: Duration,
}

impl Act for Connect<'_> {
    fn verb(&self) -> &'static str {
        "fwd"
    }

    fn compose(&mut self, live: &Live, _: Room) -> (Object, Bytes) {
        self.channel.begins(live);
        let mut head = Object::new();
        head.insert("id".into(), self.channel.id().into());
        head.insert("connect".into(), self.to.into());
        head.insert("keep".into(), self.keep.into());
        head.insert("by".into(), live.by(self.patience * 2).into());
        (head, Bytes::new())
    }

    fn belongs(&self, run: &Run) -> Result<(), Failure> {
        unanswered(self.channel, run)
    }
}

/// Seconds for which a connection is kept at least when the path fails.
const LEAST_KEEP: u64 = 60;

/// Silence after which the server is told that a connection is still wanted.
const ALIVE: Duration = Duration::from_secs(20);

/// Bytes that are read at once.
const PIECE: usize = 32 * 1024;

/// Pieces that wait to be sent.
const PIECES: usize = 16;
