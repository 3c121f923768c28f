//! What is known of the path to a server: how many requests it carries at once, whether answers stream, how long they may be
//! parked, and how large a body passes. Not here: how it is found out, which is `probe`'s, and where it is kept, `memory`'s.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How answers come through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Flow {
    /// Nobody has looked yet.
    #[default]
    Unknown,
    /// As a whole, when they end.
    Parked,
    /// As they are written.
    Streams,
}

/// What is worth remembering of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) flow: Flow,
    /// One request at a time.
    pub(crate) alone: bool,
    /// Milliseconds for which an answer may be parked.
    pub(crate) wait: u64,
    /// Bytes of the largest body that passes.
    pub(crate) body: usize,
}

impl Known {
    /// Whether the difference is not worth keeping.
    pub(crate) fn is_about(&self, other: &Self) -> bool {
        let wait = Self {
            wait: other.wait,
            ..*self
        };
        wait == *other && self.wait / 2 < other.wait && other.wait / 2 < self.wait
    }
}

impl Default for Known {
    fn default() -> Self {
        Self {
            flow: Flow::Unknown,
            alone: false,
            wait: LONGEST_WAIT,
            body: FIRST_BODY,
        }
    }
}

/// The path as it is thought to be now.
#[derive(Debug)]
pub(crate) struct Path {
    state: Mutex<State>,
    /// Requests pass one by one, or each takes all of it.
    gate: Arc<Semaphore>,
}

#[derive(Debug)]
struct State {
    known: Known,
    /// Bytes of a body now: fewer than pass where some were lost without a word.
    body: usize,
    /// Streams that ended too early, in a row.
    cuts: u32,
    /// Answers that are parked now, and how many have ended.
    parked: usize,
    ended: u64,
    /// When the last of them began.
    opened: Option<Instant>,
    doubted: Option<Instant>,
}

/// A request under way, as far as it tells of the path.
#[derive(Debug)]
pub(crate) struct Passage<'a> {
    path: &'a Path,
    parks: bool,
    begun: Instant,
    /// How many parked answers had ended when it began, where one was under way.
    beside: Option<u64>,
}

impl Path {
    pub(crate) fn new(known: Known) -> Self {
        let state = State {
            known,
            body: known.body,
            cuts: 0,
            parked: 0,
            ended: 0,
            opened: None,
            doubted: None,
        };
        Self {
            state: Mutex::new(state),
            gate: Arc::new(Semaphore::new(GATE as usize)),
        }
    }

    pub(crate) fn known(&self) -> Known {
        self.state().known
    }

    /// What a probe has found.
    pub(crate) fn found(&self, flow: Flow, alone: bool) {
        let mut state = self.state();
        state.known.flow = flow;
        state.known.alone = alone;
        state.cuts = 0;
        tracing::debug!(?flow, alone, "the path is known");
    }

    /// Waits until there is room for one more request.
    pub(crate) async fn enter(&self) -> Option<OwnedSemaphorePermit> {
        loop {
            let alone = self.known().alone;
            let places = if alone { GATE } else { 1 };
            let pass = self.gate.clone().acquire_many_owned(places).await.ok()?;
            if self.known().alone == alone {
                return Some(pass);
            }
        }
    }

    /// How many requests should be in flight where much is to be carried.
    pub(crate) fn in_flight(&self) -> usize {
        if self.known().alone { 1 } else { IN_FLIGHT }
    }

    /// How long an answer may be parked now.
    pub(crate) fn wait(&self) -> Duration {
        let known = self.known();
        let most = match known.flow {
            _ if known.alone => SHORT_POLL,
            Flow::Unknown => WAIT_UNKNOWN,
            _ => LONGEST_WAIT,
        };
        Duration::from_millis(known.wait.min(most))
    }

    /// How many bytes of data a request may carry now.
    pub(crate) fn data(&self) -> usize {
        data_of(self.state().body)
    }

    /// Whether an answer may stay open.
    pub(crate) fn streams(&self) -> bool {
        let known = self.known();
        known.flow == Flow::Streams && !known.alone
    }

    /// An answer was parked for all the time that the path is thought to allow: it may allow more.
    pub(crate) fn park_more(&self, parked: Duration) {
        let mut state = self.state();
        if parked.as_millis() >= state.known.wait.into() {
            let more = state.known.wait + state.known.wait / 4;
            state.known.wait = more.min(LONGEST_WAIT);
        }
    }

    /// An answer was lost while it was parked: the next ones are parked for half that time.
    pub(crate) fn park_less(&self, parked: Duration) {
        let less = u64::try_from(parked.as_millis() / 2).unwrap_or(u64::MAX);
        let mut state = self.state();
        if less >= SHORTEST_WAIT {
            state.known.wait = state.known.wait.min(less);
        }
    }

    /// A stream ended before its answer did.
    pub(crate) fn stream_cut(&self, begun: bool, lasted: Duration) {
        let mut state = self.state();
        state.cuts = if lasted < LONG_STREAM {
            state.cuts + 1
        } else {
            0
        };
        if !begun || state.cuts >= CUTS {
            state.known.flow = Flow::Parked;
            tracing::debug!("streams are cut: answers are parked from now on");
        }
    }

    /// Something said that a body of this length is too large.
    pub(crate) fn refused(&self, length: usize) {
        let mut state = self.state();
        let less = (length / 2).clamp(LEAST_BODY, FIRST_BODY.max(length / 2));
        state.known.body = state.known.body.min(less);
        state.body = state.body.min(less);
    }

    /// A body was lost without a word, more than once: its length may be why.
    pub(crate) fn swallowed(&self, length: usize) {
        let mut state = self.state();
        if length > SMALL_BODY {
            state.body = state.body.min((length / 2).max(LEAST_BODY));
        }
    }

    /// A body of this length has passed.
    pub(crate) fn passed(&self, length: usize) {
        let mut state = self.state();
        if length >= state.body / 2 {
            state.body = (state.body + state.body / 4).min(state.known.body);
        }
    }

    /// A probe has shown that so large a body passes.
    pub(crate) fn shown(&self, length: usize) {
        let mut state = self.state();
        state.known.body = state.known.body.max(length);
        state.body = state.known.body;
    }

    /// A request begins that parks its answer, or wants it at once.
    pub(crate) fn begin(&self, parks: bool) -> Passage<'_> {
        let mut state = self.state();
        let beside = (!parks && state.parked > 0).then_some(state.ended);
        state.parked += usize::from(parks);
        if parks {
            state.opened = Some(Instant::now());
        }
        Passage {
            path: self,
            parks,
            begun: Instant::now(),
            beside,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Passage<'_> {
    /// How long it has taken so far.
    pub(crate) fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    /// It was answered. Where it had to wait for another one that was parked, the path is not what it was thought to be.
    pub(crate) fn answered(&self) {
        let mut state = self.path.state();
        let queued = self.beside.is_some_and(|ended| state.ended > ended);
        let lately = state
            .doubted
            .is_some_and(|doubted| doubted.elapsed() < DOUBT_AGAIN);
        if queued && self.elapsed() >= QUEUED && !state.known.alone && !lately {
            state.doubt();
        }
    }

    /// It is small, wants its answer at once, and has none yet, though it should: an answer that stays open may be why.
    pub(crate) fn is_overdue(&self) {
        let lately = self.path.state().doubted;
        if lately.is_none_or(|doubted| doubted.elapsed() >= DOUBT_AGAIN) {
            self.lost();
        }
    }

    /// It was lost, and an answer has stayed open meanwhile: where that is why, no later one would come through either.
    pub(crate) fn lost(&self) {
        let mut state = self.path.state();
        let is_long = |since: Instant| since.elapsed() >= QUEUED;
        let beside = state.parked > 0 && state.opened.is_some_and(is_long);
        if beside && is_long(self.begun) && !state.known.alone {
            tracing::debug!("what is beside an open answer does not come through");
            state.doubt();
        }
    }
}

impl State {
    /// The path is not what it was thought to be: somebody has to look again.
    fn doubt(&mut self) {
        self.doubted = Some(Instant::now());
        self.known.flow = Flow::Unknown;
    }
}

impl Drop for Passage<'_> {
    fn drop(&mut self) {
        if self.parks {
            let mut state = self.path.state();
            state.parked -= 1;
            state.ended += 1;
        }
    }
}

/// How many bytes of data fit into a body of this length, sealed in tokens of 64 KiB beside a head.
fn data_of(body: usize) -> usize {
    body.saturating_sub(HEAD).max(LEAST_BODY / 2) / 1000 * 749
}

/// Requests in flight, where much is to be carried.
const IN_FLIGHT: usize = 4;

/// The most that are ever under way at once.
const GATE: u32 = 1024;

/// Milliseconds for which an answer is parked, where nothing showed that the path cuts it.
const LONGEST_WAIT: u64 = 20_000;

/// The same while nobody has looked whether anything comes through beside it.
const WAIT_UNKNOWN: u64 = 2_000;

/// The same where nothing does: keys must not wait for long.
const SHORT_POLL: u64 = 250;

/// No answer is parked for less, whatever the path does.
const SHORTEST_WAIT: u64 = 250;

/// Bytes of a body that are tried without a probe: just below 512 KiB.
const FIRST_BODY: usize = 512 * 1024 - 1;

/// No body is cut down to less.
const LEAST_BODY: usize = 8 * 1024;

/// A body of so many bytes is not lost because of its length.
pub(crate) const SMALL_BODY: usize = 64 * 1024;

/// Bytes of a body that are kept for its head.
const HEAD: usize = 16 * 1024;

/// A stream that was cut after so long was worth it.
const LONG_STREAM: Duration = Duration::from_secs(60);

/// Streams that are cut in a row before no more are tried.
const CUTS: u32 = 2;

/// What is wanted at once should not take longer.
const QUEUED: Duration = Duration::from_millis(1500);

/// What is small and wanted at once is waited for so long before it is asked why.
pub(crate) const OVERDUE: Duration = Duration::from_secs(3);

/// The path is not doubted more often.
const DOUBT_AGAIN: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    fn path(flow: Flow, alone: bool) -> Path {
        Path::new(Known {
            flow,
            alone,
            ..Known::default()
        })
    }

    #[tokio::test]
    async fn where_one_request_passes_at_a_time_the_next_waits() {
        let open = path(Flow::Parked, false);
        let both = (open.enter().await, open.enter().await);
        assert!(both.0.is_some() && both.1.is_some());
        open.found(Flow::Parked, true);
        let waits = tokio::time::timeout(Duration::from_millis(10), open.enter()).await;
        assert!(waits.is_err(), "two are still under way");
        drop(both);
        let alone = open.enter().await;
        let waits = tokio::time::timeout(Duration::from_millis(10), open.enter()).await;
        assert!(waits.is_err(), "one is under way");
        drop(alone);
        assert!(open.enter().await.is_some());
        assert_eq!(open.in_flight(), 1);
    }

    #[test]
    fn answers_are_parked_for_as_long_as_the_path_lets_them() {
        assert_eq!(
            path(Flow::Unknown, false).wait(),
            Duration::from_millis(2000)
        );
        assert_eq!(path(Flow::Parked, true).wait(), Duration::from_millis(250));
        let parked = path(Flow::Parked, false);
        parked.park_less(Duration::from_secs(8));
        assert_eq!(parked.wait(), Duration::from_secs(4));
        parked.park_less(Duration::from_millis(10));
        parked.park_more(Duration::from_secs(4));
        assert_eq!(parked.wait(), Duration::from_secs(5));
        parked.park_more(Duration::from_secs(4));
        assert_eq!(parked.wait(), Duration::from_secs(5));
    }

    #[test]
    fn a_body_is_never_larger_than_what_passed_and_grows_again_after_a_loss() {
        let path = path(Flow::Parked, false);
        let first = path.data();
        assert!(first > 350 * 1024 && first * 4 / 3 < 512 * 1024);
        path.swallowed(400_000);
        assert!(path.data() < first && path.known().body == FIRST_BODY);
        for _ in 0..10 {
            path.passed(FIRST_BODY);
        }
        assert_eq!(path.data(), first);
        path.refused(500_000);
        assert_eq!(path.known().body, 250_000);
        path.shown(4 << 20);
        assert!(path.data() > 2_900_000);
        for _ in 0..40 {
            path.refused(path.known().body);
        }
        assert_eq!(path.known().body, LEAST_BODY);
        assert!(path.data() > 2000);
    }

    #[test]
    fn streams_are_given_up_when_they_are_cut_again_and_again() {
        let path = path(Flow::Streams, false);
        path.stream_cut(true, Duration::from_secs(5));
        path.stream_cut(true, Duration::from_secs(90));
        path.stream_cut(true, Duration::from_secs(5));
        assert!(path.streams());
        path.stream_cut(true, Duration::from_secs(5));
        assert!(!path.streams());
        path.found(Flow::Streams, false);
        path.stream_cut(false, Duration::from_secs(4));
        assert!(!path.streams(), "it does not even begin");
        path.found(Flow::Streams, true);
        assert!(!path.streams(), "it would hold up everything else");
    }

    #[test]
    fn what_had_to_wait_for_a_parked_answer_makes_the_path_doubtful() {
        let path = path(Flow::Parked, false);
        let mut parked = Some(path.begin(true));
        let mut quick = path.begin(false);
        quick.begun = Instant::now().checked_sub(QUEUED).unwrap();
        quick.answered();
        assert_eq!(path.known().flow, Flow::Parked, "it overtook it");
        parked.take();
        quick.answered();
        assert_eq!(path.known().flow, Flow::Unknown);
    }

    #[test]
    fn what_does_not_come_through_beside_an_open_answer_ends_streams() {
        let path = path(Flow::Streams, false);
        let long_ago = Instant::now().checked_sub(QUEUED).unwrap();
        let mut quick = path.begin(false);
        quick.begun = long_ago;
        quick.lost();
        assert!(path.streams(), "nothing was open");
        let stream = path.begin(true);
        quick.lost();
        assert!(path.streams(), "it was opened just now");
        path.state().opened = Some(long_ago);
        let mut quick = path.begin(false);
        quick.lost();
        assert!(path.streams(), "it was refused at once");
        quick.begun = long_ago;
        quick.is_overdue();
        assert!(!path.streams());
        path.found(Flow::Streams, false);
        quick.is_overdue();
        assert!(path.streams(), "it was looked at just now");
        quick.lost();
        assert!(!path.streams());
        path.found(Flow::Streams, false);
        drop(stream);
        quick.lost();
        assert!(path.streams(), "what was open has ended");
    }
}
