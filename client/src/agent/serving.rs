//! The agent itself: takes what its user's processes ask, one thing a connection, and answers.
//! What is held is `keyring`'s and `sessions`'s to know.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64_simd::URL_SAFE;
use remo_protocol::agent::{Ask, KeyFile, Kind, Place, Refused, Status, Told, Why, Wrong};
use remo_protocol::keys::{PrivateKey, PublicKey};
use remo_protocol::name::UserName;
use remo_protocol::remo2::handshake;
use remo_protocol::{agent, login};
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Notify, Semaphore};
use zeroize::Zeroizing;

use super::caller::environment;
use super::clock::Moment;
use super::faults;
use super::keyring::{Keyring, refused};
use super::relay::{self, Asked};
use super::sessions::{Owner, Sessions, Taken};
use super::socket::{Listening, is_ours};
use super::wire::{expect, message, tell, wrong};
use crate::address::ServerAddress;
use crate::remo2::Person;
use crate::remo2::failure::{Failure, Fault};
use crate::remo2::live::Live;
use crate::remo2::login::log_in;
use crate::transport::{Transport, Way};

/// What an agent allows.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// For how long a key is held, at most.
    pub time: Duration,
    /// Callers at once.
    pub connections: usize,
    /// Bytes of requests that are under way at once.
    pub memory: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            time: Duration::from_secs(8 * 3600),
            connections: 512,
            memory: 64 << 20,
        }
    }
}

/// What time it is, for whoever asks.
type Clock = dyn Fn() -> Moment + Send + Sync;

/// An agent: all that its connections share.
pub struct Service {
    limits: Limits,
    clock: Box<Clock>,
    keyring: Mutex<Keyring>,
    sessions: Arc<Sessions>,
    environment: Vec<(String, String)>,
    connections: Arc<Semaphore>,
    /// KiB of requests.
    memory: Arc<Semaphore>,
    stop: Notify,
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Service")
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

impl Service {
    /// An agent that holds nothing yet.
    #[must_use]
    pub fn new(limits: Limits) -> Arc<Self> {
        Self::with_clock(limits, Moment::now)
    }

    /// The same by another clock.
    #[must_use]
    pub fn with_clock(
        limits: Limits,
        clock: impl Fn() -> Moment + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            limits,
            clock: Box::new(clock),
            keyring: Mutex::default(),
            sessions: Arc::default(),
            environment: environment(),
            connections: Arc::new(Semaphore::new(limits.connections)),
            memory: Arc::new(Semaphore::new(limits.memory / 1024)),
            stop: Notify::new(),
        })
    }

    /// Serves until somebody asks it to stop, or `ending` is over.
    pub async fn serve(self: Arc<Self>, listening: Listening, ending: impl Future<Output = ()>) {
        let mut ending = pin!(ending);
        let mut sweep = tokio::time::interval(SWEEP);
        loop {
            tokio::select! {
                () = &mut ending => return,
                () = self.stop.notified() => return,
                _ = sweep.tick() => self.sweep(),
                accepted = listening.listener.accept() => match accepted {
                    Ok((stream, _)) => self.clone().receive(stream),
                    // Out of descriptors, most likely: some will come back.
                    Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                },
            }
        }
    }

    /// Erases what is over.
    fn sweep(&self) {
        let mut keyring = self.keyring();
        if keyring.expire((self.clock)()) {
            self.sessions
                .drop_where(|owner, _| !keyring.holds(&owner.file));
        }
    }

    fn receive(self: Arc<Self>, mut stream: UnixStream) {
        // Before a byte is read, and without a word.
        if !is_ours(&stream) {
            return;
        }
        let place = self.connections.clone().try_acquire_owned();
        tokio::spawn(async move {
            let Ok(_place) = place else {
                let full = "the agent has too many callers at once (try again)";
                let full = refused(Why::Full, full.into());
                let _ = tell(&mut stream, &Told::Refused(full)).await;
                return;
            };
            let (mut from, mut to) = stream.into_split();
            if let Err(error) = self.attend(&mut from, &mut to).await
                && error.kind() == io::ErrorKind::InvalidData
            {
                let what = refused(
                    Why::Request,
                    format!("the agent does not understand it: {error}"),
                );
                let _ = tell(&mut to, &Told::Refused(what)).await;
            }
        });
    }

    async fn attend(
        self: &Arc<Self>,
        from: &mut OwnedReadHalf,
        to: &mut OwnedWriteHalf,
    ) -> io::Result<()> {
        let told = match message(from, PATIENCE).await? {
            Ask::Status {} => Ok(self.status()),
            Ask::Add {
                name,
                file,
                seconds,
            } => {
                let pem = expect(from, Kind::Secret, PATIENCE).await?;
                self.add(&pem, file, &name, seconds)
            }
            Ask::Forget { key } => self.forget(&key),
            Ask::ForgetAll {} => Ok(self.forget_all()),
            Ask::Lock {} => {
                let password = expect(from, Kind::Secret, PATIENCE).await?;
                self.clone()
                    .slowly(move |agent| agent.lock(&password))
                    .await
            }
            Ask::Unlock {} => {
                let password = expect(from, Kind::Secret, PATIENCE).await?;
                self.clone()
                    .slowly(move |agent| agent.unlock(&password))
                    .await
            }
            Ask::Stop {} => {
                tell(to, &Told::Done {}).await?;
                self.stop.notify_one();
                return Ok(());
            }
            Ask::Holds { file } => {
                let now = (self.clock)();
                self.keyring().key(&file, now).map(|_| Told::Done {})
            }
            Ask::Sign { file } => {
                let login = expect(from, Kind::Data, PATIENCE).await?;
                self.sign(file, &login)
            }
            Ask::Session { file, place, alone } => {
                let owner = Owner {
                    file,
                    place: *place,
                };
                return self.hold(owner, alone, from, to).await;
            }
            Ask::Lose { session } => {
                self.sessions
                    .drop_where(|_, live| live.session.as_str() == session);
                Ok(Told::Done {})
            }
            Ask::Exchange {
                session,
                verb,
                head,
                fill,
                patience,
                silence,
            } => {
                let asked = Asked {
                    verb,
                    head,
                    filling: super::exchange::filling(fill),
                    patience: Duration::from_millis(patience).min(LONGEST),
                    silence: Duration::from_millis(silence).min(LONGEST),
                };
                let found = self.sessions.find(&session, (self.clock)());
                return relay::carry_out(found, asked, &self.memory, from, to).await;
            }
        };
        tell(to, &told.unwrap_or_else(Told::Refused)).await
    }

    fn status(&self) -> Told {
        let now = (self.clock)();
        self.sweep();
        let keyring = self.keyring();
        let mut keys = Vec::new();
        if !keyring.is_locked() {
            for (file, mut key) in keyring.list(now) {
                key.sessions = self.sessions.urls(&file);
                keys.push(key);
            }
        }
        Told::Status(Status {
            pid: std::process::id(),
            locked: keyring.is_locked(),
            keys,
        })
    }

    fn add(
        &self,
        pem: &[u8],
        file: KeyFile,
        name: &str,
        seconds: Option<u64>,
    ) -> Result<Told, Refused> {
        if name.len() > LONGEST_NAME {
            return Err(refused(
                Why::Request,
                "the name of the key is too long".into(),
            ));
        }
        let key = PrivateKey::from_pem(pem, None).map_err(|error| {
            refused(
                Why::Request,
                format!("the agent cannot use the key: {error}"),
            )
        })?;
        let time = seconds.map_or(self.limits.time, Duration::from_secs);
        let until = (self.clock)().plus(time.min(self.limits.time));
        let fingerprint = self.keyring().add(key, file, name, until)?;
        Ok(Told::Added { fingerprint })
    }

    fn forget(&self, key: &str) -> Result<Told, Refused> {
        let mut keyring = self.keyring();
        if !keyring.forget(key) {
            return Err(refused(
                Why::NoKey,
                "the agent holds no such key (remo agent list shows them)".into(),
            ));
        }
        self.sessions
            .drop_where(|owner, _| !keyring.holds(&owner.file));
        Ok(Told::Done {})
    }

    fn forget_all(&self) -> Told {
        self.keyring().forget_all();
        self.sessions.drop_where(|_, _| true);
        Told::Done {}
    }

    fn lock(&self, password: &[u8]) -> Result<Told, Refused> {
        let mut keyring = self.keyring();
        keyring.lock(password, (self.clock)())?;
        // Sessions have keys of their own: none stays.
        self.sessions.drop_where(|_, _| true);
        Ok(Told::Done {})
    }

    fn unlock(&self, password: &[u8]) -> Result<Told, Refused> {
        let done = self.keyring().unlock(password, (self.clock)());
        done.map(|()| Told::Done {})
    }

    /// Passwords are looked at in a thread of its own, for they take long.
    async fn slowly(
        self: Arc<Self>,
        act: impl FnOnce(&Self) -> Result<Told, Refused> + Send + 'static,
    ) -> Result<Told, Refused> {
        let done = tokio::task::spawn_blocking(move || act(&self)).await;
        done.unwrap_or_else(|_| Err(refused(Why::Full, "the agent could not do it".into())))
    }

    /// Signs log-ins, and nothing else.
    fn sign(&self, file: KeyFile, message: &[u8]) -> Result<Told, Refused> {
        if handshake::user_of(message)
            .or_else(|| login::user_of(message))
            .is_none()
        {
            return Err(refused(
                Why::Request,
                "the agent signs log-ins, and this is none".into(),
            ));
        }
        let key = self.keyring().key(&file, (self.clock)())?;
        Ok(Told::Signed {
            sign: URL_SAFE.encode_to_string(key.sign(message)),
        })
    }

    /// Gives a session, and keeps it for the caller until the caller hangs up.
    async fn hold(
        self: &Arc<Self>,
        owner: Owner,
        alone: bool,
        from: &mut OwnedReadHalf,
        to: &mut OwnedWriteHalf,
    ) -> io::Result<()> {
        let found = tokio::select! {
            found = self.session(owner, alone) => found,
            () = hung_up(from) => return Ok(()),
        };
        match found {
            Ok(Ok(taken)) => {
                tell(to, &self.told(&taken)).await?;
                hung_up(from).await;
                Ok(())
            }
            Ok(Err(fault)) => tell(to, &Told::Fault(faults::write(&fault))).await,
            Err(why) => tell(to, &Told::Refused(why)).await,
        }
    }

    fn told(&self, taken: &Taken) -> Told {
        let age = (self.clock)().since(taken.made).as_millis();
        Told::Live(agent::Live {
            session: taken.live.session.as_str().to_owned(),
            age: u64::try_from(age).unwrap_or(u64::MAX),
            server: taken.server,
        })
    }

    /// A session of this owner that is there, or a new one.
    async fn session(&self, owner: Owner, alone: bool) -> Result<Result<Taken, Fault>, Refused> {
        let key = self.keyring().key(&owner.file, (self.clock)())?;
        if owner.place.environment != self.environment {
            let text =
                "the agent was started with other proxies or certificates in its environment";
            return Err(refused(Why::OtherWay, text.into()));
        }
        let turn = self.sessions.turn(&owner);
        let _turn = turn.lock().await;
        if let Some(taken) = self.sessions.take(&owner, alone, (self.clock)()) {
            return Ok(Ok(taken));
        }
        let person = Person {
            user: UserName::parse(&owner.place.user).map_err(malformed)?,
            key: key.into(),
        };
        let made = match log_in_to(&owner.place, &person).await? {
            Ok(made) => made,
            Err(fault) => return Ok(Err(fault)),
        };
        // It may have been locked, or the key forgotten, meanwhile.
        let now = (self.clock)();
        let mut keyring = self.keyring();
        keyring.key(&owner.file, now)?;
        let full = || refused(Why::Full, "the agent has too many sessions at once".into());
        self.sessions
            .add(owner, made, alone, now)
            .map(Ok)
            .ok_or_else(full)
    }

    fn keyring(&self) -> MutexGuard<'_, Keyring> {
        self.keyring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Logs in with whichever of its keys the server has; says which that was.
async fn log_in_to(
    place: &Place,
    person: &Person,
) -> Result<Result<(Live, usize), Fault>, Refused> {
    let address = ServerAddress::parse(&place.url, None).map_err(malformed)?;
    let way = Way {
        proxy: place.proxy.clone(),
        authorities: place.authorities.clone().map(String::into_bytes),
    };
    let transport = Transport::by(address, way).map_err(malformed)?;
    let mut refusal = Fault::AtFirst(Failure::OtherKey);
    for (number, key) in place.servers.iter().take(MOST_SERVER_KEYS).enumerate() {
        let raw = URL_SAFE.decode_to_vec(key).map_err(malformed)?;
        let raw = raw.try_into().map_err(|_| malformed(Wrong::Message))?;
        let server = PublicKey::from_raw(&raw).map_err(malformed)?;
        match log_in(&transport, person, &server).await {
            Ok(live) => return Ok(Ok((live, number))),
            Err(fault @ Fault::AtFirst(Failure::OtherKey)) => refusal = fault,
            Err(fault) => return Ok(Err(fault)),
        }
    }
    Ok(Err(refusal))
}

fn malformed(error: impl std::fmt::Display) -> Refused {
    refused(
        Why::Request,
        format!("the agent cannot log in there: {error}"),
    )
}

/// Waits until a caller that has no more to say is gone.
pub(super) async fn hung_up(from: &mut OwnedReadHalf) {
    let mut byte = [0];
    let _ = from.read(&mut byte).await;
}

/// A secret, as it came.
pub(super) type Data = Zeroizing<Vec<u8>>;

/// Data beyond a ceiling.
pub(super) fn too_long() -> io::Error {
    wrong(Wrong::Length)
}

/// How long a caller may take over a frame.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// No answer is awaited for longer.
const LONGEST: Duration = Duration::from_secs(120);

/// How often it is looked at whether a key's time is over.
const SWEEP: Duration = Duration::from_secs(1);

/// Bytes of what a key is shown as.
const LONGEST_NAME: usize = 4096;

/// Keys of one server that are tried.
const MOST_SERVER_KEYS: usize = 8;
