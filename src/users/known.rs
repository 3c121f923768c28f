//! Keys as they were read from a database before: proving that a key is sound takes a fifth of a signature's time. The same
//! bytes are the same key, so nothing here grows old.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use remo_protocol::keys::{KeyError, UserKey};

/// The keys, by the bytes that they are stored as.
#[derive(Debug, Default)]
pub(super) struct Known(Mutex<HashMap<Vec<u8>, UserKey>>);

impl Known {
    /// Reads a key, or remembers it.
    pub(super) fn read(&self, stored: &[u8]) -> Result<UserKey, KeyError> {
        let known = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = known().get(stored) {
            return Ok(key.clone());
        }
        let key = UserKey::from_stored(stored)?;
        let mut known = known();
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(stored.to_vec(), key.clone());
        Ok(key)
    }
}

/// Keys that are remembered; with one more it begins anew.
const MOST: usize = 1024;

#[cfg(test)]
mod tests {
    use remo_protocol::keys::PrivateKey;

    use super::*;

    #[test]
    fn the_same_bytes_are_the_same_key_and_others_are_not() {
        let known = Known::default();
        let keys =
            [[1; 57], [2; 57]].map(|raw| UserKey::Ed448(PrivateKey::from_raw(&raw).public()));
        let stored = keys.clone().map(|key| key.to_pem());
        for _ in 0..2 {
            for (key, stored) in keys.iter().zip(&stored) {
                assert_eq!(known.read(stored.as_bytes()).as_ref(), Ok(key));
            }
            assert!(known.read(b"none").is_err());
        }
        assert_eq!(known.0.lock().unwrap().len(), 2);
    }
}
