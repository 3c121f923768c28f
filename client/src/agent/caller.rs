//! The callers' side: what is asked of the agent of this user, where one runs.
//! Not here: requests to servers, which are `exchange`'s.

use std::path::{Path, PathBuf};
use std::time::Duration;

use base64_simd::URL_SAFE;
use remo_protocol::agent::{Ask, Fault as ToldFault, KeyFile, Kind, Place, Refused, Status, Told};
use remo_protocol::keys::{PrivateKey, PublicKey};
use remo_protocol::name::UserName;
use remo_protocol::remo2::session_id::SessionId;
use tokio::net::UnixStream;

use super::exchange::Lease;
use super::faults;
use super::socket::{self, Unsafe, usual_socket};
use super::wire::{message, send, tell};
use crate::remo2::failure::Fault;
use crate::remo2::live::Live;
use crate::transport::Transport;

/// Where an agent is.
#[derive(Clone, Debug)]
pub struct Agent {
    socket: PathBuf,
}

/// Why an agent did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// Its socket is not used.
    #[error(transparent)]
    Unsafe(#[from] Unsafe),
    /// There is none.
    #[error("no agent runs here (remo agent starts one)")]
    None,
    /// It says why.
    #[error("{}", .0.message)]
    Refused(Refused),
    /// It said nothing, or nothing that is understood.
    #[error("the agent did not answer: {0} (remo agent stop ends it)")]
    Broken(String),
}

impl Agent {
    /// The agent at this socket, which may be there or not.
    #[must_use]
    pub fn at(socket: &Path) -> Self {
        Self {
            socket: socket.to_path_buf(),
        }
    }

    /// The agent of this user, where one listens.
    ///
    /// # Errors
    /// Where its socket is not to be trusted.
    pub async fn find() -> Result<Option<Self>, Unsafe> {
        let Some(socket) = usual_socket() else {
            return Ok(None);
        };
        let listens = socket::connect(&socket).await?.is_some();
        Ok(listens.then(|| Self::at(&socket)))
    }

    pub(super) async fn open(&self) -> Result<UnixStream, Trouble> {
        socket::connect(&self.socket).await?.ok_or(Trouble::None)
    }

    /// Asks one thing, with what goes with it.
    pub(super) async fn ask(
        &self,
        ask: &Ask,
        more: Option<(Kind, &[u8])>,
    ) -> Result<Told, Trouble> {
        let mut stream = self.open().await?;
        told(&mut stream, ask, more).await
    }

    async fn done(&self, ask: &Ask, secret: Option<&[u8]>) -> Result<(), Trouble> {
        let more = secret.map(|secret| (Kind::Secret, secret));
        match self.ask(ask, more).await? {
            Told::Done {} => Ok(()),
            _ => Err(not_understood()),
        }
    }

    /// What it holds.
    ///
    /// # Errors
    /// See [`Trouble`].
    pub async fn status(&self) -> Result<Status, Trouble> {
        match self.ask(&Ask::Status {}, None).await? {
            Told::Status(status) => Ok(status),
            _ => Err(not_understood()),
        }
    }

    /// Hands it a key, which it holds for `seconds`, or for its own limit; gives the fingerprint.
    ///
    /// # Errors
    /// See [`Trouble`].
    pub async fn add(
        &self,
        key: &PrivateKey,
        file: KeyFile,
        name: &str,
        seconds: Option<u64>,
    ) -> Result<String, Trouble> {
        let pem = key
            .to_pem()
            .map_err(|error| Trouble::Broken(error.to_string()))?;
        let name = name.to_owned();
        let ask = Ask::Add {
            name,
            file,
            seconds,
        };
        match self.ask(&ask, Some((Kind::Secret, pem.as_bytes()))).await? {
            Told::Added { fingerprint } => Ok(fingerprint),
            _ => Err(not_understood()),
        }
    }

    /// Whether it holds the key of this file, and would sign with it.
    ///
    /// # Errors
    /// See [`Trouble`]: a lock and a missing key are among them.
    pub async fn holds(&self, file: KeyFile) -> Result<(), Trouble> {
        self.done(&Ask::Holds { file }, None).await
    }

    /// Erases a key, by its fingerprint or name.
    ///
    /// # Errors
    /// See [`Trouble`].
    pub async fn forget(&self, key: &str) -> Result<(), Trouble> {
        let key = key.to_owned();
        self.done(&Ask::Forget { key }, None).await
    }

    /// Erases all keys.
    ///
    /// # Errors
    /// See [`Trouble`].
    pub async fn forget_all(&self) -> Result<(), Trouble> {
        self.done(&Ask::ForgetAll {}, None).await
    }

    /// Locks it.
    ///
    /// # Errors
    /// See [`Trouble`].
    pub async fn lock(&self, password: &[u8]) -> Result<(), Trouble> {
        self.done(&Ask::Lock {}, Some(password)).await
    }

    /// Opens it again.
    ///
    /// # Errors
    /// See [`Trouble`].
    pub async fn unlock(&self, password: &[u8]) -> Result<(), Trouble> {
        self.done(&Ask::Unlock {}, Some(password)).await
    }

    /// Ends it.
    ///
    /// # Errors
    /// See [`Trouble`].
    pub async fn stop(&self) -> Result<(), Trouble> {
        self.done(&Ask::Stop {}, None).await
    }

    /// The signature of what a log-in says, by the key of this file.
    pub(crate) async fn sign(&self, file: KeyFile, login: &[u8]) -> Result<[u8; 114], Trouble> {
        let told = self
            .ask(&Ask::Sign { file }, Some((Kind::Data, login)))
            .await?;
        let Told::Signed { sign } = told else {
            return Err(not_understood());
        };
        let sign = URL_SAFE.decode_to_vec(sign).unwrap_or_default();
        sign.try_into().map_err(|_| not_understood())
    }
}

/// A key that an agent holds: what a conversation needs of it.
#[derive(Clone, Debug)]
pub struct Bound {
    /// The agent.
    pub agent: Agent,
    /// The key.
    pub file: KeyFile,
    /// Sessions are not shared with other processes: for what attaches to what another session has opened.
    pub alone: bool,
}

impl Bound {
    /// A session that the agent holds, and by which of the keys the server proved itself; or what the attempt to get one came to.
    pub(crate) async fn session(
        &self,
        transport: &Transport,
        user: &UserName,
        servers: &[PublicKey],
    ) -> Result<Result<(Live, usize), Fault>, Trouble> {
        let way = transport.way();
        let authorities = way.authorities.clone().map(String::from_utf8).transpose();
        let place = Place {
            url: transport.address().to_string(),
            proxy: way.proxy.clone(),
            authorities: authorities.map_err(|_| not_understood())?,
            environment: environment(),
            user: user.as_str().to_owned(),
            servers: servers
                .iter()
                .map(|key| URL_SAFE.encode_to_string(key.to_raw()))
                .collect(),
        };
        let ask = Ask::Session {
            file: self.file,
            place: Box::new(place),
            alone: self.alone,
        };
        let mut stream = self.agent.open().await?;
        match told(&mut stream, &ask, None).await? {
            Told::Live(live) => {
                let session = SessionId::parse(&live.session).ok_or_else(not_understood)?;
                let age = Duration::from_millis(live.age);
                let lease = Lease::new(self.agent.clone(), stream);
                Ok(Ok((Live::with_agent(session, age, lease), live.server)))
            }
            Told::Fault(ToldFault::SessionLost {}) => Err(not_understood()),
            Told::Fault(fault) => Ok(Err(faults::read(fault))),
            _ => Err(not_understood()),
        }
    }
}

async fn told(
    stream: &mut UnixStream,
    ask: &Ask,
    more: Option<(Kind, &[u8])>,
) -> Result<Told, Trouble> {
    let exchanged = async {
        tell(stream, ask).await?;
        if let Some((kind, data)) = more {
            send(stream, kind, data).await?;
        }
        Ok::<_, std::io::Error>(())
    };
    // One that refuses early has hung up, and has told why.
    let sent = exchanged.await;
    match (message(stream, PATIENCE).await, sent) {
        (Ok(Told::Refused(refused)), _) => Err(Trouble::Refused(refused)),
        (Ok(told), Ok(())) => Ok(told),
        (Err(error), _) | (_, Err(error)) => Err(Trouble::Broken(error.to_string())),
    }
}

fn not_understood() -> Trouble {
    Trouble::Broken("it speaks another version".into())
}

/// What the environment says of the way to servers.
pub(super) fn environment() -> Vec<(String, String)> {
    let set = |name: &str| Some((name.to_owned(), std::env::var(name).ok()?));
    let said = WAY.iter().filter_map(|name| set(name));
    said.filter(|(_, value)| !value.is_empty()).collect()
}

/// Variables that say by which way, and by whose certificates, a server is reached.
const WAY: [&str; 10] = [
    "http_proxy",
    "HTTP_PROXY",
    "https_proxy",
    "HTTPS_PROXY",
    "all_proxy",
    "ALL_PROXY",
    "no_proxy",
    "NO_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
];

/// How long an agent may take: a log-in to each of a server's keys, and the sealing of keys, take their time.
const PATIENCE: Duration = Duration::from_secs(45);
