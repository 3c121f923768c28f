//! Users held in memory, for programs that embed the server and for tests.
//! Nothing of them outlives the process.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use remo_protocol::dialect::AnyDialect;
use remo_protocol::keys::UserKey;
use remo_protocol::name::UserName;

use super::{User, UserService, UsersError};

/// A user database without a file. Users can be added and removed while a server uses it.
#[derive(Debug, Default)]
pub struct MemoryUserService(Mutex<HashMap<UserName, User>>);

impl MemoryUserService {
    /// One without users.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a user, or replaces it.
    pub fn insert(&self, name: UserName, key: UserKey, floor: Option<AnyDialect>) {
        let user = User {
            key: Ok(key),
            floor,
        };
        self.users().insert(name, user);
    }

    /// Removes a user, if there is one of this name.
    pub fn remove(&self, name: &UserName) {
        self.users().remove(name);
    }

    fn users(&self) -> MutexGuard<'_, HashMap<UserName, User>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl UserService for MemoryUserService {
    fn find(&self, name: &UserName) -> Result<Option<User>, UsersError> {
        Ok(self.users().get(name).cloned())
    }

    fn raise_floor(&self, name: &UserName, floor: AnyDialect) -> Result<(), UsersError> {
        if let Some(user) = self.users().get_mut(name) {
            user.floor = user.floor.max(Some(floor));
        }
        Ok(())
    }
}
