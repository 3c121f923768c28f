//! Channels: byte streams with absolute offsets, bounded buffers and back pressure. Commands, interactive
//! processes and terminals are views of one. Who may use one, and that each act is carried out once, is
//! decided by the [`Registry`]; how it is spoken of on the wire is not known here.

mod answer;
mod channel;
mod environment;
mod registry;
mod start;
mod window;

pub(crate) use answer::{Answer, Ending, Part, Patience, Stream};
pub(crate) use channel::{Access, Channel, Exchange, Exit};
pub(crate) use registry::{ActId, Registry};
pub(crate) use start::{Start, Terminal, What};

/// What is refused, by a name of the closed list in `docs/protocol.md`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) status: u16,
    pub(crate) name: &'static str,
    pub(crate) message: String,
}

impl Refused {
    pub(crate) fn new(status: u16, name: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            name,
            message: message.into(),
        }
    }
}
