//! Who may log in: the users, their public keys and the oldest dialect each may speak.
//! What a user may do once logged in is not decided here.

mod admin;
mod error;
mod known;
mod memory;
mod sqlite;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;

use remo_protocol::dialect::AnyDialect;
use remo_protocol::keys::{KeyError, UserKey};
use remo_protocol::name::UserName;

pub use admin::{Entry, StoredForm};
pub use error::UsersError;
pub use memory::MemoryUserService;
pub use sqlite::SqliteUserService;

/// What is known of a user.
#[derive(Clone, Debug)]
pub struct User {
    /// The key to check signatures by. A key that cannot be read is the log-in's to refuse and to log.
    pub key: Result<UserKey, KeyError>,
    /// The oldest dialect that the user may speak, where that is not left to the server.
    pub floor: Option<AnyDialect>,
}

/// Where users are looked up. Calls may block for as long as a database is locked, 5 seconds at most.
pub trait UserService: Send + Sync {
    /// The user of this name, as of now.
    ///
    /// # Errors
    /// Where the answer cannot be known; a user that does not exist is none.
    fn find(&self, name: &UserName) -> Result<Option<User>, UsersError>;

    /// Sees to it that from now on the user speaks `floor` or a later dialect. Never lowers a floor, and
    /// does nothing for a user that does not exist.
    ///
    /// # Errors
    /// Where the floor would not hold even until the server ends.
    fn raise_floor(&self, name: &UserName, floor: AnyDialect) -> Result<(), UsersError>;
}

/// Opens the service that `SERVICE:ARGUMENT` names, as in `SqliteUserService:users_db.sqlite`.
///
/// # Errors
/// An unknown service, or what [`SqliteUserService::open`] has to say.
pub fn open(option: &str) -> Result<Arc<dyn UserService>, UsersError> {
    match option.split_once(':') {
        Some(("SqliteUserService", path)) if !path.is_empty() => {
            Ok(Arc::new(SqliteUserService::open(Path::new(path))?))
        }
        _ => Err(UsersError::UnknownService {
            option: option.to_owned(),
        }),
    }
}
