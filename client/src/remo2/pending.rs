//! Input on its way to a process that has not taken it yet.
//! Not here: how it is sent.

use std::io;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::sync::mpsc::Receiver;

use super::failure::Failure;

/// Input that the process has not taken.
pub(super) struct Pending {
    pub(super) at: u64,
    data: BytesMut,
    over: bool,
    /// Bytes that a request carries; few where the process takes none.
    most: usize,
    stalls: u32,
}

impl Pending {
    pub(super) fn new(at: u64, first: Bytes) -> Self {
        Self {
            at,
            data: first.into(),
            over: false,
            most: usize::MAX,
            stalls: 0,
        }
    }

    /// Waits for something to send, and gathers what else is there.
    pub(super) async fn fill(
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

    /// Gathers what comes while a request is under way, until it interrupts the process.
    pub(super) async fn interrupted(
        &mut self,
        input: &mut Receiver<io::Result<Bytes>>,
    ) -> Result<(), Failure> {
        while !self.over && self.data.len() < GATHERED {
            let before = self.data.len();
            let next = input.recv().await;
            self.add(next)?;
            if interrupts(self.data.get(before..).unwrap_or_default()) {
                return Ok(());
            }
        }
        std::future::pending().await
    }

    /// What was sent has arrived, and whether it was taken is told by other answers: it is sent again with what comes next, or
    /// when nobody has told for long.
    pub(super) async fn linger(
        &mut self,
        input: &mut Receiver<io::Result<Bytes>>,
    ) -> Result<(), Failure> {
        if self.over {
            tokio::time::sleep(TOLD).await;
        } else if let Ok(next) = tokio::time::timeout(TOLD, input.recv()).await {
            self.add(next)?;
        }
        Ok(())
    }

    /// What the next request carries, and whether that is all there will ever be.
    pub(super) fn next(&self, room: usize) -> (Bytes, bool) {
        let length = self.data.len().min(room).min(self.most);
        let data = Bytes::copy_from_slice(self.data.get(..length).unwrap_or_default());
        (data, self.over && length == self.data.len())
    }

    /// Drops what was taken; says how much of what was sent that is.
    pub(super) fn advance(&mut self, taken: u64, sent: usize) -> usize {
        let fresh = usize::try_from(taken.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let fresh = fresh.min(sent);
        self.data.advance(fresh);
        self.at += fresh as u64;
        fresh
    }

    pub(super) fn is_over(&self) -> bool {
        self.over && self.data.is_empty()
    }

    /// A process that takes nothing is asked more and more seldom, with little.
    pub(super) async fn adapt(&mut self, taken: usize, sent: usize) {
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

/// Whether keys may make a process on a terminal stop: Ctrl-C, Ctrl-\, Ctrl-Z.
pub(super) fn interrupts(keys: &[u8]) -> bool {
    keys.iter().any(|key| [0x03, 0x1c, 0x1a].contains(key))
}

/// Bytes that are gathered while a request is under way.
const GATHERED: usize = 1 << 20;

/// How long it may take until an answer tells what was taken.
const TOLD: Duration = Duration::from_secs(1);

/// Bytes with which it is found out whether a process takes input again.
const PROBE: usize = 4 * 1024;

/// The first pause for a process that takes no input; the longest is 32 times as long.
const STALL: Duration = Duration::from_millis(10);
