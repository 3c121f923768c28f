//! One request's turn: its number, what is done to it, and what it shares with all others.
//! Does not hold the bytes.

use std::{
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{Notify, OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock},
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{
    Kind,
    body::Framing,
    head::Head,
    memory::{Memory, Whole},
    page::page,
    plan::{Misdeeds, Plan},
    proxy::Settings,
    request,
    shape::Link,
};

/// Bodies up to this length go on as a whole in any case.
const SHORT: u64 = 64 * 1024;

/// What all requests share.
pub struct Shared {
    /// What is done to which request.
    pub plan: Plan,
    /// What is kept of one for another.
    pub memory: Memory,
    pub(crate) settings: Settings,
    pub(crate) link: Link,
    count: AtomicU64,
    pub(crate) answered: Notify,
    gate: Arc<RwLock<()>>,
    asides: Mutex<JoinSet<io::Result<()>>>,
}

/// One request, and what is done to it.
pub struct Turn {
    /// Its number, counted from 1 in the order in which the heads came.
    pub number: u64,
    /// What is done to it.
    pub misdeeds: Misdeeds,
    /// What it shares with others.
    pub shared: Arc<Shared>,
}

/// Others may be under way beside it, or none.
pub(crate) enum Pass {
    Beside { _guard: OwnedRwLockReadGuard<()> },
    Alone { _guard: OwnedRwLockWriteGuard<()> },
}

impl Shared {
    pub(crate) fn new(settings: Settings) -> Self {
        Self {
            plan: settings.plan.clone(),
            memory: Memory::default(),
            link: Link::new(settings.shape),
            settings,
            count: AtomicU64::new(0),
            answered: Notify::new(),
            gate: Arc::default(),
            asides: Mutex::default(),
        }
    }

    pub(crate) fn asides(&self) -> MutexGuard<'_, JoinSet<io::Result<()>>> {
        self.asides.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a request after a pause, whose answer nobody waits for.
    pub(crate) fn send_aside(&self, request: Whole, pause: Duration) {
        let mut asides = self.asides();
        while asides.try_join_next().is_some() {}
        asides.spawn(async move {
            sleep(pause).await;
            request.send_aside().await
        });
    }

    pub(crate) fn begin(self: &Arc<Self>, head: &Head) -> Turn {
        let number = self.count.fetch_add(1, Ordering::SeqCst) + 1;
        let turn = Turn {
            number,
            misdeeds: self.plan.misdeeds(number),
            shared: self.clone(),
        };
        for kind in turn.misdeeds.kinds() {
            turn.note(kind, &head.start);
        }
        turn
    }
}

impl Turn {
    /// Tells what is done.
    pub fn note(&self, kind: Kind, detail: &str) {
        (self.shared.settings.log)(&format!("request {}: {kind}: {detail}", self.number));
    }

    /// The silence of an answer that is borne.
    pub fn patience(&self) -> Duration {
        match self.misdeeds.has(Kind::IdleOut) {
            true => self.shared.settings.idle,
            false => Duration::from_secs(24 * 3600),
        }
    }

    pub(crate) fn release_due(&self, head: &Head) {
        let due = self
            .shared
            .memory
            .due(self.number, request::is_log_in(head));
        for request in due {
            self.note(
                Kind::HoldBack,
                &format!("{} is sent now", request.head.start),
            );
            self.shared.send_aside(request, Duration::ZERO);
        }
    }

    pub(crate) async fn pass(&self) -> Pass {
        let gate = self.shared.gate.clone();
        match self.misdeeds.has(Kind::OneAtATime) {
            true => Pass::Alone {
                _guard: gate.write_owned().await,
            },
            false => Pass::Beside {
                _guard: gate.read_owned().await,
            },
        }
    }

    /// Waits as long as it is delayed.
    pub(crate) async fn wait(&self) {
        let longest = self.shared.settings.delay;
        if let Some(mut dice) = self.misdeeds.dice(Kind::Delay) {
            let longest = u64::try_from(longest.as_millis()).unwrap_or(u64::MAX);
            sleep(Duration::from_millis(dice.below(longest))).await;
        }
        if self.misdeeds.has(Kind::Reorder) {
            let _ = timeout(longest, self.shared.answered.notified()).await;
        }
    }

    /// The status of the page it gets instead of being sent on.
    pub(crate) fn refusal(&self, head: &Head, framing: Framing) -> Option<u16> {
        let has = |kind| self.misdeeds.has(kind);
        match framing {
            _ if self.wants_log_in(head) => Some(407),
            _ if head.word(0) == "CONNECT" => Some(405),
            _ if self.shared.settings.portal.is_some() => self.shared.settings.portal,
            Framing::Chunked if has(Kind::NoChunked) || has(Kind::Http10) => Some(411),
            Framing::Length(length)
                if has(Kind::Ceiling) && length > self.shared.settings.ceiling =>
            {
                Some(413)
            }
            _ => None,
        }
    }

    fn wants_log_in(&self, head: &Head) -> bool {
        let given = head.value("Proxy-Authorization").unwrap_or_default();
        !self.shared.settings.log_in.is_empty() && !given.starts_with("Basic ")
    }

    /// The page of a refusal.
    pub(crate) fn page(&self, status: u16) -> (Head, Vec<u8>) {
        let (mut head, body) = page(status);
        if status == 407 {
            let ways = self.shared.settings.log_in.iter();
            let lines = ways.map(|way| ("Proxy-Authenticate".to_owned(), way.clone()));
            head.lines.extend(lines);
        }
        if (300..400).contains(&status) {
            head.set("Location", "http://portal.example/");
        }
        (head, body)
    }

    pub(crate) fn wants_whole(&self, framing: Framing) -> bool {
        matches!(framing, Framing::Length(..=SHORT))
            || self.misdeeds.kinds().any(Kind::needs_whole_request)
    }
}
