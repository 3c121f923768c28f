//! Which acts were carried out, and the channels that they opened, user by user: the same act with the
//! same id is carried out once, and an id is used for good.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use remo_protocol::{name::UserName, remo2::session_id::SessionId};
use tokio::time::Instant;

use super::{Channel, Connect, Deed, Refused, Start, connection, process};
use crate::{exec::Living, limits::Limits};

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
    limits: Arc<Limits>,
    living: Arc<Living>,
    users: Mutex<HashMap<UserName, Arc<Mutex<Acts>>>>,
}

#[derive(Default)]
pub(super) struct Acts {
    pub(super) known: HashMap<ActId, Act>,
    pub(super) order: VecDeque<ActId>,
    open: HashMap<ActId, Arc<Channel>>,
    pub(super) deeds: HashMap<ActId, Arc<Deed>>,
}

pub(super) struct Act {
    pub(super) verb: &'static str,
    pub(super) outcome: Outcome,
}

/// What an act came to. Small, since many are remembered.
pub(super) enum Outcome {
    Open,
    Refused(Box<Refused>),
    /// A deed, by the digest of what it was about.
    Done(u128, Result<u64, Box<Refused>>),
    Gone,
}

impl Registry {
    pub(crate) fn new(limits: Arc<Limits>, living: Arc<Living>) -> Self {
        Self {
            limits,
            living,
            users: Mutex::default(),
        }
    }

    /// The channel of a process that an act opens, or opened when it came before.
    ///
    /// # Errors
    /// What starting it refused, now or then; `id_used`, `gone`, `too_many`.
    pub(crate) fn open(
        &self,
        user: &UserName,
        id: ActId,
        verb: &'static str,
        start: &Start,
        input: Option<Vec<u8>>,
        session: &SessionId,
    ) -> Result<Arc<Channel>, Refused> {
        self.once(user, id, verb, || {
            let window = self.limits.window;
            process::open(verb, start, input, session.clone(), window, &self.living)
        })
    }

    /// The channel of a connection that an act opens, or opened when it came before; it is connected.
    ///
    /// # Errors
    /// `forbidden` where this server forwards nothing; `connect`; `id_used`, `gone`, `too_many`.
    pub(crate) async fn connect(
        &self,
        user: &UserName,
        id: ActId,
        connect: &Connect,
        session: &SessionId,
    ) -> Result<Arc<Channel>, Refused> {
        let channel = self.once(user, id, "fwd", || {
            if !self.limits.forward {
                return Err(Refused::new(
                    403,
                    "forbidden",
                    "this server forwards no ports (whoever runs it switched that off)",
                ));
            }
            let (window, counted) = (self.limits.window, self.living.count());
            Ok(connection::open(connect, session.clone(), window, counted))
        })?;
        if let Err(refused) = channel.opened().await {
            lock(&self.acts(user)).forget(id);
            return Err(refused);
        }
        Ok(channel)
    }

    /// Carries an act out the first time, and answers it again after that.
    fn once(
        &self,
        user: &UserName,
        id: ActId,
        verb: &'static str,
        begin: impl FnOnce() -> Result<Arc<Channel>, Refused>,
    ) -> Result<Arc<Channel>, Refused> {
        let acts = self.acts(user);
        let mut acts = lock(&acts);
        if let Some(act) = acts.known.get(&id) {
            act.has_verb(verb)?;
            return acts.opened(id);
        }
        self.has_room(&mut acts)?;
        let opened = begin();
        // What is no act uses no id.
        if !matches!(&opened, Err(refused) if refused.name == "bad_request") {
            acts.remember(id, verb, &opened);
        }
        opened
    }

    fn has_room(&self, acts: &mut Acts) -> Result<(), Refused> {
        let too_many = |message| Err(Refused::new(503, "too_many", message));
        // What is open is known for as long as it is.
        let (most, in_all) = (
            self.limits.channels_a_user.min(IDS / 2),
            self.limits.channels,
        );
        if acts.open.len() >= most {
            acts.forget_where(|channel| channel.refusal().is_some());
        }
        if acts.open.len() >= most {
            acts.forget_oldest();
        }
        if acts.open.len() >= most {
            return too_many(format!("{most} channels are open (end some of them)"));
        }
        if self.living.number() >= in_all {
            return too_many(format!(
                "{in_all} processes and connections are there for all users"
            ));
        }
        Ok(())
    }

    /// The channel of an act that was carried out.
    ///
    /// # Errors
    /// `not_found`, `gone`.
    pub(crate) fn find(&self, user: &UserName, id: ActId) -> Result<Arc<Channel>, Refused> {
        let acts = self.acts(user);
        lock(&acts).opened(id)
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
        let channels = ids.iter().filter_map(|id| acts.open.get(id));
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
        let open = acts
            .open
            .iter()
            .filter(|(_, channel)| channel.refusal().is_none());
        open.map(|(id, channel)| (*id, channel.clone())).collect()
    }

    /// Forgets what nobody has asked for long enough.
    pub(crate) fn sweep(&self) {
        let now = Instant::now();
        for acts in self.all() {
            let mut acts = lock(&acts);
            for id in acts.forget_where(|channel| channel.is_stale(now)) {
                tracing::info!(%id, "channel forgotten: nobody asked for it");
            }
        }
    }

    /// Lets the answers that wait for something end: the server stops.
    pub(crate) fn stop_answers(&self) {
        for acts in self.all() {
            lock(&acts)
                .open
                .values()
                .for_each(|channel| channel.stop_answers());
        }
    }

    /// Hangs all of them up.
    pub(crate) fn end_all(&self) {
        for acts in self.all() {
            lock(&acts).forget_where(|_| true);
        }
    }

    fn all(&self) -> Vec<Arc<Mutex<Acts>>> {
        lock(&self.users).values().cloned().collect()
    }

    pub(super) fn acts(&self, user: &UserName) -> Arc<Mutex<Acts>> {
        lock(&self.users).entry(user.clone()).or_default().clone()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.end_all();
    }
}

impl Act {
    pub(super) fn has_verb(&self, verb: &'static str) -> Result<(), Refused> {
        if verb == self.verb {
            Ok(())
        } else {
            let message = format!("the id was used by /{}", self.verb);
            Err(Refused::new(409, "id_used", message))
        }
    }
}

impl Acts {
    /// What an act opened.
    fn opened(&self, id: ActId) -> Result<Arc<Channel>, Refused> {
        let Some(act) = self.known.get(&id) else {
            return Err(Refused::new(
                404,
                "not_found",
                "there is no channel of this id",
            ));
        };
        if let Outcome::Refused(refused) = &act.outcome {
            return Err((**refused).clone());
        }
        let channel = self.open.get(&id).ok_or_else(Refused::gone)?;
        channel.refusal().map_or_else(|| Ok(channel.clone()), Err)
    }

    fn remember(&mut self, id: ActId, verb: &'static str, opened: &Result<Arc<Channel>, Refused>) {
        let outcome = match opened {
            Ok(channel) => {
                self.open.insert(id, channel.clone());
                Outcome::Open
            }
            Err(refused) => Outcome::Refused(Box::new(refused.clone())),
        };
        self.know(id, Act { verb, outcome });
    }

    /// Keeps an act in mind, and as many before it as there is room for.
    pub(super) fn know(&mut self, id: ActId, act: Act) {
        self.known.insert(id, act);
        self.order.push_back(id);
        while self.order.len() > IDS {
            let Some(oldest) = self.order.pop_front() else {
                return;
            };
            if self.open.contains_key(&oldest) || self.deeds.contains_key(&oldest) {
                // What is open is known as long as it is.
                self.order.push_back(oldest);
            } else {
                self.known.remove(&oldest);
            }
        }
    }

    /// Ends what an act opened; that it was carried out stays known, and what refused it.
    fn forget(&mut self, id: ActId) {
        let Some(channel) = self.open.remove(&id) else {
            return;
        };
        if let Some(act) = self.known.get_mut(&id) {
            act.outcome = match channel.refusal() {
                Some(refused) => Outcome::Refused(Box::new(refused)),
                None => Outcome::Gone,
            };
        }
        channel.forget();
    }

    /// Makes room: of what has told its end, the one that nobody has asked for the longest goes.
    fn forget_oldest(&mut self) {
        let over = self.open.iter();
        let over = over.filter_map(|(id, channel)| Some((channel.over_since()?, *id)));
        if let Some((_, id)) = over.min_by_key(|(since, _)| *since) {
            self.forget(id);
        }
    }

    fn forget_where(&mut self, wanted: impl Fn(&Channel) -> bool) -> Vec<ActId> {
        let fits = self.open.iter().filter(|(_, channel)| wanted(channel));
        let ids: Vec<_> = fits.map(|(id, _)| *id).collect();
        ids.iter().for_each(|id| self.forget(*id));
        ids
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ids of one user that are known.
const IDS: usize = 65_536;
