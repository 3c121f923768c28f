//! Channels: byte streams with absolute offsets, bounded buffers and back pressure. Commands, interactive
//! processes, terminals and forwarded connections are views of one. Who may use one, and that each act is carried
//! out once, is decided by the [`Registry`]; how it is spoken of on the wire is not known here.

mod answer;
mod channel;
mod connection;
mod deed;
mod deeds;
mod environment;
mod exchange;
mod far;
mod input;
mod process;
mod pump;
mod registry;
mod start;
mod state;
mod target;
#[cfg(test)]
mod tests;
mod window;

pub(crate) use answer::{Answer, Ending, Part, Patience, Stream};
pub(crate) use channel::Channel;
pub(crate) use connection::Connect;
pub(crate) use deed::{Deed, State};
pub(crate) use environment::Account;
pub(crate) use exchange::{Access, Exchange};
pub(crate) use far::Exit;
pub(crate) use registry::{ActId, Registry};
pub(crate) use start::{Start, Terminal, What};
pub(crate) use target::Target;

/// What is refused, by a name of the closed list in `docs/protocol.md`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) status: u16,
    pub(crate) name: &'static str,
    pub(crate) message: String,
}

impl Refused {
    pub(crate) fn new(status: u16, name: &'static str, message: impl Into<String>) -> Self {
        let mut message = message.into();
        // It may have to be remembered, and quotes what a client sent.
        let end = message.floor_char_boundary(LONGEST_MESSAGE);
        message.truncate(end);
        Self {
            status,
            name,
            message,
        }
    }

    /// What an id opened is forgotten.
    pub(crate) fn gone() -> Self {
        Self::new(
            410,
            "gone",
            "what this id opened is no longer there, and is not opened again",
        )
    }
}

/// Bytes of the message of a refusal.
const LONGEST_MESSAGE: usize = 500;
