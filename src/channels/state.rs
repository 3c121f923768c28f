//! All of a channel that changes, under one lock: both windows, the input, who is attached, how it stands.
//! Nothing here waits.

use std::time::Duration;

use remo_protocol::remo2::session_id::SessionId;
use tokio::time::Instant;

use super::{
    Refused, Stream,
    exchange::{Access, Exchange},
    far::{Exit, Far, Left},
    input::Input,
    window::Window,
};

/// What a channel is at a moment.
pub(super) struct State {
    pub(super) main: Window,
    pub(super) second: Window,
    pub(super) input: Input,
    pub(super) last_output: Instant,
    pub(super) opening: Opening,
    pub(super) exit: Option<Exit>,
    /// Gone once it is hung up.
    pub(super) far: Option<Box<dyn Far>>,
    signals: u64,
    attached: SessionId,
    /// How often another session took the place of the one before.
    taken_over: u64,
    sized_by: u64,
    /// Answers that are under way; while there are any, it is wanted.
    answers: usize,
    idle_since: Instant,
    keep: Duration,
    forgotten: bool,
    pub(super) stopping: bool,
    /// An answer has told how it ended.
    end_told: bool,
}

/// Whether the far end is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Opening {
    UnderWay,
    Done,
    Refused(Refused),
}

/// What a state begins with.
pub(super) struct Beginning {
    pub(super) main: Window,
    pub(super) second: Window,
    pub(super) input: Input,
    pub(super) opening: Opening,
    pub(super) far: Box<dyn Far>,
    pub(super) session: SessionId,
    pub(super) keep: Duration,
}

impl State {
    pub(super) fn new(beginning: Beginning) -> Self {
        let now = Instant::now();
        Self {
            main: beginning.main,
            second: beginning.second,
            input: beginning.input,
            last_output: now,
            opening: beginning.opening,
            exit: None,
            far: Some(beginning.far),
            signals: 0,
            attached: beginning.session,
            taken_over: 0,
            sized_by: 0,
            answers: 0,
            idle_since: now,
            keep: beginning.keep,
            forgotten: false,
            stopping: false,
            end_told: false,
        }
    }

    pub(super) fn window(&mut self, stream: Stream) -> &mut Window {
        match stream {
            Stream::Main => &mut self.main,
            Stream::Second => &mut self.second,
        }
    }

    /// Whether both streams have ended.
    pub(super) fn is_closed(&self) -> bool {
        self.main.is_closed() && self.second.is_closed()
    }

    /// Whether a stream waits for what it told to be received.
    pub(super) fn is_full(&self) -> bool {
        self.main.room() == 0 || self.second.room() == 0
    }

    /// Nothing more comes.
    pub(super) fn close(&mut self) {
        self.main.close();
        self.second.close();
    }

    /// Whether this input interrupts the far end.
    pub(super) fn interrupts(&self, input: &[u8]) -> bool {
        let keys = self.far.as_ref().map_or([0; 3], |far| far.interrupts());
        input.iter().any(|key| *key != 0 && keys.contains(key))
    }

    pub(super) fn end_of_file(&self) -> Option<u8> {
        self.far.as_ref().and_then(|far| far.end_of_file())
    }

    pub(super) fn signals(&self) -> u64 {
        self.signals
    }

    pub(super) fn is_attached(&self, session: &SessionId) -> bool {
        self.attached == *session
    }

    pub(super) fn taken_over(&self) -> u64 {
        self.taken_over
    }

    pub(super) fn is_forgotten(&self) -> bool {
        self.forgotten
    }

    /// Its far end, which is to be hung up, the first time.
    pub(super) fn forget(&mut self) -> Option<(Box<dyn Far>, Left)> {
        self.forgotten = true;
        self.close();
        let left = Left {
            ended: self.input.has_ended(),
            stopping: self.stopping,
        };
        self.far.take().map(|far| (far, left))
    }

    /// An answer begins, or is over.
    pub(super) fn answers(&mut self, more: bool) {
        if more {
            self.answers += 1;
        } else {
            self.answers = self.answers.saturating_sub(1);
            self.idle_since = Instant::now();
        }
    }

    /// Whether nobody has asked for it for as long as it was to be kept.
    pub(super) fn is_stale(&self, now: Instant) -> bool {
        let waits = self.answers > 0 || self.opening == Opening::UnderWay;
        !waits && now.duration_since(self.idle_since) >= self.keep
    }

    /// An answer tells how it ended.
    pub(super) fn tells_end(&mut self) {
        self.end_told = true;
    }

    /// Since when nobody needs it, if that is so: its end was told, and no answer is under way.
    pub(super) fn over_since(&self) -> Option<Instant> {
        (self.end_told && self.answers == 0).then_some(self.idle_since)
    }

    /// Does what an exchange wants, in the order in which the specification lists it.
    ///
    /// # Errors
    /// `not_attached`; `bad_request`, for a signal to what takes none. Then nothing is done.
    pub(super) fn exchange(&mut self, exchange: &Exchange, access: &Access) -> Result<(), Refused> {
        if exchange.attach {
            if self.attached != access.session {
                self.sized_by = 0;
                self.taken_over += 1;
            }
            self.attached = access.session.clone();
        } else if exchange.is_owners() && self.attached != access.session {
            return Err(not_attached());
        }
        self.take_signal(exchange)?;
        if let Some(out) = exchange.out {
            self.main.receive(out);
        }
        if let Some(err) = exchange.err {
            self.second.receive(err);
        }
        let before = self.input.taken();
        self.input.take(exchange);
        let skipped = before.saturating_sub(exchange.at.unwrap_or(before));
        let fresh = usize::try_from(skipped)
            .ok()
            .and_then(|skip| exchange.data.get(skip..));
        if self.input.taken() > before && self.interrupts(fresh.unwrap_or_default()) {
            // Nobody who interrupts a flood wants to see the rest of it, least of all by a slow path.
            self.main.drop_flood(u64::MAX);
        }
        self.resize(exchange, access.number);
        Ok(())
    }

    fn resize(&mut self, exchange: &Exchange, number: u64) {
        let wanted = exchange.size.filter(|_| number >= self.sized_by);
        if wanted.is_some() {
            self.sized_by = number;
        }
        if let Some(far) = &self.far
            && (wanted.is_some() || exchange.attach)
        {
            far.resize(wanted, exchange.attach);
        }
    }

    fn take_signal(&mut self, exchange: &Exchange) -> Result<(), Refused> {
        let Some((signal, before)) = exchange.signal else {
            return Ok(());
        };
        if before == self.signals
            && let Some(far) = &self.far
        {
            far.signal(signal)?;
            self.signals += 1;
        }
        Ok(())
    }
}

fn not_attached() -> Refused {
    Refused::new(
        409,
        "not_attached",
        "another session is attached to this channel (send attach)",
    )
}
