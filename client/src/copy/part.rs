//! One part of a file on its way to a server, and how often something busy is asked again.
//! Which parts there are is `upload`'s.

use std::sync::Arc;
use std::time::Duration;

use super::engine::Engine;
use super::error::CopyError;
use super::source::Reader;
use crate::remo2::{Failure, Put, Remote, Stored};

/// One part on its way.
pub(super) struct Part {
    pub(super) engine: Arc<Engine>,
    pub(super) remote: Arc<Remote>,
    pub(super) reader: Reader,
    pub(super) path: Vec<u8>,
    pub(super) from: Vec<u8>,
    pub(super) id: String,
    pub(super) offset: u64,
    pub(super) length: u64,
}

impl Part {
    pub(super) async fn go(self) -> Result<Stored, CopyError> {
        let _permit = self.engine.lanes.acquire().await;
        let length = usize::try_from(self.length).unwrap_or(usize::MAX);
        let data = self.reader.read(self.offset, length).await?;
        let mut busy = 0;
        loop {
            let put = Put {
                path: &self.path,
                id: &self.id,
                run: None,
                offset: self.offset,
                data: data.clone(),
                size: Some(self.reader.size),
                last: None,
            };
            match self.remote.put(put).await {
                Ok(stored) => {
                    self.engine.watcher.moved(&self.from, length as i64);
                    return Ok(stored);
                }
                Err(failure) if is_passing(&failure) && busy < BUSY => {
                    busy += 1;
                    tokio::time::sleep(PAUSE * busy).await;
                }
                Err(failure) => return Err(failure.into()),
            }
        }
    }
}

/// Whether the same may be asked again in a while.
pub(super) fn is_passing(failure: &Failure) -> bool {
    matches!(failure, Failure::Refused { name, .. } if name == "busy" || name == "too_many")
}

/// How often something busy is asked again.
pub(super) const BUSY: u32 = 20;

/// The first pause before that; each is longer by as much.
pub(super) const PAUSE: Duration = Duration::from_millis(100);
