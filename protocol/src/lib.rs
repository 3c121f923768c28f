//! What both ends of `remo-serv` must agree on: keys, log-in, Fernet tokens, and how each dialect
//! makes bodies of them.
//!
//! Nothing here reads a socket, a file or a clock: bytes and the time come in, bytes go out. The wire
//! is specified in `docs/protocol.md`.
//!
//! - [`keys`] and [`name`]: who a peer is.
//! - [`agreement`] and [`login`]: how two peers come to share a [`fernet::FernetKey`].
//! - [`fernet`] and [`lines`]: one token, and the lines that carry tokens.
//! - [`body`]: how tokens make a body, one state machine a direction and dialect.
//! - [`session`]: what a server remembers of a session's requests; [`mark`]: how it knows its own tokens.
//! - [`remo2`]: the same for dialect remo/2, which has its own log-in, bodies and numbers.
//! - [`limits`]: every ceiling. [`refusal`]: all that a peer can do wrong.

pub mod agent;
pub mod agreement;
pub mod body;
pub mod dialect;
pub mod fernet;
pub mod keys;
pub mod limits;
pub mod lines;
pub mod login;
pub mod mark;
pub mod name;
pub mod refusal;
pub mod remo2;
pub mod session;
