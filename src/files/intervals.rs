//! Which bytes of an upload are there.

use std::collections::BTreeMap;

/// Disjoint ranges of bytes, those that touch joined: begin to end.
#[derive(Debug, Default)]
pub(crate) struct Intervals(BTreeMap<u64, u64>);

impl Intervals {
    /// All bytes up to `end`.
    pub(crate) fn up_to(end: u64) -> Self {
        let mut intervals = Self::default();
        intervals.add(0, end);
        intervals
    }

    /// How far it goes from 0 without a gap.
    pub(crate) fn prefix(&self) -> u64 {
        self.0.get(&0).copied().unwrap_or_default()
    }

    /// Where the last of them ends.
    pub(crate) fn end(&self) -> u64 {
        self.0.last_key_value().map_or(0, |(_, &end)| end)
    }

    /// Whether another range could be one too many.
    pub(crate) fn has_room(&self, begin: u64) -> bool {
        self.0.len() < MOST || begin <= self.prefix()
    }

    /// Adds the bytes from `begin` to `end`.
    pub(crate) fn add(&mut self, mut begin: u64, mut end: u64) {
        if begin >= end {
            return;
        }
        while let Some((&other, &other_end)) = self.0.range(..=end).next_back()
            && other_end >= begin
        {
            self.0.remove(&other);
            begin = begin.min(other);
            end = end.max(other_end);
        }
        self.0.insert(begin, end);
    }
}

/// Ranges that are kept apart.
const MOST: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_in_any_order_join_to_what_they_cover() {
        let mut state = 7_u64;
        for round in 0..200 {
            let (mut intervals, mut there) = (Intervals::default(), [false; 64]);
            for _ in 0..20 {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                let (begin, length) = ((state >> 33) % 64, (state >> 45) % 9);
                let end = (begin + length).min(64);
                intervals.add(begin, end);
                (begin..end).for_each(|at| there[at as usize] = true);
                let prefix = there.iter().take_while(|there| **there).count() as u64;
                let last = there
                    .iter()
                    .rposition(|there| *there)
                    .map_or(0, |at| at as u64 + 1);
                assert_eq!(
                    (intervals.prefix(), intervals.end()),
                    (prefix, last),
                    "{round}"
                );
                let covered: u64 = intervals.0.iter().map(|(begin, end)| end - begin).sum();
                assert_eq!(covered, there.iter().filter(|there| **there).count() as u64);
            }
        }
    }

    #[test]
    fn only_so_many_are_kept_apart() {
        let mut intervals = Intervals::default();
        for at in 1..=MOST as u64 {
            assert!(intervals.has_room(at * 10));
            intervals.add(at * 10, at * 10 + 5);
        }
        assert!(!intervals.has_room(5_000_000));
        assert!(
            intervals.has_room(0),
            "what closes the first gap is always taken"
        );
    }
}
