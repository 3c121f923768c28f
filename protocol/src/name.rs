//! The name of a user, checked where it comes in.
//! Whether such a user exists is for the user database to say.

use std::fmt::{self, Display};
use std::str::FromStr;

use thiserror::Error;

/// A user's name: 1 to 64 characters, no control characters, no `/`. Names are compared byte by byte.
///
/// An empty name would let a server's signature pass for a client's, since a user signs
/// `name || transient key` and a server the transient key alone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserName(String);

impl UserName {
    /// Checks `name`.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn parse(name: &str) -> Result<Self, NameError> {
        if name.is_empty() {
            return Err(NameError::Empty);
        }
        if name.chars().count() > MAX_CHARACTERS {
            return Err(NameError::TooLong);
        }
        if name.chars().any(char::is_control) {
            return Err(NameError::ControlCharacter);
        }
        if name.contains('/') {
            return Err(NameError::Slash);
        }
        Ok(Self(name.to_owned()))
    }

    /// The name as it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for UserName {
    type Err = NameError;

    fn from_str(name: &str) -> Result<Self, NameError> {
        Self::parse(name)
    }
}

/// Why a text is no user's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NameError {
    /// No character at all.
    #[error("the user name is empty (give 1 to 64 characters)")]
    Empty,
    /// More than 64 characters.
    #[error("the user name is too long (give 1 to 64 characters)")]
    TooLong,
    /// A control character, such as a line end.
    #[error("the user name holds a control character (use printable characters only)")]
    ControlCharacter,
    /// A `/`.
    #[error("the user name holds a '/' (use another character)")]
    Slash,
}

/// In characters, not bytes.
const MAX_CHARACTERS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_to_64_characters_make_a_name() {
        for name in ["a", "zoë", "a b", "..", &"ë".repeat(64)] {
            assert_eq!(UserName::parse(name).unwrap().as_str(), name);
        }
    }

    #[test]
    fn what_is_no_name_says_why() {
        let long = "x".repeat(65);
        for (name, why) in [
            ("", NameError::Empty),
            (long.as_str(), NameError::TooLong),
            ("a\nb", NameError::ControlCharacter),
            ("a\0", NameError::ControlCharacter),
            ("a\u{7f}", NameError::ControlCharacter),
            ("a\u{85}", NameError::ControlCharacter),
            ("a/b", NameError::Slash),
        ] {
            assert_eq!(UserName::parse(name).unwrap_err(), why);
        }
    }
}
