//! What an administrator does with a user database: add, replace, remove, list, set floors.
//! A running server sees each change at its next lookup.

use remo_protocol::dialect::AnyDialect;
use remo_protocol::keys::{KeyError, UserKey};
use remo_protocol::name::UserName;
use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::sqlite::{put_floor, stored};
use super::{SqliteUserService, UsersError};

/// In which form a key is stored: each version of the Python server reads its own only, this server
/// both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StoredForm {
    /// URL-safe base64 of the 57 raw bytes, which RSA keys do not have.
    V0_3,
    /// PEM text.
    #[default]
    V0_6,
}

impl StoredForm {
    /// What is stored of `key` in this form.
    ///
    /// # Errors
    /// [`UsersError::NoForm`] where there is none.
    pub fn of(self, key: &UserKey) -> Result<String, UsersError> {
        match self {
            Self::V0_3 => key.to_stored_0_3().ok_or(UsersError::NoForm),
            Self::V0_6 => Ok(key.to_pem()),
        }
    }
}

/// A row of the list of users.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The name as it is stored, which need not be a proper [`UserName`].
    pub name: String,
    /// The key, or why it cannot be read.
    pub key: Result<UserKey, KeyError>,
    /// The user's own floor as it is stored, which a later version may have done.
    pub floor: Option<String>,
}

impl SqliteUserService {
    /// Adds a user, whose own floor is `floor`. One left behind by an earlier user of the name does not
    /// count.
    ///
    /// # Errors
    /// [`UsersError::Taken`], [`UsersError::NoForm`], or what SQLite says.
    pub fn add(
        &self,
        name: &UserName,
        key: &UserKey,
        form: StoredForm,
        floor: Option<AnyDialect>,
    ) -> Result<(), UsersError> {
        let stored = form.of(key)?;
        self.change(|change| {
            if exists(change, name.as_str())? {
                return Ok(Err(taken(name.as_str())));
            }
            forget_floor(change, name.as_str())?;
            change.execute(
                "INSERT INTO users (user, pub) VALUES (?1, ?2)",
                (name.as_str(), stored.as_bytes()),
            )?;
            match floor {
                Some(floor) => put_floor(change, name.as_str(), floor).map(Ok),
                None => Ok(Ok(())),
            }
        })
    }

    /// Gives a user another key and, where one is given, another floor.
    ///
    /// # Errors
    /// [`UsersError::Unknown`], [`UsersError::NoForm`], or what SQLite says.
    pub fn replace(
        &self,
        name: &str,
        key: &UserKey,
        form: StoredForm,
        floor: Option<AnyDialect>,
    ) -> Result<(), UsersError> {
        let stored = form.of(key)?;
        self.change(|change| {
            let changed = change.execute(
                "UPDATE users SET pub = ?2 WHERE user = ?1",
                (name, stored.as_bytes()),
            )?;
            if let Some(floor) = floor {
                put_floor(change, name, floor)?;
            }
            Ok(found(changed, name))
        })
    }

    /// Removes a user, and the floor.
    ///
    /// # Errors
    /// [`UsersError::Unknown`], or what SQLite says.
    pub fn remove(&self, name: &str) -> Result<(), UsersError> {
        self.change(|change| {
            forget_floor(change, name)?;
            Ok(found(
                change.execute("DELETE FROM users WHERE user = ?1", (name,))?,
                name,
            ))
        })
    }

    /// Sets the oldest dialect that a user may speak, or leaves it to the server. Unlike the server,
    /// an administrator may lower it.
    ///
    /// # Errors
    /// [`UsersError::Unknown`], or what SQLite says.
    pub fn set_floor(&self, name: &str, floor: Option<AnyDialect>) -> Result<(), UsersError> {
        self.change(|change| {
            if !exists(change, name)? {
                return Ok(found(0, name));
            }
            match floor {
                Some(floor) => put_floor(change, name, floor)?,
                None => forget_floor(change, name)?,
            }
            Ok(Ok(()))
        })
    }

    /// Whether there is a user of this name, whatever is stored of it.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn has(&self, name: &str) -> Result<bool, UsersError> {
        self.with(|connection| exists(connection, name).map_err(|error| self.wrong(error)))
    }

    /// All users, by name.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn list(&self) -> Result<Vec<Entry>, UsersError> {
        self.with(|connection| entries(connection).map_err(|error| self.wrong(error)))
    }

    /// Makes one change: all of it or, on any error, nothing.
    fn change(
        &self,
        act: impl FnOnce(&Transaction<'_>) -> Result<Result<(), UsersError>, rusqlite::Error>,
    ) -> Result<(), UsersError> {
        self.with(|connection| {
            let change = connection.transaction_with_behavior(TransactionBehavior::Immediate);
            let change = change.map_err(|error| self.wrong(error))?;
            act(&change).map_err(|error| self.wrong(error))??;
            change.commit().map_err(|error| self.wrong(error))
        })
    }
}

fn entries(connection: &Connection) -> Result<Vec<Entry>, rusqlite::Error> {
    let floor = match connection.table_exists(None, "remo_floors")? {
        true => "(SELECT floor FROM remo_floors WHERE remo_floors.user = users.user)",
        false => "NULL",
    };
    let query = format!(
        "SELECT CAST(user AS TEXT), pub, {floor} FROM users WHERE user IS NOT NULL ORDER BY user"
    );
    connection
        .prepare(&query)?
        .query_map((), |row| {
            Ok(Entry {
                name: row.get(0)?,
                key: stored(row.get_ref(1)?).and_then(UserKey::from_stored),
                floor: row.get(2)?,
            })
        })?
        .collect()
}

fn exists(connection: &Connection, name: &str) -> Result<bool, rusqlite::Error> {
    connection
        .prepare("SELECT 1 FROM users WHERE user = ?1")?
        .exists((name,))
}

fn forget_floor(connection: &Connection, name: &str) -> Result<(), rusqlite::Error> {
    if connection.table_exists(None, "remo_floors")? {
        connection.execute("DELETE FROM remo_floors WHERE user = ?1", (name,))?;
    }
    Ok(())
}

fn found(changed: usize, name: &str) -> Result<(), UsersError> {
    match changed {
        0 => Err(UsersError::Unknown {
            name: name.to_owned(),
        }),
        _ => Ok(()),
    }
}

fn taken(name: &str) -> UsersError {
    UsersError::Taken {
        name: name.to_owned(),
    }
}
