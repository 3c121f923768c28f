//! The transient keys that were used: each serves one log-in, however often its `/auth` is sent.

use std::collections::{HashSet, VecDeque};

use remo_protocol::agreement::TransientPublic;

/// The last so many keys.
pub(super) struct Used {
    most: usize,
    keys: HashSet<TransientPublic>,
    order: VecDeque<TransientPublic>,
}

impl Used {
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            keys: HashSet::new(),
            order: VecDeque::new(),
        }
    }

    pub(super) fn contains(&self, key: &TransientPublic) -> bool {
        self.keys.contains(key)
    }

    /// Remembers a key; says whether it was not used before.
    pub(super) fn insert(&mut self, key: TransientPublic) -> bool {
        if !self.keys.insert(key) {
            return false;
        }
        if self.order.len() >= self.most
            && let Some(oldest) = self.order.pop_front()
        {
            self.keys.remove(&oldest);
        }
        self.order.push_back(key);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_keys_are_remembered_and_no_more() {
        let key = |i: u8| [i; 56];
        let mut used = Used::new(3);
        assert!((0..4).all(|i| used.insert(key(i))));
        assert!(!used.insert(key(3)));
        assert!(used.contains(&key(1)));
        assert!(!used.contains(&key(0)), "the oldest went");
        assert_eq!(used.order.len(), 3);
    }
}
