//! The middle of the picture: every request becomes a [`Call`], every answer is a [`Reply`]. Keys, tokens
//! and HTTP are above this line and unknown here.

use std::{
    fmt,
    io::{self, Read},
    pin::Pin,
    sync::Arc,
};

use bytes::Bytes;
use futures_util::{Stream, future::BoxFuture};
use remo_protocol::{name::UserName, refusal::Refusal};

use crate::exec::Slot;

/// Something that a user asks for.
pub(crate) struct Call {
    /// Who asks.
    pub(crate) who: UserName,
    /// What for.
    pub(crate) op: Op,
    /// What comes with it.
    pub(crate) input: Input,
    /// Where the session keeps its interactive command.
    pub(crate) interactive: Arc<Slot>,
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("who", &self.who)
            .field("op", &self.op.name())
            .finish_non_exhaustive()
    }
}

/// What is asked for. The bytes are the caller's, and not yet looked at.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Op {
    /// Which server this is.
    Info,
    /// Read a file.
    Get(Bytes),
    /// Store a file.
    Put(Bytes),
    /// Run a command.
    Cmd(Bytes),
    /// Start an interactive command.
    Icm(Bytes),
    /// Send data to the interactive command.
    Idt,
    /// End the input of the interactive command.
    Edt,
    /// Nothing that this server knows.
    Unknown,
}

impl Op {
    /// The verb on the wire.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Get(_) => "get",
            Self::Put(_) => "put",
            Self::Cmd(_) => "cmd",
            Self::Icm(_) => "icm",
            Self::Idt => "idt",
            Self::Edt => "edt",
            Self::Unknown => "unknown",
        }
    }

    /// Whether an interactive command goes on beside it.
    pub(crate) fn leaves_interactive(&self) -> bool {
        matches!(self, Self::Idt | Self::Edt)
    }
}

/// The body of a request as data, proved as far as it was given.
pub(crate) type Input = Pin<Box<dyn Stream<Item = Result<Bytes, InputFault>> + Send>>;

/// Why an input has no end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InputFault {
    /// It proved false.
    False(Refusal),
    /// The client is gone.
    Lost,
    /// The client sent nothing for too long.
    Stalled,
    /// There is more of it than may be.
    TooLarge,
}

/// What a call leads to.
pub(crate) struct Reply {
    /// Its status, in the words of HTTP.
    pub(crate) status: u16,
    /// What it says.
    pub(crate) output: Output,
}

/// The body of an answer as data.
pub(crate) enum Output {
    /// A line or a few bytes.
    Bytes(Bytes),
    /// What a process writes, as it does.
    Stream(Box<dyn Source>),
    /// A file, in pieces of `piece` bytes. Reading it may block.
    File {
        /// Where it is read from.
        file: Box<dyn Read + Send>,
        /// Bytes a piece.
        piece: usize,
    },
}

/// Bytes that come when they come. Dropped before its end, it ends what makes them.
pub(crate) trait Source: Send {
    /// Appends at most `most` bytes to `into` as soon as there are any, and says how many; 0 is the end.
    /// Dropping the future loses nothing.
    fn read<'a>(
        &'a mut self,
        into: &'a mut Vec<u8>,
        most: usize,
    ) -> BoxFuture<'a, io::Result<usize>>;
}

impl Reply {
    /// 200 with some bytes.
    pub(crate) fn bytes(bytes: impl Into<Bytes>) -> Self {
        Self {
            status: 200,
            output: Output::Bytes(bytes.into()),
        }
    }

    /// 200 with what a process writes.
    pub(crate) fn stream(source: impl Source + 'static) -> Self {
        Self {
            status: 200,
            output: Output::Stream(Box::new(source)),
        }
    }

    /// A failure, with a line that names it.
    pub(crate) fn failed(status: u16, message: impl fmt::Display) -> Self {
        Self {
            status,
            output: Output::Bytes(format!("{message}\n").into()),
        }
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply")
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

impl From<InputFault> for Reply {
    fn from(fault: InputFault) -> Self {
        match fault {
            InputFault::False(refusal @ (Refusal::LineTooLong | Refusal::TokenTooLarge)) => {
                Self::failed(413, refusal)
            }
            InputFault::False(refusal) => Self::failed(400, refusal),
            InputFault::Lost => Self::failed(400, "the body was cut"),
            InputFault::TooLarge => Self::failed(413, "the body is too large"),
            InputFault::Stalled => Self::failed(408, "the body stopped coming"),
        }
    }
}
