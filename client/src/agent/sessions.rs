//! The sessions that an agent holds: which there are, who uses them, and when they are no longer given.
//! Time is an input. Not here: how one logs in, and what is asked in them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use remo_protocol::agent::{KeyFile, Place};
use tokio::sync::{Mutex as Turn, watch};

use super::clock::Moment;
use crate::remo2::live::Live;

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    slots: Mutex<Vec<Slot>>,
    /// Who logs in where: one at a time, so that a hundred callers make one session.
    turns: Mutex<Vec<(Owner, Weak<Turn<()>>)>>,
}

/// Whose session it is, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) file: KeyFile,
    pub(super) place: Place,
}

#[derive(Debug)]
struct Slot {
    owner: Owner,
    live: Arc<Live>,
    server: usize,
    made: Moment,
    used: Moment,
    users: usize,
    alone: bool,
    /// Dropped with the slot, which those who use it notice.
    _over: watch::Sender<()>,
    over: watch::Receiver<()>,
}

/// A session in use. It is given back when this is dropped.
#[derive(Debug)]
pub(super) struct Taken {
    sessions: Arc<Sessions>,
    pub(super) live: Arc<Live>,
    pub(super) server: usize,
    pub(super) made: Moment,
}

impl Sessions {
    /// A session of this owner: one that others use too, or for one caller alone.
    pub(super) fn take(self: &Arc<Self>, owner: &Owner, alone: bool, now: Moment) -> Option<Taken> {
        let mut slots = self.slots();
        slots.retain(|slot| slot.users > 0 || slot.is_fresh(now));
        let fits = |slot: &&mut Slot| {
            slot.owner == *owner && !slot.alone && slot.is_fresh(now) && !(alone && slot.users > 0)
        };
        let slot = slots.iter_mut().find(fits)?;
        slot.users += 1;
        slot.alone = alone;
        slot.used = now;
        Some(slot.taken(self))
    }

    /// Adds a session that was just made, and takes it. Where there is no room the one unused for longest goes; `None` where all are used.
    pub(super) fn add(
        self: &Arc<Self>,
        owner: Owner,
        (live, server): (Live, usize),
        alone: bool,
        now: Moment,
    ) -> Option<Taken> {
        let mut slots = self.slots();
        if slots.len() >= MOST {
            let idle = slots.iter().enumerate().filter(|(_, slot)| slot.users == 0);
            let (oldest, _) = idle.min_by_key(|(_, slot)| slot.used)?;
            slots.remove(oldest);
        }
        let (sender, over) = watch::channel(());
        let slot = Slot {
            owner,
            live: Arc::new(live),
            server,
            made: now,
            used: now,
            users: 1,
            alone,
            _over: sender,
            over,
        };
        let taken = slot.taken(self);
        slots.push(slot);
        Some(taken)
    }

    /// Whose turn it is to log in for this owner.
    pub(super) fn turn(&self, owner: &Owner) -> Arc<Turn<()>> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        turns.retain(|(_, turn)| turn.strong_count() > 0);
        let found = turns.iter().find(|(whose, _)| whose == owner);
        if let Some(turn) = found.and_then(|(_, turn)| turn.upgrade()) {
            return turn;
        }
        let turn = Arc::default();
        turns.push((owner.clone(), Arc::downgrade(&turn)));
        turn
    }

    /// The session of this name, and what ends when it is dropped here.
    pub(super) fn find(
        &self,
        session: &str,
        now: Moment,
    ) -> Option<(Arc<Live>, watch::Receiver<()>)> {
        let mut slots = self.slots();
        let mut all = slots.iter_mut();
        let slot = all.find(|slot| slot.live.session.as_str() == session)?;
        slot.used = now;
        Some((slot.live.clone(), slot.over.clone()))
    }

    /// Drops the sessions of which this holds.
    pub(super) fn drop_where(&self, holds: impl Fn(&Owner, &Live) -> bool) {
        self.slots().retain(|slot| !holds(&slot.owner, &slot.live));
    }

    /// The servers that the key of this file has sessions with.
    pub(super) fn urls(&self, file: &KeyFile) -> Vec<String> {
        let slots = self.slots();
        let ours = slots.iter().filter(|slot| slot.owner.file == *file);
        ours.map(|slot| slot.owner.place.url.clone()).collect()
    }

    fn release(&self, session: &Live, now: Moment) {
        let mut slots = self.slots();
        let mut all = slots.iter_mut();
        if let Some(slot) = all.find(|slot| slot.live.session == session.session) {
            slot.users = slot.users.saturating_sub(1);
            slot.alone &= slot.users > 0;
            slot.used = slot.used.max(now);
        }
    }

    fn slots(&self) -> MutexGuard<'_, Vec<Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slot {
    fn taken(&self, sessions: &Arc<Sessions>) -> Taken {
        Taken {
            sessions: sessions.clone(),
            live: self.live.clone(),
            server: self.server,
            made: self.made,
        }
    }

    /// Whether the server still has it, as far as one can know.
    fn is_fresh(&self, now: Moment) -> bool {
        now.since(self.used) < IDLE && self.is_young(now)
    }

    fn is_young(&self, now: Moment) -> bool {
        now.since(self.made) < OLDEST
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        // It was in use up to now; how long ago that was for the server, its own clock says.
        self.sessions.release(&self.live, self.made);
    }
}

/// Sessions that are held at once.
const MOST: usize = 64;

/// A server ends a session that was silent for 600 s.
const IDLE: Duration = Duration::from_secs(570);

/// And any after 24 h.
const OLDEST: Duration = Duration::from_secs(23 * 3600);
