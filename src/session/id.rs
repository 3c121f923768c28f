//! The name of a session.

use std::fmt;

/// 128 random bits as 22 characters. Whoever knows it can end a session and no more: it is no secret.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct SessionId(String);

impl SessionId {
    /// Draws one.
    ///
    /// # Errors
    /// Where the system gives no random bytes.
    pub(crate) fn draw() -> Result<Self, getrandom::Error> {
        let mut raw = [0; 16];
        getrandom::fill(&mut raw)?;
        let number = u128::from_be_bytes(raw);
        let digit = |place: u32| {
            ALPHABET
                .get((number >> (6 * place)) as usize & 63)
                .copied()
                .unwrap_or(b'-')
        };
        Ok(Self(
            (0..22).map(|place| char::from(digit(place))).collect(),
        ))
    }

    /// The id that a cookie holds, if it has the form of one.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let sound = text.len() == 22 && text.bytes().all(|byte| ALPHABET.contains(&byte));
        sound.then(|| Self(text.to_owned()))
    }

    /// As it stands in a cookie.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_differ_and_are_read_back() {
        let (one, two) = (SessionId::draw().unwrap(), SessionId::draw().unwrap());
        assert_ne!(one, two);
        assert_eq!(SessionId::parse(one.as_str()), Some(one));
        for other in [
            "",
            "x",
            "0123456789012345678901;",
            "01234567890123456789012",
        ] {
            assert_eq!(SessionId::parse(other), None);
        }
    }
}
