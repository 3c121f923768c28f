//! The uploads that are under way, those whose files are open and those that are only written down.

use std::{
    collections::HashMap,
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use remo_protocol::name::UserName;
use tokio::sync::Mutex as Turn;

use super::{
    acts::blocking,
    records::Records,
    refusal::refused,
    upload::{self, Upload},
};
use crate::channels::{ActId, Refused};

type Key = (UserName, ActId);

/// An upload, or the place of one that is being opened.
type Slot = Arc<Turn<Option<Arc<Upload>>>>;

/// All uploads that are not done.
pub(crate) struct Uploads {
    records: Option<Arc<Records>>,
    open: Mutex<HashMap<Key, Slot>>,
    umask: u32,
    born: Instant,
    /// Milliseconds since `born` at which records are looked through.
    next_sweep: AtomicU64,
}

impl Uploads {
    pub(crate) fn new(state: Option<&Path>) -> Self {
        Self {
            records: state.map(|state| Arc::new(Records::new(state))),
            open: Mutex::default(),
            umask: umask(),
            born: Instant::now(),
            next_sweep: AtomicU64::new(0),
        }
    }

    /// What is taken off the mode of a new file.
    pub(crate) fn umask(&self) -> u32 {
        self.umask
    }

    /// The upload of this id, its files open.
    pub(crate) async fn open(
        &self,
        user: &UserName,
        id: ActId,
        path: &Path,
    ) -> Result<Arc<Upload>, Refused> {
        let key = (user.clone(), id);
        let slot = self.slot(&key)?;
        let mut place = slot.lock().await;
        if let Some(upload) = &*place {
            return Ok(upload.clone());
        }
        let (records, (user, id), path) = (self.records.clone(), key.clone(), path.to_owned());
        let opened =
            blocking(move || Upload::open(records.as_deref(), &user, id, &path).map(Arc::new))
                .await;
        match &opened {
            Ok(upload) => *place = Some(upload.clone()),
            // Unless others wait to open it: they share the slot.
            Err(_) if Arc::strong_count(&slot) <= 2 => drop(self.lock().remove(&key)),
            Err(_) => {}
        }
        opened
    }

    fn slot(&self, key: &Key) -> Result<Slot, Refused> {
        let mut open = self.lock();
        if !open.contains_key(key) && open.len() >= OPEN {
            let idle = open
                .iter()
                .filter_map(|(key, slot)| Some((self.idle(slot)?, key)));
            let longest = idle
                .min_by_key(|(used, _)| *used)
                .map(|(_, key)| key.clone());
            let Some(longest) = longest else {
                return Err(Refused::new(
                    503,
                    "too_many",
                    format!("{OPEN} uploads are under way for all users (try again later)"),
                ));
            };
            open.remove(&longest);
        }
        Ok(open.entry(key.clone()).or_default().clone())
    }

    /// How far an upload is whose files are open.
    pub(crate) async fn received(&self, user: &UserName, id: ActId) -> Option<u64> {
        let slot = self.lock().get(&(user.clone(), id)).cloned()?;
        let place = slot.lock().await;
        place.as_ref().map(|upload| upload.received())
    }

    /// An upload is over.
    pub(crate) fn close(&self, user: &UserName, id: ActId) {
        self.lock().remove(&(user.clone(), id));
    }

    /// Ends an upload, if there is one, and leaves nothing of it.
    pub(crate) async fn abandon(&self, user: &UserName, id: ActId) {
        let slot = self.lock().remove(&(user.clone(), id));
        let upload = match slot {
            Some(slot) => slot.lock().await.take(),
            None => None,
        };
        let (records, user) = (self.records.clone(), user.clone());
        let ended = blocking(move || match (upload, records) {
            (Some(upload), _) => {
                upload.abandon();
                Ok(())
            }
            (None, Some(records)) => match records.find(&user, id) {
                Ok(Some(record)) => {
                    upload::sweep(id, &record)?;
                    record
                        .remove()
                        .map_err(|error| refused("forget", &record.path, &error))
                }
                _ => Ok(()),
            },
            (None, None) => Ok(()),
        });
        if let Err(error) = ended.await {
            tracing::warn!(
                error = error.message,
                "an unfinished upload cannot be removed"
            );
        }
    }

    /// Closes the files of those that have been idle for a while.
    pub(crate) fn let_go(&self) {
        self.lock()
            .retain(|_, slot| self.idle(slot).is_none_or(|used| used.elapsed() < IDLE));
    }

    /// Closes the files of all, and ends those that are not written down: the server stops.
    pub(crate) fn let_all_go(&self) {
        self.lock().clear();
    }

    /// Whether it is an hour since the last time.
    pub(crate) fn is_time_to_sweep(&self) -> bool {
        let now = u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX);
        let next = self.next_sweep.load(Ordering::Relaxed);
        let hour = u64::try_from(SWEEP.as_millis()).unwrap_or(u64::MAX);
        now >= next
            && self
                .next_sweep
                .compare_exchange(
                    next,
                    now.saturating_add(hour),
                    Ordering::Relaxed,
                    Ordering::Relaxed,
                )
                .is_ok()
    }

    /// Removes those that nobody has gone on with for a week; gives whose they were.
    pub(crate) fn sweep(&self) -> Vec<Key> {
        let Some(records) = &self.records else {
            return Vec::new();
        };
        let stale = records.stale(STALE).unwrap_or_else(|error| {
            tracing::error!(%error, "unfinished uploads cannot be looked through");
            Vec::new()
        });
        let mut swept = Vec::new();
        for (id, user, record) in stale {
            if self.lock().contains_key(&(user.clone(), id)) {
                continue;
            }
            let removed = upload::sweep(id, &record)
                .map_err(|refused| refused.message)
                .and_then(|()| record.remove().map_err(|error| error.to_string()));
            match removed {
                Ok(()) => {
                    tracing::info!(%id, "an unfinished upload of a week ago was removed");
                    swept.push((user, id));
                }
                Err(error) => tracing::warn!(%id, error, "an unfinished upload cannot be removed"),
            }
        }
        swept
    }

    /// Since when nobody works on an upload that can be let go; of one that could not be opened, for ever.
    fn idle(&self, slot: &Slot) -> Option<Instant> {
        if Arc::strong_count(slot) > 1 {
            return None;
        }
        let place = slot.try_lock().ok()?;
        let Some(upload) = place.as_ref() else {
            return Some(self.born);
        };
        (Arc::strong_count(upload) == 1 && upload.is_recorded()).then(|| upload.used())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Slot>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The umask of this process, read without changing it.
fn umask() -> u32 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("Umask:"));
    line.and_then(|mask| u32::from_str_radix(mask.trim(), 8).ok())
        .unwrap_or(0o022)
}

/// Uploads of all users whose files are open: each takes three descriptors.
const OPEN: usize = 64;

/// How long the files of an upload stay open without a part.
const IDLE: Duration = Duration::from_secs(60);

/// How often records are looked through.
const SWEEP: Duration = Duration::from_secs(3600);

/// How long an upload may be idle before it is removed.
const STALE: Duration = Duration::from_secs(7 * 24 * 3600);
