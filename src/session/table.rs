//! All sessions of a server: found by cookie, bounded in number, ended when they are silent too long.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use remo_protocol::{dialect::Dialect, fernet::FernetKey, name::UserName};
use tokio::time::Instant;

use super::{Login, SessionId};
use crate::limits::Limits;

/// The sessions of a server.
pub(crate) struct Sessions {
    limits: Arc<Limits>,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    logins: HashMap<SessionId, Arc<Login>>,
    /// Ids that were given out before a log-in, and when they were last seen.
    visitors: HashMap<SessionId, Instant>,
}

/// There are as many sessions as there may be, or no random bytes for one more.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Full;

impl Sessions {
    pub(crate) fn new(limits: Arc<Limits>) -> Self {
        Self {
            limits,
            kept: Mutex::default(),
        }
    }

    /// The log-ins among the ids that a request brought, in their order.
    pub(crate) fn logins(&self, ids: &[SessionId]) -> Vec<Arc<Login>> {
        let kept = self.lock();
        ids.iter()
            .filter_map(|id| kept.logins.get(id).cloned())
            .collect()
    }

    /// The id of a request without a log-in: the first that is known, else a new one.
    ///
    /// # Errors
    /// Where a new one is wanted and the system gives no random bytes.
    pub(crate) fn visit(&self, ids: &[SessionId]) -> Result<SessionId, getrandom::Error> {
        let mut kept = self.lock();
        let known = ids.iter().find(|&id| kept.visitors.contains_key(id));
        let id = known.cloned().map_or_else(SessionId::draw, Ok)?;
        kept.admit_visitor(id.clone(), self.limits.sessions_unauthenticated);
        Ok(id)
    }

    /// A new session for a user who just logged in. It gets an id of its own, whatever the request
    /// brought, so that nobody can choose it. An idle session of the same user among `replaced` ends, and
    /// its interactive command goes on in the new one: so a client may log in anew in the middle.
    ///
    /// # Errors
    /// [`Full`].
    pub(crate) fn log_in(
        &self,
        user: UserName,
        key: FernetKey,
        floor: Dialect,
        replaced: &[SessionId],
    ) -> Result<Arc<Login>, Full> {
        let id = SessionId::draw().map_err(|_| Full)?;
        let login = Login::new(id.clone(), user, key, floor).map_err(|_| Full)?;
        let login = Arc::new(login);
        let ended = {
            let mut kept = self.lock();
            let ended = kept.make_room(&login.user, replaced, &self.limits)?;
            kept.logins.insert(id, login.clone());
            ended
        };
        for old in ended {
            if replaced.contains(&old.id) {
                login.interactive.take_over(&old.interactive);
            }
            old.end();
        }
        Ok(login)
    }

    /// Takes the key from a session: what remains of it is its id.
    pub(crate) fn log_out(&self, login: &Login) {
        {
            let mut kept = self.lock();
            kept.logins.remove(&login.id);
            kept.admit_visitor(login.id.clone(), self.limits.sessions_unauthenticated);
        }
        login.end();
    }

    /// From now on no session of this user that speaks nothing yet will speak less.
    pub(crate) fn raise_floor(&self, user: &UserName, to: Dialect) {
        self.lock()
            .logins
            .values()
            .filter(|login| login.user == *user)
            .for_each(|login| login.raise_floor(to));
    }

    /// Ends the sessions that were silent for too long.
    pub(crate) fn sweep(&self) {
        let now = Instant::now();
        let time = self.limits.session_time;
        let old =
            |since: Option<Instant>| since.is_some_and(|since| now.duration_since(since) > time);
        let mut ended = Vec::new();
        {
            let mut kept = self.lock();
            kept.visitors.retain(|_, since| !old(Some(*since)));
            kept.logins.retain(|_, login| {
                let stays = !old(login.silent_since());
                if !stays {
                    ended.push(login.clone());
                }
                stays
            });
        }
        for login in ended {
            tracing::info!(user = login.user.as_str(), "session ended: silent too long");
            login.end();
        }
    }

    /// Ends them all.
    pub(crate) fn end_all(&self) {
        let kept = std::mem::take(&mut *self.lock());
        kept.logins.values().for_each(|login| login.end());
    }

    /// How many are logged in to.
    pub(crate) fn count(&self) -> usize {
        self.lock().logins.len()
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn admit_visitor(&mut self, id: SessionId, most: usize) {
        if self.visitors.len() >= most.max(1) && !self.visitors.contains_key(&id) {
            let oldest = self
                .visitors
                .iter()
                .min_by_key(|(_, since)| **since)
                .map(|(id, _)| id.clone());
            oldest.map(|id| self.visitors.remove(&id));
        }
        self.visitors.insert(id, Instant::now());
    }

    /// Takes out the sessions that end by a log-in of `user`.
    fn make_room(
        &mut self,
        user: &UserName,
        replaced: &[SessionId],
        limits: &Limits,
    ) -> Result<Vec<Arc<Login>>, Full> {
        let mut ended: Vec<_> = replaced
            .iter()
            .filter(|id| self.is_idle_of(id, user))
            .cloned()
            .collect();
        ended.dedup();
        let theirs = self
            .logins
            .values()
            .filter(|login| login.user == *user && !ended.contains(&login.id));
        if theirs.clone().count() >= limits.sessions_a_user {
            let silent = theirs.filter_map(|login| Some((login.silent_since()?, login.id.clone())));
            ended.push(silent.min_by_key(|(since, _)| *since).ok_or(Full)?.1);
        }
        if self.logins.len() - ended.len().min(self.logins.len()) >= limits.sessions {
            return Err(Full);
        }
        Ok(ended
            .iter()
            .filter_map(|id| self.logins.remove(id))
            .collect())
    }

    fn is_idle_of(&self, id: &SessionId, user: &UserName) -> bool {
        self.logins
            .get(id)
            .is_some_and(|login| login.user == *user && login.silent_since().is_some())
    }
}
