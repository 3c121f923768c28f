//! What can be asked of a server, and for how long it is tried: pauses that grow, and an end.
//! Not here: sealing and sending, which are `remote`'s.

use std::future::{Future, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use remo_protocol::remo2::answer::Stream;
use remo_protocol::remo2::json::Object;
use remo_protocol::remo2::session_id::Run;

use super::failure::{Failure, Fault};
use super::live::Live;

/// Something that is asked, perhaps in several attempts: each is composed anew, and means the same.
pub(crate) trait Act: Send {
    /// Its verb.
    fn verb(&self) -> &'static str;

    /// Its head and its data in this session.
    fn compose(&mut self, live: &Live, room: Room) -> (Object, Bytes);

    /// What is put into its body besides.
    fn filling(&self) -> Filling {
        Filling::None
    }

    /// Whether it is asked one at a time with others, where the path carries no more.
    fn waits_for_others(&self) -> bool {
        true
    }

    /// Whether the rest of an answer that still goes on is not wanted.
    fn has_enough(&self) -> bool {
        false
    }

    /// Whether it is carried out, though its answer was lost: others tell the rest.
    fn is_settled(&self) -> bool {
        false
    }

    /// Whether it may be asked in this run of the server.
    ///
    /// # Errors
    /// Where it may not: what that means.
    fn belongs(&self, run: &Run) -> Result<(), Failure>;

    /// What an answer begins with, once it has a good status. Most tell all in their trailer.
    fn head(&mut self, _: &Object) -> Result<(), Failure> {
        Ok(())
    }

    /// Data of an answer: the server's, whatever becomes of the rest.
    fn data(&mut self, _: Stream, _: Bytes) -> impl Future<Output = Result<(), Failure>> + Send {
        ready(Ok(()))
    }
}

/// What the path has room for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    /// How long an answer may be parked.
    pub(crate) wait: Duration,
    /// Bytes of data that a request may carry.
    pub(crate) data: usize,
    /// Whether an answer may stay open.
    pub(crate) stream: bool,
}

/// Bytes in a body that mean nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Filling {
    None,
    /// So that the length does not tell what is typed.
    Typed,
    /// As many as make the body this long, or a little less.
    UpTo(usize),
}

/// How it goes with one thing that is asked.
pub(crate) struct Trying {
    patience: Duration,
    /// When the attempts since the last good sign began to fail.
    failing_since: Option<Instant>,
    failures: u32,
    /// By how much the wait is shortened, as a power of two.
    pub(crate) halvings: u32,
}

impl Trying {
    pub(crate) fn new(patience: Duration) -> Self {
        Self {
            patience,
            failing_since: None,
            failures: 0,
            halvings: 0,
        }
    }

    /// Something sealed has come: the path is alive.
    pub(crate) fn good_sign(&mut self) {
        self.failing_since = None;
        self.failures = 0;
    }

    /// Whether the last attempt failed.
    pub(crate) fn is_failing(&self) -> bool {
        self.failures > 0
    }

    /// Whether the session itself should be doubted: its answers fail again and again.
    pub(crate) fn doubts_session(&self) -> bool {
        self.failures > 0 && self.failures.is_multiple_of(4)
    }

    /// Waits before the next attempt.
    ///
    /// # Errors
    /// [`Failure::Path`], where there is none.
    pub(crate) async fn pause(&mut self, fault: &Fault) -> Result<(), Failure> {
        let since = *self.failing_since.get_or_insert_with(Instant::now);
        let pause = SHORTEST * 2_u32.saturating_pow(self.failures.min(6));
        self.failures += 1;
        tracing::debug!(cause = fault.cause(), "tried again");
        if since.elapsed() + pause >= self.patience {
            return Err(Failure::Path {
                seconds: since.elapsed().as_secs().max(1),
                cause: fault.cause(),
            });
        }
        tokio::time::sleep(pause).await;
        Ok(())
    }
}

/// The first pause; the longest is 64 times as long.
const SHORTEST: Duration = Duration::from_millis(50);
