//! The numbers of a session's requests: held while a body comes in, taken for good when it has proved its
//! end. An answer can be sealed for a taken number only, and once: [`Taken`] cannot be copied.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{limits::REMO2_WINDOW, refusal::Refusal};

/// What a server remembers of a session's numbers. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Numbers(Arc<Mutex<Memory>>);

#[derive(Debug, Default)]
struct Memory {
    held: HashSet<u64>,
    highest: u64,
    /// Which of the numbers from the highest downwards are taken, by their remainder.
    taken: Window,
    count: u64,
}

#[derive(Debug)]
struct Window([u64; WORDS]);

const WORDS: usize = (REMO2_WINDOW / 64) as usize;

impl Default for Window {
    fn default() -> Self {
        Self([0; WORDS])
    }
}

impl Window {
    fn get(&self, number: u64) -> bool {
        let (word, bit) = place(number);
        self.0.get(word).is_some_and(|word| word & bit != 0)
    }

    fn set(&mut self, number: u64, taken: bool) {
        let (word, bit) = place(number);
        if let Some(word) = self.0.get_mut(word) {
            *word = if taken { *word | bit } else { *word & !bit };
        }
    }
}

fn place(number: u64) -> (usize, u64) {
    let place = number % REMO2_WINDOW;
    ((place / 64) as usize, 1 << (place % 64))
}

/// A number that a body holds: dropped, it is free again.
#[derive(Debug)]
pub struct Held {
    numbers: Numbers,
    number: u64,
}

/// A number that is taken for good: the right to seal one answer.
#[derive(Debug, PartialEq, Eq)]
pub struct Taken(u64);

impl Numbers {
    /// Those of a session that took so many already, none of which is remembered.
    pub fn after(count: u64) -> Self {
        let memory = Memory {
            count,
            ..Memory::default()
        };
        Self(Arc::new(Mutex::new(memory)))
    }

    /// Holds a number for a body whose first token was proved.
    ///
    /// # Errors
    /// [`Refusal::NumberUsed`] where another body holds it or it is taken (409);
    /// [`Refusal::RequestOutOfStep`] for 0, which is no number (400).
    pub fn hold(&self, number: u64) -> Result<Held, Refusal> {
        if number == 0 {
            return Err(Refusal::RequestOutOfStep);
        }
        let mut memory = self.lock();
        if memory.is_taken(number) || !memory.held.insert(number) {
            return Err(Refusal::NumberUsed);
        }
        Ok(Held {
            numbers: self.clone(),
            number,
        })
    }

    /// How many were taken.
    pub fn count(&self) -> u64 {
        self.lock().count
    }

    fn lock(&self) -> MutexGuard<'_, Memory> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    /// The number.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Takes the number: its body has proved its end.
    pub(super) fn take(self) -> Taken {
        self.numbers.lock().take(self.number);
        Taken(self.number)
        // What is dropped here is no longer held; it is taken.
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.numbers.lock().held.remove(&self.number);
    }
}

impl Taken {
    /// The number.
    pub fn number(&self) -> u64 {
        self.0
    }
}

impl Memory {
    fn is_taken(&self, number: u64) -> bool {
        if number > self.highest {
            return false;
        }
        // What is older than the window counts as taken.
        self.highest - number >= REMO2_WINDOW || self.taken.get(number)
    }

    fn take(&mut self, number: u64) {
        self.count += 1;
        if number > self.highest {
            let fresh = (number - self.highest).min(REMO2_WINDOW);
            for step in 0..fresh {
                self.taken.set(number - step, false);
            }
            self.highest = number;
        }
        if self.highest - number < REMO2_WINDOW {
            self.taken.set(number, true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(numbers: &Numbers, number: u64) -> Result<(), Refusal> {
        numbers
            .hold(number)
            .map(|held| assert_eq!(held.take(), Taken(number)))
    }

    #[test]
    fn a_number_is_taken_once_in_any_order() {
        let numbers = Numbers::default();
        for number in [1, 5, 3, 2, 4, 1 << 40, (1 << 40) - 1023] {
            assert_eq!(take(&numbers, number), Ok(()));
            assert_eq!(take(&numbers, number), Err(Refusal::NumberUsed));
        }
        assert_eq!(numbers.count(), 7);
        let more = Numbers::after(1 << 32);
        assert_eq!((take(&more, 1), more.count()), (Ok(()), (1 << 32) + 1));
    }

    #[test]
    fn what_is_older_than_the_window_counts_as_taken() {
        let numbers = Numbers::default();
        take(&numbers, 2000).unwrap();
        assert_eq!(take(&numbers, 2000 - 1023), Ok(()));
        assert_eq!(take(&numbers, 2000 - 1024), Err(Refusal::NumberUsed));
    }

    #[test]
    fn a_held_number_is_free_again_when_its_body_fails() {
        let numbers = Numbers::default();
        let held = numbers.hold(7).unwrap();
        assert_eq!(numbers.hold(7).unwrap_err(), Refusal::NumberUsed);
        drop(held);
        assert_eq!(take(&numbers, 7), Ok(()));
    }

    #[test]
    fn a_held_number_may_be_taken_though_the_window_has_passed_it() {
        let numbers = Numbers::default();
        let slow = numbers.hold(1).unwrap();
        take(&numbers, 5000).unwrap();
        assert_eq!(slow.take(), Taken(1));
        assert_eq!(take(&numbers, 1), Err(Refusal::NumberUsed));
    }

    #[test]
    fn zero_is_no_number() {
        assert_eq!(
            Numbers::default().hold(0).unwrap_err(),
            Refusal::RequestOutOfStep
        );
    }

    #[test]
    fn the_window_agrees_with_a_set_of_all_numbers() {
        let numbers = Numbers::default();
        let mut all = HashSet::new();
        let (mut random, mut highest) = (1_u64, 0);
        for _ in 0..50_000 {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let number = highest + 1 + (random >> 50) % 64 - ((random >> 40) % 1100).min(highest);
            let wanted = !all.contains(&number) && number + 1023 >= highest && number > 0;
            assert_eq!(
                take(&numbers, number).is_ok(),
                wanted,
                "{number} of {highest}"
            );
            if wanted {
                all.insert(number);
                highest = highest.max(number);
            }
        }
    }
}
