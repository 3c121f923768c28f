//! A link that is slow: each byte takes its time, and all of one direction share the bandwidth.
//! Does not hold what goes over it.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream},
    net::TcpStream,
    sync::mpsc,
    time::{Instant, sleep_until},
};

/// Bytes of a piece; pieces under way are bounded too.
const PIECE: usize = 4096;
const LARGE: usize = 64 * 1024;
const UNDER_WAY: usize = 256;

/// What a link is like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    /// What each byte needs, in each direction.
    pub latency: Duration,
    /// Bytes a second in each direction; `None` for no limit.
    pub bandwidth: Option<u64>,
}

/// The link all connections share.
pub struct Link {
    shape: Shape,
    up: Arc<Lane>,
    down: Arc<Lane>,
}

impl Link {
    /// An idle one.
    pub fn new(shape: Shape) -> Self {
        let lane = || Arc::new(Lane::new(shape));
        Self {
            shape,
            up: lane(),
            down: lane(),
        }
    }

    /// Whether it is slow at all.
    pub fn is_shaped(&self) -> bool {
        self.shape != Shape::default()
    }

    /// Puts the link before a connection, whose near end is given back.
    pub fn stretch(&self, stream: TcpStream) -> DuplexStream {
        let (near, far) = tokio::io::duplex(16 * PIECE);
        let (read, write) = stream.into_split();
        let (far_read, far_write) = tokio::io::split(far);
        let (up, down) = (self.up.clone(), self.down.clone());
        tokio::spawn(async move {
            tokio::select! {
                _ = up.carry(read, far_write) => {}
                _ = down.carry(far_read, write) => {}
            }
        });
        near
    }
}

/// One direction of it.
struct Lane {
    shape: Shape,
    free: Mutex<Instant>,
}

impl Lane {
    fn new(shape: Shape) -> Self {
        Self {
            shape,
            free: Mutex::new(Instant::now()),
        }
    }

    /// Carries bytes until one side ends, and then what is still under way.
    async fn carry<R, W>(&self, mut from: R, mut to: W) -> io::Result<()>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        let (sender, mut receiver) = mpsc::channel::<(Instant, Vec<u8>)>(UNDER_WAY);
        let taking = async move {
            // A clock that ticks each millisecond would bound what no bandwidth does.
            let mut piece = vec![0; self.shape.bandwidth.map_or(LARGE, |_| PIECE)];
            while let Ok(length @ 1..) = from.read(&mut piece).await {
                let arrival = self.send(length).await;
                let bytes = piece.get(..length).unwrap_or_default().to_vec();
                if sender.send((arrival, bytes)).await.is_err() {
                    break;
                }
            }
        };
        let giving = async move {
            while let Some((arrival, bytes)) = receiver.recv().await {
                sleep_until(arrival).await;
                to.write_all(&bytes).await?;
                to.flush().await?;
            }
            io::Result::Ok(())
        };
        tokio::join!(taking, giving).1
    }

    /// Waits until the bytes are on the link, and says when they arrive.
    async fn send(&self, length: usize) -> Instant {
        let gone = self.reserve(length);
        sleep_until(gone).await;
        gone + self.shape.latency
    }

    fn reserve(&self, length: usize) -> Instant {
        let now = Instant::now();
        let Some(bandwidth) = self.shape.bandwidth else {
            return now;
        };
        let nanoseconds = (length as u64 * 1_000_000_000).checked_div(bandwidth);
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        *free = (*free).max(now) + Duration::from_nanos(nanoseconds.unwrap_or(u64::MAX >> 8));
        *free
    }
}
