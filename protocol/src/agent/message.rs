//! The messages: what can be asked of an agent, and what it tells.
//! What follows from them is the agent's and its callers' to know.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::frame::Wrong;
use crate::remo2::json::Object;

/// A key by the file that it is in: SHA-256 of all its bytes. So a key is known without its password, and one that was
/// replaced is another.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyFile(#[serde(with = "hexadecimal")] pub [u8; 32]);

impl KeyFile {
    /// The key in a file that holds this.
    pub fn of(content: &[u8]) -> Self {
        Self(Sha256::digest(content).into())
    }
}

impl fmt::Debug for KeyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyFile(…)")
    }
}

/// What is asked of an agent, once a connection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case", deny_unknown_fields)]
pub enum Ask {
    /// What it holds: [`Told::Status`].
    Status {},
    /// Take a key, which follows as a secret frame in PEM form: [`Told::Added`].
    Add {
        /// What it is shown as.
        name: String,
        /// Its file.
        file: KeyFile,
        /// For how long it is held, in seconds; the agent's own limit where none is given.
        seconds: Option<u64>,
    },
    /// Erase a key, and what rests on it: [`Told::Done`].
    Forget {
        /// Its fingerprint or its name.
        key: String,
    },
    /// Erase all keys: [`Told::Done`].
    ForgetAll {},
    /// Give nothing until the password that follows as a secret frame comes again: [`Told::Done`].
    Lock {},
    /// The password that it was locked with follows as a secret frame: [`Told::Done`].
    Unlock {},
    /// End: [`Told::Done`].
    Stop {},
    /// Whether it holds a key: [`Told::Done`].
    Holds {
        /// Which.
        file: KeyFile,
    },
    /// Sign the log-in that follows as a data frame: [`Told::Signed`].
    Sign {
        /// With which key.
        file: KeyFile,
    },
    /// A session, logged in to if none is there: [`Told::Live`]. It is held for the caller until the connection ends.
    Session {
        /// As whom.
        file: KeyFile,
        /// Where.
        place: Box<Place>,
        /// No other caller has it meanwhile.
        alone: bool,
    },
    /// The session is lost, or in doubt: it is not given to anybody again. [`Told::Done`].
    Lose {
        /// Its name.
        session: String,
    },
    /// One request, whose data frames and end follow: [`Told::Sealed`], [`Told::Head`], data frames, and
    /// [`Told::Trailer`]; [`Told::Waiting`] and [`Told::Fault`] at any point.
    Exchange {
        /// In which session.
        session: String,
        /// The verb, by which it is routed.
        verb: String,
        /// What is in its `H`.
        head: Object,
        /// What is put into its body besides.
        fill: Fill,
        /// Milliseconds that its answer may take to begin, sending left out.
        patience: u64,
        /// Milliseconds that the answer may be silent then.
        silence: u64,
    },
}

/// Bytes in a body that mean nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fill {
    /// None.
    None,
    /// So that the length does not tell what is typed.
    Typed,
    /// As many as make the body this long, or a little less.
    UpTo(usize),
}

/// A server, and the way to it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// Its URL.
    pub url: String,
    /// The proxy that was named for it.
    pub proxy: Option<String>,
    /// CA certificates in PEM form that are trusted too.
    pub authorities: Option<String>,
    /// What the caller's environment says of proxies and certificates: the way is the same only where the agent's says so too.
    pub environment: Vec<(String, String)>,
    /// The user's name there.
    pub user: String,
    /// The server's keys, each in URL-safe base64.
    pub servers: Vec<String>,
}

/// What an agent tells.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "told", rename_all = "snake_case", deny_unknown_fields)]
pub enum Told {
    /// It was done.
    Done {},
    /// The key of this fingerprint is held now.
    Added {
        /// Its fingerprint.
        fingerprint: String,
    },
    /// It was not done.
    Refused(Refused),
    /// What it holds.
    Status(Status),
    /// A signature, in URL-safe base64.
    Signed {
        /// 114 bytes.
        sign: String,
    },
    /// A session.
    Live(Live),
    /// The request is sealed, and sent now.
    Sealed {
        /// Bytes of its body.
        length: usize,
    },
    /// Nothing new has come.
    Waiting {},
    /// What an answer begins with.
    Head {
        /// What is in its `H`.
        head: Object,
    },
    /// What a whole answer ends with.
    Trailer {
        /// What is in its `T`.
        trailer: Object,
    },
    /// What an attempt came to that brought no answer.
    Fault(Fault),
}

/// A session as callers know it: no key of it is here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Live {
    /// Its name.
    pub session: String,
    /// Milliseconds since the log-in was answered.
    pub age: u64,
    /// Which of the server's keys it has proved, counted from 0.
    pub server: usize,
}

/// Why something was not done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refused {
    /// As a closed list.
    pub why: Why,
    /// In words, for people.
    pub message: String,
}

/// Why an agent refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// It is locked.
    Locked,
    /// It is not locked.
    NotLocked,
    /// It does not hold the key.
    NoKey,
    /// Its own way to the server is another than the caller's.
    OtherWay,
    /// It has no room.
    Full,
    /// The password is wrong, or it is too early for another.
    Password,
    /// What was asked is not understood, or is nothing that it does.
    Request,
}

/// What an attempt came to, in the terms of the client's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fault", rename_all = "snake_case", deny_unknown_fields)]
pub enum Fault {
    /// The path.
    Path {
        /// What happened.
        cause: String,
    },
    /// It is over, if it happens again and again at the first log-in.
    AtFirst {
        /// In words, for people.
        message: String,
    },
    /// The log-in was refused, by the server or by something in its place.
    LoginRefused {
        /// Who wanted to log in.
        user: String,
    },
    /// The server has none of the keys.
    OtherKey {},
    /// Nothing there speaks remo/2.
    OtherDialect {},
    /// The number was seen before.
    Repeated {},
    /// The session is lost.
    SessionLost {},
    /// The body is larger than something takes.
    TooLarge {},
    /// Nothing would help.
    Final {
        /// In words, for people.
        message: String,
    },
}

/// What an agent holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Status {
    /// The number of its process.
    pub pid: u32,
    /// Whether it gives nothing until it is unlocked.
    pub locked: bool,
    /// The keys; none are told of while it is locked.
    pub keys: Vec<HeldKey>,
}

/// A key that is held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeldKey {
    /// Its fingerprint.
    pub fingerprint: String,
    /// What it is shown as.
    pub name: String,
    /// Seconds until it is erased.
    pub seconds: u64,
    /// The servers that it has live sessions with, by URL.
    pub sessions: Vec<String>,
}

/// The bytes of a message.
///
/// # Errors
/// [`Wrong::Length`].
pub fn write(message: &impl Serialize) -> Result<Vec<u8>, Wrong> {
    let text = serde_json::to_vec(message).map_err(|_| Wrong::Message)?;
    super::Head::new(super::Kind::Message, text.len())?;
    Ok(text)
}

/// The message of these bytes.
///
/// # Errors
/// [`Wrong::Message`].
pub fn read<'a, M: Deserialize<'a>>(text: &'a [u8]) -> Result<M, Wrong> {
    serde_json::from_slice(text).map_err(|_| Wrong::Message)
}

mod hexadecimal {
    use std::fmt::Write;

    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(raw: &[u8; 32], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&raw.iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        }))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<[u8; 32], D::Error> {
        let text = String::deserialize(from)?;
        let mut raw = [0; 32];
        if text.len() != 64 || !text.is_ascii() {
            return Err(D::Error::custom("no SHA-256"));
        }
        for (byte, two) in raw.iter_mut().zip(text.as_bytes().chunks(2)) {
            let two = std::str::from_utf8(two).map_err(D::Error::custom)?;
            *byte = u8::from_str_radix(two, 16).map_err(D::Error::custom)?;
        }
        Ok(raw)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_read_as_it_was_written() {
        let ask = Ask::Exchange {
            session: "a.b".into(),
            verb: "icm".into(),
            head: crate::remo2::json::parse(br#"{"id":"1","n":9007199254740991}"#).unwrap(),
            fill: Fill::UpTo(1000),
            patience: 10,
            silence: 20,
        };
        assert_eq!(read(&write(&ask).unwrap()), Ok(ask));
        let ask = Ask::Sign {
            file: KeyFile([0xa5; 32]),
        };
        assert_eq!(read(&write(&ask).unwrap()), Ok(ask));
        let told = Told::Fault(Fault::Path {
            cause: "cut".into(),
        });
        assert_eq!(read(&write(&told).unwrap()), Ok(told));
    }

    #[test]
    fn what_is_not_known_is_refused() {
        for text in [
            r#"{"ask":"nothing"}"#,
            r#"{"ask":"status","more":1}"#,
            r#"{"ask":"sign","file":"zz"}"#,
            r#"{"ask":"forget"}"#,
            "[]",
            "",
        ] {
            assert!(read::<Ask>(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn a_message_that_no_frame_holds_is_not_written() {
        let message = Told::Fault(Fault::Path {
            cause: "x".repeat(300_000),
        });
        assert_eq!(write(&message), Err(Wrong::Length));
    }
}
