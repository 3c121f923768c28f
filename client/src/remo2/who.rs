//! `/who`: what a server tells of itself and of us. It changes nothing but what it says is done, so that it may go beside
//! everything else, and carry nothing but padding. Not here: what is concluded from it.

use std::time::{Duration, Instant};

use bytes::Bytes;
use remo_protocol::remo2::json::Object;
use remo_protocol::remo2::session_id::Run;

use super::asking::{Act, Filling, Room};
use super::failure::Failure;
use super::live::Live;

/// `/who`.
#[derive(Debug, Default)]
pub(crate) struct Who {
    done: Vec<String>,
    probe: Option<Duration>,
    body: usize,
    /// When the last attempt was sent, and when its head was there.
    sent: Option<Instant>,
    head: Option<Instant>,
}

impl Who {
    /// Says that what these acts opened is no longer wanted.
    pub(crate) fn done(ids: &[&str]) -> Self {
        Self {
            done: ids.iter().map(|id| (*id).to_owned()).collect(),
            ..Self::default()
        }
    }

    /// With a pause between head and end, to see what the path makes of it.
    pub(crate) fn probing(pause: Duration) -> Self {
        Self {
            probe: Some(pause),
            ..Self::default()
        }
    }

    /// With a body of some length, to see whether it passes.
    pub(crate) fn weighing(body: usize) -> Self {
        Self {
            probe: Some(Duration::ZERO),
            body,
            ..Self::default()
        }
    }

    pub(crate) fn sent(&self) -> Option<Instant> {
        self.sent
    }

    pub(crate) fn head_came(&self) -> Option<Instant> {
        self.head
    }
}

impl Act for Who {
    fn verb(&self) -> &'static str {
        "who"
    }

    fn compose(&mut self, _: &Live, _: Room) -> (Object, Bytes) {
        let mut head = Object::new();
        if !self.done.is_empty() {
            head.insert("done".into(), self.done.clone().into());
        }
        if let Some(pause) = self.probe.filter(|pause| !pause.is_zero()) {
            let pause = u64::try_from(pause.as_millis()).unwrap_or_default();
            head.insert("probe".into(), pause.into());
        }
        self.sent = Some(Instant::now());
        self.head = None;
        (head, Bytes::new())
    }

    fn filling(&self) -> Filling {
        if self.body > 0 {
            Filling::UpTo(self.body)
        } else {
            Filling::None
        }
    }

    fn waits_for_others(&self) -> bool {
        self.probe.is_none()
    }

    fn belongs(&self, _: &Run) -> Result<(), Failure> {
        Ok(())
    }

    fn head(&mut self, _: &Object) -> Result<(), Failure> {
        self.head = Some(Instant::now());
        Ok(())
    }
}
