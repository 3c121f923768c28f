//! How tokens make a body: one state machine a direction. [`Sealer`] and [`Opener`] speak whichever
//! dialect they were made for; which one that is, [`crate::session`] and the client decide.
//!
//! A body cannot be held wrong: what ends it takes the machine away, and nothing is given out of a token
//! that is not proved to be the next one.

mod frame;
mod opener;
mod sealer;

pub use frame::{Frame, PathHash, hash_path};
pub use opener::Opener;
pub use sealer::{Lineation, Sealer};

/// The number of a request of dialect 0.6, from 1 to [`LAST_NUMBER`](crate::limits::LAST_NUMBER).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestNumber(u16);

impl RequestNumber {
    /// The number of the first request after a log-in.
    pub const FIRST: Self = Self(1);

    /// The number as a number.
    pub fn value(self) -> u16 {
        self.0
    }

    /// The number that follows; `None` after the last, when a new log-in is due.
    pub fn next(self) -> Option<Self> {
        (self.0 < crate::limits::LAST_NUMBER).then_some(Self(self.0 + 1))
    }

    pub(crate) fn parse(number: i16) -> Option<Self> {
        u16::try_from(number)
            .ok()
            .filter(|&number| number > 0)
            .map(Self)
    }
}

#[cfg(test)]
mod tests;
