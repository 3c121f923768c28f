//! Why something could not be had of a server of remo/2, as a closed list, each with its remedy.
//! Not here: what goes wrong on the way and is tried again.

use std::io;

use remo_protocol::refusal::Refusal;

use crate::error::Error;
use crate::escape::escape;

/// What is told, once trying again is over.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Nothing that the server sealed came for so long.
    #[error(
        "no answer of the server for {seconds} s; the last that happened: {cause} (--give-up SECONDS tries for longer)"
    )]
    Path {
        /// For how long it was tried.
        seconds: u64,
        /// What the last attempt came to.
        cause: String,
    },
    /// The first log-in, or the way to it.
    #[error(transparent)]
    First(#[from] Error),
    /// The server has none of the keys that are trusted.
    #[error(
        "something answers that the server has another key than the one you trust: 421 (compare fingerprints with its owner, then: remo trust)"
    )]
    OtherKey,
    /// Nothing there speaks remo/2.
    #[error(
        "what answers there does not speak remo/2, as an older remo_serv (remo prompt --dialect 0.6, or 0.3, speaks with that)"
    )]
    OtherDialect,
    /// The server refused the act, under its seal.
    #[error("{}", refused(.name, .message))]
    Refused {
        /// A status as of HTTP.
        status: u64,
        /// The name of the error.
        name: String,
        /// The server's words, not yet fit for a terminal; the text of this error has them escaped.
        message: String,
    },
    /// The server was started anew after an act was sent, and before it was answered.
    #[error(
        "the server was started anew before it answered: what became of the command is not known, and it was not run again (look there)"
    )]
    Unknown,
    /// The server was started anew while something ran there.
    #[error("the server was started anew: what was running there is gone")]
    Restarted,
    /// The server keeps what it was asked for no more.
    #[error("the server no longer has it: nobody asked for it for too long, or it was ended")]
    Gone,
    /// Another session has taken the channel over.
    #[error("it was attached from elsewhere (remo attach takes it back)")]
    Taken,
    /// It is more than one request carries on this path.
    #[error("it does not fit into one request on this path")]
    Unfit,
    /// A file became another while it was read.
    #[error("it changed while it was read")]
    Changed,
    /// The server does, under its seal, what no server may.
    #[error("the server misbehaves: {0} (its program is at fault, or its owner)")]
    Misbehaved(&'static str),
    /// Nothing can be sealed.
    #[error("cannot seal the request: {0}")]
    Seal(Refusal),
    /// What takes the output takes no more.
    #[error("cannot write the output: {}", plain(.0))]
    Output(io::Error),
    /// What gives the input gives no more.
    #[error("cannot read the input: {}", plain(.0))]
    Input(io::Error),
}

impl Failure {
    /// A refusal under the seal of the server.
    pub(crate) fn refused(status: u64, name: &str, message: &str) -> Self {
        match name {
            "gone" => Self::Gone,
            "not_attached" => Self::Taken,
            _ => Self::Refused {
                status,
                name: name.to_owned(),
                message: message.to_owned(),
            },
        }
    }

    /// Whether the server says that nothing stands at the path.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { name, .. } if name == "not_found")
    }

    /// Whether it is about what was asked for, and the next thing may be asked of the same server.
    #[must_use]
    pub fn is_of_the_act(&self) -> bool {
        matches!(
            self,
            Self::Refused { .. } | Self::Gone | Self::Unfit | Self::Changed | Self::Misbehaved(_)
        )
    }

    /// Whether the far end of a forwarded connection broke it.
    #[must_use]
    pub fn is_reset(&self) -> bool {
        matches!(self, Self::Refused { name, .. } if name == "reset")
    }

    /// Whether the reader of the output went away, which is no failure worth words.
    #[must_use]
    pub fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Output(cause) if cause.kind() == io::ErrorKind::BrokenPipe)
    }
}

fn refused(name: &str, message: &str) -> String {
    let (name, message) = (escape(name), escape(message));
    if message.is_empty() {
        format!("the server refused: {name}")
    } else {
        format!("the server refused: {message} ({name})")
    }
}

fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error")
        .next()
        .unwrap_or_default()
        .to_lowercase()
}

/// What one attempt came to that brought no answer.
#[derive(Debug)]
pub(crate) enum Fault {
    /// Nothing would help.
    Final(Failure),
    /// The path; it is tried again.
    Path(String),
    /// It is over, if it happens again and again at the first log-in.
    AtFirst(Failure),
    /// The number was seen before: asked again at once, with half the wait.
    Repeated,
    /// The session is lost.
    SessionLost,
    /// The body is larger than something takes.
    TooLarge,
}

impl From<Failure> for Fault {
    fn from(failure: Failure) -> Self {
        Self::Final(failure)
    }
}

impl Fault {
    /// What it is called where it was the last.
    pub(crate) fn cause(&self) -> String {
        match self {
            Self::Final(failure) | Self::AtFirst(failure) => failure.to_string(),
            Self::Path(cause) => cause.clone(),
            Self::Repeated => "the request arrived twice".into(),
            Self::SessionLost => "the server does not know the session".into(),
            Self::TooLarge => "the request was too large for something on the path".into(),
        }
    }
}
