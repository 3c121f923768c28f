//! Users in an SQLite file, as both Python versions make and read it, and their floors beside them.
//! What only administration does with the file is in `admin`.
//!
//! The journal stays SQLite's default, the rollback journal: a write-ahead log would make a database in
//! a read-only folder unreadable, and a lookup needs none of its speed.

use std::collections::HashMap;
use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use remo_protocol::dialect::AnyDialect;
use remo_protocol::keys::{KeyError, UserKey};
use remo_protocol::name::UserName;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags, OptionalExtension, TransactionBehavior};

use super::known::Known;
use super::{User, UserService, UsersError};

/// A user database in an SQLite file. A change to the file, or another file put in its place, counts
/// from the next lookup on.
#[derive(Debug)]
pub struct SqliteUserService {
    pub(super) path: PathBuf,
    open: Mutex<Open>,
    known: Known,
    /// Floors that the file does not take.
    kept: Mutex<HashMap<UserName, AnyDialect>>,
}

#[derive(Debug)]
struct Open {
    connection: Connection,
    identity: Identity,
}

/// Device and inode of a file.
type Identity = (u64, u64);

impl SqliteUserService {
    /// Opens the database in the file at `path`, which must exist. It may be read-only.
    ///
    /// # Errors
    /// No such file, no permission, or no user database.
    pub fn open(path: &Path) -> Result<Self, UsersError> {
        let open = Open::existing(path)?;
        open.check(path)?;
        Ok(Self::new(path, open))
    }

    /// Opens the database in the file at `path`, and makes it where there is none: readable to its
    /// owner only.
    ///
    /// # Errors
    /// No permission, or a file that is no database.
    pub fn open_or_create(path: &Path) -> Result<Self, UsersError> {
        create_private(path).map_err(|source| UsersError::Open {
            path: path.to_owned(),
            source,
        })?;
        let open = Open::existing(path)?;
        let made = open.connection.execute(SCHEMA, ());
        made.map_err(|error| wrong(path, error))?;
        open.check(path)?;
        Ok(Self::new(path, open))
    }

    fn new(path: &Path, open: Open) -> Self {
        Self {
            path: path.to_owned(),
            open: Mutex::new(open),
            known: Known::default(),
            kept: Mutex::default(),
        }
    }

    /// Acts on the database that is now at the path.
    pub(super) fn with<T>(
        &self,
        act: impl FnOnce(&mut Connection) -> Result<T, UsersError>,
    ) -> Result<T, UsersError> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if identity(&self.path)? != open.identity {
            *open = Open::existing(&self.path)?;
            open.check(&self.path)?;
        }
        act(&mut open.connection)
    }

    pub(super) fn wrong(&self, error: rusqlite::Error) -> UsersError {
        wrong(&self.path, error)
    }

    fn key(
        &self,
        connection: &Connection,
        name: &UserName,
    ) -> Result<Option<Result<UserKey, KeyError>>, UsersError> {
        let mut lookup = connection
            .prepare_cached("SELECT pub FROM users WHERE user = ?1")
            .map_err(|error| self.wrong(error))?;
        lookup
            .query_row((name.as_str(),), |row| {
                Ok(stored(row.get_ref(0)?).and_then(|key| self.known.read(key)))
            })
            .optional()
            .map_err(|error| self.wrong(error))
    }

    pub(super) fn floor(
        &self,
        connection: &Connection,
        name: &str,
    ) -> Result<Option<AnyDialect>, UsersError> {
        if !self.has_floors(connection)? {
            return Ok(None);
        }
        let floor: Option<String> = connection
            .prepare_cached("SELECT floor FROM remo_floors WHERE user = ?1")
            .and_then(|mut lookup| lookup.query_row((name,), |row| row.get(0)).optional())
            .map_err(|error| self.wrong(error))?;
        floor.map(|floor| parse_floor(name, floor)).transpose()
    }

    fn has_floors(&self, connection: &Connection) -> Result<bool, UsersError> {
        connection
            .prepare_cached("SELECT 1 FROM sqlite_master WHERE name = 'remo_floors'")
            .and_then(|mut lookup| lookup.exists(()))
            .map_err(|error| self.wrong(error))
    }

    fn write_floor(&self, name: &UserName, floor: AnyDialect) -> Result<(), UsersError> {
        if self.with(|connection| self.floor(connection, name.as_str()))? >= Some(floor) {
            return Ok(());
        }
        // By a connection of its own: waiting for another writer must not hold up the lookups.
        let mut open = Open::existing(&self.path)?;
        let change = open
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(|error| self.wrong(error))?;
        if self.floor(&change, name.as_str())? < Some(floor) {
            put_floor(&change, name.as_str(), floor).map_err(|error| self.wrong(error))?;
        }
        change.commit().map_err(|error| self.wrong(error))
    }

    fn kept(&self) -> MutexGuard<'_, HashMap<UserName, AnyDialect>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a floor that the file does not take, until the process ends. Says so once a user.
    fn keep(&self, name: &UserName, floor: AnyDialect, error: &UsersError) {
        let before = self.kept().insert(name.clone(), floor);
        if before.is_none() {
            tracing::warn!(user = %name, %floor, %error, "floor is kept in memory only");
        }
    }
}

impl UserService for SqliteUserService {
    fn find(&self, name: &UserName) -> Result<Option<User>, UsersError> {
        let kept = self.kept().get(name).copied();
        self.with(|connection| {
            let Some(key) = self.key(connection, name)? else {
                return Ok(None);
            };
            let floor = self.floor(connection, name.as_str())?.max(kept);
            Ok(Some(User { key, floor }))
        })
    }

    fn raise_floor(&self, name: &UserName, floor: AnyDialect) -> Result<(), UsersError> {
        let kept = self.kept().get(name).copied();
        if let Err(error) = self.write_floor(name, floor) {
            self.keep(name, floor.max(kept.unwrap_or(floor)), &error);
        }
        Ok(())
    }
}

impl Open {
    /// Where the file may not be written, SQLite opens it for reading.
    fn existing(path: &Path) -> Result<Self, UsersError> {
        let identity = identity(path)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags);
        let connection = connection.map_err(|error| wrong(path, error))?;
        connection
            .busy_timeout(BUSY)
            .map_err(|error| wrong(path, error))?;
        Ok(Self {
            connection,
            identity,
        })
    }

    /// Whether there is a table of users: found out at the start, not at the first log-in.
    fn check(&self, path: &Path) -> Result<(), UsersError> {
        let mut probe = self
            .connection
            .prepare("SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'users'")
            .map_err(|error| wrong(path, error))?;
        let tables: i64 = probe
            .query_row((), |row| row.get(0))
            .map_err(|error| wrong(path, error))?;
        match tables {
            0 => Err(UsersError::Foreign {
                path: path.to_owned(),
            }),
            _ => Ok(()),
        }
    }
}

/// Records a floor, for a user that exists.
pub(super) fn put_floor(
    connection: &Connection,
    name: &str,
    floor: AnyDialect,
) -> Result<(), rusqlite::Error> {
    connection.execute(FLOORS_SCHEMA, ())?;
    connection.execute(
        "INSERT OR REPLACE INTO remo_floors (user, floor) SELECT user, ?2 FROM users WHERE user = ?1",
        (name, floor.name()),
    )?;
    Ok(())
}

/// Python stores keys as BLOB values; other programs may write text.
pub(super) fn stored(value: ValueRef<'_>) -> Result<&[u8], KeyError> {
    match value {
        ValueRef::Blob(bytes) | ValueRef::Text(bytes) => Ok(bytes),
        ValueRef::Null | ValueRef::Integer(_) | ValueRef::Real(_) => Err(KeyError::NotPem),
    }
}

fn parse_floor(name: &str, floor: String) -> Result<AnyDialect, UsersError> {
    floor.parse().map_err(|_| UsersError::UnknownFloor {
        name: name.to_owned(),
        floor,
    })
}

fn identity(path: &Path) -> Result<Identity, UsersError> {
    match fs::metadata(path) {
        Ok(file) => Ok((file.dev(), file.ino())),
        Err(error) if error.kind() == ErrorKind::NotFound => Err(UsersError::Missing {
            path: path.to_owned(),
        }),
        Err(source) => Err(UsersError::Open {
            path: path.to_owned(),
            source,
        }),
    }
}

/// Makes an empty file where there is none; SQLite would let others read it.
fn create_private(path: &Path) -> io::Result<()> {
    let made = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    match made {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

fn wrong(path: &Path, error: rusqlite::Error) -> UsersError {
    let path = path.to_owned();
    match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::NotADatabase) => UsersError::Foreign { path },
        _ => UsersError::Database {
            path,
            source: error,
        },
    }
}

/// As Python's tools make it.
const SCHEMA: &str = "CREATE TABLE IF NOT EXISTS users(id INTEGER PRIMARY KEY AUTOINCREMENT, \
                      user TEXT UNIQUE, key TEXT, pub TEXT)";
/// A table apart, which Python does not look at.
const FLOORS_SCHEMA: &str =
    "CREATE TABLE IF NOT EXISTS remo_floors(user TEXT PRIMARY KEY, floor TEXT NOT NULL)";
/// How long to wait while another process writes.
const BUSY: Duration = Duration::from_secs(5);
