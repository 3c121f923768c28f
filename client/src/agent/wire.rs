//! Frames over a socket: written whole, read after their length was looked at.
//! What is in them is not known here.

use std::io::{self, ErrorKind};
use std::time::Duration;

use remo_protocol::agent::{Head, Kind, Wrong, read, write};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;
use zeroize::Zeroizing;

/// One frame. It is erased when dropped, for it may hold anything.
pub(super) struct Frame {
    pub(super) kind: Kind,
    pub(super) data: Zeroizing<Vec<u8>>,
}

/// Writes one frame.
pub(super) async fn send(
    to: &mut (impl AsyncWrite + Unpin),
    kind: Kind,
    data: &[u8],
) -> io::Result<()> {
    let head = Head::new(kind, data.len()).map_err(wrong)?;
    to.write_all(&head.to_bytes()).await?;
    to.write_all(data).await?;
    to.flush().await
}

/// Writes one message.
pub(super) async fn tell(
    to: &mut (impl AsyncWrite + Unpin),
    message: &impl Serialize,
) -> io::Result<()> {
    send(to, Kind::Message, &write(message).map_err(wrong)?).await
}

/// Reads the next frame, which has so long to come.
pub(super) async fn next(
    from: &mut (impl AsyncRead + Unpin),
    patience: Duration,
) -> io::Result<Frame> {
    timeout(patience, next_whole(from))
        .await
        .map_err(|_| io::Error::from(ErrorKind::TimedOut))?
}

async fn next_whole(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Frame> {
    let mut head = [0; Head::BYTES];
    from.read_exact(&mut head).await?;
    let head = Head::read(head).map_err(wrong)?;
    let mut data = Zeroizing::new(vec![0; head.length]);
    from.read_exact(&mut data).await?;
    Ok(Frame {
        kind: head.kind,
        data,
    })
}

/// Reads the next frame, which must be a message.
pub(super) async fn message<M: DeserializeOwned>(
    from: &mut (impl AsyncRead + Unpin),
    patience: Duration,
) -> io::Result<M> {
    let data = expect(from, Kind::Message, patience).await?;
    read(&data).map_err(wrong)
}

/// Reads the next frame, which must be of this kind.
pub(super) async fn expect(
    from: &mut (impl AsyncRead + Unpin),
    kind: Kind,
    patience: Duration,
) -> io::Result<Zeroizing<Vec<u8>>> {
    let frame = next(from, patience).await?;
    if frame.kind != kind {
        return Err(wrong(Wrong::Place));
    }
    Ok(frame.data)
}

pub(super) fn wrong(wrong: Wrong) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, wrong)
}
