//! The client of `remo-serv`: commands and files on a machine that can be reached by nothing but HTTP, sealed end to end.
//!
//! A [`Session`](session::Session) logs in by itself, speaks dialect 0.3 or 0.6 of remo_serv, and gives answers as they arrive;
//! what it gives is proved to be the server's. Bodies stream both ways: memory stays small whatever the size of a file.
//!
//! ```no_run
//! use remo_client::address::ServerAddress;
//! use remo_client::session::{Identity, Options, Session};
//! use remo_client::transport::Transport;
//! use remo_client::upload::Upload;
//! use remo_protocol::keys::{PrivateKey, PublicKey};
//! use remo_protocol::name::UserName;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let identity = Identity {
//!     user: UserName::parse("zoe")?,
//!     key: PrivateKey::from_pem(&std::fs::read("zoe_key.pem")?, None)?.into(),
//!     server: PublicKey::from_pem(&std::fs::read("remo_serv.pem")?)?,
//! };
//! let address: ServerAddress = "https://example.org/remo".parse()?;
//! let mut session = Session::new(Transport::new(address)?, identity, Options::default());
//!
//! let mut output = session.exec("uname -a", Upload::empty()).await?;
//! while let Some(bytes) = output.next().await? {
//!     print!("{}", String::from_utf8_lossy(&bytes));
//! }
//! session.get_file("/var/log/syslog", "syslog".as_ref(), None).await?;
//! session.logout().await?;
//! # Ok(())
//! # }
//! ```
//!
//! remo/2, which survives its network, has its own: [`remo2`]. A [`prompt`] speaks either.
//!
//! Top down: [`prompt`] carries out what people type, [`session`] is one conversation, [`answer`], [`upload`] and
//! `transfer` are its bodies, [`transport`] is HTTP. Keys and tokens are made by the crate `remo_protocol`.

pub mod address;
pub mod agent;
pub mod answer;
pub mod copy;
pub mod doctor;
pub mod encoding;
pub mod error;
pub mod escape;
mod greeting;
pub mod hex;
mod live;
mod login;
mod partial;
pub mod prompt;
mod remedy;
pub mod remo2;
mod sending;
pub mod session;
pub mod signer;
mod transfer;
pub mod transport;
pub mod upload;
