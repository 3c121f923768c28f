//! A session that someone logged in to: who, and the turns that its requests take.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use remo_protocol::{
    dialect::Dialect, fernet::FernetKey, name::UserName, refusal::Refusal, session::Session,
};
use tokio::{sync::OwnedMutexGuard, time::Instant};

use super::SessionId;
use crate::exec::Slot;

/// A session with a key.
pub(crate) struct Login {
    pub(crate) id: SessionId,
    pub(crate) user: UserName,
    key: FernetKey,
    pub(crate) interactive: Arc<Slot>,
    /// The lowest dialect that it may speak; it rises with the user's.
    floor: Mutex<Dialect>,
    memory: Arc<tokio::sync::Mutex<Session>>,
    waiting: AtomicUsize,
    active: AtomicUsize,
    touched: Mutex<Instant>,
    ended: AtomicBool,
}

/// A session's one request at a time: holds the session's memory, and keeps it from growing old.
pub(crate) struct Turn {
    pub(crate) memory: OwnedMutexGuard<Session>,
    _present: Presence,
}

impl Login {
    /// A session that a user just logged in to.
    ///
    /// # Errors
    /// Where the system gives no random bytes.
    pub(crate) fn new(
        id: SessionId,
        user: UserName,
        key: FernetKey,
        floor: Dialect,
    ) -> Result<Self, Refusal> {
        let memory = Session::new(key.clone())?;
        Ok(Self {
            id,
            user,
            key,
            interactive: Arc::default(),
            floor: Mutex::new(floor),
            memory: Arc::new(tokio::sync::Mutex::new(memory)),
            waiting: AtomicUsize::new(0),
            active: AtomicUsize::new(0),
            touched: Mutex::new(Instant::now()),
            ended: AtomicBool::new(false),
        })
    }

    /// Waits until the requests before this one are answered; `None` where `most` are waiting already.
    pub(crate) async fn turn(self: Arc<Self>, most: usize) -> Option<Turn> {
        let _waiting = Counted::below(&self.waiting, most)?;
        let present = Presence::of(self.clone());
        let memory = self.memory.clone().lock_owned().await;
        Some(Turn {
            memory,
            _present: present,
        })
    }

    /// Whether a token is of this session.
    pub(crate) fn sealed(&self, token: &[u8]) -> bool {
        self.key.open(token).is_ok()
    }

    pub(crate) fn floor(&self) -> Dialect {
        *self.floor.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn raise_floor(&self, to: Dialect) {
        let mut floor = self.floor.lock().unwrap_or_else(PoisonError::into_inner);
        *floor = to.max(*floor);
    }

    /// When a request last began or ended; `None` while one is under way.
    pub(crate) fn silent_since(&self) -> Option<Instant> {
        let idle = self.active.load(Ordering::Relaxed) == 0;
        idle.then(|| *self.touched.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Ends the session: no request begins in it any more, and its interactive command ends.
    pub(crate) fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
        self.interactive.close();
    }

    pub(crate) fn is_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }
}

/// A request that is waiting or under way, during which the session does not grow old.
struct Presence(Arc<Login>);

impl Presence {
    fn of(login: Arc<Login>) -> Self {
        login.active.fetch_add(1, Ordering::Relaxed);
        Self(login)
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        *self
            .0
            .touched
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Instant::now();
        self.0.active.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One of a bounded number.
struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    fn below(count: &'a AtomicUsize, most: usize) -> Option<Self> {
        let counted = Self(count);
        (count.fetch_add(1, Ordering::Relaxed) < most).then_some(counted)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
