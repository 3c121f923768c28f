//! Sessions of remo/2: a table of their own, which nothing unproved ends, renews or changes.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use remo_protocol::{
    fernet::FernetKey,
    limits::REMO2_REQUESTS,
    name::UserName,
    refusal::Refusal,
    remo2::{
        handshake::SessionKeys,
        numbers::Numbers,
        session_id::{Run, SessionId},
    },
};
use tokio::time::Instant;

use super::table::Full;
use crate::limits::Limits;

/// A session of remo/2.
pub(crate) struct Session {
    pub(crate) id: SessionId,
    pub(crate) user: UserName,
    pub(crate) up: FernetKey,
    pub(crate) down: FernetKey,
    pub(crate) numbers: Numbers,
    pub(crate) born: Instant,
    last: Mutex<Instant>,
    /// A request was taken; before that it is half open.
    open: AtomicBool,
    ended: AtomicBool,
}

impl Session {
    /// A request of it was taken. Says whether it was the first.
    pub(crate) fn renew(&self) -> bool {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        !self.open.swap(true, Ordering::Relaxed)
    }

    pub(crate) fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    fn is_half_open(&self) -> bool {
        !self.open.load(Ordering::Relaxed)
    }

    fn last(&self) -> Instant {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_over(&self, now: Instant, silence: Duration) -> bool {
        let last = self.last();
        let silence = if self.is_half_open() {
            HALF_OPEN_TIME
        } else {
            silence
        };
        self.is_ended()
            || now.duration_since(last) > silence
            || now.duration_since(self.born) > LONGEST
            || self.numbers.count() >= REMO2_REQUESTS
    }
}

/// The sessions of remo/2 of a server.
pub(crate) struct Sessions {
    run: OnceLock<Run>,
    limits: Arc<Limits>,
    kept: Mutex<HashMap<SessionId, Arc<Session>>>,
}

impl Sessions {
    pub(crate) fn new(limits: Arc<Limits>) -> Self {
        Self {
            run: OnceLock::new(),
            limits,
            kept: Mutex::default(),
        }
    }

    /// The name of a session that is to be.
    ///
    /// # Errors
    /// [`Refusal::RandomMissing`].
    pub(crate) fn name(&self) -> Result<SessionId, Refusal> {
        if let Some(run) = self.run.get() {
            return run.session();
        }
        let run = Run::draw()?;
        // Of two that come at once, the run has the name that was there first.
        self.run.get_or_init(|| run).session()
    }

    /// The session of this name, if it is not over.
    pub(crate) fn find(&self, id: &SessionId) -> Option<Arc<Session>> {
        let found = self.lock().get(id).cloned()?;
        (!found.is_over(Instant::now(), self.limits.session_time)).then_some(found)
    }

    /// A new session, half open.
    ///
    /// # Errors
    /// [`Full`].
    pub(crate) fn log_in(&self, user: UserName, keys: SessionKeys) -> Result<(), Full> {
        let now = Instant::now();
        let mut kept = self.lock();
        kept.retain(|_, session| !session.is_over(now, self.limits.session_time));
        let half_open: Vec<_> = kept
            .values()
            .filter(|session| session.is_half_open())
            .cloned()
            .collect();
        if half_open.len() >= HALF_OPEN
            && let Some(oldest) = half_open.iter().min_by_key(|session| session.born)
        {
            kept.remove(&oldest.id);
        }
        if kept.len() >= self.limits.sessions {
            return Err(Full);
        }
        let SessionKeys {
            session: id,
            up,
            down,
        } = keys;
        let session = Session {
            id: id.clone(),
            user,
            up,
            down,
            numbers: Numbers::default(),
            born: now,
            last: Mutex::new(now),
            open: AtomicBool::new(false),
            ended: AtomicBool::new(false),
        };
        kept.insert(id, Arc::new(session));
        Ok(())
    }

    /// A session was half open and is no longer. With one too many of a user, the most silent other one goes:
    /// so it takes a proved request to end a session, never a log-in alone.
    pub(crate) fn opened(&self, session: &Session) {
        let mut kept = self.lock();
        let others = kept.values().filter(|other| {
            other.user == session.user && other.id != session.id && !other.is_half_open()
        });
        if others.clone().count() >= self.limits.sessions_a_user
            && let Some(silent) = others.min_by_key(|other| other.last()).cloned()
        {
            silent.end();
            kept.remove(&silent.id);
        }
    }

    /// Ends sessions of a user, by their names.
    pub(crate) fn end(&self, user: &UserName, ids: &[SessionId]) {
        let mut kept = self.lock();
        for id in ids {
            if kept.get(id).is_some_and(|session| session.user == *user)
                && let Some(session) = kept.remove(id)
            {
                session.end();
            }
        }
    }

    /// Drops those that are over.
    pub(crate) fn sweep(&self) {
        let (now, time) = (Instant::now(), self.limits.session_time);
        self.lock().retain(|_, session| {
            let over = session.is_over(now, time);
            if over {
                session.end();
            }
            !over
        });
    }

    /// Ends them all.
    pub(crate) fn end_all(&self) {
        let kept = std::mem::take(&mut *self.lock());
        kept.values().for_each(|session| session.end());
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SessionId, Arc<Session>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sessions that may be half open.
const HALF_OPEN: usize = 1024;

/// How long one may be.
const HALF_OPEN_TIME: Duration = Duration::from_secs(30);

/// How long a session lasts at most.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    fn log_in(sessions: &Sessions) -> SessionId {
        let id = sessions.name().unwrap();
        let keys = SessionKeys {
            session: id.clone(),
            up: FernetKey::from_bytes(&[1; 32]),
            down: FernetKey::from_bytes(&[2; 32]),
        };
        let user = UserName::parse("alice").unwrap();
        assert_eq!(sessions.log_in(user, keys), Ok(()));
        id
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_ends_a_day_after_its_log_in_however_busy_it_is() {
        let sessions = Sessions::new(Arc::default());
        let id = log_in(&sessions);
        for _ in 0..24 * 12 {
            sessions.find(&id).unwrap().renew();
            advance(Duration::from_secs(300)).await;
        }
        let last = sessions.find(&id).unwrap();
        last.renew();
        advance(Duration::from_millis(1)).await;
        assert!(sessions.find(&id).is_none());
        assert!(!last.is_ended(), "what is under way learns of it");
        sessions.sweep();
        assert!(last.is_ended());
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_ends_when_it_is_silent_and_half_open_sooner() {
        let sessions = Sessions::new(Arc::default());
        let (half, whole) = (log_in(&sessions), log_in(&sessions));
        assert!(sessions.find(&whole).unwrap().renew(), "the first request");
        advance(HALF_OPEN_TIME + Duration::from_millis(1)).await;
        assert!(sessions.find(&half).is_none());
        advance(Duration::from_secs(600) - HALF_OPEN_TIME - Duration::from_millis(1)).await;
        assert!(sessions.find(&whole).is_some());
        advance(Duration::from_millis(1)).await;
        assert!(sessions.find(&whole).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_ends_when_it_has_taken_two_to_the_32_requests() {
        let sessions = Sessions::new(Arc::default());
        let id = log_in(&sessions);
        let has_taken = |count| {
            let mut kept = sessions.lock();
            let session = kept.get_mut(&id).and_then(Arc::get_mut).unwrap();
            session.numbers = Numbers::after(count);
        };
        has_taken((1 << 32) - 1);
        assert!(sessions.find(&id).is_some());
        has_taken(1 << 32);
        assert!(sessions.find(&id).is_none());
        sessions.sweep();
        assert!(sessions.lock().is_empty());
    }
}
