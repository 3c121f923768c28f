//! Which acts were carried out, and the channels that they opened, user by user: the same act with the
//! same id is carried out once, and an id is used for good.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use remo_protocol::{name::UserName, remo2::session_id::SessionId};
use tokio::time::Instant;

use super::{Channel, Refused, Start};
use crate::exec::Living;

/// The name of one act: 32 hex digits that a client drew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ActId(u128);

impl ActId {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let sound = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        sound
            .then(|| u128::from_str_radix(text, 16).ok())
            .flatten()
            .map(Self)
    }
}

impl fmt::Display for ActId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// All that users have done and have running.
pub(crate) struct Registry {
    living: Arc<Living>,
    users: Mutex<HashMap<UserName, Arc<Mutex<Acts>>>>,
}

#[derive(Default)]
struct Acts {
    known: HashMap<ActId, Act>,
    order: VecDeque<ActId>,
}

struct Act {
    verb: &'static str,
    outcome: Outcome,
}

enum Outcome {
    Channel(Arc<Channel>),
    Refused(Refused),
    Gone,
}

impl Registry {
    pub(crate) fn new(living: Arc<Living>) -> Self {
        Self {
            living,
            users: Mutex::default(),
        }
    }

    /// The channel that an act opens, or opened when it came before.
    ///
    /// # Errors
    /// What starting it refused, now or then; `id_used`, `gone`.
    pub(crate) fn open(
        &self,
        user: &UserName,
        id: ActId,
        verb: &'static str,
        start: &Start,
        input: Option<Vec<u8>>,
        session: &SessionId,
    ) -> Result<Arc<Channel>, Refused> {
        let acts = self.acts(user);
        let mut acts = lock(&acts);
        if let Some(act) = acts.known.get(&id) {
            return act.again(verb);
        }
        if acts.channels().count() >= CHANNELS {
            return Err(Refused::new(
                503,
                "too_many",
                format!("{CHANNELS} channels are open (end some of them)"),
            ));
        }
        if self.living.groups() >= PROCESSES {
            return Err(Refused::new(
                503,
                "too_many",
                format!("{PROCESSES} processes run for all users"),
            ));
        }
        let opened = Channel::start(verb, start, input, session.clone(), &self.living);
        let outcome = match &opened {
            Ok(channel) => Outcome::Channel(channel.clone()),
            // What is no act uses no id.
            Err(refused) if refused.name == "bad_request" => return opened,
            Err(refused) => Outcome::Refused(refused.clone()),
        };
        acts.remember(id, Act { verb, outcome });
        opened
    }

    /// The channel of an act that was carried out.
    ///
    /// # Errors
    /// `not_found`, `gone`.
    pub(crate) fn find(&self, user: &UserName, id: ActId) -> Result<Arc<Channel>, Refused> {
        let acts = self.acts(user);
        let acts = lock(&acts);
        match acts.known.get(&id).map(|act| &act.outcome) {
            Some(Outcome::Channel(channel)) => Ok(channel.clone()),
            Some(Outcome::Refused(refused)) => Err(refused.clone()),
            Some(Outcome::Gone) => Err(gone()),
            None => Err(Refused::new(
                404,
                "not_found",
                "there is no channel of this id",
            )),
        }
    }

    /// What these opened is no longer wanted.
    ///
    /// # Errors
    /// `not_attached` where another session is attached to one of them: then all of them stay.
    pub(crate) fn done(
        &self,
        user: &UserName,
        ids: &[ActId],
        session: &SessionId,
    ) -> Result<(), Refused> {
        let acts = self.acts(user);
        let mut acts = lock(&acts);
        let channels = ids.iter().filter_map(|id| acts.channel(*id));
        if channels
            .clone()
            .any(|channel| !channel.is_attached(session))
        {
            return Err(Refused::new(
                409,
                "not_attached",
                "another session is attached to a channel that is done",
            ));
        }
        for id in ids {
            acts.forget(*id);
        }
        Ok(())
    }

    /// The channels of a user.
    pub(crate) fn list(&self, user: &UserName) -> Vec<(ActId, Arc<Channel>)> {
        let acts = self.acts(user);
        let acts = lock(&acts);
        acts.channels()
            .map(|(id, channel)| (id, channel.clone()))
            .collect()
    }

    /// Forgets what nobody has asked for long enough.
    pub(crate) fn sweep(&self) {
        let now = Instant::now();
        for acts in self.all() {
            let mut acts = lock(&acts);
            let stale: Vec<_> = acts
                .channels()
                .filter(|(_, channel)| channel.is_stale(now))
                .map(|(id, _)| id)
                .collect();
            for id in stale {
                tracing::info!(%id, "channel forgotten: nobody asked for it");
                acts.forget(id);
            }
        }
    }

    /// Lets the answers that wait for something end: the server stops.
    pub(crate) fn stop_answers(&self) {
        for acts in self.all() {
            lock(&acts)
                .channels()
                .for_each(|(_, channel)| channel.stop_answers());
        }
    }

    /// Hangs all of them up.
    pub(crate) fn end_all(&self) {
        for acts in self.all() {
            let mut acts = lock(&acts);
            let ids: Vec<_> = acts.channels().map(|(id, _)| id).collect();
            ids.into_iter().for_each(|id| acts.forget(id));
        }
    }

    fn all(&self) -> Vec<Arc<Mutex<Acts>>> {
        lock(&self.users).values().cloned().collect()
    }

    fn acts(&self, user: &UserName) -> Arc<Mutex<Acts>> {
        lock(&self.users).entry(user.clone()).or_default().clone()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.end_all();
    }
}

impl Act {
    fn again(&self, verb: &'static str) -> Result<Arc<Channel>, Refused> {
        if verb != self.verb {
            return Err(Refused::new(
                409,
                "id_used",
                format!("the id was used by /{}", self.verb),
            ));
        }
        match &self.outcome {
            Outcome::Channel(channel) => Ok(channel.clone()),
            Outcome::Refused(refused) => Err(refused.clone()),
            Outcome::Gone => Err(gone()),
        }
    }
}

impl Acts {
    fn channel(&self, id: ActId) -> Option<Arc<Channel>> {
        match self.known.get(&id).map(|act| &act.outcome) {
            Some(Outcome::Channel(channel)) => Some(channel.clone()),
            _ => None,
        }
    }

    fn channels(&self) -> impl Iterator<Item = (ActId, &Arc<Channel>)> {
        self.known
            .iter()
            .filter_map(|(id, act)| match &act.outcome {
                Outcome::Channel(channel) => Some((*id, channel)),
                _ => None,
            })
    }

    fn remember(&mut self, id: ActId, act: Act) {
        self.known.insert(id, act);
        self.order.push_back(id);
        while self.order.len() > IDS {
            let Some(oldest) = self.order.pop_front() else {
                return;
            };
            if self.channel(oldest).is_some() {
                // What is open is known as long as it is.
                self.order.push_back(oldest);
            } else {
                self.known.remove(&oldest);
            }
        }
    }

    /// Ends what an act opened; that it was carried out stays known.
    fn forget(&mut self, id: ActId) {
        if let Some(act) = self.known.get_mut(&id)
            && let Outcome::Channel(channel) = std::mem::replace(&mut act.outcome, Outcome::Gone)
        {
            channel.forget();
        }
    }
}

fn gone() -> Refused {
    Refused::new(
        410,
        "gone",
        "what this id opened is no longer there, and is not opened again",
    )
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Channels of one user.
const CHANNELS: usize = 1024;

/// Processes of all users, those of the older dialects included.
const PROCESSES: usize = 8192;

/// Ids of one user that are known.
const IDS: usize = 65_536;
