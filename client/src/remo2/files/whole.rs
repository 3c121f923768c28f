//! A file there as a stream: one version of it, from its beginning to its end.
//! Copies, which go in several ranges at once, are not made here.

use bytes::Bytes;
use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::get::{Get, Got, Sink};
use crate::remo2::Remote;
use crate::remo2::failure::Failure;

impl Remote {
    /// Writes the content of the file at `path` to `out`.
    ///
    /// # Errors
    /// See [`Failure`]; [`Failure::Changed`] where it became another file meanwhile.
    pub async fn cat(
        &self,
        path: &[u8],
        out: &mut (impl AsyncWrite + Send + Unpin),
    ) -> Result<(), Failure> {
        let mut sink = Stream { out };
        let mut got = Got::default();
        loop {
            let get = Get {
                path,
                offset: got.end,
                length: RANGE,
                etag: (!got.etag.is_empty()).then(|| got.etag.clone()),
            };
            got = self.get(get, &mut sink).await?;
            if got.end >= got.size {
                return sink.out.flush().await.map_err(Failure::Output);
            }
        }
    }
}

struct Stream<'a, W> {
    out: &'a mut W,
}

impl<W: AsyncWrite + Send + Unpin> Sink for Stream<'_, W> {
    async fn take(&mut self, _: u64, data: Bytes) -> Result<(), Failure> {
        self.out.write_all(&data).await.map_err(Failure::Output)
    }
}

/// Bytes that are asked for at once.
const RANGE: u64 = 8 << 20;
