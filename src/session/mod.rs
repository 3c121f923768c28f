//! Sessions: which cookie is whose, and how long. What is said in a session, the crypter knows.

pub(crate) mod cookie;
mod id;
mod login;
pub(crate) mod remo2;
mod table;

pub(crate) use id::SessionId;
pub(crate) use login::{Login, Turn};
pub(crate) use table::Sessions;
