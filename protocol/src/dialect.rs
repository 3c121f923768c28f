//! The dialects: those that the older sessions may speak, and all of them together.
//! What a dialect looks like on the wire is not here.

use std::{fmt, str::FromStr};

/// A dialect that a [`Session`](crate::session::Session) may be held in. Later is greater. remo/2 is none of
/// them: its sessions are other ones, which nothing can mistake for these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dialect {
    /// remo_serv 0.3 to 0.5: tokens hold data and nothing else.
    V0_3,
    /// remo_serv 0.6: tokens carry the numbers of their request and of themselves.
    V0_6,
}

impl Dialect {
    /// Every dialect of the older sessions, oldest first.
    pub const ALL: [Self; 2] = [Self::V0_3, Self::V0_6];

    /// The name that people type: `0.3` or `0.6`.
    pub fn name(self) -> &'static str {
        AnyDialect::from(self).name()
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Any dialect, remo/2 among them. Later is greater, so that a floor is a comparison, and of several floors
/// the greatest holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AnyDialect {
    /// remo_serv 0.3 to 0.5.
    V0_3,
    /// remo_serv 0.6.
    V0_6,
    /// remo/2.
    V2,
}

impl AnyDialect {
    /// Every dialect, oldest first.
    pub const ALL: [Self; 3] = [Self::V0_3, Self::V0_6, Self::V2];

    /// The name that people type: `0.3`, `0.6` or `2`.
    pub fn name(self) -> &'static str {
        match self {
            Self::V0_3 => "0.3",
            Self::V0_6 => "0.6",
            Self::V2 => "2",
        }
    }

    /// As a dialect of the older sessions, which remo/2 is not.
    pub fn older(self) -> Option<Dialect> {
        match self {
            Self::V0_3 => Some(Dialect::V0_3),
            Self::V0_6 => Some(Dialect::V0_6),
            Self::V2 => None,
        }
    }
}

impl From<Dialect> for AnyDialect {
    fn from(dialect: Dialect) -> Self {
        match dialect {
            Dialect::V0_3 => Self::V0_3,
            Dialect::V0_6 => Self::V0_6,
        }
    }
}

impl fmt::Display for AnyDialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What was given is the name of no dialect.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown dialect '{}' (known: 0.3, 0.6, 2)", .0.escape_debug())]
pub struct UnknownDialect(String);

impl FromStr for AnyDialect {
    type Err = UnknownDialect;

    fn from_str(name: &str) -> Result<Self, UnknownDialect> {
        Self::ALL
            .into_iter()
            .find(|dialect| dialect.name() == name)
            .ok_or_else(|| UnknownDialect(name.to_owned()))
    }
}

impl FromStr for Dialect {
    type Err = UnknownDialect;

    fn from_str(name: &str) -> Result<Self, UnknownDialect> {
        let any: AnyDialect = name.parse()?;
        any.older().ok_or_else(|| UnknownDialect(name.to_owned()))
    }
}
