//! What can go wrong between a client and its server, as a closed list, each with its remedy.
//! Not here: mistakes of typing, which belong to `address`, `encoding` and `prompt`.

use std::error::Error as StdError;
use std::io;
use std::path::{Path, PathBuf};

use remo_protocol::dialect::Dialect;
use remo_protocol::refusal::Refusal;

use crate::escape::escape;
use crate::remedy::{Asked, proxy_log_in, remedy};

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The HTTP client cannot be made.
    #[error(
        "cannot prepare the connection: {0} (for https the CA certificates of this machine are needed)"
    )]
    Setup(String),
    /// No connection.
    #[error(
        "cannot reach {address}: {cause} (does the server run, are address, port and http_proxy right?)"
    )]
    Unreachable {
        /// The address of the server.
        address: String,
        /// What the system says.
        cause: String,
    },
    /// The other end of TLS is not whom it should be.
    #[error(
        "cannot trust {address}: {cause} (SSL_CERT_FILE=FILE names other CA certificates; http:// serves as well, since everything is sealed)"
    )]
    Certificate {
        /// The address of the server.
        address: String,
        /// What is wrong.
        cause: String,
    },
    /// The connection broke before an answer came.
    #[error(
        "the connection broke before the answer: {0} (the command may have been carried out; a Python remo_serv does this where a file or program is missing)"
    )]
    Broken(String),
    /// The connection broke while a body was sent.
    #[error(
        "the connection broke while the file was sent: {0} (try again; a box on the path may also cut large bodies: nginx lets 1 MiB pass \
         unless client_max_body_size says more)"
    )]
    BrokenUpload(String),
    /// Nothing came for as long as was allowed.
    #[error("no answer for {0} s (allow more with --time-out)")]
    Silent(u64),
    /// The log-in was refused, by the server or by something that answers in its place.
    #[error(
        "the log-in of '{user}' was refused: 403 (is the user in the server's database, with the key that belongs to --key? add-user \
         puts it there)"
    )]
    LoginRefused {
        /// Who wanted to log in.
        user: String,
    },
    /// The answer to the log-in is not the server's.
    #[error(
        "the answer to the log-in is not by the server whose key was given: {0} (is --server the right file? else somebody answers in its place)"
    )]
    WrongServer(Refusal),
    /// A log-in was answered without a session.
    #[error(
        "the log-in was answered without the cookie SESSION_ID (a box on the path takes cookies away, or this is no remo_serv)"
    )]
    NoSession,
    /// The server knows the session no more.
    #[error(
        "{}: {status} (it timed out, the server was started anew, or {}; the command was not repeated, the next one logs in anew)",
        gone(*.status),
        usual_cause(*.dialect)
    )]
    SessionGone {
        /// The HTTP status, which nothing seals.
        status: u16,
        /// The dialect of the session.
        dialect: Dialect,
    },
    /// The server speaks, but not as we do.
    #[error(
        "the server speaks dialect {0} (use --dialect {0}; nothing but a log-in and /info was sent)"
    )]
    OtherDialect(Dialect),
    /// The server's own refusal, sealed by it.
    #[error("{}", refused(*.status, .text))]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The server's words, not yet fit for a terminal; [`Error`]'s text has them escaped.
        text: String,
    },
    /// An answer without a seal: it may be by anybody.
    #[error("something on the path answered {status}: {remedy}")]
    Path {
        /// The HTTP status.
        status: u16,
        /// What it means and what can be done.
        remedy: String,
    },
    /// A token of the answer is not the server's, or not at its place.
    #[error(
        "the answer is not as the server sealed it: {0} (a box on the path changes it, or the server speaks another dialect: see --dialect)"
    )]
    Forged(Refusal),
    /// Our own request came back as if it were the answer.
    #[error("our own request was sent back as its answer (a box on the path plays tricks)")]
    Reflected,
    /// The answer stops before its end.
    #[error(
        "the answer was cut (what came before the cut is genuine; the Python remo_serv 0.6 never marks the end: --accept-cut-answers)"
    )]
    Cut,
    /// The connection broke in the middle of an answer.
    #[error("the answer was cut: {0}")]
    CutShort(String),
    /// The connection broke between the head of an answer and the content of a file.
    #[error(
        "the answer was cut before it began: {0} (a Python remo_serv does this where a file is missing or is a folder)"
    )]
    CutAtOnce(String),
    /// The user's key cannot be had: why.
    #[error("{0}")]
    Key(String),
    /// What an agent tells, in its words.
    #[error("{0}")]
    Agent(String),
    /// Nothing can be sealed.
    #[error("cannot seal the request: {0}")]
    Seal(Refusal),
    /// An argument is longer than a server takes.
    #[error("the command line or file name is {0} bytes long (at most 32768)")]
    ArgumentTooLong(usize),
    /// A file here cannot be read or written.
    #[error("cannot {act} '{}': {}", escape(&.path.to_string_lossy()), describe(.source))]
    File {
        /// What was tried: `read` or `write`.
        act: &'static str,
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The file is too large for the numbers of dialect 0.6.
    #[error("the file is too large for one transfer: {0} bytes (at most about 120 GiB; split it)")]
    TooLarge(u64),
    /// What was to take the output takes no more.
    #[error("cannot write the output: {}", describe(.0))]
    Output(io::Error),
}

impl Error {
    pub(crate) fn read(path: &Path, source: io::Error) -> Self {
        Self::File {
            act: "read",
            path: path.to_path_buf(),
            source,
        }
    }

    pub(crate) fn write(path: &Path, source: io::Error) -> Self {
        Self::File {
            act: "write",
            path: path.to_path_buf(),
            source,
        }
    }

    /// An answer that nothing seals, judged by its status and by what was asked.
    pub(crate) fn unsealed(asked: Asked, status: u16, location: Option<&str>) -> Self {
        Self::Path {
            status,
            remedy: remedy(asked, status, location),
        }
    }

    /// A proxy wants a log-in, and offers these ways.
    pub(crate) fn proxy_log_in(schemes: &[String]) -> Self {
        Self::Path {
            status: 407,
            remedy: proxy_log_in(schemes),
        }
    }

    /// The same error where `sent` bytes of a stream were already on their way.
    pub(crate) fn while_sending(self, sent: u64) -> Self {
        match self {
            Self::Broken(cause) if sent > 0 => Self::BrokenUpload(cause),
            other => other,
        }
    }

    /// Whether the reader of the output went away, which is no failure worth words.
    #[must_use]
    pub fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Output(cause) if cause.kind() == io::ErrorKind::BrokenPipe)
    }
}

fn refused(status: u16, text: &str) -> String {
    let text = escape(text.trim());
    if text.is_empty() {
        format!("the server answered {status}")
    } else {
        format!("the server answered {status}: {text}")
    }
}

/// Ours says 403 to a session that it does not know; Python 0.6 says 400 where it does not like the first token.
fn gone(status: u16) -> &'static str {
    match status {
        403 => "the server does not know this session or user",
        _ => "the request was refused, and nothing seals the answer",
    }
}

/// What else it usually means: no common clock in one dialect, no welcome in the other.
fn usual_cause(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::V0_3 => "the server may refuse dialect 0.3 for this user: --dialect 0.6",
        Dialect::V0_6 => {
            "the two clocks differ by more than 10 s, or the body took longer to arrive"
        }
    }
}

/// The system's words for an error, without the number.
fn describe(error: &io::Error) -> String {
    let text = error.to_string();
    let plain = text.split(" (os error").next().unwrap_or(&text);
    let mut letters = plain.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_lowercase().chain(letters).collect()
    })
}

/// The innermost cause of an HTTP client's error: the outer ones repeat the URL, and the URL holds a token.
pub(crate) fn innermost(error: &(dyn StdError + 'static)) -> String {
    let mut inner = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    match inner.downcast_ref::<io::Error>() {
        Some(error) => escape(&describe(error)),
        None => escape(&inner.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_s_words_cannot_command_the_terminal() {
        let error = Error::Refused {
            status: 400,
            text: "no file 'a\x1b[2J'\n".into(),
        };
        assert_eq!(
            error.to_string(),
            "the server answered 400: no file 'a\\u{1b}[2J'"
        );
    }

    #[test]
    fn what_is_not_sealed_is_never_taken_for_the_server_s() {
        assert!(
            Error::unsealed(Asked::Other, 413, None)
                .to_string()
                .contains("client_max_body_size")
        );
        assert!(
            Error::unsealed(Asked::Other, 407, None)
                .to_string()
                .contains("http_proxy=http://USER:PASSWORD@")
        );
        let redirect = Error::unsealed(Asked::Other, 302, Some("http://evil/\x1b")).to_string();
        assert!(
            redirect.starts_with("something on the path answered 302")
                && !redirect.contains('\x1b')
        );
    }
}
