//! All that can go wrong with a user database, and what to do about it.
//! What is wrong with a single key is in `remo_protocol::keys::KeyError`.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// Why a user database does not serve, or does not take a change.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum UsersError {
    /// There is no such file.
    #[error("there is no user database '{path}' (add-user -b '{path}' USER PEM makes one)", path = .path.display())]
    Missing {
        /// The file that was named.
        path: PathBuf,
    },
    /// The file is there but cannot be opened, or cannot be made.
    #[error("cannot open user database '{path}': {reason}", path = .path.display(), reason = remo_cli::reason(.source))]
    Open {
        /// The file that was named.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It is no SQLite database, or one without a table of users.
    #[error("'{path}' is not a user database (add-user -b BASE USER PEM makes one)", path = .path.display())]
    Foreign {
        /// The file that was named.
        path: PathBuf,
    },
    /// SQLite cannot do what was asked.
    #[error("user database '{path}': {source}", path = .path.display())]
    Database {
        /// The file that was named.
        path: PathBuf,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// The name is in use.
    #[error("user '{name}' exists (give --replace to change the key)")]
    Taken {
        /// The name.
        name: String,
    },
    /// The name is not in use.
    #[error("there is no user '{name}' (add-user --list shows the users)")]
    Unknown {
        /// The name.
        name: String,
    },
    /// Version 0.3 of the Python server knows no RSA keys.
    #[error("an RSA key has no form of version 0.3 (leave --store at 0.6)")]
    NoForm,
    /// A user's floor is none that this version knows.
    #[error("user '{name}' has the unknown floor '{floor}' (set another: add-user --min-dialect)")]
    UnknownFloor {
        /// The name.
        name: String,
        /// What the database holds.
        floor: String,
    },
    /// The option names no service that exists.
    #[error("unknown user service '{option}' (give SqliteUserService:FILE)")]
    UnknownService {
        /// What was given.
        option: String,
    },
}
