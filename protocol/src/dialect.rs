//! The dialects that a session may be held in, oldest first.

use std::{fmt, str::FromStr};

/// A dialect of the protocol. Later is greater, so that a floor is a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dialect {
    /// remo_serv 0.3 to 0.5: tokens hold data and nothing else.
    V0_3,
    /// remo_serv 0.6: tokens carry the numbers of their request and of themselves.
    V0_6,
}

impl Dialect {
    /// Every dialect, oldest first.
    pub const ALL: [Self; 2] = [Self::V0_3, Self::V0_6];

    /// The name that people type: `0.3` or `0.6`.
    pub fn name(self) -> &'static str {
        match self {
            Self::V0_3 => "0.3",
            Self::V0_6 => "0.6",
        }
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What was given is the name of no dialect.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown dialect '{}' (known: 0.3, 0.6)", .0.escape_debug())]
pub struct UnknownDialect(String);

impl FromStr for Dialect {
    type Err = UnknownDialect;

    fn from_str(name: &str) -> Result<Self, UnknownDialect> {
        Self::ALL
            .into_iter()
            .find(|dialect| dialect.name() == name)
            .ok_or_else(|| UnknownDialect(name.to_owned()))
    }
}
