//! What one answer tells of a channel: its output from an offset on, for as long as the request wants to
//! wait, and then how it stands.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::{
    sync::watch,
    time::{Instant, timeout_at},
};

use super::{channel::Channel, far::Exit};

/// Which stream data are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    Main,
    Second,
}

/// A piece of an answer.
#[derive(Debug)]
pub(crate) enum Part {
    Data(Stream, Bytes),
    /// Nothing has come for a while.
    Silence,
    End(Ending),
}

/// What `T` says.
#[derive(Debug)]
pub(crate) struct Ending {
    pub(crate) taken: u64,
    pub(crate) out: u64,
    pub(crate) err: u64,
    pub(crate) signals: u64,
    /// How the far end ended, once this answer has reached the end of both streams.
    pub(crate) exit: Option<Exit>,
    /// It was forgotten while this answer was under way.
    pub(crate) gone: bool,
}

/// How long an answer stays open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    /// Until this time is over, something came and paused, or the window is full.
    Pause(Duration),
    /// Until this time is over, the process has ended, or the window is full.
    End(Duration),
    /// Until the process has ended, or nobody listens.
    Stream,
    /// Not at all, and without output.
    AtOnce,
}

/// An answer under way. While there is one, its channel is wanted.
pub(crate) struct Answer {
    channel: Arc<Channel>,
    changed: watch::Receiver<()>,
    out: u64,
    err: u64,
    patience: Patience,
    until: Instant,
    /// When it ends in any case, if it does not stream.
    latest: Instant,
    /// Who is attached: when another takes the place, whoever waits is to notice.
    taken_over: u64,
    heard: bool,
}

impl Answer {
    /// Begins where it was asked for, or, where that is gone, at the oldest that is kept. With `tail` a
    /// request may ask for what was received.
    pub(crate) fn new(
        channel: Arc<Channel>,
        out: Option<u64>,
        err: Option<u64>,
        tail: bool,
        patience: Patience,
    ) -> Self {
        let changed = channel.subscribe();
        let (begin_out, begin_err, taken_over) = {
            let mut state = channel.lock();
            state.answers(true);
            let oldest = if tail {
                state.main.oldest()
            } else {
                state.main.received()
            };
            let begin_out = out
                .unwrap_or(state.main.received())
                .max(oldest)
                .min(state.main.end());
            let begin_err = err
                .unwrap_or_default()
                .max(state.second.received())
                .min(state.second.end());
            (begin_out, begin_err, state.taken_over())
        };
        let wait = match patience {
            Patience::Pause(wait) | Patience::End(wait) => wait.min(LONGEST),
            Patience::Stream => SILENCE,
            Patience::AtOnce => Duration::ZERO,
        };
        let now = Instant::now();
        let (until, latest) = (now + wait, now + LONGEST);
        Self {
            channel,
            changed,
            out: begin_out,
            err: begin_err,
            patience,
            until,
            latest,
            taken_over,
            heard: false,
        }
    }

    /// Whether it tells of an end, and of what comes before only by the way.
    pub(crate) fn waits_for_end(&self) -> bool {
        matches!(self.patience, Patience::End(_) | Patience::AtOnce)
    }

    /// Where the two streams begin: what `H` says.
    pub(crate) fn begins(&self) -> (u64, u64) {
        (self.out, self.err)
    }

    /// The next piece.
    pub(crate) async fn next(&mut self) -> Part {
        loop {
            self.changed.borrow_and_update();
            match self.look() {
                Look::Part(part) => return part,
                Look::Wait(until) => {
                    if timeout_at(until, self.changed.changed()).await.is_err()
                        && let Some(part) = self.late(until)
                    {
                        return part;
                    }
                }
            }
        }
    }

    fn look(&mut self) -> Look {
        let channel = self.channel.clone();
        let state = channel.lock();
        if state.is_forgotten() || self.patience == Patience::AtOnce {
            let (exit, gone) = (None, state.is_forgotten());
            drop(state);
            return Look::Part(self.end(exit, gone));
        }
        let late = self.patience != Patience::Stream && self.latest <= Instant::now();
        if late || state.stopping || state.taken_over() != self.taken_over {
            drop(state);
            return Look::Part(self.end(None, false));
        }
        if self.out < state.main.oldest() || self.err < state.second.oldest() {
            // Another request received what this one was about to tell: there is no gap within an answer.
            drop(state);
            return Look::Part(self.end(None, false));
        }
        let (main, second) = (
            state.main.copy(self.out, PIECE),
            state.second.copy(self.err, PIECE),
        );
        for (stream, data) in [(Stream::Main, main), (Stream::Second, second)] {
            if !data.is_empty() {
                self.told(stream, data.len());
                return Look::Part(Part::Data(stream, data.into()));
            }
        }
        let exit = state.exit.filter(|_| state.is_closed());
        let full = state.is_full();
        drop(state);
        if exit.is_some() {
            return Look::Part(self.end(exit, false));
        }
        let full = full && self.patience != Patience::Stream;
        if full || (self.until <= Instant::now() && self.patience != Patience::Stream) {
            return Look::Part(self.end(None, false));
        }
        Look::Wait(self.waits_until())
    }

    fn waits_until(&self) -> Instant {
        match self.patience {
            Patience::Pause(_) if self.heard => self.until.min(Instant::now() + PAUSE),
            _ => self.until,
        }
    }

    /// What follows when nothing came until then.
    fn late(&mut self, until: Instant) -> Option<Part> {
        match self.patience {
            Patience::Stream => {
                self.until = Instant::now() + SILENCE;
                Some(Part::Silence)
            }
            Patience::Pause(_) if self.heard => Some(self.end(None, false)),
            _ => {
                // The end is told by the next look, which may still find something.
                self.until = until;
                None
            }
        }
    }

    fn told(&mut self, stream: Stream, length: usize) {
        self.heard = true;
        match stream {
            Stream::Main => self.out += length as u64,
            Stream::Second => self.err += length as u64,
        }
        if self.patience == Patience::Stream {
            self.until = Instant::now() + SILENCE;
        }
    }

    fn end(&self, exit: Option<Exit>, gone: bool) -> Part {
        let mut state = self.channel.lock();
        if exit.is_some() {
            state.tells_end();
        }
        Part::End(Ending {
            taken: state.input.taken(),
            out: self.out,
            err: self.err,
            signals: state.signals(),
            exit,
            gone,
        })
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.channel.lock().answers(false);
    }
}

enum Look {
    Part(Part),
    Wait(Instant),
}

/// The longest that an answer which does not stream may take.
const LONGEST: Duration = Duration::from_secs(25);

/// Silence after which an answer that streams says that it is still there.
const SILENCE: Duration = Duration::from_secs(15);

/// A pause that ends an answer which has told something.
const PAUSE: Duration = Duration::from_millis(5);

/// Bytes that a piece has at most.
const PIECE: usize = 64 * 1024;
